// Floating point that only the VEX encoding has: 32 comparisons, fused multiplication and addition, half precision, tests of sign bits.
// Meanings, called by the three readings through `avx/index.ts`. APM Vol. 4, alphabetic.
import type { Meaning, Outcome } from '../outcome.ts';
import {
  and, constant, float, floatFlags, isZero, join, not, or, slice, truncate, type Expr, type FloatExpr, type FloatWord, type Lane, type Width,
} from '../expr.ts';
import { immediateOf, insertAt } from '../sse/packed.ts';
import { halfOf, nothing, together } from './combine.ts';

// ── Comparisons ──

interface Predicate {
  /** Words that are combined, of the operands in this order, or the other way round. */
  readonly words: readonly [FloatWord] | readonly [FloatWord, 'and' | 'or', FloatWord];
  readonly swapped?: true;
}
/** Sixteen by the low four bits of the immediate; bit 4 exchanges quiet and signaling. Nothing is equal and not, and everything is ordered or not. */
const predicates: readonly Predicate[] = [
  { words: ['equal'] }, { words: ['less'] }, { words: ['lessOrEqual'] }, { words: ['unordered'] },
  { words: ['notEqual'] }, { words: ['notLess'] }, { words: ['notLessOrEqual'] }, { words: ['ordered'] },
  { words: ['equal', 'or', 'unordered'] }, { words: ['notLessOrEqual'], swapped: true }, { words: ['notLess'], swapped: true }, { words: ['equal', 'and', 'notEqual'] },
  { words: ['notEqual', 'and', 'ordered'] }, { words: ['lessOrEqual'], swapped: true }, { words: ['less'], swapped: true }, { words: ['ordered', 'or', 'unordered'] },
];
/** Of those, what reports a quiet NaN (APM Vol. 4, "VCMPPD"). */
const signaling: ReadonlySet<number> = new Set([1, 2, 5, 6, 9, 10, 13, 14]);

/** VCMPPS and its kin. Both operands are as wide as what is computed. */
export const compare = (format: 32 | 64): Meaning => ([left, right], { instruction }) => {
  const number = immediateOf(instruction) & 31, { words, swapped } = predicates[number & 15]!, [first, combine, second] = words;
  const word = (name: FloatWord): FloatExpr => float(name, format, left.width, ...swapped ? [right, left] : [left, right]);
  const value = word(first);
  const result = combine === undefined ? value : (combine === 'and' ? and : or)(value, word(second!));
  const isLoud = signaling.has(number & 15) !== number > 15;
  // The flags of a comparison depend on which NaNs it reports only.
  return { result, exceptions: floatFlags(isLoud === loudWords.has(first) ? value : word(isLoud ? 'less' : 'equal')) };
};
const loudWords: ReadonlySet<FloatWord> = new Set<FloatWord>(['less', 'lessOrEqual', 'notLess', 'notLessOrEqual']);

/** VTESTPS, VTESTPD: as VPTEST, of the sign bits alone. */
const testHalves = (parts: (value: Expr, part: 0 | 1) => Expr): Meaning => ([first, second]) => {
  const any = (of: (left: Expr, right: Expr) => Expr): Expr => {
    const half = (part: 0 | 1): Expr => of(parts(first, part), parts(second, part));
    return isZero(first.width === 256 ? or(half(0), half(1)) : half(0));
  };
  const none = constant(1, 0);
  return { flags: { zf: any(and), cf: any((left, right) => and(not(left), right)), pf: none, af: none, sf: none, of: none } };
};
export const testBits = testHalves(halfOf);
export const testSigns = (lane: 32 | 64): Meaning => testHalves((value, part) => and(halfOf(value, part), signBits(lane)));
const signBits = (lane: Lane): Expr => constant(128, lane === 32 ? 0x80000000_80000000_80000000_80000000n : 0x80000000_00000000_80000000_00000000n);

// ── Conversions ──

/** VCVTPD2PS, VCVTPD2DQ, VCVTTPD2DQ: the result is half as wide as the source. */
export const convertToHalf = (word: FloatWord, format: 32 | 64): Meaning => ([, source]) => {
  const half = (part: 0 | 1): FloatExpr => float(word, format, 64, halfOf(source, part));
  return source.width < 256 ? outcome(half(0)) : both(half(0), half(1));
};
const outcome = (result: FloatExpr): Outcome => ({ result, exceptions: floatFlags(result) });
const both = (low: FloatExpr, high: FloatExpr): Outcome => ({ result: join(high, low), exceptions: together(floatFlags(low), floatFlags(high)) });

/** VCVTPH2PS: each half of the result from 64 bits. */
export const fromHalfPrecision: Meaning = ([destination, source]) => {
  const half = (part: 0 | 1): FloatExpr => float('halfToSingle', 32, 128, source.width === 64 ? source : slice(source, 64 * part, 64));
  return destination.width < 256 ? outcome(half(0)) : both(half(0), half(1));
};
/** VCVTPS2PH: rounded as bits 1:0 of the immediate say, or as MXCSR says when bit 2 is set. */
export const toHalfPrecision: Meaning = ([, source], { instruction }) => {
  const immediate = immediateOf(instruction);
  const word = immediate & 4 ? 'toHalf' : (['toHalfNearest', 'toHalfDown', 'toHalfUp', 'toHalfZero'] as const)[immediate & 3]!;
  const half = (part: 0 | 1): FloatExpr => float(word, 32, 64, halfOf(source, part));
  return source.width < 256 ? outcome(half(0)) : both(half(0), half(1));
};

// ── Fused multiplication and addition ──

export type FusedWord = Extract<FloatWord, `fused${string}`>;
/** Which operands are multiplied, and which is added: the digits of the mnemonic. */
export type FusedOrder = '123' | '132' | '213' | '231';

const ordered = (order: FusedOrder, [first, second, third]: readonly Expr[]): readonly [Expr, Expr, Expr] => {
  const operands = [first!, second!, third!], at = (digit: number): Expr => operands[Number(order[digit]) - 1]!;
  return [at(0), at(1), at(2)];
};
/** All three are vectors: each half of 128 bits. */
export const fused = (word: FusedWord, format: 32 | 64, order: FusedOrder): Meaning => (operands) => outcome(float(word, format, 128, ...ordered(order, operands)));
/** The lowest lane alone. */
export const fusedLow = (word: FusedWord, format: 32 | 64): Meaning => operands => {
  const low = (value: Expr): Expr => value.width > format ? truncate(format, value) : value;
  return outcome(float(word, format, format as Width, ...operands.slice(0, 3).map(low)));
};
/** The rest of the vector stays that of the destination. */
export const fusedScalar = (word: FusedWord, format: 32 | 64, order: FusedOrder): Meaning => ([destination, second, third], shape) => {
  const { result, exceptions } = fusedLow(word, format)([...ordered(order, [destination, second, third]), nothing], shape);
  return { result: insertAt(destination, result!, format, 0), ...(exceptions && { exceptions }) };
};
