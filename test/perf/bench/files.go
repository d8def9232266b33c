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

// write puts the report's files into a folder.
func (d *document) write(folder string) error {
	var markdown bytes.Buffer
	d.markdown(&markdown)
	data, err := d.json()
	if err != nil {
		return err
	}
	return harness.WriteFiles(folder, map[string][]byte{"benchmarks.md": markdown.Bytes(), "benchmarks.json": data})
}

// json has the figures of the operator under their keys, those of the textbook
// under its name, and what they were computed from.
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
	return append(oneRowALine(data), '\n'), nil
}

var (
	rowFields = regexp.MustCompile(`\n {8,}`)
	rowEnd    = regexp.MustCompile(`\n {6}([}\]])`)
)

// oneRowALine joins the lines of indented JSON that belong to one row of the
// measurements, which makes the file as easy to compare as a table.
func oneRowALine(data []byte) []byte {
	return rowEnd.ReplaceAll(rowFields.ReplaceAll(data, []byte(" ")), []byte(" $1"))
}

func outputFolder() string { return cmp.Or(os.Getenv("BENCH_OUT"), "docs") }

// commandOf is what a person types.
func commandOf(f form) string {
	if f.name == "quick" {
		return "make bench BENCH=quick"
	}
	return "make bench"
}
