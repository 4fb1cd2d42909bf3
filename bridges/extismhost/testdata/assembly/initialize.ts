// With --exportStart _initialize this runs after the input was set, and may use the kernel.

import { input_length, say } from "./env";

const length = input_length();
let times = 0;
times++;

export function initialised(): i32 {
  return say(`${times} ${length}`);
}
