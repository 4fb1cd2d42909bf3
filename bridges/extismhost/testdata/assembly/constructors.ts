// What C has in the place of _initialize.

import { say } from "./env";

let order = "";

export function __wasm_call_ctors(): void {
  order += "__wasm_call_ctors";
}

export function initialised(): i32 {
  return say(order);
}
