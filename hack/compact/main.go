// SPDX-License-Identifier: Apache-2.0

// Command compact prints a YAML or JSON file as JSON, with one line for each value
// at a depth: `go run ./hack/compact 2 config/grafana/slb-health.json` prints one
// panel a line. The chart has copies of large files in this form, which only
// programs read.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compact:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: compact DEPTH FILE")
	}
	depth, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	content, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	compacted, err := compact(content, depth)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(compacted)
	return err
}

// compact joins the lines of indented JSON that belong to one value at the depth.
func compact(content []byte, depth int) ([]byte, error) {
	var value any
	if err := yaml.Unmarshal(content, &value); err != nil {
		return nil, err
	}
	var indented bytes.Buffer
	encoder := json.NewEncoder(&indented)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(value); err != nil {
		return nil, err
	}
	deeper := regexp.MustCompile(fmt.Sprintf(`\n {%d,}`, 2*depth+2))
	ends := regexp.MustCompile(fmt.Sprintf(`\n {%d}([}\]])`, 2*depth))
	return ends.ReplaceAll(deeper.ReplaceAll(indented.Bytes(), []byte(" ")), []byte(" $1")), nil
}
