// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A meaning has the same colour everywhere.
type meaning string

const (
	good   meaning = "good"   // normal, true, answered
	bad    meaning = "bad"    // abnormal, false, refused
	unsure meaning = "unsure" // nobody knows
	plain  meaning = "plain"  // neither
)

// shades are colours on a light ground and on a dark one. The first ones of the
// meanings differ in brightness too, for those who do not see the hue.
var shades = map[meaning][][2]string{
	good:   {{"#2da44e", "#3fb950"}, {"#116329", "#a5e8b0"}, {"#7fd08f", "#1f7a36"}},
	bad:    {{"#b62324", "#da3633"}, {"#ff8f85", "#ffb3ab"}, {"#67060c", "#8e2a27"}},
	unsure: {{"#d4a72c", "#f2cc60"}, {"#8a5a00", "#bb8009"}, {"#f0d58a", "#fae7ae"}},
	plain: {
		{"#0969da", "#58a6ff"}, {"#a475f9", "#e2c5ff"}, {"#0a3069", "#1f6feb"},
		{"#39b0bd", "#76e3ea"}, {"#6e40aa", "#8957e5"}, {"#6e7781", "#8b949e"},
	},
}

// of the words that labels have.
var words = map[string]meaning{
	"normal": good, "abnormal": bad, "unavailable": unsure,
	"True": good, "False": bad, "Unknown": unsure,
}

// meaningOf looks at labels that say how something is.
func meaningOf(labels map[string]string) meaning {
	if code := labels["code"]; code != "" {
		return meaningOfCode(code)
	}
	if labels["condition"] == "Stalled" { // the one that is bad when true
		return map[string]meaning{"True": bad, "False": good, "Unknown": unsure}[labels["status"]]
	}
	for _, key := range []string{"status", "to"} {
		if found, known := words[labels[key]]; known {
			return found
		}
	}
	return plain
}

// meaningOfCode is of an HTTP code, or of one that a call ended with.
func meaningOfCode(code string) meaning {
	number, err := strconv.Atoi(code)
	switch {
	case code == "OK":
		return good
	case err == nil && number < 400:
		return plain
	default:
		return bad
	}
}

// fixed are the colours that a dashboard names.
var fixed = map[string]meaning{"green": good, "red": bad, "yellow": unsure}

// className is that of the n-th line of a meaning in a chart.
func className(m meaning, n int) string {
	return fmt.Sprintf("%s%d", m, n%len(shades[m]))
}

const (
	lightRules = `.ground { fill: #f6f8fa } .panel { fill: #ffffff; stroke: #d0d7de } .strong { fill: #24292f } .grid { stroke: #d8dee4 }`
	darkRules  = `.ground { fill: #0d1117 } .panel { fill: #161b22; stroke: #30363d } .strong { fill: #e6edf3 } .grid { stroke: #30363d }`
)

// rules are of colours by class, and of what is drawn in them. Large numbers of
// amber on white would be hard to read.
func rules() string {
	light, dark := []string{lightRules}, []string{darkRules}
	for _, m := range slices.Sorted(maps.Keys(shades)) {
		for n, shade := range shades[m] {
			light = append(light, fmt.Sprintf(".%s { color: %s }", className(m, n), shade[0]))
			dark = append(dark, fmt.Sprintf(".%s { color: %s }", className(m, n), shade[1]))
		}
	}
	light = append(light, "text.unsure0 { color: #9a6700 }")
	dark = append(dark, "text.unsure0 { color: "+shades[unsure][0][1]+" }")
	return `.curve { fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round }
.area { fill: currentColor; fill-opacity: .3 } .key, .number { fill: currentColor }
.strong, .number { font-weight: 600 } .small { font-size: 10px }
` + strings.Join(light, "\n") + "\n@media (prefers-color-scheme: dark) {\n" + strings.Join(dark, "\n") + "\n}"
}
