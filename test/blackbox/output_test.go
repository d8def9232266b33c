// SPDX-License-Identifier: Apache-2.0

package blackbox

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	. "github.com/onsi/gomega"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/lbhealth/slb-health-operator/api/v1alpha1"
)

// outputSpecs check the output of all specs, so they run last.
var outputSpecs = []spec{
	{"every request has its own signature, as the API's reference requires", signedEveryRequest},
	{"no key, token, signature or signed URL is in any output, event or status", keepsSecrets},
	{"no program had a data race or panicked", noRaceOrPanic},
}

const dataRace = "WARNING: DATA RACE"

func signedEveryRequest(t *testing.T, w *env) {
	for _, v := range w.verifiers() {
		v.demandValidRequests(t)
	}
}

// verifiers are those of all servers of the test.
func (w *env) verifiers() []*rpcVerifier {
	if w.groups == nil {
		return []*rpcVerifier{w.slb.rpcVerifier}
	}
	return []*rpcVerifier{w.slb.rpcVerifier, w.groups.nlb.rpcVerifier, w.groups.alb.rpcVerifier}
}

// signatures are all that were sent.
func (w *env) signatures() map[string]struct{} {
	sent := map[string]struct{}{}
	for _, v := range w.verifiers() {
		v.mu.Lock()
		maps.Copy(sent, v.signatures)
		v.mu.Unlock()
	}
	return sent
}

// collected returns all outputs, events and objects by source.
func (w *env) collected(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	entries, err := os.ReadDir(w.outputs)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		found[entry.Name()] = []byte(readFile(t, filepath.Join(w.outputs, entry.Name())))
	}
	g := NewWithT(t)
	var events eventsv1.EventList
	g.Expect(w.admin.List(w.ctx, &events)).To(Succeed())
	var objects v1alpha1.LoadBalancerHealthList
	g.Expect(w.admin.List(w.ctx, &objects)).To(Succeed())
	for name, list := range map[string]any{"events": events.Items, "objects": objects.Items} {
		content, err := json.Marshal(list)
		g.Expect(err).NotTo(HaveOccurred())
		found[name] = content
	}
	return found
}

// signedURL matches a signature in a URL or a form, plain or escaped, but not its redacted value.
var signedURL = regexp.MustCompile(`(?i)signature(nonce)?(=|%3D|%253D)[^\s\[]`)

func keepsSecrets(t *testing.T, w *env) {
	everything := w.collected(t)
	for _, name := range []string{"events", "objects", "main.stderr", "main.metrics", "hostile.stderr", "hostile.metrics", "groups.stderr", "groups.metrics", "restart.1.metrics"} {
		if len(everything[name]) <= len("null") {
			t.Errorf("%s is empty or missing", name)
		}
	}
	if !bytes.Contains(everything["main.stderr"], []byte(`"level":"Level(-8)"`)) {
		t.Error("the operator did not log at a high verbosity")
	}
	w.searchSecrets(t)
}

// searchSecrets searches all output for every secret of the vault.
func (w *env) searchSecrets(t *testing.T) {
	t.Helper()
	sent := w.signatures()
	for name, content := range w.collected(t) {
		content = append(content, undumped(content)...)
		for _, word := range w.vault.all() {
			for _, form := range formsOf(word) {
				if at := bytes.Index(content, []byte(form)); at >= 0 {
					t.Errorf("%s contains a key or token: %q", name, around(content, at))
				}
			}
		}
		if found := signedURL.FindIndex(content); found != nil {
			t.Errorf("%s contains a signed URL: %q", name, around(content, found[0]))
		}
		searchSignatures(t, name, content, sent)
	}
}

// dumpRow matches a row of a hex dump: client-go logs binary bodies as such.
var dumpRow = regexp.MustCompile(`[0-9a-f]{8} {2}((?:[0-9a-f]{2} {1,2}){1,16}) *\|`)

// undumped returns the bytes of all hex dumps.
func undumped(content []byte) []byte {
	var found []byte
	for _, row := range dumpRow.FindAllSubmatch(content, -1) {
		for pair := range bytes.FieldsSeq(row[1]) {
			decoded, err := hex.DecodeString(string(pair))
			if err == nil {
				found = append(found, decoded...)
			}
		}
	}
	return found
}

// formsOf returns the encodings of a word in URLs and in Secrets.
func formsOf(word string) []string {
	forms := []string{word, base64.StdEncoding.EncodeToString([]byte(word))}
	if escaped := url.QueryEscape(word); escaped != word {
		forms = append(forms, escaped, url.QueryEscape(escaped))
	}
	return forms
}

// searchSignatures compares the text before each '=' to the signatures that were sent.
func searchSignatures(t *testing.T, name string, content []byte, sent map[string]struct{}) {
	t.Helper()
	const length = 28 // of a SHA-1 in base64
	for at := 0; ; at++ {
		next := bytes.IndexByte(content[at:], '=')
		if next < 0 {
			return
		}
		at += next
		if at+1 < length {
			continue
		}
		if _, found := sent[string(content[at+1-length:at+1])]; found {
			t.Errorf("%s contains a signature: %q", name, around(content, at))
		}
	}
}

func around(content []byte, at int) []byte {
	const width = 120
	return content[max(0, at-width):min(len(content), at+width)]
}

func noRaceOrPanic(t *testing.T, w *env) {
	for name, content := range w.collected(t) {
		for _, sign := range []string{dataRace, "panic:", "Observed a panic", "concurrent map"} {
			if at := bytes.Index(content, []byte(sign)); at >= 0 {
				t.Errorf("%s: %s", name, content[at:min(len(content), at+4000)])
			}
		}
	}
}
