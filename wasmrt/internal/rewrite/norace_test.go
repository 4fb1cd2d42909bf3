//go:build !race

package rewrite

const raceEnabled = false

var raceScripts []string

// specCounts are how many commands of the suite must have run.
var specCounts = map[string]int{
	"module":                1599,
	"assert_return":         45_734,
	"assert_trap":           2408,
	"assert_invalid":        2146,
	"assert_malformed":      719,
	"assert_unlinkable":     83,
	"assert_uninstantiable": 34,
	"assert_exhaustion":     15,
}

// specCalls are how often the import must have been called, by period.
var specCalls = map[int64]int{Period: 1000, 0: 10_000_000}
