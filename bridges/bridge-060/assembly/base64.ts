// Base64 as a string of JSON has it.

import { text } from "./json";
import { Bytes } from "./memory";

/** Decodes a string over itself; null if it is none. The value is no string of JSON any more then. */
export function decodeBase64(value: usize): Bytes | null {
  const source = text(value);
  const start = source.start;
  let end = start;
  // Nearly all of it is four digits after the other.
  for (; source.end - source.at >= 4; source.at += 4) {
    const a = sextet(load<u8>(source.at));
    const b = sextet(load<u8>(source.at + 1));
    const c = sextet(load<u8>(source.at + 2));
    const d = sextet(load<u8>(source.at + 3));
    if ((a | b | c | d) < 0) break;
    store<u8>(end, (a << 2) | (b >> 4));
    store<u8>(end + 1, (b << 4) | (c >> 2));
    store<u8>(end + 2, (c << 6) | d);
    end += 3;
  }
  let bits: u32 = 0;
  let count = 0;
  let padding = 0;
  for (let c = source.next(); c >= 0; c = source.next()) {
    if (c == 0x3d /* = */) {
      padding++;
      continue;
    }
    const digit = sextet(c);
    if (digit < 0 || padding > 0) return null;
    bits = (bits << 6) | <u32>digit;
    if ((++count & 3) == 0) {
      store<u8>(end, bits >> 16);
      store<u8>(end + 1, bits >> 8);
      store<u8>(end + 2, bits);
      end += 3;
    }
  }
  const rest = count & 3;
  if (padding > 2 || rest == 1 || ((rest + padding) & 3) != 0) return null;
  if (rest == 2) store<u8>(end++, bits >> 4);
  if (rest == 3) {
    store<u8>(end, bits >> 10);
    store<u8>(end + 1, bits >> 2);
    end += 2;
  }
  store<u8>(end, 0); // no digit is read any more: four of them, or the quotation mark, were here
  return new Bytes(start, <i32>(end - start));
}

function sextet(c: i32): i32 {
  if (c >= 0x41 && c <= 0x5a) return c - 0x41;
  if (c >= 0x61 && c <= 0x7a) return c - 0x47;
  if (c >= 0x30 && c <= 0x39) return c + 4;
  return c == 0x2b ? 62 : c == 0x2f ? 63 : -1;
}
