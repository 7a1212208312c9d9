// How the command line writes numbers, tables and JSON: aligned for people, exact for programs.
import { expect, test } from 'vitest';
import { bytes, duration, grouped, json, list, mips, table } from '../../src/cli/text.ts';

test('columns are aligned, numbers to the right', () => {
  expect(table([{ title: 'tier' }, { title: 'time', right: true }], [['interpreter', '1.2'], ['jit', '10.25']]))
    .toBe('tier          time\n───────────  ─────\ninterpreter    1.2\njit          10.25\n');
  expect(list([['a', '1'], ['long', '2']])).toBe('a     1\nlong  2\n');
});

test('numbers are grouped, sizes and times have units', () => {
  expect([grouped(1234567n), grouped(12), grouped(123456)]).toEqual(['1,234,567', '12', '123,456']);
  expect([bytes(512), bytes(2048), bytes(50 * 2 ** 20)]).toEqual(['512 bytes', '2.00 KiB', '50.0 MiB']);
  expect([duration(1234.5), duration(4.567), duration(99)]).toEqual(['1.23 s', '4.57 ms', '99.0 ms']);
  expect([mips(2_000_000, 1000), mips(1, 0)]).toEqual(['2', '-']);
});

test('JSON keeps 64-bit numbers as strings and bytes as hexadecimal', () => {
  expect(JSON.parse(json({ icount: 2n ** 63n, data: Buffer.from([1, 0xab]), map: new Map([['a', 1]]) })))
    .toEqual({ icount: '9223372036854775808', data: '01ab', map: { a: 1 } });
});
