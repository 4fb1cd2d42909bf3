package wasmrt

import (
	"reflect"
	"unsafe"

	"github.com/tetratelabs/wazero/api"
)

// Each exported function of an instance has a native stack, outside the guest's
// memory, that wazero doubles as calls nest, up to 100 MB, and never shrinks.
const (
	// maxNativeStack ends a call whose stack is found longer, in bytes.
	maxNativeStack = 32 << 20
	// keptNativeStack is how long a stack may be for its instance to be kept.
	keptNativeStack = 512 << 10
)

// nativeStack tells how long the stack of a function is.
type nativeStack struct{ bytes *[]byte }

// nativeStackOf looks into wazero's implementation of a function, which has no
// other way to tell. Where that is not as expected, the length is always 0.
func nativeStackOf(function api.Function) nativeStack {
	v := reflect.ValueOf(function)
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		return nativeStack{}
	}
	field := v.Elem().FieldByName("stack")
	if !field.IsValid() || field.Type() != reflect.TypeFor[[]byte]() {
		return nativeStack{}
	}
	return nativeStack{(*[]byte)(unsafe.Pointer(field.UnsafeAddr()))}
}

func (s nativeStack) size() int {
	if s.bytes == nil {
		return 0
	}
	return len(*s.bytes)
}
