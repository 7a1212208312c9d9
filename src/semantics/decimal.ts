// Decimal adjustment: AAA, AAS, AAM, AAD, DAA, DAS. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Meaning } from './outcome.ts';
import {
  and, below, constant, flag, isZero, join, minus, or, plus, register, remainder, divide, select, slice, times, type Expr,
} from './expr.ts';
import { logicFlags } from './flags.ts';

const byte = (value: number): Expr => constant(8, value);
const al = register('rax', 8), ax = register('rax', 16);
const ah = slice(ax, 8, 8);

const clear = constant(1, 0);

/** A low digit above 9, or a carry out of it. */
const lowDigitOver = or(below(byte(9), and(al, byte(15))), flag('af'));

/** AX changes by 106h, so a carry out of AL reaches AH. */
const adjustUnpacked = (word: (left: Expr, right: Expr) => Expr): Meaning => () => {
  const adjusted = select(lowDigitOver, word(ax, constant(16, 0x106)), ax);
  return {
    registers: { rax: and(adjusted, constant(16, 0xff0f)) },
    flags: { result: adjusted, cf: lowDigitOver, af: lowDigitOver, of: clear },
  };
};
export const aaa = adjustUnpacked(plus);
export const aas = adjustUnpacked(minus);

const adjustPacked = (word: (left: Expr, right: Expr) => Expr): Meaning => () => {
  const highOver = or(below(byte(0x99), al), flag('cf'));
  const first = select(lowDigitOver, word(al, byte(6)), al);
  const result = select(highOver, word(first, byte(0x60)), first);
  return { registers: { rax: result }, flags: { result, cf: highOver, af: lowDigitOver, of: clear } };
};
export const daa = adjustPacked(plus);
export const das = adjustPacked(minus);

/** Division by an immediate of 0 is #DE. */
export const aam: Meaning = ([base]) => {
  const result = remainder(al, base);
  return { registers: { rax: join(divide(al, base), result) }, flags: logicFlags(result), fault: { when: isZero(base), vector: 0 } };
};
export const aad: Meaning = ([base]) => {
  const result = plus(al, times(ah, base));
  return { registers: { rax: join(byte(0), result) }, flags: logicFlags(result) };
};
