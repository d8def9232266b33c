// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestCountRequests(t *testing.T) {
	t.Parallel()

	const text = `# HELP apiserver_request_total [STABLE] Counter
apiserver_request_total{code="200",resource="loadbalancerhealths",subresource="status",verb="PATCH"} 40
apiserver_request_total{code="200",resource="loadbalancerhealths",subresource="status",verb="PUT"} 2
apiserver_request_total{code="200",resource="loadbalancerhealths",subresource="",verb="LIST"} 7
apiserver_request_total{code="200",resource="pods",subresource="status",verb="PATCH"} 1.5e+06
`
	got, err := countRequests(text, `resource="loadbalancerhealths"`, `subresource="status"`)
	if err != nil || got != 42 {
		t.Errorf("%d, %v, not 42", got, err)
	}
}
