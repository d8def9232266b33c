// SPDX-License-Identifier: Apache-2.0

package health

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func shuffled[T any](rows []T, seed uint64) []T {
	rows = slices.Clone(rows)
	rand.New(rand.NewPCG(seed, seed)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	return rows
}

// identities formats the identity of each row.
func identities(rows []v1alpha1.BackendStatus) []string {
	var lines []string
	for i := range rows {
		r := &rows[i]
		lines = append(lines, fmt.Sprintf("%d/%s %s %s:%d", r.ListenerPort, r.ListenerProtocol, r.ServerID, r.ServerIP, r.Port))
	}
	return lines
}

func TestRowsAreSortedByListenerPortProtocolServerIDServerIPAndPort(t *testing.T) {
	sorted := []alicloud.Backend{
		{ServerID: "i-9"},
		{ListenerProtocol: "udp", ServerID: "i-9"},
		{ListenerPort: 80, ServerID: "i-9"},
		{ListenerPort: 80, ListenerProtocol: "tcp", ServerID: "i-9"},
		{ListenerPort: 80, ListenerProtocol: "udp", ServerID: "i-1", ServerIP: "10.0.0.2"},
		{ListenerPort: 80, ListenerProtocol: "udp", ServerID: "i-2"},
		{ListenerPort: 80, ListenerProtocol: "udp", ServerID: "i-2", ServerIP: "10.0.0.1", Port: 9},
		{ListenerPort: 80, ListenerProtocol: "udp", ServerID: "i-2", ServerIP: "10.0.0.2", Port: 8},
		{ListenerPort: 80, ListenerProtocol: "udp", ServerID: "i-2", ServerIP: "10.0.0.2", Port: 10},
		{ListenerPort: 443, ListenerProtocol: "http", ServerID: "i-0"},
	}
	want := []string{
		"0/ i-9 :0", "0/udp i-9 :0", "80/ i-9 :0", "80/tcp i-9 :0", "80/udp i-1 10.0.0.2:0", "80/udp i-2 :0",
		"80/udp i-2 10.0.0.1:9", "80/udp i-2 10.0.0.2:8", "80/udp i-2 10.0.0.2:10", "443/http i-0 :0",
	}
	for seed := range uint64(20) {
		rows := rowsOf(&alicloud.Observation{Backends: shuffled(sorted, seed)}, alicloud.Scope{})
		if diff := cmp.Diff(want, identities(rows)); diff != "" {
			t.Fatalf("seed %d:\n%s", seed, diff)
		}
	}
}

func TestListenersAreSortedByPortAndProtocol(t *testing.T) {
	rows := rowsOf(&alicloud.Observation{Backends: backends("443/https nau", "80/udp n", "80/tcp aa", "1000/tcp u")}, alicloud.Scope{})
	want := []v1alpha1.ListenerStatus{
		{Port: 80, Protocol: "tcp", Counts: v1alpha1.Counts{Backends: 2, Abnormal: 2}},
		{Port: 80, Protocol: "udp", Counts: v1alpha1.Counts{Backends: 1, Normal: 1}},
		{Port: 443, Protocol: "https", Counts: v1alpha1.Counts{Backends: 3, Normal: 1, Abnormal: 1, Unavailable: 1}},
		{Port: 1000, Protocol: "tcp", Counts: v1alpha1.Counts{Backends: 1, Unavailable: 1}},
	}
	listeners := listenersOf(rows)
	if diff := cmp.Diff(want, listeners); diff != "" {
		t.Error(diff)
	}
	wantSum := &v1alpha1.Summary{Listeners: 4, Counts: v1alpha1.Counts{Backends: 7, Normal: 2, Abnormal: 3, Unavailable: 2}}
	if diff := cmp.Diff(wantSum, summaryOf(listeners)); diff != "" {
		t.Error(diff)
	}
}

func TestBackendIsOneByListenerPortProtocolServerIDServerIPAndPort(t *testing.T) {
	one := alicloud.Backend{ServerID: "eni-1", ServerIP: "10.0.0.1", EniHost: "10.0.0.9", Type: "eni", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "normal"}
	for _, test := range []struct {
		what string
		edit func(*alicloud.Backend)
		want int
	}{
		{"the same row", func(*alicloud.Backend) {}, 1},
		{"another listenerPort", func(b *alicloud.Backend) { b.ListenerPort = 80 }, 2},
		{"another protocol", func(b *alicloud.Backend) { b.ListenerProtocol = "http" }, 2},
		{"another serverId", func(b *alicloud.Backend) { b.ServerID = "eni-2" }, 2},
		{"another serverIp, as pods on one ENI have", func(b *alicloud.Backend) { b.ServerIP = "10.0.0.2" }, 2},
		{"another port", func(b *alicloud.Backend) { b.Port = 8444 }, 2},
		{"another eniHost", func(b *alicloud.Backend) { b.EniHost = "10.0.0.8" }, 1},
		{"another type", func(b *alicloud.Backend) { b.Type = "ecs" }, 1},
		{"another state", func(b *alicloud.Backend) { b.ServerHealthStatus = "abnormal" }, 1},
	} {
		t.Run(test.what, func(t *testing.T) {
			other := one
			test.edit(&other)
			if got := len(rowsOf(&alicloud.Observation{Backends: []alicloud.Backend{one, other}}, alicloud.Scope{})); got != test.want {
				t.Errorf("got %d rows, want %d", got, test.want)
			}
		})
	}
}

func TestDuplicateRowsAreMergedWithTheWorstState(t *testing.T) {
	for _, test := range []struct{ states, want string }{
		{"nn", "normal"},
		{"na", "abnormal"},
		{"nu", "unavailable"},
		{"ua", "abnormal"},
		{"nuan", "abnormal"},
		{"nx", "checking"},
		{"xa", "abnormal"},
		{"ux", "checking"},
	} {
		for seed := range uint64(4) {
			t.Run(fmt.Sprint(test.states, seed), func(t *testing.T) {
				var rows []alicloud.Backend
				for _, letter := range test.states {
					rows = append(rows, alicloud.Backend{ServerID: "i-1", ServerHealthStatus: statusOf[letter]})
				}
				got := rowsOf(&alicloud.Observation{Backends: shuffled(rows, seed)}, alicloud.Scope{})
				if len(got) != 1 || got[0].ServerHealthStatus != test.want {
					t.Errorf("got %+v, want one row that is %s", got, test.want)
				}
			})
		}
	}
}

func TestOrderOfTheResponseDoesNotMatter(t *testing.T) {
	rows := backends("443/https nauxn", "80/tcp an", "80/udp nu")
	twinHost, twinType := rows[0], rows[1]
	twinHost.EniHost, twinType.Type = "10.0.0.99", "eni"
	rows = append(rows, twinHost, twinType)
	want := rowsOf(&alicloud.Observation{Backends: rows}, alicloud.Scope{})
	for seed := range uint64(50) {
		if diff := cmp.Diff(want, rowsOf(&alicloud.Observation{Backends: shuffled(rows, seed)}, alicloud.Scope{})); diff != "" {
			t.Fatalf("seed %d:\n%s", seed, diff)
		}
	}
}

func TestRowsHaveTheFieldsOfTheResponse(t *testing.T) {
	for _, test := range []struct {
		what string
		row  alicloud.Backend
		want v1alpha1.BackendStatus
	}{
		{
			"every field",
			alicloud.Backend{ServerID: "eni-1", ServerIP: "10.0.0.1", EniHost: "10.0.0.9", Type: "eni", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "abnormal"},
			v1alpha1.BackendStatus{ServerID: "eni-1", ServerIP: "10.0.0.1", EniHost: "10.0.0.9", Type: "eni", ListenerPort: 443, ListenerProtocol: "https", Port: 8443, ServerHealthStatus: "abnormal"},
		},
		{
			"the default type is ecs, and no other field has a default",
			alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "normal"},
			v1alpha1.BackendStatus{ServerID: "i-1", Type: "ecs", ServerHealthStatus: "normal"},
		},
		{
			"an undocumented state is kept",
			alicloud.Backend{ServerID: "i-1", ServerHealthStatus: "Draining"},
			v1alpha1.BackendStatus{ServerID: "i-1", Type: "ecs", ServerHealthStatus: "Draining"},
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			got := rowsOf(&alicloud.Observation{Backends: []alicloud.Backend{test.row}}, alicloud.Scope{})
			if diff := cmp.Diff([]v1alpha1.BackendStatus{test.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A field that the product adds must reach the row, and two rows of one backend
// that differ in it must give the same row in either order.
func TestEachFieldOfAnObservedBackendReachesTheRow(t *testing.T) {
	for _, field := range reflect.VisibleFields(reflect.TypeFor[alicloud.Backend]()) {
		var observed alicloud.Backend
		fill(reflect.ValueOf(&observed).Elem())
		row := rowsOf(&alicloud.Observation{Backends: []alicloud.Backend{observed}}, alicloud.Scope{})[0]
		got := reflect.ValueOf(row).FieldByName(field.Name)
		if want := reflect.ValueOf(observed).FieldByIndex(field.Index); !got.IsValid() || !got.Equal(want) {
			t.Errorf("%s is %v in the row, want %v", field.Name, got, want)
		}
		other := observed
		alter(reflect.ValueOf(&other).Elem().FieldByIndex(field.Index))
		forward := rowsOf(&alicloud.Observation{Backends: []alicloud.Backend{observed, other}}, alicloud.Scope{})
		reverse := rowsOf(&alicloud.Observation{Backends: []alicloud.Backend{other, observed}}, alicloud.Scope{})
		if diff := cmp.Diff(forward, reverse); diff != "" {
			t.Errorf("%s: the order of the response matters:\n%s", field.Name, diff)
		}
	}
}

func TestUndocumentedStateCountsAsUnavailable(t *testing.T) {
	for _, state := range []string{"checking", "Normal", "ABNORMAL", "", " normal"} {
		t.Run(state, func(t *testing.T) {
			rows := rowsOf(&alicloud.Observation{Backends: []alicloud.Backend{{ServerID: "i-1", ServerHealthStatus: state}}}, alicloud.Scope{})
			want := v1alpha1.Counts{Backends: 1, Unavailable: 1}
			if got := listenersOf(rows)[0].Counts; got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestRowsWithoutAPortOrProtocolAreInEveryScope(t *testing.T) {
	rows := []alicloud.Backend{
		{ListenerPort: 80, ListenerProtocol: "tcp", ServerID: "i-1"},
		{ListenerPort: 80, ListenerProtocol: "udp", ServerID: "i-1"},
		{ListenerPort: 443, ListenerProtocol: "https", ServerID: "i-1"},
		{ListenerPort: 80, ServerID: "i-1"},
		{ListenerPort: 443, ServerID: "i-1"},
		{ListenerProtocol: "tcp", ServerID: "i-1"},
		{ListenerProtocol: "https", ServerID: "i-1"},
		{ServerID: "i-1"},
	}
	for _, test := range []struct {
		port     int32
		protocol v1alpha1.ListenerProtocol
		want     string
	}{
		{0, "", "0/ 0/https 0/tcp 80/ 80/tcp 80/udp 443/ 443/https"},
		{80, "", "0/ 0/https 0/tcp 80/ 80/tcp 80/udp"},
		{80, "tcp", "0/ 0/tcp 80/ 80/tcp"},
		{80, "udp", "0/ 80/ 80/udp"},
		{443, "https", "0/ 0/https 443/ 443/https"},
		{0, "https", "0/ 0/https 80/ 443/ 443/https"},
		{8080, "http", "0/"},
	} {
		t.Run(fmt.Sprintf("%d/%s", test.port, test.protocol), func(t *testing.T) {
			spec := newEnv(t, listener(test.port, test.protocol)).object.Spec
			var got []string
			for _, l := range listenersOf(rowsOf(&alicloud.Observation{Backends: rows}, ScopeOf(&spec))) {
				got = append(got, fmt.Sprintf("%d/%s", l.Port, l.Protocol))
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLimitKeepsAbnormalThenUnavailableThenNormalRowsInTheirOrder(t *testing.T) {
	for _, test := range []struct {
		letters string
		limit   int
		want    string
		omitted int32
	}{
		{"", 0, "", 0},
		{"", 5, "", 0},
		{"nau", 3, "0n 1a 2u", 0},
		{"nau", 4, "0n 1a 2u", 0},
		{"nau", 2, "1a 2u", 1},
		{"nau", 1, "1a", 2},
		{"nau", 0, "", 3},
		{"nnnn", 2, "0n 1n", 2},
		{"aaaa", 3, "0a 1a 2a", 1},
		{"unuan", 3, "0u 2u 3a", 2},
		{"unuan", 2, "0u 3a", 3},
		{"nxau", 3, "1x 2a 3u", 1},
		{"nanununa", 5, "0n 1a 3u 5u 7a", 3},
	} {
		t.Run(fmt.Sprintf("%d of %s", test.limit, test.letters), func(t *testing.T) {
			rows := rowsOf(&alicloud.Observation{Backends: backends(test.letters)}, alicloud.Scope{})
			kept, omitted := bounded(rows, test.limit)
			var got []string
			for i := range kept {
				letter := kept[i].ServerHealthStatus[:1]
				if kept[i].ServerHealthStatus == "checking" {
					letter = "x"
				}
				got = append(got, strings.TrimPrefix(kept[i].ServerID, "i-")+letter)
			}
			if strings.Join(got, " ") != test.want || omitted != test.omitted {
				t.Errorf("got %q and %d omitted, want %q and %d", strings.Join(got, " "), omitted, test.want, test.omitted)
			}
		})
	}
}

// manyRows are the rows of the largest load balancer: 50 listeners with 200 backends each.
func manyRows(stateOf func(i int) string) []alicloud.Backend {
	rows := make([]alicloud.Backend, 0, 10_000)
	for i := range 10_000 {
		rows = append(rows, alicloud.Backend{
			ServerID: fmt.Sprintf("i-bp1do02x7n4nua4k%04d", i%200), ServerIP: fmt.Sprintf("192.168.%d.%d", i%200, i%200),
			EniHost: "192.168.0.1", Type: "eni", ListenerPort: int32(1000 + i/200), ListenerProtocol: "https", Port: 8443,
			ServerHealthStatus: stateOf(i),
		})
	}
	return rows
}

func TestTenThousandRowsAreCountedExactlyAndBounded(t *testing.T) {
	for _, test := range []struct {
		what                          string
		stateOf                       func(int) string
		normal, abnormal, unavailable int32
		keptAbnormal, keptUnavailable int
	}{
		{"all normal", func(int) string { return "normal" }, 10_000, 0, 0, 0, 0},
		{"all abnormal", func(int) string { return "abnormal" }, 0, 10_000, 0, 500, 0},
		{"few abnormal, the rest unavailable", func(i int) string {
			if i%100 == 0 {
				return "abnormal"
			}
			return "unavailable"
		}, 0, 100, 9_900, 100, 400},
		{"some of each", func(i int) string {
			switch i % 100 {
			case 7:
				return "abnormal"
			case 3, 4:
				return "unavailable"
			default:
				return "normal"
			}
		}, 9_700, 100, 200, 100, 200},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t)
			env.observeRows(shuffled(manyRows(test.stateOf), 1))
			s := &env.object.Status
			want := v1alpha1.Counts{Backends: 10_000, Normal: test.normal, Abnormal: test.abnormal, Unavailable: test.unavailable}
			if s.Summary.Listeners != 50 || s.Summary.Counts != want {
				t.Errorf("got summary %+v, want %+v", *s.Summary, want)
			}
			if len(s.Backends) != 500 || s.OmittedBackends != 9_500 {
				t.Errorf("got %d rows and %d omitted", len(s.Backends), s.OmittedBackends)
			}
			var kept [classes]int
			for i := range s.Backends {
				kept[classOf(s.Backends[i].ServerHealthStatus)]++
			}
			if kept[abnormal] != test.keptAbnormal || kept[unavailable] != test.keptUnavailable {
				t.Errorf("kept %d abnormal and %d unavailable rows, want %d and %d",
					kept[abnormal], kept[unavailable], test.keptAbnormal, test.keptUnavailable)
			}
			data, err := json.Marshal(s)
			if err != nil {
				t.Fatal(err)
			}
			if len(data) > 256<<10 {
				t.Errorf("the status has %d bytes", len(data))
			}
		})
	}
}
