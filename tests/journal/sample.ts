// A small journal for tests: every kind of event once, three snapshots, a footprint and a bookmark.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { kinds, type Event, type FieldType, type Kind, type Recorded } from '../../journal/events.ts';
import type { Header } from '../../journal/header.ts';
import { createPageTable, hashPage, PAGE_BYTES } from '../../journal/pages.ts';
import { decodeState, encodeState, resolvePages, snapshotDigest, type Snapshot } from '../../journal/snapshots.ts';
import { createJournal, openJournal, type JournalWriter } from '../../journal/store.ts';

export const header: Header = {
  engine: '0.1.0', model: 'EPYC-Milan', behaviours: { 'nsvm.vmrun-failure-gif': 'kept' }, seed: 0xfedcba9876543210n, ramBytes: 16 * PAGE_BYTES, cpuCount: 2, quantum: 1000,
  tscKhz: 1_000_000, checkpointInterval: 4096, images: [{ name: 'guest.elf', role: 'kernel', bytes: 100, digest: 'ab'.repeat(32) }],
  commandLine: 'guest.elf one two', created: '2026-11-21T00:00:00Z', parent: null,
};

/** A folder that goes away with the test process. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'retrovisor-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const samples: Readonly<Record<FieldType, unknown>> = {
  natural: 2 ** 40 + 3, optionalNatural: null, text: 'naïve', bytes: new Uint8Array([0, 255, 7]), digest: '0123456789abcdef',
  digests: ['0123456789abcdef', 'fedcba9876543210'],
  detail: { exitCode: 0xffffffffffffffffn, vector: 14, fails: true, why: null, checks: ['asid', { id: 'cr3', bytes: new Uint8Array([1]) }] },
};

export const sampleEvent = (kind: Kind): Event =>
  ({ kind, ...Object.fromEntries(Object.entries(kinds[kind].fields).map(([name, type]) => [name, samples[type as FieldType]])) }) as unknown as Event;

export const kindNames = Object.keys(kinds) as Kind[];

export function page(seed: number): Uint8Array {
  return Uint8Array.from({ length: PAGE_BYTES }, (_, index) => (index * seed) >> 3);
}

/** Puts snapshot `number` with a few changed pages. */
function addSnapshot(writer: JournalWriter, number: number, icount: number): void {
  const table = createPageTable();
  for (const index of [1, 3, 3 + number]) {
    table.update(index, page(index + number + 1));
    writer.addPage(hashPage(page(index + number + 1)), page(index + number + 1));
  }
  const snapshot: Snapshot = {
    number, icount, base: number % 2 === 0 ? null : number - 1, pages: table.all(),
    record: encodeState({ vcpus: [new Uint8Array(100).fill(number), new Uint8Array(3)], vm: { random: 3n, slots: [1, 2] }, board: { uart: [1, 2, 3] } }),
  };
  writer.addSnapshot(snapshot);
  writer.append({ vcpu: null, icount, level: 0, smm: false }, { kind: 'SnapshotTaken', snapshot: number, digest: snapshotDigest(snapshot) });
}

export function writeSample(path: string, rounds = 1): void {
  const writer = createJournal(path, header);
  let icount = 0;
  for (let round = 0; round < rounds; round++) {
    for (const kind of kindNames.filter((name) => name !== 'SnapshotTaken')) {
      writer.append({ vcpu: icount % 3 === 0 ? null : icount % 2, icount, level: (icount % 3) as 0 | 1 | 2, smm: icount % 7 === 0 }, sampleEvent(kind));
      icount += 5;
    }
    addSnapshot(writer, round, icount);
    writer.flush();
  }
  writer.addFootprint([{ capability: 'smep', answer: true, first: { seq: 3, icount: 1 } }, { capability: 'physical-address-bits', answer: 48, first: { seq: 0, icount: 0 } }]);
  writer.finish();
}

/** Reads everything that is in a journal; returns the events. */
export function readAll(path: string): Recorded[] {
  const journal = openJournal(path);
  try {
    const events = [...journal.events()];
    for (const { number } of journal.snapshots()) {
      decodeState(journal.snapshot(number).record, header.cpuCount, `snapshot ${number}`);
      for (const hash of resolvePages(journal.snapshot, number, 16).values()) journal.page(hash);
    }
    journal.footprint();
    journal.bookmarks();
    return events;
  } finally {
    journal.close();
  }
}
