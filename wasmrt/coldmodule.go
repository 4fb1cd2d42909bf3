package wasmrt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tetratelabs/wazero"
)

// readAttempts is how often the machine code of a module is looked for: between its
// translation and its reading another process may have trimmed a folder that both use.
const readAttempts = 3

// read finds the machine code of a module in the cache, and has the Compiler make it where
// there is none. It stays there until drop is called.
func (r *Runtime) read(ctx context.Context, engine wazero.Runtime, module []byte, limits Limits, options Options) (_ wazero.CompiledModule, drop func(), err error) {
	drop = func() {}
	known := r.verdicts.of(module)
	if failed := known.failed(r.config); failed != nil && !options.Again {
		told := failed.loadError(r.config)
		return nil, drop, &LoadError{fmt.Errorf("%w (%w)", told.Err, ErrFailedBefore), told.Hint}
	}
	for range readAttempts {
		var compiled wazero.CompiledModule
		if compiled, drop, err = r.readKnown(ctx, engine, module, known); err == nil {
			return compiled, drop, nil
		}
		if ctx.Err() != nil {
			return nil, drop, context.Cause(ctx)
		}
		if !errors.Is(err, errNoCode) {
			options.Logger.Warn("machine code cannot be read: it is made anew", "file", filepath.Join(r.config.CacheDir, known.Code), "error", err)
		}
		if compiled, drop, known, err = r.makeCode(ctx, engine, module, limits, options); !errors.Is(err, errNoCode) {
			return compiled, drop, err
		}
	}
	return nil, drop, &LoadError{fmt.Errorf("compile cache %s: %w", r.config.CacheDir, err), "another process empties it, or it is another version's: give this one a folder of its own"}
}

// readKnown reads the machine code of a module that has a verdict. It is errNoCode where
// there is none: what no process has translated before is not even decoded in this one.
func (r *Runtime) readKnown(ctx context.Context, engine wazero.Runtime, module []byte, known verdict) (_ wazero.CompiledModule, drop func(), err error) {
	drop = func() {}
	if !known.Passed {
		return nil, drop, errNoCode
	}
	done, err := r.compileSlot(ctx)
	if err != nil {
		return nil, drop, err
	}
	defer done()
	r.trimming.RLock()
	defer r.trimming.RUnlock()
	compiled, err := readCode(ctx, engine, module)
	if err == nil && known.Code != "" {
		drop = r.loaded.take(known.Code)
		now := time.Now()
		// What was used longest ago goes first. There is no file where another process has trimmed
		// the folder and the code is in memory.
		_ = os.Chtimes(filepath.Join(r.config.CacheDir, known.Code), now, now)
	}
	return compiled, drop, err
}

// makeCode has the Compiler translate a module, when its turn comes, and reads the result.
func (r *Runtime) makeCode(ctx context.Context, engine wazero.Runtime, module []byte, limits Limits, options Options) (_ wazero.CompiledModule, drop func(), known verdict, err error) {
	drop = func() {}
	dir, err := os.MkdirTemp(r.config.CacheDir, translating+"*")
	if err != nil {
		return nil, drop, known, r.cacheError(err)
	}
	defer func() {
		if failed := os.RemoveAll(dir); failed != nil {
			options.Logger.Warn("what is left of a translation cannot be deleted", "folder", dir, "error", failed)
		}
	}()
	if err := r.translateInTurn(ctx, Job{Module: module, Dir: dir, Memory: r.config.CompileMemory, MaxMemory: limits.MaxMemory}, options); err != nil {
		return nil, drop, known, err
	}
	compiled, drop, known, err := r.takeCode(ctx, engine, module, dir)
	if err == nil {
		r.compiled()
	}
	return compiled, drop, known, err
}

// takeCode moves what was translated into the cache, and reads it before anything of the
// cache is trimmed.
func (r *Runtime) takeCode(ctx context.Context, engine wazero.Runtime, module []byte, dir string) (_ wazero.CompiledModule, drop func(), known verdict, err error) {
	drop = func() {}
	done, err := r.compileSlot(ctx)
	if err != nil {
		return nil, drop, known, err
	}
	defer done()
	r.trimming.RLock()
	defer r.trimming.RUnlock()
	known.Passed = true
	if known.Code, err = moveCode(dir, r.config.CacheDir); err == nil {
		err = r.verdicts.put(module, known)
	}
	if err != nil {
		return nil, drop, known, r.cacheError(err)
	}
	compiled, err := readCode(ctx, engine, module)
	if err == nil {
		drop = r.loaded.take(known.Code)
	}
	return compiled, drop, known, err
}

// moveCode moves the file that a translation has made, and returns its path below to. It has
// made none where modules are interpreted.
func moveCode(from, to string) (string, error) {
	files, err := filepath.Glob(filepath.Join(from, "*", "*"))
	if err != nil {
		return "", err
	}
	if len(files) == 0 {
		return "", nil
	}
	if len(files) > 1 {
		return "", fmt.Errorf("a translation has made %d files: %w", len(files), fs.ErrInvalid)
	}
	code, err := filepath.Rel(from, files[0])
	if err != nil {
		return "", err
	}
	target := filepath.Join(to, code)
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return "", err
	}
	return code, os.Rename(files[0], target)
}

// translateInTurn has a module translated, and keeps in mind what it takes too much of.
func (r *Runtime) translateInTurn(ctx context.Context, job Job, options Options) error {
	turn := &compileTurn{slice: sliceOf(job.Module)}
	if r.verdicts.of(job.Module).failed(r.config) != nil {
		turn.class = classFailed
	}
	options.Progress.follow(turn)
	defer options.Progress.follow(nil)
	err := r.queue.do(ctx, turn, func(ctx context.Context) error { return r.translateOnce(ctx, turn, job, options.Logger) })
	var (
		failed  *CompileError
		invalid *ModuleError
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.As(err, &failed):
		known := verdict{Reason: failed.Reason, Text: failed.Text, Timeout: r.config.CompileTimeout, Memory: r.config.CompileMemory}
		if err := r.verdicts.put(job.Module, known); err != nil {
			options.Logger.Warn("it cannot be kept in mind that a module does not compile", "dir", r.config.CacheDir, "error", err)
		}
		return failed.loadError(r.config)
	case errors.As(err, &invalid):
		return &LoadError{invalid, invalidHint}
	default:
		return &LoadError{fmt.Errorf("the module could not be compiled: %w", err), "check the space and the permissions of " + r.config.CacheDir + ", and how many processes this one may start; then refresh the plugin"}
	}
}

const invalidHint = "the file is damaged, cut short, or needs more than [Runtime] MaxMemory: build or copy it again"

// translateOnce has a module translated within CompileTimeout, unless it is made to give way.
func (r *Runtime) translateOnce(ctx context.Context, turn *compileTurn, job Job, log *slog.Logger) error {
	begun := time.Now()
	job.Worked = func(worked time.Duration) {
		if r.queue.note(turn, worked) {
			log.Info("compiling takes long", "so_far", time.Since(begun).Round(time.Millisecond), "[Runtime] CompileTimeout", r.config.CompileTimeout)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, r.config.CompileTimeout, errCompileTimeout)
	defer cancel()
	err := r.config.Compiler.Compile(ctx, job)
	switch {
	case errors.Is(err, errCompileTimeout):
		return &CompileError{CompileTime, fmt.Sprintf("%v: it was ended after %v", errCompileTimeout, r.config.CompileTimeout)}
	case errors.Is(err, errGaveWay):
		log.Info("compiling was ended in favour of other plugins: it begins anew behind them", "after", time.Since(begun).Round(time.Millisecond))
	}
	return err
}

func (r *Runtime) cacheError(err error) error {
	return &LoadError{fmt.Errorf("compile cache %s: %w", r.config.CacheDir, err), "check the disk's space and the folder's permissions"}
}

// translating begins the names of folders for translations, in the cache folder.
const translating = "translating-"

// leftAfter is how old a folder is that nobody works in any more.
const leftAfter = time.Hour

// dropLeft removes what translations have left whose process was killed. The folder may be
// shared with others that are at work.
func dropLeft(cache string, timeout time.Duration) error {
	entries, err := os.ReadDir(cache)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), translating) {
			continue
		}
		if info, failed := entry.Info(); failed == nil && time.Since(info.ModTime()) > leftAfter+timeout {
			err = errors.Join(err, os.RemoveAll(filepath.Join(cache, entry.Name())))
		}
	}
	return err
}
