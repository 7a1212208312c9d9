// The words of the expression language in the reference reading: the corners that the manuals' instructions depend on, and functions made
// of them.
import { describe, expect, it } from 'vitest';
import { checksumWith } from '../../src/semantics/bits.ts';
import { packed, spread } from '../../src/semantics/bmi.ts';
import { evaluate, holds, type Environment } from '../../src/semantics/evaluate.ts';
import {
  below, bit, byteSwap, call, constant, divide, divideSigned, equal, join, leadingZeros, less, load, minus, negate, not, operand, plus, popcount,
  remainder, remainderSigned, rotateLeft, rotateRight, select, shiftLeft, shiftRight, shiftRightSigned, signBit, signExtend, slice, times,
  trailingZeros, truncate, zeroExtend, type Expr, type Flag, type Width,
} from '../../src/semantics/expr.ts';
import { random } from '../wasm/sequences.ts';

const nowhere: Environment = {
  operand: () => { throw new Error('no operands'); }, address: () => 0n, register: () => 0n, flag: () => false, nextIp: 0n, load: () => 0n,
};
const value = (expr: Expr): bigint => evaluate(expr, nowhere);
const k = (width: Width, number: number | bigint): Expr => constant(width, number);

describe('a word', () => {
  it('wraps at its width', () => {
    expect(value(plus(k(8, 0xff), k(8, 2)))).toBe(1n);
    expect(value(minus(k(64, 0), k(64, 1)))).toBe(0xffff_ffff_ffff_ffffn);
    expect(value(times(k(128, 1n << 127n), k(128, 2)))).toBe(0n);
    expect(value(negate(k(16, 1)))).toBe(0xffffn);
    expect(value(not(k(1, 1)))).toBe(0n);
  });

  it('shifts everything out at its width and beyond, and rotates modulo its width', () => {
    expect(value(shiftLeft(k(32, 1), k(32, 32)))).toBe(0n);
    expect(value(shiftRight(k(8, 0x80), k(8, 200)))).toBe(0n);
    expect(value(shiftRightSigned(k(8, 0x80), k(8, 200)))).toBe(0xffn);
    expect(value(shiftRightSigned(k(8, 0x40), k(8, 8)))).toBe(0n);
    expect(value(rotateLeft(k(8, 0x81), k(8, 9)))).toBe(3n);
    expect(value(rotateRight(k(16, 1), k(16, 17)))).toBe(0x8000n);
    expect(value(rotateLeft(k(64, 5), k(64, 64)))).toBe(5n);
  });

  it('divides without ever trapping', () => {
    expect(value(divide(k(32, 7), k(32, 0)))).toBe(0n);
    expect(value(remainder(k(32, 7), k(32, 0)))).toBe(0n);
    expect(value(divideSigned(k(64, 1n << 63n), k(64, -1n)))).toBe(0n);
    expect(value(remainderSigned(k(64, 1n << 63n), k(64, -1n)))).toBe(0n);
    expect(value(divideSigned(k(8, -7), k(8, 2)))).toBe(0xfdn);
    expect(value(remainderSigned(k(8, -7), k(8, 2)))).toBe(0xffn);
  });

  it('counts bits in its own width', () => {
    for (const width of [8, 16, 32, 64] as const) {
      expect(value(leadingZeros(k(width, 0)))).toBe(BigInt(width));
      expect(value(trailingZeros(k(width, 0)))).toBe(BigInt(width));
      expect(value(leadingZeros(k(width, 1)))).toBe(BigInt(width - 1));
      expect(value(trailingZeros(k(width, 1n << BigInt(width - 1))))).toBe(BigInt(width - 1));
      expect(value(popcount(k(width, -1)))).toBe(BigInt(width));
    }
    expect(value(byteSwap(k(32, 0x12345678)))).toBe(0x78563412n);
  });

  it('compares with and without sign', () => {
    expect(value(below(k(8, 1), k(8, 0xff)))).toBe(1n);
    expect(value(less(k(8, 1), k(8, 0xff)))).toBe(0n);
    expect(value(equal(k(8, 0x100), k(8, 0)))).toBe(1n);
  });

  it('changes widths', () => {
    expect(value(signExtend(64, k(8, 0x80)))).toBe(0xffff_ffff_ffff_ff80n);
    expect(value(zeroExtend(64, k(8, 0x80)))).toBe(0x80n);
    expect(value(slice(k(64, 0x1122334455667788n), 16, 16))).toBe(0x5566n);
    expect(value(truncate(8, k(16, 0x1234)))).toBe(0x34n);
    expect(value(join(k(8, 0x12), k(8, 0x34)))).toBe(0x1234n);
    expect([value(bit(k(8, 4), 2)), value(signBit(k(8, 0x7f)))]).toEqual([1n, 0n]);
  });

  it('refuses sides of different widths', () => {
    expect(() => plus(k(8, 1), k(16, 1))).toThrow('8 and 16 bits');
    expect(() => select(k(8, 1), k(8, 1), k(8, 1))).toThrow('select');
  });
});

it('a node that is used twice is evaluated once', () => {
  let reads = 0;
  const environment: Environment = { ...nowhere, operand: () => BigInt(++reads) };
  const read = operand(0, 32);
  expect(evaluate(plus(read, times(read, read)), environment)).toBe(2n);
  expect(reads).toBe(1);
});

it('both sides of a select are evaluated, so that a load faults whatever the condition says', () => {
  const environment: Environment = { ...nowhere, load: () => { throw new Error('page fault'); } };
  expect(() => evaluate(select(k(1, 0), load(8, 'ds', k(64, 0)), k(8, 0)), environment)).toThrow('page fault');
});

describe('a composed function', () => {
  const crc = (text: string): bigint => {
    let checksum: Expr = k(32, 0xffffffff);
    for (const byte of Buffer.from(text)) checksum = checksumWith(checksum, k(8, byte));
    return value(not(checksum));
  };
  it('of CRC32 gives the check value of CRC-32C, in steps of any width', () => {
    expect(crc('123456789')).toBe(0xe3069283n);
    const once = value(checksumWith(k(32, 0x12345678), k(64, 0x8877665544332211n)));
    let bytewise: Expr = k(32, 0x12345678), wordwise: Expr = k(32, 0x12345678);
    for (let byte = 1; byte <= 8; byte++) bytewise = checksumWith(bytewise, k(8, byte * 0x11));
    for (let word = 0; word < 4; word++) wordwise = checksumWith(wordwise, k(16, 0x2211 + word * 0x2222));
    expect(once).toBe(value(bytewise));
    expect(once).toBe(value(wordwise));
  });
  it('of PDEP undoes that of PEXT, which packs bits', () => {
    const next = random(7), number = (): bigint => BigInt(next(2 ** 32)) << 32n | BigInt(next(2 ** 32));
    for (let round = 0; round < 100; round++) {
      const mask = number() & (round & 1 ? -1n : number()), source = number();
      const bits = Array.from({ length: 64 }, (_, at) => BigInt(at)).filter(at => mask >> at & 1n);
      const expected = bits.reduce((all, at, place) => all | (source >> at & 1n) << BigInt(place), 0n);
      expect(value(packed(k(64, source), k(64, mask)))).toBe(expected);
      expect(value(spread(k(64, expected), k(64, mask)))).toBe(source & mask);
    }
  });
});

it('a named function must exist', () => {
  expect(() => value(call('nothing', 8))).toThrow('nothing');
});

it('conditions are those of Jcc for all 64 settings of the flags', () => {
  for (let setting = 0; setting < 64; setting++) {
    const names: readonly Flag[] = ['cf', 'pf', 'af', 'zf', 'sf', 'of'];
    const flag = (name: Flag): boolean => (setting >> names.indexOf(name) & 1) === 1;
    const [cf, pf, , zf, sf, of] = names.map(flag);
    const truth = [of, cf, zf, cf || zf, sf, pf, sf !== of, zf || sf !== of];
    truth.forEach((expected, pair) => {
      expect(holds(2 * pair, { flag })).toBe(expected);
      expect(holds(2 * pair + 1, { flag })).toBe(!expected);
    });
  }
});
