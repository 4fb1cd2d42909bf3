package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/spf13/pflag"

	"github.com/pluginhost/pluginhost/internal/regular"
	"github.com/pluginhost/pluginhost/internal/watch"
	"github.com/pluginhost/pluginhost/replica"
)

// configSource is where the configuration of serve comes from. It implements
// watch.Subject for its file.
type configSource struct {
	flags *pflag.FlagSet
	env   func(string) (string, bool)
	file  string
	// seen is the digest of the file that was loaded last.
	seen atomic.Pointer[string]
	// filled says that there was something in the file that was applied last.
	filled bool
	// settled has a token when the file has changed.
	settled chan struct{}
}

func newConfigSource(flags *pflag.FlagSet, env func(string) (string, bool)) *configSource {
	s := &configSource{flags: flags, env: env, settled: make(chan struct{}, 1)}
	s.file, _ = configFile(flags, env)
	return s
}

// load puts the configuration together anew.
func (s *configSource) load() (replica.Config, error) {
	seen := s.look()
	s.seen.Store(&seen) // before the file is read: what comes later is a change
	l := newConfigLoader(s.flags, s.env)
	l.emptied = s.filled
	config, err := l.serveConfig()
	if err == nil {
		s.filled = seen != "" && seen != blankFile
	}
	return config, err
}

// blankFile is the digest of a file with nothing in it.
const blankFile = "blank"

// look is a digest of what is in the file; empty where there is none.
func (s *configSource) look() string {
	content, err := regular.Read(s.file, maxConfigFile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	if isBlank(content) {
		return blankFile
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Folders implements watch.Subject.
func (s *configSource) Folders() []string {
	folders := []string{filepath.Dir(s.file)}
	if real, err := filepath.EvalSymlinks(s.file); err == nil {
		folders = append(folders, filepath.Dir(real))
	}
	return folders
}

// Changed implements watch.Subject. A file that is gone changes nothing: it may
// be about to be replaced.
func (s *configSource) Changed() map[string]string {
	now := s.look()
	if now == "" || now == *s.seen.Load() {
		return nil
	}
	return map[string]string{s.file: now}
}

// Settled implements watch.Subject.
func (s *configSource) Settled(string) {
	select {
	case s.settled <- struct{}{}:
	default: // it will be loaded
	}
}

// reloads applies changes of the configuration to a running replica.
type reloads struct {
	replica *replica.Replica
	source  *configSource
	log     *slog.Logger
	watcher *watch.Watcher
	cancel  context.CancelFunc
	done    sync.WaitGroup
}

// startReloads applies the configuration when its file changes, and at each
// hangup, which has the plugins folder looked at as well. The caller stops it.
func startReloads(ctx context.Context, r *replica.Replica, source *configSource, hangups <-chan os.Signal, log *slog.Logger) *reloads {
	l := &reloads{replica: r, source: source, log: log, watcher: watch.Start(source, watch.Pace{}, log)}
	ctx, l.cancel = context.WithCancel(ctx)
	l.done.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-source.settled:
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
	config, err := l.source.load()
	if err == nil {
		_, err = l.replica.Reconfigure(ctx, config)
	}
	var (
		bad     *configError
		refused *replica.ConfigError
	)
	var faults []string
	switch {
	case ctx.Err() != nil:
		return
	case err == nil:
		l.replica.ConfigRefused()
		return
	case errors.As(err, &bad):
		for _, fault := range bad.faults {
			faults = append(faults, fault.String())
			l.log.Error("fault in the configuration", "at", fault.where, "fault", fault.text)
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
	l.log.Error("the configuration is not applied: the one before stays", "file", l.source.file, "error", err)
}
