// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	. "github.com/onsi/gomega"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// scrapeEndpoint is what a ServiceMonitor contains of a secured connection.
type scrapeEndpoint struct {
	Scheme          string `json:"scheme"`
	BearerTokenFile string `json:"bearerTokenFile"`
	TLSConfig       struct {
		InsecureSkipVerify bool `json:"insecureSkipVerify"`
	} `json:"tlsConfig"`
	Authorization struct {
		Credentials corev1.SecretKeySelector `json:"credentials"`
	} `json:"authorization"`
}

// TestScrapeNeedsAuthorization scrapes the operator's secured metrics with a real
// Prometheus: with the shipped account, and with those of the documented bindings.
// Without its binding each account gets 403, and without a token Prometheus gets 401.
func TestScrapeNeedsAuthorization(t *testing.T) {
	t.Parallel() // it waits for the operator's cache of refusals
	e := &env{Env: harness.NewEnv(t, "loadBalancers: []\n")}
	for _, name := range []string{operatorNamespace, "monitoring"} {
		e.CreateNamespace(t, name)
	}
	shipped := e.kustomize(t, "prometheus")
	endpoint := endpointOf(t, shipped)
	own := object[rbacv1.ClusterRoleBinding](t, shipped, "ClusterRoleBinding")
	bindings := documentedBindings(t)
	if len(bindings) != 2 {
		t.Fatalf("%d bindings are documented", len(bindings))
	}

	address := harness.FreeAddressFor(t)
	e.StartOperator(t, "secured", "prometheus-test-key", "prometheus-test-secret", "--metrics-bind-address", address)
	shippedToken := e.secretToken(t, shipped, e.createAccount(t, own), endpoint)
	scrapes := []map[string]any{
		secured(t, endpoint, "anonymous", address, ""), secured(t, endpoint, own.Subjects[0].Name, address, shippedToken),
	}
	for _, binding := range bindings {
		account := e.createAccount(t, binding)
		scrapes = append(scrapes, secured(t, endpoint, account.Name, address, e.podToken(t, account)))
	}
	bindings = append(bindings, own)
	e.server = startServerWith(t, e.Folder, scrapes)

	e.expectScrapes(t, "401", "anonymous")
	for _, binding := range bindings {
		e.expectScrapes(t, "403", binding.Subjects[0].Name)
	}
	e.create(t, object[rbacv1.ClusterRole](t, e.kustomize(t, "default"), "ClusterRole", "slb-health-operator-metrics-reader"))
	for _, binding := range bindings {
		e.create(t, binding)
	}
	for _, binding := range bindings {
		e.expectScrapes(t, "", binding.Subjects[0].Name)
	}
	e.expectScrapes(t, "401", "anonymous")
	t.Run("a deleted Secret revokes its token", func(t *testing.T) { e.revoke(t, shippedToken) })
}

// TestDocumentedScrapeConfig checks the configuration of docs/alerting.md with
// promtool, and compares its job to the one that the alerts expect.
func TestDocumentedScrapeConfig(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(alertingPage)
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```yaml\n(scrape_configs:.*?)```").FindSubmatch(page)
	if len(block) != 2 || !bytes.Contains(block[1], []byte("job_name: "+mainJob+" ")) {
		t.Fatalf("%s has no scrape configuration of the job %s", alertingPage, mainJob)
	}
	folder := t.TempDir()
	token, config := filepath.Join(folder, "token"), filepath.Join(folder, "prometheus.yaml")
	// Debian's build has no discovery by Kubernetes.
	static := regexp.MustCompile(`kubernetes_sd_configs:\n {2}- .*\n {4}.*\n`).ReplaceAll(block[1], []byte("static_configs: []\n"))
	content := strings.Replace(string(static), "/var/run/secrets/kubernetes.io/serviceaccount/token", token, 1)
	for path, content := range map[string]string{token: "token", config: content} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), program(t, "promtool"), "check", "config", config).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// kustomize renders a folder of config/.
func (s *env) kustomize(t *testing.T, folder string) []unstructured.Unstructured {
	t.Helper()
	command := exec.CommandContext(t.Context(), s.Plane.Kubectl(), "kustomize", "../../config/"+folder)
	var stderr bytes.Buffer
	command.Stderr = &stderr
	manifests, err := command.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, &stderr)
	}
	return harness.ParseManifests(t, manifests)
}

// object finds the one object of a kind and, if given, of a name.
func object[T any](t *testing.T, manifests []unstructured.Unstructured, kind string, name ...string) *T {
	t.Helper()
	var found []*T
	for _, manifest := range manifests {
		if manifest.GetKind() != kind || (len(name) > 0 && manifest.GetName() != name[0]) {
			continue
		}
		typed := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(manifest.Object, typed, true); err != nil {
			t.Fatal(err)
		}
		found = append(found, typed)
	}
	if len(found) != 1 {
		t.Fatalf("%d of %s %q", len(found), kind, name)
	}
	return found[0]
}

// endpointOf reads the endpoint of the ServiceMonitor that ships.
func endpointOf(t *testing.T, manifests []unstructured.Unstructured) scrapeEndpoint {
	t.Helper()
	for _, manifest := range manifests {
		if manifest.GetKind() != "ServiceMonitor" {
			continue
		}
		var m struct {
			Spec struct {
				Endpoints []scrapeEndpoint `json:"endpoints"`
			} `json:"spec"`
		}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(manifest.Object, &m); err != nil || len(m.Spec.Endpoints) != 1 {
			t.Fatalf("%d endpoints, %v", len(m.Spec.Endpoints), err)
		}
		if file := m.Spec.Endpoints[0].BearerTokenFile; file != "" {
			t.Errorf("the ServiceMonitor reads the file %s of Prometheus", file)
		}
		return m.Spec.Endpoints[0]
	}
	t.Fatal("no ServiceMonitor")
	return scrapeEndpoint{}
}

// documentedBindings are the ClusterRoleBindings that the pages show.
func documentedBindings(t *testing.T) []*rbacv1.ClusterRoleBinding {
	t.Helper()
	var bindings []*rbacv1.ClusterRoleBinding
	for _, file := range []string{alertingPage, "../../docs/ack.md"} {
		page, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(page, -1) {
			if bytes.Contains(block[1], []byte("kind: ClusterRoleBinding")) {
				bindings = append(bindings, object[rbacv1.ClusterRoleBinding](t, harness.ParseManifests(t, block[1]), "ClusterRoleBinding"))
			}
		}
	}
	return bindings
}

// secured is the scrape configuration that the Prometheus Operator makes of the
// endpoint, with the value of the Secret.
func secured(t *testing.T, endpoint scrapeEndpoint, job, address, token string) map[string]any {
	t.Helper()
	config := scrapeConfigs(t, readMonitor(t), []replica{{job, "a", address}})[0]
	config["scheme"] = endpoint.Scheme
	config["tls_config"] = map[string]bool{"insecure_skip_verify": endpoint.TLSConfig.InsecureSkipVerify}
	if token != "" {
		config["authorization"] = map[string]string{"type": "Bearer", "credentials": token}
	}
	return config
}

func (s *env) create(t *testing.T, object client.Object) {
	t.Helper()
	if err := s.Client.Create(s.Ctx, object); err != nil {
		t.Fatal(err)
	}
}

// createAccount creates the ServiceAccount of a binding.
func (s *env) createAccount(t *testing.T, binding *rbacv1.ClusterRoleBinding) *corev1.ServiceAccount {
	t.Helper()
	if len(binding.Subjects) != 1 || binding.Subjects[0].Kind != rbacv1.ServiceAccountKind {
		t.Fatalf("subjects %v", binding.Subjects)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: binding.Subjects[0].Namespace, Name: binding.Subjects[0].Name}}
	s.create(t, account)
	return account
}

// podToken returns a token as the pods of an account have it.
func (s *env) podToken(t *testing.T, account *corev1.ServiceAccount) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{}
	if err := s.Client.SubResource("token").Create(s.Ctx, account, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

// secretToken creates the Secret that ships, with a token as kube-controller-manager
// writes it, and reads the token as the ServiceMonitor names it.
func (s *env) secretToken(t *testing.T, manifests []unstructured.Unstructured, account *corev1.ServiceAccount, endpoint scrapeEndpoint) string {
	t.Helper()
	secret := object[corev1.Secret](t, manifests, "Secret")
	if name := secret.Annotations[corev1.ServiceAccountNameKey]; secret.Type != corev1.SecretTypeServiceAccountToken || name != account.Name {
		t.Errorf("the Secret has the type %s, and is for %q", secret.Type, name)
	}
	token, err := s.Plane.SecretToken(account, secret.Name)
	if err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{corev1.ServiceAccountTokenKey: []byte(token)}
	s.create(t, secret)
	selected := endpoint.Authorization.Credentials
	var read corev1.Secret
	if err := s.Client.Get(s.Ctx, client.ObjectKey{Namespace: operatorNamespace, Name: selected.Name}, &read); err != nil {
		t.Fatal(err)
	}
	return string(read.Data[selected.Key])
}

// revoke deletes the Secret that ships: the API server then refuses its token.
func (s *env) revoke(t *testing.T, token string) {
	t.Helper()
	authenticated := func(g Gomega) bool {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		g.Expect(s.Client.Create(s.Ctx, review)).To(Succeed())
		return review.Status.Authenticated
	}
	NewWithT(t).Expect(authenticated(NewWithT(t))).To(BeTrue())
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: operatorNamespace, Name: "slb-health-operator-metrics-scraper-token"}}
	s.remove(t, secret)
	eventually(t, func(g Gomega) { g.Expect(authenticated(g)).To(BeFalse()) })
}

// expectScrapes waits until the scrapes of a job fail with a status; "": until they succeed.
func (s *env) expectScrapes(t *testing.T, status, job string) {
	t.Helper()
	eventually(t, func(g Gomega) {
		if status == "" {
			g.Expect(s.server.results(g, fmt.Sprintf(`up{job=%q} == 1`, job))).To(Equal(1), job)
			g.Expect(s.server.results(g, fmt.Sprintf(`go_goroutines{job=%q}`, job))).NotTo(BeZero())
			return
		}
		g.Expect(s.scrapeError(g, job)).To(ContainSubstring("HTTP status "+status), job)
	})
}

// scrapeError is the last error of the target of a job.
func (s *env) scrapeError(g Gomega, job string) string {
	var response struct {
		Data struct {
			ActiveTargets []struct {
				ScrapePool, LastError string
			}
		}
	}
	g.Expect(s.server.get("/api/v1/targets", &response)).Error().NotTo(HaveOccurred())
	for _, target := range response.Data.ActiveTargets {
		if strings.HasPrefix(target.ScrapePool, job+"/") {
			return target.LastError
		}
	}
	return ""
}
