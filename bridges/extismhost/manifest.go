package extismhost

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrManifest is that of a manifest with which Navidrome loads no plugin.
var ErrManifest = errors.New("manifest is not valid")

// manifest is what counts here of manifest.json. Unknown keys are ignored, as null ones are.
type manifest struct {
	Name        *string `json:"name"`
	Author      *string `json:"author"`
	Version     *string `json:"version"`
	Permissions struct {
		HTTP  *httpPermission `json:"http"`
		Users *struct{}       `json:"users"`
	} `json:"permissions"`
	Config *struct {
		Schema json.RawMessage `json:"schema"`
	} `json:"config"`
}

// httpPermission is the permission http.
type httpPermission struct {
	RequiredHosts []string `json:"requiredHosts"`
}

// readManifest decodes and checks a manifest; its errors are ErrManifest.
func readManifest(content []byte) (*manifest, error) {
	m := &manifest{}
	if err := json.Unmarshal(content, m); err != nil {
		return nil, fmt.Errorf("%w: parsing manifest JSON: %w", ErrManifest, err)
	}
	for _, field := range []struct {
		name  string
		value *string
	}{{"name", m.Name}, {"author", m.Author}, {"version", m.Version}} {
		switch {
		case field.value == nil:
			return nil, fmt.Errorf("%w: field %s in Manifest: required", ErrManifest, field.name)
		case *field.value == "":
			return nil, fmt.Errorf("%w: field %s length: must be >= 1", ErrManifest, field.name)
		}
	}
	if m.Config != nil && len(m.Config.Schema) == 0 {
		return nil, fmt.Errorf("%w: field schema in ConfigDefinition: required", ErrManifest)
	}
	return m, nil
}

// check compares a manifest with the capabilities that the module has.
func (m *manifest) check(capabilities []string) error {
	for _, capability := range capabilities {
		if capability == scrobbler && m.Permissions.Users == nil {
			return fmt.Errorf("%w: scrobbler capability requires 'users' permission to be declared in manifest", ErrManifest)
		}
	}
	return nil
}
