// Raw CPUID dumps as models: every form that is read, what is kept of it, and what a stranger may write.
import { describe, expect, it } from 'vitest';
import { specOfDump } from '../../src/model/dump.ts';
import { cpuidOf, ModelError, modelNumbers, resolveModel, shortSpec } from '../../src/model/models.ts';

const json = JSON.stringify({
  cpuid: [
    [0, 0, '0x10', '0x68747541', '0x444d4163', '0x69746e65'], [1, 0, '0xa20f12', '0x10800', '0x7ef8320b', '0x178bfbff'],
    [7, 0, 0, '0x219c97a9', '0x40068c', '0x10'], [0xd, 0, '0x207', '0x988', '0x988', 0], [0xd, 1, '0xf', '0x348', '0x1800', 0], [0xd, 9, 8, '0x980', 0, 0],
    ['0x80000000', 0, '0x80000023', '0x68747541', '0x444d4163', '0x69746e65'], ['0x80000001', 0, '0xa20f12', '0x20000000', '0x75c237ff', '0x2fd3fbff'],
    ['0x80000002', 0, '0x20444d41', '0x657a7952', '0x2039206e', '0x30303935'], ['0x80000008', 0, '0x3030', '0x111ef657', '0x400b', '0x10000'],
  ],
});
const latx = `------[ Logical CPU #0 ]------
CPUID 00000000: 0000000D-68747541-444D4163-69746E65 [AuthenticAMD]
CPUID 00000001: 00A20F12-00100800-7EF8320B-178BFBFF
CPUID 0000000D: 00000207-00000988-00000988-00000000 [SL 00]
CPUID 0000000D: 0000000F-00000348-00001800-00000000 [SL 01]
CPUID 80000000: 80000008-68747541-444D4163-69746E65
CPUID 80000008: 00003030-111EF657-0000400B-00010000
------[ Logical CPU #1 ]------
CPUID 00000001: FFFFFFFF-FFFFFFFF-FFFFFFFF-FFFFFFFF
`;
const raw = `CPU 0:
   0x00000000 0x00: eax=0x00000016 ebx=0x756e6547 ecx=0x6c65746e edx=0x49656e69
   0x00000001 0x00: eax=0x000506e3 ebx=0x00100800 ecx=0x7ffafbbf edx=0xbfebfbff
CPU 1:
   0x00000001 0x00: eax=0xffffffff ebx=0x00000000 ecx=0x00000000 edx=0x00000000
`;

describe('a dump', () => {
  it('becomes a model with the features, numbers and layout of the processor', () => {
    const spec = specOfDump(json, 'ryzen'), model = resolveModel(spec);
    expect(shortSpec(spec)).toBe('ryzen');
    expect([model.name, model.vendor, model.brand, model.maxBasicLeaf, model.maxExtendedLeaf]).toEqual(['ryzen', 'AuthenticAMD', 'AMD Ryzen 9 5900', 0x10, 0x80000023]);
    for (const feature of ['cet-ss', 'pku', 'xsaves', 'smap', 'svm', 'rdpru']) expect(model.claimed.has(feature), feature).toBe(true);
    expect([modelNumbers['family']!(model), modelNumbers['physical-address-bits']!(model)]).toEqual([25, 48]);
    expect(cpuidOf(model, 0xd, 9)).toEqual([8, 0x980, 0, 0]);
    expect(cpuidOf(model, 1, 0)[1]).toBe(0x10800);
    expect(cpuidOf(model, 0x80000008, 0)[2]).toBe(0);
  });
  it('takes changes like any other model', () => {
    const spec = specOfDump(json, 'ryzen');
    expect(resolveModel(`${spec},-cet-ss,phys-bits=40`).claimed.has('cet-ss')).toBe(false);
    expect(modelNumbers['physical-address-bits']!(resolveModel(`${spec},-cet-ss,phys-bits=40`))).toBe(40);
    expect(shortSpec(`${spec},-cet-ss`)).toBe('ryzen,-cet-ss');
  });
  it('is read in the forms of InstLatx64 and of cpuid -r, of the first processor only', () => {
    expect(cpuidOf(resolveModel(specOfDump(latx, 'a')), 1, 0)[0]).toBe(0xa20f12);
    expect(cpuidOf(resolveModel(specOfDump(latx, 'a')), 0xd, 1)[0]).toBe(0xf);
    const intel = resolveModel(specOfDump(raw, 'b'));
    expect([intel.vendor, cpuidOf(intel, 1, 0)[0]]).toEqual(['GenuineIntel', 0x506e3]);
  });
  it('of several processors needs a name', () => {
    const text = JSON.stringify({ parts: { zen: JSON.parse(json) as unknown, other: {} } });
    expect(resolveModel(specOfDump(text, 'x', 'zen')).vendor).toBe('AuthenticAMD');
    expect(() => specOfDump(text, 'x')).toThrow(ModelError);
    expect(() => specOfDump(text, 'x', 'nothing')).toThrow(ModelError);
  });
  it('that is none is refused', () => {
    for (const text of ['', 'hello', '[]', '{', '{"cpuid":[[1,2]]}', '[[0,0,1,2,3]]', '{"parts":3}']) expect(() => specOfDump(text, 'x'), text).toThrow(ModelError);
  });
  it('has no more address bits than page tables', () => {
    for (const [bits, expected] of [['ff', 52], ['1', 32]] as const) {
      expect(modelNumbers['physical-address-bits']!(resolveModel(`x{AuthenticAMD max=d/80000008;1 f 0 0 0;80000008 ${bits} 0 0 0}`))).toBe(expected);
    }
  });
  it('a spec from a stranger is refused with what is wrong', () => {
    for (const spec of ['x{}', 'x{AuthenticAMD}', 'x{AuthenticAMD max=d;1 2}', 'x{AuthenticAMD max=d;1 2 3 4 zz}', 'x{NobodyAtHome max=d;1 0 0 0 0}', 'x{AuthenticAMD max=d', 'x{a}y']) {
      expect(() => resolveModel(spec), spec).toThrow(ModelError);
    }
  });
});
