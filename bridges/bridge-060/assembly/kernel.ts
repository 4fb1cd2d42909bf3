// What is between a plugin and Extism's kernel: blocks of bytes in a memory that is the host's, 8 bytes or 1 moved at a
// time. Every call has a new instance, so nothing here is ever given back.

import { Bytes, reserve } from "./memory";
import { Writer } from "./writer";

// @ts-ignore: decorator
@external("extism:host/env", "alloc")
declare function env_alloc(length: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "free")
declare function env_free(handle: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "length")
declare function env_length(handle: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "load_u8")
declare function env_load_u8(offset: u64): u32;
// @ts-ignore: decorator
@external("extism:host/env", "load_u64")
declare function env_load_u64(offset: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "store_u8")
declare function env_store_u8(offset: u64, value: u32): void;
// @ts-ignore: decorator
@external("extism:host/env", "store_u64")
declare function env_store_u64(offset: u64, value: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "input_length")
declare function env_input_length(): u64;
// @ts-ignore: decorator
@external("extism:host/env", "input_load_u8")
declare function env_input_load_u8(offset: u64): u32;
// @ts-ignore: decorator
@external("extism:host/env", "input_load_u64")
declare function env_input_load_u64(offset: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "output_set")
declare function env_output_set(handle: u64, length: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "error_set")
declare function env_error_set(handle: u64): void;
// @ts-ignore: decorator
@external("extism:host/env", "config_get")
declare function env_config_get(key: u64): u64;
// @ts-ignore: decorator
@external("extism:host/env", "log_warn")
declare function env_log_warn(text: u64): void;

/** What an export returns when the call did what it should, or found nothing. */
export const OK: i32 = 0;
/** What an export returns beside the text of an error. The text counts, not the number. */
export const FAILED: i32 = 1;
/** What an export returns, without a text, where its method is not offered: the caller goes on with the next agent. */
export const NOT_IMPLEMENTED: i32 = -2;

/** The most bytes that are taken from the host at once: an answer of 10 MiB in base64, and much room for its headers. */
const MAX_BLOCK: u64 = 32 << 20;

/** The request of the call; null if it is too large. */
export function input(): Bytes | null {
  const length = env_input_length();
  const start = room(length);
  if (start == 0) return null;
  let at: u64 = 0;
  for (; at + 8 <= length; at += 8) store<u64>(start + <usize>at, env_input_load_u64(at));
  for (; at < length; at++) store<u8>(start + <usize>at, env_input_load_u8(at));
  return new Bytes(start, <i32>length);
}

/** Makes what was written the output of the call. */
export function output(bytes: Writer): i32 {
  const handle = block(bytes);
  if (handle == 0) return fail(new Writer().ascii("the answer is too large"));
  env_output_set(handle, bytes.length);
  return OK;
}

/** Makes what was written the error text of the call, and logs it: of a play Navidrome itself tells no more than that it is tried again. */
export function fail(text: Writer): i32 {
  const logged = block(text); // which the kernel frees
  if (logged != 0) env_log_warn(logged);
  env_error_set(block(text));
  return FAILED;
}

/** A setting, which is empty where there is none. */
export function setting(key: string): Bytes {
  const name = block(new Writer().ascii(key));
  const value = take(env_config_get(name));
  env_free(name);
  return value === null ? new Bytes(0, 0) : value;
}

/** Moves what was written into a new block of the host; 0 if there is no room. */
export function block(bytes: Writer): u64 {
  if (bytes.failed || bytes.length == 0) return 0;
  const length = <u64>bytes.length;
  const handle = env_alloc(length);
  if (handle == 0) return 0;
  const start = bytes.start;
  let at: u64 = 0;
  for (; at + 8 <= length; at += 8) env_store_u64(handle + at, load<u64>(start + <usize>at));
  for (; at < length; at++) env_store_u8(handle + at, load<u8>(start + <usize>at));
  return handle;
}

/** The bytes of a block of the host; null if there is none, or it is too large. */
export function take(handle: u64): Bytes | null {
  if (handle == 0) return null;
  const length = env_length(handle);
  const start = room(length);
  if (start == 0) return null;
  let at: u64 = 0;
  for (; at + 8 <= length; at += 8) store<u64>(start + <usize>at, env_load_u64(handle + at));
  for (; at < length; at++) store<u8>(start + <usize>at, env_load_u8(handle + at));
  return new Bytes(start, <i32>length);
}

/** Memory for bytes of the host, and a zero behind them; 0 if they are too many. */
function room(length: u64): usize {
  if (length > MAX_BLOCK) return 0;
  const start = reserve(<usize>length + 1);
  if (start != 0) store<u8>(start + <usize>length, 0);
  return start;
}

/** AssemblyScript calls it where a program cannot go on. Nothing in the bridge leads here, whatever it is sent. */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  unreachable();
}
