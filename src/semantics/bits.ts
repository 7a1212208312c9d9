// Single bits, bit scans and counts, byte order, CRC32. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Instruction } from '../isa/instruction.ts';
import type { Meaning } from './outcome.ts';
import {
  and, bit, byteSwap, constant, isZero, lanes, leadingZeros, minus, not, or, popcount as popcountOf, select, shiftLeft, shiftRight,
  shiftRightSigned, shuffle, signExtend, slice, trailingZeros, truncate, xor, zeroExtend, type Expr,
} from './expr.ts';
import { wholeRegister } from './registers.ts';

/** The bit number inside an operand, in the width that the shift is made in. */
function place(base: Expr, offset: Expr): Expr {
  const wide = base.width === 64 ? 64 : 32;
  return and(offset.width > wide ? truncate(wide, offset) : zeroExtend(wide, offset), constant(wide, base.width - 1));
}

/** CF is the bit; the other flags keep their values (Zen 4, native vectors), though the manuals leave all but ZF undefined. */
const bitTest = (change?: (base: Expr, mask: Expr) => Expr): Meaning => ([base, offset]) => {
  const n = place(base, offset);
  const flags = { cf: bit(shiftRight(zeroExtend(n.width, base), n), 0) };
  if (!change) return { flags };
  const mask = shiftLeft(constant(n.width, 1), n);
  return { result: change(base, mask.width === base.width ? mask : truncate(base.width, mask)), flags };
};
export const bt = bitTest();
export const bts = bitTest((base, mask) => or(base, mask));
export const btr = bitTest((base, mask) => and(base, not(mask)));
export const btc = bitTest((base, mask) => xor(base, mask));

/** How far a bit offset in a register moves a memory operand: whole operands, in bytes, signed (APM Vol. 3, "BT"). An immediate offset does not. */
export function bitDisplacement(offset: Expr, instruction: Instruction): Expr | undefined {
  if (instruction.operands[1]!.kind !== 'register') return undefined;
  const { width } = offset, { addressSize } = instruction;
  const wide = width < addressSize ? signExtend(addressSize, offset) : width > addressSize && width === 64 ? truncate(32, offset) : offset;
  const units = shiftRightSigned(wide, constant(wide.width, Math.log2(width)));
  const bytes = shiftLeft(units, constant(wide.width, Math.log2(width / 8)));
  return bytes.width > addressSize ? truncate(addressSize, bytes) : bytes;
}

/** With a source of 0 the whole destination is kept, upper half included. ZF is that of the source, PF that of the position, and PF is set
 * with ZF; the other flags are clear (Zen 4, native vectors). */
const scan = (position: (source: Expr) => Expr): Meaning => ([destination, source], { instruction }) => {
  const { width } = source, zero = isZero(source), found = position(source);
  // Bit 8 keeps the value that ZF and PF are read from apart from 0, and is no concern of PF.
  const flags = { result: select(zero, constant(width, 0), or(found, constant(width, 0x100))), carries: constant(width, 0) };
  if (width !== 32) return { result: select(zero, destination, found), flags };
  return { result: select(zero, wholeRegister(instruction.operands[0]!)!, zeroExtend(64, found)), flags };
};
export const bsf = scan(trailingZeros);
export const bsr = scan(source => minus(constant(source.width, source.width - 1), leadingZeros(source)));

/** CF by the source, ZF by the count; SF, AF and PF are clear and OF keeps its value (Zen 4, native vectors). */
const count = (word: (source: Expr) => Expr): Meaning => ([, source]) => {
  const result = word(source), clear = constant(1, 0);
  return { result, flags: { cf: isZero(source), zf: isZero(result), sf: clear, af: clear, pf: clear } };
};
export const lzcnt = count(leadingZeros);
export const tzcnt = count(trailingZeros);

/** ZF by the source; the other five are clear. */
export const popcnt: Meaning = ([, source]) => {
  const result = popcountOf(source), clear = constant(1, 0);
  return { result, flags: { cf: clear, of: clear, sf: clear, af: clear, pf: clear, zf: isZero(result) } };
};

/** The 16-bit form, which the manuals leave undefined, gives 0 (Zen 4, native vectors). */
export const bswap: Meaning = ([destination]) => ({ result: destination.width === 16 ? constant(16, 0) : byteSwap(destination) });

/** CRC-32C, bit-reflected (SDM Vol. 2A, "CRC32"): 11EDC6F41 read from the other end. */
const CRC32C = 0x82f63b78n;
const divided = (dividend: bigint, steps: number): bigint =>
  steps === 0 ? dividend : divided(dividend & 1n ? dividend >> 1n ^ CRC32C : dividend >> 1n, steps - 1);
const four = (laneOf: (lane: bigint) => bigint): Expr => constant(128, [3n, 2n, 1n, 0n].reduce((all, lane) => all << 32n | laneOf(lane), 0n));

/** The remainder of 32 bits after so many steps is the sum of those of the bits; a vector has four at a time. */
function remainderOf(dividend: Expr, steps: number): Expr {
  const spread = shuffle(32, [0, 0, 0, 0], zeroExtend(128, dividend));
  let sum: Expr = constant(128, 0);
  for (let at = 0n; at < steps; at += 4n) {
    const bits = four(lane => 1n << at + lane);
    sum = xor(sum, and(lanes('equal', 32, and(spread, bits), bits), four(lane => divided(1n << at + lane, steps))));
  }
  const pairs = xor(sum, shuffle(64, [1, 1], sum)), remainder = slice(xor(pairs, shuffle(32, [1, 1, 1, 1], pairs)), 0, 32);
  return steps === 32 ? remainder : xor(remainder, shiftRight(dividend, constant(32, steps)));
}

/** The checksum of 32 bits with data of up to 64 added. */
export function checksumWith(checksum: Expr, data: Expr): Expr {
  if (data.width === 64) return checksumWith(checksumWith(checksum, truncate(32, data)), slice(data, 32, 32));
  return remainderOf(xor(checksum, zeroExtend(32, data)), data.width);
}
/** The checksum is 32 bits whatever the operand; a 64-bit destination is zero-extended. */
export const crc32: Meaning = ([destination, data]) =>
  ({ result: zeroExtend(destination.width, checksumWith(destination.width === 32 ? destination : truncate(32, destination), data)) });
