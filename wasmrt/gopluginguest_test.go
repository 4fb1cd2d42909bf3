package wasmrt

import (
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
	m, err := loadAs(t, guest.Bytes(), GoPlugin{[]Service{{VersionExport: "metadata_agent_api_version", Methods: []string{method}}}}, Limits{Isolation: IsolationReuse})
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
