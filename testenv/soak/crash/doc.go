// Package crash calls plugins that crash at every call, and sees what that costs:
// while they are called, and afterwards, when it must be nothing.
package crash
