// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"fmt"
	"time"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Bounds of a list, far more than real ones need: a server must not exhaust the
// process.
const (
	maxPages = 200
	maxItems = 20_000
)

// list is a list that is read page by page.
type list[T any] struct {
	// startedAt is when the first call was made, order its position among all calls,
	// and respondedAt when the first page arrived.
	startedAt, respondedAt time.Time
	order                  uint64

	items []T
	pages int
	// next is the token of the next page, and tokens are those of all pages so far.
	next   string
	tokens map[string]struct{}
	// total is that of the first page; moved is set where a later page has another one.
	total *int
	moved bool
	done  bool
	// unconfirmed is set for a health of several pages that differs from the last one.
	unconfirmed bool
}

// add adds a page. It refuses a next page that was read before, or is one too many.
func (l *list[T]) add(page *Page[T], now time.Time) error {
	l.pages++
	if l.pages == 1 {
		l.respondedAt, l.total = now, page.Total
	}
	l.moved = l.moved || page.Total != nil && l.total != nil && *page.Total != *l.total
	l.items = append(l.items, page.Items...)
	_, repeated := l.tokens[page.Next]
	switch {
	case len(l.items) > maxItems:
		return &alicloud.ResponseError{What: fmt.Sprintf("more than %d items in a list", maxItems)}
	case page.Next == "":
		l.done = true
		return nil
	case repeated:
		return &alicloud.ResponseError{What: "a NextToken that an earlier page had already"}
	case l.pages == maxPages:
		return &alicloud.ResponseError{What: fmt.Sprintf("more than %d pages", maxPages)}
	}
	if l.tokens == nil {
		l.tokens = map[string]struct{}{}
	}
	l.tokens[page.Next] = struct{}{}
	l.next = page.Next
	return nil
}

// changed reports whether the items changed between two pages, so that one of
// them may be on no page. unique is how many different items the pages have.
func (l *list[T]) changed(unique int) bool {
	return l.pages > 1 && (l.moved || l.total != nil && *l.total != unique)
}
