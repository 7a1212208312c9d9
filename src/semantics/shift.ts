// Shifts and rotates. The count is masked to 5 bits, or 6 for 64-bit operands, and bytes and words are shifted as doublewords, so that
// every count is in range. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Meaning } from './outcome.ts';
import {
  and, bit, constant, flag, isZero, join, minus, not, or, plus, remainder, rotateLeft, rotateRight, shiftLeft, shiftRight, shiftRightSigned,
  signBit, signExtend, slice, truncate, xor, zeroExtend, type Expr, type Width,
} from './expr.ts';
import { withAdjust } from './flags.ts';

/** The masked count in the width that the shift is made in. */
function countOf(count: Expr, width: Width): Expr {
  return and(zeroExtend(width === 64 ? 64 : 32, count), constant(width === 64 ? 64 : 32, width === 64 ? 63 : 31));
}
/** One less, for the bit shifted out last; only looked at when the count is not 0. */
const lessOne = (count: Expr): Expr => and(minus(count, constant(count.width, 1)), constant(count.width, count.width - 1));

/** OF = CF xor SF for every count, AF is set. From 8- and 16-bit operands zeros are shifted out at last (Zen 4, native vectors). */
export const shl: Meaning = ([destination, count]) => {
  const { width } = destination, n = countOf(count, width), value = zeroExtend(n.width, destination);
  const result = truncate(width, shiftLeft(value, n));
  // One step before the end the top bit is the CF to be, and the next one the sign to be: a carry vector.
  const carries = truncate(width, shiftLeft(value, lessOne(n)));
  return { result, flags: { result, carries: withAdjust(carries), when: not(isZero(n)) } };
};

export const shr: Meaning = ([destination, count]) => {
  const { width } = destination, n = countOf(count, width), value = zeroExtend(n.width, destination);
  const result = truncate(width, shiftRight(value, n));
  return {
    result,
    flags: { result, cf: bit(shiftRight(value, lessOne(n)), 0), of: bit(result, width - 2), af: constant(1, 1), when: not(isZero(n)) },
  };
};

export const sar: Meaning = ([destination, count]) => {
  const { width } = destination, n = countOf(count, width), value = signExtend(n.width, destination);
  const result = truncate(width, shiftRightSigned(value, n));
  return {
    result,
    flags: { result, cf: bit(shiftRightSigned(value, lessOne(n)), 0), of: constant(1, 0), af: constant(1, 1), when: not(isZero(n)) },
  };
};

/** Count of a rotate in the operand's own width: the words take it modulo the width. */
const turns = (n: Expr, width: Width): Expr => n.width === width ? n : truncate(width, n);

export const rol: Meaning = ([destination, count]) => {
  const { width } = destination, n = countOf(count, width);
  const result = rotateLeft(destination, turns(n, width)), cf = bit(result, 0);
  return { result, flags: { cf, of: xor(cf, signBit(result)), when: not(isZero(n)) } };
};

export const ror: Meaning = ([destination, count]) => {
  const { width } = destination, n = countOf(count, width);
  const result = rotateRight(destination, turns(n, width)), cf = signBit(result);
  return { result, flags: { cf, of: xor(cf, bit(result, width - 2)), when: not(isZero(n)) } };
};

/** Rotates through CF have width + 1 bits: they are made in the next width that holds them, with the count modulo width + 1. */
function ring(destination: Expr, count: Expr): { ring: Expr; n: Expr; rest: Expr } {
  const { width } = destination, wide: Width = width === 32 ? 64 : 32;
  const masked = and(zeroExtend(wide, count), constant(wide, 31));
  const n = width === 32 ? masked : remainder(masked, constant(wide, width + 1));
  const carry = shiftLeft(zeroExtend(wide, flag('cf')), constant(wide, width));
  return { ring: or(zeroExtend(wide, destination), carry), n, rest: minus(constant(wide, width + 1), n) };
}

export const rcl: Meaning = ([destination, count]) => {
  const { width } = destination;
  if (width === 64) return rcl64(destination, count);
  const { ring: value, n, rest } = ring(destination, count);
  const turned = or(shiftLeft(value, n), shiftRight(value, rest));
  const result = truncate(width, turned), cf = bit(turned, width);
  return { result, flags: { cf, of: xor(cf, signBit(result)), when: not(isZero(countOf(count, width))) } };
};

export const rcr: Meaning = ([destination, count]) => {
  const { width } = destination;
  if (width === 64) return rcr64(destination, count);
  const { ring: value, n, rest } = ring(destination, count);
  const turned = or(shiftRight(value, n), shiftLeft(value, rest));
  const result = truncate(width, turned), cf = bit(turned, width);
  return { result, flags: { cf, of: xor(signBit(result), bit(result, width - 2)), when: not(isZero(countOf(count, width))) } };
};

const sixtyFour = (value: number | bigint): Expr => constant(64, value);
/** 63 - count: with one fixed step more it shifts by 64 - count without ever being out of range. */
const complement = (n: Expr): Expr => xor(n, sixtyFour(63));

function rcl64(destination: Expr, count: Expr): ReturnType<Meaning> {
  const n = countOf(count, 64);
  const carry = shiftRight(shiftLeft(zeroExtend(64, flag('cf')), n), sixtyFour(1));
  const wrapped = shiftRight(shiftRight(destination, sixtyFour(2)), complement(n));
  const result = or(or(shiftLeft(destination, n), carry), wrapped);
  const cf = bit(shiftRight(shiftRight(destination, sixtyFour(1)), complement(n)), 0);
  return { result, flags: { cf, of: xor(cf, signBit(result)), when: not(isZero(n)) } };
}

function rcr64(destination: Expr, count: Expr): ReturnType<Meaning> {
  const n = countOf(count, 64);
  const carry = shiftLeft(shiftRight(shiftLeft(zeroExtend(64, flag('cf')), sixtyFour(63)), n), sixtyFour(1));
  const wrapped = shiftLeft(shiftLeft(destination, sixtyFour(2)), complement(n));
  const result = or(or(shiftRight(destination, n), carry), wrapped);
  const cf = bit(shiftRight(plus(destination, destination), n), 0);
  return { result, flags: { cf, of: xor(signBit(result), bit(result, 62)), when: not(isZero(n)) } };
}

/** Doublewords are shifted as one pair of 64 bits. Words too, and the source follows itself, so that counts above 16 shift it in again
 * (Zen 4, native vectors); undefined in the manuals. */
const leftPair = (destination: Expr, source: Expr): Expr =>
  destination.width === 32 ? join(destination, source) : join(join(destination, source), join(source, source));
const rightPair = (destination: Expr, source: Expr): Expr =>
  destination.width === 32 ? join(source, destination) : join(join(source, source), join(source, destination));

/** CF and OF are those of SHL of the destination alone, also for counts of 16 and more of a word; AF is set (Zen 4, native vectors). */
export const shld: Meaning = ([destination, source, count]) => {
  const { width } = destination, n = countOf(count, width);
  const result = width === 64
    ? or(shiftLeft(destination, n), shiftRight(shiftRight(source, sixtyFour(1)), complement(n)))
    : slice(shiftLeft(leftPair(destination, source), zeroExtend(64, n)), 64 - width, width);
  const carries = truncate(width, shiftLeft(zeroExtend(n.width, destination), lessOne(n)));
  return { result, flags: { result, carries: withAdjust(carries), when: not(isZero(n)) } };
};

/** CF is that of SHR of the destination alone, OF the change of sign at the last step; AF is set (Zen 4, native vectors). */
export const shrd: Meaning = ([destination, source, count]) => {
  const { width } = destination, n = countOf(count, width);
  const result = width === 64
    ? or(shiftRight(destination, n), shiftLeft(plus(source, source), complement(n)))
    : truncate(width, shiftRight(rightPair(destination, source), zeroExtend(64, n)));
  const cf = bit(shiftRight(zeroExtend(n.width, destination), lessOne(n)), 0);
  return { result, flags: { result, cf, of: xor(signBit(result), bit(result, width - 2)), af: constant(1, 1), when: not(isZero(n)) } };
};
