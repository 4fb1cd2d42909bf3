package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
)

// pluginStateful is the plugin that is called back.
const pluginStateful = "stateful"

// openStateful starts a NATS server and a replica with the plugin that is called
// back, and these settings of the plugin. The caller closes it.
func (b *bench) openStateful(ctx context.Context, name string, settings map[string]string, log slog.Handler) (_ *environment, err error) {
	wasm, err := b.guest(ctx, guestStateful)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, name)
	e := &environment{}
	defer func() {
		if err != nil {
			_ = e.close(context.WithoutCancel(ctx))
		}
	}()
	if err := e.startServer(filepath.Join(dir, "nats")); err != nil {
		return nil, err
	}
	host := config.Default()
	host.Name = "bench"
	host.Data, host.Plugins.Folder = filepath.Join(dir, "data"), filepath.Join(dir, "plugins")
	host.NATS.URL = e.server.ClientURL()
	host.HTTP.Listen = ""
	host.PluginConfig = map[string]map[string]string{pluginStateful: settings}
	if err := addStateful(filepath.Join(host.Plugins.Folder, pluginStateful), wasm); err != nil {
		return nil, err
	}
	if e.replica, err = replica.Start(ctx, host, slog.New(log)); err != nil {
		return nil, fmt.Errorf("start the replica: %w", err)
	}
	return e, nil
}

func addStateful(dir string, wasm []byte) error {
	reason := map[string]any{"reason": "bench"}
	manifest, err := json.Marshal(map[string]any{
		"name": pluginStateful, "author": "pluginhost", "version": "1.0.0", "description": "Is called back.",
		"website": "https://example.com", "capabilities": []string{"LifecycleManagement", "SchedulerCallback", "WebSocketCallback"},
		"permissions": map[string]any{
			"scheduler": reason,
			"websocket": map[string]any{"reason": "bench", "allowedUrls": []string{"ws://127.0.0.1:*"}, "allowLocalNetwork": true},
		},
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, content := range map[string][]byte{"manifest.json": manifest, "plugin.wasm": wasm} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}
