//go:build wasip1

package guest

import (
	"context"
	"fmt"
	"runtime"
	"unsafe"
)

// errorFlag marks a result whose bytes are the text of an error.
const errorFlag = 1 << 31

// A guest runs one call at a time, so nothing guards these.
var (
	// held keeps what the host has an address of from being collected. It has
	// a few entries at most, the newest last.
	held [][]byte
	// spare is a buffer that was freed and may be handed out again.
	spare []byte
	// answer is the result of the last call; the host reads it before the next.
	answer []byte
)

// maxSpare bounds the buffer that is kept for the next call, in bytes.
const maxSpare = 64 << 10

//go:wasmexport malloc
func malloc(size uint32) uint32 {
	if size == 0 {
		return 0
	}
	b := spare
	spare = nil
	if uint32(cap(b)) < size {
		b = make([]byte, size)
	}
	held = append(held, b[:size])
	return address(b)
}

//go:wasmexport free
func free(ptr uint32) {
	for i := len(held) - 1; i >= 0; i-- {
		if address(held[i]) != ptr {
			continue
		}
		if cap(held[i]) <= maxSpare {
			spare = held[i]
		}
		last := len(held) - 1
		held[i], held[last] = held[last], nil
		held = held[:last]
		return
	}
}

func address(b []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

func bytesAt(ptr, size uint32) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(uintptr(ptr))), size)
}

// Registered is the plugin's implementation of a capability. Where there is none the
// call ends with a panic that tells its author.
func Registered[T any](capability string, implementation T) T {
	if any(implementation) == nil {
		panic("the plugin has no " + capability + ": call api.Register" + capability + " in an init function, or take it out of the manifest")
	}
	return implementation
}

// Serve answers one call of the host: it decodes the request at ptr, calls
// method and returns the packed response, or the packed text of the error.
func Serve[Req, Resp any, PReq interface {
	*Req
	Message
}, PResp interface {
	*Resp
	Message
}](ptr, size uint32, method func(context.Context, PReq) (PResp, error)) uint64 {
	request := PReq(new(Req))
	if size > 0 {
		if err := request.UnmarshalVT(bytesAt(ptr, size)); err != nil {
			return failure(fmt.Errorf("the plugin cannot decode the request: %w", err))
		}
	}
	response, err := method(context.Background(), request)
	if err != nil {
		return failure(err)
	}
	if response == nil {
		return 0
	}
	b, err := response.MarshalVT()
	if err != nil {
		return failure(fmt.Errorf("the plugin cannot encode its response: %w", err))
	}
	return result(b, 0)
}

func failure(err error) uint64 { return result([]byte(err.Error()), errorFlag) }

// result hands b to the host. It is not from malloc, so that the host's free of
// it does nothing.
func result(b []byte, flag uint64) uint64 {
	answer = b
	if len(b) == 0 {
		return flag
	}
	return uint64(address(b))<<32 | flag | uint64(len(b))
}

// Call calls one function of the host with request and decodes its answer into
// response.
func Call(function func(ptr, size uint32) uint64, request, response Message) error {
	b, err := request.MarshalVT()
	if err != nil {
		return err
	}
	packed := function(address(b), uint32(len(b)))
	runtime.KeepAlive(b)
	ptr, size := uint32(packed>>32), uint32(packed)
	if size == 0 {
		return nil
	}
	// The host allocated the answer with malloc; nobody else frees it.
	defer free(ptr)
	return response.UnmarshalVT(bytesAt(ptr, size))
}
