// Each export is one thing that a plugin may do to the kernel.

import * as env from "./env";
import { block, input, read, say } from "./env";

// @ts-ignore: decorator
@external("wasi_snapshot_preview1", "proc_exit")
declare function proc_exit(code: u32): void;

export function blocks(): i32 {
  const five = env.alloc(5);
  const three = env.alloc(3);
  for (let i = 0; i < 5; i++) env.store_u8(five + i, 0x61 + i);
  for (let i = 0; i < 3; i++) env.store_u8(three + i, 0x78 + i);
  return say(read(five) + " " + read(three));
}

export function lengths(): i32 {
  const handle = env.alloc(5);
  let text = `${env.length(handle)} ${env.length(handle + 1)} ${env.length(0)} ${env.length_unsafe(handle)}`;
  env.free(handle);
  text += ` ${env.length(handle)} ${env.length_unsafe(handle)}`;
  env.free(handle); // once more, and what is none
  env.free(0);
  env.free(3);
  return say(text);
}

export function no_block(): i32 {
  return say(`${env.alloc(0)} ${env.alloc(1 << 40)} ${env.alloc(5 << 30)}`);
}

export function word(): i32 {
  const handle = env.alloc(8);
  env.store_u64(handle, 0x1122334455667788);
  const same = env.load_u64(handle) == 0x1122334455667788;
  return say(`${same} ${env.load_u8(handle)} ${env.load_u8(handle + 7)}`);
}

export function echo(): i32 {
  const handle = input();
  env.output_set(handle, env.input_length());
  return 0;
}

export function empty_input(): i32 {
  return say(`${env.input_length()} ${env.input_offset()} ${env.input_load_u8(0)}`);
}

export function load_outside(): i32 {
  env.load_u64(0x7ffffff0);
  return 0;
}

export function store_outside(): i32 {
  env.store_u64(0x7ffffff0, 1);
  return 0;
}

export function byte_outside(): i32 {
  env.store_u8(1 << 31, 1);
  return say(`${env.load_u8(1 << 31)}`);
}

export function error_0(): i32 {
  say('"output"');
  env.error_set(block("went wrong"));
  return 0;
}

export function error_minus_2(): i32 {
  env.error_set(block("went wrong"));
  return -2;
}

export function error_cleared(): i32 {
  env.error_set(block("went wrong"));
  const before = read(env.error_get());
  env.error_set(0);
  return say(`${before} ${env.error_get()}`);
}

export function error_freed(): i32 {
  const handle = block("went wrong");
  env.error_set(handle);
  env.free(handle);
  return 0;
}

export function minus_2(): i32 {
  return -2;
}

export function minus_1(): i32 {
  return -1;
}

export function wide(): i64 {
  return 1 << 33;
}

export function wide_minus_2(): i64 {
  return 0xfffffffe;
}

export function no_result(): void {
  say("no result");
}

export function exit_0(): i32 {
  say("before the exit");
  proc_exit(0);
  return 5;
}

export function exit_0_error(): i32 {
  env.error_set(block("went wrong"));
  proc_exit(0);
  return 0;
}

export function exit_7(): i32 {
  say("before the exit");
  proc_exit(7);
  return 0;
}

export function panics(): i32 {
  say("before the panic");
  unreachable();
  return 0;
}

export function loops(): i32 {
  while (true) env.memory_bytes();
  return 0;
}

export function parameter(value: i32): i32 {
  return value;
}

let calls = 0;

export function state(): i32 {
  const before = env.var_get(block("n"));
  const text = `${calls++} ${before == 0 ? "absent" : read(before)}`;
  env.var_set(block("n"), block("set"));
  const after = read(env.var_get(block("n")));
  env.var_set(block("n"), 0);
  return say(`${text} ${after} ${env.var_get(block("n"))}`);
}

export function full(): i32 {
  env.var_set(block("n"), env.alloc(1 << 20));
  return 0;
}

export function setting(): i32 {
  const value = env.config_get(input());
  return say(value == 0 ? "absent" : read(value));
}

export function logs(): i32 {
  const text = block("trace");
  env.log_trace(text);
  env.log_debug(block("debug"));
  env.log_info(block("info"));
  env.log_warn(block("warn"));
  env.log_error(block("error"));
  return say(`${env.get_log_level()} ${env.length(text)}`);
}

export function output_twice(): i32 {
  say("first");
  return say("second");
}

export function output_nothing(): i32 {
  say("kept");
  env.output_set(0, 0);
  env.output_set(1 << 33, 5);
  return env.output_offset() == 0 ? 1 : 0;
}

export function output_freed(): i32 {
  const handle = block("freed");
  env.output_set(handle, 5);
  env.free(handle);
  return 0;
}

/** The input is the output, as JSON or not. */
export function passes(): void {
  echo();
}

/** The input is a request of the kernel's HTTP. */
export function request(): i32 {
  const body = env.http_request(input(), 0);
  return say(`${env.http_status_code()} ${body == 0 ? "" : read(body)} ${read(env.http_headers())}`);
}
