package replica

import (
	"fmt"
	"time"

	"github.com/pluginhost/pluginhost/wasmrt"
)

// progressOf says how compiling a plugin gets on, or nothing.
func progressOf(compiling *wasmrt.CompileProgress, now time.Time) string {
	if compiling == nil {
		return ""
	}
	state := compiling.Compiling()
	again := ""
	if state.GaveWay > 0 {
		again = fmt.Sprintf(", having given way to others %s", times(state.GaveWay))
	}
	switch {
	case !state.Since.IsZero():
		return fmt.Sprintf("compiling for %v%s", now.Sub(state.Since).Round(time.Second), again)
	case state.Waits:
		return fmt.Sprintf("waits to be compiled, behind %d others%s", state.Ahead, again)
	}
	return ""
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
