// Recording, replaying and seeking a real guest on the real machine: phases of the benchmark image, made short.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { of } from 'rxjs';
import { beforeAll, expect, test } from 'vitest';
import { openJournal, type Journal } from '../../journal/store.ts';
import { createKvm } from '../../src/kvm/system.ts';
import { digestOf } from '../../src/replay/machine.ts';
import { seek } from '../../src/replay/seek.ts';
import { verify } from '../../src/replay/verify.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { smallImage } from './fake.ts';
import { all, machine, recordFake, verdictOf } from './recording.ts';

const image = readFileSync(fileURLToPath(new URL('../programs/bench/out/bench64.elf', import.meta.url)));
const path = join(temporaryFolder(), 'real.journal');
const kvm = createKvm();
let journal: Journal;

beforeAll(async () => {
  const events = await all(recordFake(kvm, path, {
    tier: 'auto', machine: { ...machine, ramBytes: 128 << 20 }, kernel: { name: 'bench64.elf', bytes: image }, commandLine: 'bench64.elf alu calls smc smcdata int80 pf portio shift=9',
    checkpointInterval: 1 << 17, inputs: of({ input: { kind: 'SerialInput' as const, bytes: new Uint8Array([104, 105]) }, vcpu: null }),
  }));
  expect(events.at(-1)!.event).toMatchObject({ kind: 'Ended', reason: 'exited', status: 1 });
  journal = openJournal(path);
});

test('a real guest replays identically in both tiers', async () => {
  const steps = await all(verify(journal, { kvm }));
  expect(steps.flatMap(({ tier, step }) => step.kind === 'verdict' ? [[tier, step.verdict.kind]] : [])).toEqual([['interpreter', 'identical'], ['translator', 'identical']]);
});

test('every position is the same place in both tiers', () => {
  for (let index = 1; index < 8; index++) {
    const position = { seq: 1, icount: Math.floor((journal.instructions * index) / 8) + 7 * index };
    const [a, b] = (['interpreter', 'translator'] as const).map((tier) => seek(journal, position, { kvm, tier }));
    expect(a!.machine.icount()).toBe(position.icount);
    expect(digestOf(a!.machine)).toBe(digestOf(b!.machine));
    expect(a!.position).toEqual(b!.position);
  }
});

test('the end of a run is a position too', () => {
  const { event } = journal.event(journal.length - 1);
  expect(digestOf(seek(journal, { seq: journal.length - 1, icount: 0 }, { kvm, tier: 'translator' }).machine)).toBe(event.kind === 'Ended' && event.state);
});

test('a guest that shuts down is recorded and replayed as that', async () => {
  const shutdown = join(temporaryFolder(), 'shutdown.journal');
  // LIDT of nothing, then INT3: no descriptor, no double fault handler, shutdown.
  const guest = smallImage([0x0f, 0x01, 0x1d, 0, 0, 0, 0, 0xcc]);
  const events = await all(recordFake(kvm, shutdown, { kernel: { name: 'guest', bytes: guest } }));
  expect(events.map(({ event }) => event.kind)).toEqual(['SnapshotTaken', 'TripleFault', 'Shutdown', 'Ended']);
  for (const tier of ['interpreter', 'translator'] as const) expect(await verdictOf(kvm, shutdown, tier)).toMatchObject({ kind: 'identical', cut: false });
});
