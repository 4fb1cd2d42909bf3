package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
)

func newServeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run a replica",
		Long: `Run a replica: load the plugins of a folder and answer for them over NATS.

Without --nats it runs a NATS server of its own. Plugins that change in their
folder are loaded anew by themselves, and so are those for which something
changes in the configuration file. SIGHUP has both looked at. SIGTERM and Ctrl-C
finish the calls that run and leave; a second one ends the process at once.`,
		Example: `  pluginhost serve --plugins ./plugins
  pluginhost serve --nats nats://nats-1:4222,nats://nats-2:4222 --creds host.creds`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd) },
	}
	addServeFlags(cmd.Flags())
	cmd.Flags().Bool("json", false, "write log records as JSON")
	return cmd
}

// heapRoom is how much memory the collector may let the process have besides HostMemory
// before it works harder, in bytes.
const heapRoom = 256 << 20

// limitHeap has the collector keep the heap near what guests may have of it. Left alone it
// lets garbage grow to as much as is in use, and with what is held for guests that could be
// twice HostMemory. Whoever sets GOMEMLIMIT knows better.
func limitHeap(config config.Config) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(config.Runtime.HostMemory + heapRoom)
	}
}

func serve(cmd *cobra.Command) error {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // first of all: it would end the process
	defer signal.Stop(hangups)
	source := config.NewSource(sources(cmd.Flags(), os.LookupEnv))
	settings, err := source.Load()
	if err != nil {
		return err
	}
	var handler slog.Handler = slog.NewTextHandler(cmd.ErrOrStderr(), nil)
	if json, _ := cmd.Flags().GetBool("json"); json {
		handler = slog.NewJSONHandler(cmd.ErrOrStderr(), nil)
	}
	log := slog.New(handler)
	if runtime.GOMAXPROCS(0) == 1 {
		// A guest that computes would keep the connection waiting.
		runtime.GOMAXPROCS(2)
	}
	limitHeap(settings)
	ctx := cmd.Context()
	var options []replica.Option
	if process := compilerOf(ctx); process != nil {
		options = append(options, replica.WithCompiler(process))
	}
	r, err := replica.Start(ctx, settings, log, options...)
	if err != nil {
		if ctx.Err() != nil {
			log.Info("stopped", "reason", "told to stop before everything was loaded")
			return nil
		}
		return fmt.Errorf("serve: %w", err)
	}
	status := r.Status()
	states := make(map[subjects.State]int)
	for _, plugin := range status.Plugins {
		states[plugin.State]++
	}
	log.Info("ready", "nats", r.URL(), "replica", r.ID(), "http", r.HTTPAddress(), "plugins", states[subjects.StateReady],
		"failed", states[subjects.StateFailed], "initialising", states[subjects.StateInitialising])
	reloads := startReloads(ctx, r, source, hangups, log)
	var lost error
	select {
	case <-ctx.Done():
	case <-r.Asked():
	case lost = <-r.Lost():
		log.Error("leaving", "error", lost)
	}
	reloads.stop()
	log.Info("draining", "replica", r.ID())
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.LongestTimeout()+drainMargin)
	defer cancel()
	if err := r.Drain(drain); err != nil {
		return fmt.Errorf("drain: %w", err)
	}
	log.Info("stopped", "replica", r.ID())
	return lost
}

// drainMargin is how much longer than its longest call a replica may take to
// leave.
const drainMargin = 5 * time.Second
