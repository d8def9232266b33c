// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"context"
	"flag"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
)

// operatorUser is the user of the operators of this suite. It has the roles in
// config/rbac, config/service-discovery and config/backend-names, and no other.
const operatorUser = "slb-health-operator"

var (
	admin client.Client
	// operatorConfig is the config of operatorUser; traffic records its requests.
	operatorConfig *rest.Config
	traffic        = &trafficLog{conflicts: map[string]int{}, creations: map[string]int{}, patches: map[string]int{}}
	logs           = &logBuffer{}
	cloud          *fakeCloud
	// shared is the operator of the specs that need no operator of their own.
	shared *operator
)

// TestMain sets the logger before any test runs: if none is set within 30 s of the start,
// controller-runtime discards all logs.
func TestMain(m *testing.M) {
	var logging zap.Options
	flags := flag.NewFlagSet("operator", flag.ExitOnError)
	logging.BindFlags(flags)
	_ = flags.Parse([]string{"--zap-log-level=4"})
	logger := zap.New(zap.UseFlagOptions(&logging), zap.WriteTo(logs))
	ctrl.SetLogger(logger)
	klog.SetLogger(logger)
	os.Exit(m.Run())
}

func TestControllers(t *testing.T) {
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_ID", ownAccount.AccessKeyID)
	t.Setenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET", ownAccount.AccessKeySecret)
	t.Setenv("ALIBABA_CLOUD_SECURITY_TOKEN", "")
	RegisterFailHandler(Fail)
	RunSpecs(t, "Controllers")
}

var _ = BeforeSuite(func(ctx SpecContext) {
	EnforceDefaultTimeoutsWhenUsingContexts()
	SetDefaultEventuallyTimeout(30 * time.Second)
	SetDefaultEventuallyPollingInterval(20 * time.Millisecond)
	SetDefaultConsistentlyDuration(300 * time.Millisecond)
	SetDefaultConsistentlyPollingInterval(20 * time.Millisecond)
	logs.reset() // of the tests before

	cluster, err := harness.StartControlPlane(context.Background(), harness.ControlPlaneOptions{})
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() { Expect(cluster.Stop()).To(Succeed()) })
	admin, err = client.New(cluster.Config, client.Options{Scheme: newScheme()})
	Expect(err).NotTo(HaveOccurred())

	user, err := cluster.AddUser(envtest.User{Name: operatorUser})
	Expect(err).NotTo(HaveOccurred())
	operatorConfig = rest.CopyConfig(user.Config())
	operatorConfig.Wrap(traffic.wrap)
	grantRole(ctx, "../config/rbac/role.yaml")
	grantRole(ctx, "../config/service-discovery/role.yaml")
	grantRole(ctx, "../config/backend-names/role.yaml")

	cloud = newFakeCloud()
	server := httptest.NewServer(cloud.Server)
	DeferCleanup(server.Close)
	DeferCleanup(cloud.Close)
	cloud.url = server.URL

	shared = startOperator(settings{shard: "shared"})
})

var _ = AfterSuite(func() {
	if traffic == nil || admin == nil {
		return
	}
	Expect(traffic.refused()).To(BeEmpty(), "the role in config/rbac does not allow these requests")
	Expect(traffic.secretsOtherThanGet()).To(BeEmpty(), "Secrets are read one by one only")
	for _, account := range cloud.allAccounts() {
		Expect(logs.String()).NotTo(ContainSubstring(account.AccessKeySecret))
		Expect(logs.String()).NotTo(ContainSubstring(account.AccessKeyID))
	}
})

func newScheme() *runtime.Scheme {
	GinkgoHelper()
	scheme := runtime.NewScheme()
	Expect(clientgoscheme.AddToScheme(scheme)).To(Succeed())
	Expect(v1alpha1.AddToScheme(scheme)).To(Succeed())
	return scheme
}

// grantRole binds a role to the operators, and waits until its last rule applies.
func grantRole(ctx context.Context, file string) {
	GinkgoHelper()
	content, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	role := &rbacv1.ClusterRole{}
	Expect(yaml.UnmarshalStrict(content, role)).To(Succeed())
	Expect(role.Rules).NotTo(BeEmpty())
	Expect(admin.Create(ctx, role)).To(Succeed())
	Expect(admin.Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: operatorUser + ":" + role.Name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: operatorUser}},
	})).To(Succeed())
	rule := role.Rules[len(role.Rules)-1]
	Eventually(func(g Gomega) {
		review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
			User:               operatorUser,
			ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: last(rule.Verbs), Group: last(rule.APIGroups), Resource: last(rule.Resources)},
		}}
		g.Expect(admin.Create(ctx, review)).To(Succeed())
		g.Expect(review.Status.Allowed).To(BeTrue())
	}).Should(Succeed())
}

func last(words []string) string { return words[len(words)-1] }
