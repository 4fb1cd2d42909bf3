// Package reloads loads plugins anew, very many times, while others call them:
// no call may fail, every version must be seen, and nothing may be left behind.
package reloads
