// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"testing"
)

// listing has the ids of every list that the products have.
type listing struct {
	NextToken  string
	TotalCount int
	Listeners  []struct {
		ListenerID string `json:"ListenerId"`
	}
	Rules []struct {
		RuleID string `json:"RuleId"`
	}
	ServerGroups []struct {
		ServerGroupID string `json:"ServerGroupId"`
	}
	Servers []struct {
		ServerID string `json:"ServerId"`
	}

	ListenerHealthStatus []listenerHealth
	RuleHealthStatus     []ruleHealth
}

func list(t *testing.T, target string) listing {
	t.Helper()
	got, err := fetch(t, target)
	if err != nil || got.status != http.StatusOK {
		t.Fatalf("%s: got %s, %v", target, got.body, err)
	}
	var parsed listing
	if err := json.Unmarshal(got.body, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

func (l listing) ids() []string {
	ids := []string{}
	for _, item := range l.Listeners {
		ids = append(ids, item.ListenerID)
	}
	for _, item := range l.Rules {
		ids = append(ids, item.RuleID)
	}
	for _, item := range l.ServerGroups {
		ids = append(ids, item.ServerGroupID)
	}
	for _, item := range l.Servers {
		ids = append(ids, item.ServerID)
	}
	return ids
}

func listed(t *testing.T, target string) []string {
	t.Helper()
	return list(t, target).ids()
}

func TestListsHavePages(t *testing.T) {
	_, base := start(t, openGroups(), Options{})
	for _, query := range []string{
		bareNLB + "ListListeners", bareNLB + "ListServerGroups", bareNLB + "ListServerGroupServers&ServerGroupId=sgp-web",
		bareALB + "ListRules", bareALB + "ListListeners", bareALB + "ListServerGroups", bareALB + "ListServerGroupServers&ServerGroupId=sgp-shop",
	} {
		want := list(t, base+query)
		for size := 1; size <= 5; size++ {
			ids, token, pages := []string{}, "", 0
			for more := true; more && pages < 9; pages++ {
				page := list(t, fmt.Sprintf("%s%s&MaxResults=%d&NextToken=%s", base, query, size, token))
				if n := len(page.ids()); n > size || page.TotalCount != want.TotalCount {
					t.Fatalf("%s: %d rows of %d, want %d of %d", query, n, page.TotalCount, size, want.TotalCount)
				}
				ids = append(ids, page.ids()...)
				token, more = page.NextToken, page.NextToken != ""
			}
			if !reflect.DeepEqual(ids, want.ids()) || pages != (len(ids)+size-1)/size {
				t.Errorf("%s, %d a page: %d pages with %v", query, size, pages, ids)
			}
		}
	}
}

// A server that is added or removed in front of a token neither repeats nor removes a row of the next page.
func TestTokensSurviveChanges(t *testing.T) {
	sim, base := start(t, openGroups(), Options{})
	const query = bareNLB + "ListServerGroupServers&ServerGroupId=sgp-web&MaxResults=2"
	first := list(t, base+query)
	if want := []string{"eni-3", "i-1"}; !reflect.DeepEqual(first.ids(), want) {
		t.Fatalf("got %v, want %v", first.ids(), want)
	}
	for _, server := range []GroupServer{{ServerID: "eni-0"}, {ServerID: "i-3"}} {
		if err := sim.NLB().AddServer("sgp-web", server); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := sim.NLB().RemoveServers("sgp-web", ServerSelector{ServerID: "i-1"}); n != 1 || err != nil { // the token's
		t.Fatal(n, err)
	}
	second := list(t, base+query+"&NextToken="+url.QueryEscape(first.NextToken))
	if want := []string{"i-2", "i-3"}; !reflect.DeepEqual(second.ids(), want) || second.TotalCount != 5 {
		t.Errorf("got %v of %d, want %v", second.ids(), second.TotalCount, want)
	}
	if third := list(t, base+query+"&NextToken="+url.QueryEscape(second.NextToken)); !reflect.DeepEqual(third.ids(), []string{"i-4"}) || third.NextToken != "" {
		t.Errorf("got %+v", third)
	}
}

// merged are the servers of a response by listener or rule and group, as a client merges pages.
func (l listing) merged(into map[string][]string) (rows int) {
	merge := func(name string, groups []groupHealth) {
		for _, group := range groups {
			key := name + " " + group.ActionType + " " + group.ServerGroupID
			into[key] = slices.Clone(into[key])
			for _, s := range group.NonNormalServers {
				into[key] = append(into[key], s.ServerID+" "+s.Status)
			}
			rows += max(1, len(group.NonNormalServers))
		}
	}
	for _, item := range l.ListenerHealthStatus {
		merge("listener", item.ServerGroupInfos)
	}
	for _, item := range l.RuleHealthStatus {
		merge(item.RuleID, item.ServerGroupInfos)
	}
	return rows
}

// A group may span pages; every page has the group's other fields.
func TestHealthHasPages(t *testing.T) {
	sim, base := start(t, openGroups(), Options{})
	query := base + bareALB + "GetListenerHealthStatus&ListenerId=lsn-web-https-443&IncludeRule=true"
	want := map[string][]string{
		"listener ForwardGroup sgp-default":  nil,
		"rule-cart ForwardGroup sgp-default": nil,
		"rule-cart ForwardGroup sgp-shop":    {"i-2 Unhealthy", "i-3 Unused"},
		"rule-shop ForwardGroup sgp-shop":    {"i-2 Unhealthy", "i-3 Unused"},
		"rule-shop TrafficMirror sgp-mirror": {"acs:fc:cn-hangzhou:1:services/a.LATEST/functions/b Unavailable"},
	}
	for size := 1; size <= 8; size++ {
		got, token, pages := map[string][]string{}, "", 0
		for more := true; more && pages < 9; pages++ {
			page := list(t, fmt.Sprintf("%s&MaxResults=%d&NextToken=%s", query, size, token))
			if rows := page.merged(got); rows > size {
				t.Errorf("%d a page: %d rows", size, rows)
			}
			token, more = page.NextToken, page.NextToken != ""
		}
		if !reflect.DeepEqual(got, want) || pages != (7+size-1)/size {
			t.Errorf("%d a page: %d pages with %v", size, pages, got)
		}
	}

	first := list(t, query+"&MaxResults=1") // sgp-default, which gets a server to name
	if _, err := sim.ALB().SetServers("sgp-default", ServerSelector{}, ServerPatch{HealthStatus: HealthUnhealthy}); err != nil {
		t.Fatal(err)
	}
	second := list(t, query+"&MaxResults=1&NextToken="+first.NextToken)
	if got := map[string][]string{}; second.merged(got) != 1 || !reflect.DeepEqual(got, map[string][]string{"listener ForwardGroup sgp-default": {"i-1 Unhealthy"}}) {
		t.Errorf("got %v", got)
	}
}
