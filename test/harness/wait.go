// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"time"
)

// Wait waits for d, or until ctx is done: then it returns the cause.
func Wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
