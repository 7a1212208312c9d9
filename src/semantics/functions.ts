// The named functions that `call` nodes use: pure functions of values for which the plain words would be unreadable. This is their
// bigint reading, called by `evaluate.ts`; the emitter may have faster ones of its own, which tests compare with these.
import type { Width } from './expr.ts';

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

/** RCPPS and RSQRTPS promise a relative error below 1.5 * 2^-12 and no exceptions (APM Vol. 4, "RCPPS"); processors differ in the last
 * digits. Ours is the exact value rounded to 12 fraction bits. Denormals count as zeros and results that would be tiny become 0. */
const approximation = (exact: (value: number) => number): NamedFunction => ([source], _widths, width) => {
  let result = 0n;
  for (let at = 0n; at < BigInt(width); at += 32n) result |= approximate(Number(BigInt.asUintN(32, source! >> at)), exact) << at;
  return result;
};
const bitsOfNumber = new DataView(new ArrayBuffer(8)), HALF = 1n << 39n, KEPT = ~((1n << 40n) - 1n);

function approximate(single: number, exact: (value: number) => number): bigint {
  const magnitude = single & 0x7fffffff, sign = BigInt(single >>> 31) << 31n;
  if (magnitude > 0x7f800000) return BigInt(single) | 0x400000n;
  if (magnitude < 0x00800000) return sign | 0x7f800000n;
  bitsOfNumber.setUint32(0, single);
  const result = exact(bitsOfNumber.getFloat32(0));
  if (Number.isNaN(result)) return 0xffc00000n;
  bitsOfNumber.setFloat64(0, result);
  bitsOfNumber.setBigUint64(0, (bitsOfNumber.getBigUint64(0) + HALF) & KEPT);
  const rounded = bitsOfNumber.getFloat64(0);
  if (Math.abs(rounded) < 2 ** -126) return sign;
  bitsOfNumber.setFloat32(0, rounded);
  return BigInt(bitsOfNumber.getUint32(0));
}

export const functions: Readonly<Record<string, NamedFunction>> = {
  crc32, pext, pdep, reciprocal: approximation(value => 1 / value), reciprocalRoot: approximation(value => 1 / Math.sqrt(value)),
};
