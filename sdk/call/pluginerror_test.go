package call_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/pluginhost/pluginhost/sdk/api"
	"github.com/pluginhost/pluginhost/sdk/call"
	"github.com/pluginhost/pluginhost/subjects"
)

func TestTextsOfPluginsAreMatchedExactly(t *testing.T) {
	all := []error{subjects.ErrPlugin, subjects.ErrNotFound, api.ErrNotFound, subjects.ErrNotImplemented, api.ErrNotImplemented}
	for text, want := range map[string][]error{
		"plugin:not_found":        {subjects.ErrNotFound, api.ErrNotFound},
		"plugin:not_implemented":  {subjects.ErrNotImplemented, api.ErrNotImplemented},
		"plugin:not_found ":       {subjects.ErrPlugin},
		"asked: plugin:not_found": {subjects.ErrPlugin},
		"Plugin:Not_Found":        {subjects.ErrPlugin},
		"no such artist":          {subjects.ErrPlugin},
	} {
		err := call.ResponseError(text)
		for _, sentinel := range all {
			if is := errors.Is(err, sentinel); is != slices.Contains(want, sentinel) {
				t.Errorf("%q is %v: %t", text, sentinel, is)
			}
		}
		var failure *subjects.Error
		if !errors.As(err, &failure) || failure.Text != text {
			t.Errorf("%q became %v", text, err)
		}
	}
	if err := call.ResponseError(""); err != nil {
		t.Errorf("an empty field became %v", err)
	}
}
