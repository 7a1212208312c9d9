// What the replay tests share: recording on the fake VM, and waiting for an Observable.
import { lastValueFrom, toArray, type Observable } from 'rxjs';
import type { MachineHeader } from '../../journal/header.ts';
import type { Recorded } from '../../journal/events.ts';
import { openJournal } from '../../journal/store.ts';
import { record, type RecordOptions } from '../../src/replay/record.ts';
import { replay, type Verdict } from '../../src/replay/replay.ts';
import type { Kvm, Tier } from '../../src/kvm/api.ts';
import { smallImage } from './fake.ts';

export const machine: MachineHeader = { model: 'EPYC-Milan', behaviours: {}, seed: 77n, ramBytes: 1 << 21, cpuCount: 1, quantum: 1000, tscKhz: 1_000_000 };

export const all = <T>(source: Observable<T>): Promise<T[]> => lastValueFrom(source.pipe(toArray()));

export const recordFake = (kvm: Kvm, path: string, options: Partial<RecordOptions> = {}): Observable<Recorded> =>
  record({
    kvm, tier: 'interpreter', path, machine, kernel: { name: 'small.elf', bytes: smallImage() }, commandLine: 'small.elf', created: 'now', engine: 'test',
    checkpointInterval: 4096, ...options,
  });

export async function verdictOf(kvm: Kvm, path: string, tier: Tier = 'translator'): Promise<Verdict> {
  const journal = openJournal(path);
  try {
    const step = await lastValueFrom(replay(journal, { kvm, tier }));
    if (step.kind !== 'verdict') throw new Error('the replay has no verdict');
    return step.verdict;
  } finally {
    journal.close();
  }
}
