package plugin

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Two plugins whose ids differ in case only would share their settings: the first of them in the order of the bytes is the
// plugin, whoever was there before.
func TestAPluginThatDiffersInNothingButCaseFromOneBeforeItIsAFault(t *testing.T) {
	for name, ids := range map[string][2]string{
		"plainly":                             {"Covers", "covers"},
		"by one letter in the middle":         {"my-Covers", "my-covers"},
		"outside of ASCII":                    {"ÜBER", "über"},
		"by a letter with another lower case": {"K", "\u212a"}, // the Kelvin sign
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, id := range ids {
				writePlugin(t, dir, id, manifestText(nil))
			}
			if names, err := os.ReadDir(dir); err != nil || len(names) != 2 {
				t.Skip("this file system ignores case")
			}
			entries, err := Scan(dir)
			if err != nil || len(entries) != 2 {
				t.Fatalf("%d entries, error %v", len(entries), err)
			}
			for i, entry := range []Entry{entries[1], Load(dir, ids[1])} {
				if !errors.Is(entry.Err, ErrTwin) || !strings.Contains(entry.Err.Error(), quote(ids[0])) || entry.Manifest != nil {
					t.Errorf("%s, scanned or loaded (%d): manifest %v, error %v", ids[1], i, entry.Manifest, entry.Err)
				}
			}
			for i, entry := range []Entry{entries[0], Load(dir, ids[0])} {
				if entry.Err != nil {
					t.Errorf("%s, scanned or loaded (%d): %v", ids[0], i, entry.Err)
				}
			}
			before := LookAt(dir, ids[1]).Print
			if survey, err := Look(dir); err != nil || survey.Sightings[1].Print != before {
				t.Errorf("looked at as one of all: %+v, %v", survey, err)
			}
			if err := os.RemoveAll(filepath.Join(dir, ids[0])); err != nil {
				t.Fatal(err)
			}
			if entry := Load(dir, ids[1]); entry.Err != nil {
				t.Errorf("alone it does not load: %v", entry.Err)
			}
			if LookAt(dir, ids[1]).Print == before {
				t.Error("alone it looks as before: nobody would load it")
			}
		})
	}
}

func TestWhatIsNoPluginIsNobodysTwin(t *testing.T) {
	dir := t.TempDir()
	writePlugin(t, dir, "covers", manifestText(nil))
	writePlugin(t, dir, "covers-de", manifestText(nil))
	if err := os.WriteFile(filepath.Join(dir, "COVERS"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	entries, err := Scan(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if entry.Err != nil {
			t.Errorf("%s: %v", entry.ID, entry.Err)
		}
	}
	if got, want := ids(entries), []string{"covers", "covers-de"}; !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}
