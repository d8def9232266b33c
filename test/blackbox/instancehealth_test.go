// SPDX-License-Identifier: Apache-2.0

package blackbox

// healthItem is a server that is not normal behind a listener or one of its rules; without server it is a group whose
// servers are all normal. The items are what a page counts.
type healthItem struct {
	rule   string // "": the listener itself
	group  string
	server fields
}

// healthDocument is the health of a listener. That of an ALB has pages, and rules if the call includes them.
func (b *fakeInstance) healthDocument(c instanceCall, l *fakeListener) fields {
	items := b.healthItems("", l, l.groups)
	if c.form.Get("IncludeRule") == "true" {
		for n, groups := range l.rules {
			items = append(items, b.healthItems("rule-"+string(rune('a'+n)), l, groups)...)
		}
	}
	content := fields{}
	if b.product.maxHealth > 0 {
		from, ok := c.from()
		if !ok || from > len(items) {
			return nil
		}
		to := min(len(items), from+b.sizeFor(c))
		if to < len(items) {
			content["NextToken"] = tokenOf(to)
		}
		items = items[from:to]
	} else {
		content["TotalCount"] = len(l.groups)
	}
	content["ListenerHealthStatus"] = []fields{{
		"ListenerId": l.id, "ListenerPort": l.port, "ListenerProtocol": l.protocol, "ServerGroupInfos": b.groupInfos(items, ""),
	}}
	if b.product == productALB {
		content["RuleHealthStatus"] = b.ruleHealth(items)
	}
	return content
}

func (b *fakeInstance) healthItems(rule string, l *fakeListener, groups []string) []healthItem {
	var items []healthItem
	for _, id := range groups {
		empty := true
		for _, s := range b.serversOf(id) {
			health := s.health
			if own, found := l.health[id][s.id]; found {
				health = own
			}
			if health != "" {
				items = append(items, healthItem{rule: rule, group: id, server: s.healthFields(health)})
				empty = false
			}
		}
		if empty {
			items = append(items, healthItem{rule: rule, group: id})
		}
	}
	return items
}

func (b *fakeInstance) serversOf(group string) []*fakeServer {
	if g := b.groups[group]; g != nil {
		return g.servers
	}
	return nil
}

func (s *fakeServer) healthFields(health string) fields {
	f := fields{"ServerId": s.id, "ServerIp": s.ip, "Port": s.port, "Status": health}
	if s.reason != nil {
		f["Reason"] = s.reason
	}
	return f
}

func (b *fakeInstance) ruleHealth(items []healthItem) []fields {
	rules := []fields{}
	last := ""
	for _, item := range items {
		if item.rule != "" && item.rule != last {
			rules = append(rules, fields{"RuleId": item.rule, "ServerGroupInfos": b.groupInfos(items, item.rule)})
			last = item.rule
		}
	}
	return rules
}

// groupInfos are the groups of one rule, or of the listener itself, on a page.
func (b *fakeInstance) groupInfos(items []healthItem, rule string) []fields {
	infos := []fields{}
	for _, item := range items {
		if item.rule != rule {
			continue
		}
		if n := len(infos); n == 0 || infos[n-1]["ServerGroupId"] != item.group {
			infos = append(infos, b.groupInfo(item.group))
		}
		if item.server != nil {
			info := infos[len(infos)-1]
			info["NonNormalServers"] = append(info["NonNormalServers"].([]fields), item.server)
		}
	}
	return infos
}

func (b *fakeInstance) groupInfo(id string) fields {
	info := fields{"ServerGroupId": id, "NonNormalServers": []fields{}}
	g := b.groups[id]
	if g == nil {
		return info
	}
	name := "HeathCheckEnabled" // the API's own spelling
	if b.product == productALB {
		name, info["ActionType"] = "HealthCheckEnabled", g.action
	}
	if g.check != nil {
		info[name] = g.check
	}
	return info
}
