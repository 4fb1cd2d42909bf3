package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginDevCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dev FOLDER",
		Short: "Link a plugin's source folder into the plugins folder",
		Long: `Link a plugin's source folder into the plugins folder, for a plugin under development.

Running replicas with that plugins folder load each build of it. With --watch the command
stays: it builds the plugin whenever its source is saved, links it once it has built, has
the replicas load it, and shows what the plugin writes and what they log about it. Ctrl-C
ends it; the link stays.`,
		Example: `  pluginhost plugin dev ./hello
  pluginhost plugin dev --watch ./hello`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeFolders,
		RunE:              pluginDev,
	}
	addPackageFlags(cmd)
	cmd.Flags().Bool("watch", false, "build and load it whenever its source is saved, and show its output")
	return cmd
}

// devDocument is what --json prints.
type devDocument struct {
	V      int    `json:"v"`
	ID     string `json:"id"`
	Path   string `json:"path"`
	Source string `json:"source"`
	told
}

func pluginDev(cmd *cobra.Command, args []string) error {
	config, err := loadClientConfig(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return err
	}
	source, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	manifest, _, err := plugin.ReadManifest(source)
	if err != nil {
		return err
	}
	id := manifest.Name
	if id == "" {
		id = filepath.Base(source)
	}
	if flag := cmd.Flags().Lookup("as"); flag.Changed {
		id = flag.Value.String()
	}
	if err := folder(config.PluginsFolder).exists(config); err != nil {
		return err
	}
	folder, err := filepath.Abs(config.PluginsFolder)
	if err != nil {
		return err
	}
	if watch, _ := cmd.Flags().GetBool("watch"); watch {
		if config.JSON {
			return usageError{errors.New("--watch is for people: it has no --json")}
		}
		return develop(cmd, id, source, folder)
	}
	linked, err := link(cmd, folder, id, source)
	if err != nil {
		return err
	}
	done := devDocument{V: subjects.Version, ID: id, Path: filepath.Join(folder, id), Source: source}
	caller, conn, _, err := connect(cmd)
	if err == nil {
		defer conn.Close()
	}
	done.told = tell(cmd.Context(), caller, err, id)
	failed := done.failure(id, folder)
	if config.JSON {
		return errors.Join(printJSON(cmd.OutOrStdout(), done), failed)
	}
	text := "Symlink already exists and points to the correct source"
	if linked {
		text = fmt.Sprintf("Development symlink created: '%s' -> '%s'", done.Path, source)
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\nPlugin can be refreshed with: pluginhost plugin refresh %s\n", text, id); err != nil {
		return err
	}
	return errors.Join(done.printLoaded(cmd.OutOrStdout(), id, folder), failed)
}

// link links the source, and asks before it takes another plugin's place. It says whether
// the link is new.
func link(cmd *cobra.Command, folder, id, source string) (linked bool, err error) {
	tellBusy(cmd, folder)
	err = plugin.Link(cmd.Context(), folder, id, source, false)
	switch {
	case errors.Is(err, plugin.ErrLinked):
		return false, nil
	case errors.Is(err, plugin.ErrInstalled):
		if err := ask(cmd, fmt.Sprintf("%s is there. Do you want to replace it?", printable(filepath.Join(folder, id)))); err != nil {
			return false, err
		}
		err = plugin.Link(cmd.Context(), folder, id, source, true)
	}
	return err == nil, err
}
