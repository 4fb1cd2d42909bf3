// Messages of Protocol Buffers, proto3: a sequence of fields, each a tag and a
// value. https://protobuf.dev/programming-guides/encoding describes them.

import { decodeUTF8, encodeUTF8 } from "./text";

/** How a value is laid out: the three lower bits of its tag. The rest of the tag is the field. */
export const enum Wire {
  VARINT = 0, // int32, int64, bool
  FIXED64 = 1, // double
  BYTES = 2, // string, bytes, messages, entries of maps
  FIXED32 = 5, // float
}

/**
 * Reads the fields of a message one after the other:
 *
 *     while (fields.next()) {
 *       if (fields.is(2, Wire.BYTES)) name = fields.text();
 *     }
 *
 * Fields that nobody asks for are passed over, as proto3 wants it. Any bytes may
 * be read: what is no message ends the loop and sets malformed.
 */
export class Reader {
  malformed: bool = false;
  private field: u64 = 0;
  private wire: i32 = 0;
  private at: i32 = 0;
  private start: i32 = 0; // of the value
  private value: u64 = 0; // of a varint

  constructor(private bytes: Uint8Array) {}

  /** Goes to the next field; false at the end of the message, or where it is malformed. */
  next(): bool {
    if (this.malformed || this.at == this.bytes.length) return false;
    const tag = this.varint();
    this.field = tag >> 3;
    this.wire = <i32>(tag & 7);
    if (this.field == 0) this.malformed = true;
    this.start = this.at;
    switch (this.wire) {
      case Wire.VARINT:
        this.value = this.varint();
        break;
      case Wire.FIXED64:
        this.pass(8);
        break;
      case Wire.BYTES:
        this.pass(this.varint());
        break;
      case Wire.FIXED32:
        this.pass(4);
        break;
      default:
        this.malformed = true;
    }
    return !this.malformed;
  }

  /** Tells whether the reader stands at a field of this number and layout. */
  is(field: u64, wire: Wire): bool {
    return this.field == field && this.wire == wire;
  }

  /** The value of a bytes field, or of one that is a message. */
  blob(): Uint8Array {
    return this.bytes.subarray(this.start, this.at);
  }

  /** The value of a string field. What is not UTF-8 makes the message malformed. */
  text(): string {
    const text = decodeUTF8(this.blob());
    if (text !== null) return text;
    this.malformed = true;
    return "";
  }

  /** The value of an int32 field. Negative ones come as 64 bits, too. */
  number(): i32 {
    return <i32>this.value;
  }

  private varint(): u64 {
    let value: u64 = 0;
    for (let shift: u64 = 0; shift < 64 && this.at < this.bytes.length; shift += 7) {
      const byte = <u64>this.bytes[this.at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    this.malformed = true;
    return 0;
  }

  private pass(size: u64): void {
    this.start = this.at;
    if (this.malformed || size > <u64>(this.bytes.length - this.at)) {
      this.malformed = true;
    } else {
      this.at += <i32>size;
    }
  }
}

/** Writes the fields of a message; the fields of a finished one are in bytes(). */
export class Writer {
  private buffer: Array<u8> = [];

  /** Writes a string field. */
  text(field: u32, value: string): Writer {
    return this.blob(field, encodeUTF8(value));
  }

  /** Writes a bytes field. */
  blob(field: u32, value: Uint8Array): Writer {
    this.varint((<u64>field << 3) | Wire.BYTES);
    this.varint(value.length);
    const end = this.buffer.length;
    this.buffer.length = end + value.length;
    memory.copy(this.buffer.dataStart + end, value.dataStart, value.length);
    return this;
  }

  /** Writes a field that is a message. */
  message(field: u32, value: Writer): Writer {
    return this.blob(field, value.bytes());
  }

  /** Writes an int32 or int64 field. */
  number(field: u32, value: i64): Writer {
    this.varint((<u64>field << 3) | Wire.VARINT);
    this.varint(<u64>value);
    return this;
  }

  /** Writes one entry of a map<string, string> field: a message of key and value. */
  entry(field: u32, key: string, value: string): Writer {
    return this.message(field, new Writer().text(1, key).text(2, value));
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.buffer.length);
    memory.copy(bytes.dataStart, this.buffer.dataStart, this.buffer.length);
    return bytes;
  }

  private varint(value: u64): void {
    for (; value >= 0x80; value >>= 7) {
      this.buffer.push(<u8>(value | 0x80));
    }
    this.buffer.push(<u8>value);
  }
}
