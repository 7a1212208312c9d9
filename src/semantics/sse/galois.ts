// Arithmetic in fields of characteristic 2: products without carries (PCLMULQDQ), bytes modulo the polynomial of AES (GFNI), and tables of
// 256 bytes. Meanings, called by the three readings through `sse/index.ts`; `aes.ts` builds on the bytes. Everything is plain words on
// 128 bits, so that a VEX form applies the same to each half of its operands. SDM Vol. 2, alphabetic.
import type { Meaning } from '../outcome.ts';
import {
  and, byteSwap, constant, join, lanes, or, repeated, shiftLanes, shiftLeft, shiftRight, shuffle, slice, times, xor, type Expr,
} from '../expr.ts';
import { immediateOf, sequence } from './packed.ts';

const everyByte = (value: number): Expr => repeated(128, 8, BigInt(value));
const bytes = (values: readonly number[]): Expr => constant(128, values.reduceRight((all, each) => all << 8n | BigInt(each), 0n));

/** The byte of a table of 256 that each byte names: 16 rows of 16, of which each gives 0 for what is not its own. */
export function lookUp(table: readonly number[], indexes: Expr): Expr {
  const rows = sequence(16, row => {
    // An index of another row has bits in its upper half, which saturation carries to the top; `permute` gives 0 for those.
    const own = lanes('plusSaturatedUnsigned', 8, xor(indexes, everyByte(row << 4)), everyByte(0x70));
    return lanes('permute', 8, bytes(table.slice(16 * row, 16 * row + 16)), own);
  });
  return rows.reduce((left, right) => or(left, right));
}

// ── Bytes modulo x^8 + x^4 + x^3 + x + 1 ──

const POLYNOMIAL = 0x11b;
/** Each byte times x. */
export const timesX = (value: Expr): Expr =>
  xor(lanes('plus', 8, value, value), and(lanes('greater', 8, constant(128, 0), value), everyByte(POLYNOMIAL & 0xff)));

/** The inverse of every number, 0 for 0: the powers of the generator 3, read backwards. */
export const inverses: readonly number[] = (() => {
  const powers: number[] = [], inverse = new Array<number>(256).fill(0);
  for (let power = 1; powers.length < 255; power ^= power << 1 ^ (power & 0x80 ? POLYNOMIAL : 0)) powers.push(power);
  powers.forEach((power, exponent) => { inverse[power] = powers[(255 - exponent) % 255]!; });
  return inverse;
})();

/** All ones in the bytes whose top bit is set, for bit 7, then bit 6, … */
function forEachBit(value: Expr, take: (chosen: Expr, bit: number) => void): void {
  for (let bit = 7, rest = value; bit >= 0; bit--, rest = lanes('plus', 8, rest, rest)) take(lanes('greater', 8, constant(128, 0), rest), bit);
}

export const multiplyBytes: Meaning = ([left, right]) => {
  let product: Expr = constant(128, 0);
  forEachBit(right, (chosen, bit) => {
    const term = and(chosen, left);
    product = bit === 7 ? term : xor(timesX(product), term);
  });
  return { result: product };
};

/** The 8 x 8 bits of each quadword, turned over: bit i of byte j from bit j of byte i. */
function transpose(matrix: Expr): Expr {
  const swap = (value: Expr, distance: number, mask: bigint): Expr => {
    const count = constant(32, distance), moved = and(xor(value, shiftLanes('shiftRight', 64, value, count)), repeated(128, 64, mask));
    return xor(value, xor(moved, shiftLanes('shiftLeft', 64, moved, count)));
  };
  return swap(swap(swap(matrix, 7, 0x00aa00aa00aa00aan), 14, 0x0000cccc0000ccccn), 28, 0x00000000f0f0f0f0n);
}

/** The bits of every byte times the matrix in its quadword of the other operand, plus a constant: the sum of the columns that they choose.
 * The first row of a matrix is its last byte. */
const affine = (value: Expr, matrix: Expr, plus: number): Expr => {
  const columns = transpose(shuffle(8, sequence(16, at => at ^ 7), matrix));
  let sum = everyByte(plus);
  forEachBit(value, (chosen, bit) => { sum = xor(sum, and(chosen, shuffle(8, sequence(16, at => (at & 8) + bit), columns))); });
  return sum;
};
export const affineBytes: Meaning = ([value, matrix], { instruction }) => ({ result: affine(value, matrix, immediateOf(instruction)) });
export const affineInverses: Meaning = ([value, matrix], { instruction }) =>
  ({ result: affine(lookUp(inverses, value), matrix, immediateOf(instruction)) });

// ── Products without carries ──

/** The low 64 bits, by ordinary products of numbers of which only every fourth bit may be set: a sum of 16 bits carries into the bits that
 * are masked away, or out of the top. */
function lowProduct(left: Expr, right: Expr): Expr {
  const masks = sequence(4, at => at).map(at => constant(64, 0x1111111111111111n << BigInt(at)));
  const lefts = masks.map(mask => and(left, mask)), rights = masks.map(mask => and(right, mask));
  const quarters = masks.map((mask, at) => and(mask, lefts.map((each, from) => times(each, rights[at - from & 3]!)).reduce((a, b) => xor(a, b))));
  return quarters.reduce((a, b) => or(a, b));
}

/** Bit 63 first. */
const reversed = (value: Expr): Expr => ([[4, 0x0f0f0f0f0f0f0f0fn], [2, 0x3333333333333333n], [1, 0x5555555555555555n]] as const).reduce((each, [distance, bits]) => {
  const count = constant(64, distance), mask = constant(64, bits);
  return or(and(shiftRight(each, count), mask), shiftLeft(and(each, mask), count));
}, byteSwap(value));

/** The high half of a product is the low half of the product of reversed numbers, reversed; 127 bits leave the top one 0. */
const product = (left: Expr, right: Expr): Expr =>
  join(shiftRight(reversed(lowProduct(reversed(left), reversed(right))), constant(64, 1)), lowProduct(left, right));

/** Immediate bits 0 and 4 choose a half of each operand. */
export const multiplyWithoutCarries: Meaning = ([left, right], { instruction }) => {
  const immediate = immediateOf(instruction);
  return { result: product(slice(left, immediate & 1 ? 64 : 0, 64), slice(right, immediate & 16 ? 64 : 0, 64)) };
};
