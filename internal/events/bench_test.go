// SPDX-License-Identifier: Apache-2.0

package events

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/go-logr/logr"
	eventsv1 "k8s.io/api/events/v1"
)

// The time to record and write one event while many events of another namespace are pending.
func BenchmarkEventf(b *testing.B) {
	for _, pending := range []int{0, 19_000} {
		b.Run(fmt.Sprint(pending, " pending in another namespace"), func(b *testing.B) {
			written := make(chan string, 1)
			r := recorderTo(func(_ context.Context, event *eventsv1.Event) error {
				if event.Namespace == "refuses" {
					return errRefused
				}
				written <- event.Note
				return nil
			}, logr.Discard(), time.Now)
			for i := range pending {
				record(r, "refuses", strconv.Itoa(i))
			}
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan struct{})
			go func() { defer close(done); _ = r.Start(ctx) }()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				record(r, "prod", strconv.Itoa(i))
				<-written
			}
			cancel()
			<-done
		})
	}
}
