package author

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/pluginhost/pluginhost/internal/regular"
	"github.com/pluginhost/pluginhost/plugin"
)

// SDK is the module whose version a plugin names. What a plugin imports is in the modules that this one requires, and comes
// at their versions.
const SDK = "github.com/pluginhost/pluginhost"

var (
	// ErrNotEmpty says that there are files where a new plugin is to be.
	ErrNotEmpty = errors.New("the folder is not empty")
	// ErrNoSDK says that it is not known which version of the SDK a plugin needs.
	ErrNoSDK = errors.New("this is a development build, whose SDK no module proxy has")
)

// Draft says what a new plugin is to be.
type Draft struct {
	// Dir is where it goes, a folder that is missing or empty.
	Dir string
	// Name is that of the plugin, which becomes its id.
	Name string
	// Capabilities are those of package plugin, at least one.
	Capabilities []string
	// Module is the path of its Go module. Defaults to example.com/ and the name.
	Module string
	// Checkout is a folder with the source of the SDK, absolute. Empty is the version Version of a
	// module proxy.
	Checkout, Version string
}

//go:embed template
var templates embed.FS

// New writes the files of a plugin that builds, works and is tested, and fetches what it
// needs; output gets what the Go command says. It writes all files or none. The error is
// ErrNotEmpty, ErrNoSDK, or says what is wrong with the draft.
func New(ctx context.Context, draft Draft, output io.Writer) error {
	if err := draft.complete(); err != nil {
		return err
	}
	files, err := draft.files()
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("plugins in Go are built with the go command, which is not there: install it from https://go.dev/dl: %w", err)
	}
	if err := write(draft.Dir, files); err != nil {
		return err
	}
	tidy := exec.CommandContext(ctx, "go", "mod", "tidy")
	tidy.Dir = draft.Dir
	tidy.Stdout, tidy.Stderr = output, output
	if err := tidy.Run(); err != nil {
		return fmt.Errorf("the files are written, but go mod tidy failed, run it again in %s: %w", draft.Dir, errors.Join(context.Cause(ctx), err))
	}
	return nil
}

// write writes files into a folder that is missing or empty but for a repository. After an
// error the folder is as it was.
func write(dir string, files map[string][]byte) (err error) {
	entries, err := os.ReadDir(dir)
	isNew := errors.Is(err, os.ErrNotExist)
	if err != nil && !isNew {
		return err
	}
	if slices.ContainsFunc(entries, func(e os.DirEntry) bool { return e.Name() != ".git" }) {
		return fmt.Errorf("%w: %s", ErrNotEmpty, dir)
	}
	var written []string
	defer func() {
		if err == nil {
			return
		}
		for _, path := range written {
			_ = os.Remove(path)
		}
		if isNew {
			_ = os.Remove(dir)
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // source code, as the author's umask has it
		return err
	}
	for name, content := range files {
		written = append(written, filepath.Join(dir, name))
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil { //nolint:gosec // as above
			return err
		}
	}
	return nil
}

// complete fills in what is empty and checks the rest.
func (d *Draft) complete() error {
	if d.Module == "" {
		d.Module = "example.com/" + strings.Trim(regexp.MustCompile(`[^A-Za-z0-9._~-]+`).ReplaceAllString(d.Name, "-"), "-.")
		if d.Module == "example.com/" { // no letter that a path can have
			d.Module += "plugin"
		}
	}
	if err := module.CheckPath(d.Module); err != nil {
		return fmt.Errorf("module path: %w", err)
	}
	if err := plugin.CheckNewID(d.Name); err != nil {
		return err
	}
	slices.Sort(d.Capabilities)
	d.Capabilities = slices.Compact(d.Capabilities)
	for _, capability := range d.Capabilities {
		if !slices.Contains(Capabilities(), capability) {
			return fmt.Errorf("unknown capability %q: there are %s", capability, strings.Join(Capabilities(), ", "))
		}
	}
	if len(d.Capabilities) == 0 {
		return errors.New("a plugin needs a capability: there are " + strings.Join(Capabilities(), ", "))
	}
	// A schedule and a socket need somebody who makes them.
	needsInit := d.Has(plugin.SchedulerCallback) || d.Has(plugin.WebSocketCallback)
	if needsInit && !d.Has(plugin.LifecycleManagement) {
		d.Capabilities = append(d.Capabilities, plugin.LifecycleManagement)
	}
	if d.Checkout == "" && d.Version == "" {
		return ErrNoSDK
	}
	if d.Checkout != "" && !IsCheckout(d.Checkout) {
		return fmt.Errorf("%s is no checkout of %s", d.Checkout, SDK)
	}
	return nil
}

// IsRelease tells whether a module proxy has the SDK of a version.
func IsRelease(version string) bool {
	return semver.IsValid(version) && !module.IsPseudoVersion(version) && semver.Build(version) == ""
}

// maxModFile is how much of a go.mod is read, in bytes: its first line names the module.
const maxModFile = 1 << 20

// IsCheckout tells whether a folder has the source of the SDK.
func IsCheckout(dir string) bool {
	content, err := regular.Read(filepath.Join(dir, "go.mod"), maxModFile)
	return err == nil && modfile.ModulePath(content) == SDK
}

// Command is what the plugin's documentation calls it.
func (d *Draft) Command() string { return strings.Join(strings.Fields(d.Name), "") }

// PackageName is the name of the plugin's package.
func (d *Draft) PackageName() string { return PackageName(d.Name) }

// PackageName is the file name of the package of a plugin.
func PackageName(name string) string {
	name = strings.Trim(regexp.MustCompile(`[^\pL\pN._-]+`).ReplaceAllString(name, "-"), "-.")
	if name == "" {
		name = "plugin"
	}
	return name + plugin.PackageExt
}

// Capabilities are those that a new plugin can have.
func Capabilities() []string {
	return []string{plugin.MetadataAgent, plugin.Scrobbler, plugin.SchedulerCallback, plugin.WebSocketCallback, plugin.LifecycleManagement}
}

// Has tells whether the plugin is to have a capability.
func (d *Draft) Has(capability string) bool { return slices.Contains(d.Capabilities, capability) }

// files are the contents of the plugin's files by name.
func (d *Draft) files() (map[string][]byte, error) {
	files := map[string][]byte{}
	all, err := template.New("").Funcs(template.FuncMap{"json": quoteJSON, "quote": modfile.AutoQuote, "join": filepath.Join}).ParseFS(templates, "template/*.tmpl")
	if err != nil {
		return nil, err
	}
	names, err := fs.Glob(templates, "template/*.tmpl")
	if err != nil {
		return nil, err
	}
	for _, path := range names {
		name := filepath.Base(path)
		var content bytes.Buffer
		if err := all.ExecuteTemplate(&content, name, d); err != nil {
			return nil, err
		}
		text := bytes.TrimSpace(content.Bytes())
		if len(text) == 0 {
			continue // of a capability that the plugin has not
		}
		name = strings.TrimSuffix(name, ".tmpl")
		if strings.HasSuffix(name, ".go") {
			if text, err = format.Source(text); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
		files[name] = append(bytes.TrimRight(text, "\n"), '\n')
	}
	files[".gitignore"] = []byte(plugin.WasmName + "\n*" + plugin.PackageExt + "\n.plugin-*\n.package-*\n")
	return files, nil
}

// quoteJSON makes a text a JSON string as a person would write it.
func quoteJSON(text string) (string, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(text)
	return string(bytes.TrimSpace(out.Bytes())), err
}
