// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// maxRows bounds the rows of an observation, which are those of each listener.
const maxRows = 50_000

// observation maps what the pass read to an observation.
func (s *State) observation() (*alicloud.Observation, error) {
	p := s.pass
	result := &alicloud.Observation{
		RequestID: p.requestID, Scope: p.scope, RequestedAt: p.startedAt, At: p.oldestHealth(), Groups: &alicloud.Groups{},
	}
	for _, l := range s.observed() {
		s.addListener(result, l)
		if len(result.Backends) > maxRows {
			return nil, invalid(&alicloud.ResponseError{What: fmt.Sprintf("more than %d backends", maxRows)})
		}
	}
	if len(result.Groups.Listeners) > maxListeners {
		return nil, invalid(&alicloud.ResponseError{What: fmt.Sprintf("more than %d server groups of listeners", maxListeners)})
	}
	return result, nil
}

// oldestHealth is when the first of the responses with the health arrived: the
// observation is not newer than that.
func (p *pass) oldestHealth() time.Time {
	oldest := p.respondedAt
	for _, h := range p.health {
		if h.respondedAt.Before(oldest) {
			oldest = h.respondedAt
		}
	}
	return oldest
}

// addListener adds a listener: an entry and the rows of each of its server groups.
func (s *State) addListener(result *alicloud.Observation, l *Listener) {
	entry := alicloud.GroupListener{
		Listener: alicloud.Listener{Port: l.Port, Protocol: l.Protocol, Status: l.Status}, EndPort: l.EndPort,
	}
	ids := s.groupsOf(l)
	if len(ids) == 0 {
		entry.RedirectOnly = l.RedirectOnly
		result.Groups.Listeners = append(result.Groups.Listeners, entry)
		return
	}
	health := s.pass.health[l.ID]
	for _, id := range ids {
		found := foldHealth(health, id)
		if listed := s.pass.counted[id]; found.HealthCheck == "" {
			found.HealthCheck = cmp.Or(listed.HealthCheck, found.impliedCheck())
		}
		entry.ServerGroupID, entry.HealthCheck, entry.Mirror, entry.MembersAt = id, found.HealthCheck, found.Mirror, time.Time{}
		if g := s.groups[id]; g != nil {
			entry.MembersAt = g.readAt
		}
		result.Groups.Listeners = append(result.Groups.Listeners, entry)
		addRows(result, &entry, s.groups[id], &found)
	}
}

// foldHealth is what a health says of one server group. A group is in it once for
// each rule that forwards to it, and on several pages. One that is not in it has no
// list of servers, so that none of its members is normal.
func foldHealth(health *list[GroupHealth], id string) GroupHealth {
	folded, found := GroupHealth{GroupID: id}, false
	if health == nil {
		return folded
	}
	for i := range health.items {
		item := &health.items[i]
		switch {
		case item.GroupID != id:
		case !found:
			folded, found = *item, true
		default:
			folded.Mirror = folded.Mirror && item.Mirror
			folded.Listed = folded.Listed && item.Listed
			if folded.HealthCheck == "" || item.HealthCheck == checkOff {
				folded.HealthCheck = item.HealthCheck
			}
			folded.Servers = slices.Concat(folded.Servers, item.Servers)
		}
	}
	return folded
}

// impliedCheck is off where a server has the status of a group without health
// check; "" where nothing says.
func (h *GroupHealth) impliedCheck() string {
	if slices.ContainsFunc(h.Servers, func(server ServerHealth) bool { return server.unchecked() }) {
		return checkOff
	}
	return ""
}

// unchecked reports whether the server has the status of a group without health check.
func (h *ServerHealth) unchecked() bool { return strings.EqualFold(h.Status, "Unavailable") }

// addRows adds the rows of a server group: one for each member but those that are
// being removed, and one for each server that only the health names, because it was
// added after the members were read. A group that no list has has no members.
func addRows(result *alicloud.Observation, entry *alicloud.GroupListener, g *group, health *GroupHealth) {
	if g == nil {
		g = &group{}
	}
	worst, others := g.match(health.Servers)
	result.Backends = slices.Grow(result.Backends, len(worst)+len(others))
	result.Groups.Rows = slices.Grow(result.Groups.Rows, len(worst)+len(others))
	for i := range g.members {
		if status, listed := statusOf(&g.members[i], worst[i], health); listed {
			addRow(result, entry, &g.members[i], status, worst[i])
		}
	}
	for _, server := range others {
		member := Member{ServerID: server.ServerID, ServerIP: server.ServerIP, Port: server.Port, Type: typeOf(server)}
		addRow(result, entry, &member, server.health(), server)
	}
}

// match finds the worst health of each member, nil for none, and of each server
// that is no member.
func (g *group) match(servers []ServerHealth) (worst, others []*ServerHealth) {
	worst = make([]*ServerHealth, len(g.members))
	if len(servers) == 0 {
		return worst, nil
	}
	known := map[memberKey]int{}
	for i := range servers {
		server := &servers[i]
		members := g.indexed().find(server)
		for _, m := range members {
			worst[m] = worseOf(worst[m], server)
		}
		if len(members) > 0 {
			continue
		}
		key := memberKey{server.ServerID, server.ServerIP, server.Port}
		if at, found := known[key]; found {
			others[at] = worseOf(others[at], server)
			continue
		}
		known[key] = len(others)
		others = append(others, server)
	}
	return worst, others
}

func addRow(result *alicloud.Observation, entry *alicloud.GroupListener, m *Member, status string, server *ServerHealth) {
	row := alicloud.GroupRow{ServerGroupID: entry.ServerGroupID, Adding: m.adding()}
	if server != nil && status != alicloud.HealthUnused {
		row.Reason = server.Reason
	}
	b := alicloud.Backend{
		ServerID: cmp.Or(m.ServerID, m.ServerIP), ServerIP: m.ServerIP, Type: m.Type, // a server of type ip may have no id
		ListenerPort: entry.Port, ListenerProtocol: entry.Protocol, Port: m.Port, ServerHealthStatus: status,
	}
	if b.ServerIP == "" {
		b.ServerIP = addressIn(m.ServerID)
	}
	result.Groups.Rows = append(result.Groups.Rows, row)
	result.Backends = append(result.Backends, b)
}

// statusOf is the health of a member, and whether it has a row. server is what the
// health says of it; nil for nothing, which makes a member normal only where the
// health lists the servers that are not.
func statusOf(m *Member, server *ServerHealth, health *GroupHealth) (status string, listed bool) {
	switch {
	case m.Status == "removing":
		return "", false
	case m.Unused || server != nil && server.health() == alicloud.HealthUnused:
		return alicloud.HealthUnused, true
	case m.adding():
		return alicloud.HealthUnavailable, true
	case server != nil:
		return server.health(), true
	case !health.Listed || health.HealthCheck == checkOff:
		return alicloud.HealthUnavailable, true
	default:
		return alicloud.HealthNormal, true
	}
}

// adding reports whether a member is being added or configured.
func (m *Member) adding() bool {
	return m.Status != "" && m.Status != "available" && m.Status != "removing"
}

// health is the row's word for the API's. A later word of the API stays as it is,
// but no word makes a server normal that is listed as not normal.
func (h *ServerHealth) health() string {
	switch word := strings.ToLower(h.Status); word {
	case "unhealthy":
		return alicloud.HealthAbnormal
	case "unused":
		return alicloud.HealthUnused
	case "", "initial", "unavailable", alicloud.HealthNormal, alicloud.HealthAbnormal:
		return alicloud.HealthUnavailable
	default:
		return h.Status
	}
}

// worseOf is the worse health of two of the same server; a may be nil.
func worseOf(a, b *ServerHealth) *ServerHealth {
	if a == nil || b.rank() < a.rank() {
		return b
	}
	return a
}

func (h *ServerHealth) rank() int {
	switch h.health() {
	case alicloud.HealthAbnormal:
		return 0
	case alicloud.HealthUnused:
		return 2
	default:
		return 1
	}
}

// typeOf guesses the type of a server that no list of members has.
func typeOf(server *ServerHealth) string {
	switch {
	case strings.HasPrefix(server.ServerID, "eni-"):
		return "eni"
	case server.ServerID == "" || addressIn(server.ServerID) != "":
		return "ip"
	default:
		return ""
	}
}

// addressIn is an id that is an IP address, as one of a server of type ip may be;
// "" for any other id.
func addressIn(id string) string {
	if _, err := netip.ParseAddr(id); err != nil {
		return ""
	}
	return id
}

// memberIndex finds the members of a group that a health names.
type memberIndex struct {
	members    []Member
	byID, byIP map[string][]int
}

// indexed is the index of the members; made for the first server that is not normal.
func (g *group) indexed() *memberIndex {
	if g.index == nil {
		x := &memberIndex{members: g.members, byID: map[string][]int{}, byIP: map[string][]int{}}
		for i := range g.members {
			m := &g.members[i]
			x.byID[m.ServerID] = append(x.byID[m.ServerID], i)
			x.byIP[m.ServerIP] = append(x.byIP[m.ServerIP], i)
		}
		g.index = x
	}
	return g.index
}

// find returns the members that a server may be. A field that either omits excludes
// none, and the id of a server of type ip may be its address: it is not documented.
func (x *memberIndex) find(server *ServerHealth) []int {
	id, ip := server.ServerID, server.ServerIP
	candidates := x.byID[id]
	switch {
	case id == "":
		candidates = x.byIP[ip]
	case len(candidates) == 0 && ip != "":
		candidates = x.byIP[ip]
	case len(candidates) == 0:
		candidates = x.byIP[id]
	}
	var found []int
	for _, i := range candidates {
		if m := &x.members[i]; samePort(m.Port, server.Port) && sameServer(m, id, ip) {
			found = append(found, i)
		}
	}
	return found
}

// hasRegained reports whether a member with weight 0 has another weight now: the
// health checks it, or does not name it. worst is the health of each member.
func (g *group) hasRegained(worst []*ServerHealth) bool {
	for i, server := range worst {
		if g.members[i].Unused && (server == nil || server.health() != alicloud.HealthUnused && !server.unchecked()) {
			return true
		}
	}
	return false
}

func samePort(a, b int32) bool { return a == b || a == 0 || b == 0 }

func sameServer(m *Member, id, ip string) bool {
	sameID := m.ServerID == id || m.ServerID == "" || id == "" || m.ServerID == ip || id == m.ServerIP
	sameIP := m.ServerIP == ip || m.ServerIP == "" || ip == ""
	return sameID && sameIP
}
