package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"time"
)

// profiled is how long the profile of one row is.
const profiled = 5 * time.Second

// profileRows measures each row once more, for a CPU profile in a file named
// after it. What it measures is not reported: profiling costs time.
func profileRows(ctx context.Context, rows []*row, p plan) error {
	if err := os.MkdirAll(p.profiles, 0o750); err != nil {
		return fmt.Errorf("folder for profiles: %w", err)
	}
	for _, r := range rows {
		if err := r.profile(ctx, p.profiles); err != nil {
			return err
		}
	}
	return nil
}

func (r *row) profile(ctx context.Context, folder string) (err error) {
	name := strings.NewReplacer(",", "", " ", "-", "/", "-").Replace(strings.ToLower(r.name))
	file, err := os.Create(filepath.Join(folder, fmt.Sprintf("%s-%d.pprof", name, r.callers)))
	if err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	if err := pprof.StartCPUProfile(file); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	defer pprof.StopCPUProfile()
	_, err = r.measure(ctx, profiled)
	return err
}
