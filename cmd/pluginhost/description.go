package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pluginhost/pluginhost/internal/inspect"
	"github.com/pluginhost/pluginhost/internal/regular"
	"github.com/pluginhost/pluginhost/plugin"
	"github.com/pluginhost/pluginhost/subjects"
)

// description is all that the files of a plugin tell about it.
type description struct {
	// ID is what the plugin is called by, of a package what it would be.
	ID           string             `json:"id"`
	Name         string             `json:"name"`
	Author       string             `json:"author,omitempty"`
	Version      string             `json:"version,omitempty"`
	Description  string             `json:"description,omitempty"`
	Website      string             `json:"website,omitempty"`
	Capabilities []string           `json:"capabilities"`
	Permissions  plugin.Permissions `json:"permissions"`
	// keys are those of the permissions, where no more is known of them.
	keys []string
	// mayUse is what a replica tells of them.
	mayUse []string
	// Granted are the host functions of the permissions, Imported those that the module
	// uses.
	Granted  []string `json:"granted,omitempty"`
	Imported []string `json:"imported,omitempty"`
	// Isolation is what the host gives it by default, IsolationReason why it is no better.
	Isolation       string `json:"isolation,omitempty"`
	IsolationReason string `json:"isolation_reason,omitempty"`
	// Readme are the first lines of its README.
	Readme []string `json:"readme,omitempty"`
	// Faults keep it from loading.
	Faults   []string `json:"faults,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	// Package is set for a package, Files for a plugin of the plugins folder.
	Package *packageFacts `json:"package,omitempty"`
	Files   *fileFacts    `json:"files,omitempty"`
}

// packageFacts are those of a package file.
type packageFacts struct {
	File     string    `json:"file"`
	Size     int64     `json:"size"` // bytes
	Digest   string    `json:"sha256"`
	Modified time.Time `json:"modified"`
}

// fileFacts are the permissions of a plugin's files.
type fileFacts struct {
	Directory string `json:"directory"`
	Mode      string `json:"mode"`
	// Link is the mode of the symlink under development; then Directory is its target.
	Link     string `json:"link,omitempty"`
	Manifest string `json:"manifest"`
	Wasm     string `json:"wasm"`
}

func describe(manifest *plugin.Manifest, problems []plugin.Problem, report inspect.Report) *description {
	d := &description{
		Name: manifest.Name, Author: manifest.Author, Version: manifest.Version, Description: manifest.Description,
		Website: manifest.Website, Capabilities: manifest.Capabilities, Permissions: manifest.Permissions,
		Granted: report.Granted, Imported: report.Imported, Isolation: report.Isolation, IsolationReason: report.IsolationReason,
		Faults: report.Faults,
	}
	for _, problem := range problems {
		d.Warnings = append(d.Warnings, problem.String())
	}
	d.Warnings = append(d.Warnings, report.Warnings...)
	return d
}

// describePackage describes a package.
func describePackage(p *ndp) *description {
	d := describe(p.Manifest, p.Warnings, p.report)
	d.ID, d.Readme = p.id, readmeLines(p.Readme)
	d.Package = &packageFacts{File: p.Path, Size: p.Size, Digest: p.Digest, Modified: p.Modified}
	return d
}

// describeEntry describes a plugin of the plugins folder. One whose manifest cannot be read
// has only faults.
func describeEntry(cmd *cobra.Command, entry plugin.Entry, path string) *description {
	d := &description{Name: entry.ID}
	wasm, err := entry.ReadWasm()
	switch {
	case entry.Err != nil:
		d.Faults = []string{entry.Err.Error()}
	case err != nil:
		d = describe(entry.Manifest, entry.Warnings, inspect.Report{Faults: []string{err.Error()}})
	default:
		d = describe(entry.Manifest, entry.Warnings, inspect.Plugin(cmd.Context(), entry.Manifest, wasm, checkOf(cmd)))
	}
	d.ID = entry.ID
	if content, err := regular.Read(filepath.Join(entry.Dir, plugin.ReadmeName), plugin.MaxReadme); entry.Dir != "" && err == nil {
		d.Readme = readmeLines(content)
	}
	if entry.Dir != "" {
		d.Files = &fileFacts{Directory: entry.Dir, Mode: modeOf(entry.Dir), Manifest: modeOf(entry.ManifestPath), Wasm: modeOf(entry.WasmPath)}
		if entry.Symlink {
			if info, err := os.Lstat(path); err == nil {
				d.Files.Link = info.Mode().String()
			}
		}
	}
	return d
}

// maxReadmeLines is how many lines of a README are shown.
const maxReadmeLines = 20

// readmeLines are the first lines of a README that are not empty.
func readmeLines(content []byte) (lines []string) {
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(strings.ToValidUTF8(line, "\uFFFD")); line == "" {
			continue
		}
		if len(lines) == maxReadmeLines {
			return append(lines, "…")
		}
		lines = append(lines, line)
	}
	return lines
}

// describeStatus describes a plugin whose files are elsewhere.
func describeStatus(p subjects.PluginStatus) *description {
	return &description{
		ID: p.ID, Name: p.Name, Author: p.Author, Version: p.Version, Description: p.Description, Website: p.Website,
		Capabilities: p.Capabilities, keys: p.Permissions, Isolation: p.Isolation, IsolationReason: p.IsolationReason,
		Warnings: p.Warnings,
	}
}

func modeOf(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return "not there"
	}
	return info.Mode().String()
}

// print writes the description for people.
func (d *description) print(out io.Writer) error {
	p := printer{out: out}
	p.line("Plugin Information:")
	p.fact("  ID:          ", d.ID)
	p.fact("  Name:        ", d.Name)
	p.fact("  Author:      ", d.Author)
	p.fact("  Version:     ", d.Version)
	p.fact("  Description: ", d.Description)
	p.fact("  Website:     ", d.Website)
	p.fact("  Capabilities:    ", strings.Join(d.Capabilities, ", "))
	p.fact("  Isolation:   ", strings.TrimSuffix(d.Isolation+": "+d.IsolationReason, ": "))
	p.line("")
	d.permissions(&p)
	if d.Imported != nil || d.Granted != nil {
		p.line("")
		p.line("Host Functions:")
		p.fact("  Granted:  ", strings.Join(d.Granted, ", "))
		p.fact("  Imported: ", strings.Join(d.Imported, ", "))
	}
	p.list("From its README:", d.Readme)
	p.list("Warnings:", d.Warnings)
	p.list("It does not load:", d.Faults)
	if f := d.Package; f != nil {
		p.line("")
		p.line("Package Information:")
		p.fact("  File:        ", f.File)
		p.fact("  Size:        ", fmt.Sprintf("%d bytes (%.2f KB)", f.Size, float64(f.Size)/1024))
		p.fact("  SHA-256:     ", f.Digest)
		p.fact("  Modified:    ", f.Modified.Format(time.RFC3339))
	}
	if f := d.Files; f != nil {
		p.line("")
		p.line("File Permissions:")
		p.fact("  Directory:   ", f.Directory+" ("+f.Mode+")")
		if f.Link != "" {
			p.fact("  Symlink:     ", f.Link)
		}
		p.fact("  manifest.json: ", f.Manifest)
		p.fact("  plugin.wasm: ", f.Wasm)
	}
	return p.err
}

func (d *description) permissions(p *printer) {
	p.line("Required Permissions:")
	switch {
	case len(d.Permissions.Granted()) > 0:
	case len(d.mayUse) == 0:
		p.fact("  ", strings.Join(d.keys, ", "))
	default:
		for _, line := range d.mayUse {
			p.fact("  ", line)
		}
	}
	for _, key := range d.Permissions.Granted() {
		p.line("  " + key + ":")
		p.fact("    Reason: ", d.Permissions.Reason(key))
		for _, detail := range d.Permissions.Details(key) {
			if detail.List == nil {
				p.fact("    "+detail.Name+": ", detail.Value)
				continue
			}
			p.line("    " + detail.Name + ":")
			for _, element := range detail.List {
				p.fact("      ", element)
			}
		}
	}
}

// printer writes lines until one fails.
type printer struct {
	out io.Writer
	err error
}

func (p *printer) line(text string) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, text)
	}
}

// fact writes a foreign text behind what it is.
func (p *printer) fact(label, value string) { p.line(label + dash(printable(value))) }

// list writes foreign texts under a heading, if there are any.
func (p *printer) list(heading string, texts []string) {
	if len(texts) == 0 {
		return
	}
	p.line("")
	p.line(heading)
	for _, text := range texts {
		p.fact("  ", text)
	}
}
