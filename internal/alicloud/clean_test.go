// SPDX-License-Identifier: Apache-2.0

package alicloud

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"sigs.k8s.io/yaml"

	"github.com/lbhealth/slb-health-operator/internal/alicloud/alicloudtest"
)

func TestCleanMessageRemovesPartsOfTheRequest(t *testing.T) {
	for name, test := range map[string]struct{ message, want string }{
		"words":                    {"The specified resource is not found.", "The specified resource is not found."},
		"nothing":                  {"", ""},
		"lines":                    {"one\r\n\ttwo\u2028three  four\x00", "one two three four"},
		"not UTF-8":                {"one\xff\xfetwo", "one two"},
		"invisible characters":     {"a\u200bb\u202ec\u2066d\ufeffe\u00adf\u3164g\ufe0fh\u034fi\U000e0100j\U000e0041k", "a b c d e f g h i j k"},
		"an escape":                {"\x1b[31mred\x1b[0m", "[31mred [0m"},
		"a URL":                    {"see https://help.aliyun.com/x?AccessKeyId=1 for more", "see [url] for more"},
		"the key":                  {"key " + alicloudtest.KeyID + " is unknown", "key [key] is unknown"},
		"the secret in a word":     {"x" + alicloudtest.Secret + "y", "x[key]y"},
		"the token":                {"token " + alicloudtest.Token, "token [key]"},
		"another key":              {"key LTAI5tOther is unknown", "key [key] is unknown"},
		"another temporary key":    {"key STS.NTOther is unknown", "key [key] is unknown"},
		"an assignment":            {"AccessKeyId=abc, Signature = x/y== and SecurityToken: t", "AccessKeyId=[redacted] Signature=[redacted] and SecurityToken=[redacted]"},
		"an assignment in JSON":    {`{"accessKeySecret": "abc"}`, `{"accessKeySecret=[redacted]`},
		"an escaped assignment":    {"POST&%2F&AccessKeyId%3Dabc%26Action%3Dx", "POST&%2F&AccessKeyId=[redacted]"},
		"the string to sign":       {"does not match, server string to sign is:POST&%2F&x", "does not match, [string to sign]"},
		"a request id":             {"request 365F4154-92F6-4AE4-92F8-7FF34B540710 failed", "request [id] failed"},
		"a time":                   {"expired at 2026-11-22T23:40:06Z.", "expired at [time]."},
		"an escaped time":          {"expired at 2026-11-22T23%3A40%3A06Z.", "expired at [time]."},
		"a signature":              {"got Zm9vYmFyYmF6cXV4MTIzNDU2Nzg= today", "got [...] today"},
		"a signature of letters":   {"got QmFzZSixtyFourSignaturePadd= today", "got [...] today"},
		"a signature in words":     {"o$ epBwEWmseBWRPImciMj+/UxuXlg=ch", "o$ [key]ch"},
		"a piece of a signature":   {"got epBwEWmseBWRPImciMj", "got [key]"},
		"a nonce":                  {"nonce 0123456789abcdef0123456789abcdef used", "nonce [...] used"},
		"a long word":              {"InvalidLoadBalancerSpecification", "InvalidLoadBalancerSpecification"},
		"the load balancer":        {"load balancer " + alicloudtest.LoadBalancer + " not found", "load balancer " + alicloudtest.LoadBalancer + " not found"},
		"the end of a token":       {"token ..." + alicloudtest.Token[8:] + " is unknown", "token [key] is unknown"},
		"a token in lines":         {"token " + alicloudtest.Token[:12] + "\n" + alicloudtest.Token[12:] + " is unknown", "token " + alicloudtest.Token[:12] + " [key] is unknown"},
		"a key in capitals":        {"key " + strings.ToUpper(alicloudtest.KeyID) + " is unknown", "key [key] is unknown"},
		"another load balancer":    {"load balancer lb-bp1qjwo61pqz3ahltv0mx not found", "load balancer [...] not found"},
		"a long text":              {strings.Repeat("words ", 100), strings.Repeat("words ", 42) + "w..."},
		"a long text of letters":   {strings.Repeat("负", 100), strings.Repeat("负", 84) + "..."},
		"a very long text":         {strings.Repeat("words ", 1_000_000), strings.Repeat("words ", 42) + "w..."},
		"a very long word":         {strings.Repeat("x", 1_000_000), ""},
		"a token where it is read": {strings.Repeat("a1", MaxText/2-3) + " " + strings.Repeat("b2", 40), "[...]"},
	} {
		t.Run(name, func(t *testing.T) {
			credentials := temporaryCredentials()
			credentials.signature = "epBwEWmseBWRPImciMj+/UxuXlg="
			got := cleanMessage(test.message, credentials, alicloudtest.LoadBalancer)
			if got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

func TestTruncatedMessageHasNoPartOfAKey(t *testing.T) {
	const unknown = "abcdefghijklmnop"
	for before := MaxText - 60; before <= MaxText; before++ {
		message := strings.Repeat("A1b2c3d4e5f6g7h8i9j0k ", MaxText)[:before] + " AccessKeySecret= " + unknown + " and more"
		if got := cleanMessage(message, temporaryCredentials()); strings.Contains(got, unknown[:4]) {
			t.Errorf("after %d bytes: %q", before, got)
		}
	}
}

func TestCleaningIsQuick(t *testing.T) {
	for name, unit := range map[string]string{"a word": "a", "assignments": "AccessKeyId=1 ", "URLs": "http://x ", "digits": "1-", "bytes": "\xff", "spaces": " ", "escapes": "\x1b"} {
		t.Run(name, func(t *testing.T) {
			message := strings.Repeat(unit, maxBody/len(unit))
			if duration := alicloudtest.ProcessorTime(t, func() { cleanMessage(message, temporaryCredentials()) }); duration > 5*time.Second {
				t.Errorf("took %s", duration)
			}
		})
	}
}

func TestInvalidRequestIDIsDropped(t *testing.T) {
	for id, want := range map[string]bool{
		"365F4154-92F6-4AE4-92F8-7FF34B540710": true,
		"req_1.2:3":                            true,
		"":                                     false,
		"two words":                            false,
		"line\nbreak":                          false,
		"a=b":                                  false,
		"https://x":                            false,
		strings.Repeat("a", 128):               true,
		strings.Repeat("a", 129):               false,
		alicloudtest.KeyID:                     false,
		"x-" + alicloudtest.Secret + "-x":      false,
	} {
		if got := cleanRequestID(id, temporaryCredentials()); (got == id) != want && id != "" || got != "" && got != id {
			t.Errorf("%q became %q", id, got)
		}
	}
}

func TestTruncateKeepsWholeCharacters(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"abcdef", 6, "abcdef"},
		{"abcdefg", 6, "abc..."},
		{"ééé", 6, "ééé"},
		{"éééé", 6, "é..."},
		{"日日日", 8, "日..."},
		{"\xff\xfe\xfd\xfc\xfb\xfa\xf9", 6, "\xff\xfe\xfd..."},
	} {
		if got := truncate(test.in, test.limit); got != test.want {
			t.Errorf("truncate(%q, %d) = %q, want %q", test.in, test.limit, got, test.want)
		}
	}
}

func TestWholeWordsKeepsWholeWords(t *testing.T) {
	for _, test := range []struct {
		in    string
		limit int
		want  string
	}{
		{"one two", 7, "one two"},
		{"one two", 6, "one"},
		{"one two", 3, "one"},
		{"one two", 2, ""},
		{"onetwo", 3, ""},
	} {
		if got := wholeWords(test.in, test.limit); got != test.want {
			t.Errorf("wholeWords(%q, %d) = %q, want %q", test.in, test.limit, got, test.want)
		}
	}
}

func TestCredentialsPrintAsTheirVersion(t *testing.T) {
	credentials := temporaryCredentials()
	request := aRequest()
	printed := map[string]string{}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%T", "%c", "%e", "%10.3v", "%!"} {
		for what, value := range map[string]any{
			"value": credentials, "pointer": &credentials, "request": request, "request pointer": &request,
			"slice": []Credentials{credentials}, "map": map[string]Credentials{"a": credentials}, "key": map[Credentials]int{credentials: 1},
		} {
			printed[what+" with "+verb] = fmt.Sprintf(verb, value)
		}
	}
	for name, marshal := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal} {
		for what, value := range map[string]any{"value": credentials, "pointer": &credentials, "request": request} {
			encoded, err := marshal(value)
			if err != nil {
				t.Fatal(err)
			}
			printed[what+" as "+name] = string(encoded)
		}
	}
	var logged bytes.Buffer
	for name, log := range map[string]func(...any){
		"logr": func(values ...any) {
			funcr.New(func(_, args string) { logged.WriteString(args) }, funcr.Options{}).Info("called", values...)
		},
		"logr JSON": func(values ...any) {
			funcr.NewJSON(func(entry string) { logged.WriteString(entry) }, funcr.Options{}).Info("called", values...)
		},
		"slog": func(values ...any) { slog.New(slog.NewTextHandler(&logged, nil)).Info("called", values...) },
		"slog JSON": func(values ...any) {
			slog.New(slog.NewJSONHandler(&logged, nil)).Info("called", values...)
		},
	} {
		logged.Reset()
		log("value", credentials, "pointer", &credentials, "request", request, "list", []Credentials{credentials})
		printed[name] = logged.String()
	}
	for how, text := range printed {
		for _, secret := range []string{alicloudtest.KeyID, alicloudtest.Secret, alicloudtest.Token, fmt.Sprintf("%x", alicloudtest.Secret), fmt.Sprintf("%X", alicloudtest.Secret)} {
			if strings.Contains(text, secret) {
				t.Errorf("%s: %q contains %q", how, text, secret)
			}
		}
	}
	if got := fmt.Sprint(credentials); got != `credentials version "7"` {
		t.Errorf("got %q", got)
	}
	for _, how := range []string{"value as JSON", "logr", "logr JSON", "slog", "value with %+v", "request with %+v"} {
		if !strings.Contains(printed[how], "credentials version") {
			t.Errorf("%s: %q does not name the version", how, printed[how])
		}
	}
}

func TestAnErrorWrapsNothing(t *testing.T) {
	failed := &Error{Kind: ServiceError, Message: "words"}
	if errors.Unwrap(failed) != nil {
		t.Error("the error wraps another")
	}
}
