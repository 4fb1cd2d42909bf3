package report

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/pluginhost/pluginhost/testenv/soak/usage"
)

// Table is text in columns. Its zero value is empty.
type Table struct{ rows [][]string }

// Row adds a row.
func (t *Table) Row(cells ...any) {
	row := make([]string, len(cells))
	for i, cell := range cells {
		row[i] = fmt.Sprint(cell)
	}
	t.rows = append(t.rows, row)
}

// String returns the rows, their cells below each other.
func (t *Table) String() string {
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b strings.Builder
	for _, row := range t.rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell)
			line.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}

// BeforeAfter is a table of what was used before and after.
func BeforeAfter(before, after usage.Usage) string {
	var t Table
	t.Row("in use", "before", "after")
	for _, q := range usage.Quantities() {
		t.Row(q.Name, q.Format(float64(q.Of(before))), q.Format(float64(q.Of(after))))
	}
	return t.String()
}

// Trends is a table of how what is used went along.
func Trends(trends []usage.Trend) string {
	var t Table
	t.Row("in use", "first", "last", "per 1000 calls", "over the second half")
	for _, trend := range trends {
		unit := ""
		if trend.Bytes {
			unit = " B"
		}
		t.Row(trend.Name, trend.Format(float64(trend.First)), trend.Format(float64(trend.Last)),
			fmt.Sprintf("%+.3g%s", trend.PerThousand, unit), trend.Format(trend.Growth))
	}
	return t.String()
}
