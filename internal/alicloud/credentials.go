// SPDX-License-Identifier: Apache-2.0

package alicloud

import "fmt"

// Credentials sign calls. They print as their Version only, whatever the verb
// (but %p, which fmt formats itself, and which go vet refuses).
type Credentials struct {
	AccessKeyID     string
	AccessKeySecret string
	// SecurityToken is that of temporary credentials; "" for an access key.
	SecurityToken string
	// Version differs between two states of the same account and reveals
	// neither, such as a Secret's resourceVersion.
	Version string
	// Source names the provider of the operator's own; "" for those of a Secret.
	Source string

	// signature is that of the call, which must not be repeated either.
	signature string
}

// Format implements fmt.Formatter, so that no verb, %+v and %#v included,
// prints a key.
func (c Credentials) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "credentials version %q", c.Version)
}

// MarshalLog implements logr.Marshaler.
func (c Credentials) MarshalLog() any { return fmt.Sprint(c) }

// MarshalText keeps encoders, loggers among them, from reading the fields.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(fmt.Sprint(c)), nil }
