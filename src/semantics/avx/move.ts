// Moves, broadcasts and permutations that only the VEX encoding has, or that have one more source there. Meanings, called by the three
// readings through `avx/index.ts`. APM Vol. 4, alphabetic.
import type { Meaning } from '../outcome.ts';
import {
  and, constant, join, lanes, not, or, repeated, shiftLanes, shiftLeft, shuffle, signs, slice, truncate, zeroExtend, type Expr, type Lane,
} from '../expr.ts';
import { immediateOf, insertAt } from '../sse/packed.ts';
import { halfOf, isVector } from './combine.ts';

const low = (value: Expr): Expr => slice(value, 0, 64), high = (value: Expr): Expr => slice(value, 64, 64);
const zero = constant(128, 0);
const both = (half: Expr): Expr => join(half, half);

/** VMOVSS, VMOVSD: to memory, from memory with zeros above, or one lane between registers. */
export const moveScalar = (lane: 32 | 64): Meaning => ([, first, second], { instruction: { operands } }) => {
  if (operands.length === 3) return { result: insertAt(first, second, lane, 0) };
  return { result: isVector(operands[0]) ? zeroExtend(128, first) : first };
};

/** VMOVQ: the low half, in zeros where it goes to a vector register. */
export const moveQuadword: Meaning = ([, source]) => ({ result: source.width > 64 ? truncate(64, source) : source });

/** VMOVLPS, VMOVHPS and their kin have two operands when they store. */
export const moveLowHalf: Meaning = ([, first, second], { instruction: { operands } }) =>
  ({ result: operands.length === 2 ? low(first) : join(high(first), second) });
export const moveHighHalf: Meaning = ([, first, second], { instruction: { operands } }) =>
  ({ result: operands.length === 2 ? high(first) : join(second, low(first)) });
export const moveHighToLow: Meaning = ([, first, second]) => ({ result: join(high(first), high(second)) });
export const moveLowToHigh: Meaning = ([, first, second]) => ({ result: join(low(second), low(first)) });

/** VMOVMSKPS, VPMOVMSKB … */
export const moveMask = (lane: Lane): Meaning => ([destination, source]) => {
  const each = signs(lane, halfOf(source, 0));
  const all = source.width < 256 ? each : or(each, shiftLeft(signs(lane, halfOf(source, 1)), constant(32, 128 / lane)));
  return { result: zeroExtend(destination.width, all) };
};

/** The lowest lane everywhere. */
export const broadcast = (lane: Lane): Meaning => ([destination, source]) => {
  const element = zeroExtend(128, source.width > lane ? truncate(lane, source) : source);
  const all = shuffle(lane, new Array<number>(128 / lane).fill(0), element);
  return { result: destination.width === 256 ? both(all) : all };
};
export const broadcastHalf: Meaning = ([, source]) => ({ result: both(source) });

/** VINSERTF128, VINSERTI128. */
export const insertHalf: Meaning = ([, first, second], { instruction }) =>
  ({ result: immediateOf(instruction) & 1 ? join(second, halfOf(first, 0)) : join(halfOf(first, 1), second) });
export const extractHalf: Meaning = ([, source], { instruction }) => ({ result: halfOf(source, immediateOf(instruction) & 1 ? 1 : 0) });

/** VPERM2F128, VPERM2I128: two bits choose one of four halves, one makes zeros of it. */
export const permuteHalves: Meaning = ([, first, second], { instruction }) => {
  const immediate = immediateOf(instruction), halves = [halfOf(first, 0), halfOf(first, 1), halfOf(second, 0), halfOf(second, 1)];
  const chosen = (by: number): Expr => by & 8 ? zero : halves[by & 3]!;
  return { result: join(chosen(immediate >> 4), chosen(immediate)), reads: second };
};

/** VPERMQ, VPERMPD. */
export const permuteQuadwords: Meaning = ([, source], { instruction }) => {
  const immediate = immediateOf(instruction);
  const half = (first: number): Expr => shuffle(64, [immediate >> first & 3, immediate >> first + 2 & 3], halfOf(source, 0), halfOf(source, 1));
  return { result: join(half(4), half(0)) };
};

/** The numbers of the bytes of lanes whose numbers stand in the lanes of `chosen`. */
const bytesOf = (chosen: Expr, lane: 32 | 64): Expr => {
  const [ascending, factor] = lane === 32 ? [0x03020100n, 0x04040404n] : [0x0706050403020100n, 0x0808080808080808n];
  return lanes('plus', lane, lanes('times', lane, chosen, repeated(128, lane, factor)), repeated(128, lane, ascending));
};
/** VPERMILPS, VPERMILPD with a register: the number stands in the lowest two bits of each lane, or in bit 1. */
export const permuteLanes = (lane: 32 | 64): Meaning => ([first, second]) => {
  const chosen = lane === 32 ? and(second, repeated(128, 32, 3n)) : and(shiftLanes('shiftRight', 64, second, constant(32, 1)), repeated(128, 64, 1n));
  return { result: lanes('permute', 8, first, bytesOf(chosen, lane)) };
};
/** VPERMD, VPERMPS: the lowest three bits of each lane of the first source choose one of eight. */
export const permuteDoublewords: Meaning = ([, first, second]) => {
  const half = (part: 0 | 1): Expr => {
    const chosen = halfOf(first, part), bytes = bytesOf(and(chosen, repeated(128, 32, 3n)), 32);
    const upper = lanes('greater', 32, and(chosen, repeated(128, 32, 7n)), repeated(128, 32, 3n));
    return or(and(upper, lanes('permute', 8, halfOf(second, 1), bytes)), and(not(upper), lanes('permute', 8, halfOf(second, 0), bytes)));
  };
  return { result: join(half(1), half(0)) };
};
