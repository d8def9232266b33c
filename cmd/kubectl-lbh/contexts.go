// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

const (
	// allContexts selects every context of the kubeconfig.
	allContexts = "all"
	// maxConcurrentContexts bounds the API servers that are listed at the same time.
	maxConcurrentContexts = 16
	// contextTimeout bounds the request to one API server, unless --request-timeout does.
	contextTimeout = 30 * time.Second
)

// cluster is the cluster of a context, with its objects or an error.
type cluster struct {
	context string
	options *options // for the clock of this API server
	client  *client
	objects []v1alpha1.LoadBalancerHealth
	err     error
}

// failures are errors that main shows one by one.
type failures []error

func (f failures) Error() string { return errors.Join(f...).Error() }

// addContexts adds --contexts to the root command. The subcommands refuse the flag
// with a remedy, and their help does not show it.
func (o *options) addContexts(root *cobra.Command) {
	root.Flags().StringSliceVar(&o.contexts, "contexts", nil, "Show the objects of several contexts of the kubeconfig in one table: names, separated by commas, or all.")
	_ = root.RegisterFlagCompletionFunc("contexts", o.completeContexts)
	for _, c := range root.Commands() {
		c.Flags().StringSlice("contexts", nil, "")
		_ = c.Flags().MarkHidden("contexts")
		c.PreRunE = func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("contexts") {
				return fmt.Errorf("%s has no --contexts: write --context and the name of one", cmd.CommandPath())
			}
			return nil
		}
	}
}

// validateContexts returns an error for flags that select one cluster, and for a
// format in which an object has no context.
func (o *options) validateContexts(format string) error {
	switch {
	case o.watch:
		return errors.New("write either --watch or --contexts: the live table shows one cluster; write --context and the name of one")
	case *o.flags.Context != "":
		return errors.New("write either --contexts or --context")
	case *o.flags.ClusterName != "" || *o.flags.APIServer != "":
		return errors.New("write either --contexts or --cluster and --server: each context has its own cluster")
	}
	if !slices.Contains([]string{"", "wide", "name"}, format) {
		return fmt.Errorf("-o %s with --contexts: an object in this format has no context: write --context instead, once for each", format)
	}
	return nil
}

// contextNames are the contexts of --contexts, each of them once.
func (o *options) contextNames() ([]string, error) {
	var names []string
	for _, name := range o.contexts {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0 || slices.Contains(names, ""):
		return nil, errors.New("--contexts: write names of contexts, separated by commas, or all")
	case !slices.Contains(names, allContexts):
		return names, nil
	case len(names) > 1:
		return nil, errors.New("--contexts: write either names or all")
	}
	names, err := o.knownContexts()
	if err == nil && len(names) == 0 {
		err = errors.New("--contexts=all: the kubeconfig has no contexts")
	}
	return names, err
}

// knownContexts are the contexts of the kubeconfig, sorted.
func (o *options) knownContexts() ([]string, error) {
	config, err := o.flags.ToRawKubeConfigLoader().RawConfig()
	return slices.Sorted(maps.Keys(config.Contexts)), err
}

// clusters returns the clusters of contexts, without their objects. The kubeconfig
// of one that cannot be used is an error of this one.
func (o *options) clusters(contexts []string) []*cluster {
	defer func(original string) { *o.flags.Context = original }(*o.flags.Context)
	clusters := make([]*cluster, 0, len(contexts))
	for _, name := range contexts {
		*o.flags.Context = name
		own := *o
		c := &cluster{context: name, options: &own}
		c.client, c.err = own.client()
		clusters = append(clusters, c)
	}
	return clusters
}

// load reads the objects of every cluster, a bounded number at the same time.
func load(ctx context.Context, clusters []*cluster, names []string) {
	slots := make(chan struct{}, maxConcurrentContexts)
	var running sync.WaitGroup
	for _, c := range clusters {
		if c.err != nil {
			continue
		}
		running.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			c.load(ctx, names)
		})
	}
	running.Wait()
}

func (c *cluster) load(ctx context.Context, names []string) {
	if c.client.timeout == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, contextTimeout)
		defer cancel()
	}
	list, err := c.options.find(ctx, c.client, names)
	if c.err = err; err == nil {
		c.objects = list.Items
	}
}

// runContexts shows the objects of several contexts, and then the contexts that failed.
func runContexts(ctx context.Context, o *options, format string, names []string) error {
	if err := o.validateContexts(format); err != nil {
		return err
	}
	if err := o.validateSelection(names); err != nil {
		return err
	}
	if _, err := o.sortPath(); err != nil {
		return err
	}
	contexts, err := o.contextNames()
	if err != nil {
		return err
	}
	clusters := o.clusters(contexts)
	load(ctx, clusters, names)
	var failed failures
	var items []item
	for _, c := range clusters {
		if c.err != nil {
			failed = append(failed, fmt.Errorf("context %s: %w", c.context, c.err))
		}
		for i := range c.objects {
			items = append(items, item{c.context, c.options, &c.objects[i]})
		}
	}
	selected, err := o.selectItems(items)
	if err == nil {
		err = showContexts(o, clusters, selected, format)
	}
	if err != nil || len(failed) == 0 {
		return err
	}
	return failed
}

// showContexts writes the table of a selection, or its names.
func showContexts(o *options, clusters []*cluster, s selection, format string) error {
	if format == "name" {
		return writeNames(o, s.shown)
	}
	if len(s.all) == 0 && !slices.ContainsFunc(clusters, func(c *cluster) bool { return c.err == nil }) {
		return nil // the errors say why
	}
	namespace, same := commonNamespace(clusters)
	return o.writeFleet(s, namespace, optionalColumns{contexts: true, namespaces: !same || namespace == "", wide: format == "wide"})
}

// commonNamespace is the namespace that the clients of all contexts read, "" for all
// namespaces, and whether they read the same.
func commonNamespace(clusters []*cluster) (namespace string, same bool) {
	first := true
	for _, c := range clusters {
		switch {
		case c.client == nil:
		case first:
			namespace, first = c.client.namespace, false
		case namespace != c.client.namespace:
			return "", false
		}
	}
	return namespace, true
}

// writeNames writes the arguments with which kubectl finds each object, one object a line.
func writeNames(o *options, items []item) error {
	var text strings.Builder
	for _, i := range items {
		arguments := fmt.Sprintf("--context=%s --namespace=%s loadbalancerhealth.%s/%s", i.context, i.object.Namespace, v1alpha1.GroupVersion.Group, i.object.Name)
		text.WriteString(sanitize(arguments) + "\n")
	}
	_, err := fmt.Fprint(o.Out, text.String())
	return err
}

// completeContexts completes the last name of a list of contexts.
func (o *options) completeContexts(_ *cobra.Command, _ []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
	known, err := o.knownContexts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	listed, prefix := "", text
	if i := strings.LastIndexByte(text, ','); i >= 0 {
		listed, prefix = text[:i+1], text[i+1:]
	} else {
		known = append(known, allContexts)
	}
	var found []cobra.Completion
	for _, name := range known {
		if strings.HasPrefix(name, prefix) && !slices.Contains(strings.Split(listed, ","), name) {
			found = append(found, listed+name)
		}
	}
	return found, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
