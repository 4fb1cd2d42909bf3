package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/internal/author"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/replica"
	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginNewCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "new FOLDER",
		Short: "Begin a plugin in Go",
		Long: `Begin a plugin in Go: a folder with a plugin that builds, works and is tested.

The name of the folder is the name of the plugin. The capabilities are
` + strings.Join(author.Capabilities(), ", ") + `.`,
		Example: `  pluginhost plugin new hello
  pluginhost plugin new hello --capability Scrobbler --capability LifecycleManagement`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completeFolders,
		RunE:              pluginNew,
	}
	cmd.Flags().StringSlice("capability", []string{plugin.MetadataAgent}, "what the plugin can do; may be repeated")
	cmd.Flags().String("module", "", "path of its Go module (default example.com/<name>)")
	cmd.Flags().String("sdk", "", "folder with the source of pluginhost (default the checkout around the working directory, the version of this command, or the checkout that has this command)")
	cmd.Flags().Bool("json", false, "print JSON for machines")
	_ = cmd.RegisterFlagCompletionFunc("capability", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return author.Capabilities(), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

// newDocument is what --json prints.
type newDocument struct {
	V       int    `json:"v"`
	Name    string `json:"name"`
	Path    string `json:"path"`
	Package string `json:"package"` // which plugin build writes
}

func pluginNew(cmd *cobra.Command, args []string) error {
	dir, err := filepath.Abs(args[0])
	if err != nil {
		return err
	}
	draft := author.Draft{Dir: dir, Name: filepath.Base(dir)}
	draft.Capabilities, _ = cmd.Flags().GetStringSlice("capability")
	draft.Module, _ = cmd.Flags().GetString("module")
	draft.Checkout, _ = cmd.Flags().GetString("sdk")
	if draft.Checkout == "" {
		draft.Checkout, draft.Version = sdk()
	} else if draft.Checkout, err = filepath.Abs(draft.Checkout); err != nil {
		return err
	}
	err = author.New(cmd.Context(), draft, cmd.ErrOrStderr())
	if errors.Is(err, author.ErrNoSDK) {
		return usageError{fmt.Errorf("%w: give --sdk the folder of a checkout of %s, as in: %s plugin new %s --sdk FOLDER", err, author.SDK, shellQuoted(os.Args[0]), shellQuoted(args[0]))}
	}
	if err != nil {
		return err
	}
	if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
		return printJSON(cmd.OutOrStdout(), newDocument{
			V: subjects.Version, Name: draft.Name, Path: dir, Package: filepath.Join(dir, draft.PackageName()),
		})
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), `Plugin '%[1]s' is in %[2]s

  %[5]s plugin build %[3]s
  %[5]s plugin install %[4]s
  %[5]s plugin dev --watch %[3]s     # instead: build and load it at every save
`, draft.Name, args[0], shellQuoted(args[0]), shellQuoted(filepath.Join(args[0], draft.PackageName())), shellQuoted(os.Args[0]))
	return err
}

// sdk is where a new plugin has the SDK from: the checkout that is worked in, the release that
// this command is of, or the checkout that the command was built in.
func sdk() (checkout, version string) {
	if dir, err := os.Getwd(); err == nil {
		checkout = checkoutAround(dir)
	}
	if checkout != "" {
		return checkout, ""
	}
	if version := replica.Version(); author.IsRelease(version) {
		return "", version
	}
	if program, err := os.Executable(); err == nil {
		checkout = checkoutAround(filepath.Dir(program))
	}
	return checkout, ""
}

// checkoutAround is the checkout that a folder is in; empty is that it is in none.
func checkoutAround(dir string) string {
	for ; ; dir = filepath.Dir(dir) {
		switch {
		case author.IsCheckout(dir):
			return dir
		case dir == filepath.Dir(dir):
			return ""
		}
	}
}

// shellQuoted is a word as it can be pasted into a shell.
func shellQuoted(word string) string {
	plain := func(r rune) bool {
		return unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("/._-+@%", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
