// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// decodeStrict fills out from JSON and refuses what encoding/json lets pass: unknown fields, known
// ones in the wrong case, null, and a zero in a field that may be left out. Its errors name the
// field by its path and say what to write.
func decodeStrict(data []byte, out any) error {
	if err := json.Unmarshal(data, new(json.RawMessage)); err != nil {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	var raw any
	if err := decoder.Decode(&raw); err != nil {
		return err
	}
	if err := checkValue(raw, reflect.TypeOf(out).Elem(), ""); err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

var durationType = reflect.TypeFor[Duration]()

// checkValue looks for wrong types itself, because encoding/json does not say in which entry of a list it found one.
func checkValue(raw any, t reflect.Type, path string) error {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if !fits(raw, t) {
		return fmt.Errorf("%s: %s stands where %s is needed", cmp.Or(path, "the document"), found(raw), needed(t))
	}
	switch value := raw.(type) {
	case string:
		if t == durationType {
			if err := new(Duration).UnmarshalText([]byte(value)); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
		}
	case []any:
		for i, item := range value {
			if err := checkValue(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return checkFields(value, t, path)
	}
	return nil
}

func fits(raw any, t reflect.Type) bool {
	switch value := raw.(type) {
	case string:
		return t.Kind() == reflect.String || t == durationType
	case bool:
		return t.Kind() == reflect.Bool
	case json.Number:
		_, notWhole := value.Int64()
		_, notFinite := value.Float64()
		whole := (t.Kind() == reflect.Int || t.Kind() == reflect.Int64) && t != durationType
		return whole && notWhole == nil || t.Kind() == reflect.Float64 && notFinite == nil
	case []any:
		return t.Kind() == reflect.Slice
	case map[string]any:
		return t.Kind() == reflect.Struct
	default:
		return false
	}
}

// inOneLine quotes what somebody took for a field, if it would break the message.
func inOneLine(path string) string {
	if strings.ContainsFunc(path, unicode.IsControl) {
		return strconv.Quote(path)
	}
	return path
}

func checkFields(object map[string]any, t reflect.Type, path string) error {
	names, known := fieldsOf(t)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		field, ok := known[key]
		if !ok {
			return fmt.Errorf("%s: unknown field: write one of %s", inOneLine(at), strings.Join(names, ", "))
		}
		if err := checkValue(object[key], field.Type, at); err != nil {
			return err
		}
		if optional := strings.HasSuffix(field.Tag.Get("json"), ",omitempty"); optional {
			if err := refuseZero(object[key], at); err != nil {
				return err
			}
		}
	}
	return nil
}

// refuseZero is for fields that may be left out: a zero there would do the same, and who writes "times: 0" or an empty
// selector means something else.
func refuseZero(raw any, path string) error {
	switch value := raw.(type) {
	case string:
		if value == "" {
			return fmt.Errorf("%s: empty: write a value, or leave it out", path)
		}
	case json.Number:
		if number, _ := value.Float64(); number == 0 {
			return fmt.Errorf("%s: 0 is too low: write a number above 0, or leave it out", path)
		}
	}
	return nil
}

// fieldsOf gives the serialized names of a struct, in order and with their fields.
func fieldsOf(t reflect.Type) (names []string, fields map[string]reflect.StructField) {
	fields = make(map[string]reflect.StructField, t.NumField())
	for field := range t.Fields() {
		if field.Anonymous {
			inner, innerFields := fieldsOf(field.Type)
			names = append(names, inner...)
			maps.Copy(fields, innerFields)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
		fields[name] = field
	}
	return names, fields
}

// found says what stands there and not its value, which may be a secret.
func found(raw any) string {
	switch raw.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "true or false"
	case []any:
		return "a list"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}

func needed(t reflect.Type) string {
	if t == durationType {
		return `a duration such as "2s"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a string (put it in quotes)"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice:
		return "a list"
	default:
		return "an object with fields"
	}
}

func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
