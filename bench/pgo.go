package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/google/pprof/profile"
)

// guiding are the sections and rows whose profiles guide the compiler of Go, in equal parts: what
// takes time at a start, and what takes it afterwards.
var guiding = []struct{ section, file string }{
	{"load", "load-nothing-cached-0.pprof"},
	{"bus", "plugin-go-clean-64.pprof"},
}

// guide profiles what a replica does most, and writes one profile for go build -pgo.
func guide(ctx context.Context, p plan, path string) (err error) {
	if p.profiles, err = os.MkdirTemp("", "pluginhost-profiles"); err != nil {
		return fmt.Errorf("folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(p.profiles)) }()
	profiles := make([]*profile.Profile, len(guiding))
	for i, g := range guiding {
		chosen, err := selected(g.section)
		if err != nil {
			return err
		}
		if err := benchmark(ctx, chosen, p, func(outcome) error { return nil }); err != nil {
			return err
		}
		if profiles[i], err = readProfile(filepath.Join(p.profiles, g.file)); err != nil {
			return err
		}
	}
	merged, err := profile.Merge(profiles)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	return errors.Join(merged.Write(file), file.Close())
}

// readProfile reads a profile without what is of this machine: only the names of functions and the
// lines within them are of use to the compiler.
func readProfile(path string) (*profile.Profile, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	defer func() { _ = file.Close() }() // nothing was written
	p, err := profile.Parse(file)
	if err != nil {
		return nil, fmt.Errorf("profile %s: %w", path, err)
	}
	for _, m := range p.Mapping {
		m.File, m.BuildID = "", ""
	}
	for _, f := range p.Function {
		f.Filename = filepath.Base(f.Filename)
	}
	return p, nil
}
