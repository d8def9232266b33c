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

	// large and small are the sizes whose costs are compared; zero: as many
	// load balancers as the storm has, and a tenth of that.
	large, small size
	shared       size
	sizes        []size // further ones, for the table only

	// uptime is how old a program is when its memory is read, and window the
	// last part of that, in which everything else is counted.
	uptime, window time.Duration
	stormAfter     time.Duration // how old a program is when backends turn for the first time
	rounds         int           // of turning a part of the load balancers
	demand         float64       // how much more a storm asks for than the limit gives
	part           int           // the part of the load balancers that turn at once, so that they do at a quarter of the limit
}

// writesForm is for the comparison of the forms of a status write.
type writesForm struct {
	rows, concurrencies []int
	objects             int
	rounds              int
	slice               time.Duration // of a form in each round
	warmUp              time.Duration
}

const (
	usualRows = 20
	// least is the shortest interval that the API takes.
	least = 5 * time.Second
)

// Go collects garbage every two minutes at the latest, and gives memory back
// after that: the full form waits for it.
func full() form {
	f := form{
		name: "full", timeout: time.Hour,
		writes: writesForm{
			rows: []int{1, usualRows, 200, 500}, concurrencies: []int{8, 32}, objects: 64,
			rounds: 2, slice: 500 * time.Millisecond, warmUp: 10 * time.Second,
		},
		large:  size{Balancers: 10_000, Objects: 1, Rows: usualRows, Interval: 30 * time.Second},
		small:  size{Balancers: 1_000, Objects: 1, Rows: usualRows, Interval: 30 * time.Second},
		shared: size{Balancers: 50, Objects: 10, Rows: usualRows, Interval: least},
		uptime: 130 * time.Second, window: 60 * time.Second, stormAfter: 10 * time.Second, rounds: 5, demand: 2.5, part: 10,
	}
	for _, rows := range []int{1, usualRows, 200, 2000} {
		f.sizes = append(f.sizes, size{Balancers: 100, Objects: 1, Rows: rows, Interval: least})
	}
	return f
}

func quick() form {
	return form{
		name: "quick", timeout: 8 * time.Minute,
		writes: writesForm{
			rows: []int{usualRows}, concurrencies: []int{32}, objects: 64,
			rounds: 1, slice: 500 * time.Millisecond, warmUp: 2 * time.Second,
		},
		shared: size{Balancers: 20, Objects: 10, Rows: usualRows, Interval: least},
		uptime: 9 * time.Second, window: 5 * time.Second, stormAfter: 2 * time.Second, rounds: 1, demand: 1.4, part: 6,
	}
}

// stormSize is how many load balancers ask for more writes than the limit gives.
func stormSize(limit, demand float64) size {
	const step = 60 // so that there are whole parts and tenths, also of the largest
	n := step * int(math.Round(demand*limit*least.Seconds()/step))
	return size{Balancers: min(max(n, 5*step), 160*step), Objects: 1, Rows: usualRows, Interval: least}
}
