// SPDX-License-Identifier: Apache-2.0

package simulator

import (
	"bytes"
	"context"
	"os"
	"time"
)

// ReloadInterval is the interval of WatchFile; it loads new content that two polls in a row saw.
const ReloadInterval = 500 * time.Millisecond

// WatchFile loads the file again after each edit, until ctx is done. The current configuration must be
// that of current, the content that was loaded before. A file that cannot be read or is refused has no effect and is
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

// fileWatch compares content instead of times: that sees an atomic rename, the symlink swap of a mounted ConfigMap and
// an edit within one tick of the file system's clock alike.
type fileWatch struct {
	server *Server
	path   string
	// loaded is the content that was loaded or refused last, last what the previous poll saw.
	loaded, last []byte
	unreadable   bool
}

// poll loads new content once two polls in a row saw it: a file that is being written usually differs between them.
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
	stable := bytes.Equal(data, w.last)
	w.last = data
	if !stable || bytes.Equal(data, w.loaded) {
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
