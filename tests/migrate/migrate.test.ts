// The migration verdict on real recordings: what a guest never asked cannot matter, and where it does matter the place, the check and the answer
// that decided are named. The guest is `programs/inject.S`: a letter on the serial port is a VMRUN with an event.
import { lastValueFrom } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { behaviourRows } from '../../src/model/behaviours.ts';
import { askedOtherwise, sideOf } from '../../src/migrate/footprint.ts';
import { runInLockstep } from '../../src/migrate/lockstep.ts';
import type { MigrationVerdict } from '../../src/migrate/migrate.ts';
import { replay } from '../../src/replay/replay.ts';
import { seek } from '../../src/replay/seek.ts';
import { kvm, MODEL, recorded, to } from './recorded.ts';

function diverged(verdict: MigrationVerdict): Extract<MigrationVerdict, { verdict: 'diverged' }> {
  if (verdict.verdict !== 'diverged') throw new Error(`the verdict is ${verdict.verdict}`);
  return verdict;
}

describe.each([['sev-es', 'v', 29], ['cet-ss', 'c', 21]])('an injected vector that needs %s', (feature, letter, vector) => {
  test(`is noticed without it: ${vector}`, async () => {
    const journal = await recorded(`g${letter}`, `${MODEL},+${feature}`);
    const { first, seen } = diverged(await to(journal, { model: MODEL }));
    expect(first.because).toEqual([{ capability: feature, original: true, other: false }]);
    expect(first.checks).toMatchObject([{ id: 'vmrun.event.vector', original: true, other: false }]);
    expect(first.checks[0]!.asked).toContain(feature);
    expect(first.other.transitions[0]).toMatchObject({ kind: 'Vmrun', detail: { exit: 'INVALID', failed: ['vmrun.event.vector'] } });
    expect([...first.place.bytes.subarray(0, 3)]).toEqual([0x0f, 0x01, 0xd8]);
    expect(seen).toBeUndefined();
    // The position is the place: the machine stands before the VMRUN there.
    const { machine: there } = seek(journal, first.position, { kvm, tier: 'interpreter' });
    expect([there.icount(), there.vm.vcpus[0]!.getRegs().rip]).toEqual([first.icount, first.place.rip]);
  });
  test('cannot matter where it is never injected', async () => {
    expect(await to(await recorded('gb', `${MODEL},+${feature}`), { model: MODEL })).toMatchObject({ verdict: 'identical', by: 'footprint', otherwise: [] });
  });
});

describe('GIF behind a VMRUN that fails', () => {
  const kept = { behaviours: { 'nsvm.vmrun-failure-gif': 'kept' } };
  test('is the first difference, and the NMI that comes then is what the guest can tell', async () => {
    const { first, seen, hidden } = diverged(await to(await recorded('g!'), kept));
    expect(first.event?.differences).toContain('detail.gif');
    expect(first.differences).toEqual([{ name: 'gif', vcpu: 0, a: '0x0', b: '0x1', hidden: true }]);
    expect(first.because.map(({ capability }) => capability)).toEqual(['nsvm.vmrun-failure-gif']);
    expect(hidden?.icount).toBe(first.icount);
    if (typeof seen !== 'object') throw new Error('the guest cannot tell');
    expect(seen.icount).toBeGreaterThan(first.icount);
    expect([seen.original.deliveries, seen.other.deliveries.map(({ kind }) => kind)]).toEqual([[], ['nmi']]);
  });
  test('is never seen by a guest without NMIs', async () => {
    expect(diverged(await to(await recorded('n'), kept)).seen).toBe('never');
  });
  test('does not matter to one whose VMRUNs pass', async () => {
    expect(await to(await recorded('gb'), kept)).toMatchObject({ verdict: 'identical', by: 'footprint' });
  });
});

describe('every value of every behaviour, one at a time', () => {
  const values = Object.entries(behaviourRows).flatMap(([id, row]) => Object.keys(row.values).filter((value) => value !== row.default).map((value) => [id, value] as const));
  test('is judged as a replay judges it, and is named where it decides', async () => {
    const journal = await recorded('', MODEL, 'svm-kvm');
    const verdicts: Record<string, string> = {};
    for (const [id, value] of values) {
      const behaviours = { [id]: value }, verdict = await to(journal, { behaviours });
      verdicts[`${id}=${value}`] = verdict.verdict === 'identical' ? verdict.by : verdict.verdict === 'diverged' ? verdict.first.because.map(({ capability }) => capability).join(' ') : verdict.verdict;
      const step = await lastValueFrom(replay(journal, { kvm, tier: 'interpreter', behaviours }));
      expect([id, step.kind === 'verdict' && step.verdict.kind]).toEqual([id, verdict.verdict]);
    }
    const named = Object.entries(verdicts).filter(([, by]) => by.includes('.'));
    expect(named.map(([choice, by]) => [choice.split('=')[0], by])).toEqual(named.map(([, by]) => [by, by]));
    expect(named.length).toBeGreaterThan(6);
    expect(verdicts).toMatchObject({ 'nsvm.np-enable-check=checked': 'footprint', 'nsvm.eventinj-vectors=unchecked': 'replay', 'nsvm.svme-clear=leaves-guest': 'nsvm.svme-clear' });
  });
});

test('what was never asked makes no difference when it is run all the same', async () => {
  const journal = await recorded('', MODEL, 'avx'), all = { kvm, tier: 'interpreter', snapshot: journal.snapshots()[0]!, watched: new Set<string>() } as const;
  const features = ['pge', 'vme', 'smep', 'umip', 'fsgsbase', 'svm', 'x2apic', 'rdrand', 'sha-ni', 'bmi2'];
  for (const feature of features) {
    const target = { ...journal.header, model: `${MODEL},-${feature}` };
    expect([feature, askedOtherwise(journal, sideOf(target)).length]).toEqual([feature, 0]);
    const result = await runInLockstep(journal, { ...all, target, breathe: () => Promise.resolve(), onProgress: () => undefined }, () => undefined, () => undefined);
    expect([feature, result.kind]).toEqual([feature, 'alike']);
  }
});

describe('a migration', () => {
  test('that was asked about and made no difference is identical by replay', async () => {
    expect(await to(await recorded('gb'), { behaviours: { 'nsvm.eventinj-vectors': 'by-capability' } })).toMatchObject({
      verdict: 'identical', by: 'replay', otherwise: [{ capability: 'nsvm.eventinj-vectors', original: 'architectural', other: 'by-capability' }],
    });
  });
  test('names the one of many changes that decides', async () => {
    const target = { behaviours: { 'nsvm.eventinj-vectors': 'unchecked', 'nsvm.eventinj-cleared-on-exit': 'kept', 'nsvm.ncr3-check': 'unchecked', 'msr.unknown': 'ignore' } };
    const { first } = diverged(await to(await recorded('gc'), target));
    expect(first.because.map(({ capability }) => capability)).toEqual(['nsvm.eventinj-cleared-on-exit']);
    expect(first.differences).toMatchObject([{ name: 'memory 0x90ab', a: '00', b: '80' }]);
  });
  test('finds the same place in every tier', async () => {
    const journal = await recorded('gv!', `${MODEL},+sev-es`);
    const places = await Promise.all((['interpreter', 'translator', 'reference'] as const).map(async (tier) => diverged(await to(journal, { model: MODEL, tier })).first.icount));
    expect(new Set(places).size).toBe(1);
  });
  test('to a processor without SVM diverges where EFER.SVME is set', async () => {
    const { first } = diverged(await to(await recorded('g'), { model: `${MODEL},-svm` }));
    expect(first.other.deliveries).toMatchObject([{ vector: 13, check: 'efer.reserved' }]);
    expect(first.checks).toMatchObject([{ id: 'efer.reserved', other: false }]);
    expect(first.because).toEqual([{ capability: 'svm', original: true, other: false }]);
  });
  test('to the same machine asks nothing', async () => {
    expect(await to(await recorded('g!'), {})).toMatchObject({ verdict: 'identical', by: 'footprint' });
  });
});
