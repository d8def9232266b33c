// SPDX-License-Identifier: Apache-2.0

package rollouts

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	flaggerv1 "github.com/fluxcd/flagger/pkg/apis/flagger/v1beta1"
	"github.com/fluxcd/flagger/pkg/metrics/observers"
	"github.com/fluxcd/flagger/pkg/metrics/providers"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/harness"
	"github.com/lbhealth/slb-health-operator/test/rollout/standin"
)

const flaggerFile = "flagger.yaml"

// testFlagger runs the query of the example with Flagger's code.
func testFlagger(t *testing.T, s *suite) {
	f := s.newFlagger(t)
	f.expect(t, "the backends are normal", 1, nil)
	if err := f.lb.SetCheck(standin.Always(standin.Abnormal)); err != nil {
		t.Fatal(err)
	}
	f.expect(t, "the backends are abnormal", 0, nil)
	if err := f.lb.SetCheck(standin.Always(standin.Normal)); err != nil {
		t.Fatal(err)
	}
	f.expect(t, "they are normal again", 1, nil)

	f.hangSLB(t)
	f.expect(t, "the API of SLB hangs", 0, nil)
	if health, err := f.health(); err != nil || !isTrue(health.Status.Conditions, v1alpha1.ConditionReady) {
		t.Errorf("Ready is not True: %+v, %v", health.Status.Conditions, err)
	}
	deleteHealth(t, f.app)
	f.expect(t, "there is no series", 0, providers.ErrNoValuesFound)
	f.queries.Shut()
	if value, err := f.query(); err == nil || errors.Is(err, providers.ErrNoValuesFound) {
		t.Errorf("without Prometheus the query returns %v, %v", value, err)
	}
}

// flagger is the example with two primary pods.
type flagger struct {
	*app
	provider providers.Interface
	metric   flaggerv1.CanaryMetric
	rendered string
}

func (s *suite) newFlagger(t *testing.T) *flagger {
	t.Helper()
	objects := read(t, flaggerFile)
	service := harness.Only[corev1.Service](t, objects, "Service")
	health := harness.Only[v1alpha1.LoadBalancerHealth](t, objects, "LoadBalancerHealth")
	template := harness.Only[flaggerv1.MetricTemplate](t, objects, "MetricTemplate")
	canary := harness.Only[flaggerv1.Canary](t, objects, "Canary")
	f := &flagger{app: s.prepareApp(t, service.Name), metric: canary.Spec.Analysis.Metrics[0]}
	if ref := f.metric.TemplateRef; ref == nil || ref.Name != template.Name || canary.Namespace != template.Namespace || f.metric.ThresholdRange == nil {
		t.Fatalf("the metric of the Canary is %+v", f.metric)
	}
	hastenHealth(health)
	f.create(t, service)
	f.create(t, health)
	for i := range 2 {
		f.create(t, &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", canary.Name, i), Labels: map[string]string{"app": canary.Name + "-primary"}},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: v1}}},
		})
	}
	template.Spec.Provider.Address = "http://" + f.queries.Address
	var err error
	if f.provider, err = (providers.Factory{}).Provider(f.metric.Interval, template.Spec.Provider, nil, nil); err != nil {
		t.Fatal(err)
	}
	query := replaceOnce(t, template.Spec.Query, fileMaxAge, "< bool "+maxAge)
	f.rendered, err = observers.RenderQuery(query, flaggerv1.MetricTemplateModel{
		Name: canary.Name, Namespace: f.namespace, Target: canary.Spec.TargetRef.Name, Interval: f.metric.Interval, Variables: f.metric.TemplateVariables,
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *flagger) query() (float64, error) { return f.provider.RunQuery(f.rendered) }

// expect waits until the query returns a value or an error, and compares what Flagger
// makes of it: it advances if there is no error and the value is not below the range.
func (f *flagger) expect(t *testing.T, when string, value float64, failure error) {
	t.Helper()
	var got float64
	var err error
	timeout := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		got, err = f.query()
		return got == value && errors.Is(err, failure), nil
	})
	if timeout != nil {
		t.Fatalf("when %s: the query returns %v, %v", when, got, err)
	}
	if advances := err == nil && got >= *f.metric.ThresholdRange.Min; advances != (value == 1) {
		t.Errorf("when %s: Flagger advances: %v", when, advances)
	}
}
