// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// What the operator is compared with runs in processes of its own, so that CPU
// time and memory are read in the same way. The workers are subcommands of this
// program; a worker prints its result, if it has one, as JSON.
var workers = map[string]func(ctx context.Context, o workerOptions, out io.Writer) error{
	"caller":   callerWorker,
	"informer": informerWorker,
	"patcher":  patcherWorker,
	"textbook": textbookWorker,
}

// workerOptions are a worker's command line; each uses some of them.
type workerOptions struct {
	kubeconfig  string
	endpoint    string
	concurrency int
	count       int     // of patches
	rate        float64 // a second; 0: as fast as it goes
	duration    time.Duration
}

func runWorker(ctx context.Context, args []string, out io.Writer) error {
	work, ok := workers[args[0]]
	if !ok {
		return fmt.Errorf("%q is not a part of the benchmark", args[0])
	}
	var o workerOptions
	fs := flag.NewFlagSet(args[0], flag.ContinueOnError)
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "")
	fs.StringVar(&o.endpoint, "endpoint", "", "")
	fs.IntVar(&o.concurrency, "concurrency", operatorConcurrency, "")
	fs.IntVar(&o.count, "count", 1, "")
	fs.Float64Var(&o.rate, "rate", 0, "")
	fs.DurationVar(&o.duration, "duration", time.Second, "")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	return work(ctx, o, out)
}

// restConfig is without client-side rate limiting.
func (o workerOptions) restConfig() (*rest.Config, error) {
	config, err := clientcmd.BuildConfigFromFlags("", o.kubeconfig)
	if err != nil {
		return nil, err
	}
	config.QPS, config.Burst = -1, 0
	return config, nil
}

// host is the endpoint as the SDK wants it.
func (o workerOptions) host() (string, error) {
	parsed, err := url.Parse(o.endpoint)
	if err != nil {
		return "", err
	}
	return parsed.Host, nil
}

func accessKey() (id, secret string) {
	return os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_ID"), os.Getenv("ALIBABA_CLOUD_ACCESS_KEY_SECRET")
}
