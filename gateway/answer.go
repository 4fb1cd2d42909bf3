package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

// refusal is a failure that only the gateway has.
type refusal struct {
	code       int
	name, text string
}

func (e *refusal) Error() string { return fmt.Sprintf("%d %s: %s", e.code, e.name, e.text) }

func refusef(code int, name, format string, args ...any) error {
	return &refusal{code, name, fmt.Sprintf(format, args...)}
}

// ranError is a failure of a call that was sent: what is too large then is the reply.
type ranError struct{ error }

func (e ranError) Unwrap() error { return e.error }

// answering is a request that is being answered.
type answering struct {
	w       http.ResponseWriter
	r       *http.Request
	control *http.ResponseController
	within  time.Duration // the answer is to be taken
	last    bool          // the connection is closed after the answer
	read    bool          // the body is read
}

// send sends an answer. A client that does not take it is no fault of ours.
func (a *answering) send(status int, contentType string, body []byte) {
	header := a.w.Header()
	if contentType != "" {
		header["Content-Type"] = []string{contentType}
	}
	header["Cache-Control"] = []string{"no-store"}
	header["X-Content-Type-Options"] = []string{"nosniff"}
	if a.last {
		header["Connection"] = []string{"close"}
	}
	if status != http.StatusNoContent {
		header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	_ = a.control.SetWriteDeadline(time.Now().Add(a.within))
	a.w.WriteHeader(status)
	_, _ = a.w.Write(body)
}

// fail sends a failure.
func (a *answering) fail(err error) {
	told, status, retryAfter := failureOf(err)
	if a.r.ContentLength != 0 && !a.read && a.r.ProtoMajor == 1 {
		a.last = true // the rest of the body is not waited for
	}
	body, err := json.Marshal(told)
	if err != nil { // as no text does
		body = nil
	}
	if status == http.StatusTooManyRequests {
		a.w.Header()["Retry-After"] = []string{subjects.HTTPRetryAfter(retryAfter)}
	}
	if status == http.StatusUnauthorized {
		a.w.Header()["Www-Authenticate"] = []string{`Bearer realm="pluginhost"`}
	}
	a.send(status, subjects.ContentTypeJSON, body)
}

// failureOf is how a failure goes to the client.
func failureOf(err error) (told subjects.HTTPFailure, status int, retryAfter time.Duration) {
	var refused *refusal
	if errors.As(err, &refused) {
		return subjects.HTTPFailure{V: subjects.Version, Code: refused.code, Name: refused.name, Error: refused.text}, refused.code, 0
	}
	failure := call.FailureOf(err)
	var ran ranError
	return subjects.HTTPFailure{
		V: subjects.Version, Code: failure.Code(), Name: failure.Failure.Error(), Error: excerpt.Cut(failure.Text, call.MaxErrorText),
	}, subjects.HTTPStatus(failure, errors.As(err, &ran)), failure.RetryAfter
}
