package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/nats-io/nats.go"
	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/sdk/client"
	"github.com/pluginhost/pluginhost/subjects"
)

// place is where plugins are installed. Whoever has it closes it.
type place interface {
	// exists says what is missing, if it cannot be made by the way.
	exists(config clientConfig) error
	install(ctx context.Context, p *ndp, progress plugin.Progress) error
	update(ctx context.Context, p *ndp, progress plugin.Progress) error
	// remove says whether the plugin was a symlink.
	remove(ctx context.Context, id string) (symlink bool, err error)
	// installed is the manifest of the installed plugin: an empty one, where it cannot be
	// read.
	installed(ctx context.Context, id string) (plugin.Manifest, error)
	// String names it, behind "Plugin … installed successfully".
	String() string
	close()
}

// errNoFolder says that nothing tells where plugins are on this machine.
var errNoFolder = usageError{errors.New("there is no plugins folder: neither XDG_DATA_HOME nor HOME is set to an absolute path, below which it would be; give --plugins or PLUGINHOST_PLUGINS")}

func addClusterFlag(cmd *cobra.Command) {
	cmd.Flags().Bool("cluster", false, "for all replicas of the cluster, instead of in the plugins folder of this machine")
}

// openPlace is the cluster with the flag --cluster, and else the plugins folder.
func openPlace(cmd *cobra.Command, config clientConfig) (place, error) {
	if cluster, _ := cmd.Flags().GetBool("cluster"); !cluster {
		tellBusy(cmd, config.PluginsFolder)
		return folder(config.PluginsFolder), nil
	}
	caller, conn, _, err := connect(cmd)
	if err != nil {
		return nil, err
	}
	return cluster{caller, conn}, nil
}

// tellBusy says what the command is about to wait for, if anything.
func tellBusy(cmd *cobra.Command, folder string) {
	if folder != "" && plugin.IsBusy(folder) {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "Waiting for another command, which changes %s\n", folder)
	}
}

// folder is the plugins folder of this machine.
type folder string

// exists refuses a folder that somebody has named and that is not there, as it is most likely
// mistyped. One that nobody has named is made.
func (f folder) exists(config clientConfig) error {
	if f == "" {
		return errNoFolder
	}
	named, by := config.NamedFolder()
	if by == "" {
		return nil
	}
	info, err := os.Stat(named)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usageError{fmt.Errorf("%s: there is no folder %s; correct it, or make the folder first: mkdir -p %s", by, named, shellQuoted(named))}
	case err == nil && !info.IsDir():
		return usageError{fmt.Errorf("%s: %s is not a folder", by, named)}
	}
	return nil // what cannot be looked at tells of itself when it is changed
}

func (f folder) install(ctx context.Context, p *ndp, progress plugin.Progress) error {
	return plugin.Install(ctx, string(f), p.id, p.Package, progress)
}

func (f folder) update(ctx context.Context, p *ndp, progress plugin.Progress) error {
	return plugin.Update(ctx, string(f), p.id, p.Package, progress)
}

func (f folder) remove(ctx context.Context, id string) (bool, error) {
	if f == "" {
		return false, fmt.Errorf("%w: %w", plugin.ErrNotFound, errNoFolder)
	}
	return plugin.Remove(ctx, string(f), id)
}

func (f folder) installed(_ context.Context, id string) (plugin.Manifest, error) {
	entry := plugin.Load(string(f), id)
	switch {
	case entry.Symlink:
		return plugin.Manifest{}, fmt.Errorf("%w: remove %s first, its target stays", plugin.ErrSymlink, id)
	case entry.Manifest != nil:
		return *entry.Manifest, nil
	case errors.Is(entry.Err, plugin.ErrNotFound):
		return plugin.Manifest{}, fmt.Errorf("%w: %s (path: %s)", plugin.ErrNotFound, id, string(f))
	case errors.Is(entry.Err, plugin.ErrBadID):
		return plugin.Manifest{}, entry.Err
	default:
		return plugin.Manifest{}, nil
	}
}

func (f folder) String() string { return "" }

func (f folder) close() {}

// cluster is the object store, from which all replicas take what they have not in their
// folders.
type cluster struct {
	caller *client.Client
	conn   *nats.Conn
}

func (c cluster) exists(clientConfig) error { return nil }

func (c cluster) install(ctx context.Context, p *ndp, progress plugin.Progress) error {
	content, err := p.forCluster()
	if err != nil {
		return err
	}
	return c.caller.InstallPackage(ctx, content, progress)
}

func (c cluster) update(ctx context.Context, p *ndp, progress plugin.Progress) error {
	content, err := p.forCluster()
	if err != nil {
		return err
	}
	return c.caller.UpdatePackage(ctx, content, progress)
}

// forCluster is the package as the client takes it.
func (p *ndp) forCluster() (client.Package, error) {
	return client.Package{
		ID: p.id, Name: p.Manifest.Name, Version: p.Manifest.Version, Digest: p.Digest, Content: p.Content,
	}, plugin.CheckNewID(p.id)
}

func (c cluster) remove(ctx context.Context, id string) (bool, error) {
	return false, c.caller.RemovePackage(ctx, id)
}

func (c cluster) installed(ctx context.Context, id string) (plugin.Manifest, error) {
	installed, _, err := clusterPackage(ctx, c.caller, id)
	switch {
	case errors.Is(err, subjects.ErrPackageDamaged), errors.Is(err, plugin.ErrBadPackage): // which the update cures
		return plugin.Manifest{}, nil
	case err != nil:
		return plugin.Manifest{}, err
	}
	return *installed.Manifest, nil
}

// clusterPackage reads the package that the cluster has for a plugin.
func clusterPackage(ctx context.Context, caller *client.Client, id string) (*plugin.Package, subjects.PackageRecord, error) {
	record, err := caller.Package(ctx, id)
	if err != nil {
		return nil, record, err
	}
	content, err := caller.PackageContent(ctx, record)
	if err != nil {
		return nil, record, err
	}
	installed, err := plugin.ParsePackage(ctx, content)
	return installed, record, err
}

func (c cluster) String() string { return " for the cluster" }

func (c cluster) close() { c.conn.Close() }
