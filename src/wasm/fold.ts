// Arithmetic on constants while code is emitted: the value of a word whose parts are known. Called by `emit.ts` only.
import type { BinaryWord, CompareWord, UnaryWord, Width } from '../semantics/expr.ts';

const mask = (width: number): bigint => (1n << BigInt(width)) - 1n;
const signed = (width: number, value: bigint): bigint => BigInt.asIntN(width, value);

export function foldUnary(word: UnaryWord, width: Width, value: bigint): bigint {
  switch (word) {
    case 'not': return value ^ mask(width);
    case 'negate': return -value & mask(width);
    case 'popcount': return BigInt(value.toString(2).replaceAll('0', '').length);
    case 'leadingZeros': return value === 0n ? BigInt(width) : BigInt(width - value.toString(2).length);
    case 'trailingZeros': return value === 0n ? BigInt(width) : BigInt((value & -value).toString(2).length - 1);
    case 'byteSwap': {
      let swapped = 0n;
      for (let at = 0; at < width; at += 8) swapped = (swapped << 8n) | ((value >> BigInt(at)) & 0xffn);
      return swapped;
    }
  }
}

export function foldBinary(word: BinaryWord, width: Width, left: bigint, right: bigint): bigint {
  const all = mask(width), size = BigInt(width);
  switch (word) {
    case 'plus': return (left + right) & all;
    case 'minus': return (left - right) & all;
    case 'times': return (left * right) & all;
    case 'and': return left & right;
    case 'or': return left | right;
    case 'xor': return left ^ right;
    case 'shiftLeft': return right >= size ? 0n : (left << right) & all;
    case 'shiftRight': return right >= size ? 0n : left >> right;
    case 'shiftRightSigned': return (signed(width, left) >> (right >= size ? size : right)) & all;
    case 'rotateLeft': return rotate(left, right % size, size, all);
    case 'rotateRight': return rotate(left, (size - right % size) % size, size, all);
    case 'divide': return right === 0n ? 0n : left / right;
    case 'remainder': return right === 0n ? 0n : left % right;
    case 'divideSigned': return overflows(width, left, right) ? 0n : (signed(width, left) / signed(width, right)) & all;
    case 'remainderSigned': return overflows(width, left, right) ? 0n : (signed(width, left) % signed(width, right)) & all;
  }
}

export function foldCompare(word: CompareWord, width: Width, left: bigint, right: bigint): boolean {
  switch (word) {
    case 'equal': return left === right;
    case 'below': return left < right;
    case 'less': return signed(width, left) < signed(width, right);
  }
}

const rotate = (value: bigint, count: bigint, size: bigint, all: bigint): bigint => ((value << count) | (value >> (size - count))) & all;
const overflows = (width: number, left: bigint, right: bigint): boolean =>
  right === 0n || (signed(width, right) === -1n && left === 1n << BigInt(width - 1));
