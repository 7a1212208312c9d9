// What the migration tests share: recordings of guest programs, and their migration.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { of } from 'rxjs';
import { openJournal, type Journal } from '../../journal/store.ts';
import { createKvm } from '../../src/kvm/system.ts';
import type { Tier } from '../../src/kvm/api.ts';
import { migrate, type MigrationVerdict } from '../../src/migrate/migrate.ts';
import { temporaryFolder } from '../journal/sample.ts';
import { all, machine, recordFake } from '../replay/recording.ts';

export const kvm = createKvm();
/** Nothing in it that other parts of the engine may yet learn to claim. */
export const MODEL = 'EPYC-Genoa-v3,-tsc-deadline,-fxsr-opt,-tce';
const folder = temporaryFolder();
let recordings = 0;

/** Records a program with these letters on its serial port. */
export async function recorded(letters: string, model = MODEL, name = 'inject'): Promise<Journal> {
  const path = join(folder, `${recordings++}.journal`);
  await all(recordFake(kvm, path, {
    tier: 'interpreter', machine: { ...machine, model, ramBytes: 16 << 20 }, kernel: { name, bytes: readFileSync(new URL(`../programs/out/${name}.elf`, import.meta.url)) },
    commandLine: name, checkpointInterval: 1 << 14, inputs: of({ input: { kind: 'SerialInput', bytes: new TextEncoder().encode(letters) }, vcpu: null }),
  }));
  return openJournal(path);
}

export interface Target { readonly model?: string; readonly behaviours?: Readonly<Record<string, string>>; readonly tier?: Tier }
export const to = (journal: Journal, { tier = 'interpreter', ...target }: Target): Promise<MigrationVerdict> =>
  migrate(journal, { ...journal.header, ...target }, { kvm, tier, breathe: () => Promise.resolve(), onProgress: () => undefined });
