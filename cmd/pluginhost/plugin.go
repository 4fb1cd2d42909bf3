package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plugin",
		Short: "Write, install and look after plugins",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  help,
	}
	cmd.PersistentFlags().BoolP("yes", "y", false, "answer every question with yes")
	cmd.AddCommand(
		newPluginListCommand(), newPluginInfoCommand(), newPluginInstallCommand(), newPluginUpdateCommand(),
		newPluginRemoveCommand(), newPluginRefreshCommand(), newPluginDevCommand(), newPluginNewCommand(), newPluginBuildCommand(),
	)
	return cmd
}

func newPluginListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the plugins of all replicas",
		Long: `List the plugins of all replicas, and how each replica is with them.

Where no replica runs it lists the plugins folder of this machine.`,
		Example: `  pluginhost plugin list
  pluginhost plugin list --json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: pluginList,
	}
	addClientFlags(cmd.Flags())
	addFolderFlags(cmd.Flags())
	return cmd
}

// pluginListDocument is what --json prints.
type pluginListDocument struct {
	V       int             `json:"v"`
	Plugins []client.Listed `json:"plugins"`
	// Folders say what is wrong with the plugins folder of a replica, by its identity, or, if
	// none was asked, of this machine, by its path.
	Folders map[string]string `json:"folder_faults,omitempty"`
	// Unreachable is why no replica was asked; then the plugins are those of the folder.
	Unreachable string `json:"unreachable,omitempty"`
}

func pluginList(cmd *cobra.Command, _ []string) error {
	config, err := loadClientConfig(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return err
	}
	document, err := hostedPlugins(cmd)
	if err != nil {
		if cmd.Context().Err() != nil {
			return err
		}
		if config.PluginsFolder == "" {
			return errors.Join(err, errNoFolder)
		}
		document.Unreachable = err.Error()
		if err := document.addFolder(config.PluginsFolder); err != nil {
			return err
		}
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), document)
	}
	if document.Unreachable != "" {
		if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "No host was asked: %s\nThis is %s:\n", document.Unreachable, config.PluginsFolder); err != nil {
			return err
		}
	}
	return document.print(cmd.OutOrStdout())
}

// hostedPlugins are the plugins of the running replicas.
func hostedPlugins(cmd *cobra.Command) (pluginListDocument, error) {
	document := pluginListDocument{V: subjects.Version, Folders: map[string]string{}}
	caller, conn, _, err := connectUntilRefused(cmd)
	if err != nil {
		return document, err
	}
	defer conn.Close()
	replicas, err := caller.List(cmd.Context())
	if err != nil {
		return document, err
	}
	for _, r := range replicas {
		if r.FolderFault != "" {
			document.Folders[r.Replica] = r.FolderFault
		}
	}
	document.Plugins = client.Merge(replicas)
	return document, nil
}

// addFolder adds the plugins of a folder, in no state.
func (d *pluginListDocument) addFolder(dir string) error {
	d.Plugins = []client.Listed{}
	entries, err := plugin.Scan(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	strays, err := plugin.Strays(dir)
	if err != nil {
		return err
	}
	if text := plugin.StrayText(dir, strays); text != "" {
		d.Folders[dir] = text
	}
	for _, entry := range entries {
		status := subjects.PluginStatus{ID: entry.ID, Symlink: entry.Symlink}
		if m := entry.Manifest; m != nil {
			status.Name, status.Author, status.Version, status.Description, status.Website = m.Name, m.Author, m.Version, m.Description, m.Website
			status.Capabilities, status.Permissions = m.Capabilities, m.Permissions.Granted()
		} else {
			status.Error = entry.Err.Error()
		}
		d.Plugins = append(d.Plugins, client.Listed{PluginStatus: status})
	}
	return nil
}

func (d pluginListDocument) print(out io.Writer) error {
	plugins := d.Plugins
	table := newTable(out, "ID", "NAME", "AUTHOR", "VERSION", "CAPABILITIES", "DESCRIPTION", "STATE", "GENERATION")
	for _, p := range plugins {
		if p.Name == "" && p.Error != "" {
			table.row(p.ID, "ERROR", "ERROR", "ERROR", "ERROR", p.Error, dash(states(p)), dash(generations(p)))
			continue
		}
		name := p.Name
		if p.Symlink {
			name += " (dev)"
		}
		table.row(p.ID, dash(name), dash(p.Author), dash(p.Version), dash(strings.Join(p.Capabilities, ", ")), dash(p.Description), dash(states(p)), dash(generations(p)))
	}
	if err := table.flush(); err != nil {
		return err
	}
	for _, p := range plugins {
		if p.Name == "" {
			continue // told in the table
		}
		for _, replica := range slices.Sorted(maps.Keys(p.Errors)) {
			status := subjects.PluginStatus{State: p.Replicas[replica], Generation: p.Generations[replica]}
			if _, err := fmt.Fprintf(out, "\n%s on %s: %s\n", p.ID, replica, reason(status, p.Errors[replica])); err != nil {
				return err
			}
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(d.Folders)) {
		if _, err := fmt.Fprintf(out, "\n%s: %s\n", folder, printable(d.Folders[folder])); err != nil {
			return err
		}
	}
	return nil
}

// states counts the replicas in each state, such as "ready 2, failed 1".
func states(p client.Listed) string {
	counts := map[subjects.State]int{}
	for _, state := range p.Replicas {
		counts[state]++
	}
	var parts []string
	for _, state := range []subjects.State{subjects.StateReady, subjects.StateInitialising, subjects.StateFailed} {
		if n := counts[state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", state, n))
		}
	}
	return strings.Join(parts, ", ")
}
