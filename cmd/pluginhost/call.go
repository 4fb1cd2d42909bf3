package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/subjects"
)

// callGrace is how much longer than the plugin the command waits, for the reply
// that tells the deadline.
const callGrace = time.Second

// maxRequest bounds what is read from standard input, in bytes.
const maxRequest = 64 << 20

func newCallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "call ID METHOD [JSON|-]",
		Short: "Call one method of a plugin",
		Long: `Call one method of a plugin and print its JSON reply.

The request is JSON; "-" reads it from standard input and nothing is {}. A
failed call prints its code, name and text, and exits with 1.

A callback can be tried without waiting for its schedule. It runs like any call; how it
failed is the "error" of the reply.`,
		Example: `  pluginhost call Wikipedia get_artist_biography '{"name":"Nina Simone"}'
  pluginhost call webhook is_authorized '{"userId":"1","username":"joe"}'
  pluginhost call ticker on_scheduler_callback '{"scheduleId":"reconnect"}'`,
		Args:              usageArgs(cobra.RangeArgs(2, 3)),
		ValidArgsFunction: completePlugin(completeMethods),
		RunE:              call,
	}
	addClientFlags(cmd.Flags())
	addTimeoutFlag(cmd.Flags())
	return cmd
}

func call(cmd *cobra.Command, args []string) error {
	id, method, request := args[0], args[1], []byte("{}")
	if len(args) == 3 {
		request = []byte(args[2])
	}
	if string(request) == "-" {
		var err error
		if request, err = io.ReadAll(io.LimitReader(cmd.InOrStdin(), maxRequest)); err != nil {
			return fmt.Errorf("read the request: %w", err)
		}
	}
	caller, conn, config, err := connectUntilRefused(cmd)
	if err != nil {
		return err
	}
	defer conn.Close()
	if most := config.Runtime.For(id).MaxTimeout; config.Timeout > most {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "--timeout %v is more than [Runtime] MaxTimeout, %v in the configuration here: replicas with that end the call then\n", config.Timeout, most)
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), config.Timeout+callGrace)
	defer cancel()
	reply, err := caller.CallJSON(ctx, id, method, request, config.Timeout)
	if err != nil {
		var failure *subjects.Error
		if errors.As(err, &failure) {
			if failure.NothingRan() { // the call was let through, whatever else this user may not ask
				cmd.SetContext(context.WithoutCancel(cmd.Context()))
			}
			return failure
		}
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), string(reply))
	return err
}
