// SPDX-License-Identifier: Apache-2.0

package alicloudtest

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
)

// Serve responds to every request with a status and a body.
func Serve(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Refuse responds to every request with an error document.
func Refuse(status int, code, message string) http.HandlerFunc {
	return Serve(status, ErrorDocument(code, message))
}

// AfterRequest hijacks the connection after the request was read.
func AfterRequest(do func(conn net.Conn)) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		hijacker, ok := w.(http.Hijacker)
		if !ok {
			panic("the connection cannot be hijacked")
		}
		conn, _, err := hijacker.Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = conn.Close() }()
		do(conn)
	}
}

// Reset closes a connection with a TCP reset.
func Reset(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if plain, ok := conn.(*net.TCPConn); ok {
		_ = plain.SetLinger(0)
	}
	_ = conn.Close()
}
