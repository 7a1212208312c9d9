// Event <-> bytes, and the chain of digests. A payload is one MessagePack array: the fields of the event's kind, in the order of the
// table in events.ts. What is read may come from a stranger: its structure is walked before msgpackr may allocate anything, then every
// field is checked against the table.
import { Packr, RESET_BUFFER_MODE, REUSE_BUFFER_MODE } from 'msgpackr';
import { corrupt } from './error.ts';
import { classOf, isKind, kinds, type Event, type FieldType, type FieldTypes, type Kind, type Plain, type Stamp } from './events.ts';

/** Longer payloads are refused, in both directions. */
export const MAX_PAYLOAD_BYTES = 1 << 20;
const MAX_DEPTH = 32;
/** Values in one payload, nested ones included: what they cost as objects is far more than their bytes. */
const MAX_VALUES = 1 << 20;

// 64-bit integers are always bigint and smaller ones always number, so that a value comes back with the type it went with.
const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'bigint' });

const fieldsOf = Object.fromEntries(Object.entries(kinds).map(([kind, row]) => [kind, Object.entries(row.fields)])) as
  unknown as Readonly<Record<Kind, readonly (readonly [string, FieldType])[]>>;

/** Where payloads are written, one after the other: the bytes of one are gone with the next, and most are as long as the one before. */
export interface Room { payload: Uint8Array }
export const createRoom = (): Room => ({ payload: new Uint8Array(0) });

/** The payload of an event; nobody writes to the bytes. They are gone when the room is used again. */
export function encodeEvent(event: Event, room = createRoom()): Uint8Array {
  const { detail } = event as { readonly detail?: Detail }, last = lastDetails[event.kind];
  if (last !== undefined && isSame(detail!, last)) return last.payload ??= packEvent(event, createRoom());
  if (detail !== undefined && fieldsOf[event.kind].length === 1) lastDetails[event.kind] = { detail, names: undefined, payload: undefined };
  return packEvent(event, room);
}

function packEvent(event: Event, room: Room): Uint8Array {
  const fields = fieldsOf[event.kind];
  const values = new Array<unknown>(fields.length);
  for (let index = 0; index < fields.length; index++) {
    const [name, type] = fields[index]!;
    values[index] = (event as unknown as Record<string, unknown>)[name];
    if (!checks[type](values[index])) throw new Error(`${event.kind}.${name} is not ${type}: ${String(values[index])}`);
  }
  // In this mode msgpackr makes no view of its buffer, and says where in it the value is.
  const packed = packr.pack(values, REUSE_BUFFER_MODE | RESET_BUFFER_MODE) as unknown as Uint8Array & { readonly start: number; readonly end: number };
  const { start, end } = packed, length = end - start;
  if (length > MAX_PAYLOAD_BYTES) throw new Error(`the payload of ${event.kind} has ${length} bytes; split it`);
  if (room.payload.length !== length) room.payload = new Uint8Array(length);
  const { payload } = room;
  for (let index = 0; index < length; index++) payload[index] = packed[start + index]!;
  return payload;
}

type Detail = FieldTypes['detail'];
/** The last event of a kind whose only field is a detail. A hypervisor and its guest do the same again and again. */
interface Last {
  readonly detail: Detail;
  /** Its names in their order, and its payload: once there is another like it. */
  names: readonly string[] | undefined;
  payload: Uint8Array | undefined;
}
const lastDetails: Partial<Record<Kind, Last>> = {};

/** Whether a detail gives the same payload. What is no plain number or text counts as another: it could have changed. */
function isSame(detail: Detail, last: Last): boolean {
  for (const name in detail) {
    const value = detail[name];
    if (value !== last.detail[name] || typeof value === 'object') return false;
  }
  const names = last.names ??= Object.keys(last.detail);
  let count = 0;
  for (const name in detail) if (name !== names[count++]) return false;
  return count === names.length;
}

/** Reads a payload back. `where` names the row in error messages. Fields that a later engine added at the end are left out. */
export function decodeEvent(kind: string, payload: Uint8Array, where: string): Event {
  if (!isKind(kind)) throw corrupt(where, `there is no event “${kind.slice(0, 40)}”`);
  const values = unpackPlain(payload, MAX_PAYLOAD_BYTES, where);
  if (!Array.isArray(values)) throw corrupt(where, 'byte 0: the payload is not an array');
  const fields = fieldsOf[kind];
  if (values.length < fields.length) throw corrupt(where, `byte 0: ${kind} has ${fields.length} fields, the payload ${values.length}`);
  const event: Record<string, unknown> = { kind };
  for (let index = 0; index < fields.length; index++) {
    const [name, type] = fields[index]!;
    if (!checks[type](values[index])) throw corrupt(where, `field ${index} (${name}) is not ${type}`);
    event[name] = values[index];
  }
  return event as unknown as Event;
}

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{16}$/.test(value);
const checks: Readonly<Record<FieldType, (value: unknown) => boolean>> = {
  natural: isNatural,
  optionalNatural: (value) => value === null || isNatural(value),
  text: (value) => typeof value === 'string',
  bytes: (value) => value instanceof Uint8Array,
  digest: isDigest,
  digests: (value) => Array.isArray(value) && value.every(isDigest),
  detail: (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array),
};

// ── Plain data ──

/** Any plain value as MessagePack; what is not plain is our mistake. */
export function packPlain(value: unknown): Uint8Array {
  const bytes = packr.pack(value);
  walk(bytes, 'what we packed');
  return bytes;
}

/** Reads a plain value of at most `maximumBytes`. */
export function unpackPlain(bytes: Uint8Array, maximumBytes: number, where: string): Plain {
  if (bytes.length > maximumBytes) throw corrupt(where, `${bytes.length} bytes where at most ${maximumBytes} are allowed`);
  walk(bytes, where);
  try {
    // From a plain array come plain arrays, and no Buffers.
    return packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as Plain;
  } catch (error) {
    throw corrupt(where, error instanceof Error ? error.message : String(error));
  }
}

/** Walks one MessagePack value without building it: every length fits what is left, keys are short strings, there are no extension
 * types, nesting is bounded, and nothing follows the value. Thus what msgpackr builds is at most a small multiple of the input. */
function walk(bytes: Uint8Array, where: string): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0, values = 0;
  const fail = (what: string): never => { throw corrupt(where, `byte ${at}: ${what}`); };
  const need = (length: number): void => { if (length > bytes.length - at) fail(`${length} bytes are announced, ${bytes.length - at} are left`); };
  const take = (length: number): void => { need(length); at += length; };
  const length8 = (): number => { need(1); return view.getUint8(at++); };
  const length16 = (): number => { need(2); at += 2; return view.getUint16(at - 2); };
  const length32 = (): number => { need(4); at += 4; return view.getUint32(at - 4); };

  function array(count: number, depth: number): void {
    need(count);
    for (let index = 0; index < count; index++) value(depth + 1);
  }
  function map(count: number, depth: number): void {
    need(2 * count);
    for (let index = 0; index < count; index++) {
      const code = bytes[at]!;
      if ((code < 0xa0 || code > 0xbf) && (code < 0xd9 || code > 0xda)) fail('a key is not a string');
      value(depth + 1);
      if (at >= bytes.length) fail('a key has no value');
      value(depth + 1);
    }
  }
  function value(depth: number): void {
    if (depth > MAX_DEPTH) fail('nested too deeply');
    if (++values > MAX_VALUES) fail('too many values');
    need(1);
    const code = bytes[at++]!;
    if (code <= 0x7f || code >= 0xe0) return;
    if (code <= 0x8f) return map(code & 0xf, depth);
    if (code <= 0x9f) return array(code & 0xf, depth);
    if (code <= 0xbf) return take(code & 0x1f);
    switch (code) {
      case 0xc0: case 0xc2: case 0xc3: return;
      case 0xc4: case 0xd9: return take(length8());
      case 0xc5: case 0xda: return take(length16());
      case 0xc6: case 0xdb: return take(length32());
      case 0xcc: case 0xd0: return take(1);
      case 0xcd: case 0xd1: return take(2);
      case 0xca: case 0xce: case 0xd2: return take(4);
      case 0xcb: case 0xcf: case 0xd3: return take(8);
      case 0xdc: return array(length16(), depth);
      case 0xdd: return array(length32(), depth);
      case 0xde: return map(length16(), depth);
      case 0xdf: return map(length32(), depth);
      default: at--; fail(`0x${code.toString(16)} is not a type of this format`);
    }
  }
  value(0);
  if (at !== bytes.length) fail('something follows the value');
}

// ── The chain ──

/** The digest of everything up to an event: 64 bits in two halves, changed in place. It finds damage and differences; against a forger
 * it is no protection, and need not be: a forged journal is just another journal. */
export type Chain = Int32Array;

export const DIGEST_BYTES = 8;

/** The chain before the first event: a digest of what the header promises. */
export function beginChain(header: Uint8Array): Chain {
  const chain = new Int32Array([0x243f6a88, 0x85a308d3 | 0]);
  mix(chain, NO_WORDS, header);
  return chain;
}

const NO_WORDS = new Int32Array(0);
const kindCodes = Object.fromEntries(Object.keys(kinds).map((kind) => {
  const chain = new Int32Array([0x13198a2e, 0x03707344]);
  mix(chain, NO_WORDS, new TextEncoder().encode(`${classOf(kind as Kind)} ${kind}`));
  return [kind, chain[0]!];
})) as Readonly<Record<Kind, number>>;

const head = new Int32Array(4);
/** Links an event into the chain: its place, its kind and its payload. */
export function link(chain: Chain, at: Stamp, kind: Kind, payload: Uint8Array): void {
  head[0] = at.icount | 0;
  head[1] = at.icount / 0x100000000;
  head[2] = (at.vcpu === null ? 0xffff : at.vcpu) | (at.level << 16) | (at.smm ? 1 << 18 : 0);
  head[3] = kindCodes[kind];
  mix(chain, head, payload);
}

/** Mixes in some words, the words of some bytes, and what is left of them with their number. One loop, which holds the chain in registers. */
function mix(chain: Chain, words: Int32Array, bytes: Uint8Array): void {
  const last = words.length + (bytes.length >> 2);
  let first = chain[0]!, second = chain[1]!;
  for (let index = 0; index <= last; index++) {
    const at = index - words.length << 2;
    const word = at < 0 ? words[index]! : index === last ? restOf(bytes) : bytes[at]! | bytes[at + 1]! << 8 | bytes[at + 2]! << 16 | bytes[at + 3]! << 24;
    let a = Math.imul(first ^ word, 0xcc9e2d51 | 0);
    a = a << 15 | a >>> 17;
    let b = Math.imul(second + word | 0, 0x1b873593) ^ a;
    b = b << 13 | b >>> 19;
    first = Math.imul(a, 5) + b | 0;
    second = Math.imul(b, 9) + 2 * a | 0;
  }
  chain[0] = first;
  chain[1] = second;
}
function restOf(bytes: Uint8Array): number {
  let rest = bytes.length << 8;
  for (let index = bytes.length & ~3; index < bytes.length; index++) rest = Math.imul(rest, 0x101) ^ bytes[index]!;
  return rest;
}

const hexHalf = (half: number): string => (half >>> 0).toString(16).padStart(8, '0');
/** The chain's digest as 16 hex digits. */
export const chainDigest = (chain: Chain): string => hexHalf(chain[0]!) + hexHalf(chain[1]!);
/** Writes the digest, most significant byte first. */
export function putDigest(chain: Chain, bytes: Uint8Array): void {
  for (let index = 0; index < 4; index++) {
    bytes[index] = chain[0]! >>> (24 - 8 * index);
    bytes[index + 4] = chain[1]! >>> (24 - 8 * index);
  }
}
/** Whether the digest stands at `from` in the bytes. */
export function digestEquals(chain: Chain, bytes: Uint8Array, from: number): boolean {
  const half = (at: number): number => bytes[at]! << 24 | bytes[at + 1]! << 16 | bytes[at + 2]! << 8 | bytes[at + 3]!;
  return from + DIGEST_BYTES <= bytes.length && half(from) === chain[0] && half(from + 4) === chain[1];
}
