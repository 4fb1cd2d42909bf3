package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/config"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

func newPluginInstallCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "install FILE" + plugin.PackageExt,
		Short: "Install a plugin from a package",
		Long: `Install a plugin from a package: in the plugins folder of this machine or, with --cluster, for
all replicas.

The package is checked as a whole before anything is touched, and what the plugin may use
of the host is listed. Running replicas with that
folder, or of the cluster, load the plugin; others do when they start.`,
		Example: `  pluginhost plugin install wikipedia.ndp
  pluginhost plugin install wikipedia.ndp --as wiki-de
  pluginhost plugin install wikipedia.ndp --cluster`,
		Args:              usageArgs(cobra.ExactArgs(1)),
		ValidArgsFunction: completePackages,
		RunE:              pluginInstall,
	}
	addPackageFlags(cmd)
	addClusterFlag(cmd)
	return cmd
}

// installedDocument is what --json prints for install and update.
type installedDocument struct {
	V       int    `json:"v"`
	ID      string `json:"id"`
	Version string `json:"version"`
	// Before is the version that an update replaced; empty where it could not be read.
	Before string `json:"before,omitempty"`
	Digest string `json:"digest"` // SHA-256 of the package
	// Path is the plugins folder, Cluster that it was installed for all replicas instead.
	Path     string   `json:"path,omitempty"`
	Cluster  bool     `json:"cluster,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// MayUse is what it may use of the host, a line each; install shows it, while update
	// asks about what is more than before.
	MayUse []string `json:"may_use,omitempty"`
	told
}

func pluginInstall(cmd *cobra.Command, args []string) error {
	return putPackage(cmd, args[0], func(to place, p *ndp) (string, error) {
		if err := p.alone(cmd); err != nil {
			return "", p.explain(err)
		}
		err := to.install(cmd.Context(), p, newProgress(cmd, "installing"))
		p.mayUse = p.Manifest.Permissions.Beyond(plugin.Permissions{})
		return fmt.Sprintf("Plugin '%s' v%s installed successfully%v", p.id, p.Manifest.Version, to), p.explain(err)
	})
}

// putPackage checks a package, puts it where the flags say and tells what came of it.
func putPackage(cmd *cobra.Command, path string, put func(to place, p *ndp) (text string, err error)) error {
	config, err := loadClientConfig(cmd.Flags(), os.LookupEnv)
	if err != nil {
		return err
	}
	p, err := openPackage(cmd, path)
	if err != nil {
		return err
	}
	if err := p.installable(); err != nil {
		return err
	}
	to, err := openPlace(cmd, config)
	if err != nil {
		return err
	}
	defer to.close()
	if err := to.exists(config); err != nil {
		return err
	}
	text, err := put(to, p)
	if err != nil {
		return err
	}
	return p.finish(cmd, config, text)
}

// finish tells running replicas of the plugin that is in the folder now, and prints what
// came of it.
func (p *ndp) finish(cmd *cobra.Command, config clientConfig, text string) error {
	done := installedDocument{
		V: subjects.Version, ID: p.id, Version: p.Manifest.Version, Before: p.before, Digest: p.Digest,
		Warnings: p.warnings(), MayUse: p.mayUse,
	}
	if done.Cluster, _ = cmd.Flags().GetBool("cluster"); !done.Cluster {
		done.Path = config.PluginsFolder
	}
	ctx, option := untilRefused(cmd.Context())
	caller, conn, _, err := connect(cmd, option)
	if err == nil {
		defer conn.Close()
	}
	done.told = tell(ctx, caller, err, p.id)
	failed := done.failure(p.id, done.Path)
	if failed != nil {
		// First of all, as what follows may be long.
		text = fmt.Sprintf("Plugin '%s' v%s is installed, but NOT loaded", p.id, p.Manifest.Version)
	}
	if config.JSON {
		err = printJSON(cmd.OutOrStdout(), done)
	} else {
		err = done.print(cmd, text)
	}
	if err != nil {
		return err
	}
	return failed
}

func (d installedDocument) print(cmd *cobra.Command, text string) error {
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintln(out, printable(text)); err != nil {
		return err
	}
	if token := subjects.Token(d.ID); token != d.ID {
		if _, err := fmt.Fprintf(out, "Its id is %s: on NATS it is called at plugins.%s.<method>, and its settings are %s\n", excerpt.Quoted(d.ID), token, config.Section("PluginConfig", d.ID)); err != nil {
			return err
		}
	}
	if d.Before != "" {
		if _, err := fmt.Fprintf(out, "Replaced v%s\n", printable(d.Before)); err != nil {
			return err
		}
	}
	if len(d.MayUse) > 0 {
		text := "It may use:\n"
		for _, line := range d.MayUse {
			text += "  " + printable(line) + "\n"
		}
		if _, err := fmt.Fprint(out, text); err != nil {
			return err
		}
	}
	for _, warning := range d.Warnings {
		if _, err := fmt.Fprintln(out, "Warning: "+printable(warning)); err != nil {
			return err
		}
	}
	return d.printLoaded(out, d.ID, d.Path)
}

// alone refuses a package whose id differs in nothing but case from that of a plugin which a
// running replica has, from wherever: both would have the same settings.
func (p *ndp) alone(cmd *cobra.Command) error {
	caller, conn, _, err := connect(cmd)
	if err != nil {
		return nil // nobody runs who could have one
	}
	defer conn.Close()
	replicas, err := caller.Status(cmd.Context())
	if err != nil {
		return nil // as above
	}
	for _, id := range idsOf(replicas) {
		if id != p.id && plugin.FoldID(id) == plugin.FoldID(p.id) {
			return plugin.TwinError(p.id, id)
		}
	}
	return nil
}

// warnings are those of manifest and module.
func (p *ndp) warnings() []string {
	var all []string
	for _, warning := range p.Warnings {
		all = append(all, warning.String())
	}
	return append(all, p.report.Warnings...)
}
