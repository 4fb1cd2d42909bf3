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

// report is what one run prints as JSON.
type report struct {
	V         int    `json:"v"`
	System    string `json:"system"`
	Cores     int    `json:"cores"`
	GoVersion string `json:"go"`
	// Note says what the figures mean.
	Note     []string  `json:"note"`
	Sections []outcome `json:"sections"`
}

// outcome is one section after it was measured.
type outcome struct {
	Name  string `json:"name"`
	Title string `json:"title"`
	// Baseline names what figures whose keys end in _ratio, and cpu_added_us, are
	// compared with.
	Baseline string `json:"baseline,omitempty"`
	// Rounds is how often the row that was measured most often was.
	Rounds  int      `json:"rounds"`
	Seconds float64  `json:"seconds"`
	Rows    []result `json:"rows"`

	section section
}

func newReport() report {
	return report{
		V:         2,
		System:    runtime.GOOS + "/" + runtime.GOARCH,
		Cores:     runtime.NumCPU(),
		GoVersion: runtime.Version(),
		Note: []string{
			"Median of the rounds (least–most of the rounds). The rows take turns within a round; what is compared is of the same round.",
			"CPU is the user and system time of the whole process, callers included, by the calls made. See README.md.",
		},
	}
}

func (r report) writeJSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(r)
}

// writeHead writes what comes before the sections.
func (r report) writeHead(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s, %d cores, %s\n%s\n", r.System, r.Cores, r.GoVersion, strings.Join(r.Note, "\n"))
	return err
}

// writeTable writes aligned columns below a heading, and the aims below them.
func (o outcome) writeTable(w io.Writer) error {
	var text, aligned strings.Builder
	fmt.Fprintf(&text, "\n## %s (%d rounds, %.0f s)\n\n", o.Title, o.Rounds, o.Seconds)
	table := tabwriter.NewWriter(&aligned, 0, 0, 3, ' ', 0)
	headings := []string{"row", "callers"}
	for _, q := range o.section.shows {
		headings = append(headings, q.heading(o.Baseline))
	}
	lines := []string{strings.Join(headings, "\t")}
	for _, r := range o.Rows {
		lines = append(lines, strings.Join(o.cells(r), "\t"))
	}
	if _, err := io.WriteString(table, strings.Join(lines, "\n")+"\n"); err != nil {
		return err
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for line := range strings.Lines(aligned.String()) {
		text.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	for _, r := range o.Rows {
		for _, v := range r.Aims {
			fmt.Fprintf(&text, "→ %s: %s\n", r.label(), v.text)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}

func (o outcome) cells(r result) []string {
	callers := ""
	if r.Callers > 0 {
		callers = strconv.Itoa(r.Callers)
	}
	cells := []string{r.Name, callers}
	for _, q := range o.section.shows {
		cell := ""
		if f, ok := r.Figures[q.key]; ok {
			cell = f.text(q.format)
		}
		cells = append(cells, cell)
	}
	return cells
}

// label tells a row from others of its name.
func (r result) label() string {
	if r.Callers > 1 {
		return fmt.Sprintf("%s, %d callers", r.Name, r.Callers)
	}
	return r.Name
}
