package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/pluginhost/pluginhost/sdk/api/schema"
	"github.com/pluginhost/pluginhost/subjects"
)

// object is an object of JSON.
type object = map[string]any

// document describes the gateway as OpenAPI 3.0 has it: from the descriptors of the contract, so that it always fits.
type document struct {
	schemas object // of messages, by name
	paths   object
}

// describe returns the document.
func describe() ([]byte, error) {
	d := &document{paths: object{}, schemas: object{
		"Failure": object{
			"type": "object", "required": []string{"v", "code", "name", "error"},
			"description": "What every answer has that is none of 2xx. Who gets another body did not hear it from a gateway.",
			"properties": object{
				"v":     object{"type": "integer", "enum": []int{subjects.Version}},
				"code":  object{"type": "integer", "description": "the status, but 408 is sent as 504, and 413 of a reply as 502"},
				"name":  object{"type": "string", "example": "plugin:not_found"},
				"error": object{"type": "string"},
			},
		},
		"Safe":    object{"type": "object", "required": []string{"v"}, "properties": object{"v": object{"type": "integer"}}},
		"Plugins": object{"type": "object", "required": []string{"v", "plugins"}, "properties": object{"v": object{"type": "integer"}, "plugins": object{"type": "array", "items": object{"type": "object"}}}},
		"Plugin": object{
			"type": "object", "required": []string{"v", "id", "replicas"},
			"properties": object{"v": object{"type": "integer"}, "id": object{"type": "string"}, "replicas": object{"type": "array", "items": object{"type": "object"}}},
		},
	}}
	for _, capability := range schema.Navidrome058().Capabilities() {
		if capability.Kind != schema.KindCall {
			continue
		}
		for _, method := range capability.Methods {
			d.method(capability.Name, method)
		}
	}
	d.fixed()
	return json.Marshal(object{
		"openapi": "3.0.3",
		"info": object{
			"title": "pluginhost", "version": strconv.Itoa(subjects.Version),
			"description": "Calls Navidrome's plugins, on any replica of the cluster. Messages are those of the plugin contract, as JSON or protobuf.",
			"license":     object{"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
		},
		"security":   []object{{"token": []string{}}},
		"paths":      d.paths,
		"components": object{"schemas": d.schemas, "securitySchemes": object{"token": object{"type": "http", "scheme": "bearer", "description": "pluginhost token create --scope call"}}},
	})
}

// method describes the paths by which a method of plugins is called.
func (d *document) method(capability string, method *schema.Method) {
	call := object{
		"summary": method.RPC + " of one plugin", "operationId": "plugin_" + method.Name, "tags": []string{capability},
		"parameters":  []object{pluginParameter(), timeoutParameter()},
		"requestBody": d.body(method.Request(), true),
		"responses":   failing(object{"200": d.answer("the response", method.Response(), nil)}, 400, 401, 403, 404, 413, 421, 429, 500, 501, 502, 503, 504),
	}
	d.paths[subjects.HTTPPlugins+"/{id}/"+method.Name] = object{"post": call}
	if capability != capabilityAgent {
		return
	}
	whose := object{subjects.HeaderPlugin: object{"description": "the id of the plugin whose answer it is, percent-encoded", "schema": object{"type": "string"}}}
	d.paths[subjects.HTTPAgents+"/"+method.Name] = object{"post": object{
		"summary": method.RPC + " of the first plugin that has an answer", "operationId": "agents_" + method.Name, "tags": []string{"Agents"},
		"parameters":  []object{timeoutParameter()},
		"requestBody": d.body(method.Request(), true),
		"responses":   failing(object{"200": d.answer("the response", method.Response(), whose)}, 400, 401, 403, 404, 413, 421, 429, 501, 502, 503, 504),
	}}
}

// fixed describes the paths that are of no single method.
func (d *document) fixed() {
	contract := schema.Navidrome058()
	for _, one := range []struct{ path, method, status, says, summary string }{
		{subjects.HTTPScrobbles, "scrobble", "202", "it is safe", "Hand over a play, which is delivered however long that takes"},
		{subjects.HTTPNowPlaying, "now_playing", "204", "it is passed on, or dropped", "Tell what somebody has started to play"},
	} {
		method, _ := contract.Method(one.method)
		success := object{"description": one.says}
		if one.status == "202" {
			success["content"] = object{subjects.ContentTypeJSON: object{"schema": reference("Safe")}}
		}
		for path, parameters := range map[string][]object{one.path: {timeoutParameter()}, one.path + "/{id}": {pluginParameter(), timeoutParameter()}} {
			operation, summary := one.method, one.summary+", to all plugins with Scrobbler"
			if strings.HasSuffix(path, "}") {
				operation, summary = one.method+"_to", one.summary+", to one plugin"
			}
			d.paths[path] = object{"post": object{
				"summary": summary, "operationId": operation, "tags": []string{"Plays"}, "parameters": parameters,
				"requestBody": d.body(method.Request(), true),
				"responses":   failing(object{one.status: success}, 400, 401, 403, 413, 421, 429, 503, 504),
			}}
		}
	}
	looks := func(summary, operation string, answer object, parameters ...object) object {
		return object{"get": object{
			"summary": summary, "operationId": operation, "tags": []string{"Looking"}, "parameters": append([]object{}, parameters...),
			"responses": failing(object{"200": object{"description": "what there is", "content": object{subjects.ContentTypeJSON: object{"schema": answer}}}}, 401, 403, 404, 421, 429, 503),
		}}
	}
	d.paths[subjects.HTTPPlugins] = looks("All plugins, with their state on each replica", "plugins", reference("Plugins"))
	d.paths[subjects.HTTPPlugins+"/{id}"] = looks("What each replica knows of a plugin", "plugin", reference("Plugin"), pluginParameter())
	d.paths[subjects.HTTPOpenAPI] = looks("This document", "openapi", object{"type": "object"})
}

func pluginParameter() object {
	return object{"name": "id", "in": "path", "required": true, "description": "the id of a plugin", "schema": object{"type": "string", "maxLength": subjects.MaxID}}
}

func timeoutParameter() object {
	return object{"name": subjects.HeaderTimeout, "in": "header", "description": "how long it may take: a Go duration", "schema": object{"type": "string", "example": "1.5s", "default": "10s"}}
}

// failing adds failures to answers.
func failing(answers object, statuses ...int) object {
	for _, status := range statuses {
		answers[strconv.Itoa(status)] = object{
			"description": http.StatusText(status),
			"content":     object{subjects.ContentTypeJSON: object{"schema": reference("Failure")}},
		}
	}
	return answers
}

// body is a message in either form.
func (d *document) body(message protoreflect.MessageDescriptor, required bool) object {
	return object{"required": required, "content": d.content(message)}
}

func (d *document) answer(description string, message protoreflect.MessageDescriptor, headers object) object {
	answer := object{"description": description, "content": d.content(message)}
	if headers != nil {
		answer["headers"] = headers
	}
	return answer
}

func (d *document) content(message protoreflect.MessageDescriptor) object {
	return object{
		subjects.ContentTypeJSON:     object{"schema": d.message(message)},
		subjects.ContentTypeProtobuf: object{"schema": object{"type": "string", "format": "binary", "description": "the message " + string(message.FullName())}},
	}
}

// message describes a message once, and refers to that.
func (d *document) message(message protoreflect.MessageDescriptor) object {
	name := string(message.Name())
	if d.schemas[name] != nil {
		return reference(name)
	}
	properties := object{}
	d.schemas[name] = object{"type": "object", "properties": properties}
	fields := message.Fields()
	for i := range fields.Len() {
		field := fields.Get(i)
		one := d.value(field)
		if field.IsList() {
			one = object{"type": "array", "items": one}
		}
		properties[field.JSONName()] = one
	}
	return reference(name)
}

// value describes a single value of a field.
func (d *document) value(field protoreflect.FieldDescriptor) object {
	switch field.Kind() {
	case protoreflect.MessageKind:
		return d.message(field.Message())
	case protoreflect.BoolKind:
		return object{"type": "boolean"}
	case protoreflect.Int32Kind:
		return object{"type": "integer", "format": "int32"}
	case protoreflect.Int64Kind: // JSON has it as a string, and takes a number
		return object{"oneOf": []object{{"type": "string", "format": "int64", "pattern": "^-?[0-9]+$"}, {"type": "integer", "format": "int64"}}}
	case protoreflect.BytesKind:
		return object{"type": "string", "format": "byte"}
	case protoreflect.StringKind:
		return object{"type": "string"}
	default:
		panic(fmt.Errorf("%s: OpenAPI of %v is not known yet", field.FullName(), field.Kind()))
	}
}

func reference(name string) object { return object{"$ref": "#/components/schemas/" + name} }
