package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginRemoveCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a plugin",
		Long: `Remove a plugin from the plugins folder of this machine or, with --cluster, one that was
installed for the cluster.

Running replicas that have it from there unload it and finish its calls. Of a
symlink only the link goes. Its schedules go once no running replica has the plugin
any more. What the plugin has cached stays until its time is over, in case the plugin
comes back; --purge drops cache and schedules at once, for all replicas.

A plugin that was the last in its folder, and was deleted by other means, goes on, as
if a volume were not mounted: --purge ends it, too.`,
		Example: `  pluginhost plugin remove Wikipedia
  pluginhost plugin remove Wikipedia --purge
  pluginhost plugin remove Wikipedia --cluster`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completePlugin(nil),
		RunE:              pluginRemove,
	}
	addClientFlags(cmd.Flags())
	addFolderFlags(cmd.Flags())
	addClusterFlag(cmd)
	cmd.Flags().Bool("purge", false, "drop what the plugin has cached and scheduled, too; also of a plugin that is gone already")
	return cmd
}

// removeDocument is what --json prints.
type removeDocument struct {
	V       int    `json:"v"`
	ID      string `json:"id"`
	Removed bool   `json:"removed"` // it was there
	Cluster bool   `json:"cluster,omitempty"`
	Symlink bool   `json:"symlink,omitempty"`
	Purged  bool   `json:"purged,omitempty"`
	told
}

func pluginRemove(cmd *cobra.Command, args []string) error {
	config, err := loadClientConfig(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return err
	}
	purge, _ := cmd.Flags().GetBool("purge")
	done := removeDocument{V: subjects.Version, ID: args[0]}
	done.Cluster, _ = cmd.Flags().GetBool("cluster")
	from, err := openPlace(cmd, config)
	if err != nil {
		return err
	}
	defer from.close()
	if err := from.exists(config); err != nil && !purge {
		return err
	}
	done.Symlink, err = from.remove(cmd.Context(), done.ID)
	left := errors.Is(err, plugin.ErrLeftBehind)
	done.Removed = err == nil || left
	if gone := errors.Is(err, plugin.ErrNotFound) || errors.Is(err, subjects.ErrNotInstalled); !done.Removed && (!purge || !gone) {
		if gone {
			err = fmt.Errorf("%w; --purge ends what replicas go on with, and drops what it has left", err)
		}
		return err
	}
	caller, conn, _, unreachable := connect(cmd)
	if unreachable == nil {
		defer conn.Close()
	}
	var failed error
	if !purge {
		done.told = tell(cmd.Context(), caller, unreachable, done.ID)
	} else {
		done.told = tellBy(cmd.Context(), caller, unreachable, done.ID, caller.Forget)
		failed = done.purge(cmd.Context(), caller, unreachable)
	}
	if left {
		failed = errors.Join(err, failed)
	}
	switch {
	case failed != nil && done.Removed:
		return fmt.Errorf("the plugin is removed, but %w", failed)
	case failed != nil:
		return failed
	case cmd.Context().Err() != nil:
		return cmd.Context().Err()
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), done.text())
	return err
}

// purge drops what the plugin leaves behind; unreachable is why there is no caller.
func (d *removeDocument) purge(ctx context.Context, caller *client.Client, unreachable error) error {
	if unreachable != nil {
		return fmt.Errorf("what it has cached stays until its time is over: %w", unreachable)
	}
	if _, err := caller.CancelSchedules(ctx, d.ID); err != nil {
		return err
	}
	if err := caller.PurgeCache(ctx, d.ID); err != nil {
		return fmt.Errorf("its cache is not dropped, run it again with --purge: %w", err)
	}
	d.Purged = true
	return nil
}

func (d *removeDocument) text() string {
	text := fmt.Sprintf("Plugin '%s' removed successfully\n", d.ID)
	switch {
	case !d.Removed && d.Cluster:
		text = fmt.Sprintf("Plugin '%s' is not installed for the cluster\n", d.ID)
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
	for _, silent := range d.Silent {
		text += fmt.Sprintf("%s has not confirmed it: it may be finishing its calls\n", silent)
	}
	for _, r := range d.Replicas {
		switch {
		case r.Plugin == nil:
		case r.Plugin.Source == subjects.SourcePackage:
			text += fmt.Sprintf("%s has the one that is installed for the cluster; --cluster removes that\n", r.Replica)
		default:
			text += fmt.Sprintf("%s still has it, from a folder of its own\n", r.Replica)
		}
	}
	return text
}
