// Without --exportStart this is a start section: the kernel is not there yet.

import { get_log_level, say } from "./env";

const level = get_log_level();

export function started(): i32 {
  return say(`${level}`);
}
