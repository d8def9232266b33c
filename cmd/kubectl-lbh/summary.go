// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// selection is what a table shows of the objects that a command selected.
type selection struct {
	all   []item
	shown []item // all, or with --unhealthy those that are not Ready
}

// selectItems sorts items, and applies --unhealthy.
func (o *options) selectItems(items []item) (selection, error) {
	err := o.sort(items)
	s := selection{all: items, shown: items}
	if o.unhealthy {
		s.shown = nil
		for _, i := range items {
			if !i.isReady() {
				s.shown = append(s.shown, i)
			}
		}
	}
	return s, err
}

// isReady reports whether Ready is True in a status that is current.
func (i item) isReady() bool {
	return statusOf(i.object, v1alpha1.ConditionReady) == metav1.ConditionTrue && i.options.notUpdated(i.object) == ""
}

// summary is one line with the number of objects by health, and of backends by state.
func (s selection) summary() string {
	var backends v1alpha1.Counts
	missing, unused := int32(0), int32(0)
	objects := map[string]int{}
	for _, i := range s.all {
		objects[i.options.rank(i.object).label()]++
		counts := summaryOf(i.object)
		backends.Backends += counts.Backends
		backends.Normal += counts.Normal
		backends.Abnormal += counts.Abnormal
		backends.Unavailable += counts.Unavailable
		missing += max(0, missingOf(i.object))
		unused += counts.Unused
	}
	text := plural(len(s.all), "object")
	switch {
	case len(s.shown) == 0 && len(s.all) > 0:
		text += " (none shown)"
	case len(s.shown) < len(s.all):
		text += fmt.Sprintf(" (%d shown)", len(s.shown))
	}
	var verdicts []string
	for r := unhealthy; r <= suspended; r++ {
		if n := objects[r.label()]; n > 0 {
			verdicts = append(verdicts, fmt.Sprintf("%d %s", n, r.label()))
			delete(objects, r.label())
		}
	}
	return text + ": " + strings.Join(verdicts, ", ") + "; " + plural(int(backends.Backends), "backend") + backendCounts(backends, missing, unused)
}

// backendCounts are the numbers of backends that are not 0, after a colon.
func backendCounts(c v1alpha1.Counts, missing, unused int32) string {
	var parts []string
	for _, part := range []struct {
		n    int32
		word string
	}{{c.Normal, v1alpha1.StatusNormal}, {c.Abnormal, v1alpha1.StatusAbnormal}, {c.Unavailable, v1alpha1.StatusUnavailable}, {missing, stateMissing}, {unused, v1alpha1.StatusUnused}} {
		if part.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", part.n, part.word))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, ", ")
}

// stateMissing is how a missing backend is called beside the states of the API.
const stateMissing = "missing"

func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// writeSummary writes the summary below a table. Like kubectl's own messages it
// goes to standard error: standard output has rows alone, also in a pipe.
func (o *options) writeSummary(s selection) error {
	if o.noHeaders {
		return nil
	}
	_, err := fmt.Fprintln(o.ErrOut, s.summary())
	return err
}
