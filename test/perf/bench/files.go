// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// write writes the files of the report into a folder.
func (d *document) write(folder string) error {
	var markdown bytes.Buffer
	d.markdown(&markdown)
	data, err := d.json()
	if err != nil {
		return err
	}
	return harness.WriteFiles(folder, map[string][]byte{"benchmarks.md": markdown.Bytes(), "benchmarks.json": data})
}

// json contains the figures of the operator under their keys, those of the textbook
// under "textbook", and the measurements behind them.
func (d *document) json() ([]byte, error) {
	operator, textbook := map[string]any{}, map[string]any{}
	for _, r := range figures(d.results) {
		operator[r.key], textbook[r.key] = r.operator, r.textbook
	}
	operator["textbook"] = textbook
	operator["measurements"] = d.results
	operator["machine"] = d.machine
	operator["date"] = d.date.UTC().Format(time.RFC3339)
	operator["command"] = d.command
	operator["form"] = d.form.name
	data, err := json.MarshalIndent(operator, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("the report: %w", err)
	}
	return append(oneRowPerLine(data), '\n'), nil
}

var (
	rowFields = regexp.MustCompile(`\n {8,}`)
	rowClose  = regexp.MustCompile(`\n {6}([}\]])`)
)

// oneRowPerLine joins the lines of indented JSON that belong to one row of the
// measurements, so that differences are as easy to read as in a table.
func oneRowPerLine(data []byte) []byte {
	return rowClose.ReplaceAll(rowFields.ReplaceAll(data, []byte(" ")), []byte(" $1"))
}

func outputFolder() string { return cmp.Or(os.Getenv("BENCH_OUT"), "docs") }

// commandOf returns the make command of a form.
func commandOf(f form) string {
	if f.name == "quick" {
		return "make bench BENCH=quick"
	}
	return "make bench"
}
