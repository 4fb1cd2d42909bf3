package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/subjects"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Look after the configuration",
		Args:  usageArgs(cobra.NoArgs),
		RunE:  help,
	}
	cmd.AddCommand(newConfigCheckCommand())
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check [FILE]",
		Short: "Check a configuration as serve would, with the variables and flags",
		Long: `Check a configuration as serve would, with the variables and flags, and tell all faults at once.
Without FILE it is the file that serve would read. Sections for plugins that are not in the
plugins folder are warnings. It exits with 1 if there is a fault.`,
		Example: `  pluginhost config check
  pluginhost config check /etc/pluginhost/pluginhost.toml --json`,
		Args: usageArgs(cobra.MaximumNArgs(1)),
		RunE: checkConfig,
	}
	addServeFlags(cmd.Flags())
	cmd.Flags().Bool("json", false, "print JSON for machines")
	return cmd
}

// checkedConfig is what --json prints.
type checkedConfig struct {
	V int `json:"v"`
	// File is the one that was read; empty is none.
	File     string        `json:"file"`
	Faults   []checkedItem `json:"faults"`
	Warnings []checkedItem `json:"warnings"`
}

// checkedItem is one thing that is wrong or odd.
type checkedItem struct {
	At   string `json:"at"`
	Text string `json:"text"`
}

func checkConfig(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		if cmd.Flags().Changed("config") {
			return usageError{errors.New("FILE and --config are the same: give one of them")}
		}
		if err := cmd.Flags().Set("config", args[0]); err != nil {
			return usageError{err}
		}
	}
	settings, err := config.NewSource(sources(cmd.Flags(), os.LookupEnv)).Load()
	checked := checkedConfig{V: subjects.Version, File: settings.File, Faults: []checkedItem{}, Warnings: []checkedItem{}}
	var bad *config.LoadError
	switch {
	case errors.As(err, &bad):
		for _, fault := range bad.Faults {
			checked.Faults = append(checked.Faults, checkedItem{fault.At, fault.Text})
		}
	case err != nil:
		return err
	default:
		for _, warning := range settings.Warnings() {
			checked.Warnings = append(checked.Warnings, checkedItem(warning))
		}
	}
	asJSON, _ := cmd.Flags().GetBool("json")
	if err := checked.print(cmd.OutOrStdout(), asJSON); err != nil {
		return err
	}
	switch n := len(checked.Faults); n {
	case 0:
		return nil
	case 1:
		return errors.New("1 fault in the configuration")
	default:
		return fmt.Errorf("%d faults in the configuration", n)
	}
}

func (c checkedConfig) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(out, c)
	}
	for _, fault := range c.Faults {
		if _, err := fmt.Fprintf(out, "%s: %s\n", fault.At, fault.Text); err != nil {
			return err
		}
	}
	for _, warning := range c.Warnings {
		if _, err := fmt.Fprintf(out, "warning: %s: %s\n", warning.At, warning.Text); err != nil {
			return err
		}
	}
	var err error
	switch {
	case len(c.Faults) > 0:
	case c.File == "":
		_, err = fmt.Fprintf(out, "there is no %s here: serve starts with the variables, the flags and the defaults\n", config.DefaultFile)
	default:
		_, err = fmt.Fprintf(out, "%s: no faults\n", c.File)
	}
	return err
}
