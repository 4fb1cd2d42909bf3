// Extism's kernel, and what the guests of these tests do with it.

// @ts-ignore: decorator
@external("extism:host/env", "alloc")
export declare function alloc(length: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "free")
export declare function free(handle: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "length")
export declare function length(handle: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "length_unsafe")
export declare function length_unsafe(handle: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "load_u8")
export declare function load_u8(offset: u64): u32;
// @ts-ignore: decorator
@external("extism:host/env", "load_u64")
export declare function load_u64(offset: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "store_u8")
export declare function store_u8(offset: u64, value: u32): void;
// @ts-ignore: decorator
@external("extism:host/env", "store_u64")
export declare function store_u64(offset: u64, value: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "input_length")
export declare function input_length(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "input_offset")
export declare function input_offset(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "input_load_u8")
export declare function input_load_u8(offset: u64): u32;
// @ts-ignore: decorator
@external("extism:host/env", "input_load_u64")
export declare function input_load_u64(offset: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "output_set")
export declare function output_set(handle: u64, length: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "output_length")
export declare function output_length(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "output_offset")
export declare function output_offset(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "error_set")
export declare function error_set(handle: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "error_get")
export declare function error_get(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "memory_bytes")
export declare function memory_bytes(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "config_get")
export declare function config_get(key: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "var_get")
export declare function var_get(key: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "var_set")
export declare function var_set(key: u64, value: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "http_request")
export declare function http_request(request: u64, body: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "http_status_code")
export declare function http_status_code(): i32;
// @ts-ignore: decorator
@external("extism:host/env", "http_headers")
export declare function http_headers(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "get_log_level")
export declare function get_log_level(): i32;
// @ts-ignore: decorator
@external("extism:host/env", "log_trace")
export declare function log_trace(text: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "log_debug")
export declare function log_debug(text: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "log_info")
export declare function log_info(text: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "log_warn")
export declare function log_warn(text: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "log_error")
export declare function log_error(text: u64): void;

/** A block with a text of ASCII. */
export function block(text: string): u64 {
  const handle = alloc(text.length);
  for (let i = 0; i < text.length; i++) store_u8(handle + i, text.charCodeAt(i));
  return handle;
}

/** The text of a block. */
export function read(handle: u64): string {
  let text = "";
  for (let i: u64 = 0, n = length(handle); i < n; i++) text += String.fromCharCode(load_u8(handle + i));
  return text;
}

/** Makes a text the output. */
export function say(text: string): i32 {
  output_set(block(text), text.length);
  return 0;
}

/** The input as a block, moved as the kits do: 8 bytes at a time, then single ones. */
export function input(): u64 {
  const size = input_length();
  const handle = alloc(size);
  let at: u64 = 0;
  for (; at + 8 <= size; at += 8) store_u64(handle + at, input_load_u64(at));
  for (; at < size; at++) store_u8(handle + at, input_load_u8(at));
  return handle;
}

export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  unreachable();
}
