package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginInfoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "info ID",
		Short: "Show one plugin on all replicas",
		Args:  usageArgs(cobra.ExactArgs(1)),
		RunE:  pluginInfo,
	}
	addClientFlags(cmd.Flags())
	return cmd
}

// infoDocument is what --json prints.
type infoDocument struct {
	V        int                   `json:"v"`
	ID       string                `json:"id"`
	Replicas []subjects.PluginInfo `json:"replicas"`
}

func pluginInfo(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connect(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	infos, err := caller.Info(cmd.Context(), args[0])
	if err != nil {
		return err
	}
	plugin, known := bestOf(infos)
	if !known {
		return unknownPlugin(args[0])
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), infoDocument{V: subjects.Version, ID: args[0], Replicas: infos})
	}
	return printInfo(cmd.OutOrStdout(), plugin, infos)
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

func printInfo(out io.Writer, p subjects.PluginStatus, infos []subjects.PluginInfo) error {
	facts := newTable(out, "ID", p.ID)
	list := func(texts []string) string { return dash(strings.Join(texts, ", ")) }
	for _, fact := range [][2]string{
		{"NAME", dash(p.Name)},
		{"AUTHOR", dash(p.Author)},
		{"VERSION", dash(p.Version)},
		{"DESCRIPTION", dash(p.Description)},
		{"WEBSITE", dash(p.Website)},
		{"CAPABILITIES", list(p.Capabilities)},
		{"PERMISSIONS", list(p.Permissions)},
		{"ISOLATION", isolation(p)},
	} {
		facts.row(fact[0], fact[1])
	}
	for _, warning := range p.Warnings {
		facts.row("WARNING", warning)
	}
	facts.gap()
	if err := facts.flush(); err != nil {
		return err
	}
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
		if _, err := fmt.Fprintf(out, "\n%s on %s: %s\n", p.ID, info.Replica, reason(*info.Plugin, info.Plugin.Error)); err != nil {
			return err
		}
	}
	return nil
}

// isolation tells also why it is not another.
func isolation(p subjects.PluginStatus) string {
	if p.IsolationReason == "" {
		return dash(p.Isolation)
	}
	return dash(p.Isolation) + ": " + p.IsolationReason
}

// reason is an error of a plugin, with what it means for its callers.
func reason(p subjects.PluginStatus, text string) string {
	if p.State != subjects.StateReady {
		return text
	}
	return fmt.Sprintf("the newest version does not load, generation %s still serves: %s", p.Generation, text)
}

// generations are those that serve the plugin, most often one.
func (p listedPlugin) generations() string {
	var all []string
	for _, generation := range p.Generations {
		if generation != "" && !slices.Contains(all, generation) {
			all = append(all, generation)
		}
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
