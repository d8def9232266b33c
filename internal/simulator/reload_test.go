// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func fileWith(ids ...string) string {
	var b strings.Builder
	b.WriteString("loadBalancers:\n")
	for _, id := range ids {
		b.WriteString("- {loadBalancerId: " + id + ", regionId: cn-hangzhou, backends: [{serverId: i-1}]}\n")
	}
	return b.String()
}

// watched starts with lb-a and lb-b from the file and lb-api from the admin API.
func watched(t *testing.T, path string, log *bytes.Buffer) (*Server, *fileWatch) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := ParseConfig(content)
	if err != nil {
		t.Fatal(err)
	}
	sim := New(cfg, Options{Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err := sim.PutLoadBalancer(LoadBalancer{LoadBalancerID: "lb-api", RegionID: "cn-hangzhou"}); err != nil {
		t.Fatal(err)
	}
	return sim, &fileWatch{server: sim, path: path, loaded: content, last: content}
}

func ids(sim *Server) string {
	var names []string
	for _, lb := range sim.LoadBalancers() {
		names = append(names, lb.LoadBalancerID)
	}
	return strings.Join(names, " ")
}

func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slb.yaml")
	writeFile(t, path, fileWith("lb-a", "lb-b"))
	var log bytes.Buffer
	sim, watch := watched(t, path, &log)
	if _, err := sim.SetBackendStatus("lb-a", Selector{}, StatusAbnormal); err != nil {
		t.Fatal(err)
	}
	expect := func(step, wantIDs, wantLog string) {
		t.Helper()
		watch.poll()
		watch.poll()
		if got := ids(sim); got != wantIDs {
			t.Errorf("%s: got %s, want %s", step, got, wantIDs)
		}
		if logged := strings.TrimSpace(log.String()); !strings.Contains(logged, wantLog) || wantLog == "" && logged != "" || strings.Count(logged, "\n") > 0 {
			t.Errorf("%s: logged %q, want %q", step, logged, wantLog)
		}
		log.Reset()
	}
	expect("unchanged", "lb-a lb-api lb-b", "")
	if lb, _ := sim.fleet.get("lb-a"); lb.Backends[0].ServerHealthStatus != StatusAbnormal {
		t.Error("an unchanged file undid what the API set")
	}
	writeFile(t, path, fileWith("lb-a", "lb-c"))
	expect("changed", "lb-a lb-api lb-c", "configuration loaded")
	if lb, _ := sim.fleet.get("lb-a"); lb.Backends[0].ServerHealthStatus != StatusNormal {
		t.Error("the file did not replace a load balancer that it names")
	}
	writeFile(t, path, "loadBalancers: [{loadBalancerID: x}]")
	expect("refused", "lb-a lb-api lb-c", `unknown field \"loadBalancers[0].loadBalancerID`)
	expect("still refused", "lb-a lb-api lb-c", "")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("removed", "lb-a lb-api lb-c", "configuration unreadable")
	expect("still removed", "lb-a lb-api lb-c", "")
	writeFile(t, path, fileWith("lb-api"))
	expect("names what the API made", "lb-api", "configuration loaded")
	writeFile(t, path, fileWith("lb-d"))
	expect("and drops it", "lb-d", "configuration loaded")
}

func TestEmptiedFileHasNoEffect(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slb.yaml")
	writeFile(t, path, contractFile)
	var log bytes.Buffer
	sim, watch := watched(t, path, &log)
	for _, content := range []string{"", "accounts:\n", "loadBalancers:\n"} {
		log.Reset()
		writeFile(t, path, content)
		for range 3 {
			watch.poll()
		}
		if got := ids(sim); got != "lb-api lb-demo" || sim.keys.open() {
			t.Errorf("%q: got %s, and signatures are checked: %v", content, got, !sim.keys.open())
		}
		if strings.Count(log.String(), "the last good one stays") != 1 {
			t.Errorf("%q: logged %q", content, &log)
		}
	}
}

func TestFileIsNotLoadedDuringEdits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slb.yaml")
	writeFile(t, path, fileWith("lb-a", "lb-b"))
	var log bytes.Buffer
	sim, watch := watched(t, path, &log)
	writeFile(t, path, fileWith("lb-b"))
	watch.poll()
	writeFile(t, path, fileWith("lb-a"))
	watch.poll()
	if got := ids(sim); got != "lb-a lb-api lb-b" {
		t.Errorf("got %s before the file was complete", got)
	}
	watch.poll()
	if got := ids(sim); got != "lb-a lb-api" {
		t.Errorf("got %s", got)
	}
}

// A ConfigMap volume is a symlink to a directory that is swapped; editors rename a new file over the old one.
func TestReloadAfterSwapAndRename(t *testing.T) {
	dir := t.TempDir()
	for name, id := range map[string]string{"v1": "lb-a", "v2": "lb-b", "v3": "lb-c"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name, "slb.yaml"), fileWith(id))
	}
	link := func(target string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, "next")); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "next"), filepath.Join(dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	link("v1")
	var log bytes.Buffer
	sim, watch := watched(t, filepath.Join(dir, "data", "slb.yaml"), &log)
	link("v2")
	watch.poll()
	watch.poll()
	if got := ids(sim); got != "lb-api lb-b" {
		t.Errorf("after the swap: %s", got)
	}
	if err := os.Rename(filepath.Join(dir, "v3", "slb.yaml"), filepath.Join(dir, "v2", "slb.yaml")); err != nil {
		t.Fatal(err)
	}
	watch.poll()
	watch.poll()
	if got := ids(sim); got != "lb-api lb-c" {
		t.Errorf("after the rename: %s", got)
	}
}

func TestWatchFileStopsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	New(Config{}, Options{}).WatchFile(ctx, "none", nil)
}
