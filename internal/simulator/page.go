// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
)

// pageRules are the bounds of an action's pages.
type pageRules struct {
	// results is how many rows a page has by default, maxResults at most.
	results, maxResults int
	// parts is how many parts the position of a row has; separator is between them and in none of them.
	parts     int
	separator string
}

// page is the page that a call requests: at most so many rows, from the first after a position.
type page struct {
	results int
	after   string
}

// parse reads MaxResults and NextToken. refuse makes the product's error for a parameter.
func (r pageRules) parse(params map[string]string, refuse func(name string) *apiError) (page, *apiError) {
	wanted := page{results: r.results}
	if text := params["MaxResults"]; text != "" {
		number, err := strconv.Atoi(text)
		if err != nil || number < 1 || number > r.maxResults || strconv.Itoa(number) != text {
			return wanted, refuse("MaxResults")
		}
		wanted.results = number
	}
	position, err := base64.RawURLEncoding.DecodeString(params["NextToken"])
	if err != nil || len(position) > 0 && strings.Count(string(position), r.separator) != r.parts-1 {
		return wanted, refuse("NextToken")
	}
	wanted.after = string(position)
	return wanted, nil
}

// cutPage returns the rows of the page, and the token of the next page, if there is one. A token is the position of
// the last row of its page, so that the next page is correct after rows were added or removed.
func cutPage[T any](wanted page, rows []T, position func(T) string) (rest []T, nextToken string) {
	slices.SortFunc(rows, func(a, b T) int { return strings.Compare(position(a), position(b)) })
	rest = slices.DeleteFunc(rows, func(row T) bool { return position(row) <= wanted.after })
	if len(rest) <= wanted.results {
		return rest, ""
	}
	rest = rest[:wanted.results]
	return rest, base64.RawURLEncoding.EncodeToString([]byte(position(rest[wanted.results-1])))
}

// repeated returns the values of name.1, name.2 and so on, up to one more than a call may have.
func (req *request) repeated(name string, limit int) []string {
	var all []string
	for n := 1; n <= limit+1; n++ {
		if value := req.params[name+"."+strconv.Itoa(n)]; value != "" {
			all = append(all, value)
		}
	}
	return all
}
