// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// groupProduct is a product whose listeners forward to server groups, as its public reference describes it.
type groupProduct struct {
	name, version string
	// inBody are the actions whose parameters are in a form body.
	inBody []string
	// notFound is the code for a resource that does not exist; the products differ in its case.
	notFound map[string]string
	// maxHealth is the most items of a page of health; 0: health has no pages.
	maxHealth int
}

var (
	productNLB = &groupProduct{
		name: "nlb", version: "2022-04-30", inBody: []string{"ListServerGroups", "ListServerGroupServers"},
		notFound: map[string]string{"listener": "ResourceNotFound.listener", "group": "ResourceNotFound.serverGroup", "instance": "ResourceNotFound.loadBalancer"},
	}
	productALB = &groupProduct{
		name: "alb", version: "2020-06-16", maxHealth: 30,
		notFound: map[string]string{"listener": "ResourceNotFound.Listener", "group": "ResourceNotFound.ServerGroup", "instance": "ResourceNotFound.LoadBalancer"},
	}
)

// instanceServer implements the protocol of NLB or ALB by its public reference. It checks every request, finds the
// instance by its region, and responds as the instance is at that moment.
type instanceServer struct {
	*rpcVerifier
	product   *groupProduct
	server    *httptest.Server
	instances map[string]*fakeInstance // by region; guarded by mu
}

func startInstanceServer(t *testing.T, w *env, product *groupProduct, caller account) *instanceServer {
	t.Helper()
	s := &instanceServer{
		rpcVerifier: newRPCVerifier(product.version, caller,
			"ListListeners", "ListServerGroups", "ListServerGroupServers", "GetListenerHealthStatus", "GetLoadBalancerAttribute"),
		product: product, instances: map[string]*fakeInstance{},
	}
	s.server = w.serveTLS(t, s)
	return s
}

// groupServers are the servers of both products, and the operator that calls them.
type groupServers struct {
	caller   account
	nlb, alb *instanceServer
	recorder *recorder
	operator *operator
}

func (w *env) startGroupServers(t *testing.T) {
	t.Helper()
	caller := w.newTemporaryAccount()
	w.groups = &groupServers{
		caller: caller, recorder: w.record(t),
		nlb: startInstanceServer(t, w, productNLB, caller), alb: startInstanceServer(t, w, productALB, caller),
	}
}

// endpoints are the flags of an operator that calls the servers. No call may reach the endpoint of CLB.
func (g *groupServers) endpoints() []string {
	return []string{"--nlb-endpoint=" + g.nlb.server.URL, "--alb-endpoint=" + g.alb.server.URL}
}

func (s *instanceServer) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.respondTo(r).send(w) }

func (s *instanceServer) respondTo(r *http.Request) fakeResponse {
	if err := r.ParseForm(); err != nil {
		return s.complain("a request that cannot be parsed: %v", err)
	}
	if s.isRevoked(r.Form) {
		return refusal(http.StatusNotFound, "InvalidAccessKeyId.NotFound", "Specified access key is not found.")
	}
	if wrong := s.verify(r.Method, r.Form); wrong != "" {
		return s.complain("%s of %s: %s", r.Form.Get("Action"), s.product.name, wrong)
	}
	c := newInstanceCall(r.Form)
	if wrong := s.product.misses(c, r.PostForm); wrong != "" {
		return s.complain("%s of %s: %s", c, s.product.name, wrong)
	}
	s.mu.Lock()
	found := s.instances[r.Form.Get("RegionId")]
	s.mu.Unlock()
	if found == nil {
		return s.complain("%s of %s: unexpected", c, s.product.name)
	}
	return found.respond(c)
}

// misses returns what a call lacks by the reference of the product, or "".
func (p *groupProduct) misses(c instanceCall, body url.Values) string {
	most, maxIDs := 100, 1
	switch c.action {
	case "ListListeners", "ListServerGroups":
		maxIDs = 20
	case "GetListenerHealthStatus":
		if p.maxHealth > 0 {
			most = p.maxHealth
		}
	}
	if n := len(c.ids); n == 0 || n > maxIDs || slices.Contains(c.ids, "") {
		return fmt.Sprintf("it has the ids %q", c.ids)
	}
	if slices.Contains(p.inBody, c.action) && len(body) == 0 {
		return "its parameters are not in the body"
	}
	if size := c.form.Get("MaxResults"); size != "" {
		if n, err := strconv.Atoi(size); err != nil || n < 1 || n > most {
			return "MaxResults is " + size
		}
	}
	return ""
}

// instanceCall is a call about an instance.
type instanceCall struct {
	action string
	// ids are those of the instance, its listener, or its server groups.
	ids  []string
	form url.Values
}

func newInstanceCall(form url.Values) instanceCall {
	c := instanceCall{action: form.Get("Action"), form: form}
	name := map[string]string{
		"ListListeners": "LoadBalancerIds", "ListServerGroups": "ServerGroupIds", "ListServerGroupServers": "ServerGroupId",
		"GetListenerHealthStatus": "ListenerId", "GetLoadBalancerAttribute": "LoadBalancerId",
	}[c.action]
	if form.Has(name) {
		c.ids = []string{form.Get(name)}
	}
	for n := 1; form.Has(name + "." + strconv.Itoa(n)); n++ {
		c.ids = append(c.ids, form.Get(name+"."+strconv.Itoa(n)))
	}
	return c
}

// String is the action, its ids, and for a page but the first the number of its first item.
func (c instanceCall) String() string {
	text := c.action + " " + strings.Join(c.ids, ",")
	if c.form.Get("NextToken") != "" {
		from, _ := c.from()
		text += " from " + strconv.Itoa(from)
	}
	return text
}

// Tokens have characters that must be escaped.
const tokenStart, tokenEnd = "p +/*~%", "=="

func tokenOf(from int) string { return tokenStart + strconv.Itoa(from) + tokenEnd }

// from is the number of the first item of the page.
func (c instanceCall) from() (from int, ok bool) {
	token := c.form.Get("NextToken")
	if token == "" {
		return 0, true
	}
	from, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(token, tokenStart), tokenEnd))
	return from, err == nil && token == tokenOf(from)
}

// addInstance registers an instance for the region that has its name.
func (g *groupServers) addInstance(b *fakeInstance) *fakeInstance {
	server := g.nlb
	if b.product == productALB {
		server = g.alb
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if server.instances[b.region()] != nil {
		panic("two instances " + b.id)
	}
	server.instances[b.region()] = b
	return b
}

// callLog is a list of calls, oldest first.
type callLog struct {
	changes notifier

	mu    sync.Mutex
	calls []instanceCall
}

// texts are the calls after the first ones.
func (l *callLog) texts(after int) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.textsAfter(after)
}

// textsAfter is texts for a caller that has mu.
func (l *callLog) textsAfter(after int) []string {
	var texts []string
	for _, c := range l.calls[min(after, len(l.calls)):] {
		texts = append(texts, c.String())
	}
	return texts
}

// await waits for a number of calls, and returns the texts of all.
func (l *callLog) await(t *testing.T, n int) []string {
	t.Helper()
	l.changes.await(t, patience, fmt.Sprintf("%d calls", n), func() (string, bool) {
		made := l.texts(0)
		return "there were:\n" + strings.Join(made, "\n"), len(made) >= n
	})
	return l.texts(0)
}
