// MUL, IMUL, DIV, IDIV and MULX. Products are formed at twice the operand's width, quotients of twice the width by one. Meanings, called
// by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Flags, Meaning, Outcome } from './outcome.ts';
import {
  and, constant, divide, divideSigned, equal, isZero, join, not, or, register, remainder, remainderSigned, signExtend, slice,
  below, times, truncate, zeroExtend, type Expr, type Width,
} from './expr.ts';

const twice = (width: Width): Width => 2 * width as Width;

/** rDX:rAX, or AX for bytes. */
const accumulator = (width: Width): Expr => width === 8 ? register('rax', 16) : join(register('rdx', width), register('rax', width));
/** The two halves of a double-width value to rDX:rAX, or to AX. */
const toAccumulator = (high: Expr, low: Expr): NonNullable<Outcome['registers']> =>
  low.width === 8 ? { rax: join(high, low) } : { rax: low, rdx: high };

/** CF and OF say that the high half is needed. SF, ZF, AF and PF keep their values (Zen 4, native vectors); undefined in the manuals. */
const overflow = (needed: Expr) => ({ cf: needed, of: needed });

export const mul: Meaning = ([source]) => {
  const { width } = source, wide = twice(width);
  const product = times(zeroExtend(wide, register('rax', width)), zeroExtend(wide, source));
  const high = slice(product, width, width);
  return { registers: toAccumulator(high, truncate(width, product)), flags: overflow(not(isZero(high))) };
};

/** The high half is needed unless it is the sign of the low one. */
const signedProduct = (left: Expr, right: Expr): { product: Expr; low: Expr; needed: Expr } => {
  const { width } = left, wide = twice(width);
  const product = times(signExtend(wide, left), signExtend(wide, right));
  const low = truncate(width, product);
  return { product, low, needed: not(equal(signExtend(wide, low), product)) };
};

/** One, two or three operands; the last two forms keep only the low half. */
export const imul: Meaning = ([first, second, third], { instruction: { operands } }) => {
  if (operands.length === 1) {
    const { product, low, needed } = signedProduct(register('rax', first.width), first);
    return { registers: toAccumulator(slice(product, first.width, first.width), low), flags: overflow(needed) };
  }
  const { low, needed } = operands.length === 2 ? signedProduct(first, second) : signedProduct(second, third);
  return { result: low, flags: overflow(needed) };
};

/** Operands: high half, low half, source; the other factor is rDX. No flag changes. When both halves go to one register it gets the high one. */
export const mulx: Meaning = ([high, , source]) => {
  const { width } = high, wide = twice(width);
  const product = times(zeroExtend(wide, register('rdx', width)), zeroExtend(wide, source));
  return { result: slice(product, width, width), second: truncate(width, product) };
};

/** SF, ZF and PF are clear, AF is set, CF and OF keep their values (Zen 4, native vectors); all six are undefined in the manuals. */
const divisionFlags: Flags = { result: constant(32, 1), af: constant(1, 1) };

/** The quotient fits when the high half is below the divisor; that excludes a divisor of 0 too. */
export const div: Meaning = ([source]) => {
  const { width } = source, wide = twice(width);
  const dividend = accumulator(width), divisor = zeroExtend(wide, source);
  return {
    registers: toAccumulator(truncate(width, remainder(dividend, divisor)), truncate(width, divide(dividend, divisor))),
    flags: divisionFlags,
    fault: { when: not(below(slice(dividend, width, width), source)), vector: 0 },
  };
};

/** The least dividend over -1 has no quotient even at double width: the words give 0 for it, so it is excluded by name. */
export const idiv: Meaning = ([source]) => {
  const { width } = source, wide = twice(width);
  const dividend = accumulator(width), divisor = signExtend(wide, source);
  const quotient = divideSigned(dividend, divisor), low = truncate(width, quotient);
  const least = constant(wide, 1n << BigInt(wide - 1));
  const without = or(isZero(source), and(equal(dividend, least), isZero(not(source))));
  return {
    registers: toAccumulator(truncate(width, remainderSigned(dividend, divisor)), low),
    flags: divisionFlags,
    fault: { when: or(without, not(equal(signExtend(wide, low), quotient))), vector: 0 },
  };
};
