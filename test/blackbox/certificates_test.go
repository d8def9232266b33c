// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

func newCertificate(t *testing.T, maxAge time.Duration, names ...string) *harness.Certificate {
	t.Helper()
	c, err := harness.NewCertificate(t.TempDir(), maxAge, names...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
