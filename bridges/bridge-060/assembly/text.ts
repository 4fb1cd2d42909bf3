// Bytes that are text: ASCII compared, and UTF-8 made valid.

/** What stands in UTF-8 for bytes that are none, U+FFFD. */
export const REPLACEMENT: u32 = 0xfffd;

/** Tells whether the bytes from start to end are the ASCII text. */
export function is(start: usize, end: usize, text: string): bool {
  if (end - start != <usize>text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (<i32>load<u8>(start + i) != text.charCodeAt(i)) return false;
  }
  return true;
}

/** The same without regard to the case of ASCII letters; text is in lower case. */
export function isFolded(start: usize, end: usize, text: string): bool {
  if (end - start != <usize>text.length) return false;
  for (let i = 0; i < text.length; i++) {
    if (lower(load<u8>(start + i)) != text.charCodeAt(i)) return false;
  }
  return true;
}

/** Tells whether the bytes from start to end begin with the ASCII text, which is in lower case, whatever theirs is. */
export function begins(start: usize, end: usize, text: string): bool {
  return end - start >= <usize>text.length && isFolded(start, start + text.length, text);
}

function lower(c: i32): i32 {
  return c >= 0x41 && c <= 0x5a ? c | 0x20 : c;
}

const ONES: u64 = 0x0101010101010101;
const HIGH: u64 = 0x8080808080808080;

/** Tells whether none of eight bytes ends or changes a string of JSON: quotation marks, backslashes, control characters. */
export function isPlain(word: u64): bool {
  const quotes = word ^ (ONES * 0x22);
  const backslashes = word ^ (ONES * 0x5c);
  const found = ((word - ONES * 0x20) & ~word) | ((quotes - ONES) & ~quotes) | ((backslashes - ONES) & ~backslashes);
  return (found & HIGH) == 0;
}

/** Tells whether eight bytes are ASCII. */
export function isASCII(word: u64): bool {
  return (word & HIGH) == 0;
}

/** How many bytes at start, before end, are one character of UTF-8; 0 if they are none. */
export function runeLength(start: usize, end: usize): i32 {
  const c = <u32>load<u8>(start);
  if (c < 0x80) return 1;
  if (c < 0xc2 || c > 0xf4) return 0;
  const length = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
  if (end - start < <usize>length) return 0;
  const second = <u32>load<u8>(start + 1);
  if (c == 0xe0 && second < 0xa0) return 0; // longer than it must be
  if (c == 0xed && second > 0x9f) return 0; // half a pair of UTF-16
  if (c == 0xf0 && second < 0x90) return 0;
  if (c == 0xf4 && second > 0x8f) return 0; // beyond Unicode
  for (let i = 1; i < length; i++) {
    if ((load<u8>(start + i) & 0xc0) != 0x80) return 0;
  }
  return length;
}
