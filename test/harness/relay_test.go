// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRelay(t *testing.T) {
	serve := func(text string) string {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }))
		t.Cleanup(server.Close)
		return strings.TrimPrefix(server.URL, "http://")
	}
	r, err := OpenRelay(t.Context(), serve("first"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Shut)
	get := func() string {
		response, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + r.Address)
		if err != nil {
			return "failed: " + err.Error()
		}
		defer func() { _ = response.Body.Close() }()
		body, _ := io.ReadAll(response.Body)
		return string(body)
	}
	want := func(text string) {
		t.Helper()
		if got := get(); !strings.Contains(got, text) {
			t.Errorf("got %q, not %q", got, text)
		}
	}

	want("first")
	conn, err := net.Dial("tcp", r.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	r.Redirect(serve("second"))
	r.Disconnect()
	_ = conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.Copy(io.Discard, conn); err != nil && strings.Contains(err.Error(), "timeout") {
		t.Error("a connection survives Disconnect")
	}
	want("second")

	r.Shut()
	want("connection refused")
	if err := r.Open(); err != nil {
		t.Fatal(err)
	}
	want("second")

	const delay = 200 * time.Millisecond
	r.SetDelay(delay)
	began := time.Now()
	want("second")
	if took := time.Since(began); took < 2*delay {
		t.Errorf("a request took %s with a delay of %s each way", took, delay)
	}
}
