package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/client"
)

// developSection measures how long an author waits for the answer of what was just saved.
func developSection() section {
	return section{
		name: "develop", title: "A new Go plugin, one line of it changed and saved", baseline: "go build",
		shows: []quantity{took, p50Ratio},
		run:   measureDevelop,
	}
}

func measureDevelop(ctx context.Context, b *bench) (_ []*row, err error) {
	a, err := b.openAuthor(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, a.close(context.WithoutCancel(ctx))) }()
	build := &row{name: "go build alone", take: events(a.build)}
	saved := &row{name: "under dev --watch, from the save to the first answer", against: build, take: events(a.answer)}
	rows := []*row{build, saved}
	return rows, b.measure(ctx, rows, 5, 2*time.Second)
}

// author works on a plugin under dev --watch.
type author struct {
	*environment
	conn    *nats.Conn
	agent   api.MetadataAgent
	watch   *exec.Cmd
	watched string // the folder that is watched
	alone   string // the same plugin where nobody watches
	saves   int
}

// openAuthor begins a plugin, and a replica that has it. The caller closes the author.
func (b *bench) openAuthor(ctx context.Context) (_ *author, err error) {
	dir := filepath.Join(b.dir, "develop")
	a := &author{environment: &environment{}, watched: filepath.Join(dir, "watched"), alone: filepath.Join(dir, "alone")}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close(context.WithoutCancel(ctx)))
		}
	}()
	if err := a.startServer(filepath.Join(dir, "nats")); err != nil {
		return nil, err
	}
	host := config.Default()
	host.Name, host.HTTP.Listen = "bench", ""
	host.Data, host.Plugins.Folder = filepath.Join(dir, "data"), filepath.Join(dir, "plugins")
	host.NATS.URL = a.server.ClientURL()
	if err := os.MkdirAll(host.Plugins.Folder, 0o700); err != nil {
		return nil, err
	}
	if a.replica, err = replica.Start(ctx, host, slog.New(slog.DiscardHandler)); err != nil {
		return nil, fmt.Errorf("start the replica: %w", err)
	}
	if a.conn, err = nats.Connect(host.NATS.URL); err != nil {
		return nil, err
	}
	a.agent = client.New(a.conn).MetadataAgent("watched")
	root, err := filepath.Abs("..")
	if err != nil {
		return nil, err
	}
	binary, err := b.program(ctx, "./cmd/pluginhost")
	if err != nil {
		return nil, err
	}
	for _, plugin := range []string{a.watched, a.alone} {
		if out, err := exec.CommandContext(ctx, binary, "plugin", "new", plugin, "--sdk", root).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("begin a plugin: %w\n%s", err, out)
		}
	}
	a.watch = exec.Command(binary, "plugin", "dev", "--watch", a.watched, "--plugins", host.Plugins.Folder, "--nats", host.NATS.URL)
	if err := a.watch.Start(); err != nil {
		a.watch = nil
		return nil, err
	}
	return a, a.await(ctx, "makes music")
}

func (a *author) close(ctx context.Context) error {
	var errs []error
	if a.watch != nil {
		errs = append(errs, a.watch.Process.Signal(os.Interrupt), a.watch.Wait())
	}
	if a.conn != nil {
		a.conn.Close()
	}
	return errors.Join(append(errs, a.environment.close(ctx))...)
}

// save changes what the plugin answers and returns that.
func (a *author) save(dir string) (text string, err error) {
	path := filepath.Join(dir, "agent.go")
	content, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	before := "makes music"
	if at := bytes.Index(content, []byte("made ")); at >= 0 {
		before = string(content[at : at+bytes.IndexByte(content[at:], '.')])
	}
	a.saves++
	text = fmt.Sprintf("made %d albums", a.saves)
	return text, os.WriteFile(path, bytes.Replace(content, []byte(before), []byte(text), 1), 0o600)
}

// answer is from a save to the first call that the new version answers.
func (a *author) answer(ctx context.Context) (time.Duration, error) {
	begun := time.Now()
	text, err := a.save(a.watched)
	if err != nil {
		return 0, err
	}
	err = a.await(ctx, text)
	return time.Since(begun), err
}

// await calls the plugin until its answer has a text.
func (a *author) await(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		answer, err := a.agent.GetArtistBiography(ctx, &api.ArtistBiographyRequest{Name: "Nina Simone"})
		switch {
		case err == nil && strings.Contains(answer.Biography, text):
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("no answer with %q: %w", text, errors.Join(ctx.Err(), err))
		}
	}
}

// build is what the go command takes for the same change.
func (a *author) build(ctx context.Context) (time.Duration, error) {
	if _, err := a.save(a.alone); err != nil {
		return 0, err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-buildmode=c-shared", "-o", "plugin.wasm", ".")
	cmd.Dir, cmd.Env = a.alone, append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	begun := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return time.Since(begun), nil
}
