package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/internal/inspect"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// ndp is a package on the command line.
type ndp struct {
	*plugin.Package
	id     string // of the plugin it becomes
	report inspect.Report
	mayUse []string // of the host, where that is shown
	before string   // the version that an update replaces
}

// openPackage reads, checks and inspects a package. Its id is the name in its manifest,
// as in Navidrome, or what the flag --as says.
func openPackage(cmd *cobra.Command, path string) (*ndp, error) {
	p, err := plugin.ReadPackage(cmd.Context(), path)
	if info, failed := os.Stat(path); err != nil && failed == nil && info.IsDir() {
		return nil, fmt.Errorf("%w: pluginhost plugin build makes a package of a folder, plugin dev links it", err)
	}
	if err != nil {
		return nil, err
	}
	opened := &ndp{Package: p, id: p.Manifest.Name, report: inspect.Plugin(cmd.Context(), p.Manifest, p.Wasm, checkOf(cmd))}
	if flag := cmd.Flags().Lookup("as"); flag != nil && flag.Changed {
		opened.id = flag.Value.String()
	}
	return opened, nil
}

// installable says why the plugin would not load.
func (p *ndp) installable() error {
	if len(p.report.Faults) == 0 {
		return nil
	}
	return fmt.Errorf("%s would not load, nothing is changed: %s", p.Path, printable(strings.Join(p.report.Faults, "; ")))
}

// explain says what to do about a package that has no place where it is to go.
func (p *ndp) explain(err error) error {
	switch {
	case errors.Is(err, plugin.ErrBadID):
		return fmt.Errorf("%w; the name in the manifest is the id unless --as ID says another", err)
	case errors.Is(err, plugin.ErrInstalled), errors.Is(err, subjects.ErrInstalled):
		return fmt.Errorf("%w: pluginhost plugin update puts the package in its place, --as ID installs it beside that one", err)
	case errors.Is(err, plugin.ErrTwin):
		return fmt.Errorf("%w; --as ID installs it under another id", err)
	case errors.Is(err, plugin.ErrNotFound), errors.Is(err, subjects.ErrNotInstalled):
		return fmt.Errorf("%w: pluginhost plugin install is for what is not there yet", err)
	}
	return err
}

// addPackageFlags registers the flags of the commands that take a package.
func addPackageFlags(cmd *cobra.Command) {
	addClientFlags(cmd.Flags())
	addFolderFlags(cmd.Flags())
	cmd.Flags().String("as", "", "id of the plugin (default the name in its manifest)")
}

// progress shows how far unpacking is, once it takes a while.
type progress struct {
	out   io.Writer
	verb  string
	begun time.Time
	shown time.Time
}

// newProgress shows progress on a terminal only; elsewhere it is nil.
func newProgress(cmd *cobra.Command, verb string) plugin.Progress {
	file, ok := cmd.ErrOrStderr().(*os.File)
	if !ok {
		return nil
	}
	if info, err := file.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return nil
	}
	p := &progress{out: file, verb: verb, begun: time.Now()}
	return p.show
}

func (p *progress) show(done, total int64) {
	const patience, pace = 300 * time.Millisecond, 100 * time.Millisecond
	now := time.Now()
	switch {
	case done == total && !p.shown.IsZero():
		_, _ = fmt.Fprintf(p.out, "\r%s: done          \n", p.verb)
	case now.Sub(p.begun) < patience || now.Sub(p.shown) < pace:
	default:
		p.shown = now
		_, _ = fmt.Fprintf(p.out, "\r%s: %d of %d MB", p.verb, done>>20, total>>20)
	}
}

// printable makes a foreign text harmless to a terminal, in one line.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.Join(strings.Fields(text), " "))
}
