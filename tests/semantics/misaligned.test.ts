// MXCSR.MM frees the operands of legacy SSE instructions from alignment, but not the aligned moves, in every reading (APM Vol. 1, 4.2.2 and 4.3.2).
import { describe, expect, it } from 'vitest';
import { createCapabilities } from '../../src/model/capabilities.ts';
import { createBench, readingNames, runCase, type Case, type Form } from '../../tools/native-vectors.ts';

const MM = 0x21f80.toString(16), OFF = '1f80';
const ones = '01000000010000000100000001000000', sum = '00000003000000030000000300000003', two = '00000002000000020000000200000002';
const at = (linear: number): Record<string, Record<string, string>> => ({ m: { [linear.toString(16)]: ones } });
const form: Form = { code: '', mode: 64, kind: 'mem', cpuid: [], cases: [] };
/** `rax` points to four ones, `xmm1` holds four twos. */
const execute = (bytes: string, mxcsr: string, linear: number, after: Record<string, string>, exception?: string): Case => ({
  b: bytes, i: { rax: linear.toString(16), xmm1: two, mxcsr, ...at(linear) } as unknown as Case['i'], o: after as Case['o'], ...(exception ? { x: exception } : {}),
});
const PADDD = '660ffe08', MOVAPS = '0f2808', ODD = 0x10010101, ACROSS = 0x10010ff7;

describe.each(readingNames)('misaligned operands in the %s', reading => {
  const cases: readonly (readonly [string, Case])[] = [
    ['fault when MM is clear', execute(PADDD, OFF, ODD, {}, '#GP')],
    ['are read when MM is set', execute(PADDD, MM, ODD, { xmm1: sum })],
    ['are read from two pages when MM is set', execute(PADDD, MM, ACROSS, { xmm1: sum })],
    ['of aligned moves fault all the same', execute(MOVAPS, MM, ODD, {}, '#GP')],
    ['may also be aligned', execute(PADDD, MM, 0x10010100, { xmm1: sum })],
  ];
  it.each(cases)('%s', (_, test) => {
    const bench = createBench(reading, createCapabilities('EPYC-Genoa'));
    expect(runCase(bench, form, test)).toEqual({ differs: [] });
    expect(runCase(bench, form, test)).toEqual({ differs: [] });
  });
});

describe('LDMXCSR', () => {
  const load = (linear: number, after: Record<string, string>, exception?: string): Case => ({
    b: '0fae10', i: { rax: linear.toString(16), m: { [linear.toString(16)]: '801f0200' } } as unknown as Case['i'], o: after as Case['o'], ...(exception ? { x: exception } : {}),
  });
  it('knows MM on a model that has it, and no other', () => {
    expect(runCase(createBench('interpreter', createCapabilities('EPYC-Genoa')), form, load(0x10010100, { mxcsr: '21f80' }))).toEqual({ differs: [] });
    expect(runCase(createBench('interpreter', createCapabilities('EPYC-Genoa,-misalignsse')), form, load(0x10010100, {}, '#GP'))).toEqual({ differs: [] });
  });
});
