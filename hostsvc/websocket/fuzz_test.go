package websocket_test

import (
	"testing"

	"github.com/pluginhost/pluginhost/hostsvc/websocket"
)

func FuzzFramesOfAServer(f *testing.F) {
	for _, frames := range [][]byte{
		nil,
		frame(final|text, []byte("hello")),
		append(frame(text, []byte("one ")), frame(final|continuation, []byte("message"))...),
		append(frame(final|ping, []byte("p")), frame(final|pong, []byte("p"))...),
		append(frame(final|binaryData, make([]byte, 999)), frame(final|binaryData, make([]byte, 70000))...),
		frame(final|closeFrame, []byte("\x03\xe8bye")),
		frame(final|closeFrame, []byte("\x03\xed")),
		frame(final|closeFrame, []byte{3}),
		frame(final|0x40|text, []byte("x")),
		{final | text, 0x81, 1, 2, 3, 4, 'x'},
		{final | text, 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		{continuation, 0, continuation, 0, text, 0, continuation, 0, continuation, 0},
	} {
		f.Add(frames)
	}
	const limit = 1000
	config := anywhere()
	config.MaxMessage = limit
	f.Fuzz(func(t *testing.T, frames []byte) {
		conn := dialled(t, config, serveRaw(t, func(p *peer) {
			p.accept()
			p.say(frames)
		}))
		end := conn.Run(t.Context(), func(m websocket.Message) error {
			if len(m.Data) > limit {
				t.Errorf("a message of %d bytes", len(m.Data))
			}
			return nil
		})
		if end.Err == nil && end.Code != 1005 {
			if _, err := websocket.CheckClose(end.Code, end.Reason); err != nil || end.Code == 0 {
				t.Errorf("got %+v", end)
			}
		}
		if end.Own || end.Err != nil && (end.Code != 0 || end.Reason != "") {
			t.Errorf("got %+v", end)
		}
	})
}
