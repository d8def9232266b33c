// SPDX-License-Identifier: Apache-2.0

package picture

import (
	"math"
	"strconv"
)

// A unit writes numbers. Steps of an axis are round in its base.
type unit struct {
	base  float64
	scale func(value float64) (scaled float64, suffix string)
}

// units are those of Grafana, by its names.
var units = map[string]unit{
	"":            {1000, func(value float64) (float64, string) { return value, "" }},
	"short":       {1000, by(1000, "", " K", " Mil", " Bil", " Tri")},
	"bytes":       {1024, by(1024, " B", " KiB", " MiB", " GiB", " TiB")},
	"reqps":       {1000, by(1000, " req/s", "K req/s", "M req/s", "B req/s")},
	"percentunit": {1000, func(value float64) (float64, string) { return 100 * value, "%" }},
	"s":           {1000, seconds},
}

// by divides by a base until a number is below it.
func by(base float64, suffixes ...string) func(float64) (float64, string) {
	return func(value float64) (float64, string) {
		at := 0
		for math.Abs(value) >= base && at < len(suffixes)-1 {
			value, at = value/base, at+1
		}
		return value, suffixes[at]
	}
}

func seconds(value float64) (float64, string) {
	switch size := math.Abs(value); {
	case size == 0:
		return 0, " s"
	case size < 1e-3:
		return value * 1e6, " µs"
	case size < 1:
		return value * 1e3, " ms"
	case size < 60:
		return value, " s"
	case size < 3600:
		return many(value/60, " min")
	case size < 24*3600:
		return many(value/3600, " hour")
	default:
		return many(value/24/3600, " day")
	}
}

func many(value float64, of string) (float64, string) {
	if math.Abs(value) > 1 {
		of += "s"
	}
	return value, of
}

// write has three digits or all of a whole number, as Grafana does when nobody asks.
func (u unit) write(value float64) string {
	if math.IsNaN(value) || math.IsInf(value, 0) {
		return NoData
	}
	scaled, suffix := u.scale(value)
	decimals := 0
	if scaled != math.Trunc(scaled) {
		decimals = max(0, 2-int(math.Floor(math.Log10(math.Abs(scaled)))))
	}
	return strconv.FormatFloat(scaled, 'f', decimals, 64) + suffix
}

// mark is the text at a mark of an axis, which is a round number.
func (u unit) mark(value float64) string {
	scaled, suffix := u.scale(value)
	return strconv.FormatFloat(math.Round(scaled*1e4)/1e4, 'f', -1, 64) + suffix
}
