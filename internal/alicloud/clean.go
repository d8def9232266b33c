// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is how many bytes of a message are cleaned, and how many a field of a
// response may have.
const MaxText = 4096

const (
	maxMessage = 256 // bytes of the API's words in a message
	maxField   = 128 // bytes of a field of a response, such as a server id
	echoLength = 16  // consecutive characters of a key that are an echo of it
)

// echoes are what an API message may repeat of a signed request, and what
// differs between two equal failures. The order matters: whole URLs and
// assignments precede the tokens inside them.
var echoes = []struct {
	pattern     *regexp.Regexp
	replacement string
}{
	{regexp.MustCompile(`(?i)server string to sign is.*`), "[string to sign]"},
	{regexp.MustCompile(`\S*://\S*`), "[url]"},
	{regexp.MustCompile(`(?i)\b(access_?key_?(id|secret)|signature(nonce)?|security_?token|timestamp|encodeddiagnosticmessage)\b["']?\s*(=|%3D|:)\s*\S+`), "$1=[redacted]"},
	{regexp.MustCompile(`\b(LTAI|STS\.)[0-9A-Za-z]+`), "[key]"},
	{regexp.MustCompile(`(?i)\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b`), "[id]"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d[T ]\d\d(:|%3A)\d\d((:|%3A)\d\d)?(\.\d+)?Z?`), "[time]"},
}

// longToken matches what could be a signature, token or nonce: words that people
// read are shorter.
var longToken = regexp.MustCompile(`[0-9A-Za-z+/=_%-]{20,}`)

// cleanMessage makes an API message fit for conditions, events and logs: one
// line, bounded, and without any part of the signed request. The words in keep,
// such as the load balancer's id, stay readable.
func cleanMessage(message string, credentials Credentials, keep ...string) string {
	message = oneLine(message)
	for _, key := range keysOf(credentials) {
		message = strings.ReplaceAll(message, key, "[key]")
	}
	message = wholeWords(message, MaxText)
	message = withoutKeyParts(message, credentials)
	for _, echo := range echoes {
		message = echo.pattern.ReplaceAllString(message, echo.replacement)
	}
	message = longToken.ReplaceAllStringFunc(message, func(token string) string {
		if slices.Contains(keep, token) {
			return token
		}
		// One signature in a hundred has no digit, but all have padding.
		if !strings.ContainsFunc(token, unicode.IsDigit) && !strings.HasSuffix(token, "=") {
			return token
		}
		return "[...]"
	})
	return truncate(message, maxMessage)
}

// CleanText makes another program's words fit for conditions, events and logs:
// one line, bounded, and without URLs and what could be a token.
func CleanText(text string) string { return cleanMessage(text, Credentials{}) }

// keyWord matches words that could have a part of a key or token, plain or escaped.
var keyWord = regexp.MustCompile(`[0-9A-Za-z+/=_.%~-]{16,}`)

// withoutKeyParts replaces words that contain a part of a key: a server may
// truncate what it repeats, or break it into lines.
func withoutKeyParts(message string, credentials Credentials) string {
	parts := partsOf(keysOf(credentials))
	return keyWord.ReplaceAllStringFunc(message, func(word string) string {
		if parts.in(word) {
			return "[key]"
		}
		return word
	})
}

// keyParts are all parts of keys with echoLength characters, in lower case. A word
// is compared with all of them at once, so its cost does not grow with the length
// of a token.
type keyParts map[string]struct{}

func partsOf(keys []string) keyParts {
	p := keyParts{}
	for _, key := range allSpellings(keys) {
		key = strings.ToLower(key)
		for i := 0; i+echoLength <= len(key); i++ {
			p[key[i:i+echoLength]] = struct{}{}
		}
	}
	return p
}

// in reports whether a word contains a part of a key, in any case.
func (p keyParts) in(word string) bool {
	word = strings.ToLower(word)
	for i := 0; i+echoLength <= len(word); i++ {
		if _, found := p[word[i:i+echoLength]]; found {
			return true
		}
	}
	return false
}

func allSpellings(keys []string) []string {
	spelled := make([]string, 0, 3*len(keys))
	for _, key := range keys {
		spelled = append(spelled, spellings(key)...)
	}
	return spelled
}

// spellings are a key as it is, as a URL has it, and as a string to sign has it.
func spellings(key string) []string {
	escaped := url.QueryEscape(key)
	return slices.Compact([]string{key, escaped, url.QueryEscape(escaped)})
}

// apiRequestID is the form of request ids.
var apiRequestID = regexp.MustCompile(`^[0-9A-Za-z._:-]{1,128}$`)

// cleanRequestID returns id, or "" when it is something else, such as an echo of a key.
func cleanRequestID(id string, credentials Credentials) string {
	if !apiRequestID.MatchString(id) {
		return ""
	}
	for _, key := range keysOf(credentials) {
		if strings.Contains(id, key) {
			return ""
		}
	}
	return id
}

// keysOf returns the parts of the credentials that must not be repeated.
func keysOf(credentials Credentials) []string {
	keys := []string{credentials.SecurityToken, credentials.AccessKeySecret, credentials.AccessKeyID, credentials.signature}
	return slices.DeleteFunc(keys, func(key string) bool { return key == "" })
}

// CleanField makes a field of a response fit for a status row, in one line of at
// most 128 bytes: a hostile or broken server must not break tables, terminals or
// label values.
func CleanField(value string) string {
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c >= utf8.RuneSelf || c == 0x7f {
			return truncate(oneLine(value), maxField)
		}
	}
	return truncate(value, maxField)
}

// LowerField is CleanField for words that are compared without regard to case.
func LowerField(value string) string { return truncate(strings.ToLower(CleanField(value)), maxField) }

// oneLine replaces invisible characters (control characters, bidirectional
// controls, fillers), invalid UTF-8 and white space with single spaces.
func oneLine(s string) string {
	s = strings.ToValidUTF8(s, " ")
	s = strings.Map(func(r rune) rune {
		if !visible(r) {
			return ' '
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// visible reports whether a terminal displays a character. Fillers and
// variation selectors are letters and marks to Unicode, but hide text, and make
// different names appear the same.
func visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// wholeWords truncates s to at most limit bytes, at a space, so that the result
// ends with a whole word.
func wholeWords(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:max(strings.LastIndexByte(s[:limit+1], ' '), 0)]
}

// truncate shortens s to at most limit bytes, at a rune's boundary, and marks it
// with "...".
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const mark = "..."
	kept := limit - len(mark)
	for kept > 0 && !utf8.RuneStart(s[kept]) {
		kept--
	}
	return s[:kept] + mark
}
