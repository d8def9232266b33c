// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// maxTreeBackends is how many backends of a listener the tree shows without --all.
const maxTreeBackends = 20

// treeRow is a backend in the tree.
type treeRow struct {
	address, state  string
	since           time.Time
	location, cause string
	// reason is the code of a failed check of NLB or ALB.
	reason string
}

// stateOrder is the order of backends in the tree; other states are before normal.
var stateOrder = map[string]int{v1alpha1.StatusAbnormal: -2, stateMissing: -1, v1alpha1.StatusNormal: 1, v1alpha1.StatusUnused: 2}

// rows are the backends of a listener, the abnormal and missing first, then those
// with a diagnosis.
func (l *listener) rows() []treeRow {
	rows := make([]treeRow, 0, len(l.backends)+len(l.missing))
	for i := range l.backends {
		b := l.backends[i]
		row := treeRow{address: b.Address(), state: b.ServerHealthStatus, since: b.LastTransitionTime.Time, cause: b.Cause(), reason: b.Reason}
		b.Diagnosis = "" // it has a row of its own
		row.location = b.Location()
		rows = append(rows, row)
	}
	for i := range l.missing {
		b := &l.missing[i]
		row := treeRow{address: b.Address(), state: stateMissing, since: b.Since.Time, cause: b.Cause()}
		if b.Node != "" {
			row.location = "node " + b.Node
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, func(a, b treeRow) int { return cmp.Compare(a.order(), b.order()) })
	return rows
}

// order is lower for a backend that needs more attention.
func (r *treeRow) order() int {
	order := 2 * stateOrder[r.state]
	if r.cause == "" {
		order++
	}
	return order
}

// shownOf are the rows that the tree shows. Where both abnormal and missing
// backends are too many, it shows some of both.
func (o *options) shownOf(rows []treeRow) []treeRow {
	if o.allBackends || len(rows) <= maxTreeBackends {
		return rows
	}
	isAbnormal := func(row treeRow) bool { return row.state == v1alpha1.StatusAbnormal }
	isMissing := func(row treeRow) bool { return row.state == stateMissing }
	abnormal, missing := count(rows, isAbnormal), count(rows, isMissing)
	if abnormal+missing <= maxTreeBackends {
		return rows[:maxTreeBackends]
	}
	first := min(abnormal, max(maxTreeBackends/2, maxTreeBackends-missing))
	return slices.Concat(rows[:first], rows[abnormal:abnormal+maxTreeBackends-first])
}

func count(rows []treeRow, is func(treeRow) bool) (n int) {
	for i := range rows {
		if is(rows[i]) {
			n++
		}
	}
	return n
}

// backends prints the backends of a listener, each with the reason of its failed check
// and its cause below it, and how many more there are.
func (p *printer) backends(trunk string, l *listener, name string) {
	rows := l.rows()
	shown := p.o.shownOf(rows)
	rest := l.rest(shown, len(rows)-len(shown), name)
	width := 0
	for i := range shown {
		width = max(width, displayWidth(sanitize(shown[i].address)))
	}
	for i := range shown {
		branch, below := fork(i == len(shown)-1 && rest == "")
		p.backend(&shown[i], trunk+branch, trunk+below, width)
	}
	if rest != "" {
		p.printf("%s└─ %s\n", trunk, rest)
	}
}

func (p *printer) backend(row *treeRow, branch, below string, width int) {
	color := colorOf(row.state)
	if row.state == stateMissing {
		color = red
	}
	location := ""
	if row.location != "" {
		location = "  " + sanitize(row.location)
	}
	p.printf("%s%s  %s%s%s\n", branch, sanitize(pad(row.address, width)), color.paint(pad(row.state, len(v1alpha1.StatusUnavailable)), p.colored), p.since(row.since), location)
	for _, why := range []string{row.reason, row.cause} {
		if why != "" {
			p.printf("%s   %s\n", below, sanitize(why))
		}
	}
}

// rest is the number of backends that are not shown, by state, and how to see
// them; "": all are. hidden is how many of them the status has.
func (l *listener) rest(shown []treeRow, hidden int, name string) string {
	c, missing, unused := l.Counts, l.Missing, l.Unused
	for i := range shown {
		switch shown[i].state {
		case v1alpha1.StatusNormal:
			c.Normal--
		case v1alpha1.StatusAbnormal:
			c.Abnormal--
		case stateMissing:
			missing--
		case v1alpha1.StatusUnused:
			unused--
		default:
			c.Unavailable--
		}
	}
	total := int(c.Normal + c.Abnormal + c.Unavailable + missing + unused)
	if total <= 0 {
		return ""
	}
	text := fmt.Sprintf("and %d more%s", total, backendCounts(c, missing, unused))
	all := "kubectl lbh tree " + sanitize(name) + " --all"
	switch {
	case hidden == 0:
		return text + " (the status omits them)"
	case hidden < total:
		return text + fmt.Sprintf(" (%s shows %d, the status omits the others)", all, hidden)
	default:
		return text + " (" + all + ")"
	}
}
