// Compiles the variants of the bridge, each to build/<variant>.wasm.
import { main } from "assemblyscript/asc";

for (const variant of ["agent", "scrobbler", "all"]) {
  const { error, stderr } = await main([
    `assembly/${variant}.ts`,
    "--outFile", `build/${variant}.wasm`,
    "--optimize",
    "--runtime", "stub", // each call has a new instance, so nothing is ever freed
    "--use", "abort=assembly/kernel/abort", // an import that no host offers
    "--exportStart", "_initialize", // top-level code is run by the host and not by a start section
  ]);
  if (error) {
    console.error(stderr.toString());
    process.exit(1);
  }
}
