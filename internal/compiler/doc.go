// Package compiler compiles plugins in processes of their own.
//
// What compiling a module takes, and whether it ends, is up to whoever made the module; a
// panic on one of the compiler's goroutines ends the process. So the program starts itself
// anew for it (Process), without an environment and without the files it has open. The
// other side (Main) takes modules from its standard input, one after the other, leaves machine
// code in the folder that it is given with each, and answers on its standard output. It ends by
// itself when its standard input does, as when the program was killed.
//
// A process has one module at a time, and is killed with it. It then waits a moment for the next:
// what its first module took to start and to fill memory, the others need not. What fails in a
// process that has compiled others is tried in a fresh one before anything is held against it.
package compiler
