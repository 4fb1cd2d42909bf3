package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// tellTimeout bounds how long replicas are waited for that share the folder.
const tellTimeout = 30 * time.Second

// told is what the running replicas said to a change of the plugins folder.
type told struct {
	Replicas []subjects.Refreshed `json:"replicas"`
	// Silent are those that have not answered in time.
	Silent []string `json:"silent,omitempty"`
	// Unreachable is why none could be told.
	Unreachable string `json:"unreachable,omitempty"`
}

// tell has running replicas look at a plugin in the folder; unreachable is why there is no
// caller. That none runs is no error.
func tell(ctx context.Context, caller *client.Client, unreachable error, id string) told {
	return tellBy(ctx, caller, unreachable, id, caller.Refresh)
}

// tellBy is tell with another request than to refresh the plugin.
func tellBy(ctx context.Context, caller *client.Client, unreachable error, id string, ask asking) told {
	t := told{Replicas: []subjects.Refreshed{}}
	if unreachable != nil {
		t.Unreachable = unreachable.Error()
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	replicas, err := caller.Status(ctx)
	var plugins []refreshedPlugin
	if err == nil {
		plugins, err = refreshAll(ctx, ask, replicas, []string{id})
	}
	if err != nil {
		t.Unreachable = orRefusal(ctx, err).Error()
		return t
	}
	t.Replicas = append(t.Replicas, plugins[0].Replicas...)
	t.Silent = plugins[0].Silent
	return t
}

// printLoaded says what became of a plugin that is in the folder now, or installed for the
// cluster where that is empty.
func (t told) printLoaded(out io.Writer, id, folder string) error {
	if t.Unreachable != "" {
		_, err := fmt.Fprintf(out, "No host was told: %s\n", t.Unreachable)
		return err
	}
	for _, r := range t.Replicas {
		text := string(r.Outcome)
		switch r.Outcome {
		case subjects.OutcomeLoaded:
			text = "loaded"
			if r.Plugin != nil {
				text += ", generation " + r.Plugin.Generation
				if folder != "" && runsOther(filepath.Join(folder, id), r.Plugin) {
					text = otherFolder(folder)
				}
				if folder == "" && r.Plugin.Source != subjects.SourcePackage {
					text += ", from its plugins folder, which has one of this id"
				}
			}
		case subjects.OutcomeUnknown, subjects.OutcomeUnloaded:
			text = "does not have it"
			if folder != "" {
				text = otherFolder(folder)
			}
		case subjects.OutcomeKept: // no answer to a refresh
		case subjects.OutcomeFailed:
			text = "failed: " + r.Error
		}
		if _, err := fmt.Fprintf(out, "%s on %s: %s\n", id, r.Replica, printable(text)); err != nil {
			return err
		}
	}
	for _, silent := range t.Silent {
		if _, err := fmt.Fprintf(out, "%s on %s: no answer within %v: it may be loading it yet, see pluginhost plugin info\n", id, silent, tellTimeout); err != nil {
			return err
		}
	}
	return nil
}

// runsOther says whether what a replica runs is not the plugin in a folder.
func runsOther(dir string, is *subjects.PluginStatus) bool {
	if is == nil {
		return false
	}
	here, err := plugin.FolderDigest(dir)
	return err == nil && is.Files != "" && is.Files != here
}

// otherFolder says what to do about a replica that has not loaded what is in a folder.
func otherFolder(folder string) string {
	return "NOT loaded: its plugins folder is another than " + folder + ", give this command that one with --plugins"
}

// errNotLoaded says that a plugin is where it should be, and does not serve as it should.
var errNotLoaded = errors.New("NOT loaded")

// failure is that replicas could not load the plugin, have not said that they have, or that none
// has it in its folder. One of several replicas with a folder of its own is none.
func (t told) failure(id, folder string) error {
	var errs []error
	loaded, others := 0, 0
	for _, r := range t.Replicas {
		switch {
		case r.Outcome == subjects.OutcomeFailed:
			errs = append(errs, fmt.Errorf("%w: plugin %s is installed, but %s could not load it: %s", errNotLoaded, id, r.Replica, printable(r.Error)))
		case r.Outcome == subjects.OutcomeLoaded && (folder == "" || !runsOther(filepath.Join(folder, id), r.Plugin)):
			loaded++
		default:
			others++
		}
	}
	for _, silent := range t.Silent {
		errs = append(errs, fmt.Errorf("%w so far: plugin %s is installed, but %s has not said within %v that it has loaded it", errNotLoaded, id, silent, tellTimeout))
	}
	switch {
	case loaded > 0 || others == 0 || len(errs) > 0:
	case folder == "":
		errs = append(errs, fmt.Errorf("%w: plugin %s is installed for the cluster, but none of %d replicas has it", errNotLoaded, id, others))
	default:
		errs = append(errs, fmt.Errorf("%w: plugin %s is in %s, which is the plugins folder of none of %d replicas; give this command theirs with --plugins", errNotLoaded, id, folder, others))
	}
	return errors.Join(errs...)
}
