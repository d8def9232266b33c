// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// rank orders objects, the most urgent first.
type rank int

const (
	unhealthy rank = iota
	stalled
	notUpdated // a running operator would have updated the status
	unknown
	failing // healthy by the last observation, but newer ones failed
	partly  // healthy, though not every backend is normal
	pending
	healthy
	suspended
)

// rank is the rank of an object, whose status may be old.
func (o *options) rank(object *v1alpha1.LoadBalancerHealth) rank {
	if o.notUpdated(object) != "" {
		return notUpdated
	}
	return rankOf(object)
}

// rankOf is the rank of an object by its status.
func rankOf(object *v1alpha1.LoadBalancerHealth) rank {
	verdict, reason := statusOf(object, v1alpha1.ConditionHealthy), reasonOf(object, v1alpha1.ConditionHealthy)
	switch {
	case verdict == metav1.ConditionFalse:
		return unhealthy
	case statusOf(object, v1alpha1.ConditionStalled) == metav1.ConditionTrue:
		return stalled
	case reason == v1alpha1.ReasonSuspended:
		return suspended
	case reason == v1alpha1.ReasonPending || reason == "":
		return pending
	case verdict == metav1.ConditionUnknown:
		return unknown
	case statusOf(object, v1alpha1.ConditionObserved) == metav1.ConditionFalse:
		return failing
	case reason == v1alpha1.ReasonMinHealthyMet:
		return partly
	default:
		return healthy
	}
}

// label is the rank in the column HEALTH.
func (r rank) label() string {
	switch r {
	case unhealthy:
		return "Unhealthy"
	case stalled:
		return "Stalled"
	case notUpdated, unknown:
		return "Unknown"
	case pending:
		return "Pending"
	case suspended:
		return "Suspended"
	default:
		return "Healthy"
	}
}

func (r rank) color() color {
	switch r {
	case unhealthy, stalled:
		return red
	case notUpdated, unknown, failing, partly:
		return yellow
	case healthy:
		return green
	default:
		return faint
	}
}

func statusOf(object *v1alpha1.LoadBalancerHealth, kind string) metav1.ConditionStatus {
	if c := meta.FindStatusCondition(object.Status.Conditions, kind); c != nil {
		return c.Status
	}
	return metav1.ConditionUnknown
}

func reasonOf(object *v1alpha1.LoadBalancerHealth, kind string) string {
	if c := meta.FindStatusCondition(object.Status.Conditions, kind); c != nil {
		return c.Reason
	}
	return ""
}

func messageOf(object *v1alpha1.LoadBalancerHealth, kind string) string {
	if c := meta.FindStatusCondition(object.Status.Conditions, kind); c != nil {
		return c.Message
	}
	return ""
}

// item is an object in a table.
type item struct {
	context string   // with --contexts
	options *options // for the clock of the object's API server
	object  *v1alpha1.LoadBalancerHealth
}

// compareItems orders by rank, then by the number of abnormal backends, then by name.
func compareItems(a, b item) int {
	return cmp.Or(
		cmp.Compare(a.options.rank(a.object), b.options.rank(b.object)),
		-cmp.Compare(summaryOf(a.object).Abnormal, summaryOf(b.object).Abnormal),
		cmp.Compare(a.context, b.context),
		cmp.Compare(a.object.Namespace, b.object.Namespace),
		cmp.Compare(a.object.Name, b.object.Name),
	)
}

func summaryOf(object *v1alpha1.LoadBalancerHealth) v1alpha1.Summary {
	if object.Status.Summary == nil {
		return v1alpha1.Summary{}
	}
	return *object.Status.Summary
}

// targetOf is the load balancer and region of an object, or its Service or Ingress
// while that has no load balancer.
func targetOf(object *v1alpha1.LoadBalancerHealth) (loadBalancer, region string) {
	id, region, ok := object.LoadBalancer()
	if !ok {
		return referenceOf(object), "-"
	}
	return id, region
}

// referenceOf is the Service or Ingress of an object, such as service/web; "" for none.
func referenceOf(object *v1alpha1.LoadBalancerHealth) string {
	if !object.Spec.HasReference() {
		return ""
	}
	reference := object.Spec.Reference()
	return strings.ToLower(string(reference.Kind)) + "/" + reference.Name
}

// productOf is the product of an object's load balancer: clb, nlb or alb; "" while its
// Service has none.
func productOf(object *v1alpha1.LoadBalancerHealth) string {
	id, _, ok := object.LoadBalancer()
	if !ok {
		return ""
	}
	return v1alpha1.ProductOf(id)
}

// unusedOf is the number of backends with weight 0; "-" where that is not known, as of CLB.
func unusedOf(object *v1alpha1.LoadBalancerHealth) cell {
	if object.Status.Summary == nil || productOf(object) == v1alpha1.ProductCLB {
		return cell{text: "-"}
	}
	return number(object.Status.Summary.Unused, faint)
}

// counts is "4/6", the normal backends of all; "-" before the first observation.
func counts(object *v1alpha1.LoadBalancerHealth) string {
	if object.Status.Summary == nil {
		return "-"
	}
	return fmt.Sprintf("%d/%d", object.Status.Summary.Normal, object.Status.Summary.Backends)
}

func runFleet(ctx context.Context, o *options, printing *genericclioptions.PrintFlags, names []string) error {
	if _, err := o.sortPath(); err != nil {
		return err
	}
	c, err := o.client()
	if err != nil {
		return err
	}
	list, err := o.find(ctx, c, names)
	if err != nil {
		return err
	}
	s, err := o.selectItems(o.items(list.Items))
	if err != nil {
		return err
	}
	format := *printing.OutputFormat
	if format == "" || format == "wide" {
		return o.writeFleet(s, c.namespace, optionalColumns{namespaces: c.namespace == "", wide: format == "wide"})
	}
	printer, err := printing.ToPrinter()
	if unknown, ok := errors.AsType[genericclioptions.NoCompatiblePrinterError](err); ok {
		unknown.AllowedFormats = append(unknown.AllowedFormats, "wide")
		return unknown
	} else if err != nil {
		return err
	}
	if len(names) == 1 && len(s.shown) == 1 || format == "name" {
		return o.printEach(s, printer)
	}
	sorted := &v1alpha1.LoadBalancerHealthList{ListMeta: list.ListMeta, Items: make([]v1alpha1.LoadBalancerHealth, 0, len(s.shown))}
	for _, i := range s.shown {
		sorted.Items = append(sorted.Items, *i.object)
	}
	return printer.PrintObj(sorted, o.Out)
}

// printEach prints objects one by one, not as a list.
func (o *options) printEach(s selection, printer printers.ResourcePrinter) error {
	for _, i := range s.shown {
		if err := printer.PrintObj(i.object, o.Out); err != nil {
			return err
		}
	}
	return nil
}

// items are objects of one cluster.
func (o *options) items(objects []v1alpha1.LoadBalancerHealth) []item {
	items := make([]item, 0, len(objects))
	for i := range objects {
		items = append(items, item{options: o, object: &objects[i]})
	}
	return items
}

// writeFleet writes the table of a selection, and the summary below it.
func (o *options) writeFleet(s selection, namespace string, columns optionalColumns) error {
	if len(s.all) == 0 {
		_, err := fmt.Fprintln(o.ErrOut, notFoundMessage(namespace))
		return err
	}
	if len(s.shown) > 0 {
		if err := o.writeTable(tableOf(s.shown, columns), columns.wide); err != nil {
			return err
		}
	}
	return o.writeSummary(s)
}

// writeTable writes a table that fits into the terminal, or every column.
func (o *options) writeTable(t *table, wide bool) error {
	t.headless = o.noHeaders
	if columns, _, ok := sizeOf(o.Out); ok && !wide {
		t.fit(columns)
	}
	return t.write(o.Out, o.colored(o.Out))
}

// find returns the objects with the names, or all.
func (o *options) find(ctx context.Context, c *client, names []string) (*v1alpha1.LoadBalancerHealthList, error) {
	if err := o.validateSelection(names); err != nil {
		return nil, err
	}
	if len(names) == 0 {
		list, err := c.list(ctx, o.filter())
		if err == nil {
			list.Items = slices.DeleteFunc(list.Items, func(object v1alpha1.LoadBalancerHealth) bool { return !o.selects(&object) })
		}
		return list, err
	}
	list := &v1alpha1.LoadBalancerHealthList{}
	for _, name := range names {
		object, err := c.get(ctx, name)
		if err != nil {
			return nil, err
		}
		list.Items = append(list.Items, *object)
	}
	return list, nil
}

// notFoundMessage is shown instead of an empty table.
func notFoundMessage(namespace string) string {
	if namespace == "" {
		return "No LoadBalancerHealth found."
	}
	return "No LoadBalancerHealth found in namespace " + namespace + "."
}

type optionalColumns struct{ contexts, namespaces, wide bool }

// tableOf is the table with a row for each item.
func tableOf(items []item, optional optionalColumns) *table {
	t := &table{}
	if optional.contexts {
		t.header = append(t.header, "CONTEXT")
	}
	if optional.namespaces {
		t.header = append(t.header, "NAMESPACE")
	}
	t.header = append(t.header, "NAME", "HEALTH", "REASON", "SINCE", "NORMAL", "ABNORMAL", "UNAVAILABLE", "MISSING", "LOADBALANCER", "REGION", "DISRUPTIONS ALLOWED")
	if optional.wide {
		t.header = append(t.header, "PRODUCT", columnUnused, "PORT", "OBSERVED", "MESSAGE")
	}
	for _, i := range items {
		t.rows = append(t.rows, i.row(optional))
	}
	return t
}

func (i item) row(optional optionalColumns) []cell {
	o, object := i.options, i.object
	r, summary := o.rank(object), summaryOf(object)
	var row []cell
	if optional.contexts {
		row = append(row, cell{text: i.context})
	}
	if optional.namespaces {
		row = append(row, cell{text: object.Namespace})
	}
	loadBalancer, region := targetOf(object)
	row = append(row, cell{text: object.Name}, cell{r.label(), r.color()}, cell{text: cmp.Or(o.reasonShown(object), "-")},
		cell{text: o.age(&metav1.Time{Time: i.since()})}, cell{text: counts(object)}, number(summary.Abnormal, red), number(summary.Unavailable, yellow),
		knownNumber(summary.Missing, red), cell{text: loadBalancer}, cell{text: region}, disruptionsAllowed(summary.DisruptionsAllowed))
	if optional.wide {
		port := "*"
		if object.Spec.ListenerPort != nil {
			port = strconv.Itoa(int(*object.Spec.ListenerPort))
		}
		row = append(row, cell{text: cmp.Or(productOf(object), "-")}, unusedOf(object), cell{text: port}, cell{text: o.age(object.Status.LastObservedTime)}, cell{text: o.messageShown(object)})
	}
	return row
}

// disruptionsAllowed is the number of healthy backends that may fail; "-" where that
// is not known.
func disruptionsAllowed(allowed *int32) cell {
	if allowed == nil {
		return cell{text: "-"}
	}
	c := plain
	if *allowed == 0 {
		c = yellow // one more failure changes the health
	}
	return cell{strconv.Itoa(int(*allowed)), c}
}

// reasonShown is the reason of an object's rank.
func (o *options) reasonShown(object *v1alpha1.LoadBalancerHealth) string {
	switch o.rank(object) {
	case notUpdated:
		return reasonNotUpdated
	case failing:
		return reasonOf(object, v1alpha1.ConditionObserved)
	default:
		return reasonOf(object, v1alpha1.ConditionReady)
	}
}

// messageShown is the message of an object, with a warning before an old one.
func (o *options) messageShown(object *v1alpha1.LoadBalancerHealth) string {
	message := messageOf(object, v1alpha1.ConditionReady)
	if warning := o.notUpdated(object); warning != "" {
		return strings.TrimSpace(warning + " " + message)
	}
	return message
}

// number is a count, coloured unless it is 0.
func number(n int32, c color) cell {
	if n == 0 {
		c = plain
	}
	return cell{strconv.Itoa(int(n)), c}
}

// knownNumber is a count, "-" where it is not known.
func knownNumber(n *int32, c color) cell {
	if n == nil {
		return cell{text: "-"}
	}
	return number(*n, c)
}
