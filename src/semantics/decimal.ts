// Decimal adjustment: AAA, AAS, AAM, AAD, DAA, DAS. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Meaning } from './outcome.ts';
import {
  and, below, constant, flag, divide, isZero, join, minus, not, or, plus, register, remainder, select, signBit, slice, times, type Expr,
} from './expr.ts';
import { additionFlags, logicFlags } from './flags.ts';

const byte = (value: number): Expr => constant(8, value);
const al = register('rax', 8), ax = register('rax', 16);
const ah = slice(ax, 8, 8);

/** A low digit above 9, or a carry out of it. */
const lowDigitOver = or(below(byte(9), and(al, byte(15))), flag('af'));

type Word = (left: Expr, right: Expr) => Expr;
/** Addition of less than half the range overflows from positive to negative, subtraction the other way. */
const overflow = (word: Word, before: Expr, after: Expr): Expr =>
  word === plus ? and(not(signBit(before)), signBit(after)) : and(signBit(before), not(signBit(after)));

/** AX changes by 106h, so a carry out of AL reaches AH. SF, ZF, PF and OF are those of that 16-bit sum, before the upper half of AL is
 * cleared (Zen 4, native vectors); undefined in the manuals. */
const adjustUnpacked = (word: Word): Meaning => () => {
  const sum = select(lowDigitOver, word(ax, constant(16, 0x106)), ax);
  return {
    registers: { rax: and(sum, constant(16, 0xff0f)) },
    flags: { result: sum, cf: lowDigitOver, af: lowDigitOver, of: overflow(word, ax, sum) },
  };
};
export const aaa = adjustUnpacked(plus);
export const aas = adjustUnpacked(minus);

/** OF is that of the whole adjustment (Zen 4, native vectors); undefined in the manuals. */
const adjustPacked = (word: Word): Meaning => () => {
  const highOver = or(below(byte(0x99), al), flag('cf'));
  const first = select(lowDigitOver, word(al, byte(6)), al);
  const result = select(highOver, word(first, byte(0x60)), first);
  // DAS: the borrow of the first step stays (SDM Vol. 2A, "DAS"); DAA: what carries in the first step is above 99h.
  const cf = word === plus ? highOver : or(highOver, and(lowDigitOver, below(al, byte(6))));
  return { registers: { rax: result }, flags: { result, cf, af: lowDigitOver, of: overflow(word, al, result) } };
};
export const daa = adjustPacked(plus);
export const das = adjustPacked(minus);

/** Division by an immediate of 0 is #DE. CF, OF and AF are clear (Zen 4, native vectors); undefined in the manuals. */
export const aam: Meaning = ([base]) => {
  const result = remainder(al, base);
  return { registers: { rax: join(divide(al, base), result) }, flags: logicFlags(result), fault: { when: isZero(base), vector: 0 } };
};

/** CF, OF and AF are those of the addition (Zen 4, native vectors); undefined in the manuals. */
export const aad: Meaning = ([base]) => {
  const tens = times(ah, base), result = plus(al, tens);
  return { registers: { rax: join(byte(0), result) }, flags: additionFlags(al, tens, result) };
};
