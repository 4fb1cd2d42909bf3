package wasmrt

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand"
	"strings"
	"testing"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// everyIsolator calls test with each way of restoring that this system has.
func everyIsolator(t *testing.T, test func(t *testing.T, i isolator)) {
	t.Helper()
	opens := append(isolators(), func() (isolator, error) { return copying(), nil })
	for _, open := range opens {
		i, err := open()
		if err != nil {
			t.Logf("not here: %v", err)
			continue
		}
		t.Run(i.name, func(t *testing.T) {
			if err := i.prove(); err != nil {
				t.Skip(err)
			}
			test(t, i)
		})
		if err := i.close(); err != nil {
			t.Error(err)
		}
	}
}

// loadWith loads a module that is restored by i.
func loadWith(t *testing.T, i isolator, wasm []byte, limits Limits, functions ...HostFunction) *Module {
	t.Helper()
	r, err := New(Config{CacheDir: guests.CacheDir(t, "compiled"), CompileTimeout: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	own := r.isolator
	t.Cleanup(func() {
		r.isolator = own
		if err := r.Close(context.Background()); err != nil {
			t.Error(err)
		}
		if used, _ := r.Memory(); used != 0 {
			t.Errorf("%d bytes of memory are still counted", used)
		}
	})
	r.isolator = i
	m, err := r.Load(t.Context(), wasm, Options{
		ABI:       GoPlugin{[]Service{{VersionExport: "metadata_agent_api_version", Methods: []string{method}}}},
		Functions: functions,
		Limits:    limits,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if isolation, reason := m.Isolation(); isolation != IsolationClean {
		t.Fatalf("the isolation is %s: %s", isolation, reason)
	}
	return m
}

const method = "metadata_agent_get_artist_biography"

// difference says where the idle instances of a module are not what its image
// is, or nothing.
func difference(m *Module) string {
	for _, inst := range m.pool.idle {
		memory := contents(inst)
		if len(memory) != m.image.size() {
			return fmt.Sprintf("the memory has %d bytes, not %d", len(memory), m.image.size())
		}
		at := 0
		for _, generator := range append(append([]int(nil), m.image.generators...), len(memory)) {
			if !bytes.Equal(memory[at:generator], m.image.bytes[at:generator]) {
				for ; memory[at] == m.image.bytes[at]; at++ {
				}
				return fmt.Sprintf("byte %d is %d, not %d", at, memory[at], m.image.bytes[at])
			}
			at = generator + generatorBytes
		}
		for n, global := range inst.globals {
			if global.Get() != m.image.globals[n] {
				return fmt.Sprintf("global %d is %d, not %d", n, global.Get(), m.image.globals[n])
			}
		}
	}
	return ""
}

// biographyOf is a request to the probe guest.
func biographyOf(name string) []byte {
	request, err := (&api.ArtistBiographyRequest{Name: name}).MarshalVT()
	if err != nil {
		panic(err)
	}
	return request
}

// obey is a request to a guest whose body is guests.Obey.
func obey(operation byte, a, b, c uint32) []byte {
	request := []byte{operation, 0, 0, 0}
	for _, argument := range []uint32{a, b, c} {
		request = binary.LittleEndian.AppendUint32(request, argument)
	}
	return request
}

func TestEveryCallStartsFromTheImageToTheByte(t *testing.T) {
	const memory = 16 << 20
	goWords := []string{"x", "panic", "exit 3", "loop", "grow 1", "grow 9", "deep 3000", "sleep 1", "sleep 60000", "random", "error no", "big 100000", "fib 20", "forge 10"}
	shapes := map[string]struct {
		wasm      []byte
		rounds    int
		functions []HostFunction
		request   func(r *rand.Rand) []byte
	}{
		"a Go guest": {
			guests.Wasm(t, guests.Probe), 600, nil,
			func(r *rand.Rand) []byte { return biographyOf(goWords[r.Intn(len(goWords))]) },
		},
		"a guest that obeys": {
			guests.Handmade{Body: guests.Obey, Globals: 2}.Bytes(), 2000, nil,
			func(r *rand.Rand) []byte {
				switch op := byte(r.Intn(5)); op {
				case 0:
					return obey(op, uint32(r.Intn(3*pageSize)), uint32(r.Intn(256)), uint32(r.Intn(3*pageSize)))
				case 1:
					return obey(op, uint32(r.Intn(300)), 0, 0)
				case 3:
					if r.Intn(10) > 0 {
						return obey(2, 1, 0, 0)
					}
					return obey(op, 0, 0, 0)
				default:
					return obey(op, r.Uint32(), r.Uint32(), r.Uint32())
				}
			},
		},
		"a guest that calls the host": {
			guests.Handmade{Imports: []string{"get"}, Body: guests.CallImport, Globals: 1}.Bytes(), 1000,
			[]HostFunction{{Name: "get", Call: func(_ context.Context, request []byte) ([]byte, error) {
				if len(request)%3 == 0 {
					return nil, errNotShrunk // any
				}
				return bytes.Repeat([]byte{1}, len(request)%70000), nil
			}}},
			func(r *rand.Rand) []byte { return make([]byte, 1+r.Intn(64000)) },
		},
	}
	everyIsolator(t, func(t *testing.T, i isolator) {
		for name, shape := range shapes {
			t.Run(name, func(t *testing.T) {
				m := loadWith(t, i, shape.wasm, Limits{MaxMemory: memory}, shape.functions...)
				seed := time.Now().UnixNano()
				random := rand.New(rand.NewSource(seed))
				answered := 0
				rounds := shape.rounds
				if i.name != "pagemap scan" {
					rounds /= 4
				}
				for round := range rounds {
					var sequence []string
					for range 1 + random.Intn(3) {
						request := shape.request(random)
						ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
						_, err := m.Call(ctx, method, request)
						cancel()
						if err == nil {
							answered++
						}
						sequence = append(sequence, fmt.Sprintf("%.20q: %.60v", request, err))
					}
					if difference := difference(m); difference != "" {
						t.Fatalf("seed %d, round %d, after %q: %s", seed, round, sequence, difference)
					}
				}
				if answered < rounds/4 {
					t.Errorf("only %d calls of %d rounds were answered", answered, rounds)
				}
			})
		}
	})
}

func TestMemoryShrinksBackAndCanGrowAgainToItsLimit(t *testing.T) {
	everyIsolator(t, func(t *testing.T, i isolator) {
		m := loadWith(t, i, guests.Handmade{Body: guests.Obey, Globals: 2}.Bytes(), Limits{MaxMemory: 4 << 20})
		for range 50 {
			m.Answer(t.Context(), method, obey(1, 63, 0, 0), func(a Answer) {
				if a.Err != nil {
					t.Error(a.Err)
				}
			})
			if len(m.pool.idle) != 1 {
				t.Fatal("the instance was dropped, not restored")
			}
			inst := m.pool.idle[0]
			if size := inst.memory.Size(); size != pageSize {
				t.Fatalf("the memory has %d bytes after the call", size)
			}
			if grown, ok := inst.memory.Grow(63); !ok || grown != 1 {
				t.Fatal("the memory does not grow to its limit")
			}
			if !bytes.Equal(contents(inst)[pageSize:], make([]byte, 63*pageSize)) {
				t.Fatal("grown memory is not zero")
			}
			if _, ok := inst.memory.Grow(1); ok {
				t.Fatal("the memory grows beyond its limit")
			}
			if err := inst.restore(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRandomnessDoesNotRepeatFromCallToCall(t *testing.T) {
	m := loadWith(t, newIsolatorOf(t), guests.Wasm(t, guests.Probe), Limits{})
	if len(m.image.generators) == 0 {
		t.Fatal("no generator was found in a Go guest")
	}
	for _, word := range []string{"random", "secret"} {
		seen := make(map[string]bool)
		for range 500 {
			response, err := m.Call(t.Context(), method, biographyOf(word))
			if err != nil {
				t.Fatal(err)
			}
			if seen[string(response)] {
				t.Fatalf("%s: %q came twice", word, response)
			}
			seen[string(response)] = true
		}
	}
}

func newIsolatorOf(t *testing.T) isolator {
	t.Helper()
	i := newIsolator()
	t.Cleanup(func() {
		if err := i.close(); err != nil {
			t.Error(err)
		}
	})
	return i
}

func TestGuestThatClosesItsOutputChangesNothing(t *testing.T) {
	m := loadWith(t, newIsolatorOf(t), guests.Wasm(t, guests.Probe), Limits{})
	for range 3 {
		response, err := m.Call(t.Context(), method, biographyOf("close"))
		if err != nil || !bytes.Contains(response, []byte("nil")) {
			t.Errorf("closing stdout: %q, %v", response, err)
		}
	}
}

func TestDeepCallsDoNotLeaveTheirStackBehind(t *testing.T) {
	m := loadWith(t, newIsolatorOf(t), guests.Wasm(t, guests.Probe), Limits{})
	before := m.pool.idle[0]
	if before.methods[method].stack.size() == 0 {
		t.Fatal("wazero's stack is not where it was")
	}
	if _, err := m.Call(t.Context(), method, biographyOf("deep 50")); err != nil {
		t.Fatal(err)
	}
	if m.pool.idle[0] != before {
		t.Error("an ordinary call cost its instance")
	}
	if _, err := m.Call(t.Context(), method, biographyOf("deep 100000")); err != nil {
		t.Fatal(err)
	}
	if m.pool.idle[0] == before {
		t.Error("an instance with a stack of megabytes is kept")
	}
	if _, err := m.Call(t.Context(), method, biographyOf("recurse")); err == nil {
		t.Error("endless recursion came back")
	}
}

func TestModulesThatCannotBeRestoredRunFresh(t *testing.T) {
	r, err := New(Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close(context.Background()) }()
	// data.drop in a module without data: the segment count says one, passive.
	wasm := guests.Handmade{Body: append([]byte{0xfc, 0x09, 0x00}, guests.Empty...), PassiveData: true}.Bytes()
	m, err := r.Load(t.Context(), wasm, Options{ABI: GoPlugin{[]Service{{VersionExport: "metadata_agent_api_version", Methods: []string{method}}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = m.Close(context.Background()) }()
	isolation, reason := m.Isolation()
	if isolation != IsolationFresh || !strings.Contains(reason, "data.drop") {
		t.Errorf("isolation %s because %q", isolation, reason)
	}
	for range 3 {
		if _, err := m.Call(t.Context(), method, nil); err != nil {
			t.Error(err)
		}
	}
}

func TestOneObstacleIsEnoughForAFreshInstance(t *testing.T) {
	wasm := guests.Handmade{PassiveData: true}.Bytes()
	m, err := loadAs(t, wasm, nil, Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if isolation, reason := m.Isolation(); isolation != IsolationFresh || !strings.Contains(reason, "passive data segment") {
		t.Errorf("isolation %s because %q", isolation, reason)
	}
}

func TestFindGeneratorsTakesExactMatchesOnly(t *testing.T) {
	state := func(memory []byte, at, words int, i, n, c uint32, fill byte) {
		for k := range words * 8 {
			memory[at+k] = fill
		}
		binary.LittleEndian.PutUint32(memory[at+words*8:], i)
		binary.LittleEndian.PutUint32(memory[at+words*8+4:], n)
		binary.LittleEndian.PutUint32(memory[at+words*8+8:], c)
	}
	for name, c := range map[string]struct {
		words   int
		i, n, c uint32
		found   bool
	}{
		"a state":               {36, 5, 32, 0, true},
		"a state before a seed": {36, 28, 28, 12, true},
		"too short":             {35, 5, 32, 0, false},
		"too long":              {37, 5, 32, 0, false},
		"i beyond n":            {36, 33, 32, 0, false},
		"another n":             {36, 5, 31, 0, false},
		"c beyond its end":      {36, 5, 32, 17, false},
	} {
		t.Run(name, func(t *testing.T) {
			memory, other := make([]byte, 4*pageSize), make([]byte, 4*pageSize)
			const at = 2*pageSize - 64 // across pages
			state(memory, at, c.words, c.i, c.n, c.c, 1)
			state(other, at, c.words, c.i, c.n, c.c, 2)
			found := findGenerators(memory, other)
			if c.found != (len(found) == 1 && found[0] == at) || !c.found && len(found) > 0 {
				t.Errorf("found %v", found)
			}
			if found := findGenerators(memory[:at+c.words*8], other[:at+c.words*8]); len(found) > 0 {
				t.Errorf("found %v at the end of the memory", found)
			}
		})
	}
	if found := findGenerators(make([]byte, pageSize), make([]byte, 2*pageSize)); found != nil {
		t.Errorf("found %v in memories of two sizes", found)
	}
}
