package call

import (
	"fmt"
	"strconv"
	"time"

	"github.com/pluginhost/pluginhost/sdk/excerpt"
	"github.com/pluginhost/pluginhost/subjects"
)

// IsJSON tells a JSON body by its content type or its very first byte, with
// which no message of the contract begins. It is an error if the content type is there twice.
func IsJSON(header map[string][]string, body []byte) (bool, error) {
	kind, err := subjects.HeaderValue(header, subjects.HeaderContentType)
	return len(body) > 0 && body[0] == '{' || kind == subjects.ContentTypeJSON, err
}

// readHeader takes over what the headers of a request say. What does not parse, or is there
// twice, is ErrBadRequest.
func (r *Request) readHeader() error {
	header := r.Header
	if header == nil {
		return nil
	}
	text, err := subjects.HeaderValue(header, subjects.HeaderTimeout)
	if err != nil {
		return subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	if r.Timeout, err = ParseTimeout(text); err != nil {
		return err
	}
	value, err := subjects.HeaderValue(header, subjects.HeaderVia)
	if err != nil {
		return subjects.Errorf(subjects.ErrBadRequest, "%w", err)
	}
	if r.Via, err = subjects.ParseVia(value); err != nil {
		return subjects.Errorf(subjects.ErrBadRequest, "header %s: %w", subjects.HeaderVia, err)
	}
	if trace := header[subjects.HeaderTraceParent]; len(trace) > 0 {
		r.Trace = trace[0]
	}
	return nil
}

// MaxErrorText bounds the text of an error in a header, in bytes.
const MaxErrorText = 8 << 10

// WriteFailure puts a failure into the headers of a reply, with at most limit bytes of its
// text.
func WriteFailure(header map[string][]string, failure *subjects.Error, limit int) {
	header[subjects.HeaderErrorCode] = []string{strconv.Itoa(failure.Code())}
	header[subjects.HeaderError] = []string{excerpt.Header(failure.Text, limit)}
	if failure.RetryAfter > 0 {
		header[subjects.HeaderRetryAfter] = []string{failure.RetryAfter.String()}
	}
}

// CodeError says that the code of a reply is no number.
type CodeError struct {
	// Code is what it is.
	Code string
}

// Error implements error.
func (e *CodeError) Error() string { return fmt.Sprintf("the code %.40q: want a number", e.Code) }

// ReadFailure returns the failure that the headers of a reply tell, or nil. A code that is no
// number is a *CodeError, which comes with the text; another error is that a header is there
// twice.
func ReadFailure(header map[string][]string) (*subjects.Error, error) {
	var values [3]string
	for i, name := range []string{subjects.HeaderErrorCode, subjects.HeaderError, subjects.HeaderRetryAfter} {
		var err error
		if values[i], err = subjects.HeaderValue(header, name); err != nil {
			return nil, err
		}
	}
	code, text, retryAfter := values[0], values[1], values[2]
	if code == "" {
		return nil, nil
	}
	number, err := strconv.Atoi(code)
	if err != nil {
		return nil, &CodeError{code}
	}
	failure := subjects.FromCode(number, text)
	if after, err := time.ParseDuration(retryAfter); err == nil {
		failure.RetryAfter = after
	}
	return failure, nil
}
