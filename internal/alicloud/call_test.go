// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func TestCallIsSignedAndSentOverTLS(t *testing.T) {
	for name, test := range map[string]struct {
		credentials Credentials
		token       []string
	}{
		"an access key":            {Credentials{AccessKeyID: alicloudtest.KeyID, AccessKeySecret: alicloudtest.Secret}, nil},
		"temporary credentials":    {temporaryCredentials(), []string{alicloudtest.Token}},
		"a secret with characters": {Credentials{AccessKeyID: "STS.x~y", AccessKeySecret: "a+b/c*d ~&=é", SecurityToken: "t+o/k*e n~&=é"}, []string{"t+o/k*e n~&=é"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got *http.Request
			server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
				got = r
				if body, err := io.ReadAll(r.Body); err != nil || len(body) > 0 {
					t.Errorf("body %q, error %v", body, err)
				}
				alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow)(w, r)
			})
			request := aRequest()
			request.Credentials = test.credentials
			call(t, newTrustingClient(t, server), request)

			if got.Method != http.MethodPost || got.URL.Path != "/" || got.TLS == nil || got.ProtoMajor != 1 {
				t.Errorf("%s %s %s, TLS %v", got.Method, got.URL.Path, got.Proto, got.TLS != nil)
			}
			if agent := got.UserAgent(); !strings.Contains(agent, "slb-health-operator/test") {
				t.Errorf("user agent %q", agent)
			}
			parameters := got.URL.Query()
			alicloudtest.VerifySigned(t, parameters, test.credentials.AccessKeyID, test.credentials.AccessKeySecret)
			if !slices.Equal(parameters["SecurityToken"], test.token) {
				t.Errorf("SecurityToken %q, want %q", parameters["SecurityToken"], test.token)
			}
		})
	}
}

func TestEveryCallHasItsOwnNonce(t *testing.T) {
	nonces := map[string]bool{}
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		nonces[request.URL.Query().Get("SignatureNonce")] = true
		return alicloudtest.Response(request, http.StatusOK, alicloudtest.NoRows), nil
	})
	for range 100 {
		call(t, client, aRequest())
	}
	if len(nonces) != 100 {
		t.Errorf("%d nonces in 100 calls", len(nonces))
	}
}

func TestCredentialsAreNotReusedByTheNextCall(t *testing.T) {
	var token []string
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		token = append(token, request.URL.Query().Get("SecurityToken"))
		return alicloudtest.Response(request, http.StatusOK, alicloudtest.NoRows), nil
	})
	request := aRequest()
	call(t, client, request)
	request.Credentials.SecurityToken = ""
	call(t, client, request)
	if !slices.Equal(token, []string{alicloudtest.Token, ""}) {
		t.Errorf("tokens %q", token)
	}
}

func TestEndpointOfACall(t *testing.T) {
	endpoint := func(address, network string) Endpoint {
		parsed, err := ParseEndpoint(address, network)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	for name, test := range map[string]struct {
		endpoint Endpoint
		region   string
		want     string
	}{
		"zero value":          {Endpoint{}, "cn-hangzhou", "https://slb.aliyuncs.com"},
		"default":             {endpoint("", NetworkInternet), "cn-hangzhou", "https://slb.aliyuncs.com"},
		"a region of its own": {endpoint("", NetworkInternet), "ap-northeast-1", "https://slb.ap-northeast-1.aliyuncs.com"},
		"an unknown region":   {endpoint("", NetworkInternet), "cn-nowhere-9", "https://slb.cn-nowhere-9.aliyuncs.com"},
		"inside a VPC":        {endpoint("", NetworkVPC), "cn-hangzhou", "https://slb-vpc.cn-hangzhou.aliyuncs.com"},
		"an endpoint":         {endpoint("https://slb.example:8443", NetworkInternet), "cn-hangzhou", "https://slb.example:8443"},
		"a plain endpoint":    {endpoint("http://127.0.0.1:8888", NetworkInternet), "ap-northeast-1", "http://127.0.0.1:8888"},
	} {
		t.Run(name, func(t *testing.T) {
			var got string
			client := clientOver(func(request *http.Request) (*http.Response, error) {
				got = request.URL.Scheme + "://" + request.URL.Host
				return alicloudtest.Response(request, http.StatusOK, alicloudtest.NoRows), nil
			})
			client.options.Endpoint = test.endpoint
			request := aRequest()
			request.Target.RegionID = test.region
			call(t, client, request)
			if got != test.want {
				t.Errorf("the call went to %s, want %s", got, test.want)
			}
		})
	}
}

func TestFailedCallIsNotRetried(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"refused": alicloudtest.Refuse(http.StatusServiceUnavailable, "ServiceUnavailable", "busy"),
		"cut":     alicloudtest.AfterRequest(alicloudtest.Reset),
	} {
		t.Run(name, func(t *testing.T) {
			var calls atomic.Int32
			server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				handler(w, r)
			})
			_ = callAndFail(t, newTrustingClient(t, server), aRequest())
			if n := calls.Load(); n != 1 {
				t.Errorf("%d calls", n)
			}
		})
	}
}

func TestConcurrentCallsShareConnections(t *testing.T) {
	const callers, calls = 32, 50
	var opened atomic.Int32
	server := newQuietServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document := strings.Replace(alicloudtest.OneRow, "i-1", r.URL.Query().Get("LoadBalancerId"), 1)
		alicloudtest.Serve(http.StatusOK, document)(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	client := newTrustingClient(t, server)

	var group sync.WaitGroup
	for caller := range callers {
		group.Go(func() {
			request := aRequest()
			request.Target.LoadBalancerID = fmt.Sprintf("lb-%d", caller)
			for range calls {
				observation, err := client.DescribeHealthStatus(t.Context(), request)
				if err != nil || observation.Backends[0].ServerID != request.Target.LoadBalancerID {
					t.Errorf("%s: %+v, %v", request.Target.LoadBalancerID, observation, err)
					return
				}
			}
		})
	}
	group.Wait()
	if n := opened.Load(); n > 4*callers { // a caller may dial while another returns its connection
		t.Errorf("%d connections for %d callers", n, callers)
	}
}

func TestFirstCallsMayBeConcurrent(t *testing.T) {
	client := clientOver(func(request *http.Request) (*http.Response, error) {
		return alicloudtest.Response(request, http.StatusOK, alicloudtest.NoRows), nil
	})
	var group sync.WaitGroup
	for range 16 {
		group.Go(func() {
			if _, err := client.DescribeHealthStatus(t.Context(), aRequest()); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func TestCancelledCallReturnsTheContextsErrorAtOnce(t *testing.T) {
	start := func(t *testing.T, partial string) (client testClient, reached, closed chan struct{}) {
		t.Helper()
		reached, closed = make(chan struct{}, 1), make(chan struct{}, 1)
		server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
			if partial != "" {
				_, _ = io.WriteString(w, partial)
				_ = http.NewResponseController(w).Flush()
			}
			reached <- struct{}{}
			<-r.Context().Done()
			closed <- struct{}{}
		})
		return newTrustingClient(t, server), reached, closed
	}
	for name, partial := range map[string]string{"while waiting": "", "in the middle of the response": alicloudtest.NoRows[:20]} {
		t.Run(name, func(t *testing.T) {
			client, reached, closed := start(t, partial)
			ctx, cancel := context.WithCancelCause(t.Context())
			done := make(chan error, 1)
			go func() {
				_, err := client.DescribeHealthStatus(ctx, aRequest())
				done <- err
			}()
			<-reached
			if partial != "" {
				pause(t.Context(), 20*time.Millisecond)
			}
			cancelled := time.Now()
			cancel(&Error{Kind: ServiceError, Message: "a cause that must not pass for a response"})
			err := <-done
			var failed *Error
			if !errors.Is(err, context.Canceled) || errors.As(err, &failed) {
				t.Errorf("got %#v", err)
			}
			if duration := time.Since(cancelled); duration > 5*time.Second {
				t.Errorf("returned after %s", duration)
			}
			select {
			case <-closed:
			case <-time.After(alicloudtest.Patience):
				t.Error("the server does not see that the caller gave up")
			}
		})
	}
	t.Run("at a deadline of its own", func(t *testing.T) {
		client, _, _ := start(t, "")
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		if _, err := client.DescribeHealthStatus(ctx, aRequest()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %#v", err)
		}
	})
	t.Run("before the call", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		client := clientOver(func(*http.Request) (*http.Response, error) {
			t.Error("a request was sent")
			return nil, io.EOF
		})
		if _, err := client.DescribeHealthStatus(ctx, aRequest()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %#v", err)
		}
	})
}

func TestCallsLeakNoGoroutines(t *testing.T) {
	before := runtime.NumGoroutine()
	t.Run("calls", func(t *testing.T) {
		release := make(chan struct{})
		var calls atomic.Int32
		server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
			switch calls.Add(1) % 4 {
			case 0:
				alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow)(w, r)
			case 1:
				alicloudtest.Refuse(http.StatusForbidden, "Forbidden.RAM", "no")(w, r)
			case 2:
				http.Redirect(w, r, "/elsewhere", http.StatusFound)
			default:
				select {
				case <-r.Context().Done():
				case <-release:
				}
			}
		})
		client := newTrustingClient(t, server)
		client.options.Timeout = 100 * time.Millisecond
		var group sync.WaitGroup
		for range 40 {
			group.Go(func() { _, _ = client.DescribeHealthStatus(t.Context(), aRequest()) })
		}
		group.Wait()
		close(release)
	})
	eventually(t, "goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestCallStopsAtItsTimeout(t *testing.T) {
	server := startHTTPS(t, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	client := newTrustingClient(t, server)
	client.options.Timeout = 50 * time.Millisecond
	start := time.Now()
	failed := callAndFail(t, client, aRequest())
	if duration := time.Since(start); duration < 50*time.Millisecond || duration > 5*time.Second {
		t.Errorf("returned after %s", duration)
	}
	if failed.Kind != EndpointUnreachable || !strings.Contains(failed.Message, "no response within 50ms") {
		t.Errorf("got %v", failed)
	}
}

func TestDeadConnectionIsNotReused(t *testing.T) {
	server := newQuietServer(alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	wire := startWire(t, server.Listener.Addr().String())
	client := newTestClient(t, "https://"+wire.address)
	trusted := x509.NewCertPool()
	trusted.AddCert(server.Certificate())
	poolOf(t, client).TLSClientConfig = &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}

	call(t, client, aRequest())
	wire.blackhole()
	client.options.Timeout = 200 * time.Millisecond
	_ = callAndFail(t, client, aRequest())
	client.options.Timeout = alicloudtest.Patience
	call(t, client, aRequest())
}

// wire is a TCP relay whose connections can be made to go dead, as when a NAT forgets them.
type wire struct {
	address string
	dead    atomic.Pointer[atomic.Bool]
}

func startWire(t *testing.T, to string) *wire {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	w := &wire{address: listener.Addr().String()}
	w.dead.Store(&atomic.Bool{})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
			if err != nil {
				_ = near.Close()
				return
			}
			dead := w.dead.Load()
			go relay(near, far, dead)
			go relay(far, near, dead)
		}
	}()
	return w
}

func (w *wire) blackhole() { w.dead.Swap(&atomic.Bool{}).Store(true) }

func relay(to, from net.Conn, dead *atomic.Bool) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			_ = to.Close()
			return
		}
		if !dead.Load() {
			_, _ = to.Write(buffer[:n])
		}
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		t.Run(http.StatusText(status), func(t *testing.T) {
			var contacted atomic.Int32
			target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				contacted.Add(1)
				alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow)(w, r)
			}))
			t.Cleanup(target.Close)
			server := startHTTPS(t, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, target.URL+"/?"+r.URL.RawQuery, status)
			})
			failed := failTwice(t, newTrustingClient(t, server))
			if failed.Kind != InvalidResponse || !strings.Contains(failed.Message, "a redirect") {
				t.Errorf("got %v", failed)
			}
			if contacted.Load() != 0 {
				t.Error("the target of the redirect was contacted")
			}
		})
	}
}

func TestOversizedResponseIsNotReadWhole(t *testing.T) {
	const size = 11 << 20
	for name, declare := range map[string]bool{"with its length": true, "in chunks": false} {
		t.Run(name, func(t *testing.T) {
			server := startHTTPS(t, func(w http.ResponseWriter, _ *http.Request) {
				if declare {
					w.Header().Set("Content-Length", fmt.Sprint(size))
				}
				_, _ = io.Copy(w, io.LimitReader(spaces{}, size))
			})
			client := newTrustingClient(t, server)
			var read atomic.Int64
			pool := client.transport
			client.transport = alicloudtest.RoundTripper(func(request *http.Request) (*http.Response, error) {
				response, err := pool.RoundTrip(request)
				if err == nil {
					response.Body = &countedBody{response.Body, &read}
				}
				return response, err
			})
			failed := callAndFail(t, client, aRequest())
			if failed.Kind != InvalidResponse || !strings.Contains(failed.Message, "more than 8 MiB") {
				t.Errorf("got %v", failed)
			}
			if n := read.Load(); n != maxBody {
				t.Errorf("read %d bytes", n)
			}
		})
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

type countedBody struct {
	io.ReadCloser
	read *atomic.Int64
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.read.Add(int64(n))
	return n, err
}

func TestDebugEnvironmentIsRefused(t *testing.T) {
	for value, refused := range map[string]bool{"sdk": true, "tea,sdk": true, "sdk,tea": true, "credential": true, "sdk,credential": true, "": false, "tea": false, "sdk2": false, "1": false} {
		t.Run("DEBUG="+value, func(t *testing.T) {
			t.Setenv("DEBUG", value)
			client, err := NewCaller(CallerOptions{Timeout: alicloudtest.Patience})
			if (err != nil) != refused || (client == nil) != refused {
				t.Fatalf("got (%v, %v)", client, err)
			}
			if refused && !strings.Contains(err.Error(), "DEBUG") {
				t.Errorf("%q does not name the variable", err)
			}
		})
	}
}

func TestInvalidProxyVariableIsRefusedByName(t *testing.T) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"} {
		for value, refused := range map[string]bool{
			"http://user:pass%word@proxy.example:3128": true,
			"http://proxy.example:port":                true,
			"http://proxy.example:3128":                false,
			"http://user:word@proxy.example:3128":      false,
			"proxy.example:3128":                       false,
			"10.0.0.1:3128":                            false,
			"":                                         false,
		} {
			t.Run(name+"="+value, func(t *testing.T) {
				t.Setenv(name, value)
				_, err := NewCaller(CallerOptions{Timeout: alicloudtest.Patience})
				if (err != nil) != refused {
					t.Fatalf("got %v", err)
				}
				if refused && (!strings.Contains(err.Error(), name+" ") || strings.Contains(err.Error(), "pass")) {
					t.Errorf("%q does not name the variable, or quotes its value", err)
				}
			})
		}
	}
}

func TestTheSDKDoesNotReadProxyVariables(t *testing.T) {
	client := newTrustingClient(t, startHTTPS(t, alicloudtest.Serve(http.StatusOK, alicloudtest.OneRow)))
	for name, value := range map[string]string{"NO_PROXY": "*.svc,[", "no_proxy": "(", "HTTPS_PROXY": "http://[", "https_proxy": "http://%"} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, value)
			call(t, client, aRequest())
		})
	}
}
