// SPDX-License-Identifier: Apache-2.0

package commands

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/gomega"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// demoTimeout is for a machine that also has to build the programs.
const demoTimeout = 7 * time.Minute

// TestQuickStart runs the demo as docs/quick-start.md says, with the chapter about rollouts
// where kube-controller-manager is, then the commands of the page as
// in a second terminal. Each must print what the page shows, apart from ages and the width of columns.
func TestQuickStart(t *testing.T) {
	t.Parallel()
	repository, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	blocks := blocksOf(string(harness.ReadFile(t, filepath.Join(repository, "docs", "quick-start.md"))))
	start := blocks[0].commands()
	if len(start) != 1 || !strings.HasPrefix(start[0], "make ") {
		t.Fatalf("the quick start begins with %q", start)
	}
	terminal := &shell{folder: repository, environment: []string{"HOME=" + t.TempDir()}}
	output := runDemo(t, repository, start[0])
	verifyChapters(t, repository, output)
	terminal.replaced = strings.NewReplacer(continueIn(t, terminal, output)...)
	page := outputsOf(t, "docs/quick-start.md")
	defer page.save(t)
	for _, b := range blocks[1:] {
		shown := b.outputs()
		for i, command := range b.commands() {
			printed, err := terminal.run(t, command)
			if err != nil {
				t.Fatalf("%s: %v\n%s", command, err, printed)
			}
			if b.language == "console" {
				page.compare(t, command, printed, shown[i], withoutAges)
			}
		}
	}
}

// verifyChapters fails unless the demo shows a missing backend, with the commands and outputs
// that README.md shows; and a bad deploy without and with a gate, with the commands that
// README.md shows, or says why it does not. Each step of the demo verifies itself what it shows.
func verifyChapters(t *testing.T, repository, output string) {
	t.Helper()
	blocks := blocksOf(string(harness.ReadFile(t, filepath.Join(repository, "README.md"))))
	printed := withoutAges(output)
	for _, b := range blocks {
		for i, command := range b.commands() {
			if strings.Contains(command, inStore) && !strings.Contains(printed, withoutAges("\n$ "+command+"\n"+b.outputs()[i])) {
				t.Errorf("the demo does not print what README.md shows of %q:\n%s", command, output)
			}
		}
	}
	want := []string{"make controller-manager demo"}
	if _, err := harness.FindControllerManager(); err == nil {
		want = []string{
			"the fewest that served were 0", `deployment "shop" successfully rolled out`,
			"the fewest that served were 4", `deployment "shop" exceeded its progress deadline`, "BackendAbnormal", "No closed readiness gate found",
		}
		for _, b := range blocks {
			for _, command := range b.commands() {
				if strings.Contains(command, inShop) {
					want = append(want, "\n$ "+command)
				}
			}
		}
	}
	for _, text := range want {
		if !strings.Contains(output, text) {
			t.Errorf("the demo does not print %q:\n%s", text, output)
		}
	}
}

// runDemo runs the command that starts the demo, and returns the demo's output once it waits for a user.
func runDemo(t *testing.T, repository, command string) string {
	t.Helper()
	demo, err := harness.Start(t.Context(), t.TempDir(), "demo", os.Environ(), "bash", "-c", "cd '"+repository+"' && exec "+command)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(demo.Stop)
	var output string
	NewWithT(t).Eventually(func(g Gomega) {
		output = string(harness.ReadFile(t, demo.Stdout))
		if err := demo.Alive(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		g.Expect(output).To(ContainSubstring("Ctrl-C stops the demo"))
	}).WithTimeout(demoTimeout).WithPolling(200 * time.Millisecond).Should(Succeed())
	return output
}

var (
	exported  = regexp.MustCompile(`(?m)^ {2}(export [A-Z]+=.*)$`)
	simulator = regexp.MustCompile(`http://127\.0\.0\.1:\d+/admin`)
)

// continueIn runs the lines that the demo prints for another terminal, and returns what stands
// for the port of the simulator.
func continueIn(t *testing.T, terminal *shell, output string) []string {
	t.Helper()
	terminal.replaced = strings.NewReplacer()
	lines := exported.FindAllStringSubmatch(output, -1)
	address := simulator.FindString(output)
	if len(lines) != 2 || address == "" {
		t.Fatalf("the demo does not print how to continue:\n%s", output)
	}
	for _, line := range lines {
		if printed, err := terminal.run(t, line[1]); err != nil {
			t.Fatalf("%s: %v\n%s", line[1], err, printed)
		}
	}
	return []string{"http://127.0.0.1:PORT/admin", address}
}

var (
	age    = regexp.MustCompile(`\b\d+m?\d*s\b`)
	spaces = regexp.MustCompile(` +`)
)

// withoutAges returns an output without ages and without the width of columns.
func withoutAges(output string) string {
	lines := strings.Split(spaces.ReplaceAllString(age.ReplaceAllString(output, "AGE"), " "), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}
