package wasmrt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/pluginhost/pluginhost/testenv/guests"
)

// loadAs loads a module by an ABI; it ends with the test.
func loadAs(t *testing.T, wasm []byte, abi ABI, limits Limits) (*Module, error) {
	t.Helper()
	r, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := r.Load(t.Context(), wasm, Options{ABI: abi, Limits: limits})
	t.Cleanup(func() {
		if m != nil {
			err = m.Close(context.Background())
		}
		if err := errors.Join(err, r.Close(context.Background())); m != nil && err != nil {
			t.Error(err)
		}
	})
	return m, err
}

func TestWhatACallLeavesAllocatedIsFreed(t *testing.T) {
	guest := guests.Handmade{
		Free: []byte{0x41, 0x08, 0x41, 0x08, 0x28, 0x02, 0x00, 0x41, 0x01, 0x6a, 0x36, 0x02, 0x00}, // adds 1 to what is at 8
		Body: []byte{0x42, 0x84, 0x80, 0x80, 0x80, 0x80, 0x01},                                     // returns the four bytes at 8
	}
	m, err := loadAs(t, guest.Bytes(), agent, Limits{Isolation: IsolationReuse})
	if err != nil {
		t.Fatal(err)
	}
	for n := range uint32(3) {
		response, err := m.Call(t.Context(), method, []byte("request"))
		if err != nil || len(response) != 4 || binary.LittleEndian.Uint32(response) != 2*n {
			t.Errorf("before call %d the guest was to free %x times (%v), want a request and a response each", n, response, err)
		}
	}
}

func TestExportsOfOtherSignaturesAreRefused(t *testing.T) {
	wasm := guests.Handmade{}.Bytes()
	for name, service := range map[string]Service{
		"metadata_agent_api_version": {VersionExport: "metadata_agent_api_version", Methods: []string{"metadata_agent_api_version"}},
		"malloc":                     {VersionExport: "malloc"},
		"free":                       {VersionExport: "metadata_agent_api_version", Methods: []string{"free"}},
	} {
		_, err := loadAs(t, wasm, GoPlugin{[]Service{service}}, Limits{})
		var failed *LoadError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "invalid "+name+" signature") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTheStacksOfMallocAndFreeAreThoseOfAnyCall(t *testing.T) {
	m, err := loadAs(t, guests.Handmade{}.Bytes(), nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	inst := m.pool.idle[0]
	if len(inst.shared) != 3 || len(inst.stacks) != 3 {
		t.Fatalf("%d of %d stacks, want those of malloc, of free and of malloc for host functions", len(inst.shared), len(inst.stacks))
	}
	grown := make([]byte, keptNativeStack+1)
	for n, stack := range inst.shared {
		inst.shared[n] = nativeStack{&grown}
		if !inst.grewStack() {
			t.Errorf("stack %d has grown and is kept", n)
		}
		inst.shared[n] = stack
	}
	if inst.grewStack() {
		t.Error("a stack has grown before any call")
	}
}

// agent is the ABI of guests that have one method.
var agent = GoPlugin{[]Service{{VersionExport: "metadata_agent_api_version", Methods: []string{method}}}}

func TestAnOlderVersionOfTheInterfaceIsRefused(t *testing.T) {
	one, zero := []byte{0x04, 0x00, 0x42, 0x01, 0x0b}, []byte{0x04, 0x00, 0x42, 0x00, 0x0b} // functions that return i64.const 1, and 0
	wasm := bytes.Replace(guests.Handmade{}.Bytes(), one, zero, 1)
	_, err := loadAs(t, wasm, agent, Limits{})
	var failed *LoadError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "plugin: 0") {
		t.Errorf("got %v", err)
	}
}

func TestShortRequestsReachTheGuest(t *testing.T) {
	m, err := loadAs(t, guests.Handmade{Body: guests.Echo}.Bytes(), agent, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for _, request := range []string{"", "x", "xy"} {
		if response, err := m.Call(t.Context(), method, []byte(request)); err != nil || string(response) != request {
			t.Errorf("%q comes back as %q, %v", request, response, err)
		}
	}
}

func TestAResultMayBeAsLongAsTheLimit(t *testing.T) {
	m, err := loadAs(t, guests.Handmade{Body: guests.Echo}.Bytes(), agent, Limits{MaxResult: 4})
	if err != nil {
		t.Fatal(err)
	}
	if response, err := m.Call(t.Context(), method, []byte("four")); err != nil || string(response) != "four" {
		t.Errorf("got %q, %v", response, err)
	}
	_, err = m.Call(t.Context(), method, []byte("fiver"))
	var size *ResultSizeError
	if !errors.As(err, &size) || size.Size != 5 || size.Limit != 4 {
		t.Errorf("got %v, want a ResultSizeError", err)
	}
}

func TestAnImportedMemoryIsRefused(t *testing.T) {
	wasm := "\x00asm\x01\x00\x00\x00" +
		"\x01\x0a\x02\x60\x01\x7f\x01\x7f\x60\x01\x7f\x00" + // types (i32) -> (i32) and (i32) -> ()
		"\x02\x0a\x01\x03env\x01m\x02\x00\x01" + // the memory env.m
		"\x03\x03\x02\x00\x01" +
		"\x07\x1a\x03\x06malloc\x00\x00\x04free\x00\x01\x06memory\x02\x00" +
		"\x0a\x09\x02\x04\x00\x41\x00\x0b\x02\x00\x0b" // i32.const 0, and nothing
	err := Check(t.Context(), []byte(wasm), GoPlugin{}, nil)
	var failed *LoadError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "imports its memory") {
		t.Errorf("got %v", err)
	}
}
