// Package abuse knows how callers and plugins go wrong, and what a replica must
// answer: the kinds of bad input, plugins that misbehave on request, and many
// rounds of both, each followed by a good call.
package abuse
