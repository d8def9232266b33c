// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	stdjson "encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"sigs.k8s.io/json"
)

// decodeStrict decodes JSON and refuses unknown fields, also known ones in the
// wrong case, and null, 0 and "": such a value would have the effect of an absent
// one, and is written for another one, as in "times: 0" or an empty selector. Only a
// weight may be 0. Its errors name the field by its path.
func decodeStrict(data []byte, out any) error {
	strict, err := json.UnmarshalStrict(data, out)
	if isSyntax, _ := json.SyntaxErrorOffset(err); isSyntax {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	if err := refuseEmpty(data); err != nil {
		return err
	}
	if wrongType, ok := errors.AsType[*stdjson.UnmarshalTypeError](err); ok {
		got, _, _ := strings.Cut(wrongType.Value, " ") // without the digits of a number
		path := embedded.ReplaceAllString(wrongType.Field, "")
		return fmt.Errorf("%s: got %s, want %s", documentOr(path), got, wanted(wrongType.Type))
	}
	if err == nil && len(strict) > 0 {
		err = strict[0]
	}
	return err
}

// embedded matches the embedded structs in the path of an UnmarshalTypeError.
var embedded = regexp.MustCompile(`\b[A-Z]\w*\.`)

// wanted is the type of a field in a message.
func wanted(t reflect.Type) string {
	if t == reflect.TypeFor[Duration]() {
		return `a duration such as "2s"`
	}
	return t.Kind().String()
}

// refuseEmpty refuses null, 0 and "" anywhere in a valid document.
func refuseEmpty(data []byte) error {
	var document any
	if err := json.UnmarshalCaseSensitivePreserveInts(data, &document); err != nil {
		return nil //nolint:nilerr // a number out of range, which decodeStrict reports
	}
	return refuseEmptyIn(document, "")
}

func refuseEmptyIn(value any, path string) error {
	switch value := value.(type) {
	case nil:
		return fmt.Errorf("%s: null: write a value, or omit it", documentOr(path))
	case string:
		if value == "" {
			return fmt.Errorf("%s: empty: write a value, or omit it", documentOr(path))
		}
	case int64, float64:
		if (value == int64(0) || value == 0.0) && path != "weight" && !strings.HasSuffix(path, ".weight") {
			return fmt.Errorf("%s: 0 is too low: write a number above 0, or omit it", documentOr(path))
		}
	case []any:
		for i, item := range value {
			if err := refuseEmptyIn(item, fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(value)) {
			if err := refuseEmptyIn(value[key], strings.TrimPrefix(path+"."+printable(key), ".")); err != nil {
				return err
			}
		}
	}
	return nil
}

func documentOr(path string) string {
	if path == "" {
		return "the document"
	}
	return path
}

// printable quotes a key that would break the message.
func printable(key string) string {
	if quoted := strconv.Quote(key); quoted != `"`+key+`"` {
		return quoted
	}
	return key
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
