// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// page is a document, and what its commands need. Keys are parts of commands: a key
// that no command of the page contains is an error.
type page struct {
	file string
	// notRun has a reason for each command that does not run here.
	notRun map[string]string
	// before and after run around a command.
	before, after map[string]func(t *testing.T)
}

// run runs every command of the page, from top to bottom.
func (p *page) run(t *testing.T, s *shell) {
	t.Helper()
	unused := map[string]bool{}
	for _, keys := range [][]string{keysOf(p.notRun), keysOf(p.before), keysOf(p.after)} {
		for _, key := range keys {
			unused[key] = true
		}
	}
	s.assigned = nil
	for _, b := range blocksOf(string(harness.ReadFile(t, filepath.Join(root, p.file)))) {
		for _, command := range b.commands() {
			for key := range unused {
				if strings.Contains(command, key) {
					delete(unused, key)
				}
			}
			if reasons := matching(p.notRun, command); len(reasons) > 0 {
				t.Logf("not run: %s: %s", command, reasons[0])
				continue
			}
			for _, prepare := range matching(p.before, command) {
				prepare(t)
			}
			if output, err := s.run(t, command); err != nil {
				t.Fatalf("%s: %s: %v\n%s", p.file, command, err, output)
			}
			for _, check := range matching(p.after, command) {
				check(t)
			}
		}
	}
	if len(unused) > 0 {
		t.Errorf("%s has no command with %q", p.file, keysOf(unused))
	}
}

func keysOf[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// matching returns the values whose keys are parts of a command.
func matching[V any](m map[string]V, command string) []V {
	var found []V
	for _, key := range keysOf(m) {
		if strings.Contains(command, key) {
			found = append(found, m[key])
		}
	}
	return found
}

// commandTimeout is more than any timeout that a page names.
const commandTimeout = 3 * time.Minute

// assignment is a command that later ones of the same terminal depend on.
var assignment = regexp.MustCompile(`^(export )?[A-Z]+=\S+$`)

// shell is a terminal in a folder.
type shell struct {
	folder      string
	environment []string
	// replaced has what stands in for an address that is not reachable here, or for a command.
	replaced *strings.Replacer
	assigned []string
}

// run runs a command, and returns what it prints.
func (s *shell) run(t *testing.T, command string) (string, error) {
	t.Helper()
	command = s.replaced.Replace(command)
	script := strings.Join(append(slices.Clone(s.assigned), command), "\n")
	if assignment.MatchString(command) {
		s.assigned = append(s.assigned, command)
	}
	ctx, cancel := context.WithTimeout(t.Context(), commandTimeout)
	defer cancel()
	process := exec.CommandContext(ctx, "bash", "-uo", "pipefail", "-c", script)
	process.Dir, process.Env, process.WaitDelay = s.folder, append(os.Environ(), s.environment...), time.Second
	output, err := process.CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("it runs for more than %s", commandTimeout)
	}
	return string(output), err
}

// updatePages is the variable with which tests write outputs into the pages.
const updatePages = "UPDATE_PAGES"

// outputs compares what the commands of a page print with what the page shows.
type outputs struct{ file, text, updated string }

func outputsOf(t *testing.T, file string) *outputs {
	t.Helper()
	text := string(harness.ReadFile(t, filepath.Join(root, file)))
	return &outputs{file, text, text}
}

// compare fails unless a command prints what the page shows, apart from what normalize removes.
func (o *outputs) compare(t *testing.T, command, printed, shown string, normalize func(string) string) {
	t.Helper()
	if normalize(printed) == normalize(shown) {
		return
	}
	t.Errorf("%s: %s prints\n%s\nThe page shows\n%s", o.file, command, printed, shown)
	o.updated = strings.Replace(o.updated, "$ "+command+"\n"+shown, "$ "+command+"\n"+printed, 1)
}

// save writes what the commands print into the page, if UPDATE_PAGES is set.
func (o *outputs) save(t *testing.T) {
	t.Helper()
	if os.Getenv(updatePages) == "" || o.updated == o.text {
		return
	}
	if err := os.WriteFile(filepath.Join(root, o.file), []byte(o.updated), 0o644); err != nil {
		t.Error(err)
	}
}
