// F2XM1, FYL2X, FYL2XP1, FPATAN, FSIN, FCOS, FPTAN: the exact value to more than a hundred bits beyond the significand, rounded once. Real
// processors promise less than one unit in the last place (APM Vol. 1, 6.4.5.1); theirs and ours differ in the last digit at times. Pure functions of
// numbers, called by `system/x87.ts`; precision control does not apply.
import { floorRoot } from './arithmetic.ts';
import {
  BIAS, bitLength, denormalFlag, exact, extendedRoundingOf, float80, infinity, invalidResult, isNan, kindOf, lastBitOf, one, propagated, propagatedNan,
  round, X87Exception, zero, type Float80, type Result,
} from './number.ts';

const { zeroDivide, precision } = X87Exception;

// ── Fixed point: a bigint that counts units of 2^-PLACES ──

/** Places after the point: what is left after cancellation, and for arguments down to 2^-TINY, is always more than 150 bits. */
const PLACES = 320, TINY = 100;
const UNIT = 1n << BigInt(PLACES);
const times = (left: bigint, right: bigint): bigint => left * right >> BigInt(PLACES);
const over = (left: bigint, right: bigint): bigint => (left << BigInt(PLACES)) / right;
/** A finite value, its sign included. */
function fixed(value: Float80): bigint {
  const shift = lastBitOf(value) + PLACES;
  const magnitude = shift >= 0 ? value.significand << BigInt(shift) : value.significand >> BigInt(-shift);
  return value.negative ? -magnitude : magnitude;
}

/** Sums z^n / n for odd n; with alternating signs that is the arc tangent, without them the inverse hyperbolic tangent. */
function oddPowers(z: bigint, alternating: boolean): bigint {
  const square = alternating ? -times(z, z) : times(z, z);
  let power = z, sum = z;
  for (let n = 3n; power !== 0n && power !== -1n; n += 2n) {
    power = times(power, square);
    sum += power / n;
  }
  return sum;
}
const inverse = (value: bigint): bigint => UNIT / value;
const LN2 = 2n * oddPowers(inverse(3n), false);
const PI = 16n * oddPowers(inverse(5n), true) - 4n * oddPowers(inverse(239n), true);

/** e^z - 1 for |z| < 1. */
function exponentialMinusOne(z: bigint): bigint {
  let term = z, sum = z;
  for (let n = 2n; term !== 0n && term !== -1n; n++) {
    term = times(term, z) / n;
    sum += term;
  }
  return sum;
}
/** ln(numerator / denominator), which is between 1/2 and 2. */
const logarithm = (numerator: bigint, denominator: bigint): bigint => 2n * oddPowers(over(numerator - denominator, numerator + denominator), false);

/** The arc tangent of 0..1: three times halved, then the series. */
function arcTangent(ratio: bigint): bigint {
  let z = ratio;
  for (let halving = 0; halving < 3; halving++) z = over(z, UNIT + floorRoot((UNIT << BigInt(PLACES)) + z * z));
  return 8n * oddPowers(z, true);
}

/** Sine and cosine of an angle of at most pi/4. */
function sineAndCosine(angle: bigint): { sine: bigint; cosine: bigint } {
  const square = -times(angle, angle);
  let sine = angle, cosine = UNIT, odd = angle, even = UNIT;
  for (let n = 1n; odd !== 0n && odd !== -1n; n += 2n) {
    even = times(even, square) / (n * (n + 1n));
    odd = times(odd, square) / ((n + 1n) * (n + 2n));
    cosine += even;
    sine += odd;
  }
  return { sine, cosine };
}

/** Rounds a fixed-point value that is not exact: a last bit stands for what is missing. */
function roundFixed(value: bigint, controlWord: number, flags: number, last = -PLACES): Result {
  const magnitude = value < 0n ? -value : value;
  return round(value < 0n, magnitude << 1n | 1n, last - 1, extendedRoundingOf(controlWord), flags);
}
/** A value, and a little more or less in magnitude. */
function roundBeside({ negative, significand, exponent }: Float80, more: boolean, controlWord: number, flags: number): Result {
  const last = (exponent || 1) - BIAS - 63;
  return round(negative, (significand << 70n) + (more ? 1n : -1n), last - 70, extendedRoundingOf(controlWord), flags);
}
const topOf = (value: Float80): number => lastBitOf(value) + bitLength(value.significand) - 1;

// ── Powers and logarithms ──

/** An argument outside the domain: what comes out is not defined, and is the argument here, as if it were inexact (Zen 4, native vectors). */
const outside = (value: Float80, flags: number): Result => exact(value, flags | precision);

/** F2XM1: 2^x - 1, for x from -1 to 1. */
export function powerMinusOne(value: Float80, controlWord: number): Result {
  const kind = kindOf(value);
  if (isNan(kind) || kind === 'unsupported') return propagatedNan(value, kind);
  if (kind === 'zero') return exact(value);
  if (kind === 'infinity') return exact(value.negative ? { ...one, negative: true } : value);
  const flags = denormalFlag(kind), top = topOf(value);
  if (top >= 0) {
    // Inexact is reported even for whole powers, as for FYL2X.
    if (top > 0 || (value.significand & value.significand - 1n) !== 0n) return outside(value, flags);
    return exact(value.negative ? float80(true, BIAS - 1, one.significand) : one, flags | precision);
  }
  // 2^x - 1 is x ln 2 and a little more, in the direction of +infinity.
  if (top < -TINY) return roundProduct(value, LN2, !value.negative, controlWord, flags);
  return roundFixed(exponentialMinusOne(times(fixed(value), LN2)), controlWord, flags);
}

/** A value times a fixed-point factor, and a little more or less. */
function roundProduct(value: Float80, factor: bigint, more: boolean, controlWord: number, flags: number): Result {
  const negative = value.negative !== factor < 0n, magnitude = value.significand * (factor < 0n ? -factor : factor);
  return round(negative, (magnitude << 1n) + (more ? 1n : -1n), lastBitOf(value) - PLACES - 1, extendedRoundingOf(controlWord), flags);
}

/** FYL2X: y log2 x. */
export function logarithmTimes(y: Float80, x: Float80, controlWord: number): Result {
  const yKind = kindOf(y), xKind = kindOf(x), nan = propagated(y, x, yKind, xKind);
  if (nan) return nan;
  const flags = denormalFlag(yKind, xKind);
  if (xKind === 'zero') {
    if (yKind === 'zero') return invalidResult;
    return exact(infinity(!y.negative), yKind === 'infinity' ? flags : flags | zeroDivide);
  }
  if (x.negative) return invalidResult;
  if (xKind === 'infinity') return yKind === 'zero' ? invalidResult : exact(infinity(y.negative), flags);
  const length = bitLength(x.significand);
  let exponent = lastBitOf(x) + length - 1, denominator = 1n << BigInt(length - 1);
  const isPower = x.significand === denominator;
  if (yKind === 'infinity') return isPower && exponent === 0 ? invalidResult : exact(infinity(y.negative !== exponent < 0), flags);
  const negative = y.negative !== exponent < 0;
  if (yKind === 'zero' || (isPower && exponent === 0)) return exact(zero(negative), flags);
  // Inexact is reported even so (Zen 4, native vectors).
  if (isPower) return round(negative, y.significand * BigInt(Math.abs(exponent)), lastBitOf(y), extendedRoundingOf(controlWord), flags | precision);
  // Between 3/4 and 3/2, so that nothing cancels.
  if (2n * x.significand > 3n * denominator) {
    denominator *= 2n;
    exponent++;
  }
  const logarithmOfX = (BigInt(exponent) << BigInt(PLACES)) + over(logarithm(x.significand, denominator), LN2);
  return roundProduct(y, logarithmOfX, true, controlWord, flags);
}

/** FYL2XP1: y log2 (x + 1), for x above -1. */
export function logarithmOfNextTimes(y: Float80, x: Float80, controlWord: number): Result {
  const yKind = kindOf(y), xKind = kindOf(x), nan = propagated(y, x, yKind, xKind);
  if (nan) return nan;
  const flags = denormalFlag(yKind, xKind), negative = y.negative !== x.negative;
  if (xKind === 'zero') return yKind === 'infinity' ? invalidResult : exact(zero(negative), flags);
  if (xKind === 'infinity') return x.negative || yKind === 'zero' ? invalidResult : exact(infinity(y.negative), flags);
  const top = topOf(x);
  if (yKind === 'infinity') return exact(infinity(negative), flags);
  if (yKind === 'zero') return exact(zero(negative), flags);
  if (x.negative && top >= 0) return outside(x, flags);
  if (top < -TINY) {
    const product = y.significand * x.significand * over(UNIT, LN2);
    return round(negative, (product << 1n) + (x.negative ? 1n : -1n), lastBitOf(y) + lastBitOf(x) - PLACES - 1, extendedRoundingOf(controlWord), flags);
  }
  const sum = UNIT + fixed(x), length = bitLength(sum) - 1 - PLACES;
  let whole = length, denominator = length >= 0 ? UNIT << BigInt(length) : UNIT >> BigInt(-length);
  if (2n * sum > 3n * denominator) {
    denominator *= 2n;
    whole++;
  }
  return roundProduct(y, (BigInt(whole) << BigInt(PLACES)) + over(logarithm(sum, denominator), LN2), true, controlWord, flags);
}

// ── Angles ──

/** FPATAN: the angle of the point (x, y). */
export function angleOf(y: Float80, x: Float80, controlWord: number): Result {
  const yKind = kindOf(y), xKind = kindOf(x), nan = propagated(y, x, yKind, xKind);
  if (nan) return nan;
  const flags = denormalFlag(yKind, xKind);
  const angle = (value: bigint): Result => roundFixed(y.negative ? -value : value, controlWord, flags);
  if (yKind === 'infinity') return angle(xKind !== 'infinity' ? PI / 2n : x.negative ? 3n * PI / 4n : PI / 4n);
  if (yKind === 'zero' || xKind === 'infinity') return x.negative ? angle(PI) : exact(zero(y.negative), flags);
  if (xKind === 'zero') return angle(PI / 2n);
  const difference = topOf(y) - topOf(x);
  if (difference > TINY) return angle(PI / 2n + (x.negative ? 1n : -1n));
  if (difference < -TINY) {
    if (x.negative) return angle(PI - 1n);
    const quotient = (y.significand << 200n) / x.significand;
    return round(y.negative, (quotient << 1n) - 1n, lastBitOf(y) - lastBitOf(x) - 201, extendedRoundingOf(controlWord), flags);
  }
  const last = Math.min(lastBitOf(y), lastBitOf(x));
  const height = y.significand << BigInt(lastBitOf(y) - last), width = x.significand << BigInt(lastBitOf(x) - last);
  const acute = height <= width ? arcTangent(over(height, width)) : PI / 2n - arcTangent(over(width, height));
  return angle(x.negative ? PI - acute : acute);
}

/** Angles of 2^63 and more are left alone, and C2 says so. */
const REDUCIBLE = 63;
export const isTooLarge = (value: Float80): boolean => kindOf(value) === 'normal' && topOf(value) >= REDUCIBLE;

/** Angles are reduced by 66 bits of pi, so the result belongs to a slightly different angle when it is large (SDM Vol. 1, 8.3.8; Zen 4 does the
 * same: native vectors). */
const PI66 = PI >> BigInt(PLACES - 64) << BigInt(PLACES - 64);

/** The quarter turn, and what remains, at most pi/4 either way. */
function reduce(value: Float80): { quarter: number; rest: bigint } {
  const angle = fixed(value), quarter = PI66 / 2n;
  let turns = (angle < 0n ? -angle : angle) + quarter / 2n;
  turns /= quarter;
  if (angle < 0n) turns = -turns;
  return { quarter: Number(BigInt.asUintN(2, turns)), rest: angle - turns * quarter };
}

type Trigonometric = 'sine' | 'cosine' | 'tangent';
/** FSIN, FCOS, FPTAN of an angle that is not too large. */
export function trigonometric(name: Trigonometric, value: Float80, controlWord: number): Result {
  const kind = kindOf(value);
  if (isNan(kind) || kind === 'unsupported') return propagatedNan(value, kind);
  if (kind === 'infinity') return invalidResult;
  if (kind === 'zero') return exact(name === 'cosine' ? one : value);
  const flags = denormalFlag(kind);
  if (topOf(value) < -TINY) return roundBeside(name === 'cosine' ? one : value, name === 'tangent', controlWord, flags);
  const { quarter, rest } = reduce(value), { sine, cosine } = sineAndCosine(rest);
  const across = quarter % 2 === 1;
  if (name === 'tangent') return roundFixed(across ? -over(cosine, sine) : over(sine, cosine), controlWord, flags);
  const turned = across === (name === 'sine') ? cosine : sine;
  const negated = name === 'sine' ? quarter >= 2 : quarter === 1 || quarter === 2;
  return roundFixed(negated ? -turned : turned, controlWord, flags);
}
