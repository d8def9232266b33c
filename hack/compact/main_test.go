// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestCompact(t *testing.T) {
	const content = `
kind: CustomResourceDefinition
spec:
  rule: 'self.a < 9 && self.b'
  versions:
  - {name: v1, columns: [{name: "{a}"}]}
  - name: v2
`
	const want = `{
  "kind": "CustomResourceDefinition",
  "spec": {
    "rule": "self.a < 9 && self.b",
    "versions": [ { "columns": [ { "name": "{a}" } ], "name": "v1" }, { "name": "v2" } ]
  }
}
`
	got, err := compact([]byte(content), 2)
	if err != nil || string(got) != want {
		t.Errorf("%v:\n%s\nwant\n%s", err, got, want)
	}
	if _, err := compact([]byte("kind: ["), 2); err == nil {
		t.Error("broken YAML is accepted")
	}
}
