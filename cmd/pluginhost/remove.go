package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// tellTimeout bounds how long replicas are waited for that share the folder.
const tellTimeout = 30 * time.Second

func newPluginRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Take a plugin out of the plugins folder",
		Long: `Take a plugin out of the plugins folder of this machine.

Running replicas that have it from this folder unload it and finish its calls. Of a
symlink only the link goes. Its schedules go once no running replica has the plugin
any more. What the plugin has cached stays until its time is over, in case the plugin
comes back; --purge drops cache and schedules at once, for all replicas.`,
		Example: `  pluginhost plugin remove wikipedia
  pluginhost plugin remove wikipedia --purge`,
		Args: usageArgs(cobra.ExactArgs(1)),
		RunE: pluginRemove,
	}
	addClientFlags(cmd.Flags())
	addFolderFlags(cmd.Flags())
	cmd.Flags().Bool("purge", false, "drop what the plugin has cached and scheduled, too; also of a plugin that is gone already")
	return cmd
}

// removeDocument is what --json prints.
type removeDocument struct {
	V       int    `json:"v"`
	ID      string `json:"id"`
	Removed bool   `json:"removed"` // it was in the folder
	Symlink bool   `json:"symlink,omitempty"`
	Purged  bool   `json:"purged,omitempty"`
	// Replicas are the running ones that were told; Unreachable is why none could
	// be.
	Replicas    []subjects.Refreshed `json:"replicas"`
	Unreachable string               `json:"unreachable,omitempty"`
}

func pluginRemove(cmd *cobra.Command, args []string) error {
	config, err := loadClientConfig(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return err
	}
	purge, _ := cmd.Flags().GetBool("purge")
	done := removeDocument{V: subjects.Version, ID: args[0], Replicas: []subjects.Refreshed{}}
	done.Symlink, err = plugin.Remove(config.PluginsFolder, done.ID)
	left := errors.Is(err, plugin.ErrLeftBehind)
	done.Removed = err == nil || left
	if !done.Removed && (!purge || !errors.Is(err, plugin.ErrNotFound)) {
		return err
	}
	told := done.tell(cmd, purge)
	if left {
		told = errors.Join(err, told)
	}
	if told != nil {
		if done.Removed {
			return fmt.Errorf("the plugin is removed, but %w", told)
		}
		return told
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), done.text())
	return err
}

// tell has running replicas look at the folder, and drops the cache. That no
// replica runs is no error; that the cache cannot be dropped is.
func (d *removeDocument) tell(cmd *cobra.Command, purge bool) error {
	caller, conn, _, err := connect(cmd)
	if err != nil {
		d.Unreachable = err.Error()
		if purge {
			return fmt.Errorf("what it has cached stays until its time is over: %w", err)
		}
		return nil
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), tellTimeout)
	defer cancel()
	d.Replicas, err = caller.Refresh(ctx, d.ID)
	switch {
	case err != nil && ctx.Err() != nil:
		d.Replicas, d.Unreachable = []subjects.Refreshed{}, "they are still finishing its calls"
	case err != nil:
		d.Replicas, d.Unreachable = []subjects.Refreshed{}, err.Error()
	}
	if !purge {
		return cmd.Context().Err()
	}
	if _, err := caller.CancelSchedules(cmd.Context(), d.ID); err != nil {
		return err
	}
	if err := caller.PurgeCache(cmd.Context(), d.ID); err != nil {
		return fmt.Errorf("its cache is not dropped, run it again with --purge: %w", err)
	}
	d.Purged = true
	return nil
}

func (d *removeDocument) text() string {
	text := fmt.Sprintf("Plugin '%s' removed successfully\n", d.ID)
	switch {
	case !d.Removed:
		text = fmt.Sprintf("Plugin '%s' is not in the plugins folder\n", d.ID)
	case d.Symlink:
		text = fmt.Sprintf("Development plugin symlink '%s' removed successfully (target directory preserved)\n", d.ID)
	}
	if d.Purged {
		text += "What it had cached is dropped\n"
	}
	if d.Unreachable != "" {
		return text + "No replica has confirmed it: " + d.Unreachable + "\n"
	}
	for _, r := range d.Replicas {
		if r.Plugin != nil {
			text += fmt.Sprintf("%s still has it, from a folder of its own\n", r.Replica)
		}
	}
	return text
}
