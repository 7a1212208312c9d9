// BMI1, BMI2 and TBM. Meanings, called by the three readings through `index.ts`; MULX stands with the other products.
// APM Vol. 3, chapter 3.
import type { Meaning } from './outcome.ts';
import {
  and, below, constant, isZero, minus, negate, not, or, plus, rotateRight, select, shiftLeft, shiftRight, shiftRightSigned, slice,
  xor, zeroExtend, type Expr,
} from './expr.ts';
import { logicFlags } from './flags.ts';

const one = (value: Expr): Expr => constant(value.width, 1);

export const andn: Meaning = ([, first, second]) => {
  const result = and(not(first), second);
  return { result, flags: logicFlags(result) };
};

/** One source; CF says something about the source, the other flags are those of a logic operation. */
const lowest = (word: (source: Expr) => Expr, cf: (source: Expr) => Expr): Meaning => ([, source]) => {
  const result = word(source);
  return { result, flags: { ...logicFlags(result), cf: cf(source) } };
};
const isNotZero = (source: Expr): Expr => not(isZero(source));
export const blsr = lowest(source => and(source, minus(source, one(source))), isZero);
export const blsmsk = lowest(source => xor(source, minus(source, one(source))), isZero);
export const blsi = lowest(source => and(source, negate(source)), isNotZero);

/** TBM, of AMD families 15h. */
const isAllOnes = (source: Expr): Expr => isZero(not(source));
const above = (source: Expr): Expr => plus(source, one(source));
export const blcfill = lowest(source => and(source, above(source)), isAllOnes);
export const blci = lowest(source => or(source, not(above(source))), isAllOnes);
export const blcic = lowest(source => and(not(source), above(source)), isAllOnes);
export const blcmsk = lowest(source => xor(source, above(source)), isAllOnes);
export const blcs = lowest(source => or(source, above(source)), isAllOnes);
export const blsfill = lowest(source => or(source, minus(source, one(source))), isZero);
export const blsic = lowest(source => or(not(source), minus(source, one(source))), isZero);
export const t1mskc = lowest(source => or(not(source), above(source)), isAllOnes);
export const tzmsk = lowest(source => and(not(source), minus(source, one(source))), isZero);

/** The index is the low byte; CF says that it reaches beyond the operand. */
export const bzhi: Meaning = ([, source, index]) => {
  const { width } = source, n = and(index, constant(width, 0xff));
  const inside = below(n, constant(width, width));
  const kept = minus(shiftLeft(one(source), and(n, constant(width, width - 1))), one(source));
  const result = select(inside, and(source, kept), source);
  return { result, flags: { ...logicFlags(result), cf: not(inside) } };
};

/** Control: start in bits 7:0, length in bits 15:8. AF is set, SF is clear, PF is that of the result (Zen 4, native vectors). */
export const bextr: Meaning = ([, source, control]) => {
  const { width } = source;
  const byteAt = (lowBit: number): Expr => zeroExtend(width, slice(control, lowBit, 8));
  const start = byteAt(0), length = byteAt(8), last = constant(width, width - 1), limit = constant(width, width);
  const moved = select(below(start, limit), shiftRight(source, and(start, last)), constant(width, 0));
  const kept = minus(shiftLeft(one(source), and(length, last)), one(source));
  const result = select(below(length, limit), and(moved, kept), moved);
  return { result, flags: { result, carries: constant(width, 8), sf: constant(1, 0) } };
};

/** A selected bit moves down by the zeros below it in the mask: by 1, by 2, by 4 and so on, each time those of which the number has that bit.
 * The bits that move, step by step. */
function movesOf(mask: Expr): readonly (readonly [moving: Expr, distance: Expr])[] {
  const { width } = mask, by = (distance: number): Expr => constant(width, distance), moves: [Expr, Expr][] = [];
  let rest = mask, zeros = shiftLeft(not(mask), by(1));
  for (let distance = 1; distance < width; distance *= 2) {
    // Whether the zeros below, as far as they still count, are an odd number.
    let odd = zeros;
    for (let reach = 1; reach < width; reach *= 2) odd = xor(odd, shiftLeft(odd, by(reach)));
    const moving = and(odd, rest);
    moves.push([moving, by(distance)]);
    rest = or(xor(rest, moving), shiftRight(moving, by(distance)));
    zeros = and(zeros, not(odd));
  }
  return moves;
}
/** The bits that a mask selects, packed at the bottom (APM Vol. 3, "PEXT"). */
export const packed = (source: Expr, mask: Expr): Expr => movesOf(mask).reduce((value, [moving, distance]) => {
  const moved = and(value, moving);
  return or(xor(value, moved), shiftRight(moved, distance));
}, and(source, mask));
/** The low bits, spread to where a mask has ones (APM Vol. 3, "PDEP"): the same steps backwards. */
export const spread = (source: Expr, mask: Expr): Expr => and(mask, movesOf(mask).reduceRight((value, [moving, distance]) =>
  or(and(value, not(moving)), and(shiftLeft(value, distance), moving)), source));
/** Operands: destination, source, mask. */
export const pext: Meaning = ([, source, mask]) => ({ result: packed(source, mask) });
export const pdep: Meaning = ([, source, mask]) => ({ result: spread(source, mask) });

/** Shifts without flags; the count is masked to the width. */
const shiftBy = (word: (value: Expr, count: Expr) => Expr): Meaning => ([, source, count]) =>
  ({ result: word(source, and(count, constant(source.width, source.width - 1))) });
export const shlx = shiftBy(shiftLeft);
export const shrx = shiftBy(shiftRight);
export const sarx = shiftBy(shiftRightSigned);
export const rorx: Meaning = ([, source, count]) => ({ result: rotateRight(source, zeroExtend(source.width, count)) });
