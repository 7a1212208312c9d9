// A guest that goes to system-management mode from every mode: recorded, replayed in both tiers, and sought to places inside the handler.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { EMPTY } from 'rxjs';
import { expect, test } from 'vitest';
import { openJournal } from '../../journal/store.ts';
import { createKvm } from '../../src/kvm/system.ts';
import { replay } from '../../src/replay/replay.ts';
import { verify } from '../../src/replay/verify.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { all, machine, recordFake } from './recording.ts';

test('every SMI and RSM is an event that a replay meets again', async () => {
  const path = join(temporaryFolder(), 'smm.journal'), kvm = createKvm();
  const events = await all(recordFake(kvm, path, {
    tier: 'auto', machine: { ...machine, ramBytes: 64 << 20 }, kernel: { name: 'smm.elf', bytes: readFileSync(new URL('../programs/out/smm.elf', import.meta.url)) },
    commandLine: 'smm.elf', checkpointInterval: 1 << 12, inputs: EMPTY,
  }));
  expect(events.at(-1)!.event).toMatchObject({ kind: 'Ended', reason: 'exited', status: 1 });
  const switches = events.filter(({ event }) => event.kind === 'Smi' || event.kind === 'Rsm');
  expect(switches.map(({ event, at }) => [event.kind, at.smm])).toEqual(switches.map((_, index) => index % 2 === 0 ? ['Smi', false] : ['Rsm', true]));
  expect(switches.length).toBeGreaterThan(20);
  const steps = await all(verify(openJournal(path), { kvm }));
  expect(steps.flatMap(({ tier, step }) => step.kind === 'verdict' ? [[tier, step.verdict.kind]] : [])).toEqual([['interpreter', 'identical'], ['translator', 'identical']]);
  // What the guest prints otherwise: the revision in the save area, whether the SMI ended a HLT.
  for (const [behaviours, where] of [
    [{ 'smm.io-restart': 'absent' }, 'SerialOutput'], [{ 'smm.auto-halt-restart': 'absent' }, 'SerialOutput'], [{ 'smm.smbase-alignment': '32-kib' }, undefined], [{ 'smm.interrupt-shadow': 'lost' }, undefined],
  ] as const) {
    const last = (await all(replay(openJournal(path), { kvm, tier: 'auto', behaviours }))).at(-1)!;
    expect(last.kind === 'verdict' && last.verdict.kind === 'diverged' ? last.verdict.divergence.recorded?.event.kind : undefined).toBe(where);
  }
}, 60_000);
