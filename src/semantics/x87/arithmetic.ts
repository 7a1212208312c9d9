// Sums, products, quotients, roots, remainders, scaling and comparison of x87 values, exactly, in bigint (APM Vol. 1, 6.4 and 6.5). Operands
// that are empty are no business of this file. Pure functions of numbers, called by `system/x87.ts`.
import {
  BIAS, bitLength, denormalFlag, exact, extendedRoundingOf, float80, indefinite, infinity, invalidResult, isNan, kindOf,
  LAST_BIT, lastBitOf, Mode, negated, one, propagated, propagatedNan, round, roundInteger, roundingOf, X87Exception, zero,
  type Float80, type Kind, type Result,
} from './number.ts';

export type Operation = (left: Float80, right: Float80, controlWord: number) => Result;
const { invalid, zeroDivide, precision } = X87Exception;

export const add: Operation = (left, right, controlWord) => {
  const leftKind = kindOf(left), rightKind = kindOf(right), nan = propagated(left, right, leftKind, rightKind);
  if (nan) return nan;
  if (leftKind === 'infinity' && rightKind === 'infinity' && left.negative !== right.negative) return invalidResult;
  const flags = denormalFlag(leftKind, rightKind);
  if (leftKind === 'infinity') return exact(left, flags);
  if (rightKind === 'infinity') return exact(right, flags);
  const rounding = roundingOf(controlWord);
  return roundSum(signed(left), lastBitOf(left), signed(right), lastBitOf(right), leftKind === 'zero' && left.negative === right.negative, left.negative, rounding, flags);
};
export const subtract: Operation = (left, right, controlWord) => add(left, isNan(kindOf(right)) ? right : negated(right), controlWord);

const signed = ({ negative, significand }: Float80): bigint => negative ? -significand : significand;

/** Beyond this distance the smaller operand only says on which side of the larger one the sum lies. */
const FAR = 70;
function roundSum(left: bigint, leftLast: number, right: bigint, rightLast: number, sameZeros: boolean, negative: boolean, rounding: ReturnType<typeof roundingOf>, flags: number): Result {
  if (left === 0n && right === 0n) return exact(zero(sameZeros ? negative : rounding.mode === Mode.down), flags);
  // A zero has no place of its own.
  if (left === 0n) return roundSigned(right, rightLast, rounding, flags);
  if (right === 0n) return roundSigned(left, leftLast, rounding, flags);
  const distance = leftLast - rightLast;
  if (distance < 0) return roundSum(right, rightLast, left, leftLast, sameZeros, negative, rounding, flags);
  if (distance > 2 * FAR) return roundSigned((left << BigInt(FAR + 64)) + (right < 0n ? -1n : 1n), leftLast - FAR - 64, rounding, flags);
  const sum = (left << BigInt(distance)) + right;
  if (sum === 0n) return exact(zero(rounding.mode === Mode.down), flags);
  return roundSigned(sum, rightLast, rounding, flags);
}
const roundSigned = (value: bigint, last: number, rounding: ReturnType<typeof roundingOf>, flags: number): Result =>
  round(value < 0n, value < 0n ? -value : value, last, rounding, flags);

export const multiply: Operation = (left, right, controlWord) => {
  const leftKind = kindOf(left), rightKind = kindOf(right), nan = propagated(left, right, leftKind, rightKind);
  if (nan) return nan;
  const negative = left.negative !== right.negative;
  if (leftKind === 'infinity' || rightKind === 'infinity') {
    return leftKind === 'zero' || rightKind === 'zero' ? invalidResult : exact(infinity(negative), denormalFlag(leftKind, rightKind));
  }
  const flags = denormalFlag(leftKind, rightKind);
  if (leftKind === 'zero' || rightKind === 'zero') return exact(zero(negative), flags);
  return round(negative, left.significand * right.significand, lastBitOf(left) + lastBitOf(right), roundingOf(controlWord), flags);
};

export const divide: Operation = (left, right, controlWord) => {
  const leftKind = kindOf(left), rightKind = kindOf(right), nan = propagated(left, right, leftKind, rightKind);
  if (nan) return nan;
  const negative = left.negative !== right.negative, flags = denormalFlag(leftKind, rightKind);
  if (leftKind === 'infinity') return rightKind === 'infinity' ? invalidResult : exact(infinity(negative), flags);
  if (rightKind === 'infinity') return exact(zero(negative), flags);
  if (rightKind === 'zero') return leftKind === 'zero' ? invalidResult : exact(infinity(negative), zeroDivide);
  if (leftKind === 'zero') return exact(zero(negative), flags);
  // At least 66 bits of quotient, and a last one for the remainder.
  const shift = 67 + bitLength(right.significand) - bitLength(left.significand);
  const dividend = left.significand << BigInt(shift), quotient = dividend / right.significand;
  const sticky = quotient * right.significand === dividend ? 0n : 1n;
  return round(negative, quotient << 1n | sticky, lastBitOf(left) - lastBitOf(right) - shift - 1, roundingOf(controlWord), flags);
};

export function squareRootOf(value: Float80, controlWord: number): Result {
  const kind = kindOf(value);
  if (isNan(kind) || kind === 'unsupported') return propagatedNan(value, kind);
  if (kind === 'zero') return exact(value);
  if (value.negative) return invalidResult;
  if (kind === 'infinity') return exact(value);
  // An even exponent, and at least 132 bits of radicand.
  let shift = 134 - bitLength(value.significand);
  if ((lastBitOf(value) - shift) % 2 !== 0) shift++;
  const radicand = value.significand << BigInt(shift), root = floorRoot(radicand);
  const sticky = root * root === radicand ? 0n : 1n;
  return round(false, root << 1n | sticky, (lastBitOf(value) - shift) / 2 - 1, roundingOf(controlWord), denormalFlag(kind));
}

/** Newton's iteration, after whose first step the guess is too large; `value` is below 2^1000. */
export function floorRoot(value: bigint): bigint {
  const guess = BigInt(Math.floor(Math.sqrt(Number(value)))) || 1n;
  let root = guess + value / guess >> 1n;
  for (;;) {
    const next = root + value / root >> 1n;
    if (next >= root) return root;
    root = next;
  }
}

// ── Comparison ──

/** Bits of the status word: C3 C2 C0. */
export const Condition = { c0: 0x100, c1: 0x200, c2: 0x400, c3: 0x4000 } as const;
const { c0, c2, c3 } = Condition;
const UNORDERED = c3 | c2 | c0;

/** FCOM, and FUCOM, to which quiet NaNs are no error: the conditions, and the exceptions. */
export function compare(left: Float80, right: Float80, quietly: boolean): { conditions: number; flags: number } {
  const leftKind = kindOf(left), rightKind = kindOf(right), nan = propagated(left, right, leftKind, rightKind);
  if (nan) return { conditions: UNORDERED, flags: quietly ? nan.flags : invalid };
  const flags = denormalFlag(leftKind, rightKind), order = orderOf(left, right, leftKind, rightKind);
  return { conditions: order < 0 ? c0 : order > 0 ? 0 : c3, flags };
}

function orderOf(left: Float80, right: Float80, leftKind: Kind, rightKind: Kind): number {
  if (leftKind === 'zero' && rightKind === 'zero') return 0;
  if (leftKind !== 'zero' && rightKind !== 'zero' && left.negative === right.negative) {
    // A pseudo-denormal equals the normal number with exponent 1.
    const exponents = (left.exponent || 1) - (right.exponent || 1);
    const magnitude = exponents !== 0 ? exponents : left.significand < right.significand ? -1 : left.significand > right.significand ? 1 : 0;
    return left.negative ? -magnitude : magnitude;
  }
  const below = leftKind === 'zero' ? !right.negative : left.negative;
  return below ? -1 : 1;
}

/** FXAM: the class of a register that is not empty (APM Vol. 5, "FXAM"); C1 is the sign. */
export function classify(value: Float80): number {
  const { c1 } = Condition, sign = value.negative ? c1 : 0;
  switch (kindOf(value)) {
    case 'unsupported': return sign;
    case 'quiet': case 'signaling': return sign | c0;
    case 'normal': return sign | c2;
    case 'infinity': return sign | c2 | c0;
    case 'zero': return sign | c3;
    case 'denormal': return sign | c3 | c2;
  }
}

// ── Integers, scaling ──

/** FRNDINT. */
export function roundToInteger(value: Float80, controlWord: number): Result {
  const kind = kindOf(value);
  if (isNan(kind) || kind === 'unsupported') return propagatedNan(value, kind);
  if (kind === 'zero' || kind === 'infinity' || value.exponent >= LAST_BIT) return exact(value);
  const flags = denormalFlag(kind), { mode } = extendedRoundingOf(controlWord);
  const whole = roundInteger(value.significand, lastBitOf(value), value.negative, mode);
  const rounded = whole.value === 0n ? zero(value.negative) : round(value.negative, whole.value, 0, extendedRoundingOf(controlWord)).value;
  return { value: rounded, flags: whole.inexact ? flags | precision : flags, up: whole.up };
}

/** FSCALE: the first operand times 2 to the integer part of the second. */
export const scale: Operation = (value, by, controlWord) => {
  const kind = kindOf(value), byKind = kindOf(by), nan = propagated(value, by, kind, byKind);
  if (nan) return nan;
  const flags = denormalFlag(kind, byKind);
  if (byKind === 'infinity') {
    if (by.negative) return kind === 'infinity' ? invalidResult : exact(zero(value.negative), flags);
    return kind === 'zero' ? invalidResult : exact(infinity(value.negative), flags);
  }
  if (kind === 'infinity' || kind === 'zero' || byKind === 'zero') return exact(value, flags);
  const rounding = extendedRoundingOf(controlWord);
  if (by.exponent < BIAS) return round(value.negative, value.significand, lastBitOf(value), rounding, flags);
  // Beyond 2^16 the result is far outside every range.
  const distance = by.exponent > BIAS + 16 ? 1 << 17 : Number(by.significand >> BigInt(LAST_BIT - by.exponent));
  return round(value.negative, value.significand, lastBitOf(value) + (by.negative ? -distance : distance), rounding, flags);
};

/** FXTRACT: exponent and significand, each as a value. */
export function extract(value: Float80): { exponent: Float80; significand: Float80; flags: number } {
  const kind = kindOf(value);
  if (kind === 'unsupported') return { exponent: indefinite, significand: indefinite, flags: invalid };
  if (isNan(kind)) {
    const { value: nan, flags } = propagatedNan(value, kind);
    return { exponent: nan, significand: nan, flags };
  }
  if (kind === 'infinity') return { exponent: infinity(false), significand: value, flags: 0 };
  if (kind === 'zero') return { exponent: infinity(true), significand: value, flags: zeroDivide };
  const length = bitLength(value.significand);
  return {
    exponent: fromInteger(lastBitOf(value) + length - 1),
    significand: float80(value.negative, BIAS, value.significand << BigInt(64 - length)), flags: denormalFlag(kind),
  };
}

function fromInteger(value: number): Float80 {
  if (value === 0) return zero(false);
  const magnitude = BigInt(Math.abs(value)), length = bitLength(magnitude);
  return float80(value < 0, BIAS + length - 1, magnitude << BigInt(64 - length));
}

// ── Remainders ──

/** FPREM (towards zero) and FPREM1 (to nearest): the remainder, and C3 C2 C1 C0 when there is one. An exponent difference of 64 or more is reduced in part, by
 * 32 to 63 of it, and C2 says so (APM Vol. 5, "FPREM"). */
export function remainder(value: Float80, divisor: Float80, nearest: boolean, controlWord: number): Result & { readonly conditions?: number } {
  const kind = kindOf(value), divisorKind = kindOf(divisor), nan = propagated(value, divisor, kind, divisorKind);
  if (nan) return nan;
  if (kind === 'infinity' || divisorKind === 'zero') return invalidResult;
  const flags = denormalFlag(kind, divisorKind);
  if (kind === 'zero' || divisorKind === 'infinity') return { ...exact(value, flags), conditions: 0 };
  const difference = topOf(value) - topOf(divisor), rounding = extendedRoundingOf(controlWord);
  if (difference < 0 && !(nearest && difference === -1)) return { ...round(value.negative, value.significand, lastBitOf(value), rounding, flags), conditions: 0 };
  if (difference >= 64) return partialRemainder(value, divisor, difference, rounding, flags);

  const last = Math.min(lastBitOf(value), lastBitOf(divisor));
  const dividend = value.significand << BigInt(lastBitOf(value) - last), by = divisor.significand << BigInt(lastBitOf(divisor) - last);
  let quotient = dividend / by, rest = dividend - quotient * by, { negative } = value;
  if (nearest && (2n * rest > by || (2n * rest === by && (quotient & 1n) === 1n))) {
    quotient++;
    rest = by - rest;
    negative = !negative;
  }
  const conditions = (quotient & 4n ? c0 : 0) | (quotient & 2n ? c3 : 0) | (quotient & 1n ? Condition.c1 : 0);
  if (rest === 0n) return { ...exact(zero(value.negative), flags), conditions };
  return { ...round(negative, rest, last, rounding, flags), conditions };
}

const topOf = (value: Float80): number => lastBitOf(value) + bitLength(value.significand) - 1;

function partialRemainder(value: Float80, divisor: Float80, difference: number, rounding: ReturnType<typeof roundingOf>, flags: number): Result & { conditions: number } {
  const step = (difference & 31) + 32, apart = BigInt(difference - step);
  const last = Math.min(lastBitOf(value), lastBitOf(divisor) + Number(apart));
  const dividend = value.significand << BigInt(lastBitOf(value) - last), by = divisor.significand << BigInt(lastBitOf(divisor) + Number(apart) - last);
  const rest = dividend % by;
  if (rest === 0n) return { ...exact(zero(value.negative), flags), conditions: c2 };
  return { ...round(value.negative, rest, last, rounding, flags), conditions: c2 };
}

// ── Constants ──

/** FLDL2T, FLDL2E, FLDPI, FLDLG2, FLDLN2: log2 10, log2 e, pi, log10 2 and ln 2, in units of 2^-96. */
const constants: Readonly<Record<string, bigint>> = {
  FLDL2T: 0x3_5269e12f_346e2bf9_24afdbfdn, FLDL2E: 0x1_71547652_b82fe177_7d0ffda0n, FLDPI: 0x3_243f6a88_85a308d3_13198a2en,
  FLDLG2: 0x4d104d42_7de7fbcc_47c4acd6n, FLDLN2: 0xb17217f7_d1cf79ab_c9e3b398n,
};
/** They obey the rounding mode (APM Vol. 1, 6.5.3); C1 does not tell. */
export function constantOf(mnemonic: string, controlWord: number): Float80 {
  if (mnemonic === 'FLD1') return one;
  const digits = constants[mnemonic];
  return digits === undefined ? zero(false) : round(false, digits, -96, extendedRoundingOf(controlWord)).value;
}
