// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// fields are a JSON object.
type fields map[string]any

// fakeInstance is an NLB or ALB instance in the state that its API shows. Tests edit it between calls.
type fakeInstance struct {
	callLog // its mu guards the fields below, too
	product *groupProduct
	id      string

	// unknown: the API does not know the instance.
	unknown   bool
	listeners []*fakeListener
	groups    map[string]*fakeGroup
	// pageSize is the most items of a page; 0: what the call says, or the default of the API.
	pageSize int
	// before runs before the n-th call, from 1: it may edit the instance, and return another response.
	before func(n int, c instanceCall) *fakeResponse
	// edit edits the document of a response.
	edit func(c instanceCall, document fields)
}

type fakeListener struct {
	id, protocol, status string
	port                 int
	// first and last are the ports of a range; port is 0 then.
	first, last int
	// groups are those of the listener itself, and rules those of each rule of an ALB.
	groups []string
	rules  [][]string
	// health has the servers that are not normal behind this listener alone, by group; others have their own health.
	health map[string]map[string]string
}

type fakeGroup struct {
	servers []*fakeServer
	// check is HealthCheckEnabled in the health of a listener; nil: it is absent.
	check any
	// listed is HealthCheckEnabled in the list of groups; nil: it is absent.
	listed any
	action string
	// unlisted: only the health of a listener has the group; its list of servers is empty.
	unlisted bool
}

type fakeServer struct {
	id, ip, kind, status string
	port, weight         int
	// health is Status in the health of a listener; "": the server is normal, and is not in it.
	health string
	reason fields
}

// pod is a normal server: a network interface with the address of a pod.
func pod(n int) *fakeServer {
	return &fakeServer{id: "eni-" + strconv.Itoa(n), ip: fmt.Sprintf("10.%d.%d.%d", 20+n/62500, n/250%250, n%250+1), kind: "Eni", status: "Available", port: 8080, weight: 100}
}

func pods(numbers ...int) []*fakeServer {
	var servers []*fakeServer
	for _, n := range numbers {
		servers = append(servers, pod(n))
	}
	return servers
}

// newInstance returns an instance without listeners. Its name is that of its region, too.
func newInstance(product *groupProduct, name string) *fakeInstance {
	return &fakeInstance{product: product, id: product.name + "-" + name, groups: map[string]*fakeGroup{}}
}

func (b *fakeInstance) region() string { return "cn-" + b.id }

// listen adds a running listener that forwards to the groups.
func (b *fakeInstance) listen(port int, protocol string, groups ...string) *fakeListener {
	l := &fakeListener{id: "lsn-" + strconv.Itoa(port), protocol: protocol, status: "Running", port: port, groups: groups}
	if b.product == productNLB {
		l.id += "@" + strconv.Itoa(port)
	}
	b.listeners = append(b.listeners, l)
	return l
}

// group adds a server group whose health check is on.
func (b *fakeInstance) group(id string, servers ...*fakeServer) *fakeGroup {
	g := &fakeGroup{servers: servers, check: true, listed: true, action: "ForwardGroup"}
	if b.product == productALB {
		g.check = "on"
	}
	b.groups[id] = g
	return g
}

// change edits the instance between two calls.
func (b *fakeInstance) change(edit func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	edit()
}

// without removes a listener.
func (b *fakeInstance) without(id string) {
	b.listeners = slices.DeleteFunc(b.listeners, func(l *fakeListener) bool { return l.id == id })
}

func (b *fakeInstance) respond(c instanceCall) fakeResponse {
	defer b.changes.notify()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, c)
	if b.before != nil {
		if other := b.before(len(b.calls), c); other != nil {
			return *other
		}
	}
	content, missing := b.documentOf(c)
	if missing != "" {
		return refusal(http.StatusNotFound, b.product.notFound[missing], "The specified resource is not found.")
	}
	if content == nil {
		return refusal(http.StatusBadRequest, "IllegalParam.NextToken", "The param of NextToken is illegal.")
	}
	content["RequestId"] = fmt.Sprintf("CEF72CEB-54B6-4AE8-B225-%012d", len(b.calls))
	if b.edit != nil {
		b.edit(c, content)
	}
	return document(http.StatusOK, content)
}

// documentOf returns the document of a response, or what does not exist; neither for a page that does not exist.
func (b *fakeInstance) documentOf(c instanceCall) (content fields, missing string) {
	switch c.action {
	case "ListListeners":
		var items []fields
		for _, l := range b.listeners {
			if slices.Contains(c.ids, b.id) {
				items = append(items, b.listenerFields(l))
			}
		}
		return b.page(c, "Listeners", items), ""
	case "ListServerGroups":
		var items []fields
		for _, id := range c.ids {
			if g := b.groups[id]; g != nil && !g.unlisted {
				items = append(items, b.groupFields(id, g))
			}
		}
		return b.page(c, "ServerGroups", items), ""
	case "ListServerGroupServers":
		g := b.groups[c.ids[0]]
		if g == nil {
			return nil, "group"
		}
		var items []fields
		for _, s := range g.servers {
			if !g.unlisted {
				items = append(items, s.memberFields(c.ids[0]))
			}
		}
		return b.page(c, "Servers", items), ""
	case "GetListenerHealthStatus":
		at := slices.IndexFunc(b.listeners, func(l *fakeListener) bool { return l.id == c.ids[0] })
		if at < 0 {
			return nil, "listener"
		}
		return b.healthDocument(c, b.listeners[at]), ""
	default:
		if b.unknown || c.ids[0] != b.id {
			return nil, "instance"
		}
		return fields{"LoadBalancerId": b.id, "LoadBalancerStatus": "Active", "DNSName": b.id + "." + b.region() + ".aliyuncs.com"}, ""
	}
}

// page is the document with one page of a list; nil where there is no such page.
func (b *fakeInstance) page(c instanceCall, list string, items []fields) fields {
	from, ok := c.from()
	if !ok || from > len(items) {
		return nil
	}
	to := min(len(items), from+b.sizeFor(c))
	content := fields{list: append([]fields{}, items[from:to]...), "TotalCount": len(items), "MaxResults": to - from}
	if to < len(items) {
		content["NextToken"] = tokenOf(to)
	} else if b.product == productNLB {
		content["NextToken"] = "" // ALB omits it
	}
	return content
}

func (b *fakeInstance) sizeFor(c instanceCall) int {
	size, err := strconv.Atoi(c.form.Get("MaxResults"))
	if err != nil {
		size = 20 // the default of the API
	}
	if b.pageSize > 0 {
		size = min(size, b.pageSize)
	}
	return size
}

func (b *fakeInstance) listenerFields(l *fakeListener) fields {
	f := fields{
		"LoadBalancerId": b.id, "ListenerId": l.id, "ListenerPort": l.port, "ListenerProtocol": l.protocol, "ListenerStatus": l.status,
		"IdleTimeout": 900, "Tags": []fields{},
	}
	if b.product == productNLB {
		f["StartPort"], f["EndPort"], f["ServerGroupId"] = strconv.Itoa(l.first), strconv.Itoa(l.last), strings.Join(l.groups, "")
		return f
	}
	tuples := []fields{}
	for _, id := range l.groups {
		tuples = append(tuples, fields{"ServerGroupId": id})
	}
	f["DefaultActions"] = []fields{{"Type": "ForwardGroup", "ForwardGroupConfig": fields{"ServerGroupTuples": tuples}}}
	return f
}

func (b *fakeInstance) groupFields(id string, g *fakeGroup) fields {
	check := fields{"HealthyThreshold": 2}
	if g.listed != nil {
		check["HealthCheckEnabled"] = g.listed
	}
	name := map[*groupProduct]string{productNLB: "HealthCheck", productALB: "HealthCheckConfig"}[b.product]
	return fields{"ServerGroupId": id, "ServerCount": len(g.servers), "ServerGroupStatus": "Available", "ServerGroupType": "Ip", name: check}
}

func (s *fakeServer) memberFields(group string) fields {
	return fields{
		"ServerGroupId": group, "ServerId": s.id, "ServerIp": s.ip, "ServerType": s.kind, "Port": s.port, "Weight": s.weight, "Status": s.status,
		"Description": "", "ZoneId": "cn-hangzhou-k",
	}
}
