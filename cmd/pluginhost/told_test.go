package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/subjects"
)

func TestWhatReplicasSayDecidesWhetherAPluginIsLoaded(t *testing.T) {
	t.Parallel()
	answer := func(outcome subjects.Outcome) subjects.Refreshed {
		return subjects.Refreshed{Header: subjects.Header{Replica: "r"}, Outcome: outcome, Error: "broken"}
	}
	loaded, failed, without := answer(subjects.OutcomeLoaded), answer(subjects.OutcomeFailed), answer(subjects.OutcomeUnknown)
	for name, test := range map[string]struct {
		told told
		want string // in the failure; empty is none
	}{
		"no replica was told":                      {told{Unreachable: "nobody"}, ""},
		"all have loaded it":                       {told{Replicas: []subjects.Refreshed{loaded, loaded}}, ""},
		"one has, another has a folder of its own": {told{Replicas: []subjects.Refreshed{loaded, without}}, ""},
		"all have another folder":                  {told{Replicas: []subjects.Refreshed{without, without}}, "plugins folder of none of 2 replicas"},
		"one could not load it":                    {told{Replicas: []subjects.Refreshed{loaded, failed}}, "r could not load it: broken"},
		"one does not answer":                      {told{Replicas: []subjects.Refreshed{loaded}, Silent: []string{"s"}}, "s has not said within 30s"},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.told.failure("p", t.TempDir())
			if (err != nil) != (test.want != "") || err != nil && (!errors.Is(err, errNotLoaded) || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("the failure is %v, want %q", err, test.want)
			}
		})
	}
}

func TestFolderThatSomebodyHasMistypedIsNotMade(t *testing.T) {
	ndp := echoPackage(t, "1.0.0", nil, 0)
	for name, test := range map[string]struct{ args, environment []string }{
		"a plugins folder":               {args: []string{"install", ndp, "--plugins", "BASE/plugns"}},
		"a plugins folder in a variable": {args: []string{"install", ndp}, environment: []string{"PLUGINHOST_PLUGINS", "BASE/plugns"}},
		"a data folder":                  {args: []string{"install", ndp, "--data", "BASE/plugns"}},
		"of an update":                   {args: []string{"update", ndp, "--plugins", "BASE/plugns"}},
		"of a removal":                   {args: []string{"remove", "echo", "--plugins", "BASE/plugns"}},
	} {
		t.Run(name, func(t *testing.T) {
			base := t.TempDir()
			named := func(text string) string { return strings.Replace(text, "BASE", base, 1) }
			if len(test.environment) > 0 {
				t.Setenv(test.environment[0], named(test.environment[1]))
			}
			args := []string{"plugin", "--nats", nowhere}
			for _, arg := range test.args {
				args = append(args, named(arg))
			}
			got := pluginhost(t.Context(), "", args...)
			if got.code != exitUsage || !strings.Contains(got.err, "there is no folder "+base+"/plugns") || !strings.Contains(got.err, "mkdir -p") {
				t.Errorf("got %+v", got)
			}
			if left, err := os.ReadDir(base); err != nil || len(left) > 0 {
				t.Errorf("%v was made: %v", left, err)
			}
		})
	}
}

func TestFolderThatNobodyHasNamedIsMade(t *testing.T) {
	base := t.TempDir()
	t.Setenv("XDG_DATA_HOME", base)
	if got := pluginhost(t.Context(), "", "plugin", "install", echoPackage(t, "1.0.0", nil, 0), "--nats", nowhere); got.code != exitDone {
		t.Errorf("got %+v", got)
	}
	if _, err := os.Stat(filepath.Join(base, "pluginhost", "plugins", "echo", "plugin.wasm")); err != nil {
		t.Error(err)
	}
}
