// The named functions that `call` nodes use: pure functions of values for which the plain words would be unreadable. Called by `evaluate.ts`, and
// by the emitter's code through slots of the table: the boundary is slow, so only rare words go this way.
import { reciprocal, reciprocalRoot } from './reciprocals.ts';

/** Arguments and result have up to 32 bits; an argument of 32 bits may come as a negative number. */
export type NamedFunction = (...values: readonly number[]) => number;

export const functions: Readonly<Record<string, NamedFunction>> = { reciprocal, reciprocalRoot };
