// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// gate stands between one operator and the API server, which takes the
// operator for the user that it always was. It can be shut, cut what goes
// through, and have a keeper who looks at each request.
type gate struct {
	address string
	config  *tls.Config
	server  *http.Server
	through http.Handler
	keeper  atomic.Pointer[keeper]
}

// keeper handles a request in the gate's place; through passes it on.
type keeper func(w http.ResponseWriter, r *http.Request, through http.Handler)

func (w *env) openGate(t *testing.T) *gate {
	t.Helper()
	as := rest.CopyConfig(w.plane.Config)
	as.Impersonate.UserName = w.operator.name
	transport, err := rest.TransportFor(as)
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(as.Host)
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{
		address: harness.FreeAddressFor(t),
		config:  w.certificate.ServerConfig(),
		through: &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport:     transport,
			FlushInterval: -1, // watches
			ErrorLog:      log.New(io.Discard, "", 0),
			// What happens behind the gate happens to the client.
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		},
	}
	g.open(t)
	t.Cleanup(g.shut)
	return g
}

// open lets the operator connect.
func (g *gate) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	g.server = &http.Server{Handler: g, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	go func(server *http.Server) { _ = server.Serve(tls.NewListener(listener, g.config)) }(g.server)
}

// shut refuses connections, and cuts those that stand.
func (g *gate) shut() { _ = g.server.Close() }

// keep has every request looked at; nil ends that.
func (g *gate) keep(k keeper) {
	if k == nil {
		g.keeper.Store(nil)
		return
	}
	g.keeper.Store(&k)
}

// ServeHTTP implements http.Handler.
func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if k := g.keeper.Load(); k != nil {
		(*k)(w, r, g.through)
		return
	}
	g.through.ServeHTTP(w, r)
}

// user is who comes through the gate: the operator, with the gate's address.
func (w *env) through(t *testing.T, g *gate) *user {
	t.Helper()
	config := clientcmdapi.NewConfig()
	config.Clusters["gate"] = &clientcmdapi.Cluster{
		Server: "https://" + g.address, CertificateAuthority: w.certificate.CertFile,
	}
	config.Contexts["gate"] = &clientcmdapi.Context{Cluster: "gate"}
	config.CurrentContext = "gate"
	content, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "gate.kubeconfig")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return &user{name: w.operator.name, kubeconfig: path}
}

// isStatusWrite reports whether a request writes a status.
func isStatusWrite(r *http.Request) bool {
	return r.Method == http.MethodPatch && strings.HasSuffix(r.URL.Path, "/status")
}

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") == "true" }
