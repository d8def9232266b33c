package simulator

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// decodeStrict fills out from JSON and refuses what encoding/json lets pass: unknown fields, and known ones in the wrong
// case. Its errors name the field by its path and say what to write.
func decodeStrict(data []byte, out any) error {
	var raw any
	if err := json.Unmarshal(data, &raw); err != nil {
		return fmt.Errorf("not valid JSON: %w", err)
	}
	if err := refuseUnknown(raw, reflect.TypeOf(out).Elem(), ""); err != nil {
		return err
	}
	err := json.Unmarshal(data, out)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		field := wrong.Field
		if field == "" {
			field = "the document"
		}
		return fmt.Errorf("%s: a %s stands where %s is needed", field, wrong.Value, article(wrong.Type))
	}
	return err
}

func refuseUnknown(raw any, t reflect.Type, path string) error {
	switch value := raw.(type) {
	case []any:
		if t.Kind() != reflect.Slice {
			return nil
		}
		for i, item := range value {
			if err := refuseUnknown(item, t.Elem(), fmt.Sprintf("%s[%d]", path, i)); err != nil {
				return err
			}
		}
	case map[string]any:
		if t.Kind() != reflect.Struct {
			return nil
		}
		return refuseUnknownKeys(value, t, path)
	}
	return nil
}

func refuseUnknownKeys(object map[string]any, t reflect.Type, path string) error {
	names, known := fieldsOf(t)
	for _, key := range slices.Sorted(maps.Keys(object)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		field, ok := known[key]
		if !ok {
			return fmt.Errorf("%s: unknown field: write one of %s", at, strings.Join(names, ", "))
		}
		if err := refuseUnknown(object[key], field, at); err != nil {
			return err
		}
	}
	return nil
}

// fieldsOf gives the serialized names of a struct, in order and with their types.
func fieldsOf(t reflect.Type) (names []string, types map[string]reflect.Type) {
	types = make(map[string]reflect.Type, t.NumField())
	for field := range t.Fields() {
		if field.Anonymous {
			inner, innerTypes := fieldsOf(field.Type)
			names = append(names, inner...)
			maps.Copy(types, innerTypes)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		names = append(names, name)
		types[name] = field.Type
	}
	return names, types
}

func article(t reflect.Type) string {
	if t == reflect.TypeFor[Duration]() {
		return `a duration such as "2s"`
	}
	switch t.Kind() {
	case reflect.String:
		return "a string (put it in quotes)"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list"
	default:
		return "an object with fields"
	}
}

func oneLine(err error) error {
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
