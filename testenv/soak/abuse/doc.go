// Package abuse knows how callers and plugins go wrong, and what a replica must
// answer: the kinds of bad input, plugins that misbehave on request, and what a
// process uses, so that tests and the soak program can tell that nothing is
// left behind.
package abuse
