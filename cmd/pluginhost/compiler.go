package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/internal/compiler"
	"github.com/pluginhost/pluginhost/internal/inspect"
)

type compilerKey struct{}

// withCompiler has plugins compiled in processes of their own. Without it, as in tests whose
// plugins are their own, they are compiled in this process.
func withCompiler(ctx context.Context, process *compiler.Process) context.Context {
	return context.WithValue(ctx, compilerKey{}, process)
}

// compilerOf returns what withCompiler was given, or nil.
func compilerOf(ctx context.Context) *compiler.Process {
	process, _ := ctx.Value(compilerKey{}).(*compiler.Process)
	return process
}

// checkOf is how a command checks modules that others have made: within the limits of the
// configuration, or the defaults where that cannot be read.
func checkOf(cmd *cobra.Command) inspect.Check {
	process := compilerOf(cmd.Context())
	if process == nil {
		return nil
	}
	limits := config.Default().Runtime
	if config, err := loadClientConfig(cmd.Flags(), os.LookupEnv); err == nil {
		limits = config.Runtime
	}
	return compiler.Check{Process: process, Timeout: limits.CompileTimeout, Memory: limits.CompileMemory}.Module
}
