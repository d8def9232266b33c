// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// clockSkew is how far a request's time may be from the server's, either way.
	clockSkew = 15 * time.Minute
	// nonceWindow covers the longest time for which one signed request stays acceptable: its time may lie clockSkew
	// in the future at its first use.
	nonceWindow = 2 * clockSkew
	// maxNonces bounds the nonces: about 60 MiB when full, at some 500 calls a second for the whole window. Beyond it
	// the oldest are dropped.
	maxNonces = 1 << 20
)

type nonceDigest [16]byte

type usedNonce struct {
	digest nonceDigest
	until  time.Time
}

// nonceLog has the nonces of accepted signatures, each for its own key id.
type nonceLog struct {
	mu    sync.Mutex
	limit int
	seen  map[nonceDigest]struct{}
	queue []usedNonce
}

func newNonceLog(limit int) *nonceLog {
	return &nonceLog{limit: limit, seen: map[nonceDigest]struct{}{}}
}

// use reports whether the nonce is new for this key, and records it.
func (l *nonceLog) use(accessKeyID, nonce string, now time.Time) bool {
	sum := sha256.Sum256([]byte(accessKeyID + "\x00" + nonce))
	digest := nonceDigest(sum[:16])
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.queue) > 0 && (len(l.queue) >= l.limit || !l.queue[0].until.After(now)) {
		delete(l.seen, l.queue[0].digest)
		l.queue = l.queue[1:]
	}
	if _, used := l.seen[digest]; used {
		return false
	}
	l.seen[digest] = struct{}{}
	l.queue = append(l.queue, usedNonce{digest, now.Add(nonceWindow)})
	return true
}
