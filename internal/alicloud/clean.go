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

const (
	maxRaw     = 4096 // bytes of the API's words that are looked at
	maxMessage = 256  // bytes of the API's words in a message
	maxField   = 128  // bytes of a field of an answer, such as a server id
	echoLength = 16   // characters in a row of a key that are an echo of it
)

// What an API message may echo of a signed request, and what differs between
// two equal failures. The order matters: whole URLs and assignments go before
// the tokens inside them.
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

// longToken finds what could be a signature, token or nonce: nothing that a
// person wants to read is this long without a space.
var longToken = regexp.MustCompile(`[0-9A-Za-z+/=_%-]{20,}`)

// cleanMessage makes an API message fit for conditions, events and logs: one
// line, bounded, and without anything of the signed request. What the words in
// keep name, such as the load balancer's id, stays readable.
func cleanMessage(message string, credentials Credentials, keep ...string) string {
	message = oneLine(message)
	for _, key := range keysOf(credentials) {
		message = strings.ReplaceAll(message, key, "[key]")
	}
	message = wholeWords(message, maxRaw)
	message = withoutPieces(message, credentials)
	for _, echo := range echoes {
		message = echo.pattern.ReplaceAllString(message, echo.replacement)
	}
	message = longToken.ReplaceAllStringFunc(message, func(token string) string {
		if slices.Contains(keep, token) {
			return token
		}
		// One signature in a hundred has no digit, but all end in padding.
		if !strings.ContainsFunc(token, unicode.IsDigit) && !strings.HasSuffix(token, "=") {
			return token
		}
		return "[...]"
	})
	return bounded(message, maxMessage)
}

// CleanText makes another program's words fit for conditions, events and logs:
// one line, bounded, and without URLs and what could be a token.
func CleanText(text string) string { return cleanMessage(text, Credentials{}) }

// word is what keys and tokens are made of, plain or escaped.
var word = regexp.MustCompile(`[0-9A-Za-z+/=_.%~-]{16,}`)

// withoutPieces takes out words that hold a piece of a key: a server may cut
// what it echoes, or break it into lines.
func withoutPieces(message string, credentials Credentials) string {
	pieces := piecesOf(keysOf(credentials))
	return word.ReplaceAllStringFunc(message, func(word string) string {
		if pieces.standIn(word) {
			return "[key]"
		}
		return word
	})
}

// pieces are all that has echoLength characters in a row of a key, in lower
// case. A word is held against all of them at once: however long a token is, a
// word costs what its own length does.
type pieces map[string]struct{}

func piecesOf(keys []string) pieces {
	p := pieces{}
	for _, key := range allSpellings(keys) {
		key = strings.ToLower(key)
		for i := 0; i+echoLength <= len(key); i++ {
			p[key[i:i+echoLength]] = struct{}{}
		}
	}
	return p
}

// standIn tells whether a word has enough characters in a row of a key, in whatever case.
func (p pieces) standIn(word string) bool {
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

// spellings are a key as it is, and as it stands in a URL and in a string to sign.
func spellings(key string) []string {
	escaped := url.QueryEscape(key)
	return slices.Compact([]string{key, escaped, url.QueryEscape(escaped)})
}

// apiRequestID is what request ids look like.
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

// keysOf returns what of the credentials must not be repeated.
func keysOf(credentials Credentials) []string {
	keys := []string{credentials.SecurityToken, credentials.AccessKeySecret, credentials.AccessKeyID, credentials.signature}
	return slices.DeleteFunc(keys, func(key string) bool { return key == "" })
}

// cleanField makes a field of an answer fit for a status row: a hostile or
// broken server must not break tables, terminals or label values.
func cleanField(value string) string {
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c >= utf8.RuneSelf || c == 0x7f {
			return bounded(oneLine(value), maxField)
		}
	}
	return bounded(value, maxField)
}

// lowerField is cleanField for words that are compared without regard to case.
func lowerField(value string) string { return bounded(strings.ToLower(cleanField(value)), maxField) }

// oneLine turns what cannot be seen (control characters, bidirectional controls,
// fillers), invalid UTF-8 and runs of white space into single spaces.
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

// visible tells whether a terminal shows something for a character. Fillers and
// variation selectors are letters and marks to Unicode, but hide text, and make
// different names look the same.
func visible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// wholeWords cuts s to at most limit bytes, at a space, so that what is left
// holds no part of a longer word.
func wholeWords(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:max(strings.LastIndexByte(s[:limit+1], ' '), 0)]
}

// bounded cuts s to at most limit bytes, at a rune's boundary, and marks the cut.
func bounded(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	const mark = "..."
	cut := limit - len(mark)
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + mark
}
