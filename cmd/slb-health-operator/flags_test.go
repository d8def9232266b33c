// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// groupPages are the pages that explain a group of flags.
var groupPages = map[string]string{
	"Alibaba Cloud API":     "[Sizing](sizing.md), [when listeners are listed](spec/loadbalancerhealth.md#when-listeners-are-listed)",
	"Credentials":           "[Several accounts](multi-account.md)",
	"Services and backends": "[The load balancers of Services and Ingresses](services.md), [backends with names](backend-names.md)",
	"Objects":               "[Status](spec/loadbalancerhealth.md#status), [shards](architecture.md#failover-and-shards)",
	"Leader election":       "[Failover and shards](architecture.md#failover-and-shards)",
	"Metrics and probes":    "[Metrics](permissions.md#metrics)",
}

// chartValues are the values of the chart that set a flag; test/chart checks them.
var chartValues = map[string]string{
	"alb-endpoint":                   "`alb.endpoint`",
	"backend-names":                  "`backendNames.enabled`",
	"concurrency":                    "`concurrency`",
	"credentials-path":               "`identity.type`",
	"fast-interval":                  "`fastInterval`",
	"leader-elect":                   "always set",
	"leader-election-id":             "`leaderElectionId`, `shards`",
	"listener-details":               "`listenerDetails`",
	"max-status-backends":            "`status.maxBackends`",
	"metrics-bind-address":           "`metrics.enabled`, `namespaced`",
	"metrics-cert-path":              "`metrics.certSecret`",
	"metrics-secure":                 "`namespaced`",
	"monitor":                        "`serviceDiscovery.monitor`",
	"nlb-endpoint":                   "`nlb.endpoint`",
	"readiness-gates":                "`readinessGates.enabled`",
	"readiness-gate-unknown-timeout": "`readinessGates.unknownTimeout`",
	"region-id":                      "`serviceDiscovery.regionId`",
	"require-credentials":            "`requireCredentials`",
	"service-discovery":              "`serviceDiscovery.enabled`, `readinessGates.enabled`",
	"slb-burst":                      "`slb.burst`",
	"slb-endpoint":                   "`slb.endpoint`",
	"slb-network":                    "`slb.network`",
	"slb-qps":                        "`slb.qps`",
	"slb-timeout":                    "`slb.timeout`",
	"status-heartbeat":               "`status.heartbeat`",
	"watch-namespace":                "`watch.namespaces`, `shards`, `namespaced`",
	"watch-selector":                 "`watch.selector`, `shards`",
	"zap-encoder":                    "`log.format`",
	"zap-log-level":                  "`log.level`",
	"zap-stacktrace-level":           "`log.stacktraceLevel`",
	"zap-time-encoding":              "`log.timeEncoding`",
}

const flagsIntroduction = `# Operator flags

Generated from the code by ` + "`make api-docs`" + `; ` + "`slb-health-operator --help`" + ` prints the same. With an invalid flag the operator exits at start; one line of output names the flag and a valid value.

The third column has the [value of the Helm chart](../charts/slb-health-operator/README.md) that sets the flag; ` + "`extraArgs`" + ` sets those without one.
`

// writtenDefault is the sentence of a help text that explains the default.
var writtenDefault = regexp.MustCompile(` ?Default: (.*)\.$`)

// flagsReference renders docs/flags.md.
func flagsReference() string {
	var page strings.Builder
	page.WriteString(flagsIntroduction)
	for _, group := range new(options).flagGroups() {
		fmt.Fprintf(&page, "\n## %s\n\n", group.title)
		if pages := groupPages[group.title]; pages != "" {
			fmt.Fprintf(&page, "See %s.\n\n", pages)
		}
		page.WriteString("| flag | default | chart value | meaning |\n| --- | --- | --- | --- |\n")
		group.flags.VisitAll(func(f *flag.Flag) {
			_, meaning := flag.UnquoteUsage(f)
			standard := "`" + defaultOf(f) + "`"
			if written := writtenDefault.FindStringSubmatch(meaning); written != nil {
				standard, meaning = written[1], strings.TrimSuffix(meaning, written[0])
			} else if standard == "``" {
				standard = ""
			}
			cells := []string{"`--" + f.Name + "`", standard, chartValues[f.Name], meaning}
			for i := range cells {
				cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
			}
			page.WriteString("| " + strings.Join(cells, " | ") + " |\n")
		})
	}
	return page.String()
}

// TestFlagsReference compares docs/flags.md with the flags. FLAGS_REFERENCE is a
// file to write instead: make api-docs sets it.
func TestFlagsReference(t *testing.T) {
	want := flagsReference()
	if file := os.Getenv("FLAGS_REFERENCE"); file != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "flags.md"))
	if err != nil {
		t.Fatal(err)
	}
	if string(page) != want {
		t.Error("docs/flags.md is out of date: run make api-docs")
	}
	flags := map[string]bool{}
	for _, group := range new(options).flagGroups() {
		group.flags.VisitAll(func(f *flag.Flag) { flags[f.Name] = true })
	}
	for name := range chartValues {
		if !flags[name] {
			t.Errorf("chartValues has --%s, and there is no such flag", name)
		}
	}
}

func TestHelpIsReadable(t *testing.T) {
	var help bytes.Buffer
	if _, err := parseOptions([]string{"--help"}, &help); !errors.Is(err, flag.ErrHelp) {
		t.Fatal(err)
	}
	text := help.String()
	for line := range strings.Lines(text) {
		if line = strings.TrimSuffix(line, "\n"); len(line) > helpWidth || line != strings.TrimRight(line, " ") {
			t.Errorf("%d characters: %q", len(line), line)
		}
	}
	last := -1
	for _, group := range new(options).flagGroups() {
		at := strings.Index(text, "\n"+group.title+":\n")
		if at <= last {
			t.Errorf("group %s is at %d, after one at %d", group.title, at, last)
		}
		last = at
		group.flags.VisitAll(func(f *flag.Flag) {
			if found := strings.Index(text[at:], "\n  --"+f.Name); found < 0 {
				t.Errorf("--%s is not in its group", f.Name)
			}
			if f.Usage == "" {
				t.Errorf("--%s has no help", f.Name)
			}
		})
	}
	for _, want := range []string{"  --slb-qps float (default 10)\n", "  --status-heartbeat duration (default 5m)\n", "  --leader-elect\n", "  --watch-namespace namespace\n      Watch this namespace; repeatable."} {
		if !strings.Contains(text, want) {
			t.Errorf("--help lacks %q", want)
		}
	}
}

func TestMonitorRequiresServiceDiscovery(t *testing.T) {
	for args, want := range map[string]string{
		"": monitorAnnotated, "--monitor=annotated": monitorAnnotated,
		"--service-discovery": monitorAnnotated, "--service-discovery --monitor=all": monitorAll,
		"--monitor=all":                           "--monitor=all requires --service-discovery: set that too, or remove it",
		"--service-discovery --monitor=":          "--monitor must be annotated or all",
		"--service-discovery --monitor=ALL":       "--monitor must be annotated or all",
		"--monitor=none":                          "--monitor must be annotated or all",
		"--service-discovery --monitor":           "flag needs an argument: -monitor",
		"--service-discovery=false --monitor=all": "--monitor=all requires --service-discovery: set that too, or remove it",
	} {
		o, err := parseOptions(strings.Fields(args), io.Discard)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = o.monitor
		}
		if got != want {
			t.Errorf("%q: got %q, not %q", args, got, want)
		}
	}
}

func TestReadinessGatesImplyWhatTheyNeed(t *testing.T) {
	for args, want := range map[string]string{
		"":                                "false false 10m0s",
		"--readiness-gates":               "true true 10m0s",
		"--readiness-gates --monitor=all": "true true 10m0s",
		"--readiness-gates --region-id=cn-beijing --readiness-gate-unknown-timeout=0": "true true 0s",
		"--readiness-gate-unknown-timeout=-1s":                                        "--readiness-gate-unknown-timeout must be 0 or more, such as 10m",
	} {
		o, err := parseOptions(strings.Fields(args), io.Discard)
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = fmt.Sprint(o.serviceDiscovery, " ", o.backendNames, " ", o.unknownTimeout)
		}
		if got != want {
			t.Errorf("%q: got %q, not %q", args, got, want)
		}
	}
}
