package bus_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
)

// packaged is a bus that follows packages.
type packaged struct {
	*bus.Packages
	t       *testing.T
	changed chan string
	log     *testenv.Log
}

func openPackages(t *testing.T, config bus.Config) *packaged {
	t.Helper()
	p := &packaged{t: t, changed: make(chan string, 100), log: &testenv.Log{}}
	config.Name, config.Logger = "r", slog.New(slog.NewTextHandler(p.log, nil))
	b, err := bus.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	if p.Packages, err = b.OpenPackages(t.Context(), func(id string) { p.changed <- id }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	return p
}

// awaitChange waits until a plugin is said to have changed.
func (p *packaged) awaitChange(id string) {
	p.t.Helper()
	select {
	case got := <-p.changed:
		if got != id {
			p.t.Errorf("told of %q, want %q", got, id)
		}
	case <-time.After(wait):
		p.t.Fatalf("nothing is told of %q", id)
	}
}

// version is that of the package which the cluster has; empty is none.
func (p *packaged) version(id string) string {
	record, ok := p.Of(id)
	if !ok {
		return ""
	}
	return record.Version
}

// pack is a package that is none, of a version.
func pack(id, version string) client.Package {
	return client.Package{ID: id, Name: "n", Version: version, Content: bytes.Repeat([]byte(version), 100_000)}
}

func stateBucketOf(t *testing.T, url string) jetstream.KeyValue {
	t.Helper()
	js, err := jetstream.New(testenv.Connect(t, url))
	if err != nil {
		t.Fatal(err)
	}
	kv, err := js.KeyValue(t.Context(), subjects.StateBucket)
	if err != nil {
		t.Fatal(err)
	}
	return kv
}

func TestReplicasLearnOfPackagesInTheOrderOfTheirRecords(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	p := openPackages(t, bus.Config{URL: url})
	c := client.New(testenv.Connect(t, url))
	for _, step := range []struct {
		do      func() error
		version string
	}{
		{func() error { return c.InstallPackage(t.Context(), pack("my.plugin", "1"), nil) }, "1"},
		{func() error { return c.UpdatePackage(t.Context(), pack("my.plugin", "2"), nil) }, "2"},
		{func() error { return c.RemovePackage(t.Context(), "my.plugin") }, ""},
		{func() error { return c.InstallPackage(t.Context(), pack("my.plugin", "3"), nil) }, "3"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		p.awaitChange("my.plugin")
		if got := p.version("my.plugin"); got != step.version {
			t.Errorf("version %q is known, want %q", got, step.version)
		}
	}
	late := openPackages(t, bus.Config{URL: url})
	late.awaitChange("my.plugin")
	if got := late.Installed(); len(got) != 1 || got[0].Version != "3" {
		t.Errorf("who comes late knows %+v", got)
	}
	record, _ := late.Of("my.plugin")
	content, err := late.Fetch(t.Context(), record)
	if sum := sha256.Sum256(content); err != nil || hex.EncodeToString(sum[:]) != record.Digest {
		t.Errorf("%d bytes are fetched: %v", len(content), err)
	}
}

// What the follower has not told yet, Reread knows.
func TestARereadRecordIsTheNewest(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	p := openPackages(t, bus.Config{URL: url})
	c := client.New(testenv.Connect(t, url))
	if err := c.InstallPackage(t.Context(), pack("p", "1"), nil); err != nil {
		t.Fatal(err)
	}
	for i, version := range []string{"2", "3", "4", "5", "6", "7", "8", "9"} {
		if err := c.UpdatePackage(t.Context(), pack("p", version), nil); err != nil {
			t.Fatal(err)
		}
		if err := p.Reread(t.Context(), "p"); err != nil || p.version("p") != version {
			t.Errorf("update %d: version %q is known, want %q: %v", i, p.version("p"), version, err)
		}
	}
	if err := c.RemovePackage(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	if err := p.Reread(t.Context(), "p"); err != nil || p.version("p") != "" {
		t.Errorf("after it was removed version %q is known: %v", p.version("p"), err)
	}
	for _, id := range []string{"never", strings.Repeat("x", 300)} {
		if err := p.Reread(t.Context(), id); err != nil || p.version(id) != "" {
			t.Errorf("%.10s: %q, %v", id, p.version(id), err)
		}
	}
}

// What the follower tells late changes nothing.
func TestAnOldRecordDoesNotReplaceANewOne(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	b := testenv.Bus(t, url)
	var p *bus.Packages
	var told atomic.Int64
	versions, held := make(chan string, 100), make(chan struct{})
	p, err := b.OpenPackages(t.Context(), func(id string) {
		record, _ := p.Of(id)
		versions <- record.Version
		if told.Add(1) == 1 {
			<-held
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	c := client.New(testenv.Connect(t, url))
	if err := c.InstallPackage(t.Context(), pack("p", "1"), nil); err != nil {
		t.Fatal(err)
	}
	got := []string{<-versions}
	for _, version := range []string{"2", "3", "4"} {
		if err := c.UpdatePackage(t.Context(), pack("p", version), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Reread(t.Context(), "p"); err != nil {
		t.Fatal(err)
	}
	close(held)
	if err := c.UpdatePackage(t.Context(), pack("p", "5"), nil); err != nil {
		t.Fatal(err)
	}
	for got[len(got)-1] != "5" {
		got = append(got, <-versions)
	}
	if want := []string{"1", "4", "5"}; !slices.Equal(got, want) {
		t.Errorf("known were %q, want %q", got, want)
	}
}

func TestARecordThatCannotBeReadChangesNothing(t *testing.T) {
	t.Parallel()
	url := testenv.NATS(t)
	p := openPackages(t, bus.Config{URL: url})
	c := client.New(testenv.Connect(t, url))
	if err := c.InstallPackage(t.Context(), pack("p", "1"), nil); err != nil {
		t.Fatal(err)
	}
	p.awaitChange("p")
	state := stateBucketOf(t, url)
	record, _ := p.Of("p")
	record.Digest = "../../p"
	foreign, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", "{", "null", "[]", `{"v":1}`, string(foreign)} {
		if _, err := state.Put(t.Context(), subjects.PackageKey("p"), []byte(body)); err != nil {
			t.Fatal(err)
		}
		if err := p.Reread(t.Context(), "p"); err != nil || p.version("p") != "1" {
			t.Errorf("%q: version %q is known: %v", body, p.version("p"), err)
		}
	}
	if err := c.InstallPackage(t.Context(), pack("p", "2"), nil); err != nil {
		t.Errorf("over a record that cannot be read: %v", err)
	}
	p.awaitChange("p")
	if got := p.version("p"); got != "2" {
		t.Errorf("version %q is known", got)
	}
}

// Servers that have lost everything have removed nothing.
func TestALostRecordIsNoRemoval(t *testing.T) {
	t.Parallel()
	server := testenv.Restartable(t)
	p := openPackages(t, bus.Config{URL: server.URL(), Memory: true})
	c := client.New(testenv.Connect(t, server.URL()))
	if err := c.InstallPackage(t.Context(), pack("p", "1"), nil); err != nil {
		t.Fatal(err)
	}
	p.awaitChange("p")
	server.Stop()
	server.Start()
	for deadline := time.Now().Add(wait); !strings.Contains(p.log.String(), "the record of a package is lost"); {
		if time.Now().After(deadline) {
			t.Fatal("the loss is not noticed")
		}
	}
	if got := p.version("p"); got != "1" {
		t.Errorf("version %q is known", got)
	}
	record, _ := p.Of("p")
	if _, err := p.Fetch(t.Context(), record); !errors.Is(err, subjects.ErrNoPackageStore) {
		t.Errorf("fetched: %v", err)
	}
	if err := p.Reread(t.Context(), "p"); err != nil { // as a refresh does
		t.Fatal(err)
	}
	c = client.New(testenv.Connect(t, server.URL()))
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	if err := c.InstallPackage(ctx, pack("p", "2"), nil); err != nil {
		t.Fatal(err)
	}
	p.awaitChange("p")
	if got := p.version("p"); got != "2" {
		t.Errorf("version %q is known", got)
	}
}

// A record and its content outlive any one server of three.
func TestPackagesHaveAsManyCopiesAsEverythingElse(t *testing.T) {
	t.Parallel()
	urls := testenv.Cluster(t)
	p := openPackages(t, bus.Config{URL: urls[0]})
	js, err := jetstream.New(testenv.Connect(t, urls[1]))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), subjects.PackageStream)
	if err != nil {
		t.Fatal(err)
	}
	if c := stream.CachedInfo().Config; c.Replicas != 3 || c.AllowDirect {
		t.Errorf("%d copies, direct gets %t", c.Replicas, c.AllowDirect)
	}
	if err := client.New(testenv.Connect(t, urls[2])).InstallPackage(t.Context(), pack("p", "1"), nil); err != nil {
		t.Fatal(err)
	}
	p.awaitChange("p")
	record, _ := p.Of("p")
	if _, err := p.Fetch(t.Context(), record); err != nil {
		t.Error(err)
	}
}
