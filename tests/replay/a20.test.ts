// A guest that moves the A20 gate: recorded, replayed in both tiers, sought to places where the gate is closed, and copied there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY } from 'rxjs';
import { expect, test } from 'vitest';
import { openJournal } from '../../journal/store.ts';
import { createKvm } from '../../src/kvm/system.ts';
import { digestOf } from '../../src/replay/machine.ts';
import { copyMachine } from '../../src/replay/mark.ts';
import { seek } from '../../src/replay/seek.ts';
import { verify } from '../../src/replay/verify.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { all, machine, recordFake } from './recording.ts';

test('where the gate stands is a function of the position', async () => {
  const path = join(temporaryFolder(), 'a20.journal'), kvm = createKvm(), program = new URL('../programs/out/a20.elf', import.meta.url);
  const events = await all(recordFake(kvm, path, {
    tier: 'auto', machine: { ...machine, ramBytes: 16 << 20 }, kernel: { name: 'a20.elf', bytes: readFileSync(program) }, commandLine: 'a20.elf', checkpointInterval: 1 << 12, inputs: EMPTY,
  }));
  expect(events.at(-1)!.event).toMatchObject({ kind: 'Ended', reason: 'exited', status: 1 });
  const journal = openJournal(path), steps = await all(verify(journal, { kvm }));
  expect(steps.flatMap(({ tier, step }) => step.kind === 'verdict' ? [[tier, step.verdict.kind]] : [])).toEqual([['interpreter', 'identical'], ['translator', 'identical']]);
  const seen = new Set<boolean>();
  for (let index = 1; index < 9; index++) {
    const position = { seq: 1, icount: Math.floor(journal.instructions * index / 9) };
    const [a, b] = (['interpreter', 'translator'] as const).map((tier) => seek(journal, position, { kvm, tier }).machine);
    expect(digestOf(a!)).toBe(digestOf(b!));
    expect(a!.vm.isA20Open()).toBe(b!.vm.isA20Open());
    seen.add(a!.vm.isA20Open());
    const copy = copyMachine(a!, journal.header, kvm, 'interpreter');
    expect(digestOf(copy)).toBe(digestOf(a!));
    for (const each of [a!, copy]) each.board.run(BigInt(position.icount + 500));
    expect(digestOf(copy)).toBe(digestOf(a!));
  }
  expect(seen.size).toBe(2);
  journal.close();
}, 60_000);
