// AND, OR, XOR, TEST, NOT. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Meaning } from './outcome.ts';
import { and as andOf, not as notOf, or as orOf, xor as xorOf, type Expr } from './expr.ts';
import { logicFlags } from './flags.ts';

const logic = (word: (left: Expr, right: Expr) => Expr): Meaning => ([destination, source]) => {
  const result = word(destination, source);
  return { result, flags: logicFlags(result) };
};
export const and = logic(andOf);
export const or = logic(orOf);
export const xor = logic(xorOf);
export const test: Meaning = ([destination, source]) => ({ flags: logicFlags(andOf(destination, source)) });
export const not: Meaning = ([destination]) => ({ result: notOf(destination) });
