package egress_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/internal/egress"
)

func newGate(t *testing.T) *egress.Gate {
	t.Helper()
	gate, err := egress.New(egress.Config{Allowed: map[string][]string{"*": {"*"}}, UserHeader: "X-User"})
	if err != nil {
		t.Fatal(err)
	}
	return gate
}

func TestWhichHeadersAreSent(t *testing.T) {
	header, err := newGate(t).Header(map[string]string{
		"x-api-key": "k", "X-A": "first", "x-a": "last", "X-Tab": "a\tb", "X-Umlaut": "ü", "X-Bytes": "\xff", "X-Empty": "",
		"!#$%&'*+-.^_`|~": "every character a name can have",
		"HOST":            "other.example", "x_user": "admin", "X-USER": "admin",
	})
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for name, values := range header {
		got[name] = strings.Join(values, ",")
	}
	want := map[string]string{
		"X-Api-Key": "k", "X-A": "last", "X-Tab": "a\tb", "X-Umlaut": "ü", "X-Bytes": "\xff", "X-Empty": "",
		"!#$%&'*+-.^_`|~": "every character a name can have",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestWhichHeadersCannotBeSent(t *testing.T) {
	for _, name := range []string{"", " ", "X A", "X:", "X\r\nY", "X\x00", "Ü", "X\xff", "(x)", "x/y", `"x"`} {
		if _, err := newGate(t).Header(map[string]string{name: "v"}); err == nil {
			t.Errorf("name %q passes", name)
		}
	}
	for _, value := range []string{"\r", "\n", "a\r\nb: c", "\x00", "\x1f", "\x7f"} {
		for _, name := range []string{"X-A", "X-User", "Host"} {
			if _, err := newGate(t).Header(map[string]string{name: value}); err == nil {
				t.Errorf("value %q of %s passes", value, name)
			}
		}
	}
}

func TestHeadersAreBounded(t *testing.T) {
	given := map[string]string{}
	for i := range egress.MaxHeaders {
		given[fmt.Sprint("X-", i)] = ""
	}
	if _, err := newGate(t).Header(given); err != nil {
		t.Error(err)
	}
	given["X-More"] = ""
	if _, err := newGate(t).Header(given); err == nil {
		t.Error("too many pass")
	}
	if _, err := newGate(t).Header(map[string]string{"X": strings.Repeat("v", egress.MaxHeaderBytes-1)}); err != nil {
		t.Error(err)
	}
	for name, value := range map[string]string{"X": strings.Repeat("v", egress.MaxHeaderBytes), strings.Repeat("n", egress.MaxHeaderBytes): "v"} {
		_, err := newGate(t).Header(map[string]string{name: value})
		if err == nil || len(err.Error()) > 1000 {
			t.Errorf("got %v", err)
		}
	}
	_, err := newGate(t).Header(map[string]string{strings.Repeat("n ", 1000): "v"})
	if err == nil || len(err.Error()) > 1000 {
		t.Errorf("a long name: got %v", err)
	}
}
