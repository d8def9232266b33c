// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// listOf is the response of an API server with these objects.
func listOf(objects ...*v1alpha1.LoadBalancerHealth) []byte {
	list := &v1alpha1.LoadBalancerHealthList{TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "LoadBalancerHealthList"}}
	for _, o := range objects {
		list.Items = append(list.Items, *o)
	}
	content, err := json.Marshal(list)
	if err != nil {
		panic(err)
	}
	return content
}

// apiServer serves a list, and its clock differs by skew.
func apiServer(t *testing.T, skew time.Duration, objects ...*v1alpha1.LoadBalancerHealth) (address string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Date", time.Now().Add(skew).UTC().Format(http.TimeFormat))
		_, _ = w.Write(listOf(objects...))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// writeKubeconfig writes a kubeconfig with a context for each address, in the namespace prod.
func writeKubeconfig(t *testing.T, addresses map[string]string) string {
	t.Helper()
	config := clientcmdapi.NewConfig()
	for name, address := range addresses {
		config.Clusters[name] = &clientcmdapi.Cluster{Server: address}
		config.Contexts[name] = &clientcmdapi.Context{Cluster: name, Namespace: "prod"}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// execute runs kubectl-lbh with these arguments.
func execute(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	streams, _, out, errOut := genericiooptions.NewTestIOStreams()
	c := newCommand(streams)
	c.SetArgs(args)
	err = c.ExecuteContext(t.Context())
	return out.String(), errOut.String(), err
}

// nowhere is an address without a listener.
const nowhere = "http://127.0.0.1:1"

func TestContextsInOneTable(t *testing.T) {
	t.Parallel()

	observed := func(o *v1alpha1.LoadBalancerHealth, age time.Duration) *v1alpha1.LoadBalancerHealth {
		o.Status.LastObservedTime = new(metav1.NewTime(time.Now().Add(-age)))
		for i := range o.Status.Conditions {
			o.Status.Conditions[i].LastTransitionTime = metav1.NewTime(time.Now().Add(-3 * time.Hour))
		}
		return o
	}
	bad := conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", v1alpha1.ReasonObservationSucceeded)
	kubeconfig := writeKubeconfig(t, map[string]string{
		"hangzhou": apiServer(t, 0, observed(object("web", allNormal(), "normal"), 0), observed(object("api", bad, "abnormal"), 0)),
		"shanghai": apiServer(t, 0, observed(object("web", bad, "abnormal", "abnormal"), 0)),
		// By its own clock this status is old, by the others' it is not.
		"beijing": apiServer(t, 20*time.Minute, observed(object("web", allNormal(), "normal"), 0)),
		"down":    nowhere,
	})
	stdout, stderr, err := execute(t, "--kubeconfig", kubeconfig, "--contexts=all")
	want := `
CONTEXT    NAME   HEALTH      REASON              SINCE   NORMAL   ABNORMAL   UNAVAILABLE   MISSING   LOADBALANCER   REGION        DISRUPTIONS ALLOWED
shanghai   web    Unhealthy   BelowMinHealthy     3h      0/2      2          0             -         lb-web         cn-hangzhou   -
hangzhou   api    Unhealthy   BelowMinHealthy     3h      0/1      1          0             -         lb-api         cn-hangzhou   -
beijing    web    Unknown     NotUpdated          20m     1/1      0          0             -         lb-web         cn-hangzhou   -
hangzhou   web    Healthy     AllBackendsNormal   3h      1/1      0          0             -         lb-web         cn-hangzhou   -
`
	const summary = "4 objects: 2 Unhealthy, 1 Unknown, 1 Healthy; 5 backends: 2 normal, 3 abnormal\n"
	if "\n"+stdout != want || stderr != summary {
		t.Errorf("got\n%s%s\nwant%s%s", stdout, stderr, want, summary)
	}
	if err == nil || !strings.HasPrefix(err.Error(), "context down: the API server "+nowhere+" is unreachable: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("%v", err)
	}
}

func TestContextsHaveNamespaces(t *testing.T) {
	t.Parallel()

	address := apiServer(t, 0, object("web", nil))
	kubeconfig := writeKubeconfig(t, map[string]string{"a": address, "b": address})
	for flags, want := range map[string]string{"": "CONTEXT NAME HEALTH", "-A": "CONTEXT NAMESPACE NAME", "-n=prod": "CONTEXT NAME HEALTH"} {
		args := append([]string{"--kubeconfig", kubeconfig, "--contexts=b,a,b"}, strings.Fields(flags)...)
		stdout, _, err := execute(t, args...)
		rows := strings.Split(stdout, "\n")
		if got := strings.Join(strings.Fields(rows[0])[:3], " "); err != nil || got != want || len(rows) != 4 {
			t.Errorf("%s: %v, %q", flags, err, stdout)
		}
	}
	config, err := clientcmd.LoadFromFile(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Contexts["b"].Namespace = "other"
	if err := clientcmd.WriteToFile(*config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	if stdout, _, err := execute(t, "--kubeconfig", kubeconfig, "--contexts=a,b"); err != nil || !strings.HasPrefix(stdout, "CONTEXT   NAMESPACE") {
		t.Errorf("%v, %q", err, stdout)
	}
}

func TestContextsWithoutObjects(t *testing.T) {
	t.Parallel()

	kubeconfig := writeKubeconfig(t, map[string]string{"a": apiServer(t, 0), "down": nowhere})
	stdout, stderr, err := execute(t, "--kubeconfig", kubeconfig, "--contexts=a")
	if stdout != "" || stderr != "No LoadBalancerHealth found in namespace prod.\n" || err != nil {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
	stdout, stderr, err = execute(t, "--kubeconfig", kubeconfig, "--contexts=down,typo")
	if stdout != "" || stderr != "" || err == nil || !strings.Contains(err.Error(), "\ncontext typo: context \"typo\" does not exist") {
		t.Errorf("%q, %q, %v", stdout, stderr, err)
	}
}

func TestContextsByName(t *testing.T) {
	t.Parallel()

	address := apiServer(t, 0, object("web", nil))
	kubeconfig := writeKubeconfig(t, map[string]string{"a": address, "b\x1b": address})
	stdout, _, err := execute(t, "--kubeconfig", kubeconfig, "--contexts=all", "-o", "name")
	const name = " --namespace=prod loadbalancerhealth.slb.lbhealth.dev/web\n"
	if stdout != "--context=a"+name+"--context=b·"+name || err != nil {
		t.Errorf("%q, %v", stdout, err)
	}
}

func TestContextsAreRefused(t *testing.T) {
	t.Parallel()

	kubeconfig := writeKubeconfig(t, map[string]string{"a": nowhere})
	for args, want := range map[string]string{
		"--contexts=":                  "--contexts: write names of contexts, separated by commas, or all",
		"--contexts=a,,b":              "--contexts: write names of contexts, separated by commas, or all",
		"--contexts=a,all":             "--contexts: write either names or all",
		"--contexts=a --context=b":     "write either --contexts or --context",
		"--contexts=a --server=x":      "write either --contexts or --cluster and --server: each context has its own cluster",
		"--contexts=a --cluster=x":     "write either --contexts or --cluster and --server: each context has its own cluster",
		"--contexts=a -o json":         "-o json with --contexts: an object in this format has no context: write --context instead, once for each",
		"--contexts=a web -A":          "write either names or -A, -l, --field-selector and --product",
		"tree web --contexts=a":        "kubectl lbh tree has no --contexts: write --context and the name of one",
		"--contexts a watch":           "kubectl lbh watch has no --contexts: write --context and the name of one",
		"wait web --contexts=a":        "kubectl lbh wait has no --contexts: write --context and the name of one",
		"refresh web --contexts=a,b":   "kubectl lbh refresh has no --contexts: write --context and the name of one",
		"--contexts=all --kubeconfig=": "--contexts=all: the kubeconfig has no contexts",
	} {
		config := kubeconfig
		if others, ok := strings.CutSuffix(args, " --kubeconfig="); ok {
			args, config = others, writeKubeconfig(t, nil)
		}
		stdout, _, err := execute(t, append([]string{"--kubeconfig", config}, strings.Fields(args)...)...)
		if stdout != "" || err == nil || err.Error() != want {
			t.Errorf("%s: %q, %v, not %q", args, stdout, err, want)
		}
	}
}

func TestContextsAreCompleted(t *testing.T) {
	t.Parallel()

	o, _ := newOptions()
	*o.flags.KubeConfig = writeKubeconfig(t, map[string]string{"prod-a": nowhere, "prod-b": nowhere, "test": nowhere})
	for text, want := range map[string][]string{
		"": {"prod-a", "prod-b", "test", "all"}, "prod": {"prod-a", "prod-b"}, "prod-a,": {"prod-a,prod-b", "prod-a,test"},
		"test,prod-b,p": {"test,prod-b,prod-a"}, "x": nil,
	} {
		got, directive := o.completeContexts(nil, nil, text)
		if !slices.Equal(got, want) || directive != cobra.ShellCompDirectiveNoFileComp|cobra.ShellCompDirectiveNoSpace {
			t.Errorf("%q: %q, %d", text, got, directive)
		}
	}
}

// clusterAt is a cluster with this transport.
func clusterAt(t *testing.T, transport roundTripper) *cluster {
	t.Helper()
	config := &rest.Config{Host: "https://example.com", APIPath: "/apis", Transport: transport}
	config.GroupVersion, config.NegotiatedSerializer = &v1alpha1.GroupVersion, serializer.NewCodecFactory(scheme).WithoutConversion()
	r, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	o, _ := newOptions()
	return &cluster{options: o, client: &client{rest: r, host: config.Host, namespace: "prod", connection: &connection{}}}
}

func emptyList() *http.Response {
	return &http.Response{
		StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(bytes.NewReader(listOf())),
	}
}

func TestContextsAreReadConcurrentlyWithABound(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, all atomic.Int32
		release := make(chan struct{})
		var clusters []*cluster
		for range 3 * maxConcurrentContexts {
			clusters = append(clusters, clusterAt(t, func(*http.Request) (*http.Response, error) {
				running.Add(1)
				<-release
				all.Add(1)
				return emptyList(), nil
			}))
		}
		go load(t.Context(), clusters, nil)
		synctest.Wait()
		if got := running.Load(); got != maxConcurrentContexts {
			t.Errorf("%d requests at the same time, not %d", got, maxConcurrentContexts)
		}
		close(release)
		synctest.Wait()
		if int(all.Load()) != len(clusters) {
			t.Errorf("%d requests of %d", all.Load(), len(clusters))
		}
	})
}

func TestContextWithoutResponse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hanging := func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
		clusters := []*cluster{clusterAt(t, hanging), clusterAt(t, func(*http.Request) (*http.Response, error) { return emptyList(), nil })}
		start := time.Now()
		load(t.Context(), clusters, nil)
		if took := time.Since(start); took != contextTimeout {
			t.Errorf("took %s, not %s", took, contextTimeout)
		}
		if err := clusters[0].err; err == nil || !strings.Contains(err.Error(), "https://example.com is unreachable: context deadline exceeded") {
			t.Errorf("%v", err)
		}
		if err := clusters[1].err; err != nil {
			t.Error(err)
		}
	})
}
