package wasmrt

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// decoding is a context with which a module is compiled. wazero derives one from it once the module
// is decoded and validated, before it compiles the first function: all that it does with machine
// code from a cache as well, but for reading the file.
type decoding struct {
	context.Context
	since usage

	once   sync.Once
	time   time.Duration // 0 is that nobody has derived a context
	memory int64
}

// Done implements context.Context.
func (d *decoding) Done() <-chan struct{} {
	d.once.Do(func() {
		d.time, d.memory = d.since.end()
		d.time = max(d.time, 1)
		// The resident size does not grow where a module before has left room.
		d.memory = max(d.memory, int64(allocated()-d.since.allocated))
	})
	return d.Context.Done()
}

// littleCode is so much machine code, in bytes, that reading it remains far below MaxReadTime and
// MaxReadMemory: the file is read once, and eight bytes at a time for each function, of which
// there cannot be more than a few millions then.
const littleCode = 32 << 20

// isLittle says whether decoding has taken no more than a quarter of what reading may.
func (d *decoding) isLittle(most readBounds) bool {
	return d.time > 0 && d.time <= most.time/4 && d.memory <= most.memory/4
}

// codeSize is how many bytes the files of a translation have.
func codeSize(dir string) (size int64) {
	files, _ := filepath.Glob(filepath.Join(dir, "*", "*")) // the pattern is a good one
	for _, file := range files {
		if info, err := os.Stat(file); err == nil {
			size += info.Size()
		}
	}
	return size
}
