// SPDX-License-Identifier: Apache-2.0

package prometheus

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/go-analyze/charts"
)

const (
	maxTableRows = 7
	stateHeight  = 24
	stateNames   = 160 // width of the names beside a timeline
)

// drawTable writes the columns of a panel as its transformations order and name them.
func drawTable(painter *charts.Painter, panel *panel, found []series) error {
	merged := mergeRows(panel, found)
	columns, names := tableColumns(panel, merged[0])
	merged = merged[:min(len(merged), maxTableRows)]
	rows := make([][]string, len(merged))
	for i, row := range merged {
		for _, column := range columns {
			rows[i] = append(rows[i], row[column])
		}
	}
	header := make([]string, len(columns))
	for i, column := range columns {
		header[i] = cmp.Or(names[column], column)
	}
	return painter.TableChart(charts.TableChartOption{
		Theme: theme, Header: header, Data: rows, Width: painter.Width(),
		Padding: charts.NewBox(6, 3, 6, 3), FontStyle: charts.NewFontStyleWithSize(8),
		CellModifier: func(cell charts.TableCell) charts.TableCell {
			cell.FontStyle.FontColor = theme.GetTitleTextColor() // the library keeps the last cell's
			if cell.Row > 0 && slices.Contains([]string{"True", "False", "Unknown"}, cell.Text) {
				cell.FontStyle.FontColor = colorOf("Ready "+cell.Text, 0)
			}
			return cell
		},
	})
}

// mergeRows makes one row of the series with the same labels, in the order in which they are first found.
func mergeRows(panel *panel, found []series) []map[string]string {
	var rows []map[string]string
	byLabels := map[string]map[string]string{}
	for _, s := range found {
		labels := fmt.Sprint(s.Metric)
		row := byLabels[labels]
		if row == nil {
			row = maps.Clone(s.Metric)
			byLabels[labels] = row
			rows = append(rows, row)
		}
		row[s.column] = tableValue(panel, panel.organize().RenameByName[s.column], s.last())
	}
	return rows
}

// tableColumns are the fields that a table shows, in order, and their names.
func tableColumns(panel *panel, row map[string]string) (columns []string, names map[string]string) {
	options := panel.organize()
	for _, column := range slices.Sorted(maps.Keys(row)) {
		hidden := options.ExcludeByName[column]
		panel.override(column, "custom.hidden", &hidden)
		if !hidden {
			columns = append(columns, column)
		}
	}
	slices.SortStableFunc(columns, func(a, b string) int { return cmp.Compare(options.IndexByName[a], options.IndexByName[b]) })
	return columns, options.RenameByName
}

func tableValue(panel *panel, name string, v float64) string {
	var unit string
	var mappings []mapping
	panel.override(name, "unit", &unit)
	panel.override(name, "mappings", &mappings)
	for _, m := range mappings {
		if mapped, found := m.Options[strconv.Itoa(int(v))]; found {
			return mapped.Text
		}
	}
	return format(unit, v)
}

// drawStates draws a bar for each series, in the colour of each value.
func (p picture) drawStates(painter *charts.Painter, mappings []mapping, found []series) {
	slices.SortFunc(found, func(a, b series) int { return cmp.Compare(a.name, b.name) })
	found = found[:min(len(found), painter.Height()/stateHeight)]
	width := float64(painter.Width()-stateNames) / (p.to.Sub(p.from).Seconds() + pictureStep.Seconds())
	for i, s := range found {
		top := i * stateHeight
		text(painter, s.name, 0, top+stateHeight/2+4, 9)
		for j := 0; j < len(s.Values); {
			begin := s.Values[j]
			for j < len(s.Values) && s.Values[j].value() == begin.value() {
				j++
			}
			state := mappings[0].Options[strconv.Itoa(int(begin.value()))]
			left := stateNames + int(width*(begin.at()-float64(p.from.Unix())))
			right := stateNames + int(width*(s.Values[j-1].at()+pictureStep.Seconds()-float64(p.from.Unix())))
			painter.FilledRect(left, top+2, right, top+stateHeight-2, colorOf(state.Color, 0), charts.ColorTransparent, 0)
			if right-left > 50 {
				painter.Text(state.Text, left+6, top+stateHeight/2+4, 0, charts.FontStyle{FontSize: 9, FontColor: charts.ColorBlack})
			}
		}
	}
}
