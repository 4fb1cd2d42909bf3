package client_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// emptyHost runs a replica without plugins, and returns the URL of its NATS server.
func emptyHost(t *testing.T) (url string) {
	t.Helper()
	url = testenv.NATS(t)
	testenv.Start(t, testenv.Config(t, url, t.TempDir()), nil)
	return url
}

// pack is a package of a version; it is not looked into.
func pack(id, version string) client.Package {
	return client.Package{ID: id, Name: "name of " + id, Version: version, Content: bytes.Repeat([]byte(id+version), 50_000)}
}

func TestPackagesAreInstalledUpdatedAndRemovedInThatOrderOnly(t *testing.T) {
	t.Parallel()
	c := client.New(testenv.Connect(t, emptyHost(t)))
	ctx := t.Context()
	install := func(id, version string) func() error {
		return func() error { return c.InstallPackage(ctx, pack(id, version), nil) }
	}
	update := func(id, version string) func() error {
		return func() error { return c.UpdatePackage(ctx, pack(id, version), nil) }
	}
	remove := func(id string) func() error { return func() error { return c.RemovePackage(ctx, id) } }
	for i, step := range []struct {
		do   func() error
		err  error
		want string // what the cluster has of p then
	}{
		{update("p", "1"), subjects.ErrNotInstalled, ""},
		{remove("p"), subjects.ErrNotInstalled, ""},
		{install("p", "1"), nil, "1"},
		{install("p", "2"), subjects.ErrInstalled, "1"},
		{install("P", "2"), subjects.ErrInstalled, "1"}, // they would share their configuration
		{update("P", "2"), subjects.ErrNotInstalled, "1"},
		{update("p", "2"), nil, "2"},
		{update("p", "2"), nil, "2"},
		{remove("p"), nil, ""},
		{remove("p"), subjects.ErrNotInstalled, ""},
		{update("p", "3"), subjects.ErrNotInstalled, ""},
		{install("P", "3"), nil, ""},
		{remove("P"), nil, ""},
		{install("p", "1"), nil, "1"},
	} {
		if err := step.do(); !errors.Is(err, step.err) || (err == nil) != (step.err == nil) {
			t.Errorf("step %d: got %v, want %v", i, err, step.err)
		}
		record, err := c.Package(ctx, "p")
		if step.want == "" && !errors.Is(err, subjects.ErrNotInstalled) || step.want != "" && (err != nil || record.Version != step.want) {
			t.Errorf("step %d: the cluster has %q, want %q: %v", i, record.Version, step.want, err)
		}
	}
	if err := c.InstallPackage(ctx, pack("a.b", "1"), nil); err != nil {
		t.Fatal(err)
	}
	all, err := c.Packages(ctx)
	if err != nil || len(all) != 2 || all[0].ID != "a.b" || all[1].ID != "p" || all[1].Name != "name of p" {
		t.Errorf("the cluster has %+v, %v", all, err)
	}
	for _, record := range all {
		if content, err := c.PackageContent(ctx, record); err != nil || !bytes.Equal(content, pack(record.ID, record.Version).Content) {
			t.Errorf("%s has %d bytes: %v", record.ID, len(content), err)
		}
	}
}

func TestPackagesThatCannotBeAreRefused(t *testing.T) {
	t.Parallel()
	c := client.New(testenv.Connect(t, emptyHost(t)))
	for name, p := range map[string]client.Package{
		"without an id":       {Content: []byte("x")},
		"with a long id":      {ID: strings.Repeat("x", 256), Content: []byte("x")},
		"without content":     {ID: "p"},
		"with another digest": {ID: "p", Content: []byte("x"), Digest: strings.Repeat("0", 64)},
	} {
		if err := c.InstallPackage(t.Context(), p, nil); err == nil {
			t.Errorf("%s: it is installed", name)
		}
	}
	if all, err := c.Packages(t.Context()); len(all) != 0 || err != nil {
		t.Errorf("the cluster has %v, %v", all, err)
	}
}

func TestOneOfManyInstallsAtTheSameTimeSucceeds(t *testing.T) {
	t.Parallel()
	url := emptyHost(t)
	var installs sync.WaitGroup
	var done atomic.Int64
	var winner atomic.Pointer[string]
	for i := range 8 {
		c := client.New(testenv.Connect(t, url))
		installs.Go(func() {
			version := fmt.Sprint(i)
			switch err := c.InstallPackage(t.Context(), pack("p", version), nil); {
			case err == nil:
				done.Add(1)
				winner.Store(&version)
			case !errors.Is(err, subjects.ErrInstalled) && !errors.Is(err, subjects.ErrPackageMoved):
				t.Error(err)
			}
		})
	}
	installs.Wait()
	record, err := client.New(testenv.Connect(t, url)).Package(t.Context(), "p")
	if done.Load() != 1 || err != nil || record.Version != *winner.Load() {
		t.Errorf("%d have succeeded, the cluster has %+v: %v", done.Load(), record, err)
	}
}

// Where no answer comes, an install does not take itself for somebody else's.
func TestAnInstallSurvivesALostAnswer(t *testing.T) {
	t.Parallel()
	url := emptyHost(t)
	large := pack("p", "1")
	large.Content = bytes.Repeat(large.Content, 4) // of four chunks
	for lost, messages := range map[string]int64{
		"$KV." + subjects.StateBucket + "." + subjects.PackageKey("p"): 1,
		"$O." + subjects.PackageStore + ".C.":                          4,
	} {
		var seen atomic.Int64
		link := testenv.StartNATSLink(t, url, func(l *testenv.NATSLink, subject string) bool {
			if strings.HasPrefix(subject, lost) {
				if seen.Add(1) == 1 {
					l.Hold()
				} else {
					l.Release()
				}
			}
			return true
		})
		c := client.New(testenv.Connect(t, link.URL()))
		if err := c.InstallPackage(t.Context(), large, nil); err != nil {
			t.Errorf("%s: %v", lost, err)
		}
		if seen.Load() <= messages {
			t.Errorf("%s: nothing was sent again", lost)
		}
		if err := c.RemovePackage(t.Context(), "p"); err != nil {
			t.Fatal(err)
		}
	}
}

// What is stored and named by nothing would stay.
func TestAnInstallThatIsGivenUpOnceAllIsStoredIsDone(t *testing.T) {
	t.Parallel()
	c := client.New(testenv.Connect(t, emptyHost(t)))
	ctx, cancel := context.WithCancel(t.Context())
	err := c.InstallPackage(ctx, pack("p", "1"), func(done, total int64) {
		if done == total {
			cancel()
		}
	})
	record, missing := c.Package(t.Context(), "p")
	if err != nil || missing != nil || record.Version != "1" {
		t.Errorf("got %v; the cluster has %+v: %v", err, record, missing)
	}
}

func TestWithoutAReplicaThereIsNowhereToInstall(t *testing.T) {
	t.Parallel()
	c := client.New(testenv.Connect(t, testenv.NATS(t)))
	for name, do := range map[string]func() error{
		"install": func() error { return c.InstallPackage(t.Context(), pack("p", "1"), nil) },
		"update":  func() error { return c.UpdatePackage(t.Context(), pack("p", "1"), nil) },
		"remove":  func() error { return c.RemovePackage(t.Context(), "p") },
		"look": func() error {
			_, err := c.Package(t.Context(), "p")
			return err
		},
	} {
		if err := do(); !errors.Is(err, subjects.ErrNoPackageStore) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A refresh that follows an install or update at once has every replica tell of it. The
// package is none, so they tell why.
func TestTheAnswersAfterAnInstallAreOfTheNewPackage(t *testing.T) {
	t.Parallel()
	url := emptyHost(t)
	testenv.Start(t, testenv.Config(t, url, t.TempDir()), nil)
	c := client.New(testenv.Connect(t, url))
	put := c.InstallPackage
	for _, version := range []string{"1", "2", "3", "4"} {
		if err := put(t.Context(), pack("p", version), nil); err != nil {
			t.Fatal(err)
		}
		put = c.UpdatePackage
		record, err := c.Package(t.Context(), "p")
		if err != nil {
			t.Fatal(err)
		}
		answers, err := c.Refresh(t.Context(), "p")
		if err != nil || len(answers) != 2 {
			t.Fatalf("%+v, %v", answers, err)
		}
		if slices.ContainsFunc(answers, func(a subjects.Refreshed) bool {
			return a.Outcome != subjects.OutcomeFailed || a.Plugin == nil || a.Plugin.Package != record.Digest || !strings.Contains(a.Error, "version "+version)
		}) {
			t.Errorf("version %s: %+v", version, answers)
		}
	}
}
