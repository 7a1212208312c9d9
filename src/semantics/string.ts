// One element of a string instruction; the reader repeats it and counts rCX. The decoder makes the memory operands explicit, so only the
// steps of rSI and rDI are added here. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Meaning, Shape } from './outcome.ts';
import { constant, flag, minus, plus, register, select, type Expr } from './expr.ts';
import { subtractionFlags } from './flags.ts';

/** rSI or rDI of the address size, one element up or, with DF, down. */
function stepped(name: 'rsi' | 'rdi', element: Expr, { instruction: { addressSize } }: Shape): Expr {
  const bytes = element.width / 8;
  return plus(register(name, addressSize), select(flag('df'), constant(addressSize, -bytes), constant(addressSize, bytes)));
}

const moves = { comparesFlags: false }, compares = { comparesFlags: true };

export const movs: Meaning = ([, source], shape) =>
  ({ result: source, registers: { rsi: stepped('rsi', source, shape), rdi: stepped('rdi', source, shape) }, string: moves });
export const stos: Meaning = ([, source], shape) =>
  ({ result: source, registers: { rdi: stepped('rdi', source, shape) }, string: moves });
export const lods: Meaning = ([, source], shape) =>
  ({ result: source, registers: { rsi: stepped('rsi', source, shape) }, string: moves });
export const cmps: Meaning = ([left, right], shape) => ({
  registers: { rsi: stepped('rsi', left, shape), rdi: stepped('rdi', left, shape) },
  flags: subtractionFlags(left, right, minus(left, right)), string: compares,
});
export const scas: Meaning = ([left, right], shape) =>
  ({ registers: { rdi: stepped('rdi', left, shape) }, flags: subtractionFlags(left, right, minus(left, right)), string: compares });
