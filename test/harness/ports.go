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

// Ports that are handed out. The kernel takes those of outgoing connections from
// 32768 on unless configured otherwise: one of these is still free when its
// server starts, and when it starts again.
const (
	lowestPort  = 10_000
	highestPort = 32_767
)

// maxTries is how many ports are tried before the machine is taken to be at fault.
const maxTries = 100

// given are the ports that this process handed out.
var given sync.Map

// FreeAddress is a host:port of loopback without a listener, for a program that
// cannot report which port it took. No address is given twice.
func FreeAddress(ctx context.Context) (string, error) {
	var errs error
	for range maxTries {
		port := lowestPort + rand.IntN(highestPort-lowestPort+1)
		if _, taken := given.LoadOrStore(port, struct{}{}); taken {
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
