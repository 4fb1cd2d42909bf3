package listenbrainz

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// retrySeconds is when a sender that asks is told to come again.
const retrySeconds = 10

// answer is what a request gets, as JSON.
type answer struct {
	code int
	body any
	// last is that the rest of the request is not waited for.
	last bool
}

// The bodies of answers, as ListenBrainz has them.
type (
	accepted struct {
		Status string `json:"status"`
	}
	validity struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Valid   bool   `json:"valid"`
		User    string `json:"user_name,omitempty"`
	}
	// failure has the status once more, since Navidrome goes by the code alone.
	failure struct {
		Code  int    `json:"code"`
		Error string `json:"error"`
	}
)

// accept is the answer to what was asked for.
func accept(body any) answer { return answer{code: http.StatusOK, body: body} }

// refuse is the answer that nothing was taken.
func refuse(code int, format string, args ...any) answer {
	return answer{code: code, body: failure{Code: code, Error: fmt.Sprintf(format, args...)}}
}

// stray is the answer to a request that should have gone elsewhere. It is no JSON: Navidrome discards a play for any JSON with
// another code than 500 and 503, and keeps it where there is none, until its address is put right.
func stray(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text)
}

// write sends the answer. A client that does not take it is no fault of ours.
func (a answer) write(w http.ResponseWriter) {
	body, err := json.Marshal(a.body)
	if err != nil { // as no type of a body allows
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if a.code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(retrySeconds))
	}
	if a.last {
		w.Header().Set("Connection", "close")
	}
	w.WriteHeader(a.code)
	_, _ = w.Write(body)
}
