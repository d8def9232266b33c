// SPDX-License-Identifier: Apache-2.0

package supply

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The exit codes of vulncheck.sh.
const (
	passed = 0
	failed = 1
	notRun = 75
)

func TestVulncheck(t *testing.T) {
	govulncheck := tool(t, "govulncheck")
	called := scannedModule(t, `_, _ = url.Parse("http://127.0.0.1")`)
	broken := scannedModule(t, `url.NoSuchFunction()`)
	down := httptest.NewServer(http.NotFoundHandler())
	down.Close()

	for _, test := range []struct {
		name     string
		folder   string
		database string
		code     int
		says     string
	}{
		{"what is vulnerable is called", called, vulnerabilities(t, "Parse"), failed, "vulncheck: FAILED: the code calls what is known to be vulnerable"},
		{"what is vulnerable is not called", called, vulnerabilities(t, "ParseQuery"), passed, "vulncheck: no known vulnerability is called"},
		{"nothing is vulnerable", called, vulnerabilities(t), passed, "vulncheck: no known vulnerability is called"},
		{"the database is down", called, down.URL, notRun, "vulncheck: NOT RUN: the database of vulnerabilities does not respond: " + down.URL},
		{"the database returns errors", called, failing(t), notRun, "vulncheck: NOT RUN: the database of vulnerabilities does not respond"},
		{"the code does not compile", broken, vulnerabilities(t), failed, "vulncheck: FAILED: govulncheck ended with 1"},
	} {
		t.Run(test.name, func(t *testing.T) {
			code, output := vulncheck(t, govulncheck, test.folder, test.database)
			if code != test.code {
				t.Errorf("it ended with %d, not %d", code, test.code)
			}
			last := output[strings.LastIndexByte(strings.TrimSpace(output), '\n')+1:]
			if !strings.HasPrefix(last, test.says) {
				t.Errorf("its last message does not start with %q", test.says)
			}
			if t.Failed() {
				t.Log(output)
			}
		})
	}
}

func vulncheck(t *testing.T, govulncheck, folder, database string) (code int, output string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "tools", "vulncheck.sh"), govulncheck, folder)
	command.Env = append(os.Environ(), "GOWORK=off", "VULNDB="+database)
	out, err := command.CombinedOutput()
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case ended:
		return exit.ExitCode(), string(out)
	case err != nil:
		t.Fatal(err)
	}
	return 0, string(out)
}

// scannedModule makes a module whose program runs this statement.
func scannedModule(t *testing.T, statement string) string {
	t.Helper()
	folder := t.TempDir()
	write(t, filepath.Join(folder, "go.mod"), []byte("module example.com/scanned\n\ngo 1.26.0\n"))
	write(t, filepath.Join(folder, "main.go"), []byte("package main\n\nimport \"net/url\"\n\nfunc main() {\n\t"+statement+"\n}\n"))
	return folder
}

// vulnerabilities serves a database in which these functions of net/url are
// vulnerable, in every version of Go, and returns its address.
func vulnerabilities(t *testing.T, functions ...string) string {
	t.Helper()
	type object = map[string]any
	const id, day = "GO-2026-99999", "2026-01-02T03:04:05Z"
	documents := map[string]any{
		"/index/db.json.gz":      object{"modified": day},
		"/index/modules.json.gz": []object{},
	}
	if len(functions) > 0 {
		documents["/index/modules.json.gz"] = []object{{"path": "stdlib", "vulns": []object{{"id": id, "modified": day}}}}
		documents["/ID/"+id+".json.gz"] = object{
			"schema_version": "1.3.1", "id": id, "modified": day, "published": day, "details": "made for a test",
			"database_specific": object{"url": "https://example.com/" + id},
			"affected": []object{{
				"package":            object{"name": "stdlib", "ecosystem": "Go"},
				"ranges":             []object{{"type": "SEMVER", "events": []object{{"introduced": "0"}}}},
				"ecosystem_specific": object{"imports": []object{{"path": "net/url", "symbols": functions}}},
			}},
		}
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		document, known := documents[r.URL.Path]
		if !known {
			http.NotFound(w, r)
			return
		}
		zipped := gzip.NewWriter(w)
		if err := errors.Join(json.NewEncoder(zipped).Encode(document), zipped.Close()); err != nil {
			t.Errorf("serving %s: %v", r.URL.Path, err)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// failing serves a database that returns errors, as a proxy may.
func failing(t *testing.T) string {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not today", http.StatusServiceUnavailable)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
