// Bytes that are put together: JSON, addresses, texts of errors.

import { Text } from "./json";
import { Bytes, reserve } from "./memory";

/** The most bytes that are written into one. */
const MAX_LENGTH = 32 << 20;

const HEX = "0123456789ABCDEF";
const BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

export class Writer {
  /** Where the bytes are. */
  start: usize = 0;
  /** How many there are. */
  length: i32 = 0;
  /** Whether something did not fit: then what is there is not all. */
  failed: bool = false;
  private capacity: i32 = 0;

  /** Appends one byte. */
  byte(c: u32): Writer {
    if (this.room(1)) store<u8>(this.start + this.length++, c);
    return this;
  }

  /** Appends a text of ASCII. */
  ascii(text: string): Writer {
    for (let i = 0; i < text.length; i++) this.byte(text.charCodeAt(i));
    return this;
  }

  /** Appends bytes as they are. */
  bytes(bytes: Bytes): Writer {
    if (this.room(bytes.length)) {
      memory.copy(this.start + this.length, bytes.start, bytes.length);
      this.length += bytes.length;
    }
    return this;
  }

  /** Appends a number in decimal. */
  integer(value: i64): Writer {
    if (value < 0) this.byte(0x2d);
    let rest = value < 0 ? 0 - <u64>value : <u64>value;
    let power: u64 = 1;
    while (rest / power >= 10) power *= 10;
    for (; power > 0; power /= 10) {
      this.byte(0x30 + <u32>(rest / power));
      rest %= power;
    }
    return this;
  }

  /** Appends a character in UTF-8. */
  rune(c: u32): Writer {
    if (c < 0x80) return this.byte(c);
    if (c < 0x800) return this.byte(0xc0 | (c >> 6)).byte(0x80 | (c & 0x3f));
    if (c < 0x10000) this.byte(0xe0 | (c >> 12));
    else this.byte(0xf0 | (c >> 18)).byte(0x80 | ((c >> 12) & 0x3f));
    return this.byte(0x80 | ((c >> 6) & 0x3f)).byte(0x80 | (c & 0x3f));
  }

  /** Appends a text as a string of JSON. */
  text(text: Text): Writer {
    this.byte(0x22);
    while (true) {
      const run = text.pass();
      if (run > 0) this.bytes(new Bytes(text.at - run, run));
      const c = text.next();
      if (c < 0) break;
      this.escaped(c);
    }
    return this.byte(0x22);
  }

  private escaped(c: u32): void {
    if (c == 0x22 || c == 0x5c) this.byte(0x5c).byte(c);
    else if (c < 0x20) this.ascii("\\u00").byte(HEX.charCodeAt(c >> 4)).byte(HEX.charCodeAt(c & 15));
    else this.rune(c);
  }

  /** Appends a text of at most limit characters for a line of a log: without control characters, on one line. */
  excerpt(text: Text, limit: i32): Writer {
    for (let c = text.next(); c >= 0; c = text.next()) {
      if (limit-- == 0) return this.ascii("...");
      // What classifies a failure is only what the bridge itself writes, "scrobbler(": no foreign text may.
      if (c == 0x28) c = 0x5b;
      else if (c == 0x29) c = 0x5d;
      this.rune(c < 0x20 || (c >= 0x7f && c < 0xa0) ? 0x20 : c);
    }
    return this;
  }

  /** Appends a text as one segment of a path: all but letters, digits, - _ . ~ is percent-encoded. */
  segment(bytes: Bytes): Writer {
    // A path of dots alone would be taken for another folder.
    let dots = true;
    for (let at = bytes.start; at < bytes.end; at++) dots = dots && load<u8>(at) == 0x2e;
    for (let at = bytes.start; at < bytes.end; at++) {
      const c = <u32>load<u8>(at);
      if (unreserved(c) && !dots) this.byte(c);
      else this.byte(0x25).byte(HEX.charCodeAt(c >> 4)).byte(HEX.charCodeAt(c & 15));
    }
    return this;
  }

  /** Appends bytes in base64, with padding. */
  base64(bytes: Bytes): Writer {
    if (bytes.length > MAX_LENGTH || !this.room(((bytes.length + 2) / 3) * 4)) {
      this.failed = true;
      return this;
    }
    let to = this.start + this.length;
    for (let at = bytes.start; at < bytes.end; at += 3) {
      const left = bytes.end - at;
      const a = <u32>load<u8>(at);
      const b = left > 1 ? <u32>load<u8>(at + 1) : 0;
      const c = left > 2 ? <u32>load<u8>(at + 2) : 0;
      store<u8>(to, BASE64.charCodeAt(a >> 2));
      store<u8>(to + 1, BASE64.charCodeAt(((a & 3) << 4) | (b >> 4)));
      store<u8>(to + 2, left > 1 ? BASE64.charCodeAt(((b & 15) << 2) | (c >> 6)) : 0x3d);
      store<u8>(to + 3, left > 2 ? BASE64.charCodeAt(c & 63) : 0x3d);
      to += 4;
    }
    this.length = <i32>(to - this.start);
    return this;
  }

  /** What was written. */
  done(): Bytes {
    return new Bytes(this.start, this.length);
  }

  /** Makes room for more bytes; false if there is none. */
  private room(more: i32): bool {
    if (this.failed || more > MAX_LENGTH - this.length) {
      this.failed = true;
      return false;
    }
    if (more <= this.capacity - this.length) return true;
    const capacity = max(this.length + more, max(256, 2 * this.capacity));
    const start = reserve(capacity);
    if (start == 0) {
      this.failed = true;
      return false;
    }
    memory.copy(start, this.start, this.length);
    this.start = start;
    this.capacity = capacity;
    return true;
  }
}

function unreserved(c: u32): bool {
  const letter = (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a;
  return letter || (c >= 0x30 && c <= 0x39) || c == 0x2d || c == 0x2e || c == 0x5f || c == 0x7e;
}
