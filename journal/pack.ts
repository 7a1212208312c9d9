// Plain values to MessagePack, byte for byte as every journal so far has them: the shortest form of an integer, float64 for other numbers,
// 64 bits for a bigint. `codec.ts` calls this for each event, so it writes into room that is used again; reading is not its affair.

/** Where values are written, one after the other: the bytes of one are gone with the next. */
export interface Room {
  bytes: Uint8Array;
  view: DataView;
  /** The last value's bytes. Most values are as long as the one before, and a view of its own for each would be dear. */
  last: Uint8Array;
}

const ROOM_BYTES = 512;
/** What a value needs at most, without the content of strings, bytes and containers. */
const HEAD_BYTES = 9;

export function createRoom(): Room {
  const bytes = new Uint8Array(ROOM_BYTES);
  return { bytes, view: new DataView(bytes.buffer), last: bytes };
}

/** A value's bytes, valid until the room is used again. Throws for what is not plain. */
export function pack(room: Room, value: unknown): Uint8Array {
  const length = put(room, 0, value);
  if (room.last.length !== length) room.last = room.bytes.subarray(0, length);
  return room.last;
}

function makeRoom(room: Room, at: number, length: number): void {
  const bytes = new Uint8Array(2 * room.bytes.length + length);
  bytes.set(room.bytes.subarray(0, at));
  room.bytes = room.last = bytes;
  room.view = new DataView(bytes.buffer);
}

/** Writes at `at` and returns where the next value goes. */
function put(room: Room, at: number, value: unknown): number {
  if (at + HEAD_BYTES > room.bytes.length) makeRoom(room, at, HEAD_BYTES);
  if (typeof value === 'number') return value >>> 0 === value ? putNatural(room, at, value) : putNumber(room, at, value);
  if (typeof value === 'string') return putText(room, at, value);
  if (typeof value === 'bigint') return putWide(room, at, value);
  if (typeof value === 'boolean') return putByte(room, at, value ? 0xc3 : 0xc2);
  if (typeof value !== 'object') throw new Error(`${typeof value} is no plain value`);
  if (value === null) return putByte(room, at, 0xc0);
  if (Array.isArray(value)) return putArray(room, at, value);
  if (value instanceof Uint8Array) return putBytes(room, at, value);
  return putMap(room, at, value as Readonly<Record<string, unknown>>);
}

function putByte({ bytes }: Room, at: number, value: number): number {
  bytes[at] = value;
  return at + 1;
}

function putNatural({ bytes, view }: Room, at: number, value: number): number {
  if (value < 0x80) {
    bytes[at] = value;
    return at + 1;
  }
  if (value < 0x100) {
    bytes[at] = 0xcc;
    bytes[at + 1] = value;
    return at + 2;
  }
  if (value < 0x10000) {
    bytes[at] = 0xcd;
    view.setUint16(at + 1, value);
    return at + 3;
  }
  bytes[at] = 0xce;
  view.setUint32(at + 1, value);
  return at + 5;
}

/** A negative integer of 32 bits, or a float64. */
function putNumber({ bytes, view }: Room, at: number, value: number): number {
  if (value >> 0 !== value) {
    bytes[at] = 0xcb;
    view.setFloat64(at + 1, value);
    return at + 9;
  }
  if (value >= -0x20) {
    bytes[at] = value;
    return at + 1;
  }
  if (value >= -0x80) {
    bytes[at] = 0xd0;
    bytes[at + 1] = value;
    return at + 2;
  }
  if (value >= -0x8000) {
    bytes[at] = 0xd1;
    view.setInt16(at + 1, value);
    return at + 3;
  }
  bytes[at] = 0xd2;
  view.setInt32(at + 1, value);
  return at + 5;
}

const TWO_63 = 1n << 63n, MINUS_TWO_63 = -TWO_63, TWO_64 = 1n << 64n;
function putWide({ bytes, view }: Room, at: number, value: bigint): number {
  if (value < TWO_63 && value >= MINUS_TWO_63) {
    bytes[at] = 0xd3;
    view.setBigInt64(at + 1, value);
  } else {
    if (value < TWO_63 || value >= TWO_64) throw new Error(`${value} has more than 64 bits`);
    bytes[at] = 0xcf;
    view.setBigUint64(at + 1, value);
  }
  return at + 9;
}

const encoder = new TextEncoder();

function putText(room: Room, at: number, text: string): number {
  if (at + HEAD_BYTES + 3 * text.length > room.bytes.length) makeRoom(room, at, HEAD_BYTES + 3 * text.length);
  const { bytes } = room, { length } = text;
  if (length < 0x20) {
    let index = 0;
    for (; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code >= 0x80) break;
      bytes[at + 1 + index] = code;
    }
    if (index === length) {
      bytes[at] = 0xa0 | length;
      return at + 1 + length;
    }
  }
  const encoded = encoder.encode(text);
  const from = encoded.length < 0x20 ? putByte(room, at, 0xa0 | encoded.length) : putLength(room, at, encoded.length, 0xd9);
  bytes.set(encoded, from);
  return from + encoded.length;
}

function putBytes(room: Room, at: number, content: Uint8Array): number {
  if (at + HEAD_BYTES + content.length > room.bytes.length) makeRoom(room, at, HEAD_BYTES + content.length);
  const from = putLength(room, at, content.length, 0xc4);
  room.bytes.set(content, from);
  return from + content.length;
}

/** The head of what has a length: a code with 8 bits behind it, or the next ones with 16 and 32. */
function putLength({ bytes, view }: Room, at: number, length: number, code: number): number {
  if (length < 0x100) {
    bytes[at] = code;
    bytes[at + 1] = length;
    return at + 2;
  }
  return putLong(bytes, view, at, length, code + 1);
}

/** A code with 16 bits behind it, or the next one with 32. */
function putLong(bytes: Uint8Array, view: DataView, at: number, length: number, code: number): number {
  if (length < 0x10000) {
    bytes[at] = code;
    view.setUint16(at + 1, length);
    return at + 3;
  }
  bytes[at] = code + 1;
  view.setUint32(at + 1, length);
  return at + 5;
}

function putArray(room: Room, at: number, values: readonly unknown[]): number {
  at = putCount(room, at, values.length, 0x90, 0xdc);
  for (let index = 0; index < values.length; index++) at = put(room, at, values[index]);
  return at;
}

function putMap(room: Room, at: number, values: Readonly<Record<string, unknown>>): number {
  const head = at;
  let count = 0;
  at++;
  for (const key in values) {
    at = put(room, putText(room, at, key), values[key]);
    count++;
  }
  if (count < 0x10) {
    room.bytes[head] = 0x80 | count;
    return at;
  }
  return putLargeMap(room, head, values);
}

/** The head of an array or a map: a count of 4, 16 or 32 bits. */
function putCount({ bytes, view }: Room, at: number, count: number, short: number, code: number): number {
  if (count >= 0x10) return putLong(bytes, view, at, count, code);
  bytes[at] = short | count;
  return at + 1;
}

function putLargeMap(room: Room, at: number, values: Readonly<Record<string, unknown>>): number {
  const keys = Object.keys(values);
  at = putCount(room, at, keys.length, 0x80, 0xde);
  for (const key of keys) at = put(room, putText(room, at, key), values[key]);
  return at;
}
