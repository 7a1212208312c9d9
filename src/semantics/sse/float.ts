// Floating point of SSE and SSE2: arithmetic, comparisons and conversions, scalar and packed. Meanings, called by the three readings through
// `sse/index.ts`. APM Vol. 4, alphabetic.
import type { Meaning, Outcome } from '../outcome.ts';
import {
  bit, call, constant, float, floatFlags, join, or, shuffle, slice, truncate, zeroExtend, type Expr, type FloatExpr, type FloatWord, type Width,
} from '../expr.ts';
import { evenAndOdd, immediateOf, sequence } from './packed.ts';

const outcome = (result: FloatExpr): Outcome => ({ result, exceptions: floatFlags(result) });

/** The operands are as wide as what is computed: 32 or 64 bits, or a vector. */
export const arithmetic = (word: FloatWord, format: 32 | 64): Meaning => ([destination, source]) =>
  outcome(float(word, format, destination.width, destination, source));
export const root = (format: 32 | 64): Meaning => ([, source]) => outcome(float('squareRoot', format, source.width, source));

/** HADDPS and its kin: each lane with its neighbour, those of the destination first. */
export const horizontal = (word: 'add' | 'subtract', format: 32 | 64): Meaning => ([destination, source]) =>
  outcome(float(word, format, destination.width, ...evenAndOdd(format, destination, source)));

/** DPPS and DPPD: the products of the lanes that bits 7:4 name, the sum of them in those that bits 3:0 name. Neighbours are added first. */
export const dotProduct = (format: 32 | 64): Meaning => ([destination, source], { instruction }) => {
  const immediate = immediateOf(instruction), count = 128 / format;
  const only = (vector: Expr, bits: number): Expr => shuffle(format, sequence(count, at => bits >> at & 1 ? at : count), vector, constant(128, 0));
  let sum = float('multiply', format, 128, only(destination, immediate >> 4), only(source, immediate >> 4)), exceptions = floatFlags(sum);
  for (let rest = count; rest > 1; rest /= 2) {
    const [even, odd] = [0, 1].map(first => shuffle(format, sequence(count, at => 2 * at % rest + first), sum));
    sum = float('add', format, 128, even!, odd!);
    exceptions = or(exceptions, floatFlags(sum, exceptions));
  }
  return { result: only(sum, immediate), exceptions };
};

/** ROUNDPS and its kin: bit 3 of the immediate keeps silent about what was lost, bit 2 takes the mode from MXCSR, else bits 1:0 are the mode. */
export const round = (format: 32 | 64): Meaning => ([destination, source], { instruction }) => {
  const immediate = immediateOf(instruction), mode = immediate & 4 ? 'Current' : (['Nearest', 'Down', 'Up', 'Zero'] as const)[immediate & 3]!;
  return outcome(float(`round${mode}${immediate & 8 ? 'Quietly' : ''}`, format, destination.width, source));
};

const predicates: readonly FloatWord[] = ['equal', 'less', 'lessOrEqual', 'unordered', 'notEqual', 'notLess', 'notLessOrEqual', 'ordered'];
export const compare = (format: 32 | 64): Meaning => ([destination, source], { instruction }) =>
  outcome(float(predicates[immediateOf(instruction) & 7]!, format, destination.width, destination, source));

/** COMISS, UCOMISS …: ZF, PF and CF say the order, the other flags are cleared. */
export const compareFlags = (word: 'order' | 'orderQuiet', format: 32 | 64): Meaning => ([first, second]) => {
  const order = float(word, format, 32, first, second), none = constant(1, 0);
  return { flags: { zf: bit(order, 6), pf: bit(order, 2), cf: bit(order, 0), of: none, af: none, sf: none }, exceptions: floatFlags(order) };
};

/** The result is as wide as `width` says, or as the destination; what a vector register has beyond becomes 0 where `clears` says so. */
export const convert = (word: FloatWord, format: 32 | 64, width?: Width, clears = false): Meaning => ([destination, source]) => {
  const { width: whole } = destination;
  const result = float(word, format, width ?? whole, source);
  return { result: clears ? zeroExtend(128, result) : result, exceptions: floatFlags(result) };
};
/** CVTSI2SS, CVTSI2SD, CVTSS2SI …: the general register is 32 or 64 bits wide. */
export const fromGeneral = (format: 32 | 64): Meaning => ([, source]) =>
  outcome(float(source.width === 64 ? 'fromSigned64' : 'fromSigned32', format, format, source));
export const toGeneral = (word: 'toSigned' | 'truncateTo', format: 32 | 64): Meaning => ([destination, source]) =>
  outcome(float(`${word}${destination.width === 64 ? 64 : 32}`, format, destination.width, source));
/** CVTPI2PS and its kin read 64 bits, whatever the operand has. */
export const convertLow = (word: FloatWord, format: 32 | 64, width: Width): Meaning => ([, source]) =>
  outcome(float(word, format, width, source.width > 64 ? truncate(64, source) : source));

/** RCPPS, RSQRTPS and their scalar forms report no exceptions. */
export const approximate = (name: 'reciprocal' | 'reciprocalRoot'): Meaning => ([, source]) => {
  const [first, second, third, fourth] = sequence(source.width / 32, at => call(name, 32, slice(source, 32 * at, 32)));
  return { result: second ? join(join(fourth!, third!), join(second, first!)) : first! };
};
