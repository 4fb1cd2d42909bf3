package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/tetratelabs/wazero"

	"github.com/pluginhost/pluginhost/bridges/assemblyscript"
	bridge060 "github.com/pluginhost/pluginhost/bridges/bridge-060"
	"github.com/pluginhost/pluginhost/bridges/extismhost"
)

// guestEmpty is a plugin for Extism that does nothing.
const guestEmpty = "github.com/pluginhost/pluginhost/bench/empty"

// What bridge-060 is called for.
const (
	exportAuthorized = "nd_scrobbler_is_authorized"
	exportScrobble   = "nd_scrobbler_scrobble"
	scrobbled        = `{"username":"joe","track":{"id":"1","title":"Sinnerman","album":"Pastel Blues","artists":[{"id":"2","name":"Nina Simone"}],` +
		`"albumArtists":[{"id":"2","name":"Nina Simone"}],"duration":622.1,"trackNumber":9,"discNumber":1},"timestamp":1700000000}`
)

// bridgeSection measures the bridge for Navidrome from 0.60 on, which calls it with an instance per call.
func bridgeSection() section {
	return section{
		name: "bridge-060", title: "The bridge for Navidrome from 0.60 on, with an instance for every call", baseline: "an empty guest's",
		shows: []quantity{p50, p99, perSecond, p50Ratio, cpu},
		run:   measureBridge,
	}
}

func measureBridge(ctx context.Context, b *bench) (_ []*row, err error) {
	if err := assemblyscript.Missing(); err != nil {
		_, err = fmt.Fprintln(os.Stderr, "bridge-060 is not measured:", err)
		return nil, err
	}
	server := httptest.NewServer(http.HandlerFunc(takePlay))
	defer server.Close()
	h := &bridgeHost{config: map[string]string{"url": server.URL, "token": "ph_bench"}, cache: wazero.NewCompilationCache()}
	defer func() { err = errors.Join(err, h.close(context.WithoutCancel(ctx))) }()
	bridges := filepath.Join("..", "bridges", "bridge-060")
	packed, err := b.buildBridge(ctx, bridges)
	if err != nil {
		return nil, err
	}
	bridge, err := h.load(ctx, packed)
	if err != nil {
		return nil, err
	}
	inGo, err := b.guest(ctx, guestEmpty)
	if err != nil {
		return nil, err
	}
	inAssemblyScript, err := b.buildEmpty(ctx, bridges)
	if err != nil {
		return nil, err
	}
	empty := &row{name: "an empty guest in AssemblyScript", callers: 1}
	rows := []*row{
		empty,
		{name: "an empty guest in Go", callers: 1, against: empty},
		{name: "bridge-060 is asked whether it is authorised", callers: 1, against: empty},
		{name: "bridge-060 hands over a play", callers: 1, against: empty},
	}
	for i, wasm := range [][]byte{inAssemblyScript, inGo} {
		plugin, err := h.load(ctx, extismhost.Package{Manifest: packed.Manifest, Wasm: wasm})
		if err != nil {
			return nil, err
		}
		rows[i].take = calls(1, compare(answerBridge(plugin, exportAuthorized), []byte(`{"username":"joe"}`), []byte("true")))
	}
	rows[2].take = calls(1, compare(answerBridge(bridge, exportAuthorized), []byte(`{"username":"joe"}`), []byte("true")))
	rows[3].take = calls(1, compare(answerBridge(bridge, exportScrobble), []byte(scrobbled), nil))
	return rows, b.measure(ctx, rows, 15, 150*time.Millisecond)
}

// takePlay answers as a gateway does, but keeps nothing.
func takePlay(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"v":1}`)
}

// buildBridge builds the bridge as make does.
func (b *bench) buildBridge(ctx context.Context, folder string) (extismhost.Package, error) {
	work := filepath.Join(b.dir, "bridge-060")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return extismhost.Package{}, fmt.Errorf("folder of the bridge: %w", err)
	}
	project, err := assemblyscript.Install(ctx, folder, filepath.Join(folder, "assembly"), work)
	if err != nil {
		return extismhost.Package{}, err
	}
	if err := project.Run(ctx, "build"); err != nil {
		return extismhost.Package{}, err
	}
	return bridge060.All.Package(work)
}

// buildEmpty compiles the empty guest in AssemblyScript with the compiler that is in the folder of the bridge.
func (b *bench) buildEmpty(ctx context.Context, folder string) ([]byte, error) {
	work := filepath.Join(b.dir, "empty")
	if err := os.MkdirAll(work, 0o700); err != nil {
		return nil, fmt.Errorf("folder of the empty guest: %w", err)
	}
	project, err := assemblyscript.Install(ctx, folder, filepath.Join("empty", "assembly"), work)
	if err != nil {
		return nil, err
	}
	modules, err := project.Compile(ctx, map[string][]string{"empty": {"--optimize", "--runtime", "stub"}})
	return modules["empty"], err
}

// bridgeHost loads plugins as a Navidrome does.
type bridgeHost struct {
	config  map[string]string
	cache   wazero.CompilationCache
	plugins []*extismhost.Plugin
}

func (h *bridgeHost) load(ctx context.Context, packed extismhost.Package) (*extismhost.Plugin, error) {
	plugin, err := extismhost.Load(ctx, packed, extismhost.Options{Config: h.config, Cache: h.cache})
	if err == nil {
		h.plugins = append(h.plugins, plugin)
	}
	return plugin, err
}

func (h *bridgeHost) close(ctx context.Context) error {
	var errs []error
	for _, plugin := range h.plugins {
		errs = append(errs, plugin.Close(ctx))
	}
	return errors.Join(append(errs, h.cache.Close(ctx))...)
}

// answerBridge makes a call with an instance of its own.
func answerBridge(plugin *extismhost.Plugin, export string) answerer {
	return func(ctx context.Context, request []byte) ([]byte, error) {
		return plugin.OutputOf(ctx, export, request)
	}
}
