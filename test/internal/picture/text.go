// SPDX-License-Identifier: Apache-2.0

package picture

import "strings"

// widthOf is about how wide a text is, on the safe side: who draws it has a
// font of their own.
func widthOf(text string, size float64) float64 {
	width := 0.0
	for _, r := range text {
		switch {
		case strings.ContainsRune("ijl|!.,:;'()[] ", r):
			width += 0.35
		case r > 0x2e80, strings.ContainsRune("mwMW%@", r):
			width++
		case r >= 'A' && r <= 'Z':
			width += 0.72
		default:
			width += 0.6
		}
	}
	return width * size
}

// fit cuts a text that is too wide.
func fit(text string, size, room float64) string {
	if widthOf(text, size) <= room {
		return text
	}
	runes := []rune(text)
	for len(runes) > 0 && widthOf(string(runes)+"…", size) > room {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
