package wasmrt

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"
	"time"
)

// withData is a module with a data segment of that many bytes.
func withData(size int) []byte {
	segment := append([]byte{1, 1}, binary.AppendUvarint(nil, uint64(size))...) // one, that only code can use
	section := binary.AppendUvarint([]byte{11}, uint64(len(segment)+size))
	return append(append(append([]byte(oneFunction), section...), segment...), make([]byte, size)...)
}

// few are bounds that a module of 40 MiB passes.
var few = readBounds{time.Minute, 32 << 20}

// Without a measure everything would be read twice; a measure that was taken too early would let
// pass what takes much to read.
func TestWhatDecodingTakesIsMeasured(t *testing.T) {
	for size, little := range map[int]bool{1: true, 40 << 20: false} {
		decoded, err := translate(context.Background(), Job{Module: withData(size), Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if decoded.time == 0 || decoded.isLittle(few) != little {
			t.Errorf("a module of %d bytes takes %v and %d bytes: little is %v, want %v", size, decoded.time, decoded.memory, !little, little)
		}
	}
}

func TestAModuleThatTakesTooMuchMemoryToReadIsRefused(t *testing.T) {
	for _, which := range []string{"the first of a process", "one that has the room of the first", "one more"} {
		err := translateToRead(context.Background(), Job{Module: withData(40 << 20), Dir: t.TempDir()}, few)
		var failed *CompileError
		if !errors.As(err, &failed) || failed.Reason != CompileReading {
			t.Errorf("%s: the error is %v, want that it takes too much to read", which, err)
		}
	}
	if err := translateToRead(context.Background(), Job{Module: withData(1), Dir: t.TempDir()}, few); err != nil {
		t.Error(err)
	}
}
