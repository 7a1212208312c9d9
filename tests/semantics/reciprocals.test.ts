// The approximations of RCPPS and RSQRTPS stay within the error that the manuals promise, for every number that their tables tell apart, and
// give the recorded processor's results where these were recorded (the native vectors of `sse` and `avx`).
import { describe, expect, it } from 'vitest';
import { reciprocal, reciprocalRoot } from '../../src/semantics/reciprocals.ts';

const single = new Float32Array(1), bits = new Uint32Array(single.buffer);
const numberOf = (value: number): number => { bits[0] = value; return single[0]!; };
const BOUND = 1.5 * 2 ** -12;

/** The largest relative error over the ends of all intervals of 11 bits. */
function worst(apply: (single: number) => number, exact: (value: number) => number, exponents: readonly number[]): number {
  let error = 0;
  for (const exponent of exponents) for (let index = 0; index < 4096; index++) for (const rest of [0, 0x7ff]) {
    const operand = exponent << 23 | index << 11 | rest, right = exact(numberOf(operand));
    error = Math.max(error, Math.abs(numberOf(apply(operand)) / right - 1));
  }
  return error;
}

describe('approximate reciprocals', () => {
  it('are within 1.5 * 2^-12 of the exact ones', () => { expect(worst(reciprocal, value => 1 / value, [1, 127, 128, 252])).toBeLessThan(BOUND); });
  it('of square roots too', () => { expect(worst(reciprocalRoot, value => 1 / Math.sqrt(value), [1, 2, 127, 128, 254])).toBeLessThan(BOUND); });
  it('have the sign of their operand, and none for a root', () => {
    expect(reciprocal(0xbf800000)).toBe(0xbf7ff000);
    expect(reciprocalRoot(0xbf800000)).toBe(0xffc00000);
  });
  it('know the special numbers', () => {
    const operands = [0, 0x80000000, 1, 0x807fffff, 0x7f800000, 0xff800000, 0x7f800001, 0xffc12345, 0x7e800000];
    expect(operands.map(reciprocal)).toEqual([0x7f800000, 0xff800000, 0x7f800000, 0xff800000, 0, 0x80000000, 0x7fc00001, 0xffc12345, 0]);
    expect(operands.slice(0, -1).map(reciprocalRoot)).toEqual([0x7f800000, 0xff800000, 0x7f800000, 0xff800000, 0, 0xffc00000, 0x7fc00001, 0xffc12345]);
  });
});
