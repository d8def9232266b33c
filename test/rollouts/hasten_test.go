// SPDX-License-Identifier: Apache-2.0

package rollouts

import (
	"strings"
	"testing"
	"time"

	rolloutsv1 "github.com/argoproj/argo-rollouts/pkg/apis/rollouts/v1alpha1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// The examples with shorter times, in the same order: the interval is shorter than the
// age that an observation may have, and a query's delay is longer than that age and the
// registration. Nothing else changes.
const (
	interval        = 5 * time.Second // of observations
	registration    = 5 * time.Second
	queryDelay      = "24s"
	requestDelay    = "10s"
	maxAge          = "12"
	measureInterval = "1s"
	count           = 25
	requestTimeout  = "--timeout=10s"
	waitTimeout     = "--timeout=30s"
	// progressDeadline is in seconds, and longer than a pod needs to become Ready.
	progressDeadline = 45
)

func hastenHealth(health *v1alpha1.LoadBalancerHealth) {
	health.Spec.Interval = metav1.Duration{Duration: interval}
}

func hastenRollout(t *testing.T, r *rolloutsv1.Rollout) {
	t.Helper()
	if canary := r.Spec.Strategy.Canary; canary != nil {
		if r.Spec.ProgressDeadlineSeconds == nil || !r.Spec.ProgressDeadlineAbort {
			t.Fatal("a pod that does not become Ready does not abort the Rollout")
		}
		*r.Spec.ProgressDeadlineSeconds = progressDeadline
	}
}

func (a *app) hastenAnalysis(t *testing.T, template *rolloutsv1.AnalysisTemplate) *rolloutsv1.AnalysisTemplate {
	t.Helper()
	if len(template.Spec.Metrics) != 1 {
		t.Fatalf("%d metrics", len(template.Spec.Metrics))
	}
	metric := &template.Spec.Metrics[0]
	switch {
	case metric.Provider.Prometheus != nil:
		p := metric.Provider.Prometheus
		p.Address, p.Timeout = "http://"+a.queries.Address, new(int64(1))
		p.Query = replaceOnce(t, p.Query, fileMaxAge, "< bool "+maxAge)
		metric.InitialDelay = rolloutsv1.DurationString(replaceOnce(t, string(metric.InitialDelay), "75s", queryDelay))
		metric.Interval, metric.Count = measureInterval, new(intstr.FromInt32(count))
	case metric.Provider.Job != nil:
		pod := &metric.Provider.Job.Spec.Template.Spec
		metric.InitialDelay = rolloutsv1.DurationString(replaceOnce(t, string(metric.InitialDelay), "30s", requestDelay))
		request, wait := pod.InitContainers[0].Args, pod.Containers[0].Args
		request[len(request)-1] = replaceOnce(t, request[len(request)-1], "--timeout=1m", requestTimeout)
		wait[len(wait)-1] = replaceOnce(t, wait[len(wait)-1], "--timeout=5m", waitTimeout)
	default:
		t.Fatal("the analysis has neither Prometheus nor a Job")
	}
	return template
}

// fileMaxAge is the end of the queries in the files.
const fileMaxAge = "< bool 45"

func replaceOnce(t *testing.T, text, before, after string) string {
	t.Helper()
	if strings.Count(text, before) != 1 {
		t.Fatalf("%q does not have %q once", text, before)
	}
	return strings.Replace(text, before, after, 1)
}

// useJob replaces the analysis by the one of a Job, as the page describes.
func useJob(t *testing.T, r *rolloutsv1.Rollout) {
	t.Helper()
	var analyses []*rolloutsv1.RolloutAnalysis
	if strategy := r.Spec.Strategy.BlueGreen; strategy != nil {
		analyses = append(analyses, strategy.PostPromotionAnalysis)
	} else {
		for i := range r.Spec.Strategy.Canary.Steps {
			if analysis := r.Spec.Strategy.Canary.Steps[i].Analysis; analysis != nil {
				analyses = append(analyses, analysis)
			}
		}
	}
	if len(analyses) == 0 {
		t.Fatal("no analysis")
	}
	for _, analysis := range analyses {
		analysis.Args, analysis.Templates = nil, []rolloutsv1.AnalysisTemplateRef{{TemplateName: "slb-health-wait"}}
	}
}
