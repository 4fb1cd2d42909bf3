package plugin

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/xeipuuv/gojsonschema"
)

func TestSchemaIsValidDraft7(t *testing.T) {
	loader := gojsonschema.NewSchemaLoader()
	loader.Validate = true // against the draft that $schema names
	if _, err := loader.Compile(gojsonschema.NewStringLoader(schemaText)); err != nil {
		t.Fatalf("manifest.schema.json is not a valid schema: %v", err)
	}
}

func TestSchemaSaysWhatItIs(t *testing.T) {
	var schema map[string]any
	if err := json.Unmarshal([]byte(schemaText), &schema); err != nil {
		t.Fatal(err)
	}
	if draft := schema["$schema"]; draft != "http://json-schema.org/draft-07/schema#" {
		t.Errorf("$schema is %v, want draft 7", draft)
	}
	for _, key := range []string{"$id", "title", "description"} {
		if text, _ := schema[key].(string); text == "" {
			t.Errorf("%s is empty: an editor shows nothing", key)
		}
	}
}

func TestSchemaListsTheCapabilityConstants(t *testing.T) {
	var schema struct {
		Properties struct {
			Capabilities struct {
				Items struct {
					Enum []string
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(schemaText), &schema); err != nil {
		t.Fatal(err)
	}
	want := []string{MetadataAgent, Scrobbler, SchedulerCallback, LifecycleManagement, WebSocketCallback}
	if got := schema.Properties.Capabilities.Items.Enum; !slices.Equal(got, want) {
		t.Errorf("the schema allows %q, the constants are %q", got, want)
	}
}

func TestSchemaListsThePermissionsThatCanBeGranted(t *testing.T) {
	all := Permissions{
		HTTP: &HTTPPermission{}, Config: &Permission{}, Scheduler: &Permission{}, WebSocket: &WebSocketPermission{},
		Cache: &Permission{}, Artwork: &Permission{}, SubsonicAPI: &SubsonicAPIPermission{},
	}
	want := all.Granted()
	slices.Sort(want)
	if got := loadSchema().keysAt(location{"permissions"}); !slices.Equal(got, want) {
		t.Errorf("the schema has %q, Granted has %q", got, want)
	}
}

func TestSchemaDescribesEveryKey(t *testing.T) {
	type node struct {
		Ref         string `json:"$ref"`
		Description string
		Properties  map[string]json.RawMessage
	}
	var walk func(where location, raw json.RawMessage)
	walk = func(where location, raw json.RawMessage) {
		var n node
		if err := json.Unmarshal(raw, &n); err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if n.Description == "" && n.Ref == "" {
			t.Errorf("%s has no description for an editor to show", where)
		}
		for key, child := range n.Properties {
			walk(where.at(key), child)
		}
	}
	walk(nil, json.RawMessage(schemaText))
}
