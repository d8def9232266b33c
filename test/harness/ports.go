// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// The range of FreeAddress. By default the kernel assigns ports from 32768 on to
// outgoing connections: these stay free until their server starts, and when it
// starts again.
const (
	lowestPort  = 10_000
	highestPort = 32_767
)

// maxTries is how many ports FreeAddress tries.
const maxTries = 100

// given are the ports that FreeAddress returned.
var given sync.Map

// FreeAddress returns a host:port of loopback without a listener, for a program that
// cannot report its own port. It returns no address twice.
func FreeAddress(ctx context.Context) (string, error) {
	var errs error
	for range maxTries {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if _, used := given.LoadOrStore(port, struct{}{}); used {
			continue
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			return address, listener.Close()
		}
		errs = errors.Join(errs, err)
	}
	return "", fmt.Errorf("no free port of loopback after %d tries: %w", maxTries, errs)
}
