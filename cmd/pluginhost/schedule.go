package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

func newScheduleCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "schedule",
		Short: "Look at the schedules of plugins, cancel them",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  help,
	}
	cmd.AddCommand(newScheduleListCommand(), newScheduleCancelCommand())
	return cmd
}

func newScheduleListCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:               "list [PLUGIN]",
		Short:             "List the schedules of one plugin or of all",
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completePlugin(nil),
		Example: `  pluginhost schedule list
  pluginhost schedule list ticker --json`,
		RunE: scheduleList,
	}
	addClientFlags(cmd.Flags())
	return cmd
}

func newScheduleCancelCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cancel PLUGIN (ID | --all)",
		Short: "Cancel a schedule, or all of a plugin",
		Long: `Cancel a schedule of a plugin, or all of them with --all.

ID is what the list shows: in quotes where it has characters that do not show. What
runs at this moment goes on; it is not run again.`,
		Example: `  pluginhost schedule cancel ticker reconnect
  pluginhost schedule cancel presence '"clear\u200balice"'
  pluginhost schedule cancel presence --all`,
		Args: usageArgs(func(cmd *cobra.Command, args []string) error {
			if all, _ := cmd.Flags().GetBool("all"); all {
				return cobra.ExactArgs(1)(cmd, args)
			}
			return cobra.ExactArgs(2)(cmd, args)
		}),
		ValidArgsFunction: completePlugin(nil),
		RunE:              scheduleCancel,
	}
	addClientFlags(cmd.Flags())
	cmd.Flags().Bool("all", false, "cancel all schedules of the plugin")
	return cmd
}

// scheduleListDocument is what --json prints.
type scheduleListDocument struct {
	V         int                       `json:"v"`
	Schedules []subjects.ScheduleRecord `json:"schedules"`
}

func scheduleList(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), client.DefaultTimeout)
	defer cancel()
	schedules, unreadable := caller.Schedules(ctx, strings.Join(args, ""))
	if schedules == nil && unreadable != nil {
		return unreadable
	}
	if config.JSON {
		return errors.Join(printJSON(cmd.OutOrStdout(), scheduleListDocument{V: subjects.Version, Schedules: append([]subjects.ScheduleRecord{}, schedules...)}), unreadable)
	}
	table := newTable(cmd.OutOrStdout(), "PLUGIN", "ID", "FIRES", "LAST", "MISSED", "FAILED", "RUNS ON")
	for _, s := range schedules {
		running := "-"
		if s.Running != nil {
			running = s.Running.Replica
		}
		table.row(s.Plugin, shownID(s.Schedule), fires(s), moment(s.Last), strconv.FormatUint(s.Missed, 10), strconv.FormatUint(s.Failures, 10), running)
	}
	return errors.Join(table.flush(), printFailures(cmd.OutOrStdout(), schedules), unreadable)
}

// printFailures says why schedules failed when they fired last.
func printFailures(out io.Writer, schedules []subjects.ScheduleRecord) error {
	for _, s := range schedules {
		if s.Error == "" {
			continue
		}
		if _, err := fmt.Fprintf(out, "\nThe last callback of schedule %s of %s failed: %s\n", shownID(s.Schedule), printable(s.Plugin), printable(s.Error)); err != nil {
			return err
		}
	}
	return nil
}

// fires says when a schedule fires.
func fires(s subjects.ScheduleRecord) string {
	if !s.IsRecurring() {
		return moment(s.Due)
	}
	if strings.HasPrefix(s.Expression, "TZ=") || strings.HasPrefix(s.Expression, "CRON_TZ=") {
		return s.Expression
	}
	return s.Expression + " " + s.Zone
}

func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Local().Format(time.DateTime)
}

// shownID is the id of a schedule, in quotes where it would not be read right.
func shownID(id []byte) string {
	text := string(id)
	if text == "" || strings.HasPrefix(text, `"`) || strings.ToValidUTF8(text, "") != text ||
		strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.QuoteToASCII(text)
	}
	return text
}

// givenID is the inverse of shownID.
func givenID(text string) string {
	if id, err := strconv.Unquote(text); err == nil && strings.HasPrefix(text, `"`) {
		return id
	}
	return text
}

// scheduleCancelDocument is what --json prints.
type scheduleCancelDocument struct {
	V         int    `json:"v"`
	Plugin    string `json:"plugin"`
	Cancelled int    `json:"cancelled"`
}

func scheduleCancel(cmd *cobra.Command, args []string) error {
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(cmd.Context(), client.DefaultTimeout)
	defer cancel()
	done := scheduleCancelDocument{V: subjects.Version, Plugin: args[0]}
	if all, _ := cmd.Flags().GetBool("all"); all {
		done.Cancelled, err = caller.CancelSchedules(ctx, args[0])
	} else {
		var found bool
		if found, err = caller.CancelSchedule(ctx, args[0], givenID(args[1])); err == nil && !found {
			err = fmt.Errorf("%s has no schedule %s: see pluginhost schedule list %s", args[0], shownID([]byte(givenID(args[1]))), args[0])
		}
		if found {
			done.Cancelled = 1
		}
	}
	if err != nil {
		return err
	}
	if config.JSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "cancelled %d of %s\n", done.Cancelled, done.Plugin)
	return err
}
