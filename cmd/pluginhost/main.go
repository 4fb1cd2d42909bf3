// Command pluginhost hosts Navidrome's WebAssembly plugins on NATS, and talks to
// running hosts.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // schedules name zones that the machine may not know

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/compiler"
	"github.com/pluginhost/pluginhost/replica"
)

// Exit codes.
const (
	exitDone    = 0
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	compiler.Main()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// After the first signal a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	process := &compiler.Process{}
	code := run(withCompiler(ctx, process), os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr})
	process.Close()
	stop()
	os.Exit(code)
}

// streams are what a command reads and writes.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

// usageError is a command line or a configuration that cannot be used.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// run executes a command line and returns the exit code. A failure is one
// message on the error stream.
func run(ctx context.Context, args []string, s streams) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(s.in)
	root.SetOut(s.out)
	root.SetErr(s.err)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitDone
	}
	err = orRefusal(command.Context(), err)
	_, _ = fmt.Fprintln(s.err, err)
	var usage usageError
	var bad *config.LoadError
	switch {
	case errors.As(err, &usage):
		_, _ = fmt.Fprintf(s.err, "Run %q for help.\n", command.CommandPath()+" --help")
		return exitUsage
	case errors.As(err, &bad):
		return exitUsage
	default:
		return exitFailure
	}
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "pluginhost",
		Short:         "Host Navidrome's WebAssembly plugins on NATS",
		Version:       replica.Version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          usageArgs(cobra.NoArgs),
		RunE:          help,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServeCommand(), newCallCommand(), newStatusCommand(), newPluginCommand(), newScheduleCommand(), newScrobblesCommand(), newTokenCommand(), newConfigCommand(), newLicensesCommand())
	return root
}

// help is what a command without a task of its own does.
func help(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// usageArgs makes what a check of arguments refuses a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		if cmd.HasSubCommands() {
			return usageError{err} // which names the command that does not exist
		}
		_, takes, _ := strings.Cut(cmd.Use, " ")
		return usageError{fmt.Errorf("%s takes %s: %d given", cmd.CommandPath(), cmp.Or(takes, "no arguments"), len(args))}
	}
}
