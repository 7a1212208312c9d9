// The journal as a file: what goes in comes out, nothing changes afterwards, and what breaks the format is named.
import Database from 'better-sqlite3';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { decodeEvent, encodeEvent, packPlain } from '../../journal/codec.ts';
import { JournalError } from '../../journal/error.ts';
import type { Event, EventOf, Recorded } from '../../journal/events.ts';
import { comparePositions, formatPosition, parsePosition } from '../../journal/position.ts';
import { decodeState, resolvePages } from '../../journal/snapshots.ts';
import { addBookmark, createJournal, openJournal } from '../../journal/store.ts';
import { header, kindNames, page, readAll, sampleEvent, temporaryFolder, writeSample } from './sample.ts';

const folder = temporaryFolder();
const at = { vcpu: 0, icount: 0, level: 1 as const, smm: false };

/** The JournalError that the action ends with. */
function refusal(action: () => unknown): JournalError {
  try {
    action();
  } catch (error) {
    if (error instanceof JournalError) return error;
    throw error;
  }
  throw new Error('nothing was refused');
}

describe('a journal', () => {
  const path = join(folder, 'sample.journal');
  writeSample(path, 3);

  test('gives back what was recorded', () => {
    const journal = openJournal(path);
    expect(journal.header).toEqual(header);
    expect(journal.complete).toBe(true);
    const recorded = [...journal.events()];
    expect(recorded.length).toBe(journal.length);
    expect(recorded.map(({ seq }) => seq)).toEqual(recorded.map((_, index) => index));
    const first = recorded.slice(0, kindNames.length - 1).map(({ event }) => ({ ...event }));
    const plain = (event: Event) => JSON.stringify(event, (_, value: unknown) => typeof value === 'bigint' ? `${value}n` : value instanceof Uint8Array ? [...value] : value);
    expect(first.map((event) => plain(event as Event))).toEqual(kindNames.filter((kind) => kind !== 'SnapshotTaken').map((kind) => plain(sampleEvent(kind))));
    expect(journal.snapshots().map(({ number }) => number)).toEqual([0, 1, 2]);
    const pages = resolvePages(journal.snapshot, 1, 16);
    expect([...pages.keys()].sort((a, b) => a - b)).toEqual([1, 3, 4]);
    expect(new Uint8Array(journal.page(pages.get(4)!))).toEqual(page(6));
    expect(decodeState(journal.snapshot(2).record, 2, '').vm).toEqual({ random: 3n, slots: [1, 2] });
    expect(journal.footprint()[0]).toEqual({ capability: 'physical-address-bits', answer: 48, first: { seq: 0, icount: 0 } });
    expect([...journal.events(20)][0]).toEqual(recorded[20]);
    expect(journal.event(20)).toEqual(recorded[20]);
    journal.close();
  });

  test('gives back rows that came again and again, and those that came between them', () => {
    const again = join(folder, 'again.journal'), writer = createJournal(again, header), written: Recorded[] = [];
    const append = (event: Event, vcpu: number | null, level: 0 | 1 | 2, smm = false): void => {
      const stamp = { vcpu, icount: 3 * written.length, level, smm };
      written.push({ seq: writer.append(stamp, event), at: stamp, event });
    };
    for (let round = 0; round < 400; round++) {
      append({ kind: 'Vmrun', detail: { rip: BigInt(round) } }, round % 100 === 0 ? 1023 : 0, 1, round % 150 === 0);
      append({ kind: 'VmExit', detail: { code: round } }, 0, 2);
      if (round % 90 === 0) append({ kind: 'SerialOutput', bytes: new Uint8Array(round).fill(1) }, null, 0);
      if (round % 130 === 0) writer.flush();
    }
    const digest = writer.digest();
    writer.finish();
    const journal = openJournal(again);
    expect([...journal.events()]).toEqual(written);
    expect(journal.digest(written.length - 1)).toBe(digest);
    journal.close();
  });

  test('refuses to be changed', () => {
    const database = new Database(path);
    for (const statement of [
      'UPDATE event SET icount = 0', 'DELETE FROM event WHERE seq = 3', 'DELETE FROM page', 'UPDATE snapshot SET base = NULL', 'DELETE FROM header', 'UPDATE header SET ok = 0',
      'UPDATE header SET seed = 1', "UPDATE footprint SET answer = 'false'",
    ]) expect(() => database.exec(statement), statement).toThrow(/append-only/);
    database.close();
    expect(readAll(path).length).toBe(kindNames.length * 3);
  });

  test('keeps bookmarks', () => {
    addBookmark(path, { name: 'here', position: { seq: 3, icount: 9 }, note: 'the first fault' });
    const journal = openJournal(path);
    expect(journal.bookmarks()).toEqual([{ name: 'here', position: { seq: 3, icount: 9 }, note: 'the first fault' }]);
    journal.close();
  });

  test('has views for SQL users', () => {
    const database = new Database(path, { readonly: true });
    expect(database.prepare("SELECT level, kind, class FROM events WHERE seq = 1").get()).toEqual({ level: 'L2', kind: 'NonMaskableInterrupt', class: 'input' });
    expect(database.prepare('SELECT event_count, snapshot_count, ok FROM summary').get()).toEqual({ event_count: kindNames.length * 3, snapshot_count: 3, ok: 1 });
    for (const view of ['inputs', 'transitions', 'kinds', 'snapshots']) expect(database.prepare(`SELECT count(*) AS n FROM ${view}`).get()).toHaveProperty('n');
    database.close();
  });

  test('is not made over an existing file', () => {
    expect(refusal(() => createJournal(path, header)).code).toBe('exists');
    expect(refusal(() => createJournal(join(folder, 'no', 'such', 'folder'), header)).code).toBe('cannot-open');
  });

  test('that was not finished is readable up to its last commit', () => {
    const cut = join(folder, 'cut.journal');
    const writer = createJournal(cut, header);
    for (let index = 0; index < 100; index++) writer.append({ ...at, icount: index }, { kind: 'Halted' });
    writer.flush();
    for (let index = 100; index < 150; index++) writer.append({ ...at, icount: index }, { kind: 'Halted' });
    const journal = openJournal(cut);
    expect([journal.complete, journal.length, [...journal.events()].length]).toEqual([false, 100, 100]);
    journal.close();
    writer.finish();
    expect(readAll(cut).length).toBe(150);
  });
});

describe('a file from a stranger', () => {
  test('that is no journal is refused', () => {
    const path = join(folder, 'other');
    expect(refusal(() => openJournal(join(folder, 'nothing'))).code).toBe('cannot-open');
    writeFileSync(path, '');
    expect(refusal(() => openJournal(path)).code).toBe('not-a-journal');
    writeFileSync(path, 'x'.repeat(10000));
    expect(refusal(() => openJournal(path)).code).toBe('not-a-journal');
  });

  /** A journal changed by SQL as only its owner could. */
  function forged(name: string, sql: string): string {
    const path = join(folder, `${name}.journal`);
    writeSample(path);
    const database = new Database(path);
    database.unsafeMode(true);
    const triggers = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").all() as { name: string; sql: string }[];
    for (const trigger of triggers) database.exec(`DROP TRIGGER ${trigger.name}`);
    database.exec(sql);
    for (const trigger of triggers) if (!/no trigger/.test(sql)) database.exec(trigger.sql);
    database.close();
    return path;
  }

  const forgeries: readonly (readonly [name: string, sql: string, message: RegExp])[] = [
    ['view for a table', 'ALTER TABLE page RENAME TO page2; CREATE VIEW page AS SELECT * FROM page2; -- no trigger', /schema/],
    ['an index of its own', 'CREATE INDEX quick ON event (kind)', /index quick is not/],
    ['a trigger of its own', 'CREATE TRIGGER t AFTER INSERT ON bookmark BEGIN DELETE FROM bookmark; END', /trigger t is not/],
    ['no triggers', 'SELECT 1; -- no trigger', /missing/],
    ['a missing table', 'DROP TABLE bookmark', /missing/],
    ['a newer format', 'PRAGMA user_version = 77; UPDATE header SET oldest_reader = 77', /format version 77/],
    ['two formats', 'UPDATE header SET format = 3', /format version 3/],
    ['huge RAM', `UPDATE header SET ram_bytes = ${2 ** 52}`, /ram_bytes/],
    ['another seed', "UPDATE header SET seed = '0x0000000000000001'", /event 0: its digest/],
    ['a changed payload', "UPDATE event SET payload = x'91c40161' WHERE seq = 0", /event 0: its digest/],
    ['a missing event', 'DELETE FROM event WHERE seq = 4', /event 4: it is missing/],
    ['a huge payload', 'UPDATE event SET payload = zeroblob(20000000) WHERE seq = 2', /event 2: the payload is longer/],
    ['a swapped kind', "UPDATE event SET kind = 'Shutdown' WHERE kind = 'Halted'", /digest/],
    ['an unknown kind', "UPDATE event SET kind = 'Nonsense' WHERE seq = 1", /no event “Nonsense”/],
    ['time that runs back', 'UPDATE event SET icount = 0 WHERE seq = 5', /event 5: icount/],
    ['another page', 'UPDATE page SET bytes = zeroblob(4096)', /another hash/],
    ['a short page', 'UPDATE page SET bytes = zeroblob(4095)', /does not have 4096 bytes/],
    ['another snapshot', 'UPDATE snapshot SET pages = zeroblob(20)', /snapshot 0: it is not what event/],
    ['images that are no JSON', "UPDATE header SET images = '['", /images is not JSON/],
  ];
  for (const [name, sql, message] of forgeries) {
    test(`is refused: ${name}`, () => {
      const error = refusal(() => readAll(forged(name.replaceAll(' ', '-'), sql)));
      expect(error.message).toMatch(message);
    });
  }

  test('of a newer format that we may read is read', () => {
    expect(readAll(forged('newer', 'PRAGMA user_version = 2; UPDATE header SET format = 2; CREATE TABLE extra (x)')).length).toBe(kindNames.length);
  });
});

describe('a payload', () => {
  test('is the same after a round trip, for every kind', () => {
    for (const kind of kindNames) expect(decodeEvent(kind, encodeEvent(sampleEvent(kind)), 'here')).toEqual(sampleEvent(kind));
  });

  test('of an event like the one before is that of the event alone', () => {
    const details = [
      { rip: 1n, code: 2 }, { rip: 1n, code: 2 }, { rip: 1n, code: 2 }, { rip: 2n, code: 2 }, { rip: 2, code: 2 }, { rip: 2, code: 2n }, { code: 2n, rip: 2 }, { code: 2n }, {}, {},
      { code: 2n, rip: 2, more: null }, { code: 2n, rip: 2, more: null }, { list: [1] }, { list: [1] }, { list: [2] }, { text: 'a' }, { text: 'a' }, { text: 'b' },
    ] as unknown as EventOf<'VmExit'>['detail'][];
    for (const detail of details) expect(new Uint8Array(encodeEvent({ kind: 'VmExit', detail }))).toEqual(new Uint8Array(packPlain([detail])));
  });

  const wrong: readonly (readonly [name: string, kind: string, bytes: number[], message: RegExp])[] = [
    ['nothing', 'Halted', [], /byte 0: 1 bytes are announced/],
    ['an array of 4 thousand million', 'SerialInput', [0xdd, 0xff, 0xff, 0xff, 0xff], /byte 5: 4294967295 bytes/],
    ['bytes without end', 'SerialInput', [0x91, 0xc6, 0x7f, 0xff, 0xff, 0xff, 1], /byte 6: 2147483647 bytes/],
    ['an extension type', 'SerialInput', [0x91, 0xd4, 0x72, 0x40], /byte 1: 0xd4 is not a type/],
    ['the wrong type', 'SerialInput', [0x91, 1], /field 0 \(bytes\)/],
    ['too few fields', 'DebugExit', [0x90], /DebugExit has 1 fields/],
    ['a negative number', 'DebugExit', [0x91, 0xff], /status/],
    ['a fraction', 'DebugExit', [0x91, 0xcb, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], /status/],
    ['more behind it', 'Halted', [0x90, 0x90], /something follows/],
    ['endless nesting', 'Smi', Array(500).fill(0x91) as number[], /nested too deeply/],
    ['a key that is no text', 'Smi', [0x91, 0x81, 1, 1], /a key is not a string/],
  ];
  for (const [name, kind, bytes, message] of wrong) {
    test(`is refused: ${name}`, () => {
      const error = refusal(() => decodeEvent(kind, Uint8Array.from(bytes), 'event 7'));
      expect(error.message).toMatch(message);
      expect(error.message).toContain('event 7');
    });
  }

  test('may have fields that a later engine added', () => {
    expect(decodeEvent('DebugExit', Uint8Array.from([0x92, 5, 6]), '')).toEqual({ kind: 'DebugExit', status: 5 });
  });
});

test('positions are read, written and compared', () => {
  expect(parsePosition('12:400')).toEqual({ seq: 12, icount: 400 });
  expect(parsePosition('12')).toEqual({ seq: 12, icount: 0 });
  expect(formatPosition({ seq: 1, icount: 2 })).toBe('1:2');
  expect(comparePositions(parsePosition('1:9'), parsePosition('2:0'))).toBeLessThan(0);
  for (const text of ['', ':1', '1:', 'x', '-1:0', '99999999999999999:0', '9999999999999999:0']) expect(refusal(() => parsePosition(text)).code).toBe('no-such-position');
});
