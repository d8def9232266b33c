// SPDX-License-Identifier: Apache-2.0

package alicloudtest

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Cloud is a small endpoint of NLB or ALB with one load balancer. It checks the
// signature of each request, over query and form.
type Cloud struct {
	// ALB selects ALB's documents instead of NLB's.
	ALB            bool
	LoadBalancerID string
	Listeners      []*CloudListener
	// Groups are the server groups by id.
	Groups map[string]*CloudGroup
	// PageSize is the most items of a page; 0: what the request says.
	PageSize int
	// Respond is called before each call. It may change the cloud, and returns an
	// HTTP status and body, or 0 for the usual response.
	Respond func(call string) (status int, body string)
	// Edit changes a usual response before it is sent.
	Edit func(call string, document map[string]any)

	t     *testing.T
	mu    sync.Mutex
	calls []string
}

// CloudListener is a listener.
type CloudListener struct {
	ID, Protocol, Status string
	Port                 int
	// StartPort and EndPort are those of a range, where Port is 0.
	StartPort, EndPort int
	// Group is the server group of the listener itself; "" for a redirect.
	Group string
	// Rules are the server groups of the rules.
	Rules []string
	// Mirror is the group that gets copies of requests.
	Mirror string
}

// CloudGroup is a server group.
type CloudGroup struct {
	// ChecksOff switches the health check off.
	ChecksOff bool
	Servers   []CloudServer
}

// CloudServer is a member of a group.
type CloudServer struct {
	ID, IP, Type string
	Port, Weight int
	// Status is that of the member; "" for Available.
	Status string
	// Health is Normal or "", which the health does not list, or another word.
	Health string
	// Reason is the API's object.
	Reason map[string]string
}

// NewCloud returns a cloud whose failures are those of t.
func NewCloud(t *testing.T, alb bool) *Cloud {
	t.Helper()
	id := "nlb-z7eo2kjb3c4pv9dmq1"
	if alb {
		id = "alb-z7eo2kjb3c4pv9dmq1"
	}
	return &Cloud{t: t, ALB: alb, LoadBalancerID: id, Groups: map[string]*CloudGroup{}}
}

// Server returns a normal pod.
func Server(n int) CloudServer {
	return CloudServer{ID: "eni-" + strconv.Itoa(n), IP: "10.9.0." + strconv.Itoa(n), Type: "Eni", Port: 8080, Weight: 100}
}

// Calls are the calls so far, as ACTION or ACTION id, and forgets them.
func (c *Cloud) Calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	calls := c.calls
	c.calls = nil
	return calls
}

// ServeHTTP implements http.Handler.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	parameters, call := c.verify(r)
	c.calls = append(c.calls, call)
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	if c.Respond != nil {
		if status, body := c.Respond(call); status != 0 {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		}
	}
	status, document := c.respond(parameters)
	if c.Edit != nil && status == http.StatusOK {
		c.Edit(call, document)
	}
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(document)
}

// verify demands a valid signature, and returns the parameters of query and form,
// and the call.
func (c *Cloud) verify(r *http.Request) (parameters url.Values, call string) {
	if err := r.ParseForm(); err != nil {
		c.t.Error(err)
	}
	parameters = r.Form
	version := "2022-04-30"
	if c.ALB {
		version = "2020-06-16"
	}
	inForm := !c.ALB && (parameters.Get("Action") == "ListServerGroups" || parameters.Get("Action") == "ListServerGroupServers")
	for name, want := range map[string]string{
		"Version": version, "RegionId": Region, "AccessKeyId": KeyID, "SignatureMethod": "HMAC-SHA1",
		"Signature": SignatureOf(r.Method, parameters, Secret),
	} {
		if parameters.Get(name) != want {
			c.t.Errorf("%s of %s = %q, want %q", name, parameters.Get("Action"), parameters.Get(name), want)
		}
	}
	if inForm != (len(r.PostForm) > 0) {
		c.t.Errorf("the form of %s is %v", parameters.Get("Action"), r.PostForm)
	}
	id := parameters.Get("ListenerId") + parameters.Get("ServerGroupId")
	return parameters, strings.TrimSpace(parameters.Get("Action") + " " + id)
}

func (c *Cloud) respond(parameters url.Values) (status int, document map[string]any) {
	switch parameters.Get("Action") {
	case "ListListeners":
		return c.page(parameters, "Listeners", c.listListeners(parameters))
	case "GetLoadBalancerAttribute":
		if parameters.Get("LoadBalancerId") != c.LoadBalancerID {
			return c.notFound("LoadBalancer")
		}
		return http.StatusOK, map[string]any{"RequestId": "R-1", "LoadBalancerId": c.LoadBalancerID}
	case "ListServerGroups":
		return c.page(parameters, "ServerGroups", c.listGroups(parameters))
	case "ListServerGroupServers":
		g := c.Groups[parameters.Get("ServerGroupId")]
		if g == nil {
			return c.notFound("ServerGroup")
		}
		return c.page(parameters, "Servers", listServers(g))
	case "GetListenerHealthStatus":
		return c.health(parameters)
	default:
		return http.StatusBadRequest, map[string]any{"RequestId": "R-1", "Code": "InvalidAction.NotFound"}
	}
}

// notFound is a refusal. NLB's codes are in lower case.
func (c *Cloud) notFound(what string) (status int, document map[string]any) {
	if !c.ALB {
		what = strings.ToLower(what[:1]) + what[1:]
	}
	return http.StatusNotFound, map[string]any{"RequestId": "R-1", "Code": "ResourceNotFound." + what, "Message": "The specified resource is not found."}
}

// page is the page of a list that the request is for.
func (c *Cloud) page(parameters url.Values, key string, items []any) (status int, document map[string]any) {
	size, err := strconv.Atoi(parameters.Get("MaxResults"))
	if err != nil {
		c.t.Errorf("MaxResults of %s is %q", parameters.Get("Action"), parameters.Get("MaxResults"))
	}
	if c.PageSize > 0 {
		size = c.PageSize
	}
	from, _ := strconv.Atoi(parameters.Get("NextToken"))
	to := min(from+size, len(items))
	document = map[string]any{"RequestId": "R-1", "TotalCount": len(items), "MaxResults": size, key: items[min(from, to):to]}
	if to < len(items) {
		document["NextToken"] = strconv.Itoa(to)
	}
	return http.StatusOK, document
}

func (c *Cloud) listListeners(parameters url.Values) []any {
	items := []any{}
	if parameters.Get("LoadBalancerIds.1") != c.LoadBalancerID {
		return items
	}
	for _, l := range c.Listeners {
		item := map[string]any{
			"LoadBalancerId": c.LoadBalancerID, "ListenerId": l.ID, "ListenerProtocol": l.Protocol, "ListenerPort": l.Port,
			"ListenerStatus": defaultTo(l.Status, "Running"),
		}
		switch {
		case !c.ALB:
			item["ServerGroupId"], item["StartPort"], item["EndPort"] = l.Group, "", ""
			if l.Port == 0 {
				item["StartPort"], item["EndPort"] = strconv.Itoa(l.StartPort), strconv.Itoa(l.EndPort)
			}
		case l.Group == "":
			item["DefaultActions"] = []any{map[string]any{"Type": "Redirect"}}
		default:
			tuples := []any{map[string]any{"ServerGroupId": l.Group, "Weight": 100}}
			item["DefaultActions"] = []any{map[string]any{"Type": "ForwardGroup", "ForwardGroupConfig": map[string]any{"ServerGroupTuples": tuples}}}
		}
		items = append(items, item)
	}
	return items
}

func (c *Cloud) listGroups(parameters url.Values) []any {
	items := []any{}
	for i := 1; parameters.Has("ServerGroupIds." + strconv.Itoa(i)); i++ {
		if i > 20 {
			c.t.Errorf("ListServerGroups with more than 20 ids")
		}
		id := parameters.Get("ServerGroupIds." + strconv.Itoa(i))
		g := c.Groups[id]
		if g == nil {
			continue
		}
		check, key := map[string]any{"HealthCheckEnabled": !g.ChecksOff}, "HealthCheck"
		if c.ALB {
			key = "HealthCheckConfig"
		}
		items = append(items, map[string]any{"ServerGroupId": id, "ServerCount": len(g.Servers), key: check})
	}
	return items
}

func listServers(g *CloudGroup) []any {
	items := make([]any, 0, len(g.Servers))
	for _, s := range g.Servers {
		items = append(items, map[string]any{
			"ServerId": s.ID, "ServerIp": s.IP, "ServerType": s.Type, "Port": s.Port, "Weight": s.Weight, "Status": defaultTo(s.Status, "Available"),
		})
	}
	return items
}

func (c *Cloud) health(parameters url.Values) (status int, document map[string]any) {
	at := slices.IndexFunc(c.Listeners, func(l *CloudListener) bool { return l.ID == parameters.Get("ListenerId") })
	if at < 0 {
		return c.notFound("Listener")
	}
	l := c.Listeners[at]
	own := []any{}
	if l.Group != "" {
		own = append(own, c.groupHealth(l.Group, "ForwardGroup"))
	}
	if l.Mirror != "" {
		own = append(own, c.groupHealth(l.Mirror, "TrafficMirror"))
	}
	listener := map[string]any{"ListenerId": l.ID, "ListenerPort": l.Port, "ListenerProtocol": l.Protocol, "ServerGroupInfos": own}
	document = map[string]any{"RequestId": "R-1", "ListenerHealthStatus": []any{listener}}
	if !c.ALB || parameters.Get("IncludeRule") != "true" {
		return http.StatusOK, document
	}
	rules := []any{}
	for i, id := range l.Rules {
		rules = append(rules, map[string]any{"RuleId": "rule-" + strconv.Itoa(i), "ServerGroupInfos": []any{c.groupHealth(id, "ForwardGroup")}})
	}
	status, page := c.page(parameters, "RuleHealthStatus", rules)
	document["RuleHealthStatus"] = page["RuleHealthStatus"]
	if token, found := page["NextToken"]; found {
		document["NextToken"] = token
	}
	return status, document
}

func (c *Cloud) groupHealth(id, action string) map[string]any {
	g, servers := c.Groups[id], []any{}
	if g == nil {
		g = &CloudGroup{}
	}
	for _, s := range g.Servers {
		word := s.Health
		switch {
		case s.Weight == 0 && c.ALB:
			word = "Unused"
		case s.Weight == 0: // NLB does not list it
			continue
		case g.ChecksOff:
			word = "Unavailable"
		}
		if word == "" || word == "Normal" {
			continue
		}
		server := map[string]any{"ServerId": s.ID, "ServerIp": s.IP, "Port": s.Port, "Status": word}
		if s.Reason != nil {
			server["Reason"] = s.Reason
		}
		servers = append(servers, server)
	}
	info := map[string]any{"ServerGroupId": id, "NonNormalServers": servers}
	if !c.ALB {
		info["HeathCheckEnabled"] = !g.ChecksOff
		return info
	}
	info["ActionType"], info["HealthCheckEnabled"] = action, "on"
	if g.ChecksOff {
		info["HealthCheckEnabled"] = "off"
	}
	return info
}

func defaultTo(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}
