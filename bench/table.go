package main

import (
	"encoding/json"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"text/tabwriter"
)

// report is what one run prints.
type report struct {
	V         int    `json:"v"`
	System    string `json:"system"`
	Cores     int    `json:"cores"`
	GoVersion string `json:"go"`
	Rounds    int    `json:"rounds"`
	// Note says what the figures mean.
	Note    []string `json:"note"`
	Results []result `json:"results"`
}

func newReport(p plan, results []result) report {
	return report{
		V:         1,
		System:    runtime.GOOS + "/" + runtime.GOARCH,
		Cores:     runtime.NumCPU(),
		GoVersion: runtime.Version(),
		Rounds:    p.rounds,
		Note: []string{
			"Median of the rounds (least–most of the rounds). The rows take turns within a round.",
			"× echo: p50 by the echo's p50 in the same round. CPU added: less the echo's in the same round.",
			"One process has all: NATS server, echo, replica and callers, each on its own connections over loopback TCP",
			fmt.Sprintf("(%d callers to a connection). CPU is the user and system time of that process by the calls made.", callersOnConn),
		},
		Results: results,
	}
}

func (r report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// writeTable writes aligned columns.
func (r report) writeTable(w io.Writer) error {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, %d cores, %s, %d rounds\n\n", r.System, r.Cores, r.GoVersion, r.Rounds)
	table := tabwriter.NewWriter(&text, 0, 0, 3, ' ', 0)
	lines := []string{"row\tcallers\tp50\tp99\tcalls/s\tp50 × echo\tCPU a call\tCPU added"}
	for _, row := range r.Results {
		callers := ""
		if row.Callers > 0 {
			callers = strconv.Itoa(row.Callers)
		}
		columns := []string{
			row.Name, callers, spread(&row.P50, duration), spread(row.P99, duration), spread(row.PerSecond, count),
			spread(row.Ratio, ratio), spread(row.CPU, duration), spread(row.Added, duration),
		}
		lines = append(lines, strings.TrimRight(strings.Join(columns, "\t"), "\t"))
	}
	if _, err := io.WriteString(table, strings.Join(lines, "\n")+"\n"); err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&text, "\n%s\n", strings.Join(r.Note, "\n"))
	_, err := io.WriteString(w, text.String())
	return err
}

// spread writes a figure as median (min–max), with the unit once.
func spread(f *figure, format func(v, like float64) (number, unit string)) string {
	if f == nil {
		return ""
	}
	median, unit := format(f.Median, f.Median)
	least, _ := format(f.Min, f.Median)
	most, _ := format(f.Max, f.Median)
	return median + unit + " (" + least + "–" + most + ")"
}

// duration writes microseconds in the unit that suits like.
func duration(v, like float64) (number, unit string) {
	if like >= 1000 {
		v /= 1000
		unit = " ms"
	} else {
		unit = " µs"
	}
	return strconv.FormatFloat(v, 'f', 1, 64), unit
}

func count(v, _ float64) (number, unit string) { return strconv.FormatFloat(v, 'f', 0, 64), "" }

func ratio(v, _ float64) (number, unit string) { return strconv.FormatFloat(v, 'f', 2, 64), "" }
