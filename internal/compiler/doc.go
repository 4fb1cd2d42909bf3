// Package compiler compiles plugins in processes of their own, each for one module.
//
// What compiling a module takes, and whether it ends, is up to whoever made the module; a
// panic on one of the compiler's goroutines ends the process. So the program starts itself
// anew for it (Process), without an environment and without the files it has open. The
// other side (Main) takes the module from its standard input, leaves machine code in the
// folder that it is given, and answers on its standard output. It ends by itself when its
// standard input does, as when the program was killed.
package compiler
