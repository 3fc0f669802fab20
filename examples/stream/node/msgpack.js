// MessagePack as docs/protocol.md wants it: text is UTF-8 or refused, nothing follows the value, and
// integers are integers. Libraries at hand read broken UTF-8 as some other text.

const utf8 = new TextDecoder("utf-8", { fatal: true });

/** Writes a number as a float, also where it is whole. */
export class Float {
  constructor(value) {
    this.value = value;
  }
}

export function decode(bytes) {
  const reader = new Reader(bytes);
  const value = reader.value();
  if (reader.at !== bytes.length) throw new Error("bytes after the value");
  return value;
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
    this.depth = 0;
  }

  value() {
    const head = this.take(1, "getUint8");
    if (head < 0x80) return head;
    if (head < 0x90) return this.map(head & 15);
    if (head < 0xa0) return this.array(head & 15);
    if (head < 0xc0) return this.text(head & 31);
    if (head >= 0xe0) return head - 256;
    switch (head) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.raw(this.take(1, "getUint8"));
      case 0xc5: return this.raw(this.take(2, "getUint16"));
      case 0xc6: return this.raw(this.take(4, "getUint32"));
      case 0xca: return this.take(4, "getFloat32");
      case 0xcb: return this.take(8, "getFloat64");
      case 0xcc: return this.take(1, "getUint8");
      case 0xcd: return this.take(2, "getUint16");
      case 0xce: return this.take(4, "getUint32");
      case 0xcf: return safe(this.take(8, "getBigUint64"));
      case 0xd0: return this.take(1, "getInt8");
      case 0xd1: return this.take(2, "getInt16");
      case 0xd2: return this.take(4, "getInt32");
      case 0xd3: return safe(this.take(8, "getBigInt64"));
      case 0xd9: return this.text(this.take(1, "getUint8"));
      case 0xda: return this.text(this.take(2, "getUint16"));
      case 0xdb: return this.text(this.take(4, "getUint32"));
      case 0xdc: return this.array(this.take(2, "getUint16"));
      case 0xdd: return this.array(this.take(4, "getUint32"));
      case 0xde: return this.map(this.take(2, "getUint16"));
      case 0xdf: return this.map(this.take(4, "getUint32"));
      default: throw new Error(`a value that begins with ${head}`);
    }
  }

  take(size, read) {
    if (this.at + size > this.bytes.length) throw new Error("the message ends in a value");
    this.at += size;
    return this.view[read](this.at - size);
  }

  raw(size) {
    if (this.at + size > this.bytes.length) throw new Error("the message ends in a value");
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }

  text(size) {
    return utf8.decode(this.raw(size));
  }

  array(size) {
    return this.nested(() => {
      const found = [];
      for (let i = 0; i < size; i++) found.push(this.value());
      return found;
    });
  }

  map(size) {
    return this.nested(() => {
      const found = Object.create(null);
      for (let i = 0; i < size; i++) {
        const key = this.value();
        found[key] = this.value();
      }
      return found;
    });
  }

  nested(read) {
    if (++this.depth > 100) throw new Error("a value that is nested too deep");
    const found = read();
    this.depth--;
    return found;
  }
}

function safe(big) {
  const number = Number(big);
  return Number.isSafeInteger(number) ? number : big;
}

export function encode(value) {
  const parts = [];
  write(value, parts);
  return Buffer.concat(parts);
}

function write(value, parts) {
  if (value === null) parts.push(Buffer.of(0xc0));
  else if (typeof value === "boolean") parts.push(Buffer.of(value ? 0xc3 : 0xc2));
  else if (typeof value === "string") writeText(Buffer.from(value), parts);
  else if (typeof value === "number") parts.push(Number.isInteger(value) ? integer(value) : float(value));
  else if (value instanceof Float) parts.push(float(value.value));
  else if (value instanceof Uint8Array) parts.push(sized(value.length, [0xc4, 0xc5, 0xc6]), value);
  else if (Array.isArray(value)) {
    parts.push(value.length < 16 ? Buffer.of(0x90 | value.length) : sized(value.length, [0, 0xdc, 0xdd]));
    for (const each of value) write(each, parts);
  } else {
    const entries = value instanceof Map ? [...value] : Object.entries(value).filter(([, each]) => each !== undefined);
    parts.push(entries.length < 16 ? Buffer.of(0x80 | entries.length) : sized(entries.length, [0, 0xde, 0xdf]));
    for (const each of entries.flat()) write(each, parts);
  }
}

function writeText(bytes, parts) {
  parts.push(bytes.length < 32 ? Buffer.of(0xa0 | bytes.length) : sized(bytes.length, [0xd9, 0xda, 0xdb]), bytes);
}

/** A head and a size of 8, 16 or 32 bits; a head of 0 stands for one that there is not. */
function sized(size, [small, middle, large]) {
  if (size < 1 << 8 && small) return Buffer.of(small, size);
  if (size < 1 << 16) return Buffer.of(middle, size >> 8, size & 255);
  const head = Buffer.of(large, 0, 0, 0, 0);
  head.writeUInt32BE(size, 1);
  return head;
}

function float(value) {
  const bytes = Buffer.of(0xcb, 0, 0, 0, 0, 0, 0, 0, 0);
  bytes.writeDoubleBE(value, 1);
  return bytes;
}

function integer(value) {
  if (value >= 0 && value < 1 << 7) return Buffer.of(value);
  if (value < 0 && value >= -32) return Buffer.of(value + 256);
  if (value >= 0 && value < 2 ** 32) return sized(value, [0xcc, 0xcd, 0xce]);
  const bytes = Buffer.of(value < 0 ? 0xd3 : 0xcf, 0, 0, 0, 0, 0, 0, 0, 0);
  if (value < 0) bytes.writeBigInt64BE(BigInt(value), 1);
  else bytes.writeBigUInt64BE(BigInt(value), 1);
  return bytes;
}
