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

// kubeconfigVariable passes the kubeconfig to the child process of the test.
const kubeconfigVariable = "SLB_TEST_KUBECONFIG"

// net/http reads the proxy variables once per process, so each case runs in a child process.
func TestRequestsToTheAPIServerBypassTheProxyOfTheEnvironment(t *testing.T) {
	if kubeconfig := os.Getenv(kubeconfigVariable); kubeconfig != "" {
		printAddress(t, kubeconfig)
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
			child.Env = append(os.Environ(), kubeconfigVariable+"="+kubeconfig, "HTTPS_PROXY=http://proxy.example:3128", "HTTP_PROXY=http://proxy.example:3128", "NO_PROXY=")
			output, err := child.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			if want := "sent to " + c.want + "\n"; !strings.Contains(string(output), want) {
				t.Errorf("%s does not contain %s", output, want)
			}
		})
	}
}

// printAddress prints the address that a request to the API server is sent to.
func printAddress(t *testing.T, kubeconfig string) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	bypassProxy(config)
	config.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
		fmt.Println("sent to " + address)
		return nil, errors.New("not connected")
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
		t.Error("the request got a response")
	}
}
