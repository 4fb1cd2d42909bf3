// Command work is the plugin with which the benchmarks measure what checks cost
// that a guest runs while it computes. The name in a request says what to
// compute; the answer is a sum of it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/pluginhost/pluginhost/sdk/api"
)

func init() { api.RegisterMetadataAgent(agent{document: newDocument()}) }

func main() {} // never runs

// How much each kind computes: several milliseconds without checks.
const (
	loopRounds = 3_000_000
	sorted     = 30_000
	tracks     = 200
	fibonacci  = 28
)

type agent struct {
	api.UnimplementedMetadataAgent
	document []byte
}

// GetArtistBiography computes what the name in the request says.
func (a agent) GetArtistBiography(_ context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	var sum int
	switch request.Name {
	case "loop":
		sum = loop(loopRounds)
	case "sort":
		sum = sort(sorted)
	case "json":
		var err error
		if sum, err = decodeAndEncode(a.document); err != nil {
			return nil, err
		}
	case "calls":
		sum = fib(fibonacci)
	default:
		return nil, fmt.Errorf("no kind of work is named %q", request.Name)
	}
	return &api.ArtistBiographyResponse{Biography: strconv.Itoa(sum)}, nil
}

// random is a step of a generator of numbers that look random.
func random(x uint32) uint32 {
	x ^= x << 13
	x ^= x >> 17
	return x ^ x<<5
}

// loop is a tight loop.
func loop(rounds int) int {
	x := uint32(1)
	for range rounds {
		x = random(x)
	}
	return int(x)
}

func sort(n int) int {
	numbers := make([]uint32, n)
	x := uint32(1)
	for i := range numbers {
		x = random(x)
		numbers[i] = x
	}
	slices.Sort(numbers)
	return int(numbers[n/2])
}

// fib calls itself, and has no loop.
func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}

// track is an element of the document.
type track struct {
	Title   string   `json:"title"`
	Seconds int      `json:"seconds"`
	Rating  float64  `json:"rating"`
	Tags    []string `json:"tags"`
	Links   struct {
		Page string `json:"page"`
	} `json:"links"`
}

func newDocument() []byte {
	all := make([]track, tracks)
	for i := range all {
		all[i] = track{Title: "Track \"" + strconv.Itoa(i) + "\"", Seconds: 180 + i, Rating: float64(i) / 7, Tags: []string{"jazz", "blues", "soul"}}
		all[i].Links.Page = "https://example.com/track/" + strconv.Itoa(i)
	}
	document, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return document
}

func decodeAndEncode(document []byte) (int, error) {
	var all []track
	if err := json.Unmarshal(document, &all); err != nil {
		return 0, err
	}
	again, err := json.Marshal(all)
	return len(again), err
}
