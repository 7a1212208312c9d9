// Every model of the tables resolves, CPUID claims nothing that the engine has no meaning for, and what users type is understood.
import { describe, expect, it } from 'vitest';
import { rows as opcodeRows } from '../../src/isa/tables.ts';
import { featureRows, requirements, support } from '../../src/model/features.ts';
import { cpuidOf, DEFAULT_MODEL, featureNamed, listModels, ModelError, modelNumbers, resolveModel } from '../../src/model/models.ts';

const registers = { eax: 0, ebx: 1, ecx: 2, edx: 3 } as const;
const hex = (row: readonly number[]): string => row.map((value) => value.toString(16)).join(' ');
function failure(spec: string): ModelError {
  try {
    resolveModel(spec);
  } catch (error) {
    if (error instanceof ModelError) return error;
    throw error;
  }
  throw new Error(`${spec} resolved`);
}

describe('the models', () => {
  it('are 123, and 63 aliases lead to one of them', () => {
    const models = listModels();
    expect(models.length).toBe(123);
    expect(models.flatMap(({ aliases }) => aliases).length).toBe(63);
    expect(new Set(models.flatMap(({ name, aliases }) => [name, ...aliases])).size).toBe(123 + 63);
    for (const { name, aliases } of models) for (const alias of aliases) expect(resolveModel(alias).name).toBe(name);
  });

  it('claim exactly the supported features in CPUID', () => {
    for (const { name } of listModels()) {
      const model = resolveModel(name);
      for (const [feature, [leaf, subleaf, register, bit, , word]] of Object.entries(featureRows)) {
        const shown = ((cpuidOf(model, leaf, subleaf)[registers[register]] >>> bit) & 1) === 1;
        if (leaf < 0x80000000 ? leaf > model.maxBasicLeaf : leaf > model.maxExtendedLeaf) continue;
        expect(shown, `${name} ${feature}`).toBe(model.claimed.has(feature));
        if (shown) expect(support[word].claimed, `${name} ${feature}`).toBe(true);
      }
    }
  });

  it('have every needed feature of what they have', () => {
    for (const { name } of listModels()) {
      const { present } = resolveModel(name);
      for (const [feature, needed] of requirements) if (present.has(feature)) expect(present.has(needed), `${name}: ${feature} needs ${needed}`).toBe(true);
    }
  });

  it('say their vendor and brand in CPUID', () => {
    const model = resolveModel('EPYC-Genoa-v3');
    expect(hex(cpuidOf(model, 0, 0))).toBe('d 68747541 444d4163 69746e65');
    expect(hex(cpuidOf(model, 0x80000000, 0))).toBe('80000022 68747541 444d4163 69746e65');
    const bytes = [2, 3, 4].flatMap((leaf) => cpuidOf(model, 0x80000000 + leaf, 0)).flatMap((word) => [0, 8, 16, 24].map((shift) => (word >>> shift) & 0xff));
    expect(String.fromCharCode(...bytes).replace(/\0+$/, '')).toBe('AMD EPYC-Genoa-v3 Processor');
  });

  it('answer leaves above the maximum as their vendor does', () => {
    expect(hex(cpuidOf(resolveModel('EPYC-Milan'), 0x99, 0))).toBe('0 0 0 0');
    expect(hex(cpuidOf(resolveModel('EPYC-Milan'), 0x40000000, 0))).toBe('0 0 0 0');
    const penryn = resolveModel('Nehalem');
    expect(penryn.maxBasicLeaf).toBe(0xb);
    expect(hex(cpuidOf(penryn, 0x99, 0))).toBe(hex(cpuidOf(penryn, 0xb, 0)));
    expect(hex(cpuidOf(penryn, 0x80000099, 0))).toBe(hex(cpuidOf(penryn, 0xb, 0)));
  });

  it('answer any sub-leaf', () => {
    const model = resolveModel('SapphireRapids');
    for (const leaf of [0x4, 0x7, 0xb, 0xd, 0x1f, 0x8000001d]) for (const subleaf of [0x64, 0xffffffff]) {
      expect(hex(cpuidOf(model, leaf, subleaf))).toBe(leaf === 0xb ? `0 0 ${(subleaf & 0xff).toString(16)} 0` : '0 0 0 0');
    }
    expect(hex(cpuidOf(model, 1, 77))).toBe(hex(cpuidOf(model, 1, 0)));
  });
});

describe('the default model', () => {
  it('is broad and AMD', () => {
    const model = resolveModel(DEFAULT_MODEL);
    expect(model.vendor).toBe('AuthenticAMD');
    for (const feature of ['lm', 'la57', 'pcid', 'smep', 'smap', 'umip', 'fsgsbase', 'bmi1', 'bmi2', 'adx', 'rdrand', 'rdtscp', 'pdpe1gb', 'cx16', 'abm', 'movbe']) {
      expect(model.claimed.has(feature), feature).toBe(true);
    }
    expect(modelNumbers['linear-address-bits']!(model)).toBe(57);
    expect(modelNumbers['physical-address-bits']!(model)).toBe(40);
    expect(modelNumbers['family']!(model)).toBe(25);
  });
  it('claims all of legacy SSE and the ciphers', () => {
    const model = resolveModel(DEFAULT_MODEL);
    for (const feature of ['fpu', 'mmx', 'fxsr', 'sse', 'sse2', 'pni', 'ssse3', 'sse4.1', 'sse4.2', 'sse4a', 'aes', 'pclmulqdq', 'sha-ni']) expect(model.claimed.has(feature), feature).toBe(true);
  });
});

describe('changes of a model', () => {
  it('add and remove features by any spelling', () => {
    const model = resolveModel('Opteron_G1,+lahf_lm,-cx16,smep=on,+sse3,+sgx');
    expect(model.claimed.has('lahf-lm')).toBe(true);
    expect(model.claimed.has('smep')).toBe(true);
    expect(model.claimed.has('cx16')).toBe(false);
    expect(model.claimed.has('pni')).toBe(true);
    expect(model.masked.find(({ feature }) => feature === 'sgx')).toMatchObject({ asked: true, present: false });
    expect((cpuidOf(model, 7, 0)[1] >>> 7) & 1).toBe(1);
    expect(model.maxBasicLeaf).toBe(7);
    expect(cpuidOf(model, 0, 0)[0]).toBe(7);
  });
  it('take what needs a removed feature away with it', () => {
    const model = resolveModel('EPYC-Genoa,-lm');
    for (const feature of ['la57', 'pcid', 'invpcid']) expect(model.present.has(feature), feature).toBe(false);
    expect(modelNumbers['linear-address-bits']!(model)).toBe(32);
  });
  it('set the physical width and the vendor', () => {
    const model = resolveModel('IvyBridge,phys-bits=36,vendor=AuthenticAMD');
    expect(modelNumbers['physical-address-bits']!(model)).toBe(36);
    expect(cpuidOf(model, 0x80000008, 0)[0]).toBe(0x3024);
    expect(model.vendor).toBe('AuthenticAMD');
  });
  it('are refused with the nearest names', () => {
    expect(failure('EPYC-Genua')).toMatchObject({ code: 'unknown-model' });
    expect(failure('EPYC-Genua').advice).toContain('EPYC-Genoa');
    expect(failure('EPYC,+smpe').advice).toContain('smep');
    expect(failure('EPYC,phys-bits=99').code).toBe('malformed');
    expect(failure('EPYC,vendor=ACME').code).toBe('malformed');
    expect(failure('EPYC,smep').code).toBe('malformed');
    expect(failure('__proto__').code).toBe('unknown-model');
    expect(failure('EPYC,+constructor').code).toBe('unknown-feature');
  });
});

it('every feature that an encoding needs is in the table', () => {
  const named = opcodeRows.flatMap((row) => (row[3] ?? '').split(' ').filter((note) => note.startsWith('+')).map((note) => note.slice(1)));
  for (const name of named) expect(() => featureNamed(name), name).not.toThrow();
});

it('every feature has its own bit', () => {
  const places = Object.values(featureRows).map(([leaf, subleaf, register, bit]) => `${leaf}.${subleaf}.${register}.${bit}`);
  expect(new Set(places).size).toBe(places.length);
});
