// SPDX-License-Identifier: Apache-2.0

// Command dashboard prints the Grafana dashboard as JSON: `make dashboard`
// writes it to config/grafana.
//
//	main.go     prints it
//	content.go  what it shows: rows of panels with their queries
//	grafana.go  Grafana's model, as much of it as is used
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
)

func main() {
	if err := write(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

func write(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(newDashboard(content))
}
