// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"strconv"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// form is a value of one field of the spec.
type form struct {
	field, value string
}

func (f form) String() string {
	if len(f.value) > 70 {
		return f.field + " of " + strconv.Itoa(len(f.value)) + " bytes"
	}
	return f.field + ": " + f.value
}

func formsOf(field string, values ...string) []form {
	var forms []form
	for _, value := range values {
		forms = append(forms, form{field, value})
	}
	return forms
}

func quoted(values ...string) []string {
	for i := range values {
		values[i] = strconv.Quote(values[i])
	}
	return values
}

func join(tables ...[]form) (all []form) {
	for _, table := range tables {
		all = append(all, table...)
	}
	return all
}

func secretRef(name string) string { return `{"secretRef":{"name":` + strconv.Quote(name) + `}}` }

var accepted = join(
	formsOf("loadBalancerId", quoted(
		webID, "139a00604ad-cn-east-hangzhou-01", "lb_1", "L", "0", "-", "alb", "LB-Upper_Case-9", "lb-alb-1", "alb-5nzq1ty2d1kkbvx3v7", "nlb-83ckzc8d4xlp8o0yc1", strings.Repeat("a", 128),
	)...),
	formsOf("regionId", quoted(
		"cn-hangzhou", "cn-hangzhou-finance", "cn-shanghai-finance-1", "cn-north-2-gov-1", "cn-zhangjiakou", "us-west-1",
		"ap-southeast-1", "eu-central-1", "me-east-1", "rus-west-1", "cn-wulanchabu-acdr-1", "na-south-1",
		"cn-"+strings.Repeat("a", 60),
	)...),
	formsOf("listenerPort", "1", "443", "65535"),
	formsOf("listenerProtocol", quoted("tcp", "udp", "http", "https")...),
	formsOf("interval", quoted("5s", "30s", "90s", "1m30s", "5.5s", "5000ms", "60m", "1h", "0.5h", "0h5s")...),
	formsOf("suspend", "true", "false"),
	formsOf("healthPolicy", "{}",
		`{"minHealthy":0}`, `{"minHealthy":3}`, `{"minHealthy":2147483647}`,
		`{"minHealthy":"0%"}`, `{"minHealthy":"7%"}`, `{"minHealthy":"50%"}`, `{"minHealthy":"100%"}`,
		`{"unavailable":"Unknown"}`, `{"unavailable":"Healthy"}`, `{"unavailable":"Unhealthy"}`,
		`{"minHealthy":"50%","unavailable":"Healthy"}`),
	formsOf("credentials", secretRef("slb-reader"), secretRef("a"), secretRef("0.a-b.9"), secretRef(strings.Repeat("a", 253))),
)

// refusal is a form that the API server refuses, with the path and the advice of the error.
type refusal struct {
	form
	path, advice string
}

func refuse(path, advice string, forms []form) []refusal {
	var refusals []refusal
	for _, f := range forms {
		refusals = append(refusals, refusal{f, path, advice})
	}
	return refusals
}

const (
	adviceInterval   = "a duration from 5s to 1h, such as 30s, 1m30s or 1h"
	adviceMinHealthy = `a count of 0 or more such as 2, or a percentage from 0% to 100% such as "50%"`
	adviceProtocol   = `supported values: "tcp", "udp", "http", "https"`
	adviceSecret     = "lower case letters, digits, '-' and '.'"
)

var refused = flatten(
	refuse("spec.loadBalancerId", "Required value", formsOf("loadBalancerId", "null")),
	refuse("spec.loadBalancerId", "letters, digits, '-' and '_' only, such as lb-bp1qjwo61pqz3ahltv0mw", formsOf("loadBalancerId", quoted(
		"lb 1", " lb-1", "lb.1", "lb-1,lb-2", "lb-1\n", "lb-é")...)),
	refuse("spec.loadBalancerId", "should be at least 1 chars long", formsOf("loadBalancerId", `""`)),
	refuse("spec.loadBalancerId", "write the id of a CLB, NLB or ALB instance, such as lb-bp1qjwo61pqz3ahltv0mw",
		formsOf("loadBalancerId", quoted("gwlb-5nzq1ty2d1kkbvx3v7", "gwlb-")...)),
	refuse("spec.loadBalancerId", "may not be more than 128", formsOf("loadBalancerId", quoted(strings.Repeat("a", 129))...)),
	refuse("spec.loadBalancerId", "must be of type string", formsOf("loadBalancerId", "1", "true", "{}")),
	refuse("spec.regionId", "Required value", formsOf("regionId", "null")),
	refuse("spec.regionId", "in lower case, such as cn-hangzhou or ap-southeast-1", formsOf("regionId", quoted(
		"CN-HANGZHOU", "cn-Hangzhou", "hangzhou", "cn", "cn-", "cn-hangzhou-", "cn--hangzhou", "c-hangzhou", "china-hangzhou", "cn_hangzhou",
		"cn-hangzhou ", "cn.hangzhou", "", "oss-cn-hangzhou", "oss-cn-hangzhou-internal", "oss-accelerate", "img-cn-hangzhou", "mns-x", "cnx-a", "ru-a")...)),
	refuse("spec.regionId", "may not be more than 63", formsOf("regionId", quoted("cn-"+strings.Repeat("a", 61))...)),
	refuse("spec.listenerPort", "should be greater than or equal to 1", formsOf("listenerPort", "0", "-1")),
	refuse("spec.listenerPort", "should be less than or equal to 65535", formsOf("listenerPort", "65536")),
	refuse("spec.listenerPort", "must be of type int", formsOf("listenerPort", `"443"`, "443.5")),
	refuse("spec.listenerProtocol", adviceProtocol, formsOf("listenerProtocol", quoted("HTTPS", "Tcp", "sctp", "tls", "")...)),
	refuse("spec.interval", adviceInterval, formsOf("interval", quoted(
		"4s", "4.999s", "4999ms", "0s", "61m", "1h1s", "3601s", "1h0m0.001s", "30", "1d", "", "-30s", "+30s", "5 s", " 30s", "30S", "5s,", ".5m", "5.m",
		"5000000us", "99999999999h", "30s\n")...)),
	refuse("spec.interval", "may not be more than 32", formsOf("interval", quoted(strings.Repeat("1s", 17))...)),
	refuse("spec.interval", "must be of type string", formsOf("interval", "30")),
	refuse("spec.suspend", "must be of type boolean", formsOf("suspend", `"yes"`)),
	refuse("spec.healthPolicy.minHealthy", adviceMinHealthy, formsOf("healthPolicy",
		`{"minHealthy":-1}`, `{"minHealthy":2147483648}`, `{"minHealthy":"101%"}`, `{"minHealthy":"-5%"}`, `{"minHealthy":"50"}`,
		`{"minHealthy":"5 %"}`, `{"minHealthy":"05%"}`, `{"minHealthy":"%"}`, `{"minHealthy":""}`, `{"minHealthy":"1.5%"}`)),
	refuse("spec.healthPolicy.minHealthy", "must be of type", formsOf("healthPolicy", `{"minHealthy":1.5}`, `{"minHealthy":true}`)),
	refuse("spec.healthPolicy.unavailable", `supported values: "Healthy", "Unhealthy", "Unknown"`, formsOf("healthPolicy",
		`{"unavailable":"no"}`, `{"unavailable":"healthy"}`, `{"unavailable":""}`)),
	refuse("spec.credentials.secretRef", "Required value", formsOf("credentials", "{}")),
	refuse("spec.credentials.secretRef.name", "Required value", formsOf("credentials", `{"secretRef":{}}`)),
	refuse("spec.credentials.secretRef.name", "should be at least 1 chars long", formsOf("credentials", secretRef(""))),
	refuse("spec.credentials.secretRef.name", adviceSecret, formsOf("credentials",
		secretRef("SLB-reader"), secretRef("team/slb-reader"), secretRef("slb_reader"), secretRef("-slb"), secretRef("slb-"), secretRef("slb reader"))),
	refuse("spec.credentials.secretRef.name", "may not be more than 253", formsOf("credentials", secretRef(strings.Repeat("a", 254)))),
	refuse("spec.loadBalancerId", "serviceRef names the load balancer: remove loadBalancerId", formsOf("serviceRef", `{"name":"web"}`)),
	refuse("spec.regionId", "serviceRef names the load balancer: remove regionId", formsOf("serviceRef", `{"name":"web"}`)),
	refuse("spec.serviceRef.name", "lower case letters, digits and '-'", formsOf("serviceRef", `{"name":"Web"}`, `{"name":"a.b"}`, `{"name":"-a"}`, `{"name":"prod/web"}`)),
	refuse("spec.serviceRef.name", "should be at least 1 chars long", formsOf("serviceRef", `{"name":""}`)),
	refuse("spec.serviceRef.name", "may not be more than 63", formsOf("serviceRef", `{"name":"`+strings.Repeat("a", 64)+`"}`)),
	refuse("spec.serviceRef.namespace", "unknown field", formsOf("serviceRef", `{"name":"web","namespace":"b"}`)),
	refuse("spec.loadBalancerId", "ingressRef names the load balancer: remove loadBalancerId, or ingressRef", formsOf("ingressRef", `{"name":"web"}`)),
	refuse("spec.regionId", "ingressRef names the load balancer: remove regionId, or ingressRef", formsOf("ingressRef", `{"name":"web"}`)),
	refuse("spec.ingressRef.name", "must be the name of an Ingress in this namespace", formsOf("ingressRef", `{"name":"Web"}`, `{"name":"a..b"}`, `{"name":"-a"}`, `{"name":"prod/web"}`)),
	refuse("spec.ingressRef.name", "should be at least 1 chars long", formsOf("ingressRef", `{"name":""}`)),
	refuse("spec.ingressRef.name", "may not be more than 253", formsOf("ingressRef", `{"name":"`+strings.Repeat("a", 254)+`"}`)),
	refuse("spec.ingressRef.namespace", "unknown field", formsOf("ingressRef", `{"name":"web","namespace":"b"}`)),
	refuse("spec.intervall", "unknown field", formsOf("intervall", `"30s"`)),
	refuse("spec.LoadBalancerId", "unknown field", formsOf("LoadBalancerId", `"lb-1"`)),
	refuse("spec.healthPolicy.min", "unknown field", formsOf("healthPolicy", `{"min":1}`)),
	refuse("spec.credentials.secretRef.namespace", "unknown field", formsOf("credentials", `{"secretRef":{"name":"a","namespace":"b"}}`)),
)

func flatten(tables ...[]refusal) (all []refusal) {
	for _, table := range tables {
		all = append(all, table...)
	}
	return all
}

var _ = Describe("The spec", func() {
	It("is accepted in each form that the contract gives, when created and when edited", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(create(ctx, namespace, "edited", specWith(nil))).To(Succeed())
		for i, f := range accepted {
			Expect(create(ctx, namespace, "created-"+strconv.Itoa(i), specWith(fields{f.field: f.value}))).To(Succeed(), "create with %s", f)
			Expect(update(ctx, namespace, "edited", fields{f.field: f.value})).To(Succeed(), "update to %s", f)
		}
		var list v1alpha1.LoadBalancerHealthList
		Expect(typed.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		Expect(list.Items).To(HaveLen(len(accepted) + 1))
	})

	It("is refused in every other form with the field and advice, and a refused edit changes nothing", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(create(ctx, namespace, "edited", specWith(fields{
			"listenerPort": "443", "interval": `"1m"`, "healthPolicy": `{"minHealthy":2}`, "credentials": secretRef("slb-reader"),
		}))).To(Succeed())
		before := stored(ctx, namespace, "edited")
		for _, r := range refused {
			check := func(verb string, err error) {
				GinkgoHelper()
				Expect(err).To(HaveOccurred(), "%s with %s", verb, r.form)
				Expect(apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)).To(BeTrue(), "%s with %s: %v", verb, r.form, err)
				Expect(err.Error()).To(And(ContainSubstring(r.path), ContainSubstring(r.advice)), "%s with %s", verb, r.form)
			}
			check("create", create(ctx, namespace, "created", specWith(fields{r.field: r.value})))
			// A merge patch of {} changes nothing, so only create is refused.
			if r.value != "{}" && r.value != `{"secretRef":{}}` {
				check("update", update(ctx, namespace, "edited", fields{r.field: r.value}))
			}
		}
		Expect(stored(ctx, namespace, "edited")).To(Equal(before))
		var list v1alpha1.LoadBalancerHealthList
		Expect(typed.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		Expect(list.Items).To(HaveLen(1))
	})

	It("may name a Service in place of a load balancer and its region, and be edited from one to the other", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		service := specWith(fields{"loadBalancerId": "null", "regionId": "null", "serviceRef": `{"name":"web"}`})
		Expect(create(ctx, namespace, "service", service)).To(Succeed())
		Expect(read(ctx, namespace, "service").Spec.ServiceRef.Name).To(Equal("web"))
		Expect(update(ctx, namespace, "service", fields{"loadBalancerId": `"lb-1"`, "regionId": `"cn-hangzhou"`, "serviceRef": "null"})).To(Succeed())
		Expect(update(ctx, namespace, "service", fields{"loadBalancerId": "null", "regionId": "null", "serviceRef": `{"name":"0-web"}`})).To(Succeed())
	})

	It("may name an Ingress instead, but not also a Service", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		without := fields{"loadBalancerId": "null", "regionId": "null", "ingressRef": `{"name":"shop.example"}`}
		Expect(create(ctx, namespace, "ingress", specWith(without))).To(Succeed())
		Expect(read(ctx, namespace, "ingress").Spec.IngressRef.Name).To(Equal("shop.example"))
		Expect(update(ctx, namespace, "ingress", fields{"serviceRef": `{"name":"web"}`})).
			To(MatchError(And(ContainSubstring("spec.ingressRef"), ContainSubstring("serviceRef names the load balancer: remove ingressRef, or serviceRef"))))
		Expect(update(ctx, namespace, "ingress", fields{"ingressRef": "null"})).
			To(MatchError(And(ContainSubstring("spec.loadBalancerId: Required value"), ContainSubstring("or serviceRef or ingressRef instead of loadBalancerId and regionId"))))
		Expect(update(ctx, namespace, "ingress", fields{"ingressRef": "null", "serviceRef": `{"name":"web"}`})).To(Succeed())
	})

	It("is required", func(ctx SpecContext) {
		Expect(create(ctx, newNamespace(ctx), "web", []byte("null"))).To(MatchError(ContainSubstring("spec")))
	})

	DescribeTable("whole numbers written with a fraction do not break typed clients",
		func(ctx SpecContext, edits fields) {
			namespace := newNamespace(ctx)
			if err := create(ctx, namespace, "web", specWith(edits)); err != nil {
				Expect(apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			}
			var list v1alpha1.LoadBalancerHealthList
			Expect(typed.List(ctx, &list, client.InNamespace(namespace))).To(Succeed())
		},
		Entry("a port", fields{"listenerPort": "443.0"}),
		Entry("a port with an exponent", fields{"listenerPort": "4.43e2"}),
		Entry("a count", fields{"healthPolicy": `{"minHealthy":1.0}`}),
		Entry("a count with an exponent", fields{"healthPolicy": `{"minHealthy":1e3}`}),
	)

	It("has defaults, which an edit does not lose", func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(create(ctx, namespace, "least", specWith(nil))).To(Succeed())
		least := read(ctx, namespace, "least")
		Expect(least.Spec.Interval.Duration.String()).To(Equal("30s"))
		Expect(least.Spec.HealthPolicy).To(BeNil())
		Expect(least.Status.ObservedGeneration).To(BeEquivalentTo(-1))
		Expect(least.Generation).To(BeEquivalentTo(1))

		Expect(update(ctx, namespace, "least", fields{"healthPolicy": "{}", "interval": "null"})).To(Succeed())
		edited := read(ctx, namespace, "least")
		Expect(edited.Spec.Interval.Duration.String()).To(Equal("30s"))
		Expect(edited.Spec.HealthPolicy.MinHealthy.String()).To(Equal("1"))
		Expect(edited.Spec.HealthPolicy.Unavailable).To(Equal(v1alpha1.Unknown))
		Expect(edited.Generation).To(BeEquivalentTo(2))
	})
})

var _ = Describe("A Go client", func() {
	It("creates an object without naming an interval, and gets the default", func(ctx SpecContext) {
		object := &v1alpha1.LoadBalancerHealth{
			ObjectMeta: metav1.ObjectMeta{Namespace: newNamespace(ctx), Name: "web"},
			Spec:       v1alpha1.LoadBalancerHealthSpec{LoadBalancerID: webID, RegionID: "cn-hangzhou"},
		}
		Expect(typed.Create(ctx, object)).To(Succeed())
		Expect(object.Spec.Interval.Duration.String()).To(Equal("30s"))
		Expect(object.Status.ObservedGeneration).To(BeEquivalentTo(-1))

		object.Spec.Interval = metav1.Duration{}
		object.Spec.HealthPolicy = &v1alpha1.HealthPolicy{}
		Expect(typed.Update(ctx, object)).To(Succeed())
		Expect(object.Spec.Interval.Duration.String()).To(Equal("30s"))
		Expect(object.Spec.HealthPolicy.MinHealthy.IntValue()).To(Equal(1))
	})
})
