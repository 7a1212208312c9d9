// Instructions that set, copy or spread single flags. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Meaning } from './outcome.ts';
import { bit, constant, flag, join, negate, not, or, register, shiftLeft, slice, zeroExtend, type Expr, type Flag } from './expr.ts';

export const clc: Meaning = () => ({ flags: { cf: constant(1, 0) } });
export const stc: Meaning = () => ({ flags: { cf: constant(1, 1) } });
export const cmc: Meaning = () => ({ flags: { cf: not(flag('cf')) } });
export const cld: Meaning = () => ({ df: constant(1, 0) });
export const std: Meaning = () => ({ df: constant(1, 1) });

/** Places in the low byte of RFLAGS; bit 1 is always set. */
const lowFlags = [['cf', 0], ['pf', 2], ['af', 4], ['zf', 6], ['sf', 7]] as const satisfies readonly (readonly [Flag, number])[];

/** AH from the flags. */
export const lahf: Meaning = () => {
  const image = lowFlags.map(([name, place]) => shiftLeft(zeroExtend(8, flag(name)), constant(8, place)))
    .reduce((left, right) => or(left, right), constant(8, 2));
  return { registers: { rax: join(image, register('rax', 8)) } };
};
/** The flags from AH; OF keeps its value. */
export const sahf: Meaning = () => {
  const image = slice(register('rax', 16), 8, 8);
  return { flags: Object.fromEntries(lowFlags.map(([name, place]): [Flag, Expr] => [name, bit(image, place)])) };
};

export const salc: Meaning = () => ({ registers: { rax: negate(zeroExtend(8, flag('cf'))) } });
