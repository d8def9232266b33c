// SPDX-License-Identifier: Apache-2.0

package standin

import (
	"regexp"
	"testing"
)

func TestRecorder(t *testing.T) {
	serving := 4
	r := &Recorder{count: func() int { return serving }}
	record := func(counts ...int) {
		for _, serving = range counts {
			r.record()
		}
	}
	record(0, 4)
	r.Restart()
	record(5, 5, 3, 4)
	if fewest := r.Fewest(); fewest != 3 {
		t.Errorf("the fewest since the restart were %d", fewest)
	}
	if want := regexp.MustCompile(`^\S+:4 \S+:5 \S+:3 \S+:4$`); !want.MatchString(r.String()) {
		t.Errorf("recorded %s", r)
	}
}
