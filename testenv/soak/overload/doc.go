// Package overload offers a plugin several times the calls that it can answer,
// and sees what becomes of those that it should answer, of those that it cannot,
// and of another plugin.
package overload
