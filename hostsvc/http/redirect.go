package http

import (
	"errors"
	"fmt"
	nethttp "net/http"

	api "github.com/pluginhost/pluginhost/sdk/api/host/http"
)

// redirects decides about the redirects of one exchange.
type redirects struct {
	service *Service
	last    *nethttp.Response // the last redirect; its body is closed
	stopped error             // why last was not followed; nil when it was
}

// check is called before each redirect is followed, with the request to come and the
// ones made. To stop, it has the client return the redirect itself.
func (r *redirects) check(next *nethttp.Request, made []*nethttp.Request) error {
	r.last = next.Response
	if len(made) > maxRedirects {
		r.stopped = fmt.Errorf("stopped after %d redirects", maxRedirects)
		return nethttp.ErrUseLastResponse
	}
	target, err := r.service.gate.CheckRedirect(made[len(made)-1].URL, next.URL.String(), next.Method)
	if err != nil {
		r.service.warn(next.Context(), next.Method, next.URL.String(), err)
		r.stopped = errors.New(blockedPrefix + "redirect: " + err.Error())
		return nethttp.ErrUseLastResponse
	}
	next.URL = target
	return nil
}

// describe adds to a refusal the redirect that led to it, when there was one: the
// address of the next hop is known only once it is dialled, and by then the client
// has given up the redirect.
func (r *redirects) describe(response *api.HttpResponse) *api.HttpResponse {
	if r.last == nil {
		return response
	}
	response.Status = int32(r.last.StatusCode)
	if header, err := responseHeader(r.last.Header); err == nil {
		response.Headers = header
	}
	return response
}
