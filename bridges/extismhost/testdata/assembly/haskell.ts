// Haskell's runtime: _initialize, which may fail, then hs_init.

import { say } from "./env";

let order = "";

export function _initialize(): void {
  order += "_initialize ";
  unreachable();
}

export function hs_init(count: i32, values: i32): void {
  order += `hs_init(${count}, ${values})`;
}

export function initialised(): i32 {
  return say(order);
}
