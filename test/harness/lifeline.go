// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Lifeline stops the programs that are tied to it when this process dies without
// stopping them, such as when it is killed or `go test` times out. The programs are
// in process groups of their own, so not even a keyboard interrupt reaches them.
//
// A shell reads a pipe from this process: a newline means a clean stop, EOF means
// that this process died.
type Lifeline struct {
	directory string
	watcher   *exec.Cmd
	pipe      io.WriteCloser
}

const (
	// tied writes its process id, which the program keeps, to two files. It does not
	// for --help, with which envtest lists the flags.
	tied = `#!/bin/sh
[ "$1" = --help ] || { echo $$ >>%s; echo $$ >%s; }
exec %s "$@"
`
	// watch signals process groups rather than processes: the id of a
	// terminated one is less likely to be in use again.
	watch = `
read -r _ && exit
signal() { while read -r id; do kill -s "$1" -- "-$id"; done <"$2/processes"; }
signal TERM "$1"
sleep "$2"
signal KILL "$1"
rm -rf "$1"
`
)

// NewLifeline watches over the programs of a directory. When this process dies, it
// terminates them, kills them after the grace, and removes the directory.
func NewLifeline(ctx context.Context, directory string, grace time.Duration) (*Lifeline, error) {
	// The watcher must outlive the context: it exits when the pipe closes.
	watcher := exec.CommandContext(context.WithoutCancel(ctx), "/bin/sh", "-c", watch, "sh", directory, strconv.Itoa(int(grace.Seconds())))
	watcher.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	pipe, err := watcher.StdinPipe()
	if err == nil {
		err = watcher.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("watch over programs: %w", err)
	}
	return &Lifeline{directory: directory, watcher: watcher, pipe: pipe}, nil
}

// Tie returns the path of a script that runs the program for as long as this
// process lives.
func (l *Lifeline) Tie(program string) (string, error) {
	path := filepath.Join(l.directory, filepath.Base(program))
	script := fmt.Sprintf(tied, quote(filepath.Join(l.directory, "processes")), quote(l.pidFile(filepath.Base(program))), quote(program))
	if err := os.WriteFile(path, []byte(script), 0o700); err != nil {
		return "", fmt.Errorf("write a start script: %w", err)
	}
	return path, nil
}

// pidFile is the file with the id of a program's last process.
func (l *Lifeline) pidFile(name string) string { return filepath.Join(l.directory, name+".pid") }

// Release is for after the programs have stopped.
func (l *Lifeline) Release() error {
	_, err := io.WriteString(l.pipe, "\n")
	if err := errors.Join(err, l.pipe.Close(), l.watcher.Wait()); err != nil {
		return fmt.Errorf("stop watching over programs: %w", err)
	}
	return nil
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
