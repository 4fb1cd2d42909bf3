package plugintest

import "time"

// What a host allows unless its operator says otherwise.
const (
	callTimeout    = 10 * time.Second // of a call whose context has no deadline
	maxCallTimeout = time.Minute      // of any call and of callbacks
	initTimeout    = 5 * time.Minute  // of OnInit
	maxConcurrent  = 10               // calls
	maxMemory      = 256_000_000      // bytes of an instance
	maxResponse    = 1<<20 - 1<<10    // bytes: what a NATS server takes, less headers

	maxValue   = 1_000_000  // bytes of a cached value
	maxEntries = 10_000     // cached values
	maxBytes   = 64_000_000 // of them together, with their keys

	timeZone     = "UTC"
	maxSchedules = 1_000
	maxPayload   = 64_000 // bytes of a schedule

	maxConnections = 50        // WebSockets
	maxMessage     = 1_000_000 // bytes of a WebSocket message
)

// What a Host takes itself.
const (
	// patience bounds what a test waits for that should be there at once.
	patience = 10 * time.Second
	// maxCallbacks is how many callbacks of schedules one Advance runs: more than a day of
	// one each second.
	maxCallbacks = 100_000
	// maxErrors is how many of their errors it returns.
	maxErrors = 10
	// maxKept is how many requests, and how many messages of a connection, are kept.
	maxKept = 10_000
)
