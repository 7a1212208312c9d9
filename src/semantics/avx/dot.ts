// Products of narrow integers that are added to what the destination holds: AVX-VNNI and AVX-IFMA. Meanings of 128 bits, called by the three
// readings through `avx/index.ts`. SDM Vol. 2, alphabetic.
import type { Meaning } from '../outcome.ts';
import { and, constant, join, lanes, not, or, plus, repeated, shiftLanes, slice, times, xor, zeroExtend, type Expr } from '../expr.ts';

const shift = (word: 'shiftLeft' | 'shiftRight' | 'shiftRightSigned', lane: 16 | 32, value: Expr, by: number): Expr => shiftLanes(word, lane, value, constant(32, by));
const choose = (mask: Expr, yes: Expr, no: Expr): Expr => or(and(mask, yes), and(not(mask), no));

/** Doublewords, signed: a sum that has no room is the largest or the smallest. */
function saturatedSum(left: Expr, right: Expr): Expr {
  const sum = lanes('plus', 32, left, right), overflow = shift('shiftRightSigned', 32, and(xor(left, sum), xor(right, sum)), 31);
  return choose(overflow, xor(shift('shiftRightSigned', 32, left, 31), repeated(128, 32, 0x7fffffffn)), sum);
}

/** VPDPBUSD, VPDPBUSDS: four unsigned bytes of the first source by four signed bytes of the second. */
export const addByteProducts = (saturates: boolean): Meaning => ([destination, first, second]) => {
  const even = lanes('pairProducts', 32, shift('shiftRight', 16, shift('shiftLeft', 16, first, 8), 8), shift('shiftRightSigned', 16, shift('shiftLeft', 16, second, 8), 8));
  const odd = lanes('pairProducts', 32, shift('shiftRight', 16, first, 8), shift('shiftRightSigned', 16, second, 8));
  const sum = lanes('plus', 32, even, odd);
  return { result: saturates ? saturatedSum(destination, sum) : lanes('plus', 32, destination, sum) };
};

/** VPDPWSSD, VPDPWSSDS: two signed words of each. The sum of the products of the smallest words has 33 bits: it is the one that looks negative. */
export const addWordProducts = (saturates: boolean): Meaning => ([destination, first, second]) => {
  const sum = lanes('pairProducts', 32, first, second);
  if (!saturates) return { result: lanes('plus', 32, destination, sum) };
  const top = repeated(128, 32, 0x80000000n), most = repeated(128, 32, 0x7fffffffn);
  const beyond = choose(shift('shiftRightSigned', 32, destination, 31), xor(destination, top), most);
  return { result: choose(lanes('equal', 32, sum, top), beyond, saturatedSum(destination, sum)) };
};

/** VPMADD52LUQ, VPMADD52HUQ: the lower or the upper 52 bits of a product of 52 bits each. */
export const addLongProducts = (half: 'low' | 'high'): Meaning => ([destination, first, second]) => {
  const digits = constant(64, (1n << 52n) - 1n), factor = (value: Expr, at: number): Expr => zeroExtend(128, and(slice(value, at, 64), digits));
  const lane = (at: number): Expr => plus(slice(destination, at, 64), and(slice(times(factor(first, at), factor(second, at)), half === 'low' ? 0 : 52, 64), digits));
  return { result: join(lane(64), lane(0)) };
};
