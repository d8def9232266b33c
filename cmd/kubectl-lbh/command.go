// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// options are the flags and streams that subcommands share.
type options struct {
	genericiooptions.IOStreams
	flags         *genericclioptions.ConfigFlags
	allNamespaces bool
	selector      string
	fieldSelector string
	product       string
	contexts      []string
	unhealthy     bool
	sortBy        string
	noHeaders     bool
	watch         bool
	allBackends   bool
	color         string
	heartbeat     time.Duration
	connection    *connection
	now           func() time.Time
}

func newCommand(streams genericiooptions.IOStreams) *cobra.Command {
	o := &options{IOStreams: streams, flags: genericclioptions.NewConfigFlags(false), now: time.Now}
	root := newFleetCommand(o)
	root.SetIn(streams.In)
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	root.Version = version
	root.SilenceErrors, root.SilenceUsage = true, true
	o.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&o.color, "color", "auto", "Colour: auto (on a terminal, unless NO_COLOR is set), always or never.")
	root.PersistentFlags().DurationVar(&o.heartbeat, "status-heartbeat", defaultHeartbeat, "The operator's --status-heartbeat. A status that was not updated for longer than this plus an interval is not current.")
	_ = root.RegisterFlagCompletionFunc("color", cobra.FixedCompletions([]string{"auto", "always", "never"}, cobra.ShellCompDirectiveNoFileComp))
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains([]string{"auto", "always", "never"}, o.color) {
			return fmt.Errorf("--color=%s: write auto, always or never", o.color)
		}
		return nil
	}
	root.AddCommand(newTreeCommand(o), newListenersCommand(o), newHistoryCommand(o), newWatchCommand(o), newWaitCommand(o), newRefreshCommand(o), newGatesCommand(o))
	o.addContexts(root)
	return root
}

func newFleetCommand(o *options) *cobra.Command {
	printing := genericclioptions.NewPrintFlags("").WithTypeSetter(scheme)
	c := &cobra.Command{
		Use:   "kubectl-lbh [NAME...]",
		Short: "The health of load balancers, worst first",
		Example: `  kubectl lbh                 every LoadBalancerHealth of the namespace, worst first
  kubectl lbh -A -o wide      of all namespaces, with the message of each
  kubectl lbh -A --unhealthy  only those that are not Ready
  kubectl lbh --sort-by since what changed last
  kubectl lbh --contexts all  of several contexts, in one table
  kubectl lbh listeners       the listeners of every object
  kubectl lbh tree web        what is abnormal or missing, since when, and why
  kubectl lbh history web     when its health changed, and why
  kubectl lbh watch -A        the table, live, and the changes
  kubectl lbh wait web        until it is healthy
  kubectl lbh refresh web     observe it now, and show the result
  kubectl lbh gates           readiness gates that are closed, and why`,
		Annotations:       map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl lbh"},
		Args:              cobra.ArbitraryArgs, // names of objects, not misspelt commands
		ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			format := *printing.OutputFormat
			switch {
			case cmd.Flags().Changed("contexts"):
				return runContexts(cmd.Context(), o, format, args)
			case o.watch && format != "" && format != "wide":
				return fmt.Errorf("-o %s with --watch: the live table has no other format: write -o wide, or kubectl get lbh --watch -o %s", format, format)
			case o.watch:
				return runWatch(cmd.Context(), o, args, format == "wide")
			}
			return runFleet(cmd.Context(), o, printing, args)
		},
	}
	o.addFilters(c)
	o.addRows(c)
	c.Flags().BoolVarP(&o.watch, "watch", "w", false, "Show the table, live, and the changes, as kubectl lbh watch does.")
	c.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Write rows alone: no header, and no summary.")
	printing.AddFlags(c)
	c.Flags().Lookup("output").Usage = strings.Replace(c.Flags().Lookup("output").Usage, "One of: (", "One of: (wide, ", 1)
	return c
}

func newTreeCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "tree NAME", Short: "Listeners and backends of one object, the abnormal and missing first, and why", Args: exactlyOneName, ValidArgsFunction: o.completeName,
		RunE: func(cmd *cobra.Command, args []string) error { return runTree(cmd.Context(), o, args[0]) },
	}
	c.Flags().BoolVar(&o.allBackends, "all", false, fmt.Sprintf("Show every backend of the status, not the first %d of each listener.", maxTreeBackends))
	return c
}

func newHistoryCommand(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "history NAME", Short: "The last changes of one object's health, the newest first", Args: exactlyOneName, ValidArgsFunction: o.completeName,
		RunE: func(cmd *cobra.Command, args []string) error { return runHistory(cmd.Context(), o, args[0]) },
	}
}

func newWatchCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "watch [NAME...]", Short: "The table, live, and the changes", ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error { return runWatch(cmd.Context(), o, args, false) },
	}
	o.addFilters(c)
	o.addRows(c)
	return c
}

func newWaitCommand(o *options) *cobra.Command {
	var condition string
	var timeout time.Duration
	c := &cobra.Command{
		Use: "wait NAME", Short: "Wait until an object is healthy or stalled, and show the progress", Args: exactlyOneName, ValidArgsFunction: o.completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runWait(cmd.Context(), o, args[0], condition, timeout)
		},
	}
	c.Flags().StringVar(&condition, "for", "healthy", "Condition to wait for: healthy, ready or observed.")
	_ = c.RegisterFlagCompletionFunc("for", cobra.FixedCompletions([]string{"healthy", "ready", "observed"}, cobra.ShellCompDirectiveNoFileComp))
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "The longest time to wait.")
	return c
}

func newRefreshCommand(o *options) *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use: "refresh NAME", Short: "Observe one object now, and show the result", Args: exactlyOneName, ValidArgsFunction: o.completeName,
		RunE: func(cmd *cobra.Command, args []string) error { return runRefresh(cmd.Context(), o, args[0], timeout) },
	}
	c.Flags().DurationVar(&timeout, "timeout", time.Minute, "The longest time to wait for the observation.")
	return c
}

func newGatesCommand(o *options) *cobra.Command {
	c := &cobra.Command{
		Use: "gates [SERVICE...]", Short: "Readiness gates that are closed, and why, the longest first",
		RunE: func(cmd *cobra.Command, args []string) error { return runGates(cmd.Context(), o, args) },
	}
	c.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Show the gates of all namespaces.")
	c.AddCommand(&cobra.Command{
		Use: "open SERVICE", Short: "Open the gates of the pods that exist, whatever their health; the operator need not run",
		Long: "Open the gates of the pods that exist, whatever their health; the operator need not run.\nPods that are created later wait again, unless the Service has the label " +
			v1alpha1.ReadinessGateLabel + "=" + v1alpha1.ReadinessGateOff + ".",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return errors.New("write the name of one Service")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return runOpenGates(cmd.Context(), o, args[0]) },
	})
	return c
}

func (o *options) addFilters(c *cobra.Command) {
	c.Flags().BoolVarP(&o.allNamespaces, "all-namespaces", "A", false, "Show the objects of all namespaces.")
	c.Flags().StringVarP(&o.selector, "selector", "l", "", "Label selector, such as team=web.")
	c.Flags().StringVar(&o.fieldSelector, "field-selector", "", "Field selector, such as metadata.name!=web.")
	c.Flags().StringVar(&o.product, "product", "", "Product of the load balancer: "+strings.Join(products, ", ")+". Default: all.")
	_ = c.RegisterFlagCompletionFunc("product", cobra.FixedCompletions(products, cobra.ShellCompDirectiveNoFileComp))
}

// products are the values of --product.
var products = []string{v1alpha1.ProductCLB, v1alpha1.ProductNLB, v1alpha1.ProductALB}

// selects returns whether an object is of --product.
func (o *options) selects(object *v1alpha1.LoadBalancerHealth) bool {
	return o.product == "" || o.product == productOf(object)
}

// addRows adds the flags that say which rows a table has, and in which order.
func (o *options) addRows(c *cobra.Command) {
	c.Flags().BoolVar(&o.unhealthy, "unhealthy", false, "Show only the objects that are not Ready, or whose status is not current.")
	o.addSortBy(c)
}

// filter are the list options of --selector and --field-selector.
func (o *options) filter() metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: o.selector, FieldSelector: o.fieldSelector}
}

// validateSelection returns an error for names together with -A or a selector, and for
// an unknown product.
func (o *options) validateSelection(names []string) error {
	if len(names) > 0 && (o.allNamespaces || o.product != "" || o.filter() != metav1.ListOptions{}) {
		return errors.New("write either names or -A, -l, --field-selector and --product")
	}
	if o.product != "" && !slices.Contains(products, o.product) {
		return fmt.Errorf("--product=%s: write %s", o.product, strings.Join(products, ", "))
	}
	return nil
}

func exactlyOneName(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("write the name of one LoadBalancerHealth")
	}
	return nil
}

// completeName completes the name of the only object of a command.
func (o *options) completeName(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return o.completeNames(cmd, args, prefix)
}

// completeNames completes the names of objects that the arguments lack.
func (o *options) completeNames(cmd *cobra.Command, args []string, prefix string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, err := o.client()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	list, err := c.list(cmd.Context(), metav1.ListOptions{})
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []cobra.Completion
	for i := range list.Items {
		if name := list.Items[i].Name; strings.HasPrefix(name, prefix) && !slices.Contains(args, name) {
			names = append(names, cobra.CompletionWithDesc(name, o.reasonShown(&list.Items[i])))
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
