// SPDX-License-Identifier: Apache-2.0

// Command zip writes a zip archive of files to standard output, in the order of its
// arguments and without folders. The same files make the same archive: it contains
// permissions, and no times or owners.
//
//	zip FILE... >ARCHIVE
package main

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if err := pack(os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "zip:", err)
		os.Exit(1)
	}
}

func pack(output io.Writer, files []string) error {
	archive := zip.NewWriter(output)
	for _, file := range files {
		if err := add(archive, file); err != nil {
			return err
		}
	}
	return archive.Close()
}

// epoch is the earliest time that a zip archive can contain.
var epoch = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func add(archive *zip.Writer, path string) error {
	input, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = input.Close() }()
	info, err := input.Stat()
	if err != nil {
		return err
	}
	header := &zip.FileHeader{Name: filepath.Base(path), Method: zip.Deflate, Modified: epoch}
	header.SetMode(info.Mode().Perm())
	entry, err := archive.CreateHeader(header)
	if err != nil {
		return err
	}
	_, err = io.Copy(entry, input)
	return err
}
