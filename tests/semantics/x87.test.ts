// The two ways through x87 arithmetic: what halves of 32 bits answer is what the exact functions answer. Values that the manuals and a
// processor give stand here literally; the native vectors (`vectors.test.ts`) hold the rest.
import { describe, expect, it } from 'vitest';
import { add, compare, constantOf, divide, multiply, remainder, scale, squareRootOf, subtract, type Operation } from '../../src/semantics/x87/arithmetic.ts';
import { fromBinary, fromDecimal, fromInteger, toBinary, toDecimal, toInteger } from '../../src/semantics/x87/convert.ts';
import * as halves from '../../src/semantics/x87/halves.ts';
import { LEFT, RESULT, RIGHT, Went } from '../../src/semantics/x87/halves.ts';
import { BIAS, float80, kindOf, one, X87Exception, type Float80, type Result } from '../../src/semantics/x87/number.ts';
import { angleOf, logarithmTimes, powerMinusOne, trigonometric } from '../../src/semantics/x87/transcendental.ts';

const CONTROL = 0x37f, precisions = [24, 53, 64] as const, controlOf = { 24: 0x07f, 53: 0x27f, 64: 0x37f } as const;

/** A seeded generator of 32 bits. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = Math.imul(state ^ state >>> 15, state | 1);
    state ^= state + Math.imul(state ^ state >>> 7, state | 61);
    return (state ^ state >>> 14) >>> 0;
  };
}
function operands(seed: number, count: number): Float80[] {
  const next = generator(seed);
  return Array.from({ length: count }, () => {
    const shape = next() % 8, negative = next() % 2 === 1;
    if (shape === 0) return float80(negative, 0, 0n);
    const significand = BigInt(next()) << 32n | BigInt(next()) | 1n << 63n;
    const cut = shape < 4 ? significand >> BigInt(next() % 63) << BigInt(next() % 63) & (1n << 64n) - 1n | 1n << 63n : significand;
    return float80(negative, shape === 7 ? 1 + next() % 0x7ffe : BIAS + next() % 70 - 35, cut);
  });
}
const n = halves.createHalves();
function put(at: number, { negative, exponent, significand }: Float80): void {
  n.set([Number(significand & 0xffffffffn), Number(significand >> 32n), exponent, negative ? 1 : 0], at);
}
const taken = (at: number): Float80 => float80(n[at + 3] === 1, n[at + 2]!, BigInt(n[at + 1]!) << 32n | BigInt(n[at]!));
const flagsOf = (went: Went): { flags: number; up: boolean } => ({ flags: went === Went.exact ? 0 : X87Exception.precision, up: went === Went.up });

describe('halves', () => {
  const pairs: readonly (readonly [string, Operation, (bits: number) => Went])[] = [
    ['add', add, bits => halves.add(n, false, bits)], ['subtract', subtract, bits => halves.add(n, true, bits)],
    ['multiply', multiply, bits => halves.multiply(n, bits)], ['divide', divide, bits => halves.divide(n, bits)],
  ];
  it.each(pairs)('%s as the exact function does', (_name, exact, short) => {
    const values = operands(1, 4001);
    let done = 0;
    for (let at = 0; at < 4000; at++) {
      const left = values[at]!, right = values[at + 1]!, bits = precisions[at % 3]!;
      put(LEFT, left);
      put(RIGHT, right);
      const went = short(bits);
      if (went === Went.no) continue;
      done++;
      expect({ value: taken(RESULT), ...flagsOf(went) }, JSON.stringify([bits, left, right], (_, each: unknown) => typeof each === 'bigint' ? each.toString(16) : each))
        .toEqual(exact(left, right, controlOf[bits]));
    }
    expect(done).toBeGreaterThan(2000);
  });

  it('cancel down to the last bit', () => {
    for (const [left, right] of [[0x8000000000000000n, 0xffffffffffffffffn], [0x8000000000000001n, 0x8000000000000000n], [0x8000000080000000n, 0x800000007fffffffn]] as const) {
      for (const exponent of [BIAS, BIAS - 1]) {
        put(LEFT, float80(false, BIAS, left));
        put(RIGHT, float80(false, exponent, right));
        expect(halves.add(n, true, 64)).toBe(Went.exact);
        expect(taken(RESULT)).toEqual(subtract(float80(false, BIAS, left), float80(false, exponent, right), CONTROL).value);
      }
    }
  });

  it('order, store and load as the exact functions do', () => {
    const values = operands(2, 2001);
    for (let at = 0; at < 2000; at++) {
      const left = values[at]!, right = at % 5 === 0 ? left : values[at + 1]!;
      put(LEFT, left);
      put(RIGHT, right);
      const order = halves.order(n);
      expect(compare(left, right, false).conditions).toBe(order < 0 ? 0x100 : order > 0 ? 0 : 0x4000);
      for (const [width, store] of [[64, halves.toDouble], [32, halves.toSingle]] as const) {
        const went = store(n);
        if (went === Went.no) continue;
        const bits = width === 64 ? BigInt(n[RESULT + 1]!) << 32n | BigInt(n[RESULT]!) : BigInt(n[RESULT]!);
        expect({ bits, ...flagsOf(went) }).toEqual(toBinary(left, width, CONTROL));
        const loads = width === 64 ? halves.fromDouble(n, RESULT, n[RESULT]!, n[RESULT + 1]!) : halves.fromSingle(n, RESULT, n[RESULT]!);
        expect([loads, taken(RESULT)]).toEqual([true, fromBinary(bits, width).value]);
      }
      for (const width of [16, 32, 64]) {
        for (const truncates of [false, true]) {
          const went = halves.toInteger(n, width, truncates);
          if (went === Went.no) continue;
          const bits = BigInt.asUintN(width, BigInt(n[RESULT + 1]!) << 32n | BigInt(n[RESULT]!));
          expect({ bits, ...flagsOf(went) }).toEqual(toInteger(left, width, truncates ? 3 : 0));
          halves.fromInteger64(n, RESULT, n[RESULT]!, Number(BigInt.asIntN(width, bits) >> 32n));
          if (width === 64) expect(taken(RESULT)).toEqual(fromInteger(bits, 64));
        }
      }
    }
  });
});

describe('exact values', () => {
  const hex = ({ value: { negative, exponent, significand } }: Result): string => `${negative ? '-' : ''}${exponent.toString(16)}:${significand.toString(16)}`;
  const two = float80(false, BIAS + 1, 1n << 63n), three = float80(false, BIAS + 1, 3n << 62n), half = float80(false, BIAS - 1, 1n << 63n);

  it('are those of a processor', () => {
    expect(hex(divide(one, three, CONTROL))).toBe('3ffd:aaaaaaaaaaaaaaab');
    expect(hex(squareRootOf(two, CONTROL))).toBe('3fff:b504f333f9de6484');
    expect(hex({ value: constantOf('FLDPI', CONTROL), flags: 0, up: false })).toBe('4000:c90fdaa22168c235');
    expect(hex({ value: constantOf('FLDPI', CONTROL | 0x400), flags: 0, up: false })).toBe('4000:c90fdaa22168c234');
    expect(hex(trigonometric('sine', one, CONTROL))).toBe('3ffe:d76aa47848677021');
    expect(hex(angleOf(one, one, CONTROL))).toBe('3ffe:c90fdaa22168c235');
    expect(hex(logarithmTimes(one, three, CONTROL))).toBe('3fff:cae00d1cfdeb43d0');
    expect(hex(powerMinusOne(half, CONTROL))).toBe('3ffd:d413cccfe7799211');
  });

  it('reach beyond the exponents when an exception is not masked', () => {
    const tiny = float80(false, 1, 1n << 63n), huge = float80(false, 0x7ffe, 1n << 63n), unmasked = 0x340;
    expect(multiply(tiny, half, unmasked)).toEqual({ value: float80(false, 24576, 1n << 63n), flags: X87Exception.underflow, up: false });
    expect(multiply(huge, two, unmasked)).toEqual({ value: float80(false, 0x7fff - 24576, 1n << 63n), flags: X87Exception.overflow, up: false });
    expect(kindOf(scale(huge, float80(false, BIAS + 15, 0xffffn << 48n), unmasked).value)).toBe('infinity');
  });

  it('leave a part of a remainder for the next time', () => {
    const far = remainder(float80(false, BIAS + 70, 1n << 63n), three, false, CONTROL);
    expect([far.conditions, kindOf(far.value)]).toEqual([0x400, 'normal']);
    expect(remainder(float80(false, BIAS + 2, 7n << 61n), three, true, CONTROL)).toMatchObject({ value: one, conditions: 0x4000 });
  });

  it('are decimals as well', () => {
    const number = fromDecimal(0x8000_0000_1234_5678_9012n);
    expect(toDecimal(number, 0)).toEqual({ bits: 0x8000_0000_1234_5678_9012n, flags: 0, up: false });
    expect(toDecimal(float80(false, BIAS + 60, 1n << 63n), 0)).toEqual({ bits: 0xffffc000000000000000n, flags: X87Exception.invalid, up: false });
  });
});
