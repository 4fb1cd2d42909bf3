package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/internal/inspect"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginInfoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info ID | FILE" + plugin.PackageExt,
		Short: "Show a plugin or a package",
		Long: `Show a plugin: what the plugins folder of this machine has, and how it is on all replicas;
or a package that is not installed.`,
		Example: `  pluginhost plugin info Wikipedia
  pluginhost plugin info wikipedia.ndp`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completePluginOrPackage,
		RunE:              pluginInfo,
	}
	addClientFlags(cmd.Flags())
	addFolderFlags(cmd.Flags())
	return cmd
}

// infoDocument is what --json prints.
type infoDocument struct {
	V  int    `json:"v"`
	ID string `json:"id"`
	// Local is what the files say, nil where there are none here.
	Local *description `json:"local,omitempty"`
	// Cluster is what its package says that is installed for the cluster, where no file
	// here says anything.
	Cluster  *description          `json:"cluster,omitempty"`
	Replicas []subjects.PluginInfo `json:"replicas"`
	// Unreachable is why no replica was asked.
	Unreachable string `json:"unreachable,omitempty"`
}

func pluginInfo(cmd *cobra.Command, args []string) error {
	config, err := loadClientConfig(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return err
	}
	if filepath.Ext(args[0]) == plugin.PackageExt {
		return packageInfo(cmd, config, args[0])
	}
	document := infoDocument{V: subjects.Version, ID: args[0], Replicas: []subjects.PluginInfo{}}
	entry := plugin.Entry{Err: fmt.Errorf("%w: %w", plugin.ErrNotFound, errNoFolder)}
	if config.PluginsFolder != "" {
		entry = plugin.Load(config.PluginsFolder, args[0])
	}
	if entry.Err == nil || !errors.Is(entry.Err, plugin.ErrNotFound) && !errors.Is(entry.Err, plugin.ErrBadID) {
		document.Local = describeEntry(cmd, entry, filepath.Join(config.PluginsFolder, args[0]))
	}
	best, known, err := document.ask(cmd)
	switch {
	case cmd.Context().Err() != nil:
		return cmd.Context().Err()
	case !known && document.Local == nil && err != nil:
		return errors.Join(entry.Err, err)
	case !known && document.Local == nil:
		return unknownPlugin(args[0])
	case config.JSON:
		return printJSON(cmd.OutOrStdout(), document)
	}
	return document.print(cmd.OutOrStdout(), best, known)
}

// ask has the replicas tell about the plugin.
func (d *infoDocument) ask(cmd *cobra.Command) (best subjects.PluginStatus, known bool, err error) {
	ctx, option := untilRefused(cmd.Context())
	caller, conn, _, err := connect(cmd, option)
	if err != nil {
		d.Unreachable = err.Error()
		return best, false, err
	}
	defer conn.Close()
	infos, err := caller.Info(ctx, d.ID)
	if err != nil {
		err = orRefusal(ctx, err)
		d.Unreachable = err.Error()
		return best, false, err
	}
	d.Replicas = infos
	best, known = bestOf(infos)
	if d.Local == nil && best.Source == subjects.SourcePackage {
		d.Cluster = describeInstalled(ctx, cmd, caller, d.ID)
	}
	return best, known, nil
}

// packagePatience bounds how long a package is fetched only to show more of it.
const packagePatience = 10 * time.Second

// describeInstalled describes the package that the cluster has for a plugin, or nothing
// where it cannot be read, as without the rights of an operator.
func describeInstalled(ctx context.Context, cmd *cobra.Command, caller *client.Client, id string) *description {
	ctx, cancel := context.WithTimeout(ctx, packagePatience)
	defer cancel()
	p, record, err := clusterPackage(ctx, caller, id)
	if err != nil {
		return nil
	}
	d := describe(p.Manifest, p.Warnings, inspect.Plugin(cmd.Context(), p.Manifest, p.Wasm, checkOf(cmd)))
	d.ID, d.Readme = id, readmeLines(p.Readme)
	d.Package = &packageFacts{File: "installed for the cluster", Size: p.Size, Digest: p.Digest, Modified: record.Time}
	return d
}

func (d *infoDocument) print(out io.Writer, best subjects.PluginStatus, known bool) error {
	is := cmp.Or(d.Local, d.Cluster)
	if is == nil {
		is = describeStatus(best)
		for _, info := range d.Replicas {
			if info.Plugin != nil && info.Plugin.Generation == best.Generation && len(info.MayUse) > 0 {
				is.mayUse = info.MayUse
				break
			}
		}
	}
	if err := is.print(out); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	switch {
	case d.Unreachable != "":
		_, err := fmt.Fprintf(out, "No host was asked: %s\n", d.Unreachable)
		return err
	case !known:
		_, err := fmt.Fprintln(out, "No replica has it: their plugins folder is another one")
		return err
	}
	return printReplicas(out, best.ID, d.Replicas)
}

// packageInfo shows a package.
func packageInfo(cmd *cobra.Command, config clientConfig, path string) error {
	p, err := openPackage(cmd, path)
	if err != nil {
		return err
	}
	local := describePackage(p)
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), infoDocument{V: subjects.Version, ID: p.id, Local: local, Replicas: []subjects.PluginInfo{}})
	}
	return local.print(cmd.OutOrStdout())
}

// bestOf is what is told of the plugin as a whole: by a replica that serves it,
// if there is one.
func bestOf(infos []subjects.PluginInfo) (best subjects.PluginStatus, known bool) {
	for _, info := range infos {
		if info.Plugin != nil && (!known || best.State != subjects.StateReady && info.Plugin.State == subjects.StateReady) {
			best, known = *info.Plugin, true
		}
	}
	return best, known
}

// printReplicas shows how the plugin is on each replica.
func printReplicas(out io.Writer, id string, infos []subjects.PluginInfo) error {
	table := newTable(out, "REPLICA", "STATE", "VERSION", "GENERATION", "CALLS", "ERRORS", "RUNNING", "WAITING", "IDLE")
	for _, info := range infos {
		if info.Plugin == nil {
			table.row(info.Replica, "not there", "-", "-", "-", "-", "-", "-", "-")
			continue
		}
		calls := subjects.CallStats{}
		if info.Plugin.Calls != nil {
			calls = *info.Plugin.Calls
		}
		cells := []string{info.Replica, string(info.Plugin.State), dash(info.Plugin.Version), dash(info.Plugin.Generation)}
		for _, n := range []int{calls.Requests, calls.Errors, calls.Running, calls.Waiting, calls.Idle} {
			cells = append(cells, strconv.Itoa(n))
		}
		table.row(cells...)
	}
	if err := table.flush(); err != nil {
		return err
	}
	for _, info := range infos {
		if info.Plugin == nil || info.Plugin.Error == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "\n%s on %s: %s\n", id, info.Replica, reason(*info.Plugin, info.Plugin.Error)); err != nil {
			return err
		}
	}
	return nil
}

// reason is an error of a plugin, with what it means for its callers.
func reason(p subjects.PluginStatus, text string) string {
	if retry := p.InitRetry; retry != nil {
		text = fmt.Sprintf("%s (attempt %d comes at %s)", text, retry.Failures+1, moment(retry.Next))
	}
	if p.State != subjects.StateReady {
		return text
	}
	return fmt.Sprintf("the newest version does not load, generation %s still serves: %s", p.Generation, text)
}

// generations are those that serve the plugin, most often one.
func generations(p client.Listed) string {
	var all []string
	for _, generation := range p.Generations {
		if generation != "" && !slices.Contains(all, generation) {
			all = append(all, generation)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
