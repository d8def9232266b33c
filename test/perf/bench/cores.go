// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"os"
	"sync"
	"time"

	"github.com/lbhealth/slb-health-operator/test/harness"
)

// readEvery is how often CPU times are read during a storm: ten of the kernel's ticks.
const readEvery = 10 * harness.ClockTick

// The processes of a storm, besides etcd and the simulator.
const (
	apiServer = "kube-apiserver"
	writer    = "writer" // the program under measurement
	bencher   = "bench"  // this one, which watches
)

// A reading is the CPU time that each process has had.
type reading struct {
	at  time.Time
	cpu map[string]time.Duration
}

// A coreRecord reads CPU times until it is ended, because only afterwards is it
// known when a storm began and ended.
type coreRecord struct {
	pids     map[string]int
	readings []reading
	end      func()
}

// recordCores begins a record of everything that a storm keeps busy.
func (s *env) recordCores(program *harness.Process) (*coreRecord, error) {
	r := &coreRecord{pids: map[string]int{writer: program.PID(), bencher: os.Getpid()}}
	for _, name := range []string{"etcd", apiServer, "slb-simulator"} {
		var err error
		if r.pids[name], err = harness.ChildNamed(name); err != nil {
			return nil, err
		}
	}
	ended, done := make(chan struct{}), make(chan struct{})
	r.end = sync.OnceFunc(func() {
		close(ended)
		<-done
	})
	r.read()
	go func() {
		defer close(done)
		ticker := time.NewTicker(readEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ended:
				return
			case <-ticker.C:
				r.read()
			}
		}
	}()
	return r, nil
}

func (r *coreRecord) read() {
	next := reading{at: time.Now(), cpu: map[string]time.Duration{}}
	if n := len(r.readings); n > 0 {
		next.cpu = maps.Clone(r.readings[n-1].cpu)
	}
	for name, pid := range r.pids {
		if u, err := harness.UsageOf(pid); err == nil { // one that ended keeps what it had
			next.cpu[name] = u.CPU
		}
	}
	r.readings = append(r.readings, next)
}

// between is how many cores each process kept busy from one time to another.
func (r *coreRecord) between(from, to time.Time) map[string]float64 {
	r.end()
	return coresBetween(r.readings, from, to)
}

// coresBetween takes the last reading before from and the first after to.
func coresBetween(readings []reading, from, to time.Time) map[string]float64 {
	first, last := readings[0], readings[len(readings)-1]
	for _, r := range readings {
		if !r.at.After(from) {
			first = r
		}
		if !r.at.Before(to) {
			last = r
			break
		}
	}
	cores := map[string]float64{}
	for name, cpu := range last.cpu {
		cores[name] = (cpu - first.cpu[name]).Seconds() / last.at.Sub(first.at).Seconds()
	}
	return cores
}
