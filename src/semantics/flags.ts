// The arithmetic flags that most instructions leave behind. Used by the meanings; pure, and nothing here knows a mnemonic.
import { and, constant, not, or, xor, type Expr } from './expr.ts';
import type { Flags } from './outcome.ts';

/** The carry out of every bit of left + right (+ carry in). */
export const carriesOfAddition = (left: Expr, right: Expr, sum: Expr): Expr => or(and(left, right), and(or(left, right), not(sum)));
/** The borrow out of every bit of left - right (- borrow in). */
export const borrowsOfSubtraction = (left: Expr, right: Expr, difference: Expr): Expr =>
  or(and(not(left), right), and(not(xor(left, right)), difference));

export const additionFlags = (left: Expr, right: Expr, sum: Expr): Flags =>
  ({ result: sum, carries: carriesOfAddition(left, right, sum) });
export const subtractionFlags = (left: Expr, right: Expr, difference: Expr): Flags =>
  ({ result: difference, carries: borrowsOfSubtraction(left, right, difference) });

/** CF, OF and AF are clear: AF too (Zen 4, native vectors), where the manuals leave it undefined. */
export const logicFlags = (result: Expr): Flags => ({ result, carries: constant(result.width, 0) });

/** AF is bit 3 of a carry vector: this sets it in one that stands for CF and OF. */
export const withAdjust = (carries: Expr): Expr => or(carries, constant(carries.width, 8));
