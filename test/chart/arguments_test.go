// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"errors"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
)

// notSet are the flags that no value sets, and why.
var notSet = map[string]string{
	"health-probe-bind-address": "the probes of the pod know the port",
	"kubeconfig":                "a pod has its ServiceAccount",
	"leader-election-namespace": "the pod's own is the only one that it has a Role in",
	"metrics-cert-key":          "a kubernetes.io/tls Secret has the default's name",
	"metrics-cert-name":         "a kubernetes.io/tls Secret has the default's name",
	"zap-devel":                 "sets what values set one by one",
}

// argumentsOf are those of a Deployment's pods, with what the kubelet fills in.
func argumentsOf(deployment *appsv1.Deployment) []string {
	arguments := slices.Clone(deployment.Spec.Template.Spec.Containers[0].Args)
	for i := range arguments {
		arguments[i] = strings.ReplaceAll(arguments[i], "$(POD_NAMESPACE)", deployment.Namespace)
	}
	return arguments
}

// start runs the operator without a cluster: with valid arguments, it exits because
// of that.
func start(t *testing.T, arguments []string) (code int, message string) {
	t.Helper()
	arguments = append(slices.Clone(arguments), "--kubeconfig="+filepath.Join(t.TempDir(), "none"))
	_, err := run(t, nil, nil, filepath.Join(root, "bin", "slb-health-operator"), arguments...)
	exit, exited := errors.AsType[*exec.ExitError](err)
	if !exited {
		t.Fatalf("it has no exit code: %v", err)
	}
	return exit.ExitCode(), err.Error()
}

func TestOperatorAcceptsEveryArgument(t *testing.T) {
	for _, mode := range modes(t) {
		for _, deployment := range deployments(t, mode) {
			arguments := argumentsOf(deployment)
			if code, message := start(t, arguments); code != 1 || !strings.Contains(message, "no cluster to work in") {
				t.Errorf("%s %s: %q: exit code %d, %s", mode, deployment.Name, arguments, code, message)
			}
			// It reports an invalid argument before that.
			if code, message := start(t, append(arguments, "--slb-qps=0")); code != 2 || !strings.Contains(message, "slb-qps") {
				t.Errorf("%s %s: with --slb-qps=0: exit code %d, %s", mode, deployment.Name, code, message)
			}
		}
	}
}

// TestEveryFlagHasAValue compares the values to the flags of the operator.
func TestEveryFlagHasAValue(t *testing.T) {
	command := exec.CommandContext(t.Context(), filepath.Join(root, "bin", "slb-health-operator"), "--help")
	help, err := command.CombinedOutput()
	if err != nil {
		t.Fatal(err)
	}
	flags := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^\s+--?([a-z-]+)`).FindAllStringSubmatch(string(help), -1) {
		flags[found[1]] = true
	}
	if len(flags) < 20 {
		t.Fatalf("--help names %q", slices.Sorted(maps.Keys(flags)))
	}
	set := map[string]bool{}
	for _, mode := range modes(t) {
		for _, deployment := range deployments(t, mode) {
			for _, argument := range deployment.Spec.Template.Spec.Containers[0].Args {
				name, _, _ := strings.Cut(strings.TrimPrefix(argument, "--"), "=")
				set[name] = true
			}
		}
	}
	for name := range flags {
		if _, omitted := notSet[name]; !set[name] && !omitted {
			t.Errorf("no value sets --%s", name)
		}
	}
	for name, why := range notSet {
		if !flags[name] {
			t.Errorf("--%s is omitted because %s, but there is no such flag", name, why)
		}
	}
}
