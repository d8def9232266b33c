// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"errors"
	"io"
)

// maxDrained bounds, in bytes, what is read of a body beyond its limit.
const maxDrained = 64 << 20

var errTooLarge = errors.New("too large")

// readAtMost reads a body of up to limit bytes. A larger one is read and discarded: a client that still sends when
// the connection closes sees a reset instead of the response.
func readAtMost(body io.Reader, limit int64) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(body, limit+1))
	if err == nil && int64(len(data)) > limit {
		_, _ = io.CopyN(io.Discard, body, maxDrained)
		return nil, errTooLarge
	}
	return data, err
}
