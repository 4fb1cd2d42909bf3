package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginBuildCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "build [FOLDER]",
		Short: "Build a plugin and its package",
		Long: `Check a plugin's manifest, compile it with the Go toolchain, check that its module has what
the manifest says, and write its package. The same source gives the same package.

A folder without Go files must have its plugin.wasm from other tools.`,
		Example: `  pluginhost plugin build hello
  pluginhost plugin build hello --output dist/hello.ndp`,
		Args:              usageArgs(cobra.MaximumNArgs(1)),
		ValidArgsFunction: completeFolders,
		RunE:              pluginBuild,
	}
	cmd.Flags().StringP("output", "o", "", "the package (default <name>"+plugin.PackageExt+" in the folder)")
	cmd.Flags().Bool("json", false, "print JSON for machines")
	return cmd
}

// builtDocument is what --json prints.
type builtDocument struct {
	V        int      `json:"v"`
	Name     string   `json:"name"`
	Version  string   `json:"version"`
	Wasm     int      `json:"wasm"` // bytes
	Package  string   `json:"package"`
	Size     int64    `json:"size"` // bytes
	Digest   string   `json:"digest"`
	Warnings []string `json:"warnings,omitempty"`
}

func pluginBuild(cmd *cobra.Command, args []string) error {
	dir := "."
	if len(args) > 0 {
		dir = args[0]
	}
	built, err := author.Build(cmd.Context(), dir, cmd.ErrOrStderr(), checkOf(cmd))
	if err != nil {
		return err
	}
	path, _ := cmd.Flags().GetString("output")
	if path == "" {
		path = filepath.Join(dir, author.PackageName(built.Manifest.Name))
	}
	packed, err := author.Package(cmd.Context(), dir, path)
	if err != nil {
		return err
	}
	done := builtDocument{
		V: subjects.Version, Name: built.Manifest.Name, Version: built.Manifest.Version, Wasm: built.Wasm,
		Package: path, Size: packed.Size, Digest: packed.Digest, Warnings: built.Warnings,
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return printJSON(cmd.OutOrStdout(), done)
	}
	return done.print(cmd.OutOrStdout())
}

func (d builtDocument) print(out io.Writer) error {
	for _, warning := range d.Warnings {
		if _, err := fmt.Fprintln(out, "Warning: "+printable(warning)); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(out, "%s %s: plugin.wasm has %s, %s %s\nSHA-256 %s\n", printable(d.Name), printable(d.Version),
		humanize.Bytes(uint64(d.Wasm)), d.Package, humanize.Bytes(uint64(d.Size)), d.Digest)
	return err
}
