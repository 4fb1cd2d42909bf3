package plugintest

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/pluginhost/pluginhost/sdk/api/host"
	apiartwork "github.com/pluginhost/pluginhost/sdk/api/host/artwork"
	apicache "github.com/pluginhost/pluginhost/sdk/api/host/cache"
	apiconfig "github.com/pluginhost/pluginhost/sdk/api/host/config"
	apihttp "github.com/pluginhost/pluginhost/sdk/api/host/http"
	apischeduler "github.com/pluginhost/pluginhost/sdk/api/host/scheduler"
	apisubsonicapi "github.com/pluginhost/pluginhost/sdk/api/host/subsonicapi"
	apiwebsocket "github.com/pluginhost/pluginhost/sdk/api/host/websocket"
	"github.com/pluginhost/pluginhost/testenv"
	"github.com/pluginhost/pluginhost/testenv/guests"
)

// bare is a message as it is encoded.
type bare []byte

func (b bare) MarshalVT() ([]byte, error)     { return b, nil }
func (b *bare) UnmarshalVT(data []byte) error { *b = bytes.Clone(data); return nil }
func encoded(t testing.TB, message Message) bare {
	t.Helper()
	b, err := message.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// padded makes a request size bytes long, by a field that nobody knows.
func (b bare) padded(t testing.TB, size int) bare {
	t.Helper()
	for padding := size - len(b); padding > 0; padding-- {
		if out := protowire.AppendBytes(protowire.AppendTag(bytes.Clone(b), 1000, protowire.BytesType), make([]byte, padding)); len(out) == size {
			return out
		}
	}
	t.Fatalf("a request of %d bytes cannot be made one of %d", len(b), size)
	return nil
}

// importing loads a guest that hands requests to one host function, and what that answers
// back.
func importing(t *testing.T, function string) *Host {
	t.Helper()
	reason := map[string]any{"reason": "test"}
	folder := t.TempDir()
	testenv.AddPlugin(t, folder, "importing", testenv.Manifest(map[string]any{
		"http":        map[string]any{"reason": "test", "allowedUrls": map[string]any{"https://example.com": []string{"*"}}},
		"config":      reason,
		"cache":       reason,
		"scheduler":   reason,
		"artwork":     reason,
		"subsonicapi": map[string]any{"reason": "test", "allowAdmins": true},
		"websocket":   map[string]any{"reason": "test", "allowedUrls": []string{"wss://example.com"}},
	}, "MetadataAgent", "SchedulerCallback", "WebSocketCallback"), guests.Handmade{
		Capabilities: []string{"MetadataAgent", "SchedulerCallback", "WebSocketCallback"},
		Imports:      []string{function}, Body: guests.CallImport, Pages: 200,
	}.Bytes())
	h := Load(t, filepath.Join(folder, "importing"))
	h.HTTP("https://example.com", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) }))
	h.Subsonic(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	h.SetConfig("key", "value")
	return h
}

// answers is what the guest gets for a request, and for one that ends its call the text of
// that.
func answers[Resp any, PResp interface {
	*Resp
	Message
}](t testing.TB, h *Host, request bare, text func(PResp) string) string {
	t.Helper()
	var answer bare
	if err := h.Call(t.Context(), "get_artist_biography", &request, &answer); err != nil {
		return err.Error()
	}
	response := PResp(new(Resp))
	if err := response.UnmarshalVT(answer); err != nil {
		t.Fatal(err)
	}
	return text(response)
}

// asked is one function, with requests that have one field as long as it may be, or a
// byte longer.
type asked struct {
	function string
	// answer is what the guest sees of the response to a request.
	answer func(t testing.TB, h *Host, request bare) string
	// good is a request, and what is in the answer to it; refused is in that to one that
	// is too long.
	good              Message
	answered, refused string
	fields            []field
}

// field makes a request of which something has size bytes.
type field struct {
	name    string
	limit   int
	request func(size int) Message
	// fits and over are in the answers at the limit and at one more.
	fits, over string
}

func longest(size int) string { return strings.Repeat("x", size) }

const (
	longestID     = 16 << 10
	longestURL    = 8 << 10
	longestHeader = 256 << 10
	longestBody   = 10 << 20
)

func addressOf(scheme string) func(size int) string {
	return func(size int) string { return (scheme + "://example.com/" + longest(size))[:size] }
}

func askedFunctions() []asked {
	var all []asked
	set := func(r *apicache.SetResponse) string { return fmt.Sprint("stored: ", r.Success) }
	setKey := func(request func(key string) Message) field {
		return field{"the key", longestID, func(size int) Message { return request(longest(size)) }, "stored: true", "stored: false"}
	}
	setAnswer := func(t testing.TB, h *Host, r bare) string { return answers(t, h, r, set) }
	all = append(all,
		asked{"set_string", setAnswer, &apicache.SetStringRequest{Key: "k", Value: "v"}, "stored: true", "stored: false", []field{
			setKey(func(key string) Message { return &apicache.SetStringRequest{Key: key} }),
			{"the value", maxValue, func(size int) Message { return &apicache.SetStringRequest{Key: "k", Value: longest(size)} }, "stored: true", "stored: false"},
		}},
		asked{"set_bytes", setAnswer, &apicache.SetBytesRequest{Key: "k", Value: []byte("v")}, "stored: true", "stored: false", []field{
			setKey(func(key string) Message { return &apicache.SetBytesRequest{Key: key} }),
			{"the value", maxValue, func(size int) Message { return &apicache.SetBytesRequest{Key: "k", Value: []byte(longest(size))} }, "stored: true", "stored: false"},
		}},
		asked{"set_int", setAnswer, &apicache.SetIntRequest{Key: "k", Value: 1}, "stored: true", "stored: false", []field{
			setKey(func(key string) Message { return &apicache.SetIntRequest{Key: key} }),
		}},
		asked{"set_float", setAnswer, &apicache.SetFloatRequest{Key: "k", Value: 1}, "stored: true", "stored: false", []field{
			setKey(func(key string) Message { return &apicache.SetFloatRequest{Key: key} }),
		}},
	)
	getKey := []field{{"the key", longestID, func(size int) Message { return &apicache.GetRequest{Key: longest(size)} }, "found: false", "found: false"}}
	get := func(name string, answer func(t testing.TB, h *Host, r bare) string) asked {
		return asked{name, answer, &apicache.GetRequest{Key: "k"}, "found: false", "found: false", getKey}
	}
	all = append(all,
		get("get_string", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apicache.GetStringResponse) string { return fmt.Sprint("found: ", r.Exists) })
		}),
		get("get_bytes", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apicache.GetBytesResponse) string { return fmt.Sprint("found: ", r.Exists) })
		}),
		get("get_int", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apicache.GetIntResponse) string { return fmt.Sprint("found: ", r.Exists) })
		}),
		get("get_float", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apicache.GetFloatResponse) string { return fmt.Sprint("found: ", r.Exists) })
		}),
		get("has", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apicache.HasResponse) string { return fmt.Sprint("found: ", r.Exists) })
		}),
		asked{"remove", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apicache.RemoveResponse) string { return fmt.Sprint("removed: ", r.Success) })
		}, &apicache.RemoveRequest{Key: "k"}, "removed: true", "removed: true", []field{
			{"the key", longestID, func(size int) Message { return &apicache.RemoveRequest{Key: longest(size)} }, "removed: true", "removed: true"},
		}},
	)
	for _, method := range []string{"get", "post", "put", "delete", "patch", "head", "options"} {
		fits, over := "status 200", "request body of 10485761 bytes is over the limit of 10485760 bytes"
		if method != "post" && method != "put" && method != "patch" {
			over = fits // a body is ignored
		}
		address := addressOf("https")
		all = append(all, asked{method, func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apihttp.HttpResponse) string { return fmt.Sprint("status ", r.Status, " ", r.Error) })
		}, &apihttp.HttpRequest{Url: "https://example.com/"}, "status 200", "is over the limit of 10761216 bytes: a body has at most 10485760 bytes", []field{
			{"the URL", longestURL, func(size int) Message { return &apihttp.HttpRequest{Url: address(size)} }, fits, "Request blocked"},
			{"the headers", longestHeader, func(size int) Message {
				return &apihttp.HttpRequest{Url: "https://example.com/", Headers: map[string]string{"a": longest(size - 1)}}
			}, fits, "request headers of 262145 bytes, but at most 262144 are allowed"},
			{"how many headers", 256, func(size int) Message {
				headers := make(map[string]string)
				for n := range size {
					headers[fmt.Sprint("h", n)] = ""
				}
				return &apihttp.HttpRequest{Url: "https://example.com/", Headers: headers}
			}, fits, "257 request headers, but at most 256 are allowed"},
			{"the body", longestBody, func(size int) Message {
				return &apihttp.HttpRequest{Url: "https://example.com/", Body: []byte(longest(size))}
			}, fits, over},
		}})
	}
	scheduled := func(t testing.TB, h *Host, r bare) string {
		return answers(t, h, r, func(r *apischeduler.ScheduleResponse) string { return "scheduled " + r.ScheduleId })
	}
	all = append(all,
		asked{"schedule_one_time", scheduled, &apischeduler.ScheduleOneTimeRequest{ScheduleId: "s"}, "scheduled s", "failed to schedule one-time job: request of 81409 bytes is over the limit", []field{
			{"the id", longestID, func(size int) Message { return &apischeduler.ScheduleOneTimeRequest{ScheduleId: longest(size)} }, "scheduled x", "its id has 16385 bytes, at most 16384"},
			{"the payload", maxPayload, func(size int) Message {
				return &apischeduler.ScheduleOneTimeRequest{ScheduleId: "s", Payload: []byte(longest(size))}
			}, "scheduled s", "its payload has 64001 bytes, [Scheduler] MaxPayload is 64000"},
		}},
		asked{"schedule_recurring", scheduled, &apischeduler.ScheduleRecurringRequest{ScheduleId: "s", CronExpression: "@daily"}, "scheduled s", "failed to schedule recurring job: request of 82433 bytes is over the limit", []field{
			{"the id", longestID, func(size int) Message {
				return &apischeduler.ScheduleRecurringRequest{ScheduleId: longest(size), CronExpression: "@daily"}
			}, "scheduled x", "its id has 16385 bytes, at most 16384"},
			{"the payload", maxPayload, func(size int) Message {
				return &apischeduler.ScheduleRecurringRequest{ScheduleId: "s", CronExpression: "@daily", Payload: []byte(longest(size))}
			}, "scheduled s", "its payload has 64001 bytes, [Scheduler] MaxPayload is 64000"},
			{"the expression", 1024, func(size int) Message {
				return &apischeduler.ScheduleRecurringRequest{ScheduleId: "s", CronExpression: "@daily" + strings.Repeat(" ", size-len("@daily"))}
			}, "scheduled s", "the expression has 1025 bytes, at most 1024"},
		}},
		asked{"cancel_schedule", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apischeduler.CancelResponse) string { return r.Error })
		}, &apischeduler.CancelRequest{ScheduleId: "s"}, "schedule not found", "schedule not found", []field{
			{"the id", longestID, func(size int) Message { return &apischeduler.CancelRequest{ScheduleId: longest(size)} }, "schedule not found", "schedule not found"},
		}},
		asked{"time_now", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apischeduler.TimeNowResponse) string { return r.LocalTimeZone })
		}, &apischeduler.TimeNowRequest{}, "UTC", "UTC", nil},
		asked{"get_plugin_config", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apiconfig.GetPluginConfigResponse) string { return r.Config["key"] })
		}, &apiconfig.GetPluginConfigRequest{}, "value", "value", nil},
		asked{"call", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apisubsonicapi.CallResponse) string { return r.Json + r.Error })
		}, &apisubsonicapi.CallRequest{Url: "/rest/ping?u=joe"}, "{}", "invalid URL format: request of 1049601 bytes is over the limit of 1049600 bytes", []field{
			{"the URL", 1 << 20, func(size int) Message {
				return &apisubsonicapi.CallRequest{Url: ("/rest/ping?u=joe&x=" + longest(size))[:size]}
			}, "{}", "invalid URL format: the URL has 1048577 bytes, the limit is 1048576"},
			{"the user", 255, func(size int) Message { return &apisubsonicapi.CallRequest{Url: "/rest/ping?u=" + longest(size)} }, "{}", "parameter 'u' (username) has 256 bytes, the limit is 255"},
		}},
	)
	for _, kind := range []string{"artist", "album", "track"} {
		all = append(all, asked{"get_" + kind + "_url", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apiartwork.GetArtworkUrlResponse) string { return r.Url })
		}, &apiartwork.GetArtworkUrlRequest{Id: "x"}, "http://", "artwork of " + kind + ": request of 1537 bytes is over the limit of 1536 bytes", []field{
			{"the id", 512, func(size int) Message { return &apiartwork.GetArtworkUrlRequest{Id: longest(size)} }, "http://", "an id of 513 bytes is over the limit of 512"},
		}})
	}
	address := addressOf("wss")
	const nobody = "failed to connect to WebSocket server: " // nobody serves there
	all = append(all,
		asked{"connect", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apiwebsocket.ConnectResponse) string { return r.Error })
		}, &apiwebsocket.ConnectRequest{Url: "wss://example.com/"}, nobody, "is over the limit of 291840 bytes: all headers together have at most 262144 bytes", []field{
			{"the URL", longestURL, func(size int) Message { return &apiwebsocket.ConnectRequest{Url: address(size)} }, nobody, "Connection blocked"},
			{"the headers", longestHeader, func(size int) Message {
				return &apiwebsocket.ConnectRequest{Url: "wss://example.com/", Headers: map[string]string{"a": longest(size - 1)}}
			}, nobody, "request headers of 262145 bytes, but at most 262144 are allowed"},
			{"the id", longestID, func(size int) Message {
				return &apiwebsocket.ConnectRequest{Url: "wss://example.com/", ConnectionId: longest(size)}
			}, nobody, "connection id of 16385 bytes is over the limit of 16384 bytes"},
		}},
		asked{"send_text", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apiwebsocket.SendTextResponse) string { return r.Error })
		}, &apiwebsocket.SendTextRequest{ConnectionId: "c"}, "connection not found", "failed to send message: request of 1017409 bytes is over the limit of 1017408 bytes", []field{
			{"the id", longestID, func(size int) Message { return &apiwebsocket.SendTextRequest{ConnectionId: longest(size)} }, "connection not found", "connection not found"},
			{"the message", maxMessage, func(size int) Message {
				return &apiwebsocket.SendTextRequest{ConnectionId: "c", Message: longest(size)}
			}, "connection not found", "failed to send message: message of 1000001 bytes is over the limit of 1000000 bytes"},
		}},
		asked{"send_binary", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apiwebsocket.SendBinaryResponse) string { return r.Error })
		}, &apiwebsocket.SendBinaryRequest{ConnectionId: "c"}, "connection not found", "failed to send message: request of 1017409 bytes is over the limit of 1017408 bytes", []field{
			{"the id", longestID, func(size int) Message { return &apiwebsocket.SendBinaryRequest{ConnectionId: longest(size)} }, "connection not found", "connection not found"},
			{"the message", maxMessage, func(size int) Message {
				return &apiwebsocket.SendBinaryRequest{ConnectionId: "c", Data: []byte(longest(size))}
			}, "connection not found", "failed to send message: message of 1000001 bytes is over the limit of 1000000 bytes"},
		}},
		asked{"close", func(t testing.TB, h *Host, r bare) string {
			return answers(t, h, r, func(r *apiwebsocket.CloseResponse) string { return r.Error })
		}, &apiwebsocket.CloseRequest{ConnectionId: "c"}, "connection not found", "failed to close connection: request of 17532 bytes is over the limit of 17531 bytes", []field{
			{"the id", longestID, func(size int) Message { return &apiwebsocket.CloseRequest{ConnectionId: longest(size)} }, "connection not found", "connection not found"},
			{"the reason", 123, func(size int) Message {
				return &apiwebsocket.CloseRequest{ConnectionId: "c", Reason: longest(size)}
			}, "connection not found", "close reason of 124 bytes is over the limit of 123 bytes"},
		}},
	)
	return all
}

func TestEveryFunctionOfTheHostBoundsItsRequestsInItsOwnWords(t *testing.T) {
	t.Parallel()
	tested := make(map[string]bool)
	for _, function := range askedFunctions() {
		tested[function.function] = true
		t.Run(function.function, func(t *testing.T) {
			h := importing(t, function.function)
			limit := 0
			for _, f := range h.services.Functions() {
				if f.Name == function.function {
					limit = f.MaxRequest
				}
			}
			good := encoded(t, function.good)
			type exchange struct {
				name string
				body bare
				want string
			}
			exchanges := []exchange{
				{"a good request", good, function.answered},
				{"a request at the limit", good.padded(t, limit), function.answered},
				{"a request of a byte more", good.padded(t, limit+1), function.refused},
			}
			if few := host.MaxFields - numberOfFields(good); limit > 2*few+len(good)+2 {
				exchanges = append(exchanges,
					exchange{"a request of a thousand fields", append(bytes.Repeat([]byte{0x78, 0}, few), good...), function.answered},
					exchange{"a request of one more", append(bytes.Repeat([]byte{0x78, 0}, few+1), good...), function.crowded()})
			}
			for _, request := range exchanges {
				if got := function.answer(t, h, request.body); !strings.Contains(got, request.want) {
					t.Errorf("%s: got %.300q, want %q in it", request.name, got, request.want)
				}
			}
			for _, field := range function.fields {
				for size, want := range map[int]string{field.limit: field.fits, field.limit + 1: field.over} {
					request := encoded(t, field.request(size))
					if got := function.answer(t, h, request); !strings.Contains(got, want) {
						t.Errorf("%s of %d: got %.300q, want %q in it", field.name, size, got, want)
					}
				}
			}
		})
	}
	for _, function := range importing(t, "time_now").services.Functions() {
		if !tested[function.Name] {
			t.Errorf("%s is not tested", function.Name)
		}
	}
}

// crowded is in the answer to a request of too many fields.
func (a asked) crowded() string {
	if strings.Contains(a.refused, "is over the limit") {
		return "request has more than 1000 fields"
	}
	return a.refused
}

func numberOfFields(request bare) (n int) {
	for rest := []byte(request); len(rest) > 0; n++ {
		_, _, size := protowire.ConsumeField(rest)
		rest = rest[size:]
	}
	return n
}
