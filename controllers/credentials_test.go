// SPDX-License-Identifier: Apache-2.0

package controllers_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"sync"
	"time"

	"github.com/go-logr/logr/funcr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/controllers"
	"github.com/lbhealth/slb-health-operator/internal/alicloud"
	"github.com/lbhealth/slb-health-operator/internal/simulator"
)

func withSecret(name string) func(*v1alpha1.LoadBalancerHealth) {
	return func(o *v1alpha1.LoadBalancerHealth) {
		o.Spec.Credentials = &v1alpha1.Credentials{SecretRef: v1alpha1.SecretReference{Name: name}}
	}
}

// account is an account that may only call for this fixture's load balancer.
func (f fixture) account(secret string) simulator.Account {
	return simulator.Account{AccessKeyID: "LTAI" + f.namespace, AccessKeySecret: secret, Allow: []string{f.lb}}
}

// writeSecret creates or replaces the Secret slb-reader.
func (f fixture) writeSecret(ctx context.Context, account simulator.Account) {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: f.namespace, Name: "slb-reader"}}
	data := map[string][]byte{"accessKeyId": []byte(account.AccessKeyID), "accessKeySecret": []byte(account.AccessKeySecret)}
	if account.SecurityToken != "" {
		data["securityToken"] = []byte(account.SecurityToken)
	}
	if err := admin.Get(ctx, client.ObjectKeyFromObject(secret), secret); client.IgnoreNotFound(err) != nil {
		Fail(err.Error())
	} else if err == nil {
		secret.Data = data
		Expect(admin.Update(ctx, secret)).To(Succeed())
		return
	}
	secret.Data = data
	Expect(admin.Create(ctx, secret)).To(Succeed())
}

var _ = Describe("A Secret", func() {
	var f fixture
	BeforeEach(func(ctx SpecContext) {
		f = newFixture(ctx, shared)
		cloud.put(f.lb, https(1)...)
	})

	It("signs the calls of the objects that reference it, and the operator's own identity those of the others", func(ctx SpecContext) {
		account := f.account("a-secret-of-its-own")
		cloud.setAccount(account)
		f.writeSecret(ctx, account)
		f.observed(ctx, "other", withSecret("slb-reader"))
		Expect(cloud.lastCall(f.lb).AccessKeyID).To(Equal(account.AccessKeyID))
		f.observed(ctx, "own", nil)
		Expect(cloud.lastCall(f.lb).AccessKeyID).To(Equal(ownAccount.AccessKeyID))
	})

	It("may contain a security token", func(ctx SpecContext) {
		account := f.account("a-temporary-secret")
		account.SecurityToken = "a-security-token"
		cloud.setAccount(account)
		f.writeSecret(ctx, account)
		object := f.observed(ctx, "web", withSecret("slb-reader"))
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
	})

	It("that does not exist stalls without a call, and is used at once after it is created and an observation is requested", func(ctx SpecContext) {
		object := f.observed(ctx, "web", withSecret("slb-reader"))
		Expect(object).To(haveConditions("Ready False CredentialsNotFound", "Healthy Unknown Pending",
			"Observed False CredentialsNotFound", "Stalled True CredentialsNotFound"))
		Expect(message(object, "Stalled")).To(And(
			ContainSubstring("Secret "+f.namespace+"/slb-reader does not exist"), ContainSubstring("accessKeyId"), ContainSubstring("accessKeySecret")))
		Expect(cloud.CallCount(f.lb)).To(BeZero())

		account := f.account("created-later")
		cloud.setAccount(account)
		f.writeSecret(ctx, account)
		observe(ctx, object)
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
	})

	It("without one of its keys stalls with the key in the message", func(ctx SpecContext) {
		f.writeSecret(ctx, simulator.Account{AccessKeyID: "LTAIhalf", AccessKeySecret: " \n"})
		object := f.observed(ctx, "web", withSecret("slb-reader"))
		Expect(condition(object, "Stalled")).To(Equal("True CredentialsNotFound"))
		Expect(message(object, "Stalled")).To(ContainSubstring("Secret " + f.namespace + "/slb-reader has no value for the key accessKeySecret"))
	})

	It("that was rotated with its account is used at once after a refusal, in the same observation", func(ctx SpecContext) {
		cloud.setAccount(f.account("before-the-rotation"))
		f.writeSecret(ctx, f.account("before-the-rotation"))
		object := f.observed(ctx, "web", withSecret("slb-reader"))

		cloud.setAccount(f.account("after-the-rotation"))
		f.writeSecret(ctx, f.account("after-the-rotation"))
		observe(ctx, object)
		Expect(condition(object, "Observed")).To(Equal("True ObservationSucceeded"))
		calls := cloud.callsFor(f.lb)
		Expect(calls).To(HaveLen(3))
		Expect(calls[1].Outcome).To(Equal("SignatureDoesNotMatch"))
		expectEvents(ctx, object)
	})

	It("that is wrong stalls without its data in the message, and is used at once after it is fixed and an observation is requested", func(ctx SpecContext) {
		cloud.setAccount(f.account("the-right-one"))
		wrong := f.account("the-wrong-one")
		f.writeSecret(ctx, wrong)
		object := f.observed(ctx, "web", withSecret("slb-reader"))
		Expect(condition(object, "Stalled")).To(Equal("True InvalidCredentials"))
		Expect(message(object, "Stalled")).To(And(ContainSubstring("SignatureDoesNotMatch"), ContainSubstring("Secret "+f.namespace+"/slb-reader")))
		Expect(cloud.CallCount(f.lb)).To(Equal(1))
		Eventually(recordedEvents).WithContext(ctx).WithArguments(object).Should(HaveLen(1))
		events, err := recordedEvents(ctx, object)
		Expect(err).NotTo(HaveOccurred())
		Expect(message(object, "Stalled") + events[0]).NotTo(Or(ContainSubstring(wrong.AccessKeyID), ContainSubstring(wrong.AccessKeySecret)))

		f.writeSecret(ctx, f.account("the-right-one"))
		observe(ctx, object)
		Expect(condition(object, "Ready")).To(Equal("True AllBackendsNormal"))
	})

	It("is not logged, not even by a client with the highest verbosity", func(ctx SpecContext) {
		f.writeSecret(ctx, f.account("never-to-be-logged"))
		encoded := base64.StdEncoding.EncodeToString([]byte("never-to-be-logged"))
		var mu sync.Mutex
		var logged bytes.Buffer
		verbose := klog.NewContext(ctx, funcr.New(func(_, args string) {
			mu.Lock()
			defer mu.Unlock()
			logged.WriteString(args)
		}, funcr.Options{Verbosity: 10}))
		output := func() string {
			mu.Lock()
			defer mu.Unlock()
			return logged.String()
		}

		// JSON, which such a client logs as a whole.
		Expect(admin.Get(verbose, client.ObjectKey{Namespace: f.namespace, Name: f.namespace}, &v1alpha1.LoadBalancerHealth{})).NotTo(Succeed())
		Expect(output()).To(ContainSubstring(f.namespace))
		source := &controllers.SecretCredentials{Reader: admin, Now: time.Now}
		found, err := source.Credentials(verbose, alicloud.Account{Namespace: f.namespace, Name: "slb-reader"})
		Expect(err).NotTo(HaveOccurred())
		Expect(found.AccessKeySecret).To(Equal("never-to-be-logged"))
		Expect(output()).NotTo(Or(ContainSubstring(encoded), ContainSubstring("never-to-be-logged"), ContainSubstring("slb-reader")))
	})
})
