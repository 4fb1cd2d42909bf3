package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/natswire"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
)

// The plugins that the replica hosts.
const (
	pluginHandmade = "handmade"
	pluginClean    = "noop"
	pluginReuse    = "noop-reuse"
	pluginFresh    = "noop-fresh"
	pluginHog      = "hog" // computes without end
)

const (
	echoSubject   = "bench.echo"
	boundedEcho   = "bench.bounded" // an echo whose connection bounds headers, as a replica's do
	startTimeout  = 30 * time.Second
	replyTimeout  = 30 * time.Second
	callersOnConn = 8 // callers that share a connection
)

// environment is a NATS server, an echo, a replica and callers, all in this
// process, each on connections of its own over loopback TCP.
type environment struct {
	server  *server.Server
	replica *replica.Replica
	echoes  []*nats.Conn
	callers []*nats.Conn
	clients []*client.Client // one for each of callers
}

// openEnvironment starts everything, with folders of its own. The caller closes
// it.
func (b *bench) openEnvironment(ctx context.Context, name string, plugins map[string][]byte, callers int) (_ *environment, err error) {
	dir := filepath.Join(b.dir, name)
	e := &environment{}
	defer func() {
		if err != nil {
			err = errors.Join(err, e.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := e.startServer(filepath.Join(dir, "nats")); err != nil {
		return nil, err
	}
	if err := errors.Join(e.startEcho(echoSubject, nats.Connect), e.startEcho(boundedEcho, natswire.Connect)); err != nil {
		return nil, err
	}
	if err := e.startReplica(ctx, dir, plugins); err != nil {
		return nil, err
	}
	for range (callers + callersOnConn - 1) / callersOnConn {
		conn, err := nats.Connect(e.server.ClientURL())
		if err != nil {
			return nil, fmt.Errorf("connect a caller: %w", err)
		}
		e.callers = append(e.callers, conn)
		e.clients = append(e.clients, client.New(conn))
	}
	return e, nil
}

func (e *environment) startServer(dir string) (err error) {
	e.server, err = server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return fmt.Errorf("NATS server: %w", err)
	}
	e.server.Start()
	if !e.server.ReadyForConnections(startTimeout) {
		return fmt.Errorf("the NATS server is not ready after %v", startTimeout)
	}
	return nil
}

// startEcho subscribes what calls are compared with.
func (e *environment) startEcho(subject string, connect func(string, ...nats.Option) (*nats.Conn, error)) error {
	echo, err := connect(e.server.ClientURL())
	if err != nil {
		return fmt.Errorf("connect the echo: %w", err)
	}
	e.echoes = append(e.echoes, echo)
	_, err = echo.QueueSubscribe(subject, "bench", func(msg *nats.Msg) {
		// A reply that is lost fails the caller.
		_ = msg.Respond(msg.Data)
	})
	if err == nil {
		err = echo.FlushTimeout(startTimeout)
	}
	if err != nil {
		return fmt.Errorf("subscribe the echo: %w", err)
	}
	return nil
}

// startReplica starts a replica with the settings that it has by default.
func (e *environment) startReplica(ctx context.Context, dir string, plugins map[string][]byte) (err error) {
	host := config.Default()
	host.Name = "bench"
	host.Data = filepath.Join(dir, "data")
	host.Plugins.Folder = filepath.Join(dir, "plugins")
	host.NATS.URL = e.server.ClientURL()
	host.HTTP.Listen = "127.0.0.1:0"
	reuse, fresh := config.IsolationReuse, config.IsolationFresh
	host.Runtime.Plugin = map[string]config.RuntimeOverride{pluginReuse: {Isolation: &reuse}, pluginFresh: {Isolation: &fresh}}
	for id, wasm := range plugins {
		if err := addPlugin(host.Plugins.Folder, id, capability, wasm); err != nil {
			return err
		}
	}
	e.replica, err = replica.Start(ctx, host, slog.New(slog.DiscardHandler))
	if err != nil {
		return fmt.Errorf("start the replica: %w", err)
	}
	return nil
}

func (e *environment) close(ctx context.Context) error {
	for _, conn := range e.callers {
		conn.Close()
	}
	var err error
	if e.replica != nil {
		err = e.replica.Drain(ctx)
	}
	for _, echo := range e.echoes {
		echo.Close()
	}
	if e.server != nil {
		e.server.Shutdown()
		e.server.WaitForShutdown()
	}
	return err
}

// addPlugin writes a plugin with one capability into a plugins folder.
func addPlugin(folder, id, capability string, wasm []byte) error {
	manifest, err := json.Marshal(map[string]any{
		"name": id, "author": "pluginhost", "version": "1.0.0", "description": "Does nothing.",
		"website": "https://example.com", "capabilities": []string{capability}, "permissions": map[string]any{},
	})
	if err != nil {
		return fmt.Errorf("manifest of %s: %w", id, err)
	}
	dir := filepath.Join(folder, id)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("plugin %s: %w", id, err)
	}
	for name, content := range map[string][]byte{"manifest.json": manifest, "plugin.wasm": wasm} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return fmt.Errorf("plugin %s: %w", id, err)
		}
	}
	return nil
}

// request is what every no-op call sends.
func request() *api.ArtistBiographyRequest {
	return &api.ArtistBiographyRequest{Id: "29", Name: "Nina Simone"}
}

// callEcho sends the bytes of request to an echo.
func (e *environment) callEcho(subject string) (call, error) {
	body, err := request().MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode the request: %w", err)
	}
	return func(_ context.Context, n int) error {
		if _, err := e.callers[n%len(e.callers)].Request(subject, body, replyTimeout); err != nil {
			return fmt.Errorf("call the echo: %w", err)
		}
		return nil
	}, nil
}

// callPlugin calls a plugin as a program does that imports package client. Any
// failure that a reply tells is an error.
func (e *environment) callPlugin(id string) call {
	return func(ctx context.Context, n int) error {
		agent := e.clients[n%len(e.clients)].MetadataAgent(id)
		if _, err := agent.GetArtistBiography(ctx, request()); err != nil {
			return fmt.Errorf("call %s: %w", id, err)
		}
		return nil
	}
}
