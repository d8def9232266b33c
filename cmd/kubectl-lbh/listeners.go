// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// listenerKey identifies the listener of a backend, and its server group; "" for CLB.
type listenerKey struct {
	port            int32
	protocol, group string
}

func (k listenerKey) String() string {
	port := "?"
	if k.port != 0 {
		port = strconv.Itoa(int(k.port))
	}
	if k.protocol != "" {
		port += "/" + k.protocol
	}
	if k.group != "" {
		port += " " + k.group
	}
	return port
}

// listener is a listener of an object, or one of its server groups, with its backends
// in the status.
type listener struct {
	*v1alpha1.ListenerStatus
	backends []v1alpha1.BackendStatus
	missing  []v1alpha1.MissingBackend
	required int // healthy backends that the policy requires
}

func (l *listener) key() listenerKey { return listenerKey{l.Port, l.Protocol, l.ServerGroupID} }

// Columns that only the listeners of NLB and ALB have.
const (
	columnGroup  = "SERVER GROUP"
	columnUnused = "UNUSED"
)

// stateMissingListener is the state of a listener that the API no longer returns.
const stateMissingListener = "Missing"

// stateShown is whether a listener serves; "" where that is not known.
func (l *listener) stateShown() string {
	if l.MissingSince != nil {
		return stateMissingListener
	}
	return string(l.State)
}

// since is when the listener's health changed, or when a missing one was first
// missing; zero before the first change.
func (l *listener) since() time.Time {
	if at := cmp.Or(l.MissingSince, l.LastTransitionTime); at != nil {
		return at.Time
	}
	return time.Time{}
}

// listenersOf are the listeners of an object, the worst first.
func listenersOf(object *v1alpha1.LoadBalancerHealth) []listener {
	backends, missing := map[listenerKey][]v1alpha1.BackendStatus{}, map[listenerKey][]v1alpha1.MissingBackend{}
	for i := range object.Status.Backends {
		b := object.Status.Backends[i]
		key := keyOf(&b).listener
		backends[key] = append(backends[key], b)
	}
	for i := range object.Status.MissingBackends {
		b := object.Status.MissingBackends[i]
		key := listenerKey{port: b.ListenerPort, protocol: b.ListenerProtocol}
		missing[key] = append(missing[key], b)
	}
	listeners := make([]listener, 0, len(object.Status.Listeners))
	for i := range object.Status.Listeners {
		l := listener{ListenerStatus: &object.Status.Listeners[i]}
		if l.backends = backends[l.key()]; l.ServerGroupID == "" || l.Missing > 0 {
			l.missing = missing[listenerKey{port: l.Port, protocol: l.Protocol}]
		}
		l.required = object.Spec.HealthPolicy.Required(l.Backends + l.Missing)
		listeners = append(listeners, l)
	}
	slices.SortStableFunc(listeners, func(a, b listener) int {
		return cmp.Or(cmp.Compare(a.urgency(), b.urgency()), cmp.Compare(b.Abnormal+b.Missing, a.Abnormal+a.Missing))
	})
	return listeners
}

// byPort groups sorted listeners: those of one port and protocol are the server groups
// of one listener.
func byPort(listeners []listener) [][]listener {
	var ports [][]listener
	index := map[listenerKey]int{}
	for i := range listeners {
		key := listenerKey{port: listeners[i].Port, protocol: listeners[i].Protocol}
		at, known := index[key]
		if !known {
			at = len(ports)
			index[key], ports = at, append(ports, nil)
		}
		ports[at] = append(ports[at], listeners[i])
	}
	return ports
}

// urgencies are the verdicts, those that need more attention first.
var urgencies = []v1alpha1.Health{v1alpha1.Unhealthy, v1alpha1.Unknown, v1alpha1.Healthy}

// urgency is lower for a listener that needs more attention.
func (l *listener) urgency() int { return slices.Index(urgencies, l.Health) }

func newListenersCommand(o *options) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use: "listeners [NAME...]", Short: "The listeners of objects, the worst first", ValidArgsFunction: o.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "" && format != "wide" {
				return fmt.Errorf("-o %s: write -o wide, for every column in a narrow terminal; kubectl get lbh -o %s shows whole objects", format, format)
			}
			return runListeners(cmd.Context(), o, args, format == "wide")
		},
	}
	o.addFilters(c)
	c.Flags().BoolVar(&o.unhealthy, "unhealthy", false, "Show only the listeners that are not Healthy.")
	c.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Write rows alone, without a header.")
	c.Flags().StringVarP(&format, "output", "o", "", "Output format: wide, for every column in a narrow terminal.")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"wide"}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func runListeners(ctx context.Context, o *options, names []string, wide bool) error {
	c, err := o.client()
	if err != nil {
		return err
	}
	list, err := o.find(ctx, c, names)
	if err != nil {
		return err
	}
	items := o.items(list.Items)
	slices.SortStableFunc(items, compareItems)
	t := o.listenerTable(items, c.namespace == "")
	switch {
	case len(items) == 0:
		_, err = fmt.Fprintln(o.ErrOut, notFoundMessage(c.namespace))
	case len(t.rows) == 0:
		_, err = fmt.Fprintf(o.ErrOut, "Every listener of %s is Healthy.\n", plural(len(items), "object"))
	default:
		err = o.writeTable(t, wide)
	}
	return errors.Join(err, o.writeNotUpdated(items))
}

// writeNotUpdated warns of objects whose status is not current: the table shows
// what is stored.
func (o *options) writeNotUpdated(items []item) error {
	var errs []error
	for _, i := range items {
		if warning := o.notUpdated(i.object); warning != "" {
			_, err := fmt.Fprintf(o.ErrOut, "%s: %s The table shows the stored status.\n", sanitize(i.object.Name), warning)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// listenerTable is the table with a row for each listener of items, or each of its
// server groups, and one for an object without listeners. Without server groups it has
// no columns for them.
func (o *options) listenerTable(items []item, namespaces bool) *table {
	t := &table{}
	if namespaces {
		t.header = append(t.header, "NAMESPACE")
	}
	t.header = append(t.header, "NAME", "PORT", "PROTOCOL", columnGroup, "STATE", "HEALTH CHECK", "HEALTH", "SINCE", "NORMAL", "ABNORMAL", "UNAVAILABLE", columnUnused, "BACKENDS", "EXPECTED", "MISSING", "MIN HEALTHY")
	grouped := false
	for _, i := range items {
		var first []cell
		if namespaces {
			first = []cell{{text: i.object.Namespace}}
		}
		first = append(first, cell{text: i.object.Name})
		listeners := listenersOf(i.object)
		for at := range listeners {
			if !o.unhealthy || listeners[at].Health != v1alpha1.Healthy {
				grouped = grouped || listeners[at].ServerGroupID != ""
				t.rows = append(t.rows, append(slices.Clone(first), o.listenerCells(&listeners[at])...))
			}
		}
		if len(listeners) == 0 {
			t.rows = append(t.rows, append(first, i.cellsWithoutListener()...))
		}
	}
	if !grouped {
		t.drop(columnGroup)
		t.drop(columnUnused)
	}
	return t
}

func (o *options) listenerCells(l *listener) []cell {
	port := "-"
	if l.Port != 0 {
		port = strconv.Itoa(int(l.Port))
	}
	missing, unused := cell{text: "-"}, cell{text: "-"}
	if l.Expected != nil {
		missing = number(l.Missing, red)
	}
	if l.ServerGroupID != "" { // CLB does not report weights
		unused = number(l.Unused, faint)
	}
	return []cell{
		{text: port}, {text: cmp.Or(l.Protocol, "-")}, {text: cmp.Or(l.ServerGroupID, "-")}, {text: cmp.Or(l.stateShown(), "-")}, {text: cmp.Or(string(l.HealthCheck), "-")},
		{string(l.Health), healthColor(l.Health)}, {text: o.age(&metav1.Time{Time: l.since()})},
		number(l.Normal, plain), number(l.Abnormal, red), number(l.Unavailable, yellow), unused, number(l.Backends, plain),
		knownNumber(l.Expected, plain), missing, {text: strconv.Itoa(l.required)},
	}
}

// cellsWithoutListener say why an object has no listener.
func (i item) cellsWithoutListener() []cell {
	none := cell{text: "-"}
	r := i.options.rank(i.object)
	cells := slices.Repeat([]cell{none}, 15)
	cells[5], cells[6] = cell{r.label(), r.color()}, cell{text: i.options.age(&metav1.Time{Time: i.since()})}
	return cells
}
