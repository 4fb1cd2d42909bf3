//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/journal"
	"github.com/pluginhost/pluginhost/testenv/standalone"
)

// pluginID is the plugin that has the schedules and the connections.
const pluginID = "p"

// machines are three NATS servers and three replicas.
type machines struct {
	*testenv.NATSCluster
	disks   disks // of the NATS servers; nil is that none can be filled
	env     *standalone.Environment
	ctx     context.Context
	command string // the binary of the replicas
	seats   []*seat
	started []*testenv.Process // all replicas there were
}

// seat is a place for a replica: its folders and its links to the NATS servers.
type seat struct {
	name, data, config string
	links              []*testenv.Link
	process            *testenv.Process
}

func startCluster(ctx context.Context, env *standalone.Environment, journalURL string, o options) *machines {
	c := &machines{env: env, ctx: ctx}
	if o.fillsDisks() {
		c.disks = make(disks)
		c.NATSCluster = testenv.StartNATSClusterIn(env, func(name string) string { return c.disks.mount(env, name) })
	} else {
		c.NATSCluster = testenv.StartNATSCluster(env)
	}
	c.build(o.without)
	folder := env.TempDir()
	testenv.AddPlugin(env, folder, pluginID, journal.Manifest(), guests.Wasm(env, guests.Stateful))
	config := testenv.SharedCache + fmt.Sprintf("Folder = %q\n[PluginConfig.%s]\njournal = %q\n[HTTP]\nListen = \"\"\n[WebSocket]\nMaxConnections = 1000\n", folder, pluginID, journalURL)
	for i := range 3 {
		s := &seat{name: fmt.Sprintf("r%d", i), data: testenv.DataFolder(env)}
		s.config = filepath.Join(env.TempDir(), "pluginhost.toml")
		if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
			env.Fatal(err)
		}
		for _, server := range strings.Split(c.URL(), ",") {
			target, err := url.Parse(server)
			if err != nil {
				env.Fatal(err)
			}
			s.links = append(s.links, testenv.StartLink(env, target.Host))
		}
		c.seats = append(c.seats, s)
		c.start(s)
	}
	return c
}

// build builds the command, and copies it: it may be built anew meanwhile, of another
// source.
func (c *machines) build(without string) {
	built := testenv.Binary(c.env)
	if without != "" {
		built = testenv.BinaryWithout(c.env, without)
	}
	content, err := os.ReadFile(built)
	if err != nil {
		c.env.Fatal(err)
	}
	c.command = filepath.Join(c.env.TempDir(), "pluginhost")
	if err := os.WriteFile(c.command, content, 0o700); err != nil { // #nosec G306 -- to be executed
		c.env.Fatal(err)
	}
}

// start starts the replica of a seat, and waits until it is ready.
func (c *machines) start(s *seat) {
	urls := make([]string, len(s.links))
	for i, link := range s.links {
		urls[i] = "nats://" + link.Address()
	}
	s.process = testenv.StartBinary(c.env, c.command, "--name", s.name, "--data", s.data, "--config", s.config, "--nats", strings.Join(urls, ","))
	c.started = append(c.started, s.process)
}

// writeLogs writes what each replica has logged into a file of a folder.
func (c *machines) writeLogs(folder string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, process := range c.started {
		if err := os.WriteFile(filepath.Join(folder, process.ReplicaID+".log"), []byte(process.Log()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// kill kills the replica of a seat.
func (c *machines) kill(s *seat) {
	s.process.Signal(syscall.SIGKILL)
	s.process.Wait()
}

// seatOf is where a replica sits; nil is nowhere.
func (c *machines) seatOf(replica string) *seat {
	for _, s := range c.seats {
		if s.process.ReplicaID == replica {
			return s
		}
	}
	return nil
}

// leader asks for the leader, as an operator does, until there is one of those that
// run.
func (c *machines) leader() (*seat, error) {
	for c.ctx.Err() == nil {
		out, err := exec.CommandContext(c.ctx, c.command, "status", "--json", "--nats", c.URL()).Output()
		if err != nil {
			continue // nobody answers yet
		}
		var document struct{ Replicas []subjects.Status }
		if err := json.Unmarshal(out, &document); err != nil {
			return nil, err
		}
		for _, status := range document.Replicas {
			if s := c.seatOf(status.Leader); s != nil && status.Replica == status.Leader && status.Ready {
				return s, nil
			}
		}
	}
	return nil, c.ctx.Err()
}
