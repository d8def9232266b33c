// SPDX-License-Identifier: Apache-2.0

package servergroup

import (
	"strings"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

// Reader verifies and cleans the fields of a response. It keeps the first error,
// so that its callers check once for each response.
type Reader struct {
	verifier *alicloud.Verifier
	err      error
}

// Refuse refuses the response, unless it is refused already.
func (r *Reader) Refuse(what string) {
	if r.err == nil {
		r.err = &alicloud.ResponseError{What: what}
	}
}

// Text is a field that is shown as the API wrote it.
func (r *Reader) Text(value, of string) string {
	if r.err == nil {
		r.err = r.verifier.Field(value, of)
	}
	if r.err != nil {
		return ""
	}
	return alicloud.CleanField(value)
}

// Word is a field that is compared without regard to case.
func (r *Reader) Word(value, of string) string { return strings.ToLower(r.Text(value, of)) }

// ID is the id of something that later calls name, such as a listener: it must
// be there, and cannot be cleaned.
func (r *Reader) ID(value, of string) string {
	if cleaned := r.Text(value, of); r.err == nil && (cleaned == "" || cleaned != value) {
		r.Refuse(of + " without an id that can be used")
	}
	return value
}

// About refuses a response that is about another listener or server group than
// the requested one, such as one that a proxy kept.
func (r *Reader) About(value, requested, of string) {
	if value != "" && value != requested {
		r.Refuse("a document about another " + of)
	}
}

// Port is a port; 0 where there is none.
func (r *Reader) Port(value int, of string) int32 {
	if value < 0 || value > 65535 {
		r.Refuse(of + " whose port is not a port")
		return 0
	}
	return int32(value)
}

// Words of a health check.
const (
	checkOn  = "on"
	checkOff = "off"
)

// OnOrOff is on or off; "" where the API omits the field.
func OnOrOff(enabled *bool) string {
	switch {
	case enabled == nil:
		return ""
	case *enabled:
		return checkOn
	default:
		return checkOff
	}
}

const ofServer = "a server"

// Count is a number of items that cannot be negative; nil where the API omits it.
func (r *Reader) Count(value *int, of string) *int {
	if value != nil && *value < 0 {
		r.Refuse(of + " with a negative number of items")
	}
	return value
}
