package replica_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
)

// packageCluster is replicas with plugins folders of their own, and an operator who installs
// plugins for all of them.
type packageCluster struct {
	t    *testing.T
	url  string
	conn *nats.Conn
	*client.Client
	js jetstream.JetStream
}

func newCluster(t *testing.T) *packageCluster {
	t.Helper()
	return newClusterAt(t, testenv.NATS(t))
}

func newClusterAt(t *testing.T, url string) *packageCluster {
	t.Helper()
	c := &packageCluster{t: t, url: url, conn: testenv.Connect(t, url)}
	c.Client = client.New(c.conn, client.WithResends(0)) // which would hide a refusal
	var err error
	if c.js, err = jetstream.New(c.conn); err != nil {
		t.Fatal(err)
	}
	return c
}

// config is that of a replica, without plugins of its own and with data that outlives
// it.
func (c *packageCluster) config() config.Config {
	c.t.Helper()
	config := testenv.Config(c.t, c.url, c.t.TempDir())
	config.Plugins.Watch = false
	return config
}

func (c *packageCluster) start(config config.Config) *replica.Replica {
	c.t.Helper()
	return testenv.Start(c.t, config, c.t.Output())
}

// packed is the package of a plugin.
func packed(t *testing.T, id, version string, manifest, wasm []byte) client.Package {
	t.Helper()
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, id, bytes.ReplaceAll(manifest, []byte("1.0.0"), []byte(version)), wasm)
	var content bytes.Buffer
	p, err := plugin.Pack(t.Context(), filepath.Join(folder, id), &content)
	if err != nil {
		t.Fatal(err)
	}
	return client.Package{ID: id, Name: p.Manifest.Name, Version: version, Digest: p.Digest, Content: content.Bytes()}
}

// agent is the package of the plugin agent.
func agent(t *testing.T, version string, wasm []byte) client.Package {
	t.Helper()
	return packed(t, "agent", version, agentManifest(), wasm)
}

func (c *packageCluster) install(p client.Package) {
	c.t.Helper()
	if err := c.InstallPackage(c.t.Context(), p, nil); err != nil {
		c.t.Fatal(err)
	}
}

func (c *packageCluster) update(p client.Package) {
	c.t.Helper()
	if err := c.UpdatePackage(c.t.Context(), p, nil); err != nil {
		c.t.Fatal(err)
	}
}

func (c *packageCluster) remove(id string) {
	c.t.Helper()
	if err := c.RemovePackage(c.t.Context(), id); err != nil {
		c.t.Fatal(err)
	}
}

// status is what a replica says of a plugin; its ID is empty where it has none.
func status(r *replica.Replica, id string) subjects.PluginStatus {
	for _, p := range r.Status().Plugins {
		if p.ID == id {
			return p
		}
	}
	return subjects.PluginStatus{}
}

// serves says whether a replica serves a plugin from a package of this version.
func serves(r *replica.Replica, id, version string) bool {
	s := status(r, id)
	return s.State == subjects.StateReady && s.Version == version && s.Source == subjects.SourcePackage && s.Error == ""
}

// unpacked are the digests of the packages in the data of a replica.
func unpacked(t *testing.T, config config.Config) []string {
	t.Helper()
	names, err := os.ReadDir(filepath.Join(config.Data, "packages"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	var digests []string
	for _, name := range names {
		if !strings.HasPrefix(name.Name(), ".") {
			digests = append(digests, name.Name())
		}
	}
	return digests
}

func TestAPackageIsLoadedByEveryReplicaByItself(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	first, second := c.start(config), c.start(c.config())
	p := agent(t, "1.2.3", echo)
	c.install(p)
	for _, r := range []*replica.Replica{first, second} {
		eventually(t, "it is served", func() bool { return serves(r, "agent", "1.2.3") })
		if s := status(r, "agent"); s.Package != p.Digest || s.Symlink || len(s.Warnings) > 0 {
			t.Errorf("status is %+v", s)
		}
	}
	if first, second := status(first, "agent").Generation, status(second, "agent").Generation; first != second {
		t.Errorf("generations %s and %s", first, second)
	}
	if answer, err := c.Call(t.Context(), "agent", biography, []byte("hello")); err != nil || string(answer) != "hello" {
		t.Errorf("it answers %q, %v", answer, err)
	}
	for path, want := range map[string]fs.FileMode{"": 0o700, p.Digest: 0o700, p.Digest + "/plugin.wasm": 0o600, p.Digest + "/manifest.json": 0o600} {
		if info, err := os.Stat(filepath.Join(config.Data, "packages", path)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	// One that comes later has it when it is ready.
	if third := c.start(c.config()); !serves(third, "agent", "1.2.3") {
		t.Errorf("a replica that has just started: %+v", status(third, "agent"))
	}
	c.update(agent(t, "1.2.4", silent))
	for _, r := range []*replica.Replica{first, second} {
		eventually(t, "the update is served", func() bool { return serves(r, "agent", "1.2.4") })
	}
	eventually(t, "the former package is deleted", func() bool {
		digests := unpacked(t, config)
		return len(digests) == 1 && digests[0] == status(first, "agent").Package
	})
	c.remove("agent")
	for _, r := range []*replica.Replica{first, second} {
		eventually(t, "it is unloaded", func() bool { return status(r, "agent").ID == "" })
	}
	eventually(t, "its package is deleted", func() bool { return len(unpacked(t, config)) == 0 })
}

// deafen has replicas not hear of records for a while.
func (c *packageCluster) deafen() {
	c.t.Helper()
	stream, err := c.js.Stream(c.t.Context(), "KV_"+subjects.StateBucket)
	if err != nil {
		c.t.Fatal(err)
	}
	for consumer := range stream.ConsumerNames(c.t.Context()).Name() {
		if err := stream.DeleteConsumer(c.t.Context(), consumer); err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
			c.t.Fatal(err)
		}
	}
}

// The answer to a refresh that follows an update tells of the update, whether the replica
// has heard of that by itself or not.
func TestARefreshAfterAnUpdateTellsOfTheUpdate(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.start(c.config())
	c.start(c.config())
	put := c.InstallPackage
	for i, version := range []string{"1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5"} {
		wasm := guests.Handmade{Body: guests.Echo, Pages: uint32(i + 1)}.Bytes()
		p := agent(t, version, wasm)
		c.deafen()
		if err := put(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
		put = c.UpdatePackage
		answers, err := c.Refresh(t.Context(), "agent")
		if err != nil || len(answers) != 2 {
			t.Fatalf("%+v, %v", answers, err)
		}
		for _, a := range answers {
			if a.Outcome != subjects.OutcomeLoaded || a.Plugin == nil || a.Plugin.Version != version || a.Plugin.Package != p.Digest {
				t.Errorf("after %s: %s, %+v", version, a.Outcome, a.Plugin)
			}
		}
	}
	c.remove("agent")
	answers, err := c.Refresh(t.Context(), "agent")
	if err != nil || len(answers) != 2 || slices.ContainsFunc(answers, func(a subjects.Refreshed) bool { return a.Plugin != nil }) {
		t.Errorf("after it was removed: %+v, %v", answers, err)
	}
}

// What happened while a replica was away it has when it is ready, also where its own
// disk says otherwise.
func TestAReplicaThatWasAwayHasWhatTheClusterHas(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	away, stays := c.config(), c.start(c.config())
	c.install(packed(t, "updated", "1.0.0", agentManifest(), echo))
	c.install(packed(t, "removed", "1.0.1", agentManifest(), echo))
	c.install(packed(t, "back", "1.0.2", agentManifest(), echo))
	r := c.start(away)
	for _, id := range []string{"updated", "removed", "back"} {
		if s := status(r, id); s.State != subjects.StateReady {
			t.Fatalf("%s: %+v", id, s)
		}
	}
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := unpacked(t, away); len(got) != 3 {
		t.Fatalf("unpacked are %q", got)
	}
	c.update(packed(t, "updated", "2.0.0", agentManifest(), silent))
	c.remove("removed")
	c.remove("back")
	c.install(packed(t, "back", "1.0.2", agentManifest(), echo))
	c.install(packed(t, "new", "1.0.3", agentManifest(), echo))

	r = c.start(away)
	for id, want := range map[string]string{"updated": "2.0.0", "back": "1.0.2", "new": "1.0.3"} {
		if !serves(r, id, want) {
			t.Errorf("%s: %+v", id, status(r, id))
		}
	}
	if s := status(r, "removed"); s.ID != "" {
		t.Errorf("what was removed is back: %+v", s)
	}
	eventually(t, "what was removed is deleted", func() bool { return len(unpacked(t, away)) == 3 })
	if err := r.Refresh(t.Context(), "removed"); err == nil {
		t.Error("a refresh finds what was removed")
	}
	eventually(t, "the other replica has not got it back", func() bool { return status(stays, "removed").ID == "" && serves(stays, "new", "1.0.3") })
}

func TestAnUpdateForTheClusterFailsNoCall(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	first, second := c.start(c.config()), c.start(c.config())
	roomy := guests.Handmade{Body: guests.Echo, Pages: 20}.Bytes()
	c.install(agent(t, "1.0.0", roomy))
	for _, r := range []*replica.Replica{first, second} {
		eventually(t, "it is served", func() bool { return serves(r, "agent", "1.0.0") })
	}
	load, stop := context.WithCancel(t.Context())
	var workers sync.WaitGroup
	var calls atomic.Int64
	for range 4 {
		workers.Go(func() {
			for load.Err() == nil {
				if _, err := c.Call(t.Context(), "agent", biography, []byte("hello")); err != nil {
					t.Errorf("a call during an update: %v", err)
					return
				}
				calls.Add(1)
			}
		})
	}
	for _, version := range []string{"1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5", "1.0.6"} {
		seen := calls.Load()
		eventually(t, "calls between two updates", func() bool { return t.Failed() || calls.Load() > seen+10 })
		c.update(agent(t, version, roomy))
		for _, r := range []*replica.Replica{first, second} {
			eventually(t, "the update is served", func() bool { return serves(r, "agent", version) })
		}
	}
	stop()
	workers.Wait()
}

func TestAPluginOfTheFolderComesBeforeAPackage(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	testenv.AddPlugin(t, config.Plugins.Folder, "agent", agentManifest(), silent)
	r, other := c.start(config), c.start(c.config())
	c.install(agent(t, "3.2.1", echo))
	eventually(t, "the other replica serves the package", func() bool { return serves(other, "agent", "3.2.1") })
	fromFolder := func(r *replica.Replica) {
		t.Helper()
		s := status(r, "agent")
		if s.State != subjects.StateReady || s.Version != "1.0.0" || s.Source != "" || s.Package != "" {
			t.Errorf("it is not from the folder: %+v", s)
		}
		if !slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, "3.2.1") && strings.Contains(w, "not used") }) {
			t.Errorf("nobody is told: %q", s.Warnings)
		}
	}
	if err := r.Refresh(t.Context(), "agent"); err != nil {
		t.Fatal(err)
	}
	fromFolder(r)
	// After a restart as well.
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	r = c.start(config)
	fromFolder(r)
	// Without the folder the package is what there is. An empty one would count as away.
	testenv.AddPlugin(t, config.Plugins.Folder, "beside", agentManifest(), echo)
	aside := filepath.Join(t.TempDir(), "agent")
	rename(t, filepath.Join(config.Plugins.Folder, "agent"), aside)
	if err := r.Rescan(t.Context()); err != nil || !serves(r, "agent", "3.2.1") || len(status(r, "agent").Warnings) > 0 {
		t.Errorf("%v: %+v", err, status(r, "agent"))
	}
	rename(t, aside, filepath.Join(config.Plugins.Folder, "agent"))
	if err := r.Rescan(t.Context()); err != nil {
		t.Error(err)
	}
	fromFolder(r)
	// Who removes the package does not remove what is in folders.
	c.remove("agent")
	eventually(t, "the other replica has unloaded it", func() bool { return status(other, "agent").ID == "" })
	if err := r.Refresh(t.Context(), "agent"); err != nil {
		t.Error(err)
	}
	if s := status(r, "agent"); s.State != subjects.StateReady || s.Source != "" || len(s.Warnings) > 0 {
		t.Errorf("after the package was removed: %+v", s)
	}
}

func TestPluginsThatShareAPackageDoNotShareItsRemoval(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	one := agent(t, "1.0.0", echo)
	other := one
	other.ID = "other"
	r := c.start(config)
	c.install(one)
	c.install(other)
	for _, id := range []string{"agent", "other"} {
		eventually(t, "it is served", func() bool { return serves(r, id, "1.0.0") })
	}
	c.remove("agent")
	eventually(t, "it is unloaded", func() bool { return status(r, "agent").ID == "" })
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r = c.start(config); !serves(r, "other", "1.0.0") || status(r, "agent").ID != "" {
		t.Errorf("%+v, %+v", status(r, "other"), status(r, "agent"))
	}
}

// Schedules and what else a plugin has go with its package.
func TestARemovedPackageLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	s := newStateful(t, nil)
	testenv.RemovePlugin(t, s.folder, "p")
	quickly := func(c *setup) { c.ForgetRemovedAfter(time.Millisecond) }
	replicas := []*replica.Replica{s.start(quickly), s.start(quickly)}
	p := packed(t, "p", "1.0.0", journal.Manifest(), guests.Wasm(t, guests.Stateful))
	c := newClusterAt(t, s.url)
	c.install(p)
	for _, r := range replicas {
		eventually(t, "it is served", func() bool { return status(r, "p").State == subjects.StateReady })
	}
	s.journal.AwaitCount(t, "init", 1)
	s.do(every("often", "@yearly"))
	p.Content = packed(t, "p", "1.0.0", append(journal.Manifest(), '\n'), guests.Wasm(t, guests.Stateful)).Content
	p.Digest = ""
	c.update(p)
	s.journal.AwaitCount(t, "init", 2)
	s.keepsSchedules(replicas[0])
	c.remove("p")
	eventually(t, "its schedules are gone", func() bool { return len(s.keysOfBucket(subjects.ScheduleBucket, ">")) == 0 })
	eventually(t, "it counts as new", func() bool {
		return len(s.keysOfBucket(subjects.StateBucket, "init.p.*")) == 0 && len(s.keysOfBucket(subjects.StateBucket, "removed.*")) == 0
	})
	c.install(p)
	s.journal.AwaitCount(t, "init", 3)
}

func TestPackagesAreNotLoadedWherePluginsAreOff(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	config.Plugins.Enabled = false
	off, on := c.start(config), c.start(c.config())
	c.install(agent(t, "1.0.0", echo))
	eventually(t, "another replica serves it", func() bool { return serves(on, "agent", "1.0.0") })
	if s := off.Status().Plugins; len(s) > 0 {
		t.Errorf("it has %+v", s)
	}
}

// While a replica loads one version, another takes its place, and then none.
func TestTheLastOfManyChangesCounts(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	r := c.start(config)
	c.install(agent(t, "1.0.0", echo))
	for _, version := range []string{"1.0.1", "1.0.2", "1.0.3", "1.0.4"} {
		c.update(agent(t, version, silent))
	}
	c.remove("agent")
	c.install(agent(t, "2.0.0", echo))
	eventually(t, "the last is served", func() bool { return serves(r, "agent", "2.0.0") })
	c.remove("agent")
	eventually(t, "it is unloaded", func() bool { return status(r, "agent").ID == "" })
	eventually(t, "nothing is left", func() bool { return len(unpacked(t, config)) == 0 })
}

// A package that has just been replaced is not deleted under who reads it.
func TestRefreshesDuringUpdatesFindAPackage(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	r := c.start(c.config())
	versions := []client.Package{agent(t, "1.0.0", echo), agent(t, "1.0.1", silent)}
	c.install(versions[0])
	eventually(t, "it is served", func() bool { return serves(r, "agent", "1.0.0") })
	updating, stop := context.WithCancel(t.Context())
	var refreshing sync.WaitGroup
	refreshing.Go(func() {
		for updating.Err() == nil {
			if err := r.Refresh(t.Context(), "agent"); err != nil {
				t.Errorf("a refresh during an update: %v", err)
			}
		}
	})
	for i := range 31 {
		c.update(versions[(i+1)%2])
	}
	stop()
	refreshing.Wait()
	eventually(t, "the last is served", func() bool { return serves(r, "agent", "1.0.1") })
}

// The limits of package subjects, which knows no packages, are those of packages.
func TestThePackageThatMayBeInstalledMayBeStored(t *testing.T) {
	t.Parallel()
	if subjects.MaxPackage != plugin.MaxPackageTotal {
		t.Errorf("%d and %d bytes", subjects.MaxPackage, plugin.MaxPackageTotal)
	}
}
