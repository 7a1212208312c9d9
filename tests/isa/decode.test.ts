// The decoder against iced-x86 over random bytes, against the native vectors where they are at hand, and the promises of its own that
// neither of them can judge: features, limits, and the values of operands.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { absent } from '../../src/isa/opcodes/absent.ts';
import { decode } from '../../src/isa/decode.ts';
import type { CodeSize, HasFeature, Instruction, MemoryOperand, Undecodable } from '../../src/isa/instruction.ts';
import { lookUp } from '../../src/isa/tables.ts';
import { compareCells, fillCells, randomSource, type Difference } from './iced.ts';

const always: HasFeature = () => true;
const bytesOf = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex'));
const read = (hex: string, codeSize: CodeSize = 64, has: HasFeature = always): Instruction | Undecodable => {
  const bytes = bytesOf(hex);
  return decode(bytes, 0, bytes.length, codeSize, has);
};
const without = (...features: string[]): HasFeature => feature => !features.includes(feature);
const memoryOf = (hex: string, codeSize: CodeSize = 64): MemoryOperand =>
  (read(hex, codeSize) as Instruction).operands.find(operand => operand.kind === 'memory') as MemoryOperand;

describe('against iced-x86', () => {
  // `npx tsx tools/compare-decoder.ts` runs millions of the same cases.
  for (const mode of [64, 32, 16] as CodeSize[]) {
    it(`agrees on identity, length and operands of 100,000 random cells in ${mode}-bit code`, () => {
      const next = randomSource(20_000 + mode);
      const bytes = new Uint8Array(4096 * 16 + 16);
      const differences: Difference[] = [];
      const unnamed = new Set<string>();
      let valid = 0;
      for (let batch = 0; batch < 25; batch++) {
        fillCells(bytes, next, ['plain', '0f', '0f38', '0f3a', 'vex', 'evex', 'xop', 'raw']);
        const result = compareCells(bytes, 16, mode, difference => differences.push(difference));
        valid += result.valid;
        for (const name of result.withoutRow.keys()) if (!absent.some(({ mnemonics }) => mnemonics.test(name))) unnamed.add(name);
      }
      expect(differences).toEqual([]);
      expect(valid).toBeGreaterThan(25_000);
      expect([...unnamed]).toEqual([]);
    });
  }
});

const vectors = join(import.meta.dirname, '../../../shared/vectors');

describe.skipIf(!existsSync(vectors))('against the native vectors', () => {
  interface Case { b: string; i: Record<string, string>; o: Record<string, string>; x?: string; a?: string }
  /** The code page ends here; bytes beyond are not in memory. */
  const codeEnd = 0x10002000;

  /** What the processor made of the bytes: an instruction of a length, or one of our three refusals. */
  const expected = (test: Case, end: number, result: Instruction | Undecodable): string => {
    if (test.x === '#UD') return 'ud';
    if (test.x === '#GP' && !result.mnemonic) return 'long';
    if (test.x === '#PF' && test.a && parseInt(test.a, 16) === codeEnd && end < test.b.length / 2) return 'more';
    return String(test.b.length / 2);
  };

  for (const file of existsSync(vectors) ? readdirSync(vectors).filter(name => name.endsWith('.jsonl.gz')) : []) {
    it(`reads ${file} as the processor did`, () => {
      const wrong: string[] = [];
      for (const line of gunzipSync(readFileSync(join(vectors, file))).toString().split('\n')) {
        if (!line) continue;
        const form = JSON.parse(line) as { code: string; mode: CodeSize; cases: Case[] };
        for (const test of form.cases) {
          const code = new Uint8Array(test.b.length / 2 + 16).fill(0xcc);
          code.set(bytesOf(test.b));
          const ip = form.mode === 16 ? 0x10000000 + parseInt(test.i['ip'] ?? '800', 16) : parseInt(test.i['ip'] ?? '10000800', 16);
          const end = Math.min(code.length, codeEnd - ip);
          const result = decode(code, 0, end, form.mode, always);
          const found = !result.mnemonic ? (result as Undecodable).why : /^UD\d$/.test(result.mnemonic) ? 'ud' : String(result.length);
          if (found !== expected(test, end, result)) wrong.push(`${form.mode} ${form.code} ${test.b} ${test.x ?? ''}: ${found}`);
        }
      }
      expect(wrong.slice(0, 10)).toEqual([]);
    });
  }
});

describe('what no reference says', () => {
  it('can read every row', () => {
    for (const encoding of ['legacy', 'vex', 'evex', 'xop'] as const) {
      for (let place = 0; place < 11 << 8; place++) lookUp(encoding, place >> 8, place & 255);
    }
  });

  it('leaves out rows whose feature is absent, so that older meanings show', () => {
    expect(read('f3 0f bd c1').mnemonic).toBe('LZCNT');
    expect(read('f3 0f bd c1', 64, without('abm')).mnemonic).toBe('BSR');
    expect(read('f3 0f bc c1', 64, without('bmi1')).mnemonic).toBe('BSF');
    expect(read('f3 0f 1e fa', 64, without('cet-ibt')).mnemonic).toBe('NOP');
    expect(read('0f ae f8', 64, without('sse'))).toMatchObject({ why: 'ud' });
    expect(read('c4 e2 70 f2 c1', 64, without('bmi1'))).toMatchObject({ why: 'ud' });
  });

  it('says more, long or ud', () => {
    expect(read('81 c0 01')).toMatchObject({ why: 'more' });
    expect(read('66 66 66')).toMatchObject({ why: 'more' });
    expect(read('66 '.repeat(14) + '81 c0 00 00')).toMatchObject({ why: 'long' });
    expect(read('66 '.repeat(15) + '90')).toMatchObject({ why: 'long' });
    expect(read('66 '.repeat(14) + '90')).toMatchObject({ mnemonic: 'NOP', length: 15 });
    expect(read('f0 89 03')).toMatchObject({ why: 'ud' });
    expect(read('f0 01 c3')).toMatchObject({ why: 'ud' });
    expect(read('8e c8')).toMatchObject({ why: 'ud' });
  });

  it('counts REX only directly before the opcode', () => {
    expect(read('48 66 89 c3')).toMatchObject({ operandSize: 16 });
    expect(read('66 48 89 c3')).toMatchObject({ operandSize: 64 });
  });

  it('gives stack and near-branch instructions their default size', () => {
    expect(read('50')).toMatchObject({ operandSize: 64 });
    expect(read('66 50')).toMatchObject({ operandSize: 16 });
    expect(read('66 e9 34 12')).toMatchObject({ operandSize: 16, length: 4 });
    expect(read('0f 20 c0')).toMatchObject({ operandSize: 64 });
  });

  it('addresses the destination of POP with the incremented stack pointer', () => {
    expect(memoryOf('8f 04 24').displacement).toBe(8n);
    expect(memoryOf('66 8f 44 24 f0').displacement).toBe(-14n);
    expect(memoryOf('8f 44 24 08', 32).displacement).toBe(12n);
  });

  it('names the implied operands of string instructions', () => {
    expect(read('64 f3 48 a5')).toMatchObject({
      mnemonic: 'MOVS', rep: 'rep',
      operands: [{ segment: 'es', base: 7, width: 64 }, { segment: 'fs', base: 6, width: 64 }],
    });
    expect(memoryOf('67 65 d7')).toMatchObject({ segment: 'gs', base: 3, width: 8 });
  });

  it('extends immediates to the width of the operation', () => {
    expect(read('48 83 c0 ff')).toMatchObject({ operands: [{}, { value: 0xffffffffffffffffn, width: 64 }] });
    expect(read('48 05 00 00 00 80')).toMatchObject({ operands: [{}, { value: 0xffffffff80000000n, width: 64 }] });
    expect(read('6a ff', 16)).toMatchObject({ operands: [{ value: 0xffffn, width: 16 }] });
    expect(read('d1 e0')).toMatchObject({ operands: [{}, { value: 1n, width: 8 }] });
  });

  it('reaches CR8 by LOCK in front of CR0 where the processor offers it', () => {
    expect(read('f0 0f 20 c0', 32)).toMatchObject({ lock: false, operands: [{}, { file: 'control', number: 8 }] });
    expect(read('f0 0f 20 c0', 32, without('cr8legacy'))).toMatchObject({ why: 'ud' });
    expect(read('0f 20 c8', 32)).toMatchObject({ why: 'ud' });
  });
});
