// A reader of JSON that looks into a document where it is. A document is checked once; after that, a value is the address
// of its first byte, and 0 is one that is not there, which every function takes. Behind a document there is a zero. Nothing
// traps, whatever the document is.

import { Bytes } from "./memory";
import { is, isASCII, isFolded, isPlain, REPLACEMENT, runeLength } from "./text";

/** How deep values may lie in each other. */
const MAX_DEPTH = 64;

const QUOTE: u8 = 0x22;
const BACKSLASH: u8 = 0x5c;
const COMMA: u8 = 0x2c;
const COLON: u8 = 0x3a;
const OBJECT: u8 = 0x7b;
const OBJECT_END: u8 = 0x7d;
const ARRAY: u8 = 0x5b;
const ARRAY_END: u8 = 0x5d;

/** The value that a document is; 0 if it is none, or too deep. */
export function parse(document: Bytes): usize {
  const check = new Check(document.start, document.end);
  check.space();
  const at = check.at;
  check.value(0);
  check.space();
  return check.failed || check.at != document.end ? 0 : at;
}

/** The value of a member of an object, the last one of that name; 0 if there is none. */
export function member(object: usize, name: string): usize {
  let found: usize = 0;
  if (object == 0 || load<u8>(object) != OBJECT) return 0;
  for (let at = inside(object, OBJECT_END); at != 0; ) {
    const value = space(space(skip(at)) + 1); // behind the colon
    if (named(at, name)) found = value;
    at = following(value);
  }
  return found;
}

/** The same, without regard to the case of ASCII letters; name is in lower case. */
export function memberFolded(object: usize, name: string): usize {
  let found: usize = 0;
  if (object == 0 || load<u8>(object) != OBJECT) return 0;
  for (let at = inside(object, OBJECT_END); at != 0; ) {
    const value = space(space(skip(at)) + 1);
    if (found == 0 && namedFolded(at, name)) found = value;
    at = following(value);
  }
  return found;
}

/** The first element of an array; 0 if it has none, or is no array. */
export function first(array: usize): usize {
  return array != 0 && load<u8>(array) == ARRAY ? inside(array, ARRAY_END) : 0;
}

/** The element behind another one of the same array; 0 if it was the last. */
export function following(element: usize): usize {
  const at = space(skip(element));
  return load<u8>(at) == COMMA ? space(at + 1) : 0;
}

/** Tells whether a value is an object. */
export function isObject(value: usize): bool {
  return value != 0 && load<u8>(value) == OBJECT;
}

/** Tells whether a value is a string. */
export function isString(value: usize): bool {
  return value != 0 && load<u8>(value) == QUOTE;
}

/** The text of a string; an empty one of any other value. */
export function text(value: usize): Text {
  return isString(value) ? new Text(value + 1, skip(value) - 1, true) : new Text(0, 0, false);
}

/** Tells whether a value is a string that is the ASCII text. */
export function isText(value: usize, ascii: string): bool {
  return isString(value) && text(value).is(ascii);
}

/** Tells whether a value is a number, true, false or null that is written like this. */
export function isWord(value: usize, ascii: string): bool {
  return value != 0 && is(value, skip(value), ascii);
}

/** A number, times 10 to the power of shift, without what is behind its point then; 0 of any other value. Numbers that do not fit become the nearest that do. */
export function integer(value: usize, shift: i32 = 0): i64 {
  if (value == 0 || !(load<u8>(value) == 0x2d || isDigit(load<u8>(value)))) return 0;
  const end = skip(value);
  const negative = load<u8>(value) == 0x2d;
  let at = negative ? value + 1 : value;
  let digits: u64 = 0; // at most 18 of them
  let exponent = shift;
  let point = false;
  for (; at < end && (load<u8>(at) | 0x20) != 0x65 /* e */; at++) {
    const c = load<u8>(at);
    if (c == 0x2e) {
      point = true;
      continue;
    }
    if (digits < 100_000_000_000_000_000) {
      digits = digits * 10 + (c - 0x30);
      if (point) exponent--;
    } else if (!point) exponent++;
  }
  if (at < end) exponent += power(at + 1, end);
  for (; exponent < 0 && digits > 0; exponent++) digits /= 10;
  for (; exponent > 0 && digits > 0 && digits <= <u64>i64.MAX_VALUE / 10; exponent--) digits *= 10;
  if (exponent > 0 && digits > 0) digits = <u64>i64.MAX_VALUE;
  return negative ? -(<i64>digits) : <i64>digits;
}

/** The same, of at most 32 bits. */
export function integer32(value: usize, shift: i32 = 0): i64 {
  return max<i64>(i32.MIN_VALUE, min<i64>(i32.MAX_VALUE, integer(value, shift)));
}

/** What is behind the e of a number, at most a million. */
function power(at: usize, end: usize): i32 {
  const negative = load<u8>(at) == 0x2d;
  if (!isDigit(load<u8>(at))) at++;
  let value = 0;
  for (; at < end; at++) value = min(1_000_000, value * 10 + (load<u8>(at) - 0x30));
  return negative ? -value : value;
}

/** A text whose characters are read one after the other: that of a string of JSON, or plain bytes. */
export class Text {
  /** Where the next character is. */
  at: usize;

  /** escaped is whether backslashes mean what they do in JSON. */
  constructor(readonly start: usize, readonly end: usize, readonly escaped: bool) {
    this.at = start;
  }

  /** Plain bytes. */
  static of(bytes: Bytes): Text {
    return new Text(bytes.start, bytes.end, false);
  }

  /** Tells whether there is nothing in it. */
  get empty(): bool {
    return this.start == this.end;
  }

  /** Tells whether it is the ASCII text. */
  is(ascii: string): bool {
    for (let i = 0; i < ascii.length; i++) {
      if (this.next() != ascii.charCodeAt(i)) return false;
    }
    return this.next() < 0;
  }

  /** Passes characters that stand for themselves in JSON and are one byte each; returns how many. */
  pass(): i32 {
    const start = this.at;
    for (; this.end - this.at >= 8; this.at += 8) {
      const word = load<u64>(this.at);
      if (!isPlain(word) || !isASCII(word)) break;
    }
    return <i32>(this.at - start);
  }

  /** The next character; -1 behind the last one. Bytes that are no UTF-8, and half a pair of UTF-16, are U+FFFD. */
  next(): i32 {
    if (this.at >= this.end) return -1;
    const c = load<u8>(this.at);
    if (c == BACKSLASH && this.escaped) return this.escape();
    const length = runeLength(this.at, this.end);
    if (length <= 1) {
      this.at++;
      return length == 1 ? c : REPLACEMENT;
    }
    let rune = <i32>c & (0x7f >> length);
    for (let i = 1; i < length; i++) rune = (rune << 6) | (load<u8>(this.at + i) & 0x3f);
    this.at += length;
    return rune;
  }

  private escape(): i32 {
    const c = load<u8>(this.at + 1);
    if (c != 0x75 /* u */) {
      this.at += 2;
      switch (c) {
        case 0x62: // b
          return 0x08;
        case 0x66: // f
          return 0x0c;
        case 0x6e: // n
          return 0x0a;
        case 0x72: // r
          return 0x0d;
        case 0x74: // t
          return 0x09;
        default: // " \ /
          return c;
      }
    }
    const unit = hexadecimal(this.at + 2);
    this.at += 6;
    if ((unit & 0xf800) != 0xd800) return unit;
    // Two of them are one character.
    if (unit < 0xdc00 && this.end - this.at >= 6 && load<u8>(this.at) == BACKSLASH && load<u8>(this.at + 1) == 0x75) {
      const low = hexadecimal(this.at + 2);
      if ((low & 0xfc00) == 0xdc00) {
        this.at += 6;
        return 0x10000 + ((unit & 0x3ff) << 10) + (low & 0x3ff);
      }
    }
    return REPLACEMENT;
  }
}

function hexadecimal(at: usize): i32 {
  let unit = 0;
  for (let i = 0; i < 4; i++) unit = (unit << 4) | hexadecimalDigit(load<u8>(at + i));
  return unit;
}

/** The value of a hexadecimal digit; -1 if it is none. */
function hexadecimalDigit(c: i32): i32 {
  if (isDigit(c)) return c - 0x30;
  const lower = c | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function named(key: usize, name: string): bool {
  const end = skip(key) - 1;
  return is(key + 1, end, name) || new Text(key + 1, end, true).is(name);
}

function namedFolded(key: usize, name: string): bool {
  return isFolded(key + 1, skip(key) - 1, name);
}

/** The first thing in brackets, at whose opening one at is; 0 if there is nothing. */
function inside(at: usize, end: u8): usize {
  at = space(at + 1);
  return load<u8>(at) == end ? 0 : at;
}

/** The address behind a value of a checked document. */
function skip(at: usize): usize {
  let depth = 0;
  do {
    const c = load<u8>(at);
    if (c == QUOTE) at = skipString(at);
    else if (c == OBJECT || c == ARRAY) {
      depth++;
      at++;
    } else if (c == OBJECT_END || c == ARRAY_END) {
      depth--;
      at++;
    } else if (depth > 0) at++;
    else return skipWord(at);
  } while (depth > 0);
  return at;
}

function skipString(at: usize): usize {
  for (at++; ; at++) {
    while (isPlain(load<u64>(at))) at += 8;
    const c = load<u8>(at);
    if (c == QUOTE) break;
    if (c == BACKSLASH) at++;
  }
  return at + 1;
}

/** The address behind a number, true, false or null. */
function skipWord(at: usize): usize {
  while (inWord(load<u8>(at))) at++;
  return at;
}

function inWord(c: u8): bool {
  const letter = (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a;
  return letter || isDigit(c) || c == 0x2b || c == 0x2d || c == 0x2e;
}

function space(at: usize): usize {
  while (isSpace(load<u8>(at))) at++;
  return at;
}

function isSpace(c: u8): bool {
  return c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09;
}

function isDigit(c: i32): bool {
  return c >= 0x30 && c <= 0x39;
}

/** Checks that bytes are a document. */
class Check {
  failed: bool = false;

  constructor(public at: usize, private end: usize) {}

  /** Passes a value that lies in depth others. After a failure nothing more is read. */
  value(depth: i32): void {
    const c = this.peek();
    if (c == OBJECT) this.list(depth, OBJECT_END, true);
    else if (c == ARRAY) this.list(depth, ARRAY_END, false);
    else if (c == QUOTE) this.string();
    else if (c == 0x2d /* - */ || isDigit(c)) this.number();
    else if (c == 0x74 /* t */) this.word("true");
    else if (c == 0x66 /* f */) this.word("false");
    else this.word("null");
  }

  /** Passes white space. */
  space(): void {
    while (!this.failed && this.at < this.end && isSpace(load<u8>(this.at))) this.at++;
  }

  private list(depth: i32, end: u8, keys: bool): void {
    this.at++;
    if (depth == MAX_DEPTH) {
      this.failed = true;
      return;
    }
    this.space();
    if (this.pass(end)) return;
    do {
      this.space();
      if (keys) {
        this.string();
        this.space();
        this.demand(this.pass(COLON));
        this.space();
      }
      this.value(depth + 1);
      this.space();
    } while (this.pass(COMMA));
    this.demand(this.pass(end));
  }

  private string(): void {
    this.demand(this.pass(QUOTE));
    while (!this.failed) {
      while (this.end - this.at >= 8 && isPlain(load<u64>(this.at))) this.at += 8;
      const c = this.peek();
      this.at++;
      if (c == QUOTE) return;
      if (c == BACKSLASH) this.escape();
      else this.demand(c >= 0x20); // no line break, and not the end
    }
  }

  private escape(): void {
    const c = this.peek();
    this.at++;
    if (c == 0x75 /* u */) {
      for (let i = 0; i < 4; i++) {
        this.demand(hexadecimalDigit(this.peek()) >= 0);
        this.at++;
      }
      return;
    }
    const known = c == QUOTE || c == BACKSLASH || c == 0x2f || c == 0x62 || c == 0x66 || c == 0x6e || c == 0x72 || c == 0x74;
    this.demand(known);
  }

  private number(): void {
    this.pass(0x2d /* - */);
    if (!this.pass(0x30 /* 0 */)) this.digits();
    if (this.pass(0x2e /* . */)) this.digits();
    if (this.pass(0x65 /* e */) || this.pass(0x45 /* E */)) {
      if (!this.pass(0x2b /* + */)) this.pass(0x2d /* - */);
      this.digits();
    }
  }

  private digits(): void {
    this.demand(isDigit(this.peek()));
    while (isDigit(this.peek())) this.at++;
  }

  private word(word: string): void {
    const fits = !this.failed && this.end - this.at >= <usize>word.length && is(this.at, this.at + word.length, word);
    this.demand(fits);
    if (fits) this.at += word.length;
  }

  private pass(c: i32): bool {
    if (this.peek() != c) return false;
    this.at++;
    return true;
  }

  /** The next byte; -1 at the end, and after a failure. */
  private peek(): i32 {
    return this.failed || this.at >= this.end ? -1 : load<u8>(this.at);
  }

  private demand(that: bool): void {
    if (!that) this.failed = true;
  }
}
