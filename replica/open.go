package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/gofrs/flock"

	"github.com/pluginhost/pluginhost/bus"
	"github.com/pluginhost/pluginhost/bus/cluster"
	"github.com/pluginhost/pluginhost/bus/schedule"
	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/hostsvc/scheduler"
	"github.com/pluginhost/pluginhost/subjects"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// prepareFolders makes the folders and locks the data.
func (r *Replica) prepareFolders(_ context.Context, settings *config.Config) error {
	if _, err := os.Stat(settings.Plugins.Folder); errors.Is(err, fs.ErrNotExist) {
		r.log.Warn("the plugins folder was not there and is made: look whether it is the one that is meant", "folder", settings.Plugins.Folder)
	}
	for _, dir := range []string{settings.Data, settings.Plugins.Folder} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("make folder: %w", err)
		}
	}
	lock := flock.New(filepath.Join(settings.Data, "lock"))
	locked, err := lock.TryLock()
	if err != nil {
		return fmt.Errorf("lock %s: %w", lock.Path(), err)
	}
	if !locked {
		return fmt.Errorf("%w (%s)", ErrDataInUse, settings.Data)
	}
	r.lock = lock
	return nil
}

// makeRoom has compiled code give way on a disk that is about to be full: it is made again
// when it is needed.
func (r *Replica) makeRoom(bytes int64) {
	if freed, err := r.runtime.MakeRoom(bytes); err != nil {
		r.log.Warn("compiled code could not make room on the disk", "error", err)
	} else if freed > 0 {
		r.log.Warn("the disk of the data folder is almost full: compiled code made room", "bytes", freed)
	}
}

func (r *Replica) busConfig(settings *config.Config) bus.Config {
	n := settings.NATS
	return bus.Config{
		URL:      n.URL,
		Creds:    n.Creds,
		TLS:      bus.TLS{CA: n.TLS.CA, Cert: n.TLS.Cert, Key: n.TLS.Key},
		Embedded: bus.Embedded{Listen: n.Listen, Token: n.Token, StoreDir: filepath.Join(settings.Data, "nats")},
		Replicas: n.Replicas,
		Memory:   n.Storage == config.StorageMemory,
		MakeRoom: r.makeRoom,
		Doors:    hasDoors(settings),
		Name:     r.id,
		Logger:   r.log,
	}
}

// runtimeConfig is how plugins are compiled and run.
func (r *Replica) runtimeConfig(settings *config.Config) wasmrt.Config {
	return wasmrt.Config{
		CacheDir:  filepath.Join(settings.Data, "compiled"),
		CacheSize: settings.Plugins.CacheSize,
		// TrimCache follows in loadAll.
		KeepUntilTrimmed: true,
		CompileTimeout:   settings.Runtime.CompileTimeout,
		CompileMemory:    settings.Runtime.CompileMemory,
		CompileWorkers:   settings.Runtime.CompileWorkers,
		Compiler:         r.compiler,
		HostMemory:       settings.Runtime.HostMemory,
		Logger:           r.log,
	}
}

// startPlanner opens the schedules of all plugins, and plans them while this replica leads.
func (r *Replica) startPlanner(ctx context.Context, _ *config.Config) (err error) {
	r.planner, err = schedule.StartPlanner(ctx, r.bus.Jet(), schedule.PlannerConfig{
		Election: r.leadership.election,
		Timetable: func(expression, zone string) (schedule.Timetable, error) {
			return scheduler.ParseTimetable(expression, zone)
		},
		IsServed:  r.isServed,
		IsLeaving: func(id, run string) bool { return r.inits.IsLeaving(id, run, cluster.Lease) },
		IsAlive:   r.heartbeat.Alive,
		Recovered: func(event subjects.FiresEvent) {
			event.Replica = r.id
			r.publish(subjects.EventFiresRecovered, event.ID, event)
		},
	})
	if err == nil {
		r.schedules = r.planner.Schedules()
	}
	return err
}

// stopHeartbeat takes back that this replica is there.
func (r *Replica) stopHeartbeat(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, r.bus.Jet().LeavePatience())
	defer cancel()
	if err := r.heartbeat.Stop(ctx); err != nil {
		r.log.Warn("others will see this replica gone only after a lease", "error", err)
	}
	return nil
}
