// The named functions that `call` nodes use: pure functions of values for which the plain words would be unreadable. This is their
// bigint reading, called by `evaluate.ts`; the emitter may have faster ones of its own, which tests compare with these.
import type { Width } from './expr.ts';
import { reciprocal, reciprocalRoot } from './reciprocals.ts';

/** `widths` are those of the arguments, `width` that of the result; values are unsigned numbers of their widths. */
export type NamedFunction = (values: readonly bigint[], widths: readonly Width[], width: Width) => bigint;

/** CRC-32C, bit-reflected (SDM Vol. 2A, "CRC32"): 11EDC6F41 read from the other end. */
const CRC32C = 0x82f63b78n;

/** Arguments: the 32-bit checksum so far, and the data. */
const crc32: NamedFunction = ([checksum, data], [, dataWidth]) => {
  let remainder = checksum! ^ data!;
  for (let step = 0; step < dataWidth!; step++) remainder = remainder & 1n ? remainder >> 1n ^ CRC32C : remainder >> 1n;
  return remainder;
};

/** Arguments: source, mask. The bits of the source that the mask selects, packed at the bottom (APM Vol. 3, "PEXT"). */
const pext: NamedFunction = ([source, mask], _widths, width) => {
  let result = 0n, place = 0n;
  for (let at = 0n; at < BigInt(width); at++) {
    if (mask! >> at & 1n) result |= (source! >> at & 1n) << place++;
  }
  return result;
};

/** Arguments: source, mask. The low bits of the source, spread to where the mask has ones (APM Vol. 3, "PDEP"). */
const pdep: NamedFunction = ([source, mask], _widths, width) => {
  let result = 0n, place = 0n;
  for (let at = 0n; at < BigInt(width); at++) {
    if (mask! >> at & 1n) result |= (source! >> place++ & 1n) << at;
  }
  return result;
};

/** Each single-precision number of a vector. */
const eachSingle = (apply: (single: number) => number): NamedFunction => ([source], _widths, width) => {
  let result = 0n;
  for (let at = 0n; at < BigInt(width); at += 32n) result |= BigInt(apply(Number(BigInt.asUintN(32, source! >> at)))) << at;
  return result;
};

export const functions: Readonly<Record<string, NamedFunction>> = {
  crc32, pext, pdep, reciprocal: eachSingle(reciprocal), reciprocalRoot: eachSingle(reciprocalRoot),
};
