package subjects_test

import (
	"errors"
	"fmt"

	"github.com/pluginhost/pluginhost/subjects"
)

// Any NATS client calls a plugin: it asks on the subject of the method, and reads a failure from two headers of the reply.
func Example() {
	fmt.Println(subjects.Call("wikipedia", "get_artist_biography"))
	// The reply that came back has these.
	header := map[string][]string{
		subjects.HeaderErrorCode: {"503"},
		subjects.HeaderError:     {"wikipedia is not loaded"},
	}
	text, err := subjects.HeaderValue(header, subjects.HeaderError)
	if err != nil {
		fmt.Println(err)
		return
	}
	failure := subjects.FromCode(503, text)
	fmt.Println(failure, errors.Is(failure, subjects.ErrUnavailable))
	fmt.Println("safe to send again:", failure.NothingRan())
	// Output:
	// plugins.wikipedia.get_artist_biography
	// 503 unavailable: wikipedia is not loaded true
	// safe to send again: true
}

func ExampleToken() {
	fmt.Println(subjects.Call("my plugin", "scrobble"))
	// Output: plugins.my=20plugin.scrobble
}

func ExampleError() {
	fmt.Println(subjects.FromCode(404, "plugin:not_found"))
	fmt.Println(subjects.FromCode(503, "my-plugin is not loaded"))
	// Output:
	// 404 plugin:not_found
	// 503 unavailable: my-plugin is not loaded
}

// Of a scrobble it matters whether it may have been recorded.
func ExampleError_NothingRan() {
	for _, code := range []int{429, 408} {
		fmt.Println(code, subjects.FromCode(code, "").NothingRan())
	}
	// Output:
	// 429 true
	// 408 false
}

// The subject of an event has its kind before the plugin, so that one kind of all plugins can be subscribed to.
func ExampleEvent() {
	fmt.Println(subjects.Event(subjects.EventLoaded, "wikipedia"))
	// Output: pluginhost.event.loaded.wikipedia
}
