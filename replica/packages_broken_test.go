package replica_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// record writes the record of a package as nobody should.
func (c *packageCluster) record(p client.Package) {
	c.t.Helper()
	sum := sha256.Sum256(p.Content)
	body, err := json.Marshal(subjects.PackageRecord{
		V: subjects.Version, ID: p.ID, Name: p.Name, Version: p.Version,
		Digest: hex.EncodeToString(sum[:]), Size: int64(len(p.Content)), Time: time.Now(),
	})
	if err == nil {
		_, err = c.js.Publish(c.t.Context(), "$KV."+subjects.StateBucket+"."+subjects.PackageKey(p.ID), body)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

// object stores bytes under the digest of a package.
func (c *packageCluster) object(p client.Package, content []byte) {
	c.t.Helper()
	store, err := c.js.ObjectStore(c.t.Context(), subjects.PackageStore)
	if err == nil {
		sum := sha256.Sum256(p.Content)
		_, err = store.PutBytes(c.t.Context(), hex.EncodeToString(sum[:]), content)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestABrokenPackageIsReportedAndAGoodOneCuresIt(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		damage func(p client.Package) (stored, named []byte)
		says   string
	}{
		"the content is another": {func(p client.Package) ([]byte, []byte) {
			other := bytes.Clone(p.Content)
			other[len(other)/2] ^= 1
			return other, p.Content
		}, "digest"},
		"the content is cut short": {func(p client.Package) ([]byte, []byte) { return p.Content[:100], p.Content }, "bytes"},
		"the content is not there": {func(p client.Package) ([]byte, []byte) { return nil, p.Content }, "no object"},
		"it is no package": {func(client.Package) ([]byte, []byte) {
			return []byte("something else"), []byte("something else")
		}, "not a valid plugin package"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			config := c.config()
			r := c.start(config)
			// Nothing of it has ever served, or a former version does.
			for _, before := range []string{"", "1.0.0"} {
				if before != "" {
					c.update(agent(t, before, echo))
					eventually(t, "a good version is served", func() bool { return serves(r, "agent", before) })
				}
				broken := agent(t, "1.6.6", silent)
				stored, named := test.damage(broken)
				broken.Content = named
				if stored != nil {
					c.object(broken, stored)
				}
				c.record(broken)
				if err := r.Refresh(t.Context(), "agent"); err == nil || !strings.Contains(err.Error(), test.says) {
					t.Fatalf("a refresh: %v", err)
				}
				want := subjects.StateFailed
				if before != "" {
					want = subjects.StateReady
				}
				// It may be tried again just now.
				eventually(t, "the status says what is wrong", func() bool { return status(r, "agent").State == want })
				if s := status(r, "agent"); s.Version != before || s.Source != subjects.SourcePackage || s.State == want && !strings.Contains(s.Error, test.says) {
					t.Errorf("status is %+v", s)
				}
				if before != "" {
					if answer, err := c.Call(t.Context(), "agent", biography, []byte("x")); err != nil || string(answer) != "x" {
						t.Errorf("the former version answers %q, %v", answer, err)
					}
				}
			}
			c.update(agent(t, "1.0.1", silent))
			eventually(t, "the good version is served", func() bool { return serves(r, "agent", "1.0.1") })
			eventually(t, "nothing is left of the others", func() bool { return len(unpacked(t, config)) == 1 })
		})
	}
}

// Nobody need ask: what could not be had is tried again.
func TestAPackageThatCouldNotBeHadIsLoadedOnceItCanBe(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	late := agent(t, "1.0.0", echo)
	r := c.start(c.config())
	c.record(late)
	eventually(t, "it has failed", func() bool { return status(r, "agent").State == subjects.StateFailed })
	c.object(late, late.Content)
	eventually(t, "it is served", func() bool { return serves(r, "agent", "1.0.0") })
}

// Somebody, or the disk, has damaged what was unpacked.
func TestADamagedUnpackedPackageIsFetchedAnew(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	r := c.start(config)
	p := agent(t, "1.0.0", echo)
	c.install(p)
	eventually(t, "it is served", func() bool { return serves(r, "agent", "1.0.0") })
	for _, name := range []string{"manifest.json", "plugin.wasm", ""} {
		if err := os.RemoveAll(filepath.Join(config.Data, "packages", p.Digest, name)); err != nil {
			t.Fatal(err)
		}
		if err := r.Refresh(t.Context(), "agent"); err != nil || !serves(r, "agent", "1.0.0") {
			t.Errorf("without %q: %v", name, err)
		}
	}
}

// A replica that is killed while it unpacks has half a package under a hidden name: the
// next one puts that right.
func TestAKilledReplicaLeavesNoHalfPackage(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	config := c.config()
	r := c.start(config)
	c.install(agent(t, "1.0.0", echo))
	eventually(t, "it is served", func() bool { return serves(r, "agent", "1.0.0") })
	if err := r.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	half := filepath.Join(config.Data, "packages", ".staging-1", "new")
	if err := os.MkdirAll(half, 0o700); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(half, "manifest.json"), []byte("{"))
	if r = c.start(config); !serves(r, "agent", "1.0.0") {
		t.Errorf("%+v", status(r, "agent"))
	}
	if _, err := os.Stat(filepath.Dir(half)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}

// While a replica waits for the content of a package it goes on with everything else,
// and can leave.
func TestAPackageThatDoesNotComeHoldsNothingUp(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	asked := make(chan struct{}, 1000)
	link := testenv.StartNATSLink(t, c.url, func(_ *testenv.NATSLink, subject string) bool {
		if subject == "$JS.API.STREAM.MSG.GET."+subjects.PackageStream {
			asked <- struct{}{}
			return false
		}
		return true
	})
	config := c.config()
	config.NATS.URL = link.URL()
	testenv.AddPlugin(t, config.Plugins.Folder, "other", agentManifest(), echo)
	r := c.start(config)
	c.install(agent(t, "1.0.0", silent))
	<-asked
	if s := status(r, "agent"); s.State != subjects.StateInitialising || s.Source != subjects.SourcePackage {
		t.Errorf("status is %+v", s)
	}
	if err := r.Refresh(t.Context(), "other"); err != nil {
		t.Error(err)
	}
	if answer, err := c.Call(t.Context(), "other", biography, []byte("x")); err != nil || string(answer) != "x" {
		t.Errorf("another plugin answers %q, %v", answer, err)
	}
	c.remove("agent")
	if err := r.Drain(t.Context()); err != nil {
		t.Error(err)
	}
}

// One NATS server of three dies, with what it is the leader of or without.
func TestPackagesAreUpdatedWhileANATSServerIsDead(t *testing.T) {
	t.Parallel()
	servers := testenv.StartNATSCluster(t)
	c := newClusterAt(t, servers.URL())
	first, second := c.start(c.config()), c.start(c.config())
	c.install(agent(t, "1.0.0", echo))
	stream, err := c.js.Stream(t.Context(), subjects.PackageStream)
	if err != nil {
		t.Fatal(err)
	}
	leader := stream.CachedInfo().Cluster.Leader
	servers.Kill(leader)
	// It may have been the server of the client, which sends nothing while it has none.
	eventually(t, "the client is connected to another server", func() bool {
		return c.conn.IsConnected() && c.conn.ConnectedServerName() != leader
	})
	c.update(agent(t, "1.0.1", silent))
	for _, r := range []*replica.Replica{first, second} {
		eventually(t, "the update is served", func() bool { return serves(r, "agent", "1.0.1") })
	}
	servers.Start(leader)
	c.remove("agent")
	for _, r := range []*replica.Replica{first, second} {
		eventually(t, "it is unloaded", func() bool { return status(r, "agent").ID == "" })
	}
}

// A replica is killed whenever it likes, mostly while it loads an update.
func TestAReplicaThatIsKilledHasTheNewestPackageWhenItIsBack(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	data, folder := testenv.DataFolder(t), t.TempDir()
	serve := func() *testenv.Process {
		return testenv.StartProcess(t, "--nats", c.url, "--plugins", folder, "--data", data, "--http", "")
	}
	process, put := serve(), c.InstallPackage
	for _, version := range []string{"1.0.0", "1.0.1", "1.0.2", "1.0.3", "1.0.4"} {
		p := agent(t, version, guests.Wasm(t, guests.Probe))
		if err := put(t.Context(), p, nil); err != nil {
			t.Fatal(err)
		}
		put = c.UpdatePackage
		process.Signal(syscall.SIGKILL)
		process.Wait()
		process = serve()
		infos, err := c.Info(t.Context(), "agent")
		if err != nil || len(infos) != 1 || infos[0].Plugin == nil || infos[0].Plugin.State != subjects.StateReady || infos[0].Plugin.Package != p.Digest {
			t.Errorf("version %s: %+v, %v", version, infos, err)
		}
	}
}
