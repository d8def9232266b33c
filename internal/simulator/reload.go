// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"context"
	"os"
	"time"
)

// ReloadInterval is how often WatchFile looks; a change is taken over when it looked the same twice.
const ReloadInterval = 500 * time.Millisecond

// WatchFile loads the file again whenever its content changes, until ctx ends. The current configuration is taken to be
// that of current, the content that was loaded before. A file that cannot be read or is refused changes nothing and is
// logged once.
func (s *Server) WatchFile(ctx context.Context, path string, current []byte) {
	watch := fileWatch{server: s, path: path, loaded: current, last: current}
	ticker := time.NewTicker(ReloadInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			watch.poll()
		}
	}
}

// fileWatch compares content instead of times: that sees an atomic rename, the symlink swap of a
// mounted ConfigMap and a change within one tick of the file system's clock alike.
type fileWatch struct {
	server *Server
	path   string
	// loaded is the content that was taken over or refused last, last what the previous poll saw.
	loaded, last []byte
	unreadable   bool
}

// poll takes new content over once two polls in a row saw it: what is half written has usually changed by then.
func (w *fileWatch) poll() {
	data, err := os.ReadFile(w.path)
	if err != nil {
		if !w.unreadable {
			w.server.log.Error("configuration unreadable: the last good one stays", "file", w.path, "error", err)
		}
		w.unreadable = true
		return
	}
	w.unreadable = false
	settled := bytes.Equal(data, w.last)
	w.last = data
	if !settled || bytes.Equal(data, w.loaded) {
		return
	}
	w.loaded = data
	cfg, err := ParseConfig(data)
	if err != nil {
		w.server.log.Error("configuration refused: the last good one stays", "file", w.path, "error", err)
		return
	}
	w.server.Load(cfg)
	w.server.log.Info("configuration loaded", "file", w.path, "accounts", len(cfg.Accounts), "loadBalancers", len(cfg.LoadBalancers))
}
