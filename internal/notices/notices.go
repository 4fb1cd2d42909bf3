// Package notices collects the licences and notices of what is linked into programs.
package notices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Targets are the systems that programs are built for: what is linked differs.
func Targets() []string {
	return []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64", "windows/arm64"}
}

// Programs are the packages of the programs that are released, below the root of the
// module.
func Programs() []string { return []string{"./cmd/pluginhost", "./deploy/healthcheck"} }

// file is the name of a file that must be passed on with a program.
var file = regexp.MustCompile(`(?i)^(un)?(licen[cs]e|copying|copyright|notice|patents)([-._].*)?$`)

// source is never text for people, whatever its name.
var source = regexp.MustCompile(`(?i)\.(go|s|c|h|py|sh|js|json|ya?ml)$`)

// notice is one text, and whose it is.
type notice struct {
	owners []string // "module version: path of the file"
	text   string
}

// linkedPackage is what go list tells.
type linkedPackage struct {
	Dir        string
	ImportPath string
	Standard   bool
	Module     *struct {
		Path, Version, Dir string
		Main               bool
	}
}

// Collect returns the licences and notices of everything that is linked into the
// programs at these paths of the module in root, on any of Targets: those at the root of
// each module, and those of the folders that lead to a linked package. It needs the go
// command, and the modules in its cache. A module without any is an error.
func Collect(ctx context.Context, root string, programs ...string) ([]byte, error) {
	files, err := modules(ctx, root, programs)
	if err != nil {
		return nil, err
	}
	var notices []notice
	goroot, err := output(ctx, root, nil, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	standard := strings.TrimSpace(string(goroot))
	for _, name := range []string{"LICENSE", "PATENTS"} {
		if notices, err = add(notices, "Go, its runtime and standard library: "+name, filepath.Join(standard, name)); err != nil {
			return nil, err
		}
	}
	for _, owner := range slices.Sorted(maps.Keys(files)) {
		slices.Sort(files[owner])
		for _, path := range slices.Compact(files[owner]) {
			if notices, err = add(notices, owner+": "+within(path, owner), path); err != nil {
				return nil, err
			}
		}
	}
	return format(notices), nil
}

// modules returns the files of each module that is linked into programs, by its path and
// version.
func modules(ctx context.Context, root string, programs []string) (map[string][]string, error) {
	files := make(map[string][]string)
	for _, target := range Targets() {
		packages, err := list(ctx, root, target, programs)
		if err != nil {
			return nil, err
		}
		for _, p := range packages {
			if p.Standard || p.Module == nil || p.Module.Main {
				continue
			}
			found, err := above(p.Dir, p.Module.Dir)
			if err != nil {
				return nil, err
			}
			owner := p.Module.Path + " " + p.Module.Version
			files[owner] = append(files[owner], found...)
			if len(files[owner]) == 0 {
				return nil, fmt.Errorf("module %s has no licence in %s: see what it is under, and whether it may be linked", owner, p.Module.Dir)
			}
		}
	}
	return files, nil
}

// list returns the packages that programs are made of on a system.
func list(ctx context.Context, root, target string, programs []string) ([]linkedPackage, error) {
	system, architecture, _ := strings.Cut(target, "/")
	environment := []string{"GOOS=" + system, "GOARCH=" + architecture, "CGO_ENABLED=0"}
	arguments := append([]string{"list", "-deps", "-tags", "timetzdata", "-json=Dir,ImportPath,Standard,Module"}, programs...)
	answer, err := output(ctx, root, environment, arguments...)
	if err != nil {
		return nil, err
	}
	var packages []linkedPackage
	for decoder := json.NewDecoder(bytes.NewReader(answer)); ; {
		var p linkedPackage
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return packages, nil
		case err != nil:
			return nil, fmt.Errorf("go list for %s: %w", target, err)
		}
		packages = append(packages, p)
	}
}

func output(ctx context.Context, root string, environment []string, arguments ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", arguments...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), environment...)
	var said bytes.Buffer
	cmd.Stderr = &said
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(arguments, " "), err, bytes.TrimSpace(said.Bytes()))
	}
	return answer, nil
}

// above returns the files of a folder that must be passed on, and of those above it up
// to the root of its module.
func above(folder, root string) ([]string, error) {
	var found []string
	for ; ; folder = filepath.Dir(folder) {
		entries, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			if entry.Type().IsRegular() && file.MatchString(entry.Name()) && !source.MatchString(entry.Name()) {
				found = append(found, filepath.Join(folder, entry.Name()))
			}
		}
		if folder == root || len(folder) <= len(root) {
			return found, nil
		}
	}
}

// within is the path of a file in its module: what follows the version in that of the
// module cache.
func within(path, owner string) string {
	_, version, _ := strings.Cut(owner, " ")
	if _, rest, ok := strings.Cut(filepath.ToSlash(path), "@"+version+"/"); ok {
		return rest
	}
	return filepath.Base(path)
}

// add adds the text of a file, unless there is the same already: then it has one owner
// more.
func add(notices []notice, owner, path string) ([]notice, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	text := strings.ReplaceAll(string(content), "\r\n", "\n")
	text = strings.Trim(text, "\n")
	for i := range notices {
		if notices[i].text == text {
			notices[i].owners = append(notices[i].owners, owner)
			return notices, nil
		}
	}
	return append(notices, notice{[]string{owner}, text}), nil
}

const introduction = `Third-party notices
===================

The program pluginhost contains what is listed here. Each part is under the terms that
follow its name. This file is made by "make generate".
`

func format(notices []notice) []byte {
	var b bytes.Buffer
	b.WriteString(introduction)
	rule := strings.Repeat("-", 80)
	for _, n := range notices {
		fmt.Fprintf(&b, "\n%s\n", rule)
		for _, owner := range n.owners {
			fmt.Fprintf(&b, "%s\n", owner)
		}
		fmt.Fprintf(&b, "%s\n\n%s\n", rule, n.text)
	}
	return b.Bytes()
}
