package subjects_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestViaNamesWhoWaits(t *testing.T) {
	for want, ids := range map[string][]string{
		"":          nil,
		"a":         {"a"},
		"a,b":       {"a", "b"},
		"a=2Cb,=":   {"a,b", ""},
		"=E2=80=8B": {"\u200b"},
	} {
		if got := subjects.FormatVia(ids); got != want {
			t.Errorf("%q: got %q, want %q", ids, got, want)
		}
		if got, err := subjects.ParseVia(want); err != nil || !slices.Equal(got, ids) {
			t.Errorf("%q: got %q, %v; want %q", want, got, err, ids)
		}
	}
}

func TestViaThatNobodyMakesIsRefused(t *testing.T) {
	for _, value := range []string{",", "a,", ",a", "a b", "a=2c", "=41", strings.Repeat("a,", subjects.MaxVia) + "a"} {
		if ids, err := subjects.ParseVia(value); err == nil {
			t.Errorf("%q: got %q", value, ids)
		}
	}
	if _, err := subjects.ParseVia(strings.Repeat("a,", subjects.MaxVia-1) + "a"); err != nil {
		t.Errorf("%d ids: %v", subjects.MaxVia, err)
	}
}

func FuzzParseVia(f *testing.F) {
	for _, value := range []string{"", "a", "a,b", "=", "a=2Cb", ",", "a=2", strings.Repeat("a,", 9)} {
		f.Add(value)
	}
	f.Fuzz(func(t *testing.T, value string) {
		ids, err := subjects.ParseVia(value)
		if err != nil {
			return
		}
		if len(ids) > subjects.MaxVia {
			t.Errorf("%d ids", len(ids))
		}
		if got := subjects.FormatVia(ids); got != value {
			t.Errorf("%q was read as %q, which is written %q", value, ids, got)
		}
	})
}
