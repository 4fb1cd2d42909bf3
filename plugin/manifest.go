package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// MaxManifestSize is the largest manifest.json that is read, in bytes.
const MaxManifestSize = 1 << 20

// Bounds on the inside of a manifest. Without them a document below MaxManifestSize could make the validator produce
// gigabytes of messages, each of which repeats the keys on its path.
const (
	maxManifestValues = 10_000
	maxManifestKey    = 2048 // bytes
)

// Capabilities a manifest can list. The name is also that of the service in the plugin contract.
const (
	MetadataAgent       = "MetadataAgent"
	Scrobbler           = "Scrobbler"
	SchedulerCallback   = "SchedulerCallback"
	LifecycleManagement = "LifecycleManagement"
	WebSocketCallback   = "WebSocketCallback"
)

// Contract is a generation of the plugin contract.
type Contract string

// Navidrome058 is the contract of Navidrome 0.58, which plugins have until 0.59: their manifests list capabilities.
const Navidrome058 Contract = "navidrome-0.58"

// Manifest is a valid manifest.json: what a plugin is, what it can do and what it may use.
type Manifest struct {
	// Name is for display only; the id of a plugin is the name of its folder. It may be empty, as may the other texts.
	Name string `json:"name"`
	// Author is who wrote the plugin.
	Author string `json:"author"`
	// Version should be a semantic version, but old plugins may say anything.
	Version string `json:"version"`
	// Description is what the plugin does.
	Description string `json:"description"`
	// Website should be an absolute URI, but old plugins may say anything.
	Website string `json:"website"`
	// Capabilities has at least one of the constants of this package, each once, in the order of the file.
	Capabilities []string `json:"capabilities"`
	// Permissions are the host services the plugin asks for.
	Permissions Permissions `json:"permissions"`
	// Contract is what the plugin was written for.
	Contract Contract `json:"-"`
}

// Has tells whether the manifest lists a capability.
func (m *Manifest) Has(capability string) bool {
	return slices.Contains(m.Capabilities, capability)
}

// ParseManifest reads the content of a manifest.json of at most [MaxManifestSize] bytes. The problems it returns are
// warnings, sorted by path: things to put right that do not keep the plugin from loading. The error is always a
// [*ManifestError] with every fault found, and then the manifest is nil; warnings may come with it.
func ParseManifest(data []byte) (*Manifest, []Problem, error) {
	var found findings
	schema := loadSchema()
	doc, err := decodeManifest(data)
	if err == nil {
		err = checkKeys(data, schema.root, &found)
	}
	if err != nil {
		return nil, nil, &ManifestError{Faults: []Problem{{Text: err.Error()}}}
	}
	doc = tame(doc)
	object, _ := doc.(map[string]any) // if it is none, validation says so
	foldKeys(object, schema.root, nil, &found)
	schema.validate(doc, &found)
	warnings := sorted(found.warnings)
	if len(found.faults) > 0 {
		return nil, warnings, &ManifestError{Faults: sorted(found.faults)}
	}
	return newManifest(object, schema), warnings, nil
}

// decodeManifest decodes one JSON document within the bound on its size.
func decodeManifest(data []byte) (any, error) {
	if len(data) > MaxManifestSize {
		return nil, fmt.Errorf("has more than %d bytes", MaxManifestSize)
	}
	if bytes.HasPrefix(data, []byte("\xef\xbb\xbf")) {
		return nil, errors.New("begins with a UTF-8 byte order mark: save the file as UTF-8 without BOM")
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber() // the validator takes numbers in this form only
	var doc any
	if err := decoder.Decode(&doc); err != nil {
		return nil, syntaxError(data, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("line %d: there is something after the end of the document: remove it", lineAt(data, decoder.InputOffset()))
	}
	return doc, nil
}

// syntaxError says what is wrong with a document that is not JSON, and where.
func syntaxError(data []byte, err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New("is empty: a JSON object is needed")
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("ends too early: a closing bracket or quote is missing")
	case errors.As(err, &syntax):
		return fmt.Errorf("is not JSON: line %d: %w", lineAt(data, syntax.Offset), err)
	default:
		return fmt.Errorf("is not JSON: %w", err)
	}
}

// lineAt returns the line, from 1, that a byte offset lies in.
func lineAt(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(offset, int64(len(data)))], []byte("\n"))
}

// tame makes every number a 0: a manifest has no place for numbers, and the validator's exact arithmetic would work for
// seconds on one like 1e999999. The decoder has bounded the depth.
func tame(value any) any {
	switch value := value.(type) {
	case json.Number:
		return json.Number("0")
	case []any:
		for i := range value {
			value[i] = tame(value[i])
		}
	case map[string]any:
		for key := range value {
			value[key] = tame(value[key])
		}
	}
	return value
}

// newManifest takes the manifest out of a valid document. It does so by hand since encoding/json would match keys in any
// case, and let an ignored "Reason" or "Permissions" win over the real one.
func newManifest(doc map[string]any, schema manifestSchema) *Manifest {
	granted := asObject(doc["permissions"])
	return &Manifest{
		Name:         asString(doc["name"]),
		Author:       asString(doc["author"]),
		Version:      asString(doc["version"]),
		Description:  asString(doc["description"]),
		Website:      asString(doc["website"]),
		Capabilities: asStrings(doc["capabilities"]),
		Permissions:  newPermissions(granted, schema.keysAt(location{"permissions"})),
		Contract:     Navidrome058,
	}
}

func newPermissions(granted map[string]any, known []string) Permissions {
	var permissions Permissions
	for _, row := range permissionTable() {
		if object := asObject(granted[row.key]); object != nil {
			row.parse(object, &permissions)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(granted)) {
		if !slices.Contains(known, key) {
			permissions.Unknown = append(permissions.Unknown, key)
		}
	}
	return permissions
}

// The as functions read one value of a valid document; null gives the zero value.

func asObject(value any) map[string]any {
	object, _ := value.(map[string]any)
	return object
}

func asString(value any) string {
	text, _ := value.(string)
	return text
}

func asBool(value any) bool {
	truth, _ := value.(bool)
	return truth
}

// asStrings drops repeats. A null inside the list stays, as "": a list of users must not become empty, which is everybody.
func asStrings(value any) []string {
	list, _ := value.([]any)
	var texts []string
	seen := map[string]bool{}
	for _, element := range list {
		if text := asString(element); !seen[text] {
			seen[text] = true
			texts = append(texts, text)
		}
	}
	return texts
}
