// SPDX-License-Identifier: Apache-2.0

package health

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestEachKindOfFailureIsTheReasonOfTheSameName(t *testing.T) {
	reasons := reasonsOfObserved(t)
	delete(reasons, "ReasonObservationSucceeded")
	for _, kind := range alicloud.Kinds() {
		name := "Reason" + string(kind)
		if reasons[name] != string(kind) {
			t.Errorf("kind %s: v1alpha1.%s is %q", kind, name, reasons[name])
		}
		delete(reasons, name)
	}
	for name := range reasons {
		t.Errorf("no failure kind has the reason v1alpha1.%s", name)
	}
}

func TestEveryKindOfFailureIsListed(t *testing.T) {
	listed := map[string]bool{}
	for _, kind := range alicloud.Kinds() {
		listed[string(kind)] = true
	}
	declared := constants(t, "../alicloud/errors.go", "Kinds of failure")
	if len(declared) != len(listed) {
		t.Errorf("%d kinds are declared and %d listed", len(declared), len(listed))
	}
	for name, value := range declared {
		if !listed[value] {
			t.Errorf("alicloud.Kinds() lacks alicloud.%s", name)
		}
	}
}

func reasonsOfObserved(t *testing.T) map[string]string {
	t.Helper()
	return constants(t, "../../api/v1alpha1/conditions.go", "Reasons of Observed")
}

// constants parses the block of constants whose comment starts with comment.
func constants(t *testing.T, file, comment string) map[string]string {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	for _, declaration := range parsed.Decls {
		block, ok := declaration.(*ast.GenDecl)
		if !ok || block.Tok != token.CONST || !strings.HasPrefix(block.Doc.Text(), comment) {
			continue
		}
		for _, spec := range block.Specs {
			value, ok := spec.(*ast.ValueSpec)
			if !ok {
				continue
			}
			literal, ok := value.Values[0].(*ast.BasicLit)
			if !ok {
				t.Fatalf("%s is not a literal", value.Names[0].Name)
			}
			text, err := strconv.Unquote(literal.Value)
			if err != nil {
				t.Fatal(err)
			}
			values[value.Names[0].Name] = text
		}
	}
	if len(values) == 0 {
		t.Fatalf("%s has no constants under %q", file, comment)
	}
	return values
}

func TestReadyFollowsHealthyAndIsFalseWhileStalled(t *testing.T) {
	met := condition{metav1.ConditionTrue, "MinHealthyMet", "met"}
	below := condition{metav1.ConditionFalse, "BelowMinHealthy", "below"}
	unknown := condition{metav1.ConditionUnknown, "ObservationStale", "stale"}
	stalled := condition{metav1.ConditionTrue, "Forbidden", "forbidden"}
	for _, test := range []struct {
		what    string
		healthy condition
		stalled *condition
		want    condition
	}{
		{"healthy", met, nil, met},
		{"unhealthy", below, nil, below},
		{"unknown", unknown, nil, unknown},
		{"healthy as last observed, and stalled", met, &stalled, condition{metav1.ConditionFalse, "Forbidden", "forbidden"}},
		{"unhealthy as last observed, and stalled", below, &stalled, condition{metav1.ConditionFalse, "Forbidden", "forbidden"}},
		{"unknown, and stalled", unknown, &stalled, condition{metav1.ConditionFalse, "Forbidden", "forbidden"}},
	} {
		t.Run(test.what, func(t *testing.T) {
			if got := (conditionSet{healthy: test.healthy, stalled: test.stalled}).ready(); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

func TestConditionsHaveAFixedOrderAndForeignOnesAreKept(t *testing.T) {
	foreign := metav1.Condition{Type: "example.com/Silenced", Status: "True", Reason: "Maintenance", ObservedGeneration: 1, LastTransitionTime: metav1.NewTime(start)}
	c := condition{metav1.ConditionTrue, "Reason", "message"}
	for _, test := range []struct {
		what string
		set  conditionSet
		want string
	}{
		{"neither stalled nor reconciling", conditionSet{observed: c, healthy: c}, "Ready Healthy Observed example.com/Silenced"},
		{"stalled", conditionSet{observed: c, healthy: c, stalled: &c}, "Ready Healthy Observed Stalled example.com/Silenced"},
		{"reconciling", conditionSet{observed: c, healthy: c, reconciling: &c}, "Ready Healthy Observed Reconciling example.com/Silenced"},
	} {
		t.Run(test.what, func(t *testing.T) {
			previous := []metav1.Condition{foreign, {Type: "Reconciling", Status: "True"}, {Type: "Stalled", Status: "True"}, {Type: "Ready", Status: "True"}}
			got := test.set.list(previous, 7, 7, metav1.NewTime(start.Add(time.Hour)))
			var types []string
			for _, c := range got {
				types = append(types, c.Type)
			}
			if strings.Join(types, " ") != test.want {
				t.Errorf("got %s, want %s", strings.Join(types, " "), test.want)
			}
			if diff := cmp.Diff(foreign, got[len(got)-1]); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestConditionTransitionTimeFollowsItsStatus(t *testing.T) {
	then, now := metav1.NewTime(start), metav1.NewTime(start.Add(time.Hour))
	previous := []metav1.Condition{
		{Type: "Healthy", Status: "True", Reason: "AllBackendsNormal", Message: "before", ObservedGeneration: 1, LastTransitionTime: then},
		{Type: "Observed", Status: "True", Reason: "ObservationSucceeded", Message: "before", ObservedGeneration: 1, LastTransitionTime: then},
	}
	set := conditionSet{
		healthy:  condition{metav1.ConditionTrue, "MinHealthyMet", "after"},
		observed: condition{metav1.ConditionFalse, "Throttled", "after"},
	}
	want := []metav1.Condition{
		{Type: "Ready", Status: "True", Reason: "MinHealthyMet", Message: "after", ObservedGeneration: 2, LastTransitionTime: now},
		{Type: "Healthy", Status: "True", Reason: "MinHealthyMet", Message: "after", ObservedGeneration: 2, LastTransitionTime: then},
		{Type: "Observed", Status: "False", Reason: "Throttled", Message: "after", ObservedGeneration: 2, LastTransitionTime: now},
	}
	if diff := cmp.Diff(want, set.list(previous, 2, 2, now)); diff != "" {
		t.Error(diff)
	}
}

func TestMessagesThatDifferOnlyInNumbersAreEqual(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"", "", true},
		{"the API failed", "the API failed", true},
		{"the API failed", "the API refused", false},
		{"user 1234 was throttled", "user 987 was throttled", true},
		{"request 8F-1a failed", "request C0-2b failed", true},
		{"at 2026-01-02T03:04:05Z it failed", "at 2027-02-03T04:05:06Z it failed", true},
		{"it is 10.0.0.1:443 that refuses", "it is 10.0.0.2:443 that refuses", true},
		{"10.0.0.1:443: connection refused", "10.0.0.2:443: connection refused", false}, // another --slb-endpoint
		{"user 1234 was throttled", "user 1234 was throttled again", false},
		{"user 1234 was throttled", "user root was throttled", false},
		{"quota 5 of 10", "quota 5 of ten", false},
		{"two  spaces 1", "two spaces 2", true},
	} {
		t.Run(test.a+" / "+test.b, func(t *testing.T) {
			if equalWithoutNumbers(test.a, test.b) != test.want || equalWithoutNumbers(test.b, test.a) != test.want {
				t.Errorf("want %t both ways", test.want)
			}
		})
	}
}

func TestMessageIsKeptForAnEqualConditionOnly(t *testing.T) {
	previous := condition{metav1.ConditionFalse, "Throttled", "user 1 was throttled"}
	for _, test := range []struct {
		what string
		next condition
		kept bool
	}{
		{"other numbers", condition{metav1.ConditionFalse, "Throttled", "user 2 was throttled"}, true},
		{"other words", condition{metav1.ConditionFalse, "Throttled", "user 2 was refused"}, false},
		{"another reason", condition{metav1.ConditionFalse, "ServiceError", "user 2 was throttled"}, false},
		{"another status", condition{metav1.ConditionTrue, "Throttled", "user 2 was throttled"}, false},
	} {
		t.Run(test.what, func(t *testing.T) {
			want := test.next
			if test.kept {
				want = previous
			}
			if got := keepMessage(test.next, previous); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}
