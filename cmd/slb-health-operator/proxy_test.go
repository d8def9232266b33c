// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// proxyChild says to a process of the test's own which kubeconfig to use.
const proxyChild = "SLB_TEST_KUBECONFIG"

// net/http reads the proxy variables once in a process, so each case has one.
func TestTheAPIServerIsNotReachedThroughTheEnvironmentsProxy(t *testing.T) {
	if kubeconfig := os.Getenv(proxyChild); kubeconfig != "" {
		sayWhereItLeads(t, kubeconfig)
		return
	}
	test := t.Name()
	for name, c := range map[string]struct{ proxyURL, want string }{
		"none in the kubeconfig":  {"", "api.cluster.example:6443"},
		"one for the API server":  {"http://relay.example:8080", "relay.example:8080"},
		"the same for everything": {"http://proxy.example:3128", "proxy.example:3128"},
	} {
		t.Run(name, func(t *testing.T) {
			kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
			content := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: c\ncontexts: [{name: c, context: {cluster: c}}]\n"+
				"clusters: [{name: c, cluster: {server: 'https://api.cluster.example:6443', proxy-url: %q}}]\n", c.proxyURL)
			if err := os.WriteFile(kubeconfig, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
			child.Env = append(os.Environ(), proxyChild+"="+kubeconfig, "HTTPS_PROXY=http://proxy.example:3128", "HTTP_PROXY=http://proxy.example:3128", "NO_PROXY=")
			output, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			if want := "leads to " + c.want + "\n"; !strings.Contains(string(output), want) {
				t.Errorf("%s does not say %s", output, want)
			}
		})
	}
}

// sayWhereItLeads prints where a request to the API server is sent.
func sayWhereItLeads(t *testing.T, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	passProxies(config)
	config.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		fmt.Println("leads to " + address)
		return nil, errors.New("seen")
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, config.Host+"/version", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := client.Do(request); err == nil {
		_ = response.Body.Close()
		t.Error("it was answered")
	}
}
