// Package floods sends a replica as many long headers and bodies as a connection takes,
// to each of the subjects on which it hears others, and sees what that costs everybody
// else: callers of another plugin, the lead, and the schedules.
package floods
