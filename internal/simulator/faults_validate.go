// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

func (f Fault) validate(at string) error {
	allowed, known := faultFields[f.Kind]
	if !known {
		return fmt.Errorf("%skind: %q is not known: write one of %s", at, f.Kind,
			strings.Join(slices.Sorted(maps.Keys(faultFields)), ", "))
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"delay", f.Delay != 0}, {"httpStatus", f.HTTPStatus != 0}, {"code", f.Code != ""}, {"message", f.Message != ""},
		{"retryAfterSeconds", f.RetryAfterSeconds != 0}, {"sizeBytes", f.SizeBytes != 0}, {"body", f.Body != ""},
		{"contentType", f.ContentType != ""}, {"location", f.Location != ""}, {"fields", len(f.Fields) > 0},
	} {
		if field.set && !slices.Contains(allowed, field.name) {
			return fmt.Errorf("%s%s: means nothing for kind %s: omit it", at, field.name, f.Kind)
		}
	}
	if err := f.validateRanges(at); err != nil {
		return err
	}
	if err := f.validateFields(at); err != nil {
		return err
	}
	return f.validateSelectors(at)
}

func (f Fault) validateRanges(at string) error {
	delay := time.Duration(f.Delay)
	switch {
	case f.Times < 0:
		return fmt.Errorf("%stimes: %d is below 0: write how many calls, or omit it for all", at, f.Times)
	case f.Kind == FaultDelay && (delay <= 0 || delay > maxDelay):
		return fmt.Errorf("%sdelay: %s is out of range: write more than 0s and at most 1h", at, delay)
	case f.HTTPStatus != 0 && (f.HTTPStatus < 200 || f.HTTPStatus > 599):
		return fmt.Errorf("%shttpStatus: %d is out of range: write 200 to 599", at, f.HTTPStatus)
	case f.RetryAfterSeconds < 0:
		return fmt.Errorf("%sretryAfterSeconds: %d is below 0: write seconds, or omit it", at, f.RetryAfterSeconds)
	case f.SizeBytes < 0 || f.SizeBytes > maxOversized:
		return fmt.Errorf("%ssizeBytes: %d is out of range: write 1 to %d", at, f.SizeBytes, maxOversized)
	case strings.ContainsAny(f.Location+f.ContentType, "\r\n"):
		return fmt.Errorf("%slocation, contentType: a line break is not possible in a header: omit it", at)
	}
	return nil
}

// validateSelectors refuses a rule that could select no call: a test with it would pass for the wrong reason.
func (f Fault) validateSelectors(at string) error {
	for _, selector := range []struct {
		field, value string
		shape        shape
	}{
		{"loadBalancerId", f.LoadBalancerID, loadBalancerIDs},
		{"listenerId", f.ListenerID, listenerIDs},
		{"serverGroupId", f.ServerGroupID, groupIDs},
		{"accessKeyId", f.AccessKeyID, accessKeyIDs},
		{"regionId", f.RegionID, regionIDs},
	} {
		if selector.value == "" {
			continue
		}
		if err := selector.shape.check(at+selector.field, selector.value); err != nil {
			return fmt.Errorf("%w; there are no wildcards: omit it to select all", err)
		}
	}
	if f.Product == ProductCLB && f.ListenerID+f.ServerGroupID != "" {
		return fmt.Errorf("%sproduct: calls of clb name no listenerId and no serverGroupId: omit them", at)
	}
	if f.Product != "" && !slices.Contains(productNames, f.Product) {
		return fmt.Errorf("%sproduct: %q is not known: write one of %s", at, f.Product, strings.Join(productNames, ", "))
	}
	if names := actionNames(f.Product); f.Action != "" && !slices.Contains(names, f.Action) {
		return fmt.Errorf("%saction: %q is not known: write one of %s", at, f.Action, strings.Join(names, ", "))
	}
	if f.Code == "" {
		return nil
	}
	return errorCodes.check(at+"code", f.Code)
}

// validateFields checks what the kinds omit and success do to a response.
func (f Fault) validateFields(at string) error {
	switch {
	case f.Kind == FaultSuccess && f.Product != ProductNLB:
		return fmt.Errorf("%sproduct: %q: kind success is of NLB: write nlb", at, f.Product)
	case f.Kind == FaultOmit && len(f.Fields) == 0:
		return fmt.Errorf("%sfields: missing: write names of the response, such as HeathCheckEnabled", at)
	}
	for i, name := range f.Fields {
		if err := fieldNames.check(fmt.Sprintf("%sfields[%d]", at, i), name); err != nil {
			return err
		}
	}
	return nil
}
