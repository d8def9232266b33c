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

// apiProxy is a proxy between one operator and the API server, which sees the operator's usual user. It can refuse
// connections, and intercept requests.
type apiProxy struct {
	address     string
	config      *tls.Config
	server      *http.Server
	next        http.Handler
	interceptor atomic.Pointer[interceptor]
}

// interceptor handles a request; next forwards it to the API server.
type interceptor func(w http.ResponseWriter, r *http.Request, next http.Handler)

func (w *env) startProxy(t *testing.T) *apiProxy {
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
	p := &apiProxy{
		address: harness.FreeAddressFor(t),
		config:  w.certificate.ServerConfig(),
		next: &httputil.ReverseProxy{
			Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
			Transport:     transport,
			FlushInterval: -1, // watches
			ErrorLog:      log.New(io.Discard, "", 0),
			// An error of the API server's connection becomes one of the client's connection.
			ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		},
	}
	p.open(t)
	t.Cleanup(p.close)
	return p
}

// open accepts connections.
func (p *apiProxy) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	p.server = &http.Server{Handler: p, ErrorLog: log.New(io.Discard, "", 0), ReadHeaderTimeout: time.Minute}
	go func(server *http.Server) { _ = server.Serve(tls.NewListener(listener, p.config)) }(p.server)
}

// close closes all connections, and refuses new ones.
func (p *apiProxy) close() { _ = p.server.Close() }

func (p *apiProxy) intercept(i interceptor) { p.interceptor.Store(&i) }

func (p *apiProxy) stopIntercepting() { p.interceptor.Store(nil) }

// ServeHTTP implements http.Handler.
func (p *apiProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i := p.interceptor.Load(); i != nil {
		(*i)(w, r, p.next)
		return
	}
	p.next.ServeHTTP(w, r)
}

// userThrough returns the operator's user with the address of the proxy.
func (w *env) userThrough(t *testing.T, p *apiProxy) *user {
	t.Helper()
	cluster := &clientcmdapi.Cluster{Server: "https://" + p.address, CertificateAuthority: w.certificate.CertFile}
	return &user{name: w.operator.name, kubeconfig: writeKubeconfig(t, cluster, &clientcmdapi.AuthInfo{})}
}

// writeKubeconfig writes a kubeconfig with one cluster and user, and returns its path.
func writeKubeconfig(t *testing.T, cluster *clientcmdapi.Cluster, u *clientcmdapi.AuthInfo) string {
	t.Helper()
	const name = "test"
	config := clientcmdapi.NewConfig()
	config.Clusters[name], config.AuthInfos[name] = cluster, u
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	config.CurrentContext = name
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// isStatusWrite reports whether a request writes a status.
func isStatusWrite(r *http.Request) bool {
	return r.Method != http.MethodGet && strings.HasSuffix(r.URL.Path, "/status")
}

func isWatch(r *http.Request) bool { return r.URL.Query().Get("watch") == "true" }
