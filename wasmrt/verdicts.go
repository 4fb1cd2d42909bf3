package wasmrt

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"time"
)

// verdict is what is known of a module that a Compiler was given. Without one, no byte of
// a module is looked at by the compiler of this process.
type verdict struct {
	// Passed says that it was compiled within all limits. Code is the file with its machine code,
	// relative to the cache folder; empty where modules are interpreted.
	Passed bool   `json:"passed,omitempty"`
	Code   string `json:"code,omitempty"`
	// Reason and Text are those of the *CompileError with which it failed, Timeout and Memory the limits.
	Reason  CompileReason `json:"reason,omitempty"`
	Text    string        `json:"text,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"`
	Memory  int64         `json:"memory,omitempty"`
}

// failed returns the error with which the module failed within the same limits, or nil.
func (v verdict) failed(config Config) *CompileError {
	if v.Reason == "" || v.Timeout != config.CompileTimeout || v.Memory != config.CompileMemory {
		return nil
	}
	return &CompileError{v.Reason, v.Text}
}

const (
	verdictFolder = "verdicts"
	// maxVerdicts is how many are kept; the oldest go first.
	maxVerdicts = 1000
	// maxVerdict is how many bytes of one are read.
	maxVerdict = 8 << 10
)

// verdicts are files of a cache folder, which other processes may use as well.
type verdicts struct {
	dir      string
	compiler string // the version of what compiles
}

func newVerdicts(cache string) *verdicts {
	return &verdicts{filepath.Join(cache, verdictFolder), compilerVersion()}
}

// compilerVersion tells apart compilers that make different code of a module, or take
// another time for it.
func compilerVersion() string {
	version := runtime.GOARCH
	if interprets() {
		version += " interpreter"
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/tetratelabs/wazero" {
				version += " " + dep.Version + dep.Sum
			}
		}
	}
	return version
}

func (v *verdicts) file(module []byte) string {
	sum := sha256.New()
	_, _ = sum.Write(module)
	_, _ = io.WriteString(sum, v.compiler)
	return filepath.Join(v.dir, hex.EncodeToString(sum.Sum(nil)))
}

// of returns the verdict of a module. One that cannot be read is none.
func (v *verdicts) of(module []byte) (known verdict) {
	file, err := os.Open(v.file(module))
	if err != nil {
		return verdict{}
	}
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, maxVerdict))
	if err != nil || json.Unmarshal(content, &known) != nil || known.Code != "" && !filepath.IsLocal(known.Code) {
		return verdict{}
	}
	return known
}

// put keeps a verdict, in the place of the one before.
func (v *verdicts) put(module []byte, known verdict) error {
	if err := os.MkdirAll(v.dir, 0o700); err != nil {
		return err
	}
	content, err := json.Marshal(known)
	if err != nil {
		return err
	}
	file, err := os.CreateTemp(v.dir, "new-*")
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), v.file(module))
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return v.trim()
}

// trim removes the oldest verdicts that are too many.
func (v *verdicts) trim() error {
	entries, err := os.ReadDir(v.dir)
	if err != nil || len(entries) <= maxVerdicts {
		return err
	}
	ages := make(map[string]time.Time, len(entries))
	for _, entry := range entries {
		if info, err := entry.Info(); err == nil {
			ages[entry.Name()] = info.ModTime()
		}
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return ages[a.Name()].Compare(ages[b.Name()]) })
	for _, entry := range entries[:len(entries)-maxVerdicts] {
		if err := os.Remove(filepath.Join(v.dir, entry.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
