// Messages: the members of one object of JSON that go into another.

import { integer, integer32, text } from "./json";
import { Writer } from "./writer";

/** An object that is written from the members of another. What is empty or zero is left out, as protobuf has it. */
export class Fields {
  private begun: bool = false;

  constructor(readonly to: Writer) {
    to.byte(0x7b);
  }

  /** The text of a string. */
  text(value: usize, name: string): Fields {
    const content = text(value);
    if (!content.empty) this.member(name).text(content);
    return this;
  }

  /** A whole number of 32 bits, of a number times 10 to the power of shift. */
  integer32(value: usize, name: string, shift: i32 = 0): Fields {
    const number = integer32(value, shift);
    if (number != 0) this.member(name).integer(number);
    return this;
  }

  /** A whole number of 64 bits, of a number times 10 to the power of shift. */
  integer64(value: usize, name: string, shift: i32 = 0): Fields {
    const number = integer(value, shift);
    if (number != 0) this.member(name).integer(number);
    return this;
  }

  /** Begins a member: what is written next is its value. */
  member(name: string): Writer {
    if (this.begun) this.to.byte(0x2c);
    this.begun = true;
    return this.to.byte(0x22).ascii(name).ascii('":');
  }

  /** Ends the object; false if it has no members. */
  end(): bool {
    this.to.byte(0x7d);
    return this.begun;
  }
}
