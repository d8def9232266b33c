// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"
)

var flagSpecs = []spec{
	{"an invalid flag makes the operator exit with one message that names it", refusesFlags},
	{"an invalid flag makes the simulator exit with one message that names it", refusesSimulatorFlags},
	{"an environment that prints signed requests is refused", refusesDebugging},
	{"--help explains the flags and exits with code 0", explainsFlags},
}

// refused runs a program that must exit with one message, and returns the message.
func (w *env) refused(t *testing.T, name, program string, environment []string, args ...string) string {
	t.Helper()
	p := start(t, t.TempDir(), name, program, environment, args...)
	code := p.exit(t, patience)
	stdout, stderr := p.output(t)
	if code <= 0 {
		t.Errorf("the exit code is %d", code)
	}
	if stdout != "" {
		t.Errorf("on stdout: %q", stdout)
	}
	if strings.Count(stderr, "\n") != 1 || !strings.HasSuffix(stderr, "\n") {
		t.Errorf("not one message on stderr: %q", stderr)
	}
	return stderr
}

func refusesFlags(t *testing.T, w *env) {
	for _, test := range []struct {
		names string
		args  []string
	}{
		{"no-such-flag", []string{"--no-such-flag"}},
		{"serve", []string{"serve"}},
		{"slb-qps", []string{"--slb-qps=0"}},
		{"slb-qps", []string{"--slb-qps=-1"}},
		{"slb-qps", []string{"--slb-qps=NaN"}},
		{"slb-qps", []string{"--slb-qps=+Inf"}},
		{"slb-qps", []string{"--slb-qps=many"}},
		{"slb-burst", []string{"--slb-burst=0"}},
		{"slb-burst", []string{"--slb-burst=1.5"}},
		{"slb-timeout", []string{"--slb-timeout=0s"}},
		{"slb-timeout", []string{"--slb-timeout=-1s"}},
		{"slb-timeout", []string{"--slb-timeout=10"}},
		{"fast-interval", []string{"--fast-interval=-5s"}},
		{"fast-interval", []string{"--fast-interval=100ms"}},
		{"fast-interval", []string{"--fast-interval=5m"}},
		{"fast-interval", []string{"--fast-interval=5"}},
		{"slb-endpoint", []string{"--slb-endpoint=slb.aliyuncs.com:443"}},
		{"slb-endpoint", []string{"--slb-endpoint=ftp://slb.aliyuncs.com"}},
		{"nlb-endpoint", []string{"--nlb-endpoint=nlb.cn-hangzhou.aliyuncs.com:443"}},
		{"alb-endpoint", []string{"--alb-endpoint=https://alb.cn-hangzhou.aliyuncs.com/path"}},
		{"slb-endpoint", []string{"--slb-endpoint=https://"}},
		{"slb-endpoint", []string{"--slb-endpoint=https://slb.aliyuncs.com/path"}},
		{"slb-endpoint", []string{"--slb-endpoint=https://slb.aliyuncs.com:99999"}},
		{"slb-network", []string{"--slb-network=wifi"}},
		{"slb-network", []string{"--slb-network=vpc"}}, // beside --slb-endpoint
		{"concurrency", []string{"--concurrency=0"}},
		{"concurrency", []string{"--concurrency=-4"}},
		{"status-heartbeat", []string{"--status-heartbeat=0"}},
		{"status-heartbeat", []string{"--status-heartbeat=-5m"}},
		{"max-status-backends", []string{"--max-status-backends=0"}},
		{"max-status-backends", []string{"--max-status-backends=100000"}},
		{"watch-namespace", []string{"--watch-namespace=Not_A_Name"}},
		{"watch-namespace", []string{"--watch-namespace="}},
		{"watch-selector", []string{"--watch-selector=a in"}},
		{"leader-elect", []string{"--leader-elect=perhaps"}},
		{"leader-election-id", []string{"--leader-election-id="}},
		{"leader-election-id", []string{"--leader-election-id=Not_A_Name"}},
		{"metrics-bind-address", []string{"--metrics-bind-address="}},
		{"metrics-secure", []string{"--metrics-secure=perhaps"}},
		{"require-credentials", []string{"--require-credentials=perhaps"}},
		{"service-discovery", []string{"--service-discovery=perhaps"}},
		{"service-discovery: the operator may not list every Service", []string{"--service-discovery"}},
		{"monitor must be annotated or all", []string{"--service-discovery", "--monitor=some"}},
		{"monitor=all requires --service-discovery", []string{"--monitor=all"}},
		{"backend-names", []string{"--backend-names=perhaps"}},
		{"region-id", []string{"--region-id=cn-hangzhou"}},
		{"region-id", []string{"--service-discovery", "--region-id=Hangzhou"}},
		{"region-id", []string{"--service-discovery", "--region-id=oss-cn-hangzhou"}},
		{"slb-endpoint", []string{"--slb-endpoint=https://slb.cn-hangzhou-b.aliyuncs.com"}},
		{"slb-endpoint", []string{"--slb-endpoint=http://[fe80::1%25eth0]:8888"}},
		{"metrics-cert-path", []string{"--metrics-cert-path=no-such-folder"}},
		{"credentials-path", []string{"--credentials-path=/dev/null"}},
		{"listener-details", []string{"--listener-details=on"}},
		{"metrics-cert-path", []string{"--metrics-cert-path=" + w.home, "--metrics-secure=false"}},
		{"health-probe-bind-address", []string{"--health-probe-bind-address="}},
		{"kubeconfig", []string{"--kubeconfig=no-such-file"}},
		{"zap-log-level", []string{"--zap-log-level=loud"}},
	} {
		t.Run(strings.Join(test.args, " "), func(t *testing.T) {
			args := append([]string{
				"--kubeconfig=" + w.operator.kubeconfig, "--slb-endpoint=" + w.simulator.URL, "--watch-namespace=flags",
				"--metrics-bind-address=0", "--health-probe-bind-address=0",
			}, test.args...)
			message := w.refused(t, "flags", w.programs.operator, w.operatorEnvironment(), args...)
			NewWithT(t).Expect(message).To(ContainSubstring(test.names))
		})
	}
}

func refusesSimulatorFlags(t *testing.T, w *env) {
	for _, test := range []struct{ names, arg string }{
		{"no-such-flag", "--no-such-flag"},
		{"serve", "serve"},
		{"listen", "--listen=nowhere"},
		{"config", "--config=no-such-file"},
		{"tls-key", "--tls-cert=" + w.certificate.CertFile},
	} {
		t.Run(test.arg, func(t *testing.T) {
			message := w.refused(t, "flags", w.programs.simulator, []string{"HOME=" + w.home}, test.arg)
			NewWithT(t).Expect(message).To(ContainSubstring(test.names))
		})
	}
}

func refusesDebugging(t *testing.T, w *env) {
	message := w.refused(t, "debug", w.programs.operator, append(w.operatorEnvironment(), "DEBUG=sdk"),
		"--kubeconfig="+w.operator.kubeconfig, "--metrics-bind-address=0", "--health-probe-bind-address=0")
	NewWithT(t).Expect(message).To(ContainSubstring("DEBUG"))
}

func explainsFlags(t *testing.T, w *env) {
	g := NewWithT(t)
	p := start(t, t.TempDir(), "help", w.programs.operator, w.operatorEnvironment(), "--help")
	g.Expect(p.exit(t, patience)).To(BeZero())
	stdout, stderr := p.output(t)
	for _, name := range []string{
		"kubeconfig", "metrics-bind-address", "health-probe-bind-address", "metrics-secure",
		"metrics-cert-path", "metrics-cert-name", "metrics-cert-key", "leader-elect", "credentials-path",
		"leader-election-namespace", "leader-election-id", "slb-endpoint", "slb-network", "slb-qps", "slb-burst", "slb-timeout", "fast-interval", "concurrency",
		"watch-namespace", "watch-selector", "status-heartbeat", "max-status-backends", "service-discovery", "monitor", "region-id", "backend-names",
		"require-credentials", "zap-log-level",
	} {
		g.Expect(stdout + stderr).To(MatchRegexp(`(?m)^\s*--?` + name + `\b`))
	}
}
