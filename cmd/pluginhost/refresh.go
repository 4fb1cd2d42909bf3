package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pluginhost/pluginhost/subjects"
)

// maxRefreshing bounds how many plugins are refreshed at the same time.
const maxRefreshing = 4

func newPluginRefreshCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "refresh ID... | --all",
		Short: "Load plugins anew on all replicas",
		Long: `Load plugins anew on all replicas, from the plugins folder of each.

A plugin that cannot be loaded goes on as it was, and one whose folder is gone is
unloaded. Exits with 1 if a replica could not load a plugin, or did not say so.`,
		Example: `  pluginhost plugin refresh Wikipedia
  pluginhost plugin refresh --all`,
		Args:              usageArgs(cobra.ArbitraryArgs),
		ValidArgsFunction: completePlugins,
		RunE:              pluginRefresh,
	}
	addClientFlags(cmd.Flags())
	cmd.Flags().Bool("all", false, "every plugin that a replica has")
	cmd.Flags().Duration("wait", 5*time.Minute, "how long to wait for the replicas")
	return cmd
}

// refreshDocument is what --json prints.
type refreshDocument struct {
	V       int               `json:"v"`
	Plugins []refreshedPlugin `json:"plugins"`
}

// refreshedPlugin is what came of the refresh of one plugin.
type refreshedPlugin struct {
	ID       string               `json:"id"`
	Replicas []subjects.Refreshed `json:"replicas"`
	// Silent are the replicas that did not answer.
	Silent []string `json:"silent,omitempty"`
}

func pluginRefresh(cmd *cobra.Command, ids []string) error {
	all, _ := cmd.Flags().GetBool("all")
	wait, _ := cmd.Flags().GetDuration("wait")
	switch {
	case all && len(ids) > 0:
		return usageError{errors.New("give ids of plugins or --all, not both")}
	case !all && len(ids) == 0:
		return usageError{errors.New("which plugins? Give their ids, or --all")}
	}
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	replicas, err := caller.Status(cmd.Context())
	if err != nil {
		return err
	}
	if all {
		ids = idsOf(replicas)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	ctx, cancel := context.WithTimeout(cmd.Context(), wait)
	defer cancel()
	plugins, err := refreshAll(ctx, caller.Refresh, replicas, ids)
	if err != nil {
		return err
	}
	if config.JSON {
		err = printJSON(cmd.OutOrStdout(), refreshDocument{V: subjects.Version, Plugins: plugins})
	} else {
		err = printRefreshed(cmd.OutOrStdout(), plugins)
	}
	if err != nil {
		return err
	}
	var failures []error
	for _, p := range plugins {
		failures = append(failures, p.failure(wait))
	}
	return errors.Join(failures...)
}

// idsOf are the plugins that at least one of the replicas has.
func idsOf(replicas []subjects.Status) []string {
	var ids []string
	for _, r := range replicas {
		for _, p := range r.Plugins {
			ids = append(ids, p.ID)
		}
	}
	return ids
}

// asking is what all replicas are asked of a plugin: [client.Client.Refresh] or Forget.
type asking func(ctx context.Context, id string) ([]subjects.Refreshed, error)

// refreshAll asks all replicas about plugins, in the order of ids.
func refreshAll(ctx context.Context, ask asking, replicas []subjects.Status, ids []string) ([]refreshedPlugin, error) {
	plugins := make([]refreshedPlugin, len(ids))
	var group errgroup.Group
	group.SetLimit(maxRefreshing)
	for i, id := range ids {
		group.Go(func() error {
			answers, err := ask(ctx, id)
			if err != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return err
			}
			plugins[i] = refreshedPlugin{ID: id, Replicas: answers}
			for _, r := range replicas {
				if !slices.ContainsFunc(answers, func(a subjects.Refreshed) bool { return a.Replica == r.Replica }) {
					plugins[i].Silent = append(plugins[i].Silent, r.Replica)
				}
			}
			return nil
		})
	}
	return plugins, group.Wait()
}

func printRefreshed(out io.Writer, plugins []refreshedPlugin) error {
	table := newTable(out, "REPLICA", "PLUGIN", "OUTCOME", "GENERATION")
	for _, p := range plugins {
		for _, r := range p.Replicas {
			generation := ""
			if r.Plugin != nil {
				generation = r.Plugin.Generation
			}
			table.row(r.Replica, p.ID, string(r.Outcome), dash(generation))
		}
		for _, silent := range p.Silent {
			table.row(silent, p.ID, "no answer", "-")
		}
	}
	if err := table.flush(); err != nil {
		return err
	}
	for _, p := range plugins {
		for _, r := range p.Replicas {
			if r.Error == "" {
				continue
			}
			why := r.Error
			if r.Plugin != nil {
				why = reason(*r.Plugin, r.Error)
			}
			if _, err := fmt.Fprintf(out, "\n%s on %s: %s\n", p.ID, r.Replica, why); err != nil {
				return err
			}
		}
	}
	return nil
}

// failure says on how many replicas the plugin could not be loaded, or nothing.
func (p refreshedPlugin) failure(wait time.Duration) error {
	counts := map[subjects.Outcome]int{}
	for _, r := range p.Replicas {
		counts[r.Outcome]++
	}
	asked := len(p.Replicas) + len(p.Silent)
	var parts []string
	if n := counts[subjects.OutcomeFailed]; n > 0 {
		parts = append(parts, fmt.Sprintf("failed to load on %d of %d replicas", n, asked))
	}
	if n := len(p.Silent); n > 0 {
		parts = append(parts, fmt.Sprintf("%d of %d replicas did not answer within %v: they may have ended, or be loading it yet", n, asked, wait))
	}
	switch {
	case len(parts) > 0:
		return fmt.Errorf("plugin %s: %s", p.ID, strings.Join(parts, "; "))
	case counts[subjects.OutcomeUnknown] == asked:
		return unknownPlugin(p.ID)
	default:
		return nil
	}
}

// unknownPlugin says what to do about an id that means nothing to any replica.
func unknownPlugin(id string) error {
	return fmt.Errorf("plugin %s is on no replica: put it into the plugins folder, or check the name with pluginhost plugin list", id)
}
