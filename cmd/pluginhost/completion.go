package main

import (
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

// completion offers words for the arguments of a command.
type completion = func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective)

// completePlugins offers the ids of plugins, of those in the plugins folder and of the
// running replicas.
func completePlugins(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var ids []string
	if config, err := loadClientConfig(cmd.Flags(), os.LookupEnv); err == nil {
		entries, _ := plugin.Scan(config.PluginsFolder)
		for _, entry := range entries {
			ids = append(ids, entry.ID)
		}
	}
	ids = append(ids, hostedIDs(cmd)...)
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return slices.Contains(args, id) })
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func hostedIDs(cmd *cobra.Command) []string {
	caller, conn, _, err := connect(cmd)
	if err != nil {
		return nil
	}
	defer conn.Close()
	replicas, _ := caller.Status(cmd.Context()) // it takes a second at most
	return idsOf(replicas)
}

// completePlugin offers the id of one plugin, and what next offers for the arguments
// behind it; next may be nil.
func completePlugin(next completion) completion {
	return func(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		switch {
		case len(args) == 0:
			return completePlugins(cmd, args, begun)
		case next != nil:
			return next(cmd, args, begun)
		default:
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
	}
}

// completeMethods offers the methods that can be called.
func completeMethods(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var methods []string
	for _, capability := range schema.Navidrome058().Capabilities() {
		if capability.Kind != schema.KindLifecycle {
			for _, method := range capability.Methods {
				methods = append(methods, method.Name)
			}
		}
	}
	return methods, cobra.ShellCompDirectiveNoFileComp
}

// completePackages offers package files.
func completePackages(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return []string{plugin.PackageExt[1:]}, cobra.ShellCompDirectiveFilterFileExt
}

// completePluginOrPackage offers ids and, as nothing else has its extension, files.
func completePluginOrPackage(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ids, _ := completePlugins(cmd, args, begun)
	return ids, cobra.ShellCompDirectiveDefault
}

// completeFolders offers folders.
func completeFolders(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
