// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	eventsv1 "k8s.io/api/events/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// signedURL matches a signature in a URL or in a form, but not its redaction.
var signedURL = regexp.MustCompile(`(?i)signature(nonce)?(=|%3D|%253D)[^\s\[]`)

// search fails when a log, an object or an event contains forbidden text.
func (s *soak) search(ctx context.Context) error {
	everything := map[string][]byte{}
	for _, path := range s.logs {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		everything[filepath.Base(path)] = content
	}
	objects, err := s.list(ctx)
	if err != nil {
		return err
	}
	var events eventsv1.EventList
	if err := s.Client.List(ctx, &events, client.InNamespace(namespace)); err != nil {
		return err
	}
	for name, list := range map[string]any{"the objects": objects, "the events": events.Items} {
		content, err := json.Marshal(list)
		if err != nil {
			return err
		}
		everything[name] = content
	}
	s.events = len(events.Items)
	size := 0
	for name, content := range everything {
		size += len(content)
		if found := forbidden(content, s.secretValues); found != "" {
			return fmt.Errorf("%s: %s", name, found)
		}
	}
	s.logf("no secret, panic or race in %.1f MiB of logs, objects and events", mebibytes(float64(size)))
	return nil
}

// forbidden returns the first forbidden text; "" if there is none.
func forbidden(content []byte, secretValues []string) string {
	for _, failure := range []string{"WARNING: DATA RACE", "panic:", "Observed a panic", "concurrent map"} {
		if at := bytes.Index(content, []byte(failure)); at >= 0 {
			return string(content[at:min(len(content), at+2000)])
		}
	}
	for _, value := range secretValues {
		for _, encoded := range encodingsOf(value) {
			if at := bytes.Index(content, []byte(encoded)); at >= 0 {
				return fmt.Sprintf("a key: %q", around(content, at))
			}
		}
	}
	if found := signedURL.FindIndex(content); found != nil {
		return fmt.Sprintf("a signed URL: %q", around(content, found[0]))
	}
	return ""
}

func around(content []byte, at int) []byte {
	const width = 120
	return content[max(0, at-width):min(len(content), at+width)]
}
