package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/subjects"
)

func newStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the replicas and their plugins",
		Example: `  pluginhost status
  pluginhost status --json --nats nats://nats-1:4222`,
		Args: usageArgs(cobra.NoArgs),
		RunE: status,
	}
	addClientFlags(cmd.Flags())
	return cmd
}

// statusDocument is what --json prints.
type statusDocument struct {
	V        int               `json:"v"`
	Replicas []subjects.Status `json:"replicas"`
}

func status(cmd *cobra.Command, _ []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	replicas, err := caller.Status(cmd.Context())
	if err != nil {
		return err
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), statusDocument{V: subjects.Version, Replicas: replicas})
	}
	table := newTable(cmd.OutOrStdout(), "REPLICA", "UP", "STATE", "LEADS", "NATS", "PLUGINS", "FAILED")
	for _, r := range replicas {
		ready, failed := 0, 0
		for _, p := range r.Plugins {
			switch p.State {
			case subjects.StateReady:
				ready++
			case subjects.StateFailed:
				failed++
			case subjects.StateInitialising:
			}
		}
		table.row(r.Replica, time.Since(r.Started).Round(time.Second).String(), replicaState(r), leads(r), r.NATS, strconv.Itoa(ready), strconv.Itoa(failed))
	}
	table.gap()
	table.row("REPLICA", "PLUGIN", "STATE", "GENERATION", "CALLS", "ERRORS", "RUNNING", "WAITING", "CALLBACKS", "CALLBACK ERRORS", "SCHEDULES", "SOCKETS")
	for _, r := range replicas {
		for _, p := range r.Plugins {
			calls, callbacks := subjects.CallStats{}, subjects.CallbackStats{}
			if p.Calls != nil {
				calls = *p.Calls
			}
			if p.Callbacks != nil {
				callbacks = *p.Callbacks
			}
			table.row(r.Replica, p.ID, string(p.State), dash(p.Generation), strconv.Itoa(calls.Requests), strconv.Itoa(calls.Errors),
				strconv.Itoa(calls.Running), strconv.Itoa(calls.Waiting), strconv.Itoa(callbacks.Requests), strconv.Itoa(callbacks.Errors), strconv.Itoa(p.Schedules), strconv.Itoa(p.Sockets))
		}
	}
	rowScrobbles(table, replicas)
	if err := table.flush(); err != nil {
		return err
	}
	return printReasons(cmd.OutOrStdout(), replicas)
}

// rowScrobbles tells of the plays that wait for plugins: each replica knows of all.
func rowScrobbles(table table, replicas []subjects.Status) {
	told := make(map[string]bool)
	for _, r := range replicas {
		for _, p := range r.Plugins {
			s := p.Scrobbles
			if s == nil || told[p.ID] {
				continue
			}
			if len(told) == 0 {
				table.gap()
				table.row("PLUGIN", "PLAYS WAITING", "USERS", "NOT AUTHORIZED", "OLDEST", "DELIVERED", "DEAD", "SKIPPED")
			}
			told[p.ID] = true
			table.row(p.ID, number(s.Waiting), strconv.Itoa(s.Users), strconv.Itoa(s.Paused), moment(s.Oldest), number(s.Delivered), number(s.Dead), number(s.Skipped))
		}
	}
}

// printReasons says why replicas and plugins are not what they should be.
func printReasons(out io.Writer, replicas []subjects.Status) error {
	for _, r := range replicas {
		for _, why := range reasonsOf(r) {
			if _, err := fmt.Fprintf(out, "\n%s\n", why); err != nil {
				return err
			}
		}
	}
	return nil
}

// reasonsOf is what is to be said of a replica and of its plugins, a line each.
func reasonsOf(r subjects.Status) (lines []string) {
	if r.FolderFault != "" {
		lines = append(lines, r.Replica+": "+printable(r.FolderFault))
	}
	for _, fault := range r.ConfigFaults {
		lines = append(lines, r.Replica+": the configuration is not applied, the one before stays: "+printable(fault))
	}
	if r.Fault != nil {
		lines = append(lines, r.Replica+": "+printable(r.Fault.Reason))
	}
	of := func(id, why string) { lines = append(lines, fmt.Sprintf("%s on %s: %s", id, r.Replica, why)) }
	for _, recovered := range r.RecoveredFires {
		of(printable(recovered.ID), recoveredFires(recovered))
	}
	for _, p := range r.Plugins {
		if p.Progress != "" {
			of(p.ID, p.Progress)
		}
		if p.Error != "" {
			of(p.ID, reason(p, p.Error))
		}
		if p.Callbacks != nil && p.Callbacks.LastError != nil {
			of(p.ID, failedCallback(p.Callbacks.LastError))
		}
	}
	return lines
}

// failedCallback tells of the newest callback that failed.
func failedCallback(last *subjects.CallbackError) string {
	of := "schedule " + shownID(last.Schedule)
	if last.Schedule == nil {
		of = "connection " + shownID(last.Connection)
	}
	return fmt.Sprintf("%s of %s failed at %s: %s", printable(last.Method), of, moment(last.Time), printable(last.Error))
}

// recoveredFires tells how often fires were handed out anew.
func recoveredFires(r subjects.RecoveredFires) string {
	return fmt.Sprintf("NATS would never have delivered fires of its schedules, which were handed out anew (%d, the last at %s): PLUGINHOST_FIRES came back older than its consumer",
		r.Times, moment(r.Last))
}

// leads says whether a replica leads, as itself sees it.
func leads(r subjects.Status) string {
	if r.Leader == r.Replica {
		return "yes"
	}
	return "-"
}

func replicaState(r subjects.Status) string {
	switch {
	case r.Draining:
		return "draining"
	case r.Fault != nil:
		return "not ready"
	case r.Ready:
		return "ready"
	default:
		return "starting"
	}
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// printJSON prints a document for machines.
func printJSON(out io.Writer, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(document)
}

// table prints aligned columns.
type table struct{ writer *tabwriter.Writer }

func newTable(out io.Writer, header ...string) table {
	t := table{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)}
	t.row(header...)
	return t
}

// row adds a line. Foreign texts are made to fit one.
func (t table) row(cells ...string) {
	for i, cell := range cells {
		cells[i] = printable(cell)
	}
	// Errors of the writer come back from flush.
	_, _ = fmt.Fprintln(t.writer, strings.Join(cells, "\t"))
}

// gap ends one set of columns; the next row begins another.
func (t table) gap() { _, _ = fmt.Fprintln(t.writer) }

func (t table) flush() error { return t.writer.Flush() }
