// SPDX-License-Identifier: Apache-2.0

package clb

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

// Statuses, events and logs repeat the rows of an observation.
func TestRowHasNoEchoOfTheRequest(t *testing.T) {
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
				return alicloudtest.Response(r, http.StatusOK, rows(row)), nil
			})
			failed := callAndFail(t, client, request)
			if !strings.Contains(failed.Message, "repeats the credentials") {
				t.Errorf("got %v", failed)
			}
		})
	}
}
