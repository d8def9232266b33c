// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net"
	"strconv"
	"testing"
)

func TestFreeAddressesAreFreeAndGivenOnce(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		address, err := FreeAddress(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if seen[address] {
			t.Fatalf("%s is given twice", address)
		}
		seen[address] = true
		_, text, err := net.SplitHostPort(address)
		if err != nil {
			t.Fatal(err)
		}
		if port, err := strconv.Atoi(text); err != nil || port < lowestPort || port > highestPort {
			t.Errorf("%s is among the ports of outgoing connections", address)
		}
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
		if err != nil {
			t.Fatalf("it is not free: %v", err)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
	}
}
