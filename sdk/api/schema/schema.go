// Package schema knows the plugin contract at run time: which methods each
// capability has, under which names they go, and how their messages read as
// JSON. It is for hosts and clients; plugins do not need it.
package schema

import (
	_ "embed"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/pluginhost/pluginhost/sdk/api/internal/snake"
)

//go:embed api.binpb
var descriptorSet []byte

// Capability is a service that a plugin can implement.
type Capability struct {
	// Name is the name in a manifest, such as MetadataAgent.
	Name string
	// VersionExport is the guest's export that returns the version of the
	// binary interface.
	VersionExport string
	// Methods are in the order of the contract.
	Methods []*Method
}

// IsCallback says whether the methods of the capability are callbacks: the host
// calls them for the plugin, clients only to try them.
func (c Capability) IsCallback() bool {
	return c.Name == "SchedulerCallback" || c.Name == "WebSocketCallback"
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
	// Name is the name on the bus, such as get_artist_biography.
	Name string
	// RPC is the name in the contract, such as GetArtistBiography.
	RPC string
	// Export is the guest's export, such as metadata_agent_get_artist_biography.
	Export string

	request, response protoreflect.MessageDescriptor
}

// HostService is a service that a host offers to guests.
type HostService struct {
	// Permission is its key in a manifest, such as http.
	Permission string
	// Functions are the names under which a guest imports its methods.
	Functions []string
}

// contract is what the descriptors say.
type contract struct {
	capabilities []Capability
	hostServices []HostService
}

var loaded = sync.OnceValue(load)

// Capabilities returns all capabilities in the order of the contract. The
// result is shared: do not change it.
func Capabilities() []Capability { return loaded().capabilities }

// HostServices returns all host services of the contract, whether a host offers
// them or not. The result is shared: do not change it.
func HostServices() []HostService { return loaded().hostServices }

// Lookup returns the capability of that name, or false.
func Lookup(name string) (Capability, bool) {
	for _, capability := range Capabilities() {
		if capability.Name == name {
			return capability, true
		}
	}
	return Capability{}, false
}

// IsCallback says whether a name on the bus is that of a callback.
func IsCallback(method string) bool {
	for _, capability := range Capabilities() {
		for _, m := range capability.Methods {
			if m.Name == method {
				return capability.IsCallback()
			}
		}
	}
	return false
}

// load panics when the embedded descriptors are damaged: they are part of the
// program.
func load() contract {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(descriptorSet, set); err != nil {
		panic(fmt.Errorf("embedded api.binpb: %w", err))
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		panic(fmt.Errorf("embedded api.binpb: %w", err))
	}
	var c contract
	for _, file := range set.File {
		descriptor, err := files.FindFileByPath(file.GetName())
		if err != nil {
			panic(fmt.Errorf("embedded api.binpb: %w", err))
		}
		services := descriptor.Services()
		for i := range services.Len() {
			if file.GetPackage() == "api" {
				c.capabilities = append(c.capabilities, newCapability(services.Get(i)))
			} else {
				c.hostServices = append(c.hostServices, newHostService(file.GetPackage(), services.Get(i)))
			}
		}
	}
	return c
}

func newHostService(permission string, service protoreflect.ServiceDescriptor) HostService {
	s := HostService{Permission: permission}
	methods := service.Methods()
	for i := range methods.Len() {
		s.Functions = append(s.Functions, snake.Case(string(methods.Get(i).Name())))
	}
	return s
}

func newCapability(service protoreflect.ServiceDescriptor) Capability {
	name := string(service.Name())
	prefix := snake.Case(name)
	capability := Capability{Name: name, VersionExport: prefix + "_api_version"}
	methods := service.Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		short := snake.Case(string(method.Name()))
		capability.Methods = append(capability.Methods, &Method{
			Capability: name,
			Name:       short,
			RPC:        string(method.Name()),
			Export:     prefix + "_" + short,
			request:    method.Input(),
			response:   method.Output(),
		})
	}
	return capability
}
