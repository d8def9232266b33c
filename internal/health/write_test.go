// SPDX-License-Identifier: Apache-2.0

package health

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lbhealth/slb-health-operator/internal/alicloud"
)

func TestFailureThatDiffersInWordsWithDigitsOnlyIsNotWritten(t *testing.T) {
	for what, prepare := range map[string]func(*world){
		"known":   func(w *world) { w.answer("nna") },
		"pending": func(*world) {},
		"stale":   func(w *world) { w.answer("nna"); w.after(time.Hour) },
	} {
		for _, kind := range []alicloud.Kind{alicloud.Throttled, alicloud.Forbidden} {
			t.Run(what+" "+string(kind), func(t *testing.T) {
				w := newWorld(t)
				prepare(w)
				w.after(time.Second).fail(kind, "user 27 made 101 calls")
				if outcome := w.after(time.Second).fail(kind, "user 28 made 3 calls"); outcome.Write {
					t.Errorf("a write:\n%s", cmp.Diff(w.object.Status, outcome.Status))
				}
				outcome := w.after(time.Second).fail(kind, "user 28 made many calls")
				if got := w.condition("Observed").Message; !outcome.Write || got != "user 28 made many calls" {
					t.Errorf("write %t, message %q", outcome.Write, got)
				}
				if told(outcome.Transitions) {
					t.Errorf("other words alone told %+v", outcome.Transitions)
				}
			})
		}
	}
}

func TestUnchangedAnswerWritesAtTheHeartbeatOnly(t *testing.T) {
	w := newWorld(t)
	w.answer("80/tcp nau", "443/https nnx")
	var writes []int
	for at := 30; at <= 1800; at += 30 {
		outcome := w.after(30*time.Second).answer("443/https nnx", "80/tcp nau")
		if told(outcome.Transitions) {
			t.Fatalf("at %d: %+v", at, outcome.Transitions)
		}
		if outcome.Write {
			writes = append(writes, at)
			if got := w.object.Status.LastObservedTime.Time; !got.Equal(w.now) {
				t.Errorf("at %d: lastObservedTime is %s", at, got)
			}
			if got, want := w.object.Status.LastRequestID, fmt.Sprintf("request-%d", w.requests); got != want {
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

func TestHeartbeatsOfObjectsThatWereWrittenTogetherComeApart(t *testing.T) {
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

func TestHeartbeatIsDueWhenLastObservedTimeIsAsOldAsIt(t *testing.T) {
	for age, want := range map[time.Duration]bool{
		225*time.Second - 1: false,
		5 * time.Minute:     true,
		time.Hour:           true,
	} {
		t.Run(age.String(), func(t *testing.T) {
			w := newWorld(t)
			w.answer("n")
			if got := w.after(age).answer("n").Write; got != want {
				t.Errorf("got %t, want %t", got, want)
			}
		})
	}
}

func TestChangedAnswerIsWrittenAtOnce(t *testing.T) {
	for _, test := range []struct{ what, before, after string }{
		{"a state", "nn", "na"},
		{"a backend more", "nn", "nnn"},
		{"a backend less", "nn", "n"},
		{"another name for unavailable", "nu", "nx"},
		{"none left", "n", ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			w := newWorld(t)
			w.answer(test.before)
			w.after(time.Second).answer(test.after)
			if got := w.object.Status.LastRequestID; got != "request-2" {
				t.Errorf("the status is of %s, want request-2", got)
			}
		})
	}
}

func TestLastingFailureIsWrittenOnceUntilItIsStale(t *testing.T) {
	for _, kind := range alicloud.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			w := newWorld(t, interval(time.Minute))
			w.answer("nna")
			var writes []int
			for at := 30; at <= 1800; at += 30 {
				if w.after(30 * time.Second).fail(kind).Write {
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

func TestNothingIsWrittenWhileNobodyAsks(t *testing.T) {
	for what, prepare := range map[string]func(*world){
		"answered":  func(w *world) { w.answer("nna") },
		"suspended": func(w *world) { w.edit(suspend).wait() },
		"edited":    func(w *world) { w.answer("nna"); w.edit(minHealthy("2")).wait() },
		"new":       func(w *world) { w.wait() },
	} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			prepare(w)
			for range 8 {
				if outcome := w.after(10 * time.Second).wait(); outcome.Write {
					t.Fatal("a write")
				}
			}
		})
	}
}
