package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/pluginhost/pluginhost/internal/regular"
)

// DefaultFile is the file that is read from the working directory, if it is there and no other is named.
const DefaultFile = "pluginhost.toml"

// Sources are where settings come from, besides a file that they name.
type Sources struct {
	// Flag returns the value of a flag of the command line, if it was given.
	Flag func(name string) (value string, given bool)
	// Env is os.LookupEnv or a stand-in.
	Env func(name string) (value string, given bool)
}

// file is the file that was asked for, and by what; or the one in the working directory.
func (s Sources) file() (name, asked string) {
	if value, given := s.Flag("config"); given && value != "" {
		return value, "--config"
	}
	if value, given := s.Env("PLUGINHOST_CONFIG"); given && value != "" {
		return value, "PLUGINHOST_CONFIG"
	}
	return DefaultFile, ""
}

// Source is where the configuration of a replica comes from. It implements watch.Subject for its file. Load is for one
// goroutine at a time, the rest for any, once Load has returned.
type Source struct {
	sources Sources
	file    string
	// seen is the digest of the file that was loaded last.
	seen atomic.Pointer[string]
	// filled says that there was something in the file that was applied last.
	filled bool
	// settled has a token when the file has changed.
	settled chan struct{}
}

// NewSource returns a Source. It reads nothing yet, and has nothing to close.
func NewSource(sources Sources) *Source {
	s := &Source{sources: sources, settled: make(chan struct{}, 1)}
	s.file, _ = sources.file()
	return s
}

// File is the path of the file, which need not exist.
func (s *Source) File() string { return s.file }

// Load puts the configuration together anew and validates it. Any error is a *LoadError with all faults, and then there is
// nothing but File in the Config. It touches nothing but the file system. A file that is empty is a fault if it was not at the
// last Load without faults.
func (s *Source) Load() (Config, error) {
	seen := s.look()
	s.seen.Store(&seen) // before the file is read: what comes later is a change
	l := newLoader(s.sources)
	l.emptied = s.filled
	l.load()
	l.fillName(os.Hostname)
	l.fillFolders()
	l.validate()
	if len(l.faults) > 0 {
		return Config{File: l.file}, &LoadError{Faults: l.faults}
	}
	s.filled = seen != "" && seen != blankFile
	return l.config, nil
}

// Settled implements watch.Subject.
func (s *Source) Settled(string) {
	select {
	case s.settled <- struct{}{}:
	default: // it will be loaded
	}
}

// Changes has a value when the file has changed, once it is watched.
func (s *Source) Changes() <-chan struct{} { return s.settled }

// blankFile is the digest of a file with nothing in it.
const blankFile = "blank"

// look is a digest of what is in the file; empty where there is none.
func (s *Source) look() string {
	content, err := regular.Read(s.file, maxFile+1)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		return err.Error()
	}
	if isBlank(content) {
		return blankFile
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

// Folders implements watch.Subject.
func (s *Source) Folders() []string {
	folders := []string{filepath.Dir(s.file)}
	if real, err := filepath.EvalSymlinks(s.file); err == nil {
		folders = append(folders, filepath.Dir(real))
	}
	return folders
}

// Changed implements watch.Subject. A file that is gone changes nothing: it may be about to be replaced.
func (s *Source) Changed() map[string]string {
	now := s.look()
	if now == "" || now == *s.seen.Load() {
		return nil
	}
	return map[string]string{s.file: now}
}
