// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	quantity "k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/jsonpath"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// orders are the short names of --sort-by. Each puts what is urgent first; equal
// objects are in the default order, which is health.
var orders = map[string]func(a, b item) int{
	"health": func(_, _ item) int { return 0 },
	"name": func(a, b item) int {
		return cmp.Or(compareNatural(a.object.Namespace, b.object.Namespace), compareNatural(a.object.Name, b.object.Name), cmp.Compare(a.context, b.context))
	},
	"ready": func(a, b item) int { return cmp.Compare(readiness(a.object), readiness(b.object)) },
	"since": func(a, b item) int { return b.since().Compare(a.since()) },
	"backends": func(a, b item) int {
		return cmp.Compare(summaryOf(b.object).Backends, summaryOf(a.object).Backends)
	},
	"abnormal": func(a, b item) int {
		return cmp.Compare(summaryOf(b.object).Abnormal, summaryOf(a.object).Abnormal)
	},
	"missing": func(a, b item) int { return cmp.Compare(missingOf(b.object), missingOf(a.object)) },
	"disruptions": func(a, b item) int {
		return compareKnown(summaryOf(a.object).DisruptionsAllowed, summaryOf(b.object).DisruptionsAllowed)
	},
}

// orderNames are the keys of orders, as help and errors list them.
var orderNames = []string{"health", "name", "ready", "since", "backends", "abnormal", "missing", "disruptions"}

// readiness is 0 for an object that is not Ready, 1 where that is unknown, and 2 for one that is.
func readiness(object *v1alpha1.LoadBalancerHealth) int {
	return slices.Index([]metav1.ConditionStatus{metav1.ConditionFalse, metav1.ConditionUnknown, metav1.ConditionTrue}, statusOf(object, v1alpha1.ConditionReady))
}

// since is when an object changed to the health that its row has: when Ready
// changed, or when a status that is not current was last updated.
func (i item) since() time.Time {
	if i.options.notUpdated(i.object) != "" {
		last, _ := nextUpdate(i.object, i.options.heartbeat)
		return last
	}
	if c := meta.FindStatusCondition(i.object.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// missingOf is the number of missing backends, -1 where it is not known.
func missingOf(object *v1alpha1.LoadBalancerHealth) int32 {
	if missing := summaryOf(object).Missing; missing != nil {
		return *missing
	}
	return -1
}

// compareKnown puts the lower number first, and an unknown one last.
func compareKnown(a, b *int32) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return 1
	case b == nil:
		return -1
	default:
		return cmp.Compare(*a, *b)
	}
}

// addSortBy adds --sort-by.
func (o *options) addSortBy(c *cobra.Command) {
	c.Flags().StringVar(&o.sortBy, "sort-by", "health", "Order: "+strings.Join(orderNames, ", ")+"; or a JSONPath as in kubectl get, such as .metadata.creationTimestamp.")
	_ = c.RegisterFlagCompletionFunc("sort-by", cobra.FixedCompletions(orderNames, cobra.ShellCompDirectiveNoFileComp))
}

// sort sorts items by --sort-by.
func (o *options) sort(items []item) error {
	slices.SortStableFunc(items, compareItems)
	if compare, ok := orders[o.sortBy]; ok {
		slices.SortStableFunc(items, compare)
		return nil
	}
	path, err := o.sortPath()
	if err != nil || path == nil {
		return err
	}
	return sortByPath(items, path, o.sortBy)
}

// relaxed matches the forms of a JSONPath that kubectl get --sort-by takes: x.y,
// .x.y, {x.y} and {.x.y}.
var relaxed = regexp.MustCompile(`^\{?\.?([^{}]+)\}?$`)

// sortPath is the JSONPath of --sort-by; nil: it has a short name, or none.
func (o *options) sortPath() (*jsonpath.JSONPath, error) {
	if _, short := orders[o.sortBy]; short || o.sortBy == "" {
		return nil, nil
	}
	path := jsonpath.New("sort-by").AllowMissingKeys(true)
	parts := relaxed.FindStringSubmatch(o.sortBy)
	if len(parts) < 2 || path.Parse("{."+parts[1]+"}") != nil {
		return nil, fmt.Errorf("--sort-by=%s: write %s, or a JSONPath such as .metadata.creationTimestamp", o.sortBy, strings.Join(orderNames, ", "))
	}
	return path, nil
}

// sortByPath sorts items by a field, those without it first, as kubectl get does.
func sortByPath(items []item, path *jsonpath.JSONPath, text string) error {
	type keyed struct {
		item  item
		value any
	}
	all := make([]keyed, 0, len(items))
	found := len(items) == 0
	for _, i := range items {
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(i.object)
		if err != nil {
			return err
		}
		value := first(path, fields)
		found = found || value != nil
		all = append(all, keyed{i, value})
	}
	if !found {
		return fmt.Errorf("--sort-by=%s: no object has this field: write %s, or the path of another field", text, strings.Join(orderNames, ", "))
	}
	slices.SortStableFunc(all, func(a, b keyed) int { return compareValues(a.value, b.value) })
	for at := range all {
		items[at] = all[at].item
	}
	return nil
}

// first is the first value that a path finds; nil: none.
func first(path *jsonpath.JSONPath, fields map[string]any) any {
	results, err := path.FindResults(fields)
	if err != nil || len(results) == 0 || len(results[0]) == 0 {
		return nil
	}
	value := results[0][0]
	for value.Kind() == reflect.Interface {
		value = value.Elem()
	}
	if !value.IsValid() {
		return nil
	}
	return value.Interface()
}

// compareValues compares numbers and quantities by amount, and other values as
// texts. None (nil) is before any.
func compareValues(a, b any) int {
	switch {
	case a == nil && b == nil:
		return 0
	case a == nil:
		return -1
	case b == nil:
		return 1
	}
	left, right := fmt.Sprint(a), fmt.Sprint(b)
	x, errX := quantity.ParseQuantity(left)
	y, errY := quantity.ParseQuantity(right)
	if errX == nil && errY == nil {
		return x.Cmp(y)
	}
	return compareNatural(left, right)
}

// compareNatural compares texts so that web-2 is before web-10.
func compareNatural(a, b string) int {
	for a != "" && b != "" {
		x, y := chunk(a), chunk(b)
		if digits(x) && digits(y) {
			m, n := strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
			if order := cmp.Or(cmp.Compare(len(m), len(n)), cmp.Compare(m, n)); order != 0 {
				return order
			}
		} else if order := cmp.Compare(x, y); order != 0 {
			return order
		}
		a, b = a[len(x):], b[len(y):]
	}
	return cmp.Compare(len(a), len(b))
}

// chunk is the beginning of a text: its digits, or what is before them.
func chunk(text string) string {
	want := digits(text[:1])
	for i := range len(text) {
		if digits(text[i:i+1]) != want {
			return text[:i]
		}
	}
	return text
}

func digits(text string) bool { return text[0] >= '0' && text[0] <= '9' }
