// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"time"
)

// Wait waits, unless ctx ends before: then it returns why.
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
