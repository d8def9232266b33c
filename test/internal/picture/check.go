// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/lbhealth/slb-health-operator/test/internal/svg"
)

// largest is what a picture in a page may weigh.
const largest = 150 << 10

// Check says what is wrong with a drawing of a dashboard: that it is no XML, or
// large, or that a panel is left out or has no data.
func Check(dashboard Dashboard, drawing string) error {
	var wrong []error
	for decoder := xml.NewDecoder(strings.NewReader(drawing)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return fmt.Errorf("the picture is not XML: %w", err)
		}
	}
	for i := range dashboard.Panels {
		if title := dashboard.Panels[i].Title; !strings.Contains(drawing, ">"+svg.Escape(title)+"<") {
			wrong = append(wrong, fmt.Errorf("the picture has no panel %q", title))
		}
	}
	if n := strings.Count(drawing, ">"+NoData+"<"); n > 0 {
		wrong = append(wrong, fmt.Errorf("%d panels have no data", n))
	}
	if len(drawing) > largest {
		wrong = append(wrong, fmt.Errorf("the picture has %d bytes, more than %d", len(drawing), largest))
	}
	return errors.Join(wrong...)
}
