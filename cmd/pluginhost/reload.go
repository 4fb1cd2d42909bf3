package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/replica"
)

// reloads applies changes of the configuration to a running replica.
type reloads struct {
	replica *replica.Replica
	source  *config.Source
	log     *slog.Logger
	watcher *watch.Watcher
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// startReloads applies the configuration when its file changes, and at each
// hangup, which has the plugins folder looked at as well. The caller stops it.
func startReloads(ctx context.Context, r *replica.Replica, source *config.Source, hangups <-chan os.Signal, log *slog.Logger) *reloads {
	l := &reloads{replica: r, source: source, log: log, watcher: watch.Start(source, watch.Pace{}, log)}
	ctx, l.cancel = context.WithCancel(ctx)
	l.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-source.Changes():
				l.apply(ctx)
			case <-hangups:
				l.log.Info("told to look at the configuration and the plugins")
				l.apply(ctx)
				if err := l.replica.Rescan(ctx); err != nil && ctx.Err() == nil {
					l.log.Error("not all that has changed is loaded", "error", err)
				}
			}
		}
	})
	return l
}

func (l *reloads) stop() {
	l.watcher.Stop()
	l.cancel()
	l.done.Wait()
}

// apply loads the configuration and applies it. One with faults changes nothing.
func (l *reloads) apply(ctx context.Context) {
	settings, err := l.source.Load()
	if err == nil {
		_, err = l.replica.Reconfigure(ctx, settings)
	}
	var (
		bad     *config.LoadError
		refused *config.InvalidError
	)
	var faults []string
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		l.replica.ConfigRefused()
		return
	case errors.As(err, &bad):
		for _, fault := range bad.Faults {
			faults = append(faults, fault.Error())
			l.log.Error("fault in the configuration", "at", fault.At, "fault", fault.Text)
		}
	case errors.As(err, &refused):
		for _, fault := range refused.Faults {
			faults = append(faults, fault.Error())
			l.log.Error("fault in the configuration as long as the replica is not restarted", "at", fault.Key, "fault", fault.Text)
		}
	default:
		faults = []string{err.Error()}
	}
	l.replica.ConfigRefused(faults...)
	l.log.Error("the configuration is not applied: the one before stays", "file", l.source.File(), "error", err)
}
