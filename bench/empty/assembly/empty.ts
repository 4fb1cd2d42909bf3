// A plugin that does nothing: it says yes.

// @ts-ignore: decorator
@external("extism:host/env", "alloc")
declare function alloc(size: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "store_u64")
declare function store_u64(offset: u64, value: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "output_set")
declare function output_set(offset: u64, size: u64): void;

export function nd_scrobbler_is_authorized(): i32 {
  const at = alloc(8);
  store_u64(at, 0x2020202065757274); // "true" and four spaces
  output_set(at, 4);
  return 0;
}
