// The x87 double-extended format: a sign, 15 bits of exponent, and 64 bits of significand with an explicit integer bit (APM Vol. 1, 6.3.1).
// What kinds of values there are, which NaN survives, and the one place where results are rounded and the exceptions of rounding arise.
// Pure functions of numbers, called by the other files of this folder and by `system/x87.ts`; nothing here knows a vCPU.

/** The bits of a register. */
export interface Float80 { readonly negative: boolean; readonly exponent: number; readonly significand: bigint }

/** Exception flags, as in the status word and (as masks) in the control word. */
export const X87Exception = { invalid: 1, denormal: 2, zeroDivide: 4, overflow: 8, underflow: 0x10, precision: 0x20 } as const;
const { invalid, denormal, overflow, underflow, precision } = X87Exception;
/** Found before an operation: when one of these is not masked, nothing is stored and the others are not looked for. */
export const BEFORE = 7;

/** A value, the exceptions that it came with, and whether it was rounded away from zero (C1). */
export interface Result { readonly value: Float80; readonly flags: number; readonly up: boolean }
export const exact = (value: Float80, flags = 0): Result => ({ value, flags, up: false });

// ── Control word ──

/** How an operation rounds: the mode, the bits of the significand, and the exceptions that are masked. */
export interface Rounding { readonly mode: number; readonly bits: 24 | 53 | 64; readonly masks: number }
export const Mode = { nearest: 0, down: 1, up: 2, zero: 3 } as const;
const precisions = [24, 64, 53, 64] as const;

/** PC 9:8 and RC 11:10 (APM Vol. 1, 6.2.3); the reserved precision means extended. */
export const roundingOf = (controlWord: number): Rounding =>
  ({ mode: controlWord >> 10 & 3, bits: precisions[controlWord >> 8 & 3]!, masks: controlWord & 0x3f });
/** The same without precision control, which only the five basic operations obey. */
export const extendedRoundingOf = (controlWord: number): Rounding => ({ mode: controlWord >> 10 & 3, bits: 64, masks: controlWord & 0x3f });

// ── Values ──

export const BIAS = 16383, EXPONENT_MAX = 0x7fff;
/** Exponent of the last bit of the significand, for a biased exponent. */
export const LAST_BIT = BIAS + 63;
export const INTEGER_BIT = 1n << 63n, QUIET_BIT = 1n << 62n;
const MASK64 = (1n << 64n) - 1n;

export const float80 = (negative: boolean, exponent: number, significand: bigint): Float80 => ({ negative, exponent, significand });
export const zero = (negative: boolean): Float80 => ({ negative, exponent: 0, significand: 0n });
export const infinity = (negative: boolean): Float80 => ({ negative, exponent: EXPONENT_MAX, significand: INTEGER_BIT });
/** The NaN that stands for an invalid operation. */
export const indefinite: Float80 = { negative: true, exponent: EXPONENT_MAX, significand: INTEGER_BIT | QUIET_BIT };
export const one: Float80 = { negative: false, exponent: BIAS, significand: INTEGER_BIT };
export const invalidResult: Result = { value: indefinite, flags: invalid, up: false };

/** A denormal's significand may have its integer bit set (pseudo-denormal); it counts as one, with the same value as its normal twin.
 * What has an exponent without the integer bit is unsupported since the 80387, and always an invalid operation. */
export type Kind = 'zero' | 'denormal' | 'normal' | 'infinity' | 'quiet' | 'signaling' | 'unsupported';
export function kindOf({ exponent, significand }: Float80): Kind {
  if (exponent === 0) return significand === 0n ? 'zero' : 'denormal';
  if (significand < INTEGER_BIT) return 'unsupported';
  if (exponent < EXPONENT_MAX) return 'normal';
  return significand === INTEGER_BIT ? 'infinity' : (significand & QUIET_BIT) === 0n ? 'signaling' : 'quiet';
}
export const isNan = (kind: Kind): boolean => kind === 'quiet' || kind === 'signaling';
export const denormalFlag = (...kinds: readonly Kind[]): number => kinds.includes('denormal') ? denormal : 0;
export const negated = (value: Float80): Float80 => ({ ...value, negative: !value.negative });

/** The value of a finite number is `significand` times 2 to this. */
export const lastBitOf = ({ exponent }: Float80): number => (exponent || 1) - LAST_BIT;

const quieted = (nan: Float80): Float80 => ({ ...nan, significand: nan.significand | QUIET_BIT });
/** What comes out when a NaN or an unsupported operand goes in; undefined when there is neither. Of two NaNs of one sort the one with the
 * larger significand survives, a quiet one before a signaling one (APM Vol. 1, table 6-8). */
export function propagated(left: Float80, right: Float80, leftKind = kindOf(left), rightKind = kindOf(right)): Result | undefined {
  if (leftKind === 'unsupported' || rightKind === 'unsupported') return invalidResult;
  if (!isNan(leftKind)) return isNan(rightKind) ? propagatedNan(right, rightKind) : undefined;
  if (!isNan(rightKind)) return propagatedNan(left, leftKind);
  const flags = leftKind === 'signaling' || rightKind === 'signaling' ? invalid : 0;
  if (leftKind !== rightKind) return exact(leftKind === 'quiet' ? left : right, flags);
  const larger = left.significand === right.significand ? (left.negative ? right : left) : left.significand > right.significand ? left : right;
  return exact(quieted(larger), flags);
}
export const propagatedNan = (nan: Float80, kind: Kind): Result =>
  kind === 'unsupported' ? invalidResult : exact(quieted(nan), kind === 'signaling' ? invalid : 0);

// ── Rounding ──

export function bitLength(value: bigint): number {
  if (value < 0x10000000000000n) return value === 0n ? 0 : Math.floor(Math.log2(Number(value) + 0.5)) + 1;
  const digits = value.toString(16);
  return 4 * digits.length - Math.clz32(parseInt(digits[0]!, 16)) + 28;
}

/** `mantissa` times 2 to the `shift` as an integer; `up` says that it grew, `inexact` that something was lost. */
export function roundInteger(mantissa: bigint, shift: number, negative: boolean, mode: number): { value: bigint; inexact: boolean; up: boolean } {
  if (shift >= 0) return { value: mantissa << BigInt(shift), inexact: false, up: false };
  const by = BigInt(-shift), kept = mantissa >> by, rest = mantissa - (kept << by);
  if (rest === 0n) return { value: kept, inexact: false, up: false };
  const half = 1n << by - 1n;
  const up = mode === Mode.nearest ? rest > half || (rest === half && (kept & 1n) === 1n)
    : mode === Mode.up ? !negative : mode === Mode.down ? negative : false;
  return { value: up ? kept + 1n : kept, inexact: true, up };
}

/** An exponent that does not fit is reported with the result scaled by this when the exception is not masked (APM Vol. 1, 6.4.4). */
const WRAP = 24576;

/** Rounds a number that is not 0: `mantissa` times 2 to the `exponent`. Its last bit may stand for everything below, if it has two bits more
 * than the precision. Tininess is found after rounding. */
export function round(negative: boolean, mantissa: bigint, exponent: number, { mode, bits, masks }: Rounding, flags = 0): Result {
  const length = bitLength(mantissa);
  const free = roundInteger(mantissa, bits - length, negative, mode);
  const carried = free.value >> BigInt(bits) !== 0n;
  const significand = (carried ? free.value >> 1n : free.value) << BigInt(64 - bits);
  const biased = exponent + length - 1 + (carried ? 1 : 0) + BIAS;
  if (biased > 0 && biased < EXPONENT_MAX) {
    return { value: { negative, exponent: biased, significand }, flags: free.inexact ? flags | precision : flags, up: free.up };
  }
  const lost = free.inexact ? precision : 0;
  if (biased <= 0) {
    if (masks & underflow) return roundTiny(negative, mantissa, exponent, mode, bits, flags);
    if (biased + WRAP > 0) return { value: { negative, exponent: biased + WRAP, significand }, flags: flags | underflow | lost, up: free.up };
    return { value: zero(negative), flags: flags | underflow | precision, up: false };
  }
  if (!(masks & overflow) && biased - WRAP < EXPONENT_MAX) {
    return { value: { negative, exponent: biased - WRAP, significand }, flags: flags | overflow | lost, up: free.up };
  }
  // Where the exception is not masked, what even the scaling does not bring back is infinite in every mode (native, FSCALE).
  const toInfinity = !(masks & overflow) || mode === Mode.nearest || mode === (negative ? Mode.down : Mode.up);
  const largest = float80(negative, EXPONENT_MAX - 1, MASK64 >> BigInt(64 - bits) << BigInt(64 - bits));
  return { value: toInfinity ? infinity(negative) : largest, flags: flags | overflow | precision, up: toInfinity };
}

/** Below the smallest normal number the last bit stays where that number has it. */
function roundTiny(negative: boolean, mantissa: bigint, exponent: number, mode: number, bits: number, flags: number): Result {
  const least = 1 - BIAS - (bits - 1);
  const { value, inexact, up } = roundInteger(mantissa, exponent - least, negative, mode);
  const significand = value << BigInt(64 - bits);
  return {
    value: { negative, exponent: significand >= INTEGER_BIT ? 1 : 0, significand }, flags: inexact ? flags | underflow | precision : flags, up,
  };
}
