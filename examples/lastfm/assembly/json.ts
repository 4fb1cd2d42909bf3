// A reader of JSON. It takes any text without a trap: AssemblyScript has no
// exceptions, so what a library throws ends the call with a 502.

/** How deep values may lie in each other. */
const MAX_DEPTH = 32;

export const enum Kind {
  MISSING,
  NULL,
  BOOLEAN,
  NUMBER,
  STRING,
  ARRAY,
  OBJECT,
}

/** A value of a document. */
export class Value {
  private members: Map<string, Value> | null = null;
  private elements: Array<Value> | null = null;

  /** text is that of a string, or a number, true or false as it is written; "" otherwise. */
  constructor(readonly kind: Kind, readonly text: string = "") {}

  static object(members: Map<string, Value>): Value {
    const value = new Value(Kind.OBJECT);
    value.members = members;
    return value;
  }

  static array(elements: Array<Value>): Value {
    const value = new Value(Kind.ARRAY);
    value.elements = elements;
    return value;
  }

  /** The member of an object, or a value of kind MISSING. */
  get(key: string): Value {
    const members = this.members;
    if (members === null) return MISSING;
    return members.has(key) ? members.get(key) : MISSING;
  }

  /** The elements of an array; none of any other value. */
  items(): Array<Value> {
    const elements = this.elements;
    return elements === null ? new Array<Value>() : elements;
  }
}

const MISSING = new Value(Kind.MISSING);

/** Parses a document; null if it is none, or too deep. */
export function parseJSON(text: string): Value | null {
  const parser = new Parser(text);
  const value = parser.value(0);
  return parser.finished() ? value : null;
}

class Parser {
  private at: i32 = 0;
  private failed: bool = false;

  constructor(private text: string) {}

  /** Tells whether all of the text was one value. */
  finished(): bool {
    this.space();
    return !this.failed && this.at == this.text.length;
  }

  /** Reads a value that lies in depth others. After a failure nothing more is read. */
  value(depth: i32): Value {
    this.space();
    const c = this.peek();
    if (c == 0x7b /* { */) return this.object(depth);
    if (c == 0x5b /* [ */) return this.array(depth);
    if (c == 0x22 /* " */) return new Value(Kind.STRING, this.string());
    if (c == 0x2d /* - */ || isDigit(c)) return new Value(Kind.NUMBER, this.number());
    if (this.word("true")) return new Value(Kind.BOOLEAN, "true");
    if (this.word("false")) return new Value(Kind.BOOLEAN, "false");
    if (this.word("null")) return new Value(Kind.NULL);
    return this.fail();
  }

  private object(depth: i32): Value {
    const members = new Map<string, Value>();
    if (!this.enter(depth)) return MISSING;
    if (this.take(0x7d /* } */)) return Value.object(members);
    do {
      this.space();
      if (this.peek() != 0x22 /* " */) return this.fail();
      const key = this.string();
      if (!this.take(0x3a /* : */)) return this.fail();
      members.set(key, this.value(depth + 1));
    } while (this.take(0x2c /* , */));
    return this.take(0x7d /* } */) ? Value.object(members) : this.fail();
  }

  private array(depth: i32): Value {
    const elements: Array<Value> = [];
    if (!this.enter(depth)) return MISSING;
    if (this.take(0x5d /* ] */)) return Value.array(elements);
    do {
      elements.push(this.value(depth + 1));
    } while (this.take(0x2c /* , */));
    return this.take(0x5d /* ] */) ? Value.array(elements) : this.fail();
  }

  /** Passes the bracket that begins a value. */
  private enter(depth: i32): bool {
    this.at++;
    if (depth == MAX_DEPTH) this.failed = true;
    return !this.failed;
  }

  private string(): string {
    this.at++; // the quotation mark
    const start = this.at;
    while (this.peek() >= 0x20 && this.peek() != 0x22 /* " */ && this.peek() != 0x5c /* \ */) this.at++;
    const plain = this.text.substring(start, this.at);
    if (this.peek() == 0x22 /* " */) {
      this.at++;
      return plain; // almost always
    }
    const units: Array<i32> = [];
    for (let c = this.peek(); c >= 0x20; c = this.peek()) {
      this.at++;
      if (c == 0x22 /* " */) return plain + String.fromCharCodes(units);
      units.push(c == 0x5c /* \ */ ? this.escape() : c);
    }
    this.failed = true; // a line break, or the end of the text
    return "";
  }

  /** Reads what stands behind a backslash: one UTF-16 unit. */
  private escape(): i32 {
    const c = this.peek();
    this.at++;
    switch (c) {
      case 0x22: // "
      case 0x5c: // \
      case 0x2f: // /
        return c;
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
      case 0x75: // u
        return this.hexadecimal();
      default:
        this.failed = true;
        return 0;
    }
  }

  private hexadecimal(): i32 {
    let unit = 0;
    for (let n = 0; n < 4; n++) {
      const c = this.peek();
      const lower = c | 0x20;
      if (isDigit(c)) unit = (unit << 4) | (c - 0x30);
      else if (lower >= 0x61 && lower <= 0x66) unit = (unit << 4) | (lower - 0x57);
      else this.failed = true;
      this.at++;
    }
    return unit;
  }

  private number(): string {
    const start = this.at;
    this.pass(0x2d /* - */);
    this.digits();
    if (this.pass(0x2e /* . */)) this.digits();
    if (this.pass(0x65 /* e */) || this.pass(0x45 /* E */)) {
      if (!this.pass(0x2b /* + */)) this.pass(0x2d /* - */);
      this.digits();
    }
    return this.text.substring(start, this.at);
  }

  private digits(): void {
    if (!isDigit(this.peek())) this.failed = true;
    while (isDigit(this.peek())) this.at++;
  }

  private word(word: string): bool {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  private space(): void {
    while (this.pass(0x20) || this.pass(0x0a) || this.pass(0x0d) || this.pass(0x09)) {}
  }

  /** Passes a character, behind white space, if it comes next. */
  private take(c: i32): bool {
    this.space();
    return this.pass(c);
  }

  private pass(c: i32): bool {
    if (this.peek() != c) return false;
    this.at++;
    return true;
  }

  /** The next character; -1 at the end of the text, and after a failure. */
  private peek(): i32 {
    return this.failed || this.at >= this.text.length ? -1 : this.text.charCodeAt(this.at);
  }

  private fail(): Value {
    this.failed = true;
    return MISSING;
  }
}

function isDigit(c: i32): bool {
  return c >= 0x30 && c <= 0x39;
}
