package main

import (
	"context"
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api/host/config"
	"github.com/pluginhost/pluginhost/sdk/api/host/http"
	"github.com/pluginhost/pluginhost/wasmrt"
)

// page is what the upstream of guestAgent answers: as long as a summary of a
// well-known artist is, with the fields that the agent does not want.
const page = `{
  "type": "standard", "title": "Nina Simone", "displaytitle": "<span class=\"mw-page-title-main\">Nina Simone</span>",
  "namespace": {"id": 0, "text": ""}, "wikibase_item": "Q000000", "pageid": 21492, "lang": "en", "dir": "ltr",
  "titles": {"canonical": "Nina_Simone", "normalized": "Nina Simone", "display": "Nina Simone"},
  "thumbnail": {"source": "https://upload.example.org/thumb/nina_simone.jpg/320px-nina_simone.jpg", "width": 320, "height": 427},
  "originalimage": {"source": "https://upload.example.org/nina_simone.jpg", "width": 1181, "height": 1575},
  "revision": "1200000000", "tid": "00000000-0000-0000-0000-000000000000", "timestamp": "2024-01-01T00:00:00Z",
  "description": "American singer, pianist and songwriter", "description_source": "local",
  "content_urls": {
    "desktop": {"page": "https://en.wiki.example.org/wiki/Nina_Simone", "revisions": "https://en.wiki.example.org/wiki/Nina_Simone?action=history", "edit": "https://en.wiki.example.org/wiki/Nina_Simone?action=edit"},
    "mobile": {"page": "https://en.m.wiki.example.org/wiki/Nina_Simone", "revisions": "https://en.m.wiki.example.org/wiki/Special:History/Nina_Simone", "edit": "https://en.m.wiki.example.org/wiki/Nina_Simone?action=edit"}
  },
  "extract": "She was a singer, pianist, arranger and songwriter. Her music went through jazz, blues, folk, gospel and pop, and what she had learnt of the classics never left it. She wanted to be a concert pianist, played in clubs to pay for her lessons, and was told there to sing as well. She recorded more than forty albums.",
  "extract_html": "<p>She was a singer, pianist, arranger and songwriter. Her music went through jazz, blues, folk, gospel and pop, and what she had learnt of the classics never left it. She wanted to be a concert pianist, played in clubs to pay for her lessons, and was told there to sing as well. She recorded more than forty albums.</p>"
}`

// upstream are the host functions of guestAgent. They answer at once, so that
// what is measured is the guest.
func upstream() ([]wasmrt.HostFunction, error) {
	found, err := (&http.HttpResponse{Status: 200, Body: []byte(page), Headers: map[string]string{"Content-Type": "application/json"}}).MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode the upstream's answer: %w", err)
	}
	settings, err := (&config.GetPluginConfigResponse{}).MarshalVT()
	if err != nil {
		return nil, fmt.Errorf("encode the configuration: %w", err)
	}
	answer := func(bytes []byte) func(context.Context, []byte) ([]byte, error) {
		return func(context.Context, []byte) ([]byte, error) { return bytes, nil }
	}
	return []wasmrt.HostFunction{{Name: "get", Call: answer(found)}, {Name: "get_plugin_config", Call: answer(settings)}}, nil
}
