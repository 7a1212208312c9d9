// Moves between vector registers, MMX registers, general registers and memory. Meanings, called by the three readings through
// `sse/index.ts`. APM Vol. 4 and Vol. 5, alphabetic.
import type { Operand } from '../../isa/instruction.ts';
import type { Meaning } from '../outcome.ts';
import { join, shuffle, signs, slice, truncate, zeroExtend, type Expr, type Lane } from '../expr.ts';

const isVector = (operand: Operand | undefined): boolean => operand?.kind === 'register' && operand.file === 'vector';
/** As wide as the destination, or zero-extended to all 128 bits of a vector register. */
const fit = (width: 32 | 64 | 128, value: Expr): Expr => width < value.width ? truncate(width, value) : zeroExtend(width, value);

/** Whole registers: MOVAPS, MOVDQA, MOVNTDQ, LDDQU … */
export const move: Meaning = ([, source]) => ({ result: source });

/** MOVD, MOVQ: whatever is not moved of a vector register becomes 0. */
export const moveLow: Meaning = ([destination, source], { instruction: { operands } }) =>
  ({ result: fit(isVector(operands[0]) ? 128 : destination.width as 32 | 64, source) });

/** MOVSS, MOVSD: a load clears the rest of the register, a move between registers keeps it. */
export const moveScalar: Meaning = ([, source], { instruction: { operands } }) =>
  ({ result: isVector(operands[0]) && operands[1]!.kind === 'memory' ? zeroExtend(128, source) : source });

const low = (value: Expr): Expr => slice(value, 0, 64), high = (value: Expr): Expr => slice(value, 64, 64);
/** MOVLPS, MOVLPD: the low half, to or from memory. */
export const moveLowHalf: Meaning = ([, source]) => ({ result: source });
/** MOVHPS, MOVHPD, MOVLHPS. */
export const moveHighHalf: Meaning = ([destination, source], { instruction: { operands } }) =>
  ({ result: operands[0]!.kind === 'memory' ? high(source) : join(source, low(destination)) });
export const moveHighToLow: Meaning = ([, source]) => ({ result: high(source) });

/** MOVSLDUP, MOVSHDUP, MOVDDUP. */
export const duplicate = (lane: Lane, ...picks: readonly number[]): Meaning => ([, source]) => ({ result: shuffle(lane, picks, fit(128, source)) });

/** MOVMSKPS, PMOVMSKB … */
export const moveMask = (lane: Lane): Meaning => ([destination, source]) => ({ result: fit(destination.width as 32 | 64, signs(lane, source)) });
