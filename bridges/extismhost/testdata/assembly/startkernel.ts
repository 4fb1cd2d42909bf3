// Without --exportStart this is a start section, in which the kernel's functions trap.

import { input_length, say } from "./env";

const length = input_length();

export function started(): i32 {
  return say(`${length}`);
}
