// What `pack` writes is what msgpackr wrote into every journal before: replays compare payloads byte by byte.
import { Packr } from 'msgpackr';
import { describe, expect, test } from 'vitest';
import { createRoom, pack } from '../../journal/pack.ts';

const packr = new Packr({ useRecords: false, variableMapSize: true, int64AsType: 'bigint' });
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** Numbers on both sides of every limit of a form. */
const edges = [0, 0x20, 0x80, 0x100, 0x8000, 0x10000, 2 ** 31, 2 ** 32, 2 ** 53 - 1].flatMap((edge) => [edge - 1, edge, edge + 1]).flatMap((edge) => [edge, -edge]);
const lengths = [0, 1, 15, 16, 31, 32, 255, 256, 65535, 65536];

const values: readonly (readonly [name: string, values: readonly unknown[]])[] = [
  ['numbers', [...edges, 0.5, -1.5, NaN, Infinity, -Infinity, 1e300]],
  ['64-bit integers', [0n, 1n, -1n, 1n << 32n, (1n << 63n) - 1n, 1n << 63n, (1n << 64n) - 1n, -(1n << 63n)]],
  ['text', [...lengths.map((length) => 'x'.repeat(length)), 'naïve', 'é'.repeat(16), '€'.repeat(100), '😀']],
  ['bytes', lengths.map((length) => new Uint8Array(length).fill(7))],
  ['arrays', lengths.map((length) => Array(length).fill(1))],
  ['maps', lengths.map((length) => Object.fromEntries(Array.from({ length }, (_, index) => [`k${index}`, index])))],
  ['what nests', [null, true, false, [[], {}, [null, { a: [1n, { b: new Uint8Array([1]) }] }]]]],
];

describe('pack', () => {
  const room = createRoom();
  for (const [name, some] of values) {
    test(`writes ${name} as msgpackr does`, () => {
      for (const value of some) expect(hex(pack(room, value))).toBe(hex(packr.pack(value)));
      for (const value of some) expect(hex(pack(room, [value, value]))).toBe(hex(packr.pack([value, value])));
    });
  }

  test('refuses what no reader would take', () => {
    for (const value of [undefined, () => 0, 1n << 64n, -(1n << 63n) - 1n, [undefined]]) expect(() => pack(room, value)).toThrow();
  });
});
