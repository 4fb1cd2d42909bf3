// Package schema knows the plugin contract at run time: which methods each
// capability has, under which names they go, how their messages read as JSON,
// and what a plugin is called back with. It is for hosts and clients; plugins do
// not need it.
package schema

import (
	"slices"

	"google.golang.org/protobuf/reflect/protoreflect"
)

// Kind says who calls the methods of a capability.
type Kind int

const (
	// KindCall is methods that clients call.
	KindCall Kind = iota
	// KindCallback is methods that the host calls when something has happened, and clients
	// only to try them.
	KindCallback
	// KindLifecycle is methods that the host calls when it loads a plugin, and nobody else.
	KindLifecycle
)

// Capability is a service that a plugin can implement.
type Capability struct {
	// Name is the name in a manifest, such as MetadataAgent.
	Name string
	// Kind says who calls its methods.
	Kind Kind
	// VersionExport is the guest's export that returns the version of the
	// binary interface.
	VersionExport string
	// Methods are in the order of the contract.
	Methods []*Method
}

// Exports are the guest's exports that are the methods of the capability.
func (c Capability) Exports() []string {
	exports := make([]string, len(c.Methods))
	for i, method := range c.Methods {
		exports[i] = method.Export
	}
	return exports
}

// Method is one method of a capability.
type Method struct {
	// Capability is the name of the service it belongs to.
	Capability string
	// Kind is that of the capability.
	Kind Kind
	// Name is the name on the bus, such as get_artist_biography.
	Name string
	// RPC is the name in the contract, such as GetArtistBiography.
	RPC string
	// Export is the guest's export, such as metadata_agent_get_artist_biography.
	Export string

	request, response protoreflect.MessageDescriptor
}

// Request is what the request message looks like.
func (m *Method) Request() protoreflect.MessageDescriptor { return m.request }

// Response is what the response message looks like.
func (m *Method) Response() protoreflect.MessageDescriptor { return m.response }

// HostService is a service that a host offers to guests.
type HostService struct {
	// Permission is its key in a manifest, such as http.
	Permission string
	// Functions are the names under which a guest imports its methods.
	Functions []string
}

func (s HostService) has(function string) bool { return slices.Contains(s.Functions, function) }
