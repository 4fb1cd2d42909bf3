package main

import (
	"fmt"

	"github.com/spf13/cobra"

	texts "github.com/pluginhost/pluginhost"
)

func newLicensesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "licenses",
		Short: "Print the licences of pluginhost and of everything in it",
		Example: `  pluginhost licenses | less
  pluginhost licenses > NOTICES`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n\n%s", texts.License(), texts.ThirdPartyNotices())
			return err
		},
	}
}
