package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/plugin"
)

func newPluginUpdateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "update FILE" + plugin.PackageExt,
		Short: "Put a newer package in the place of an installed plugin",
		Long: `Put a package in the place of the plugin of the same id.

There is always the old plugin or the new one, and calls go on meanwhile. What the new
one may do beyond the old one is shown and has to be agreed to.`,
		Example: `  pluginhost plugin update wikipedia.ndp
  pluginhost plugin update wikipedia.ndp --as wiki-de --yes
  pluginhost plugin update wikipedia.ndp --cluster`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completePackages,
		RunE:              pluginUpdate,
	}
	addPackageFlags(cmd)
	addClusterFlag(cmd)
	return cmd
}

func pluginUpdate(cmd *cobra.Command, args []string) error {
	return putPackage(cmd, args[0], func(to place, p *ndp) (string, error) {
		before, err := to.installed(cmd.Context(), p.id)
		if err != nil {
			return "", p.explain(err)
		}
		if err := p.agreed(cmd, before.Permissions); err != nil {
			return "", err
		}
		p.before = before.Version
		err = to.update(cmd.Context(), p, newProgress(cmd, "installing"))
		return fmt.Sprintf("Plugin '%s' updated to v%s successfully%v", p.id, p.Manifest.Version, to), p.explain(err)
	})
}

// agreed asks about what the package may do that the installed plugin may not.
func (p *ndp) agreed(cmd *cobra.Command, before plugin.Permissions) error {
	more := p.Manifest.Permissions.Beyond(before)
	if len(more) == 0 {
		return nil
	}
	text := fmt.Sprintf("Version %s of plugin '%s' may also use:\n", p.Manifest.Version, p.id)
	for _, line := range more {
		text += "  + " + printable(line) + "\n"
	}
	if _, err := fmt.Fprint(cmd.ErrOrStderr(), text); err != nil {
		return err
	}
	return ask(cmd, "Do you want to update it?")
}
