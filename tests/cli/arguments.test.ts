// The command line's grammar: what each word means, and what a mistake is answered with.
import { describe, expect, test } from 'vitest';
import { parseArguments, parseInteger, parseSize } from '../../src/cli/arguments.ts';
import type { Command } from '../../src/cli/command.ts';

const command: Command = {
  usage: '[options] IMAGE [argument…]', about: '', examples: [], operands: [1, Infinity], operandsEndOptions: true,
  options: [
    { name: '--output', short: '-o', value: 'FILE', help: '' },
    { name: '--tier', value: 'TIER', choices: ['interpreter', 'translator'], help: '' },
    { name: '--json', help: '' },
    { name: '--behaviour', value: 'ID=VALUE', repeats: true, help: '' },
  ],
  run: () => 0,
};
const parse = (...words: string[]) => parseArguments('record', command, words);

describe('arguments', () => {
  test('options come before the image, and everything after it belongs to the guest', () => {
    const input = parse('-o', 'run.journal', '--json', 'kernel.elf', '--json', '-o', 'x');
    expect(input.option('--output')).toBe('run.journal');
    expect(input.has('--json')).toBe(true);
    expect(input.operands).toEqual(['kernel.elf', '--json', '-o', 'x']);
  });

  test('a value may be attached with =, and -- ends the options', () => {
    expect(parse('--tier=translator', 'a').option('--tier')).toBe('translator');
    expect(parse('--', '--odd-name.elf').operands).toEqual(['--odd-name.elf']);
  });

  test('an option that repeats has all its values, another one the last', () => {
    const input = parse('--behaviour', 'a=1', '--behaviour=b=2', '-o', 'x', '-o', 'y', 'image');
    expect(input.all('--behaviour')).toEqual(['a=1', 'b=2']);
    expect(input.option('--output')).toBe('y');
    expect(input.all('--tier')).toEqual([]);
  });

  test.each([
    [['--tire', 'interpreter', 'a'], 'retro record has no option --tire.'],
    [['--tier', 'fast', 'a'], '--tier cannot be "fast".'],
    [['--json=yes', 'a'], '--json takes no value.'],
    [['-o'], '--output needs a value.'],
    [[], 'retro record needs more than that.'],
  ])('%j is answered with one sentence', (words, message) => {
    expect(() => parse(...words)).toThrow(message);
  });

  test('sizes and numbers', () => {
    expect([parseSize('--memory', '64M'), parseSize('--memory', '1GiB'), parseSize('--memory', '4096')]).toEqual([2 ** 26, 2 ** 30, 4096]);
    expect(() => parseSize('--memory', '64 apples')).toThrow('--memory cannot be "64 apples".');
    expect([parseInteger('--seed', '7'), parseInteger('--seed', '0xffffffffffffffff')]).toEqual([7n, 2n ** 64n - 1n]);
    expect(() => parseInteger('--seed', '0x10000000000000000')).toThrow();
    expect(() => parseInteger('--seed', '-1')).toThrow();
  });
});
