// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"context"
	"fmt"
)

// Credentials sign calls. They print as their Version only, whatever the verb
// (but %p, for which fmt asks no type, and which go vet refuses).
type Credentials struct {
	AccessKeyID     string
	AccessKeySecret string
	// SecurityToken comes with temporary credentials; "" otherwise.
	SecurityToken string
	// Version tells two states of the same account apart without revealing
	// either, such as a Secret's resourceVersion.
	Version string
	// Source names the provider of the operator's own; "" for those of a Secret.
	Source string

	// signature is that of the call at hand, which is not to be repeated either.
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

// CredentialSource finds the credentials of an account.
type CredentialSource interface {
	// Credentials returns an *Error of kind CredentialsNotFound when the
	// account has none that could be used, and another error when that could
	// not be found out.
	Credentials(ctx context.Context, account Account) (Credentials, error)
	// Refused says that the API refused these credentials, so that the next
	// call of Credentials looks for newer ones.
	Refused(account Account, credentials Credentials)
}
