package main

import "strings"

// aim is what a figure should be. Missing it fails nothing.
type aim struct {
	of    quantity
	bound float64
	// least tells that bound is the least that will do, not the most.
	least bool
}

// verdict is how an aim compares with what was measured.
type verdict struct {
	// Figure is the key of the figure.
	Figure string `json:"figure"`
	// Aim is what its median should be.
	Aim     string `json:"aim"`
	Reached bool   `json:"reached"`
	// text says it all, for people.
	text string
}

// judge compares the median of a row's figure with the aim.
func (a aim) judge(median float64, baseline string) verdict {
	sign, reached := "≤ ", median <= a.bound
	if a.least {
		sign, reached = "≥ ", median >= a.bound
	}
	word := "missed"
	if reached {
		word = "reached"
	}
	want := sign + a.write(a.bound)
	return verdict{
		Figure: a.of.key, Aim: want, Reached: reached,
		text: a.of.heading(baseline) + " " + a.write(median) + ", aim " + want + ": " + word,
	}
}

// write writes v as the aim's bound is written.
func (a aim) write(v float64) string {
	number, unit := a.of.format(v, a.bound)
	if v == a.bound && strings.Contains(number, ".") {
		number = strings.TrimRight(strings.TrimRight(number, "0"), ".")
	}
	return number + unit
}
