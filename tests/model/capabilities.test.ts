// The door remembers what was asked, once, and a footprint can be put to another model.
import { describe, expect, it } from 'vitest';
import { answerTo, createCapabilities } from '../../src/model/capabilities.ts';
import { ModelError, resolveModel } from '../../src/model/models.ts';

describe('the capability door', () => {
  it('remembers each question with the position where it first mattered', () => {
    let now = 5n;
    const door = createCapabilities('EPYC-Milan', {}, () => now);
    expect(door.has('smep')).toBe(true);
    now = 9n;
    expect(door.has('smep')).toBe(true);
    expect(door.has('la57')).toBe(false);
    expect(door.number('physical-address-bits')).toBe(40);
    expect(door.behaviour('msr.unknown')).toBe('fault');
    expect(door.vendor).toBe('AuthenticAMD');
    door.cpuid(7, 0);
    expect([...door.footprint()]).toEqual([
      ['smep', { answer: true, firstIcount: 5n }],
      ['la57', { answer: false, firstIcount: 9n }],
      ['physical-address-bits', { answer: 40, firstIcount: 9n }],
      ['msr.unknown', { answer: 'fault', firstIcount: 9n }],
      ['vendor', { answer: 'AuthenticAMD', firstIcount: 9n }],
      ['cpuid 7.0', { answer: '00000000 219c07a9 0040000c 00000010', firstIcount: 9n }],
    ]);
  });

  it('knows one feature by several names', () => {
    const door = createCapabilities('EPYC');
    expect(door.has('lzcnt')).toBe(true);
    expect(door.has('abm')).toBe(true);
    expect([...door.footprint().keys()]).toEqual(['abm']);
  });

  it('takes chosen behaviours and refuses unknown ones', () => {
    expect(createCapabilities('EPYC', { 'msr.unknown': 'ignore' }).behaviour('msr.unknown')).toBe('ignore');
    expect(() => createCapabilities('EPYC', { 'msr.unknown': 'maybe' })).toThrow(ModelError);
    expect(() => createCapabilities('EPYC', { 'msr.unknwon': 'fault' })).toThrow(ModelError);
    expect(() => createCapabilities('EPYC').behaviour('toString')).toThrow(/no behaviour/);
    expect(() => createCapabilities('EPYC').number('toString')).toThrow(/no number/);
  });

  it('stays small when a guest asks CPUID everything', () => {
    const door = createCapabilities('EPYC-Milan');
    for (let leaf = 0; leaf < 10_000; leaf++) door.cpuid(4, leaf);
    expect(door.footprint().size).toBe(4097);
    expect(door.cpuid(1, 0)[0]).toBe(0xa00f11);
  });
});

describe('a footprint put to a model', () => {
  const ask = (spec: string): ReturnType<typeof createCapabilities> => {
    const door = createCapabilities(spec);
    for (const feature of ['smep', 'la57', 'erms']) door.has(feature);
    door.number('linear-address-bits');
    for (const leaf of [0, 1, 7, 0x80000001, 0x99]) door.cpuid(leaf, 0);
    for (let leaf = 0; leaf < 5_000; leaf++) door.cpuid(0x40000000 + leaf, 0);
    void door.vendor;
    return door;
  };
  it('is answered by the same model in the same way', () => {
    for (const spec of ['EPYC-Milan', 'SapphireRapids', '486', 'Opteron_G2,+smep']) {
      const model = resolveModel(spec);
      for (const [capability, { answer }] of ask(spec).footprint()) expect(answerTo(model, {}, capability), `${spec}: ${capability}`).toBe(answer);
    }
  });
  it('shows where another model differs', () => {
    const genoa = resolveModel('EPYC-Genoa');
    const different = [...ask('EPYC-Milan').footprint()].filter(([capability, { answer }]) => answerTo(genoa, {}, capability) !== answer).map(([capability]) => capability);
    expect(different).toEqual(['la57', 'linear-address-bits', 'cpuid 1', 'cpuid 7.0', 'cpuid 80000001', 'cpuid *']);
  });
});
