// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math"
	"time"
)

// A form is how much is measured.
type form struct {
	name    string
	timeout time.Duration
	writes  writesForm

	// large and small are the sizes whose costs are compared. If they are zero, the
	// size of the storm and a tenth of it are compared.
	large, small fleetSize
	shared       fleetSize
	sizes        []fleetSize // further sizes, for the table only

	// uptime is the age of a program when its RSS is read. Everything else is
	// counted during the window before.
	uptime, window time.Duration
	stormAfter     time.Duration // the age of a program at the first flips
	rounds         int           // of flips of a part of the load balancers; 0: no delays
	storms         int           // rounds of storms
	demand         float64       // the writes of a storm, as a multiple of the limit
	part           int           // a round flips 1/part of the load balancers: a quarter of the limit

	fast     *fastForm  // nil: fast observation is not measured
	gates    *gatesForm // nil: readiness gates are not measured
	services *fleetSize // nil: --monitor=all is not measured
	expected *fleetSize // nil: expected backends are not measured

	products *productsForm // nil: the products are not compared
	builds   *productsForm // nil: two builds are not compared
}

// writesForm configures the comparison of the forms of a status write.
type writesForm struct {
	rows        []int
	concurrency int
	objects     int
	rounds      int
	slice       time.Duration // per form and round
	warmUp      time.Duration
}

const (
	usualRows = 20
	// writers is how many writes at once compare their forms.
	writers = 8
	// minInterval is the shortest interval that the API accepts.
	minInterval = 5 * time.Second
)

// Go collects garbage at least every two minutes and then returns free pages to
// the kernel: the full form waits for it.
func full() form {
	f := form{
		name: "full", timeout: time.Hour,
		writes: writesForm{
			rows: []int{4, usualRows, 200}, concurrency: writers, objects: 64,
			rounds: 5, slice: time.Second, warmUp: 10 * time.Second,
		},
		large:  fleetSize{Balancers: 10_000, Objects: 1, Rows: usualRows, Interval: 30 * time.Second},
		small:  fleetSize{Balancers: 1_000, Objects: 1, Rows: usualRows, Interval: 30 * time.Second},
		shared: fleetSize{Balancers: 50, Objects: 10, Rows: usualRows, Interval: minInterval},
		uptime: 130 * time.Second, window: 60 * time.Second, stormAfter: 10 * time.Second, rounds: 5, storms: 5, demand: 2.5, part: 10,
	}
	f.fast, f.gates, f.products = fastOnly().fast, gatesOnly().gates, productsOnly().products
	for _, rows := range []int{1, usualRows, 200, 2000} {
		f.sizes = append(f.sizes, fleetSize{Balancers: 100, Objects: 1, Rows: rows, Interval: minInterval})
	}
	return f
}

func quick() form {
	return form{
		name: "quick", timeout: 8 * time.Minute,
		writes: writesForm{
			rows: []int{usualRows}, concurrency: writers, objects: 64,
			rounds: 1, slice: 500 * time.Millisecond, warmUp: 2 * time.Second,
		},
		shared: fleetSize{Balancers: 20, Objects: 10, Rows: usualRows, Interval: minInterval},
		uptime: 9 * time.Second, window: 5 * time.Second, stormAfter: 2 * time.Second, rounds: 1, storms: 1, demand: 1.4, part: 6,
	}
}

// formsOnly compares the forms of a status write and nothing else, in more rounds.
func formsOnly() form {
	f := form{name: "forms", timeout: 30 * time.Minute, writes: full().writes}
	f.writes.rounds, f.writes.slice = 7, 2*time.Second
	return f
}

// stormOnly measures the storms of the full form and nothing else.
func stormOnly() form {
	f := full()
	f.name, f.timeout, f.writes = "storm", 30*time.Minute, quick().writes
	f.writes.warmUp = full().writes.warmUp
	f.rounds, f.fast, f.products = 0, nil, nil
	return f
}

// stormSize has so many load balancers that a storm needs more writes than the limit.
func stormSize(limit, demand float64) fleetSize {
	const step = 60 // a multiple of every part and of ten
	n := step * int(math.Round(demand*limit*minInterval.Seconds()/step))
	return fleetSize{Balancers: min(max(n, 5*step), 160*step), Objects: 1, Rows: usualRows, Interval: minInterval}
}
