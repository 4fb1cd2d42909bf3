// Text is UTF-8 outside of the plugin, and UTF-16 inside of it.

/** Encodes a text. Half a surrogate pair, which UTF-8 cannot express, becomes U+FFFD. */
export function encodeUTF8(text: string): Uint8Array {
  return Uint8Array.wrap(String.UTF8.encode(text, false, String.UTF8.ErrorMode.REPLACE));
}

/** Decodes a text; null if the bytes are not valid UTF-8. */
export function decodeUTF8(bytes: Uint8Array): string | null {
  const text = String.UTF8.decodeUnsafe(bytes.dataStart, bytes.length);
  // The decoder makes something of any bytes. Only valid ones come back as they were.
  const again = encodeUTF8(text);
  if (again.length != bytes.length) return null;
  if (memory.compare(again.dataStart, bytes.dataStart, bytes.length) != 0) return null;
  return text;
}

/** Cuts a text to at most limit UTF-16 units, between two characters. */
export function shorten(text: string, limit: i32): string {
  if (text.length <= limit) return text;
  let end = limit - 1;
  if ((text.charCodeAt(end - 1) & 0xfc00) == 0xd800) end--; // the first half of a pair
  return text.substring(0, end).trimEnd() + "…";
}

/** Tells whether a text has only the letters and digits of ASCII, and at least one. */
export function isAlphanumeric(text: string): bool {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    const digit = c >= 0x30 && c <= 0x39;
    const letter = (c | 0x20) >= 0x61 && (c | 0x20) <= 0x7a;
    if (!digit && !letter) return false;
  }
  return text.length > 0;
}
