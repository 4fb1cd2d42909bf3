package schema

import "fmt"

// Event is what a host calls a plugin for by itself, in the words of no contract: Init, Fire,
// TextMessage, BinaryMessage, ConnectionError, ConnectionClose, Authorization or Play.
type Event interface{ event() }

// Init is that the plugin is to be ready for calls.
type Init struct {
	// Config is the plugin's configuration.
	Config map[string]string
}

// Fire is that a schedule of the plugin is due.
type Fire struct {
	// Schedule is the id of the schedule.
	Schedule string
	// Payload is what the plugin has left with it.
	Payload []byte
	// Recurring says that the schedule stays.
	Recurring bool
}

// TextMessage is a text message over a WebSocket of the plugin.
type TextMessage struct {
	// Connection is the id of the WebSocket.
	Connection string
	// Text is the message.
	Text string
}

// BinaryMessage is a binary message over a WebSocket of the plugin.
type BinaryMessage struct {
	// Connection is the id of the WebSocket.
	Connection string
	// Data is the message.
	Data []byte
}

// ConnectionError is that a WebSocket of the plugin has failed.
type ConnectionError struct {
	// Connection is the id of the WebSocket.
	Connection string
	// Text says why.
	Text string
}

// ConnectionClose is that a WebSocket of the plugin was closed.
type ConnectionClose struct {
	// Connection is the id of the WebSocket.
	Connection string
	// Code is that of the close frame.
	Code int
	// Reason is the text of the close frame.
	Reason string
}

// Authorization is the question whether the plugin scrobbles for a user.
type Authorization struct {
	// UserID is the music server's id of the user, and Username what the user logs in with.
	UserID, Username string
}

// Play is that a user has played a track.
type Play struct {
	// Request says which, when and who: a ScrobblerScrobbleRequest in protobuf.
	Request []byte
}

func (Authorization) event()   {}
func (Play) event()            {}
func (Init) event()            {}
func (Fire) event()            {}
func (TextMessage) event()     {}
func (BinaryMessage) event()   {}
func (ConnectionError) event() {}
func (ConnectionClose) event() {}

// Callback is an event as one contract has it: a call of a method.
type Callback struct {
	// Name and Export are those of the method.
	Name, Export string
	// Request is the bytes of the request.
	Request []byte

	response message
}

// message is a message of the contract.
type message interface {
	MarshalVT() ([]byte, error)
	UnmarshalVT(data []byte) error
}

// encoded is an event in the messages of a contract.
type encoded struct {
	method            string // on the bus
	request, response message
}

// Callback encodes an event. The name of the method is there with an error, too.
func (c *Contract) Callback(event Event) (Callback, error) {
	messages, err := c.encode(event)
	if err != nil {
		return Callback{}, err
	}
	method, known := c.methods[messages.method]
	if !known {
		return Callback{Name: messages.method}, fmt.Errorf("the contract has no method %s", messages.method)
	}
	request, err := messages.request.MarshalVT()
	if err != nil {
		err = fmt.Errorf("%s: %w", method.RPC, err)
	}
	return Callback{Name: method.Name, Export: method.Export, Request: request, response: messages.response}, err
}

// Authorized reads out of the response to an Authorization whether the plugin scrobbles for the user.
// The error is that of a response that does not decode.
func (c Callback) Authorized(response []byte) (bool, error) {
	if err := c.response.UnmarshalVT(response); err != nil {
		return false, err
	}
	authorized, can := c.response.(interface{ GetAuthorized() bool })
	return can && authorized.GetAuthorized(), nil
}

// Failure reads out of a response what the plugin says went wrong; empty is nothing, and so it
// is for events about which a plugin says nothing. The error is that of a response that does not
// decode.
func (c Callback) Failure(response []byte) (text string, err error) {
	if err := c.response.UnmarshalVT(response); err != nil {
		return "", err
	}
	if failing, can := c.response.(interface{ GetError() string }); can {
		return failing.GetError(), nil
	}
	return "", nil
}
