// Everything that stands before the opcode: legacy prefixes, REX, and the VEX, EVEX and XOP prefixes that carry the opcode map with
// them. Called by `decode.ts` only. It reads bytes through a `Reader` that knows the 15-byte limit; it knows no opcodes.
import type { CodeSize, SegmentName, Undecodable } from './instruction.ts';

/** A place in the bytes. Reading past the end returns 0 and says why in `failure`; the caller looks when it next has to decide. */
export interface Reader {
  readonly bytes: Uint8Array;
  at: number;
  /** The first byte that must not be read: the end of the bytes at hand, or the 15-byte limit. */
  readonly end: number;
  readonly why: 'long' | 'more';
  failure: Undecodable['why'] | '';
}

export function openReader(bytes: Uint8Array, start: number, end: number): Reader {
  const last = start + 15;
  return last <= end ? { bytes, at: start, end: last, why: 'long', failure: '' } : { bytes, at: start, end, why: 'more', failure: '' };
}

export function readByte(reader: Reader): number {
  if (reader.at < reader.end) return reader.bytes[reader.at++]!;
  reader.failure = reader.why;
  return 0;
}
export function readWord(reader: Reader): number {
  const low = readByte(reader);
  return low | readByte(reader) << 8;
}
/** Signed 32 bits. */
export function readDoubleword(reader: Reader): number {
  const low = readWord(reader);
  return low | readWord(reader) << 16;
}

export type Encoding = 'legacy' | 'vex' | 'evex' | 'xop';

export interface Prefixes {
  /** The last segment override that counts, or ''. */
  segment: SegmentName | '';
  /** The last segment override is 3E, whether it counts or not: NOTRACK before an indirect branch. */
  overridesData: boolean;
  operandSize: boolean;
  addressSize: boolean;
  lock: boolean;
  /** The last of F2 and F3, or 0. */
  repeat: 0 | 0xf2 | 0xf3;
  /** A REX prefix stands directly before the opcode. */
  rex: boolean;
  /** The bits that REX, VEX, EVEX and XOP share, as added to register numbers (0 or 8; EVEX: `r` may add 16) and W. */
  r: number; x: number; b: number; w: boolean;
  encoding: Encoding;
  /** VEX and relatives: opcode map, vector length 0..3, the register in vvvv, and the implied prefix 0 none, 1 66, 2 F3, 3 F2. */
  map: number; vectorLength: number; vvvv: number; implied: number;
  /** EVEX: opmask, zeroing, and the b bit (broadcast, rounding, or exceptions suppressed). */
  mask: number; zeroing: boolean; broadcast: boolean;
  /** Some bit of a VEX, EVEX or XOP prefix has a value that is reserved, or a prefix stands before it that must not. */
  invalid: boolean;
}

/** What a byte is as a prefix: 0 nothing; the order is that of the manuals' groups. */
const Kind = { none: 0, segment: 1, ignoredIn64: 2, operandSize: 3, addressSize: 4, lock: 5, repeat: 6, rex: 7 } as const;
const kinds = new Uint8Array(256);
const segmentOf: Partial<Record<number, SegmentName>> = { 0x26: 'es', 0x2e: 'cs', 0x36: 'ss', 0x3e: 'ds', 0x64: 'fs', 0x65: 'gs' };
for (const byte of [0x26, 0x2e, 0x36, 0x3e]) kinds[byte] = Kind.ignoredIn64;
kinds[0x64] = kinds[0x65] = Kind.segment;
kinds[0x66] = Kind.operandSize;
kinds[0x67] = Kind.addressSize;
kinds[0xf0] = Kind.lock;
kinds[0xf2] = kinds[0xf3] = Kind.repeat;
kinds.fill(Kind.rex, 0x40, 0x50);

/** Reads legacy prefixes and REX, and leaves the reader at the first byte of the opcode (or at C4, C5, 62, 8F). */
export function readPrefixes(reader: Reader, codeSize: CodeSize): Prefixes {
  const prefixes: Prefixes = {
    segment: '', overridesData: false, operandSize: false, addressSize: false, lock: false, repeat: 0, rex: false, r: 0, x: 0, b: 0, w: false,
    encoding: 'legacy', map: 0, vectorLength: 0, vvvv: 0, implied: 0, mask: 0, zeroing: false, broadcast: false, invalid: false,
  };
  let rex = 0;
  for (;;) {
    if (reader.at >= reader.end) { reader.failure = reader.why; return prefixes; }
    const byte = reader.bytes[reader.at]!;
    const kind = kinds[byte]!;
    if (kind === Kind.none || (kind === Kind.rex && codeSize !== 64)) break;
    reader.at++;
    // A REX prefix counts only if it is the last byte before the opcode (APM Vol. 3, 1.2.7).
    rex = 0;
    switch (kind) {
      case Kind.rex: rex = byte; break;
      case Kind.segment:
        prefixes.segment = segmentOf[byte]!;
        prefixes.overridesData = false;
        break;
      // In 64-bit mode the overrides of ES, CS, SS and DS are null prefixes: they do not cancel an FS or GS before them (APM Vol. 3, 1.2.4).
      case Kind.ignoredIn64:
        if (codeSize !== 64) prefixes.segment = segmentOf[byte]!;
        prefixes.overridesData = byte === 0x3e;
        break;
      case Kind.operandSize: prefixes.operandSize = true; break;
      case Kind.addressSize: prefixes.addressSize = true; break;
      case Kind.lock: prefixes.lock = true; break;
      case Kind.repeat: prefixes.repeat = byte as 0xf2 | 0xf3; break;
    }
  }
  if (rex) {
    prefixes.rex = true;
    prefixes.w = (rex & 8) !== 0;
    prefixes.r = (rex & 4) << 1;
    prefixes.x = (rex & 2) << 2;
    prefixes.b = (rex & 1) << 3;
  }
  return prefixes;
}

/** Whether the byte at the reader opens a VEX, EVEX or XOP prefix and not LES, LDS, BOUND or POP. Looks one byte ahead. */
export function vectorEncoding(reader: Reader, opcode: number, codeSize: CodeSize): Encoding {
  if (opcode !== 0xc4 && opcode !== 0xc5 && opcode !== 0x62 && opcode !== 0x8f) return 'legacy';
  if (reader.at >= reader.end) { reader.failure = reader.why; return 'legacy'; }
  const next = reader.bytes[reader.at]!;
  if (opcode === 0x8f) return (next & 0x1f) >= 8 ? 'xop' : 'legacy';
  if (codeSize !== 64 && next < 0xc0) return 'legacy';
  return opcode === 0x62 ? 'evex' : 'vex';
}

/** Reads the rest of a C4, C5 or 8F prefix (its first byte has been read). APM Vol. 3, 1.2.8 and 1.2.9. */
export function readVex(reader: Reader, prefixes: Prefixes, first: number, codeSize: CodeSize): void {
  prefixes.encoding = first === 0x8f ? 'xop' : 'vex';
  prefixes.invalid = prefixes.rex || prefixes.lock || prefixes.operandSize || prefixes.repeat !== 0;
  prefixes.rex = true;
  prefixes.w = false;
  prefixes.r = prefixes.x = prefixes.b = 0;
  const second = readByte(reader);
  let last = second;
  prefixes.map = 1;
  prefixes.r = second & 0x80 ? 0 : 8;
  if (first !== 0xc5) {
    last = readByte(reader);
    prefixes.x = second & 0x40 ? 0 : 8;
    prefixes.b = second & 0x20 ? 0 : 8;
    prefixes.map = second & 0x1f;
    prefixes.w = (last & 0x80) !== 0;
  }
  prefixes.vvvv = ~(last >> 3) & 15;
  prefixes.vectorLength = (last >> 2) & 1;
  prefixes.implied = last & 3;
  // Outside 64-bit mode there are eight registers: VEX.B is ignored (SDM Vol. 2A, 2.3.5).
  if (codeSize !== 64) prefixes.r = prefixes.x = prefixes.b = 0;
}

/** Reads the rest of a 62 prefix. SDM Vol. 2A, 2.7.1. */
export function readEvex(reader: Reader, prefixes: Prefixes, codeSize: CodeSize): void {
  prefixes.encoding = 'evex';
  prefixes.invalid = prefixes.rex || prefixes.lock || prefixes.operandSize || prefixes.repeat !== 0;
  prefixes.rex = true;
  const p0 = readByte(reader), p1 = readByte(reader), p2 = readByte(reader);
  prefixes.map = p0 & 7;
  prefixes.invalid ||= (p0 & 8) !== 0 || (p1 & 4) === 0;
  prefixes.r = (p0 & 0x80 ? 0 : 8) | (p0 & 0x10 ? 0 : 16);
  prefixes.x = p0 & 0x40 ? 0 : 8;
  prefixes.b = p0 & 0x20 ? 0 : 8;
  prefixes.w = (p1 & 0x80) !== 0;
  prefixes.vvvv = (~(p1 >> 3) & 15) | (p2 & 8 ? 0 : 16);
  prefixes.implied = p1 & 3;
  prefixes.vectorLength = (p2 >> 5) & 3;
  prefixes.mask = p2 & 7;
  prefixes.zeroing = (p2 & 0x80) !== 0;
  prefixes.broadcast = (p2 & 0x10) !== 0;
  // Outside 64-bit mode R', X and B are ignored, but V' must be as if there were no second sixteen.
  if (codeSize !== 64) {
    prefixes.r = prefixes.x = prefixes.b = 0;
    prefixes.invalid ||= prefixes.vvvv > 15;
  }
}
