// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestFailureThatDiffersOnlyInNumbersIsNotWritten(t *testing.T) {
	for what, prepare := range map[string]func(*testEnv){
		"known":   func(env *testEnv) { env.observe("nna") },
		"pending": func(*testEnv) {},
		"stale":   func(env *testEnv) { env.observe("nna"); env.after(time.Hour) },
	} {
		for _, kind := range []alicloud.Kind{alicloud.Throttled, alicloud.Forbidden} {
			t.Run(what+" "+string(kind), func(t *testing.T) {
				env := newEnv(t)
				prepare(env)
				env.after(time.Second).fail(kind, "user 27 made 101 calls")
				if outcome := env.after(time.Second).fail(kind, "user 28 made 3 calls"); outcome.Write {
					t.Errorf("a write:\n%s", cmp.Diff(env.object.Status, outcome.Status))
				}
				outcome := env.after(time.Second).fail(kind, "user 28 made many calls")
				if got := env.condition("Observed").Message; !outcome.Write || got != "user 28 made many calls" {
					t.Errorf("write %t, message %q", outcome.Write, got)
				}
				if hasTransitions(outcome.Transitions) {
					t.Errorf("another message alone has transitions %+v", outcome.Transitions)
				}
			})
		}
	}
}

func TestUnchangedObservationIsWrittenAtTheHeartbeatOnly(t *testing.T) {
	env := newEnv(t)
	env.observe("80/tcp nau", "443/https nnx")
	var writes []int
	for at := 30; at <= 1800; at += 30 {
		outcome := env.after(30*time.Second).observe("443/https nnx", "80/tcp nau")
		if hasTransitions(outcome.Transitions) {
			t.Fatalf("at %d: %+v", at, outcome.Transitions)
		}
		if outcome.Write {
			writes = append(writes, at)
			if got := env.object.Status.LastObservedTime.Time; !got.Equal(env.now) {
				t.Errorf("at %d: lastObservedTime is %s", at, got)
			}
			if got, want := env.object.Status.LastRequestID, fmt.Sprintf("request-%d", env.requests); got != want {
				t.Errorf("at %d: lastRequestId is %s, want %s", at, got, want)
			}
		}
	}
	last := 0
	for _, at := range writes {
		if pause := at - last; pause < 225 || pause > 300 {
			t.Errorf("wrote after %d s: %v", pause, writes)
		}
		last = at
	}
	if len(writes) < 6 {
		t.Errorf("wrote at %v", writes)
	}
}

func TestHeartbeatsAreSpread(t *testing.T) {
	const objects = 1000
	perSecond := map[int]int{}
	for i := range objects {
		due := nextHeartbeat(fmt.Sprint("prod/web-", i), 5*time.Minute, start).Sub(start)
		if due <= 225*time.Second || due > 5*time.Minute {
			t.Fatalf("due after %s", due)
		}
		perSecond[int(due.Seconds())]++
	}
	for second, n := range perSecond {
		if n > 4*objects/75 {
			t.Errorf("%d of %d in second %d", n, objects, second)
		}
	}
}

func TestHeartbeatIsDueByTheAgeOfLastObservedTime(t *testing.T) {
	for age, want := range map[time.Duration]bool{
		225*time.Second - 1: false,
		5 * time.Minute:     true,
		time.Hour:           true,
	} {
		t.Run(age.String(), func(t *testing.T) {
			env := newEnv(t)
			env.observe("n")
			if got := env.after(age).observe("n").Write; got != want {
				t.Errorf("got %t, want %t", got, want)
			}
		})
	}
}

func TestChangedObservationIsWrittenAtOnce(t *testing.T) {
	for _, test := range []struct{ what, before, after string }{
		{"a state", "nn", "na"},
		{"a backend more", "nn", "nnn"},
		{"a backend less", "nn", "n"},
		{"another name for unavailable", "nu", "nx"},
		{"none left", "n", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			env := newEnv(t)
			env.observe(test.before)
			env.after(time.Second).observe(test.after)
			if got := env.object.Status.LastRequestID; got != "request-2" {
				t.Errorf("the status is of %s, want request-2", got)
			}
		})
	}
}

func TestLastingFailureIsWrittenOnceUntilItIsStale(t *testing.T) {
	for _, kind := range alicloud.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			env := newEnv(t, interval(time.Minute))
			env.observe("nna")
			var writes []int
			for at := 30; at <= 1800; at += 30 {
				if env.after(30 * time.Second).fail(kind).Write {
					writes = append(writes, at)
				}
			}
			want := []int{30, 180}
			if kind == alicloud.LoadBalancerNotFound || kind == alicloud.InvalidRequest {
				want = []int{30, 90, 180} // the third in a row stalls
			}
			if diff := cmp.Diff(want, writes); diff != "" {
				t.Errorf("wrote at these seconds:\n%s", diff)
			}
		})
	}
}

func TestNothingIsWrittenWithoutAnObservation(t *testing.T) {
	for what, prepare := range map[string]func(*testEnv){
		"observed":  func(env *testEnv) { env.observe("nna") },
		"suspended": func(env *testEnv) { env.edit(suspend).wait() },
		"edited":    func(env *testEnv) { env.observe("nna"); env.edit(minHealthy("2")).wait() },
		"new":       func(env *testEnv) { env.wait() },
	} {
		t.Run(what, func(t *testing.T) {
			env := newEnv(t)
			prepare(env)
			for range 8 {
				if outcome := env.after(10 * time.Second).wait(); outcome.Write {
					t.Fatal("a write")
				}
			}
		})
	}
}
