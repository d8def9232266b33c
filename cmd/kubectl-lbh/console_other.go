// SPDX-License-Identifier: Apache-2.0

//go:build !windows

package main

import "os"

// enableEscapes is for Windows; other terminals interpret escapes.
func enableEscapes(*os.File) bool { return true }
