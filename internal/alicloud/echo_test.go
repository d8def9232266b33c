// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// A row of an answer becomes a row of a status, an event and a line of the log.
func TestAnEchoOfTheRequestDoesNotReachARow(t *testing.T) {
	request := aRequest()
	request.Credentials.SecurityToken = strings.Repeat("CAISvQJ1q6Ft5B2yfSjIr5f", 30) // as long as real ones
	query := func(name string) func(*http.Request) string {
		return func(r *http.Request) string { return r.URL.Query().Get(name) }
	}
	for name, echo := range map[string]func(*http.Request) string{
		"the signature":          query("Signature"),
		"the signature, escaped": func(r *http.Request) string { return url.QueryEscape(r.URL.Query().Get("Signature")) },
		"the key id":             query("AccessKeyId"),
		"the token":              query("SecurityToken"),
		"a piece of the token":   func(r *http.Request) string { return r.URL.Query().Get("SecurityToken")[100:150] },
		"the URL":                func(r *http.Request) string { return r.URL.String() },
	} {
		t.Run(name, func(t *testing.T) {
			client := clientOver(func(r *http.Request) (*http.Response, error) {
				row := fmt.Sprintf(`{"ServerId":%q,"ServerHealthStatus":"normal"}`, echo(r))
				return response(r, http.StatusOK, []byte(rows(row))), nil
			})
			failed := callInVain(t, client, request)
			if !strings.Contains(failed.Message, "repeats the credentials") {
				t.Errorf("got %v", failed)
			}
		})
	}
}
