package wasmrt

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
)

// Errors of WASI, from the witx files of wasi_snapshot_preview1.
const (
	wasiSuccess = 0
	wasiBadf    = 8
	wasiFault   = 21
	wasiInval   = 28
	wasiNotdir  = 54
	wasiNotsup  = 58
	wasiSpipe   = 70
)

// Bounds on what one call of WASI may be asked for.
const (
	maxVectors       = 1 << 10
	maxSubscriptions = 4 << 10
)

// descriptors are all that a guest has: stdin, which is empty, stdout and stderr.
// They are part of no image, so nothing that a guest does changes them: closing
// one succeeds and has no effect.
const descriptors = 3

// wasiFunction is a function of WASI that is ours.
type wasiFunction struct {
	name   string
	params []api.ValueType
	call   func(i *instance, memory api.Memory, params []uint64) (errno uint32)
}

// wasiFunctions stand in for those of wazero whose work follows their parameters
// and that change descriptors: wazero copies paths and makes events of
// subscriptions, however many, before it looks whether that can be done at all.
func wasiFunctions() []wasiFunction {
	types := func(params ...api.ValueType) []api.ValueType { return params }
	return []wasiFunction{
		{"fd_close", types(i32), onDescriptor(wasiSuccess)},
		{"fd_renumber", types(i32, i32), func(i *instance, memory api.Memory, params []uint64) uint32 {
			return max(onDescriptor(wasiSuccess)(i, memory, params), onDescriptor(wasiSuccess)(i, memory, params[1:]))
		}},
		{"fd_fdstat_set_flags", types(i32, i32), onDescriptor(wasiSuccess)},
		{"fd_pread", types(i32, i32, i32, i64, i32), onDescriptor(wasiSpipe)},
		{"fd_pwrite", types(i32, i32, i32, i64, i32), onDescriptor(wasiSpipe)},
		{"fd_read", types(i32, i32, i32, i32), fdRead},
		{"fd_write", types(i32, i32, i32, i32), fdWrite},
		{"poll_oneoff", types(i32, i32, i32, i32), pollOneoff},
		// There are no directories.
		{"path_create_directory", types(i32, i32, i32), onDescriptor(wasiNotdir)},
		{"path_filestat_get", types(i32, i32, i32, i32, i32), onDescriptor(wasiNotdir)},
		{"path_filestat_set_times", types(i32, i32, i32, i32, i64, i64, i32), onDescriptor(wasiNotdir)},
		{"path_link", types(i32, i32, i32, i32, i32, i32, i32), onDescriptor(wasiNotdir)},
		{"path_open", types(i32, i32, i32, i32, i32, i64, i64, i32, i32), onDescriptor(wasiNotdir)},
		{"path_readlink", types(i32, i32, i32, i32, i32, i32), onDescriptor(wasiNotdir)},
		{"path_remove_directory", types(i32, i32, i32), onDescriptor(wasiNotdir)},
		{"path_rename", types(i32, i32, i32, i32, i32, i32), onDescriptor(wasiNotdir)},
		{"path_symlink", types(i32, i32, i32, i32, i32), func(i *instance, memory api.Memory, params []uint64) uint32 {
			return onDescriptor(wasiNotdir)(i, memory, params[2:])
		}},
		{"path_unlink_file", types(i32, i32, i32), onDescriptor(wasiNotdir)},
	}
}

// instantiateWASI makes the module wasi_snapshot_preview1 of a runtime.
func instantiateWASI(ctx context.Context, runtime wazero.Runtime) error {
	builder := runtime.NewHostModuleBuilder(wasi_snapshot_preview1.ModuleName)
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(builder)
	for _, function := range wasiFunctions() {
		serve := func(ctx context.Context, module api.Module, stack []uint64) {
			errno := uint32(wasiBadf)
			if inst := instanceOf(ctx); inst != nil {
				errno = function.call(inst, module.Memory(), stack)
			}
			stack[0] = uint64(errno)
		}
		builder.NewFunctionBuilder().
			WithGoModuleFunction(api.GoModuleFunc(serve), function.params, []api.ValueType{i32}).
			Export(function.name)
	}
	_, err := builder.Instantiate(ctx)
	return err
}

// onDescriptor answers errno where the first parameter is a descriptor.
func onDescriptor(errno uint32) func(*instance, api.Memory, []uint64) uint32 {
	return func(_ *instance, _ api.Memory, params []uint64) uint32 {
		if uint32(params[0]) >= descriptors {
			return wasiBadf
		}
		return errno
	}
}

// fdRead reads nothing: stdin is at its end.
func fdRead(_ *instance, memory api.Memory, params []uint64) uint32 {
	switch {
	case uint32(params[0]) != 0:
		return wasiBadf
	case !memory.WriteUint32Le(uint32(params[3]), 0):
		return wasiFault
	default:
		return wasiSuccess
	}
}

// fdWrite writes buffers to stdout or stderr.
func fdWrite(i *instance, memory api.Memory, params []uint64) uint32 {
	fd, vectors, n, result := uint32(params[0]), uint32(params[1]), uint32(params[2]), uint32(params[3])
	if fd == 0 || fd >= descriptors {
		return wasiBadf
	}
	if n > maxVectors {
		return wasiInval
	}
	i.check()
	list, ok := memory.Read(vectors, n*8)
	if !ok {
		return wasiFault
	}
	out := i.stdout
	if fd == 2 {
		out = i.stderr
	}
	var written uint32
	for ; len(list) > 0; list = list[8:] {
		buffer, ok := memory.Read(binary.LittleEndian.Uint32(list), binary.LittleEndian.Uint32(list[4:]))
		if !ok {
			return wasiFault
		}
		_, _ = out.Write(buffer) // never fails
		written += uint32(len(buffer))
	}
	if !memory.WriteUint32Le(result, written) {
		return wasiFault
	}
	return wasiSuccess
}

// Layout of the subscriptions and events of poll_oneoff, in bytes.
const (
	subscriptionBytes = 48
	eventBytes        = 32
)

// pollOneoff is a guest's sleep: it waits for the shortest of the clocks, unless
// something else is subscribed, which is ready at once.
func pollOneoff(i *instance, memory api.Memory, params []uint64) uint32 {
	n := uint32(params[2])
	if n == 0 || n > maxSubscriptions {
		return wasiInval
	}
	i.check()
	subscriptions, okIn := memory.Read(uint32(params[0]), n*subscriptionBytes)
	events, okOut := memory.Read(uint32(params[1]), n*eventBytes)
	if !okIn || !okOut || !memory.WriteUint32Le(uint32(params[3]), n) {
		return wasiFault
	}
	wait := uint64(math.MaxInt64)
	for ; len(subscriptions) > 0; subscriptions, events = subscriptions[subscriptionBytes:], events[eventBytes:] {
		kind, argument := subscriptions[8], subscriptions[16:]
		errno := uint32(wasiSuccess)
		switch kind {
		case 0: // a clock: its id, how long, precision, flags
			switch binary.LittleEndian.Uint16(argument[24:]) {
			case 0:
				wait = min(wait, binary.LittleEndian.Uint64(argument[8:]))
			case 1: // until a time of day
				return wasiNotsup
			default:
				return wasiInval
			}
		case 1, 2: // reading and writing
			wait = 0
			if errno = wasiSuccess; binary.LittleEndian.Uint32(argument) >= descriptors {
				errno = wasiBadf
			}
		default:
			return wasiInval
		}
		userdata := binary.LittleEndian.Uint64(subscriptions)
		clear(events[:eventBytes])
		binary.LittleEndian.PutUint64(events, userdata)
		binary.LittleEndian.PutUint16(events[8:], uint16(errno))
		events[10] = kind
	}
	i.nanosleep(int64(wait))
	return wasiSuccess
}
