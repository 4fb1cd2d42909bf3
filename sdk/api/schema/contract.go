package schema

import (
	_ "embed"
	"fmt"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/pluginhost/pluginhost/sdk/api/internal/snake"
)

//go:embed api.binpb
var descriptorSet []byte

// Contract is one generation of the plugin contract: what plugins can do and be told, and what
// they can ask of a host. It does not change, and may be used concurrently.
type Contract struct {
	capabilities []Capability
	hostServices []HostService
	methods      map[string]*Method // by name on the bus
	// encode makes the messages of an event.
	encode func(Event) (encoded, error)
}

// Capabilities are all capabilities in the order of the contract. The result is shared: do
// not change it.
func (c *Contract) Capabilities() []Capability { return c.capabilities }

// HostServices are all host services of the contract, whether a host offers them or not. The
// result is shared: do not change it.
func (c *Contract) HostServices() []HostService { return c.hostServices }

// Capability returns the capability of that name, or false.
func (c *Contract) Capability(name string) (Capability, bool) {
	for _, capability := range c.capabilities {
		if capability.Name == name {
			return capability, true
		}
	}
	return Capability{}, false
}

// Method returns the method of that name on the bus, or false.
func (c *Contract) Method(name string) (*Method, bool) {
	method, known := c.methods[name]
	return method, known
}

// HostService returns the host service that has a function of that name, or false.
func (c *Contract) HostService(function string) (HostService, bool) {
	for _, service := range c.hostServices {
		if service.has(function) {
			return service, true
		}
	}
	return HostService{}, false
}

// read adds to a contract what descriptors say of it. The package of the capabilities is "api";
// the others are named after a permission. It panics if the descriptors are damaged: they are
// part of the program.
func (c *Contract) read(descriptors []byte, kinds map[string]Kind) {
	set := new(descriptorpb.FileDescriptorSet)
	if err := proto.Unmarshal(descriptors, set); err != nil {
		panic(fmt.Errorf("embedded api.binpb: %w", err))
	}
	files, err := protodesc.NewFiles(set)
	if err != nil {
		panic(fmt.Errorf("embedded api.binpb: %w", err))
	}
	c.methods = make(map[string]*Method)
	for _, file := range set.File {
		descriptor, err := files.FindFileByPath(file.GetName())
		if err != nil {
			panic(fmt.Errorf("embedded api.binpb: %w", err))
		}
		services := descriptor.Services()
		for i := range services.Len() {
			if service := services.Get(i); file.GetPackage() == "api" {
				c.add(newCapability(service, kinds[string(service.Name())]))
			} else {
				c.hostServices = append(c.hostServices, newHostService(file.GetPackage(), service))
			}
		}
	}
}

func (c *Contract) add(capability Capability) {
	c.capabilities = append(c.capabilities, capability)
	for _, method := range capability.Methods {
		c.methods[method.Name] = method
	}
}

func newHostService(permission string, service protoreflect.ServiceDescriptor) HostService {
	s := HostService{Permission: permission}
	methods := service.Methods()
	for i := range methods.Len() {
		s.Functions = append(s.Functions, snake.Case(string(methods.Get(i).Name())))
	}
	return s
}

func newCapability(service protoreflect.ServiceDescriptor, kind Kind) Capability {
	name := string(service.Name())
	prefix := snake.Case(name)
	capability := Capability{Name: name, Kind: kind, VersionExport: prefix + "_api_version"}
	methods := service.Methods()
	for i := range methods.Len() {
		method := methods.Get(i)
		short := snake.Case(string(method.Name()))
		capability.Methods = append(capability.Methods, &Method{
			Capability: name,
			Kind:       kind,
			Name:       short,
			RPC:        string(method.Name()),
			Export:     prefix + "_" + short,
			request:    method.Input(),
			response:   method.Output(),
		})
	}
	return capability
}
