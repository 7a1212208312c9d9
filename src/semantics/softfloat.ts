// IEEE 754 as SSE has it, exactly, in bigint: single and double precision, four rounding modes, denormals-as-zero, flush-to-zero, the NaN
// rules and the exception flags of MXCSR (APM Vol. 1, 4.8; SDM Vol. 1, 11.5 and appendix E). The reference reading of the float words of
// `expr.ts`, and what the other readings call where the processor's own arithmetic cannot be trusted to agree. Pure functions of bits.
import type { FloatWord } from './expr.ts';

/** MXCSR: exception flags 5:0, DAZ 6, masks 12:7, rounding 14:13, FTZ 15. */
export const Exception = { invalid: 1, denormal: 2, zeroDivide: 4, overflow: 8, underflow: 0x10, precision: 0x20 } as const;
const DAZ = 0x40, FTZ = 0x8000, MASKS = 7, ROUNDING = 13;
export const Rounding = { nearest: 0, down: 1, up: 2, zero: 3 } as const;
export const PRECOMPUTATION = Exception.invalid | Exception.denormal | Exception.zeroDivide;

/** A value and the exceptions that it came with. */
export interface Rounded { readonly value: bigint; readonly flags: number }
const exact = (value: bigint): Rounded => ({ value, flags: 0 });

interface Format { readonly width: 16 | 32 | 64; readonly precision: number; readonly bias: number }
const formats: Readonly<Record<16 | 32 | 64, Format>> = {
  16: { width: 16, precision: 11, bias: 15 }, 32: { width: 32, precision: 24, bias: 127 }, 64: { width: 64, precision: 53, bias: 1023 },
};

const bits = (value: bigint): number => value === 0n ? 0 : value.toString(2).length;
const ones = (count: number): bigint => (1n << BigInt(count)) - 1n;
const topFraction = ({ precision }: Format): bigint => 1n << BigInt(precision - 2);
const infinityOf = (format: Format, negative: boolean): bigint =>
  zeroOf(format, negative) | ones(format.width - format.precision) << BigInt(format.precision - 1);
const zeroOf = ({ width }: Format, negative: boolean): bigint => negative ? 1n << BigInt(width - 1) : 0n;
const largestOf = (format: Format, negative: boolean): bigint => infinityOf(format, negative) - 1n;
/** The NaN that stands for an invalid operation. */
const indefinite = (format: Format): bigint => infinityOf(format, true) | topFraction(format);

/** A number taken apart: its value is `mantissa` times 2 to the `exponent`. */
interface Parts {
  readonly bits: bigint;
  readonly negative: boolean;
  readonly kind: 'zero' | 'finite' | 'infinity' | 'nan';
  readonly signaling: boolean;
  readonly denormal: boolean;
  readonly mantissa: bigint;
  readonly exponent: number;
}

function unpack(format: Format, value: bigint, mxcsr: number): Parts {
  const { width, precision, bias } = format;
  const negative = value >> BigInt(width - 1) === 1n, fraction = value & ones(precision - 1);
  const biased = Number(value >> BigInt(precision - 1) & ones(width - precision));
  const parts = { bits: value, negative, signaling: false, denormal: false, mantissa: 0n, exponent: 0 };
  if (biased === 2 * bias + 1) {
    if (fraction === 0n) return { ...parts, kind: 'infinity' };
    return { ...parts, kind: 'nan', signaling: (fraction & topFraction(format)) === 0n };
  }
  const least = 1 - bias - (precision - 1);
  if (biased > 0) return { ...parts, kind: 'finite', mantissa: fraction | 1n << BigInt(precision - 1), exponent: biased - 1 + least };
  if (fraction === 0n) return { ...parts, kind: 'zero' };
  if (mxcsr & DAZ) return { ...parts, bits: zeroOf(format, negative), kind: 'zero' };
  return { ...parts, kind: 'finite', denormal: true, mantissa: fraction, exponent: least };
}

const denormalFlag = (...all: readonly Parts[]): number => all.some(each => each.denormal) ? Exception.denormal : 0;
const quiet = (format: Format, nan: Parts): bigint => nan.bits | topFraction(format);

/** The first operand that is a NaN, quieted; undefined when none is. */
function propagated(format: Format, ...all: readonly Parts[]): Rounded | undefined {
  const nan = all.find(each => each.kind === 'nan');
  return nan && { value: quiet(format, nan), flags: all.some(each => each.signaling) ? Exception.invalid : 0 };
}
const invalid = (format: Format): Rounded => ({ value: indefinite(format), flags: Exception.invalid });

// ── Rounding ──

/** An integer times 2 to the `shift`, as an integer; `inexact` says that something was lost. */
function roundInteger(mantissa: bigint, shift: number, negative: boolean, mode: number): { value: bigint; inexact: boolean } {
  if (shift >= 0) return { value: mantissa << BigInt(shift), inexact: false };
  const by = BigInt(-shift), kept = mantissa >> by, rest = mantissa - (kept << by);
  if (rest === 0n) return { value: kept, inexact: false };
  const half = 1n << by - 1n;
  const up = mode === Rounding.nearest ? rest > half || (rest === half && (kept & 1n) === 1n)
    : mode === Rounding.up ? !negative : mode === Rounding.down ? negative : false;
  return { value: up ? kept + 1n : kept, inexact: true };
}

const modeOf = (mxcsr: number): number => mxcsr >> ROUNDING & 3;
const isMasked = (mxcsr: number, exception: number): boolean => (mxcsr >> MASKS & exception) !== 0;

/** Rounds a number that is not 0. Its last bit may stand for everything below, if it has two bits more than the precision. */
function round(format: Format, negative: boolean, mantissa: bigint, exponent: number, mxcsr: number): Rounded {
  const { precision, bias } = format, mode = modeOf(mxcsr);
  const free = roundInteger(mantissa, precision - bits(mantissa), negative, mode);
  const top = exponent + bits(mantissa) - 1 + (bits(free.value) > precision ? 1 : 0);
  // Tininess is detected after rounding.
  if (top < 1 - bias) return roundTiny(format, negative, mantissa, exponent, mxcsr, free.inexact);
  if (top > bias) {
    const toInfinity = mode === Rounding.nearest || mode === (negative ? Rounding.down : Rounding.up);
    const inexact = isMasked(mxcsr, Exception.overflow) || free.inexact;
    return { value: toInfinity ? infinityOf(format, negative) : largestOf(format, negative), flags: Exception.overflow | (inexact ? Exception.precision : 0) };
  }
  const significand = bits(free.value) > precision ? free.value >> 1n : free.value;
  const value = zeroOf(format, negative) + (BigInt(top + bias - 1) << BigInt(precision - 1)) + significand;
  return { value, flags: free.inexact ? Exception.precision : 0 };
}

function roundTiny(format: Format, negative: boolean, mantissa: bigint, exponent: number, mxcsr: number, freeInexact: boolean): Rounded {
  if (!isMasked(mxcsr, Exception.underflow)) return { value: 0n, flags: Exception.underflow | (freeInexact ? Exception.precision : 0) };
  if (mxcsr & FTZ) return { value: zeroOf(format, negative), flags: Exception.underflow | Exception.precision };
  const least = 1 - format.bias - (format.precision - 1);
  const { value, inexact } = roundInteger(mantissa, exponent - least, negative, modeOf(mxcsr));
  return { value: zeroOf(format, negative) + value, flags: inexact ? Exception.underflow | Exception.precision : 0 };
}

const withFlags = ({ value, flags }: Rounded, more: number): Rounded => ({ value, flags: flags | more });

// ── Arithmetic ──

function add(format: Format, left: Parts, right: Parts, mxcsr: number): Rounded {
  const nan = propagated(format, left, right);
  if (nan) return nan;
  if (left.kind === 'infinity' && right.kind === 'infinity' && left.negative !== right.negative) return invalid(format);
  const flags = denormalFlag(left, right);
  for (const each of [left, right]) if (each.kind === 'infinity') return { value: each.bits, flags };
  const least = left.kind === 'zero' ? right.exponent : right.kind === 'zero' ? left.exponent : Math.min(left.exponent, right.exponent);
  const signed = (each: Parts): bigint => {
    const magnitude = each.kind === 'zero' ? 0n : each.mantissa << BigInt(each.exponent - least);
    return each.negative ? -magnitude : magnitude;
  };
  const sum = signed(left) + signed(right);
  if (sum === 0n) {
    const negative = left.negative === right.negative ? left.negative : modeOf(mxcsr) === Rounding.down;
    return { value: zeroOf(format, negative), flags };
  }
  return withFlags(round(format, sum < 0n, sum < 0n ? -sum : sum, least, mxcsr), flags);
}

const opposite = (format: Format, parts: Parts): Parts =>
  parts.kind === 'nan' ? parts : { ...parts, negative: !parts.negative, bits: parts.bits ^ zeroOf(format, true) };

function multiply(format: Format, left: Parts, right: Parts, mxcsr: number): Rounded {
  const nan = propagated(format, left, right);
  if (nan) return nan;
  const negative = left.negative !== right.negative, kinds = [left.kind, right.kind];
  if (kinds.includes('infinity')) {
    return kinds.includes('zero') ? invalid(format) : { value: infinityOf(format, negative), flags: denormalFlag(left, right) };
  }
  const flags = denormalFlag(left, right);
  if (kinds.includes('zero')) return { value: zeroOf(format, negative), flags };
  return withFlags(round(format, negative, left.mantissa * right.mantissa, left.exponent + right.exponent, mxcsr), flags);
}

/** What fused words do to the product and to what is added: [negate, negate]. */
const fusedSigns: Readonly<Partial<Record<FloatWord, readonly [boolean, boolean]>>> = {
  fusedAdd: [false, false], fusedSubtract: [false, true], fusedNegativeAdd: [true, false], fusedNegativeSubtract: [true, true],
};

/** A product and a sum with one rounding. NaNs keep their signs. */
function fuse(format: Format, left: Parts, right: Parts, added: Parts, [negateProduct, negateAdded]: readonly [boolean, boolean], mxcsr: number): Rounded {
  const nan = propagated(format, left, right, added);
  if (nan) return nan;
  const negative = (left.negative !== right.negative) !== negateProduct, third = negateAdded ? opposite(format, added) : added;
  const kinds = [left.kind, right.kind];
  if (kinds.includes('infinity') && (kinds.includes('zero') || (third.kind === 'infinity' && third.negative !== negative))) return invalid(format);
  const flags = denormalFlag(left, right, added);
  if (kinds.includes('infinity')) return { value: infinityOf(format, negative), flags };
  if (third.kind === 'infinity') return { value: third.bits, flags };
  if (kinds.includes('zero') && third.kind !== 'zero') return withFlags(round(format, third.negative, third.mantissa, third.exponent, mxcsr), flags);
  const exponent = left.exponent + right.exponent, least = third.kind === 'zero' ? exponent : Math.min(exponent, third.exponent);
  const product = left.mantissa * right.mantissa << BigInt(kinds.includes('zero') ? 0 : exponent - least);
  const term = third.kind === 'zero' ? 0n : third.mantissa << BigInt(third.exponent - least);
  const sum = (negative ? -product : product) + (third.negative ? -term : term);
  if (sum === 0n) {
    return { value: zeroOf(format, negative === third.negative ? negative : modeOf(mxcsr) === Rounding.down), flags };
  }
  return withFlags(round(format, sum < 0n, sum < 0n ? -sum : sum, least, mxcsr), flags);
}

function divide(format: Format, left: Parts, right: Parts, mxcsr: number): Rounded {
  const nan = propagated(format, left, right);
  if (nan) return nan;
  const negative = left.negative !== right.negative;
  if (left.kind === right.kind && left.kind !== 'finite') return invalid(format);
  const flags = denormalFlag(left, right);
  if (left.kind === 'infinity') return { value: infinityOf(format, negative), flags };
  if (right.kind === 'zero') return { value: infinityOf(format, negative), flags: Exception.zeroDivide };
  if (left.kind === 'zero' || right.kind === 'infinity') return { value: zeroOf(format, negative), flags };
  // Enough bits for the precision, and one that says whether something is left over.
  const shift = 2 * format.precision + 4;
  const dividend = left.mantissa << BigInt(shift), quotient = dividend / right.mantissa;
  const rest = dividend % right.mantissa === 0n ? 0n : 1n;
  return withFlags(round(format, negative, quotient << 1n | rest, left.exponent - right.exponent - shift - 1, mxcsr), flags);
}

function squareRoot(format: Format, value: Parts, mxcsr: number): Rounded {
  const nan = propagated(format, value);
  if (nan) return nan;
  if (value.kind === 'zero') return exact(value.bits);
  if (value.negative) return invalid(format);
  if (value.kind === 'infinity') return exact(value.bits);
  let shift = 2 * format.precision + 4;
  if ((value.exponent - shift) % 2 !== 0) shift++;
  const square = value.mantissa << BigInt(shift), root = integerRoot(square);
  const rest = root * root === square ? 0n : 1n;
  return withFlags(round(format, false, root << 1n | rest, (value.exponent - shift) / 2 - 1, mxcsr), denormalFlag(value));
}

function integerRoot(square: bigint): bigint {
  let root = 1n << BigInt((bits(square) + 1) >> 1);
  for (;;) {
    const better = root + square / root >> 1n;
    if (better >= root) return root;
    root = better;
  }
}

// ── Comparisons ──

type Order = 'less' | 'equal' | 'greater' | 'unordered';

function orderOf(left: Parts, right: Parts): Order {
  if (left.kind === 'nan' || right.kind === 'nan') return 'unordered';
  if (left.kind === 'zero' && right.kind === 'zero') return 'equal';
  // As numbers, the bits of positive values are in order.
  const key = ({ bits: value, negative, kind }: Parts): bigint => kind === 'zero' ? 0n : negative ? -(value ^ signOf(value)) : value;
  const a = key(left), b = key(right);
  return a < b ? 'less' : a > b ? 'greater' : 'equal';
}
/** The sign bit of a negative number, whose top bit it is. */
const signOf = (value: bigint): bigint => 1n << BigInt(bits(value) - 1);

/** `loud`: a quiet NaN is invalid too. */
function comparisonFlags(left: Parts, right: Parts, loud: boolean): number {
  if (left.kind === 'nan' || right.kind === 'nan') return loud || left.signaling || right.signaling ? Exception.invalid : 0;
  return denormalFlag(left, right);
}

/** The second operand when the two are equal or one is a NaN (APM Vol. 4, "MINPS"). */
function extreme(left: Parts, right: Parts, wanted: Order): Rounded {
  return { value: orderOf(left, right) === wanted ? left.bits : right.bits, flags: comparisonFlags(left, right, true) };
}

const predicates: Readonly<Partial<Record<FloatWord, { readonly holds: readonly Order[]; readonly loud: boolean }>>> = {
  equal: { holds: ['equal'], loud: false }, less: { holds: ['less'], loud: true }, lessOrEqual: { holds: ['less', 'equal'], loud: true },
  unordered: { holds: ['unordered'], loud: false }, notEqual: { holds: ['less', 'greater', 'unordered'], loud: false },
  notLess: { holds: ['equal', 'greater', 'unordered'], loud: true }, notLessOrEqual: { holds: ['greater', 'unordered'], loud: true },
  ordered: { holds: ['less', 'equal', 'greater'], loud: false },
};
/** CF, PF and ZF of COMISS, where they stand in RFLAGS. */
const orderBits: Readonly<Record<Order, bigint>> = { greater: 0n, less: 1n, equal: 0x40n, unordered: 0x45n };

// ── Conversions ──

function toInteger(value: Parts, width: 32 | 64, mode: number): Rounded {
  const top = 1n << BigInt(width - 1), out: Rounded = { value: top, flags: Exception.invalid };
  if (value.kind === 'nan' || value.kind === 'infinity') return out;
  if (value.kind === 'zero') return exact(0n);
  const { value: magnitude, inexact } = roundInteger(value.mantissa, value.exponent, value.negative, mode);
  if (magnitude > top || (magnitude === top && !value.negative)) return out;
  return { value: BigInt.asUintN(width, value.negative ? -magnitude : magnitude), flags: inexact ? Exception.precision : 0 };
}

function fromInteger(format: Format, value: bigint, mxcsr: number): Rounded {
  if (value === 0n) return exact(0n);
  return round(format, value < 0n, value < 0n ? -value : value, 0, mxcsr);
}

/** To an integer of the same format; a denormal operand is not reported (SDM Vol. 2B, "ROUNDPD"). */
function roundToIntegral(format: Format, value: Parts, mode: number, quietly: boolean): Rounded {
  const nan = propagated(format, value);
  if (nan) return nan;
  if (value.kind !== 'finite') return exact(value.bits);
  const { value: magnitude, inexact } = roundInteger(value.mantissa, value.exponent, value.negative, mode);
  const flags = inexact && !quietly ? Exception.precision : 0;
  if (magnitude === 0n) return { value: zeroOf(format, value.negative), flags };
  // Below 2 to the precision, or an integer before: nothing is rounded again.
  return { value: round(format, value.negative, magnitude, 0, 0).value, flags };
}

/** Half precision is never denormal by choice: DAZ and FTZ do not apply to it, and it is not reported (APM Vol. 4, "VCVTPH2PS"). */
const fromHalf = (value: bigint): Rounded => {
  const { value: single, flags } = convert(formats[16], formats[32], unpack(formats[16], value, 0), 0x1f80);
  return { value: single, flags: flags & Exception.invalid };
};
function toHalf(value: bigint, mode: number, mxcsr: number): Rounded {
  return convert(formats[32], formats[16], unpack(formats[32], value, mxcsr), mxcsr & ~FTZ & ~(3 << ROUNDING) | mode << ROUNDING);
}

function convert(from: Format, to: Format, value: Parts, mxcsr: number): Rounded {
  const shift = BigInt(to.precision - from.precision);
  switch (value.kind) {
    case 'nan': {
      const payload = value.bits & ones(from.precision - 1);
      const moved = shift >= 0n ? payload << shift : payload >> -shift;
      return { value: infinityOf(to, value.negative) | topFraction(to) | moved, flags: value.signaling ? Exception.invalid : 0 };
    }
    case 'infinity': return exact(infinityOf(to, value.negative));
    case 'zero': return exact(zeroOf(to, value.negative));
    case 'finite': return withFlags(round(to, value.negative, value.mantissa, value.exponent, mxcsr), denormalFlag(value));
  }
}

// ── Words ──

/** Widths of the lanes that a word reads and of those that it makes, for operands of a format. */
export function laneWidths(word: FloatWord, format: 32 | 64): readonly [number, number] {
  switch (word) {
    case 'fromSigned32': return [32, format];
    case 'fromSigned64': return [64, format];
    case 'toSigned32': case 'truncateTo32': case 'order': case 'orderQuiet': return [format, 32];
    case 'toSigned64': case 'truncateTo64': return [format, 64];
    case 'toSingle': return [64, 32];
    case 'toDouble': return [32, 64];
    case 'halfToSingle': return [16, 32];
    case 'toHalf': case 'toHalfNearest': case 'toHalfDown': case 'toHalfUp': case 'toHalfZero': return [32, 16];
    default: return [format, format];
  }
}

/** Words that round to an integer of the same format: their mode, or that it is that of MXCSR. */
const roundings: Readonly<Partial<Record<FloatWord, number>>> = {
  roundNearest: Rounding.nearest, roundDown: Rounding.down, roundUp: Rounding.up, roundZero: Rounding.zero, roundCurrent: -1,
  roundNearestQuietly: Rounding.nearest, roundDownQuietly: Rounding.down, roundUpQuietly: Rounding.up, roundZeroQuietly: Rounding.zero,
  roundCurrentQuietly: -1,
};

function applyToLane(word: FloatWord, width: 32 | 64, [first, second, third]: readonly bigint[], mxcsr: number): Rounded {
  const format = formats[width];
  if (word === 'fromSigned32') return fromInteger(format, BigInt.asIntN(32, first!), mxcsr);
  if (word === 'fromSigned64') return fromInteger(format, BigInt.asIntN(64, first!), mxcsr);
  if (word === 'toSingle') return convert(formats[64], formats[32], unpack(formats[64], first!, mxcsr), mxcsr);
  if (word === 'toDouble') return convert(formats[32], formats[64], unpack(formats[32], first!, mxcsr), mxcsr);
  switch (word) {
    case 'halfToSingle': return fromHalf(first!);
    case 'toHalf': return toHalf(first!, modeOf(mxcsr), mxcsr);
    case 'toHalfNearest': return toHalf(first!, Rounding.nearest, mxcsr);
    case 'toHalfDown': return toHalf(first!, Rounding.down, mxcsr);
    case 'toHalfUp': return toHalf(first!, Rounding.up, mxcsr);
    case 'toHalfZero': return toHalf(first!, Rounding.zero, mxcsr);
    default: break;
  }
  const left = unpack(format, first!, mxcsr), rounding = roundings[word];
  if (rounding !== undefined) return roundToIntegral(format, left, rounding < 0 ? modeOf(mxcsr) : rounding, word.endsWith('Quietly'));
  switch (word) {
    case 'toSigned32': return toInteger(left, 32, modeOf(mxcsr));
    case 'toSigned64': return toInteger(left, 64, modeOf(mxcsr));
    case 'truncateTo32': return toInteger(left, 32, Rounding.zero);
    case 'truncateTo64': return toInteger(left, 64, Rounding.zero);
    case 'squareRoot': return squareRoot(format, left, mxcsr);
    default: break;
  }
  const right = unpack(format, second!, mxcsr), signs = fusedSigns[word];
  if (signs) return fuse(format, left, right, unpack(format, third!, mxcsr), signs, mxcsr);
  switch (word) {
    case 'add': return add(format, left, right, mxcsr);
    case 'subtract': return add(format, left, opposite(format, right), mxcsr);
    case 'multiply': return multiply(format, left, right, mxcsr);
    case 'divide': return divide(format, left, right, mxcsr);
    case 'minimum': return extreme(left, right, 'less');
    case 'maximum': return extreme(left, right, 'greater');
    case 'order': return { value: orderBits[orderOf(left, right)], flags: comparisonFlags(left, right, true) };
    case 'orderQuiet': return { value: orderBits[orderOf(left, right)], flags: comparisonFlags(left, right, false) };
    default: {
      const { holds, loud } = predicates[word]!;
      return { value: holds.includes(orderOf(left, right)) ? ones(width) : 0n, flags: comparisonFlags(left, right, loud) };
    }
  }
}

/** What some words do to the even lanes and to the odd ones. */
const alternating: Readonly<Partial<Record<FloatWord, readonly FloatWord[]>>> = {
  addSubtract: ['subtract', 'add'], fusedAddOdd: ['fusedSubtract', 'fusedAdd'], fusedAddEven: ['fusedAdd', 'fusedSubtract'],
};

/** A word on whole vectors. What is detected before an operation keeps the others from being reported when it is not masked. */
export function applyFloat(word: FloatWord, format: 32 | 64, width: number, values: readonly bigint[], mxcsr: number): Rounded {
  const [from, to] = laneWidths(word, format);
  let value = 0n, flags = 0;
  for (let at = 0; at * to < width; at++) {
    const lane = applyToLane(alternating[word]?.[at & 1] ?? word, format, values.map(each => BigInt.asUintN(from, each >> BigInt(at * from))), mxcsr);
    value |= lane.value << BigInt(at * to);
    flags |= lane.flags;
  }
  const early = flags & PRECOMPUTATION;
  return { value, flags: (early & ~(mxcsr >> MASKS)) !== 0 ? early : flags };
}
