package subjects

import "time"

const (
	// SocketSubjects matches the subjects of all WebSockets, on which replicas send
	// to the one that owns a connection.
	SocketSubjects = socketPrefix + ">"

	socketPrefix = "pluginhost.socket."
)

// Socket is the subject on which the owner of a connection takes requests.
func Socket(id, connection string) string { return socketPrefix + Token(id) + "." + Hash(connection) }

// SocketKey is the key of a connection's record in StateBucket.
func SocketKey(id, connection string) string { return SocketKeys(id) + Hash(connection) }

// SocketKeys begins the keys of a plugin's connections, AllSocketKeys those of all.
func SocketKeys(id string) string { return AllSocketKeys + Token(id) + "." }

// AllSocketKeys begins the keys of all connections.
const AllSocketKeys = "socket."

// SocketRecord says which replica owns a WebSocket of a plugin, in StateBucket. It
// goes when the final callback has run.
type SocketRecord struct {
	// V is Version.
	V int `json:"v"`
	// Plugin is the id of the plugin.
	Plugin string `json:"plugin"`
	// Connection is the id that the plugin knows it by: any bytes.
	Connection []byte `json:"connection"`
	// Replica is the identity of its owner; empty is one that has left.
	Replica string `json:"replica"`
	// Dial tells apart connections under one id, one after the other.
	Dial string `json:"dial"`
	// Init is the run of OnInit, as InitRecord has it, that opened the connection without an
	// id; empty is a connection that was opened in another call, or under an id of the plugin.
	Init string `json:"init,omitempty"`
	// Opened is when it was made.
	Opened time.Time `json:"opened"`
	// Final is how it has ended, until the plugin was told.
	Final *SocketEnd `json:"final,omitempty"`
}

// SocketEnd is what the final callback tells: OnError where there is an Error, OnClose
// otherwise.
type SocketEnd struct {
	// Error says how the connection failed; empty is that it was closed.
	Error string `json:"error,omitempty"`
	// Code is that of the close frame: 1005 if it had none, 0 with an Error.
	Code int `json:"code,omitempty"`
	// Reason is the text of the close frame.
	Reason string `json:"reason,omitempty"`
}

// HeaderSocket is the header of a request to the owner of a connection: what is to be
// done with it.
const HeaderSocket = "Pluginhost-Socket"

// SocketRequest is a value of HeaderSocket.
type SocketRequest string

// The requests to the owner of a connection.
const (
	SocketText   SocketRequest = "text"   // send the body as a text message
	SocketBinary SocketRequest = "binary" // send the body as a binary message
	SocketClose  SocketRequest = "close"  // close with the code and the reason of the body, a SocketEnd
	// SocketReplace closes, and the plugin is not told: it has opened another one
	// under the same id.
	SocketReplace SocketRequest = "replace"
)
