// SPDX-License-Identifier: Apache-2.0

package alicloudtest

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// maxField is the longest field of a response that may reach a status, in bytes.
const maxField = 128

// VerifyField demands that a field of a response is fit for a status: short, one
// printable line, and without a part of the credentials.
func VerifyField(t *testing.T, field string) {
	t.Helper()
	if len(field) > maxField || !utf8.ValidString(field) || strings.ContainsFunc(field, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("a response with the field %q", field)
	}
	for _, key := range []string{KeyID, Secret, Token} {
		for _, form := range Spellings(key) {
			if strings.Contains(field, form) {
				t.Errorf("a response with a key: %q", field)
			}
		}
	}
}
