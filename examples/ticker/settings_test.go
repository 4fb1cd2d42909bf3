package main

import (
	"slices"
	"strings"
	"testing"
)

func TestSettingsHaveDefaults(t *testing.T) {
	got, err := parseSettings(map[string]string{"symbols": " ABC,XYZ,, ABC", "webhook": "https://hooks.example.com/x"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.symbols, []string{"ABC", "XYZ"}) || got.feed != defaultFeed || got.movePercent != 1 || got.summary != "" {
		t.Errorf("got %+v", got)
	}
}

func TestBadSettingsAreNamed(t *testing.T) {
	for _, test := range []struct{ name, key, value string }{
		{"no symbols", "symbols", " , "},
		{"too many symbols", "symbols", manySymbols()},
		{"no webhook", "webhook", ""},
		{"a move that is no number", "move_percent", "far"},
		{"a move of nothing", "move_percent", "0"},
		{"a move that is not comparable", "move_percent", "NaN"},
		{"a move of more than everything", "move_percent", "101"},
	} {
		t.Run(test.name, func(t *testing.T) {
			entries := map[string]string{"symbols": "ABC", "webhook": "https://hooks.example.com/x"}
			entries[test.key] = test.value
			if _, err := parseSettings(entries); err == nil || !strings.Contains(err.Error(), test.key) {
				t.Errorf("got %v, want an error that names %s", err, test.key)
			}
		})
	}
}

// manySymbols is one more than there may be.
func manySymbols() string {
	var symbols strings.Builder
	for i := range maxSymbols + 1 {
		symbols.WriteString(strings.Repeat("x", i+1) + ",")
	}
	return symbols.String()
}

func TestDelaysGrowToAMinute(t *testing.T) {
	for failures, want := range []int32{1, 2, 4, 8, 16, 32, 60, 60} {
		if got := delay(int64(failures)); got != want {
			t.Errorf("after %d failures: %d seconds, want %d", failures, got, want)
		}
	}
}
