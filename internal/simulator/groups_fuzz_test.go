// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// FuzzGroupRequest verifies that no call of NLB or ALB makes the server panic, that every response is a document with a
// RequestId and with a code where it is an error, and that pages have each row once.
func FuzzGroupRequest(f *testing.F) {
	f.Add("2022-04-30", ActionListListeners, "LoadBalancerIds.1=nlb-web&MaxResults=1", "ListenerProtocol=TCP")
	f.Add("2020-06-16", ActionListRules, "RuleIds.20=rule-shop&RuleIds.21=x", "MaxResults=2&ListenerIds.1=lsn-web-https-443")
	f.Add("2020-06-16", ActionListenerHealth, "ListenerId=lsn-web-https-443&IncludeRule=true&MaxResults=1", "")
	f.Add("2022-04-30", ActionListenerHealth, "ListenerId=lsn-web-tcp%4080", "NextToken=AAAAAAA&MaxResults=2")
	f.Add("2022-04-30", ActionListServers, "ServerIds.3=i-1&RegionId=cn-hangzhou", "ServerGroupId=sgp-web&MaxResults=3")
	f.Add("2022-04-30", ActionListGroups, "", "ServerGroupIds.1=sgp-web&ServerGroupIds.2=%00&MaxResults=1")
	f.Add("2020-06-16", ActionBalancer, "LoadBalancerId=alb-web", "LoadBalancerId=alb-none")
	f.Fuzz(func(t *testing.T, version, action, query, form string) {
		if version == clbVersion {
			t.Skip("the API of CLB has rows without ids")
		}
		sim := New(openGroups(), Options{})
		defer sim.Close()
		var seen []string
		for token, pages := "", 0; pages < 30; pages++ {
			page := sendGroups(t, sim, version, action, query, form, token)
			rows := page.rows()
			if len(rows) > 100 || pages > 0 && len(rows) == 0 {
				t.Fatalf("page %d has %d rows", pages, len(rows))
			}
			seen = append(seen, rows...)
			if token = page.NextToken; token == "" {
				break
			}
		}
		if len(slices.Compact(slices.Sorted(slices.Values(seen)))) != len(seen) {
			t.Fatalf("a row repeats in %q", seen)
		}
	})
}

// rows are the ids of a list, and the servers of a health response, where a group without any is a row, too.
func (l listing) rows() []string {
	rows := l.ids()
	merged := map[string][]string{}
	l.merged(merged)
	for name, servers := range merged {
		if len(servers) == 0 {
			rows = append(rows, name)
		}
		for _, server := range servers {
			rows = append(rows, name+" "+server)
		}
	}
	return rows
}

func sendGroups(t *testing.T, sim *Server, version, action, query, form, token string) listing {
	t.Helper()
	common := url.Values{"Version": {version}, "Action": {action}, "Format": {"JSON"}}
	if token != "" {
		common.Set("NextToken", token)
	}
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(common.Encode()+"&"+form)) // the first value counts
	r.URL.RawQuery = query
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	recorder := httptest.NewRecorder()
	sim.ServeHTTP(recorder, r)
	var got reply
	var page listing
	if err := json.Unmarshal(recorder.Body.Bytes(), &got); err != nil || got.RequestID == "" || (got.Code == "") != (recorder.Code == http.StatusOK) {
		t.Fatalf("%v in %d %s", err, recorder.Code, recorder.Body)
	}
	if err := json.Unmarshal(recorder.Body.Bytes(), &page); err != nil && recorder.Code == http.StatusOK {
		t.Fatalf("%v in %s", err, recorder.Body)
	}
	return page
}
