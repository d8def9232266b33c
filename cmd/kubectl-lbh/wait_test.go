// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

func TestEachCommandHasItsOwnTimeout(t *testing.T) {
	t.Parallel()

	streams, _, _, _ := genericiooptions.NewTestIOStreams()
	found := 0
	for _, c := range newCommand(streams).Commands() {
		if flag := c.Flags().Lookup("timeout"); flag != nil {
			found++
			if flag.Value.String() != flag.DefValue {
				t.Errorf("%s has the default timeout %s in its help, but %s in fact", c.Name(), flag.DefValue, flag.Value)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d commands have a timeout", found)
	}
}

func kindOf(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind}
}

// An object may be deleted after the read and before the watch, which then has no event.
func TestWaitFailsForObjectDeletedBeforeTheWatch(t *testing.T) {
	t.Parallel()

	web := object("web", conditions("False", v1alpha1.ReasonBelowMinHealthy, "True", v1alpha1.ReasonObservationSucceeded), "abnormal")
	web.TypeMeta = kindOf("LoadBalancerHealth")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var response any = &v1alpha1.LoadBalancerHealthList{TypeMeta: kindOf("LoadBalancerHealthList"), Items: []v1alpha1.LoadBalancerHealth{}}
		switch {
		case strings.HasSuffix(r.URL.Path, "/web"):
			response = web
		case r.URL.Query().Has("watch"):
			http.Error(w, "no watch here", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(response)
	}))
	t.Cleanup(server.Close)
	o, _ := newOptions()
	o.flags.APIServer = &server.URL
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := runWait(ctx, o, "web", "healthy", 20*time.Second); err == nil || err.Error() != "web was deleted" {
		t.Error(err)
	}
}
