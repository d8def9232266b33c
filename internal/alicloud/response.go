// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	jsoniter "github.com/json-iterator/go"
)

// ResponseError says what is wrong with a response that arrived, in words that
// follow "the endpoint returned HTTP 200 with".
type ResponseError struct{ What string }

// Error implements error.
func (e *ResponseError) Error() string { return e.What }

// maxPlain is the length of the longest field that is not searched for parts of
// a key: that of an IPv6 address.
const maxPlain = 45

// Verifier refuses responses that must not reach a status: those with fields of
// any length, and those that repeat the credentials or the signature of their
// request. Most fields are shorter than any key, and cost next to nothing.
type Verifier struct {
	credentials Credentials
	keys        []string
	spelled     []string
	// parts are made with the first field that needs them.
	parts keyParts
}

func newVerifier(credentials Credentials) *Verifier {
	keys := slices.DeleteFunc(keysOf(credentials), func(key string) bool {
		return len(key) < echoLength // no real key, and may be a word
	})
	return &Verifier{credentials: credentials, keys: keys, spelled: allSpellings(keys)}
}

// RequestID returns a response's RequestId, which every response must have.
func (v *Verifier) RequestID(id string) (string, error) {
	if id = cleanRequestID(id, v.credentials); id == "" {
		return "", &ResponseError{"a document without a RequestId"}
	}
	return id, nil
}

// Field refuses a field that is too long, or repeats the credentials. A field
// that is longer than any of the API's must not repeat a part of them either,
// because CleanField truncates it. of names what has the field, such as "a backend".
func (v *Verifier) Field(field, of string) error {
	repeats := false
	switch {
	case len(field) > MaxText:
		return &ResponseError{fmt.Sprintf("%s with a field of more than %d KiB", of, MaxText>>10)}
	case len(field) > maxPlain:
		if v.parts == nil {
			v.parts = partsOf(v.keys)
		}
		repeats = v.parts.in(field)
	case len(field) >= echoLength:
		repeats = slices.ContainsFunc(v.spelled, func(key string) bool { return strings.Contains(field, key) })
	}
	if repeats {
		return &ResponseError{of + " that repeats the credentials of the request"}
	}
	return nil
}

// ListPath is where a response has its list: under one key, or under a key
// inside another.
type ListPath struct {
	Outer, Inner string
	// SuccessCode is set where a document may have a Code, with "Success": true.
	SuccessCode bool
}

func (p ListPath) String() string {
	if p.Inner == "" {
		return p.Outer
	}
	return p.Outer + "." + p.Inner
}

// VerifyDocument demands the shape that the SDK does not check: it reads many
// wrong documents as an empty list. Keys count in the API's own case only,
// because the SDK ignores others.
//
// It reads with the SDK's own JSON library, which skips the rest at a tenth of
// the cost of encoding/json.
func VerifyDocument(body []byte, path ListPath) error {
	if len(bytes.TrimSpace(body)) == 0 {
		return &ResponseError{"an empty body"}
	}
	document := jsoniter.ParseBytes(jsoniter.ConfigDefault, body)
	if document.WhatIsNext() != jsoniter.ObjectValue {
		return &ResponseError{"something that is not a JSON object"}
	}
	found := outline(document, path)
	switch {
	case document.Error != nil && !errors.Is(document.Error, io.EOF):
		return &ResponseError{"something that is not a JSON object"}
	case found.isError():
		return &ResponseError{"an error document under a status of success"}
	case found.outer == jsoniter.InvalidValue:
		return &ResponseError{"a document without " + path.Outer}
	case found.list != jsoniter.ArrayValue:
		return &ResponseError{"a document without exactly one list " + path.String()}
	default:
		return nil
	}
}

// shape is what VerifyDocument needs of a document: whether it is an error
// document, and the kinds of the values at a path. list is invalid where the list
// occurs twice.
type shape struct {
	// coded is set where the document has a Code, succeeded and failed where it has
	// Success with true, or with another value.
	coded, succeeded, failed bool
	outer, list              jsoniter.ValueType
}

func (s *shape) isError() bool { return s.failed || s.coded && !s.succeeded }

func (s *shape) readSuccess(document *jsoniter.Iterator) {
	switch {
	case document.WhatIsNext() != jsoniter.BoolValue:
		document.Skip()
		s.failed = true
	case document.ReadBool():
		s.succeeded = true
	default:
		s.failed = true
	}
}

func outline(document *jsoniter.Iterator, path ListPath) (found shape) {
	document.ReadObjectCB(func(document *jsoniter.Iterator, key string) bool {
		switch key {
		case "Code":
			found.coded = true
		case "Success":
			if path.SuccessCode {
				found.readSuccess(document)
				return true
			}
		case path.Outer:
			again := found.outer != jsoniter.InvalidValue
			found.outer = document.WhatIsNext()
			if !again && path.Inner != "" && found.outer == jsoniter.ObjectValue {
				found.list = kindOf(document, path.Inner)
				return true
			}
			found.list = jsoniter.InvalidValue
			if !again && path.Inner == "" {
				found.list = found.outer
			}
		}
		document.Skip()
		return true
	})
	return found
}

// kindOf reads an object and returns the kind of the value of one key; invalid
// where there are several: the SDK would use the last, even an empty one.
func kindOf(object *jsoniter.Iterator, wanted string) jsoniter.ValueType {
	kind, times := jsoniter.InvalidValue, 0
	object.ReadObjectCB(func(object *jsoniter.Iterator, key string) bool {
		if key == wanted {
			kind = object.WhatIsNext()
			times++
		}
		object.Skip()
		return true
	})
	if times > 1 {
		return jsoniter.InvalidValue
	}
	return kind
}
