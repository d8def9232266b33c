// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"io"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/slb"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
	"github.com/lbhealth/slb-health-operator/test/perf/bench/textbook"
)

// textbookWorker runs the reconciler of package textbook, with as many workers
// as the operator has.
func textbookWorker(ctx context.Context, o workerOptions, _ io.Writer) error {
	config, err := o.restConfig()
	if err != nil {
		return err
	}
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}, HealthProbeBindAddress: "0",
	})
	if err != nil {
		return err
	}
	reconciler := &textbook.Reconciler{Client: mgr.GetClient(), Clients: make(chan *slb.Client, o.concurrency)}
	for range o.concurrency {
		client, err := o.newClient()
		if err != nil {
			return err
		}
		reconciler.Clients <- client
	}
	if err := reconciler.SetupWithManager(mgr); err != nil {
		return err
	}
	return mgr.Start(ctx)
}

func (o workerOptions) newClient() (*slb.Client, error) {
	host, err := o.host()
	if err != nil {
		return nil, err
	}
	client, err := slb.NewClientWithOptions(region, sdk.NewConfig().WithScheme("HTTPS"), credentials.NewStaticAKCredentialsProvider(accessKey()))
	if err != nil {
		return nil, err
	}
	client.Domain = host
	return client, nil
}
