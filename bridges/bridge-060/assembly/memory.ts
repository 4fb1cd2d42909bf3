// Memory that may be refused, where a trap would lose a play.

/** What the runtime may need beside the bytes that were asked for. */
const SLACK: usize = 1 << 16;

/** Memory of size bytes; 0 if the host gives no more. */
export function reserve(size: usize): usize {
  // The allocator traps when it cannot grow. It grows nothing while the memory goes on behind its last block far enough.
  const probe = heap.alloc(16);
  const free = (<usize>memory.size() << 16) - probe;
  const need = size + SLACK;
  if (free < need && memory.grow(<i32>((need - free + 0xffff) >> 16)) < 0) return 0;
  return heap.alloc(size);
}

/** Bytes in the memory of the guest. */
export class Bytes {
  constructor(readonly start: usize, readonly length: i32) {}

  /** The address behind the last byte. */
  get end(): usize {
    return this.start + <usize>this.length;
  }

  /** The same without white space at both ends. */
  trimmed(): Bytes {
    let start = this.start;
    let end = this.end;
    while (start < end && load<u8>(start) <= 0x20) start++;
    while (start < end && load<u8>(end - 1) <= 0x20) end--;
    return new Bytes(start, <i32>(end - start));
  }
}
