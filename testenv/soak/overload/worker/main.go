// Command worker is a plugin for the soak: it works for about a millisecond and
// tells when it began, and complains if that was too late.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/pluginhost/pluginhost/sdk/api"
)

func init() { api.RegisterMetadataAgent(agent{}) }

func main() {} // never runs

type agent struct{ api.UnimplementedMetadataAgent }

// GetArtistBiography answers with the time at which it began. The name is the
// caller's deadline, both in microseconds since 1970, and how much work to do.
func (agent) GetArtistBiography(_ context.Context, request *api.ArtistBiographyRequest) (*api.ArtistBiographyResponse, error) {
	began := time.Now().UnixMicro()
	first, second, _ := strings.Cut(request.Name, " ")
	deadline, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return nil, err
	}
	work, err := strconv.Atoi(second)
	if err != nil {
		return nil, err
	}
	if began > deadline {
		// Nobody may be there any more to read an answer.
		fmt.Fprintln(os.Stderr, "late by", time.Duration(began-deadline)*time.Microsecond)
	}
	if fib(work) < 0 {
		return nil, api.ErrNotFound // never, but the compiler does not know
	}
	return &api.ArtistBiographyResponse{Biography: strconv.FormatInt(began, 10)}, nil
}

//go:noinline
func fib(n int) int {
	if n < 2 {
		return n
	}
	return fib(n-1) + fib(n-2)
}
