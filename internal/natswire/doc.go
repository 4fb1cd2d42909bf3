// Package natswire keeps what a NATS server sends within bounds before nats.go reads
// it.
//
// nats.go decodes the headers of every message on the one goroutine that reads its
// connection: a block of a quarter of a million short headers, which fits a message of
// 1 MB, keeps all other messages of the connection waiting for 40 to 300 ms. A caller of
// one plugin could so keep the callers of all others, and the host's own requests, from
// being answered. Connect therefore makes a connection to nats.go whose bytes pass a
// filter, which follows the framing of the protocol alone:
//
//	HMSG <subject> <sid> [reply] <header bytes> <total bytes>\r\n<headers><payload>\r\n
//
// A message whose headers are over MaxHeaderBytes or MaxHeaders arrives without them and
// without its payload, but for one header that Refused recognises, so that whoever takes
// it can answer why. All other bytes pass as they are, and are not copied.
package natswire
