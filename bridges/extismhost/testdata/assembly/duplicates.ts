// The same import twice, and none of WASI.

// @ts-ignore: decorator
@external("extism:host/env", "input_length")
declare function first(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "input_length")
declare function second(): u64;

export function same(): i32 {
  return first() == second() ? 0 : 1;
}
