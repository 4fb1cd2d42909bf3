package schema_test

import (
	"fmt"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
)

// A host, or a client, finds the methods of a capability by its name in a manifest, and converts JSON for them.
func Example() {
	agent, _ := schema.Navidrome058().Capability("MetadataAgent")
	for _, method := range agent.Methods[:2] {
		fmt.Println(method.Name, method.Export)
	}
	request, err := agent.Methods[0].RequestFromJSON([]byte(`{"name": "Nina Simone"}`))
	fmt.Printf("%q %v\n", request, err)
	// Output:
	// get_artist_mbid metadata_agent_get_artist_mbid
	// get_artist_url metadata_agent_get_artist_url
	// "\x12\vNina Simone" <nil>
}
