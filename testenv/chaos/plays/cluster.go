//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
	"github.com/pluginhost/pluginhost/testenv/playlog"
	"github.com/pluginhost/pluginhost/testenv/standalone"
)

// pluginID is the plugin that takes the plays.
const pluginID = "p"

// machines are three NATS servers and three replicas.
type machines struct {
	*testenv.NATSCluster
	env     *standalone.Environment
	command string // the binary of the replicas
	seats   []*seat
	started []*testenv.Process // all replicas there were
}

// seat is a place for a replica.
type seat struct {
	name, data, config, listen string
	process                    *testenv.Process
}

func startMachines(env *standalone.Environment, serviceURL string, o options) *machines {
	m := &machines{env: env, NATSCluster: testenv.StartNATSCluster(env)}
	m.command = testenv.Binary(env)
	if o.unkept {
		m.command = testenv.BinaryWithout(env, "unkept")
	}
	folder := env.TempDir()
	testenv.AddPlugin(env, folder, pluginID, playlog.Manifest(), guests.Wasm(env, guests.Scrobbler))
	for i := range 3 {
		s := &seat{name: fmt.Sprintf("r%d", i), data: testenv.DataFolder(env), listen: freeAddress(env)}
		s.config = filepath.Join(env.TempDir(), "pluginhost.toml")
		content := testenv.SharedCache + fmt.Sprintf("Folder = %q\n[PluginConfig.%s]\nservice = %q\n[HTTP]\nListen = \"\"\n[ListenBrainz]\nListen = %q\n", folder, pluginID, serviceURL, s.listen)
		if err := os.WriteFile(s.config, []byte(content), 0o600); err != nil {
			env.Fatal(err)
		}
		m.seats = append(m.seats, s)
		m.start(s)
	}
	return m
}

// freeAddress is one on which nothing listens.
func freeAddress(env *standalone.Environment) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		env.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// start starts the replica of a seat, and waits until it is ready.
func (m *machines) start(s *seat) {
	s.process = testenv.StartBinary(m.env, m.command, "--name", s.name, "--data", s.data, "--config", s.config, "--nats", m.URL())
	m.started = append(m.started, s.process)
}

// kinds are what goes wrong, in turn.
var kinds = []string{"a replica was killed", "a replica was paused", "a NATS server was killed"}

// breakOne makes something go wrong, and puts it right.
func (m *machines) breakOne(ctx context.Context, kind string, o options, random *rand.Rand) {
	pause := o.pauseLeast + time.Duration(random.Int64N(int64(o.pauseMost-o.pauseLeast)+1))
	s := m.seats[random.IntN(len(m.seats))]
	switch kind {
	case "a replica was killed":
		s.process.Signal(syscall.SIGKILL)
		s.process.Wait()
		m.start(s)
	case "a replica was paused":
		s.process.Signal(syscall.SIGSTOP)
		await(ctx, pause)
		s.process.Signal(syscall.SIGCONT)
	case "a NATS server was killed":
		name := m.Servers()[random.IntN(len(m.Servers()))]
		m.Kill(name)
		await(ctx, pause)
		m.Start(name)
		await(ctx, pause) // it catches up
	}
}
