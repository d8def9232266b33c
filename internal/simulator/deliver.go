// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

// writeGrace is how long a client may need to read a response.
const writeGrace = 30 * time.Second

// deliver sends the outcome, or fails as the fault demands. http.ErrAbortHandler is net/http's way to
// close a connection without a response.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, delay time.Duration, out outcome) {
	if delay > 0 && !s.wait(w, r, delay) {
		panic(http.ErrAbortHandler)
	}
	switch out.fault {
	case FaultHang:
		s.wait(w, r, 0)
		panic(http.ErrAbortHandler)
	case FaultReset:
		reset(w)
	case FaultTruncated:
		send(w, out.doc, len(out.doc.body)/2)
	default:
		send(w, out.doc, len(out.doc.body))
	}
}

// wait returns true once d is over, and false when the client disconnects or the server
// stops before. Without d it waits for these alone. The server's write timeout is for
// clients that read slowly, so it starts after the wait.
func (s *Server) wait(w http.ResponseWriter, r *http.Request, d time.Duration) bool {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(d + writeGrace))
	var over <-chan time.Time
	if d > 0 {
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return true
	case <-r.Context().Done():
	case <-s.stopped:
	}
	return false
}

// reset closes the connection with a TCP reset, so that the client's kernel reports 'connection reset'.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if wrapped, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = wrapped.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}

// send announces the whole document and writes its padding and the first n bytes of its body. When these are fewer than
// announced, net/http closes the connection.
func send(w http.ResponseWriter, doc document, n int) {
	header := w.Header()
	maps.Copy(header, doc.header)
	if doc.contentType != "" {
		header.Set("Content-Type", doc.contentType)
	}
	header.Set("Content-Length", strconv.FormatInt(doc.padding+int64(len(doc.body)), 10))
	w.WriteHeader(doc.status)
	if _, err := io.CopyN(w, blanks{}, doc.padding); err == nil {
		_, _ = w.Write(doc.body[:n])
	}
}

// blanks is an endless reader of spaces.
type blanks struct{}

var blankBlock = bytes.Repeat([]byte{' '}, 32<<10)

func (blanks) Read(p []byte) (int, error) {
	return copy(p, blankBlock), nil
}
