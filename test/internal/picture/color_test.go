// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"math"
	"strconv"
	"testing"
)

func TestAMeaningHasItsColourEverywhere(t *testing.T) {
	t.Parallel()

	for want, all := range map[meaning][]map[string]string{
		good:   {{"status": "normal"}, {"to": "normal"}, {"condition": "Healthy", "status": "True"}, {"condition": "Stalled", "status": "False"}, {"code": "OK"}},
		bad:    {{"status": "abnormal"}, {"to": "abnormal"}, {"condition": "Observed", "status": "False"}, {"condition": "Stalled", "status": "True"}, {"code": "Throttling.User"}, {"code": "409"}},
		unsure: {{"status": "unavailable"}, {"to": "unavailable"}, {"condition": "Healthy", "status": "Unknown"}, {"condition": "Stalled", "status": "Unknown"}},
		plain:  {{"region": "cn-hangzhou"}, {"code": "200", "method": "GET"}, {}},
	} {
		for _, labels := range all {
			if got := meaningOf(labels); got != want {
				t.Errorf("%v is %s, not %s", labels, got, want)
			}
		}
	}
}

// Who does not tell red from green tells them by how bright they are.
func TestMeaningsDifferInBrightness(t *testing.T) {
	t.Parallel()

	const least = 1.4
	for mode, name := range []string{"light", "dark"} {
		for _, pair := range [][2]meaning{{good, bad}, {good, unsure}, {bad, unsure}} {
			if got := contrast(t, shades[pair[0]][0][mode], shades[pair[1]][0][mode]); got < least {
				t.Errorf("in %s mode, %s and %s differ by %.2f", name, pair[0], pair[1], got)
			}
		}
		for m, all := range shades {
			for n := 1; n < len(all); n++ {
				if got := contrast(t, all[n-1][mode], all[n][mode]); got < least {
					t.Errorf("in %s mode, the shades %d and %d of %s differ by %.2f", name, n-1, n, m, got)
				}
			}
		}
	}
}

// contrast is that of WCAG 2: 1 for colours of the same brightness, 21 for black on white.
func contrast(t *testing.T, a, b string) float64 {
	t.Helper()
	x, y := brightness(t, a)+0.05, brightness(t, b)+0.05
	return math.Max(x, y) / math.Min(x, y)
}

func brightness(t *testing.T, color string) float64 {
	t.Helper()
	sum := 0.0
	for n, weight := range []float64{0.2126, 0.7152, 0.0722} {
		part, err := strconv.ParseUint(color[1+2*n:3+2*n], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		value := float64(part) / 255
		if value <= 0.03928 {
			sum += weight * value / 12.92
		} else {
			sum += weight * math.Pow((value+0.055)/1.055, 2.4)
		}
	}
	return sum
}
