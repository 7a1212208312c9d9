// Record, replay, seek on a VM that is not one: the rules of journals, whatever the processor does.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { of, Subject, concat, timer, map, take as takeSome } from 'rxjs';
import { describe, expect, test } from 'vitest';
import { JournalError } from '../../journal/error.ts';
import { openJournal } from '../../journal/store.ts';
import { compareJournals } from '../../src/replay/compare.ts';
import type { HostInput } from '../../src/replay/live.ts';
import { digestOf } from '../../src/replay/machine.ts';
import { seek } from '../../src/replay/seek.ts';
import { verify } from '../../src/replay/verify.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { fakeKvm } from './fake.ts';
import { all, machine, recordFake, verdictOf } from './recording.ts';

const folder = temporaryFolder();
let files = 0;
const newPath = (): string => join(folder, `${files++}.journal`);
const keys = (text: string): HostInput => ({ input: { kind: 'SerialInput', bytes: new TextEncoder().encode(text) }, vcpu: null });
const breathe = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve); });

describe('a recording', () => {
  test('replays identically in another tier', async () => {
    const kvm = fakeKvm({ endsAt: 100_000 }), path = newPath();
    const events = await all(recordFake(kvm, path, { inputs: of(keys('hello')) }));
    expect(events[0]!.event.kind).toBe('SnapshotTaken');
    expect(events[1]!.event.kind).toBe('SerialInput');
    expect(events.map(({ event }) => event.kind).slice(-2)).toEqual(['DebugExit', 'Ended']);
    expect(await verdictOf(kvm, path)).toEqual({ kind: 'identical', events: events.length, instructions: 100_000, cut: false });
    const journal = openJournal(path);
    const steps = await all(verify(journal, { kvm }));
    expect(steps.filter(({ step }) => step.kind === 'verdict').map(({ tier, step }) => [tier, step.kind === 'verdict' && step.verdict.kind]))
      .toEqual([['interpreter', 'identical'], ['translator', 'identical']]);
    expect(journal.footprint().map(({ capability }) => capability)).toEqual(['smep']);
    journal.close();
  });

  test('with a damaged payload is refused by whoever verifies it', async () => {
    const kvm = fakeKvm({ endsAt: 10_000, transitionEvery: 777 }), path = newPath();
    const events = await all(recordFake(kvm, path));
    const bytes = readFileSync(path), kind = Buffer.from('transitionVmExit'), at = bytes.indexOf(kind) + kind.length;
    // The columns are one behind the other: class, kind, payload.
    expect(at).toBeGreaterThan(kind.length);
    bytes[at + 3]! ^= 1;
    writeFileSync(path, bytes);
    const journal = openJournal(path);
    await expect(all(verify(journal, { kvm }))).rejects.toThrow(/digest does not follow/);
    journal.close();
    expect(events.length).toBeGreaterThan(10);
  });

  test('has inputs at the instruction where they were given', async () => {
    const kvm = fakeKvm({ endsAt: 1_000_000 }), path = newPath();
    const inputs = concat(of(keys('first')), timer(1, 1).pipe(takeSome(5), map((index) => index === 3 ? { input: { kind: 'NonMaskableInterrupt' as const }, vcpu: 0 } : keys(`line ${index}\n`))));
    const events = await all(recordFake(kvm, path, { inputs, breathe }));
    expect(events.filter(({ event }) => event.kind === 'SerialInput' || event.kind === 'NonMaskableInterrupt').length).toBeGreaterThan(1);
    expect(await verdictOf(kvm, path)).toMatchObject({ kind: 'identical', cut: false });
  });

  test('of several vCPUs in turns counts the instructions of all of them', async () => {
    const kvm = fakeKvm({ endsAt: 30_000, transitionEvery: 777 }), path = newPath();
    const events = await all(recordFake(kvm, path, { machine: { ...machine, cpuCount: 3 } }));
    expect(new Set(events.map(({ at }) => at.vcpu))).toEqual(new Set([null, 0, 1, 2]));
    expect(events.at(-1)!.at.icount).toBeGreaterThan(80_000);
    expect(await verdictOf(kvm, path)).toMatchObject({ kind: 'identical', cut: false });
    const journal = openJournal(path);
    for (const seq of [1, 50, 100]) expect(seek(journal, { seq, icount: 0 }, { kvm, tier: 'translator' }).machine.icount()).toBe(events[seq]!.at.icount);
    journal.close();
  });

  test('can be stopped, by count or by hand', async () => {
    const kvm = fakeKvm(), counted = newPath(), stopped = newPath();
    const events = await all(recordFake(kvm, counted, { until: 12_345 }));
    expect(events.at(-1)).toMatchObject({ at: { icount: 12_345 }, event: { kind: 'Ended', reason: 'stopped' } });
    expect(await verdictOf(kvm, counted)).toMatchObject({ kind: 'identical', instructions: 12_345 });
    const stop = new Subject<void>();
    setTimeout(() => stop.next(), 20);
    await all(recordFake(kvm, stopped, { stop, breathe }));
    expect(await verdictOf(kvm, stopped)).toMatchObject({ kind: 'identical', cut: false });
  });

  test('that nobody listens to any more is kept as a cut one', async () => {
    const kvm = fakeKvm(), path = newPath();
    await all(recordFake(kvm, path, { breathe }).pipe(takeSome(200)));
    const journal = openJournal(path);
    expect([journal.complete, journal.length]).toEqual([false, 200]);
    journal.close();
    expect(await verdictOf(kvm, path)).toMatchObject({ kind: 'identical', events: 200, cut: true });
  });

  test('is the same whenever the host breathes and however far apart snapshots are', async () => {
    const kvm = fakeKvm({ endsAt: 50_000 }), a = newPath(), b = newPath();
    await all(recordFake(kvm, a));
    await all(recordFake(kvm, b, { breathe, tier: 'translator' }));
    const [first, second] = [openJournal(a), openJournal(b)];
    expect(compareJournals(first, second)).toBeUndefined();
    first.close();
    second.close();
  });
});

describe('a replay that differs', () => {
  for (const icount of [0, 3, 4095, 4096, 60_001, 99_999]) {
    test(`is stopped at the first difference: instruction ${icount}`, async () => {
      const kvm = fakeKvm({ endsAt: 100_000, wrong: { tier: 'translator', icount } }), path = newPath();
      await all(recordFake(kvm, path));
      const verdict = await verdictOf(kvm, path);
      if (verdict.kind !== 'diverged') throw new Error('it did not diverge');
      const { recorded, replayed, differences } = verdict.divergence;
      expect(recorded!.event.kind).toBe(replayed!.event.kind);
      expect(differences.length).toBeGreaterThan(0);
      expect(replayed!.at.icount - icount).toBeLessThan(2000);
      expect(await verdictOf(kvm, path, 'interpreter')).toMatchObject({ kind: 'identical' });
    });
  }

  test('because it ends elsewhere shows what was recorded', async () => {
    const path = newPath();
    await all(recordFake(fakeKvm({ endsAt: 20_000 }), path));
    expect(await verdictOf(fakeKvm({ endsAt: 20_010 }), path)).toMatchObject({ kind: 'diverged', divergence: { recorded: { event: { kind: 'SerialOutput' } } } });
    expect(await verdictOf(fakeKvm({ endsAt: 19_000 }), path)).toMatchObject({ kind: 'diverged', divergence: { replayed: { at: { icount: 19_000 } } } });
    expect(await verdictOf(fakeKvm({ endsAt: 20_000, transitionEvery: 4999 }), path)).toMatchObject({ kind: 'diverged', divergence: { replayed: { event: { kind: 'VmExit' }, at: { icount: 4999 } } } });
    expect(await verdictOf(fakeKvm({ endsAt: 20_000, transitionEvery: 1e9 }), path)).toMatchObject({ kind: 'diverged', divergence: { recorded: { event: { kind: 'VmExit' } } } });
  });
});

describe('seeking', () => {
  test('stands where the run was, at any position', async () => {
    const kvm = fakeKvm({ endsAt: 60_000 }), path = newPath();
    const inputs = concat(of(keys('a')), timer(1, 1).pipe(takeSome(3), map(() => keys('xyz'))));
    const events = await all(recordFake(kvm, path, { inputs, breathe }));
    const journal = openJournal(path);
    const standing = (seq: number, icount = 0) => seek(journal, { seq, icount }, { kvm, tier: 'translator' });
    for (const { seq, at, event } of events) {
      if (seq % 50 !== 0 && event.kind !== 'Ended' && event.kind !== 'SerialInput') continue;
      const { machine, position } = standing(seq);
      expect(machine.icount()).toBe(at.icount);
      expect(position).toEqual({ seq, icount: 0 });
      if (event.kind === 'Ended') expect(digestOf(machine)).toBe(event.state);
    }
    for (const { seq, event } of events) {
      if (event.kind === 'Checkpoint') expect(standing(seq).machine.vm.vcpus.map((vcpu) => vcpu.digest())).toEqual(event.vcpus);
    }
    // The same instruction by another name.
    expect(digestOf(standing(0, 30_000).machine)).toBe(digestOf(standing(standing(0, 30_000).position.seq, standing(0, 30_000).position.icount).machine));
    expect(() => standing(events.length)).toThrow(JournalError);
    expect(() => standing(0, 60_001)).toThrow(/behind the end/);
    journal.close();
  });
});
