// The binary interface between a plugin and its host, as docs/plugin-abi.md
// describes it. Nothing here knows of Last.fm: take the
// file as it is for a plugin of your own, and add the host functions it needs.

import { encodeUTF8 } from "./text";

/** The error for "looked, and there is nothing". Its text is fixed. */
export const NOT_FOUND = "plugin:not_found";

/** The flag in a result that marks the text of an error. */
const ERROR: u64 = 0x80000000;

/**
 * The host allocates with malloc what it hands over: requests, and answers of
 * host functions. The block is none that the garbage collector knows of, so it
 * stays until it is freed.
 */
export function malloc(size: usize): usize {
  return heap.alloc(size);
}

/** The host frees requests and results with it. */
export function free(address: usize): void {
  heap.free(address);
}

/** Begins a call: returns a copy of the request, which is the host's. */
export function begin(address: usize, size: usize): Uint8Array {
  // The runtime "minimal" collects garbage only when it is told to: here, where
  // nothing of an earlier call is in use any more.
  __collect();
  return copy(address, size);
}

/** The result of a method that the plugin does not offer. */
export function notImplemented(address: usize, size: usize): u64 {
  begin(address, size);
  return failure("plugin:not_implemented");
}

/** Makes the result of a call that succeeded from its response message. */
export function success(message: Uint8Array): u64 {
  return result(message);
}

/** Makes the result of a call that failed. */
export function failure(text: string): u64 {
  return result(encodeUTF8(text)) | ERROR;
}

/** Puts bytes where they stay until the host frees them: address above, size below. */
function result(bytes: Uint8Array): u64 {
  const size = bytes.length;
  if (size == 0) return 0;
  const address = malloc(size);
  memory.copy(address, bytes.dataStart, size);
  return (<u64>address << 32) | <u64>size;
}

// @ts-ignore: decorator
@external("env", "get")
declare function env_get(address: usize, size: usize): u64;

/** Sends a GET request: an HttpRequest of host/http/http.proto to an HttpResponse. */
export function httpGet(request: Uint8Array): Uint8Array {
  return answered(env_get(request.dataStart, request.length));
}

// @ts-ignore: decorator
@external("env", "get_plugin_config")
declare function env_get_plugin_config(address: usize, size: usize): u64;

/** Returns a GetPluginConfigResponse of host/config/config.proto. The request is empty. */
export function getPluginConfig(): Uint8Array {
  return answered(env_get_plugin_config(0, 0));
}

/** Takes what a host function returned: the host has allocated it, we free it. */
function answered(packed: u64): Uint8Array {
  const address = <usize>(packed >> 32);
  const bytes = copy(address, <usize>(packed & 0xffffffff));
  if (address != 0) free(address);
  return bytes;
}

function copy(address: usize, size: usize): Uint8Array {
  const bytes = new Uint8Array(<i32>size);
  memory.copy(bytes.dataStart, address, size);
  return bytes;
}

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "fd_write")
declare function fd_write(descriptor: u32, vectors: usize, count: u32, written: usize): u32;

/** Writes a line to standard error, which the host logs. */
export function log(line: string): void {
  const bytes = encodeUTF8(line + "\n");
  const vector: StaticArray<usize> = [bytes.dataStart, bytes.length, 0]; // the last is for what was written
  const address = changetype<usize>(vector);
  fd_write(2, address, 1, address + 8);
}

/**
 * AssemblyScript calls abort where a program cannot go on, such as an index out
 * of range. The trap ends the call with a 502, and the instance.
 */
export function abort(message: string | null, file: string | null, line: u32, column: u32): void {
  const what = message === null ? "abort" : message;
  const where = file === null ? "?" : file;
  log(`abort: ${what} in ${where}:${line}:${column}`);
  unreachable();
}
