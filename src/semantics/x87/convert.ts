// Between the x87 format and what stands in memory: single and double precision, integers, packed decimals (APM Vol. 1, 6.3). Pure functions of
// numbers, called by `system/x87.ts`.
import {
  BIAS, bitLength, EXPONENT_MAX, float80, infinity, INTEGER_BIT, isNan, kindOf, lastBitOf, Mode, QUIET_BIT, roundInteger, X87Exception, zero,
  type Float80,
} from './number.ts';

const { invalid, denormal, overflow, underflow, precision } = X87Exception;
const ones = (count: number): bigint => (1n << BigInt(count)) - 1n;

interface Format { readonly width: 32 | 64; readonly bits: number; readonly bias: number }
const formats: Readonly<Record<32 | 64, Format>> = { 32: { width: 32, bits: 24, bias: 127 }, 64: { width: 64, bits: 53, bias: 1023 } };

/** A value of memory as a register would hold it, exactly; a signaling NaN still is one. */
export function fromBinary(value: bigint, width: 32 | 64): { value: Float80; denormal: boolean } {
  const { bits, bias } = formats[width], fractionBits = bits - 1;
  const negative = value >> BigInt(width - 1) === 1n, exponent = Number(value >> BigInt(fractionBits) & ones(width - bits));
  const fraction = (value & ones(fractionBits)) << BigInt(63 - fractionBits);
  if (exponent === 2 * bias + 1) return { value: { ...infinity(negative), significand: fraction | INTEGER_BIT }, denormal: false };
  if (exponent > 0) return { value: float80(negative, exponent - bias + BIAS, fraction | INTEGER_BIT), denormal: false };
  if (fraction === 0n) return { value: zero(negative), denormal: false };
  const leading = 64 - bitLength(fraction);
  return { value: float80(negative, 1 - bias + BIAS - leading, fraction << BigInt(leading)), denormal: true };
}
/** FLD of single or double precision: quiets, and reports. */
export function loadBinary(bits: bigint, width: 32 | 64): { value: Float80; flags: number } {
  const { value, denormal: isDenormal } = fromBinary(bits, width);
  if (kindOf(value) === 'signaling') return { value: { ...value, significand: value.significand | QUIET_BIT }, flags: invalid };
  return { value, flags: isDenormal ? denormal : 0 };
}

/** Bits for memory, exceptions, and whether rounding was away from zero. */
export interface Stored { readonly bits: bigint; readonly flags: number; readonly up: boolean }

/** FST of single or double precision. With an overflow or underflow that is not masked nothing is stored. */
export function toBinary(value: Float80, width: 32 | 64, controlWord: number): Stored {
  const format = formats[width], { bits, bias } = format, fractionBits = BigInt(bits - 1), kind = kindOf(value);
  const sign = value.negative ? 1n << BigInt(width - 1) : 0n, special = ones(width - bits) << fractionBits;
  const plain = (magnitude: bigint, flags = 0): Stored => ({ bits: sign | magnitude, flags, up: false });
  if (kind === 'unsupported') return { bits: 1n << BigInt(width - 1) | special | 1n << fractionBits - 1n, flags: invalid, up: false };
  if (isNan(kind)) {
    const fraction = (value.significand | QUIET_BIT) >> BigInt(64 - bits) & ones(bits - 1);
    return plain(special | fraction, kind === 'signaling' ? invalid : 0);
  }
  if (kind === 'infinity') return plain(special);
  if (kind === 'zero') return plain(0n);
  return storeFinite(value, format, controlWord, sign, special, bias);
}

function storeFinite(value: Float80, { bits }: Format, controlWord: number, sign: bigint, special: bigint, bias: number): Stored {
  const mode = controlWord >> 10 & 3, length = bitLength(value.significand), fractionBits = BigInt(bits - 1);
  const free = roundInteger(value.significand, bits - length, value.negative, mode);
  const carried = free.value >> BigInt(bits) !== 0n;
  const top = lastBitOf(value) + length - 1 + (carried ? 1 : 0);
  if (top > bias) {
    const toInfinity = mode === Mode.nearest || mode === (value.negative ? Mode.down : Mode.up);
    return { bits: sign | (toInfinity ? special : special - 1n), flags: overflow | precision, up: toInfinity };
  }
  if (top < 1 - bias) {
    const { value: whole, inexact, up } = roundInteger(value.significand, lastBitOf(value) - (1 - bias - (bits - 1)), value.negative, mode);
    if ((controlWord & underflow) === 0) return { bits: 0n, flags: underflow, up: false };
    return { bits: sign | whole, flags: inexact ? underflow | precision : 0, up };
  }
  const significand = carried ? free.value >> 1n : free.value;
  return { bits: sign | (BigInt(top + bias - 1) << fractionBits) + significand, flags: free.inexact ? precision : 0, up: free.up };
}

/** FILD. */
export function fromInteger(value: bigint, width: number): Float80 {
  const number = BigInt.asIntN(width, value);
  if (number === 0n) return zero(false);
  const magnitude = number < 0n ? -number : number, length = bitLength(magnitude);
  return float80(number < 0n, BIAS + length - 1, magnitude << BigInt(64 - length));
}

/** The value as an integer; undefined when it is none, or beyond 2^64. */
function wholeOf(value: Float80, mode: number): { magnitude: bigint; inexact: boolean; up: boolean } | undefined {
  const kind = kindOf(value);
  if (kind === 'zero') return { magnitude: 0n, inexact: false, up: false };
  if ((kind !== 'normal' && kind !== 'denormal') || value.exponent > BIAS + 64) return undefined;
  const { value: magnitude, inexact, up } = roundInteger(value.significand, Math.max(lastBitOf(value), -80), value.negative, mode);
  return { magnitude, inexact, up };
}

/** FIST, and FISTTP with its own rounding mode. What does not fit becomes the integer indefinite. */
export function toInteger(value: Float80, width: number, mode: number): Stored {
  const whole = wholeOf(value, mode), limit = 1n << BigInt(width - 1);
  if (!whole || whole.magnitude > (value.negative ? limit : limit - 1n)) return { bits: limit, flags: invalid, up: false };
  const bits = BigInt.asUintN(width, value.negative ? -whole.magnitude : whole.magnitude);
  return { bits, flags: whole.inexact ? precision : 0, up: whole.up };
}

const DECIMAL_INDEFINITE = 0xffffc000000000000000n;

/** FBSTP: 18 digits and a sign. */
export function toDecimal(value: Float80, mode: number): Stored {
  const whole = wholeOf(value, mode);
  if (!whole || whole.magnitude >= 10n ** 18n) return { bits: DECIMAL_INDEFINITE, flags: invalid, up: false };
  const digits = BigInt(`0x${whole.magnitude.toString()}`);
  return { bits: digits | (value.negative ? 1n << 79n : 0n), flags: whole.inexact ? precision : 0, up: whole.up };
}

/** FBLD. What a digit above 9 means is not defined: here it counts with its own value. */
export function fromDecimal(bits: bigint): Float80 {
  let magnitude = 0n;
  for (let digit = 17n; digit >= 0n; digit--) magnitude = magnitude * 10n + (bits >> 4n * digit & 15n);
  return { ...fromInteger(magnitude, 80), negative: bits >> 79n === 1n };
}

/** Ten bytes of memory, and back. */
export const fromBits = (low: bigint, high: number): Float80 => float80(high >> 15 !== 0, high & EXPONENT_MAX, low);
export const signAndExponent = ({ negative, exponent }: Float80): number => (negative ? 0x8000 : 0) | exponent;
