// The journal's file: all the SQL there is. A writer appends and commits when it is told to; a reader checks everything, because a
// journal may come from a stranger. SQLite runs in WAL mode and leaves it to the system when pages reach the disk: what is committed survives
// the death of the process at any moment. A power failure may damage the file, which the chain then shows; waiting for the disk costs
// more than the recording itself.
import Database from 'better-sqlite3';
import {
  chainDigest, decodeEvent, digestEquals, DIGEST_BYTES, encodeEvent, link, MAX_PAYLOAD_BYTES, type Chain,
} from './codec.ts';
import { corrupt, JournalError } from './error.ts';
import { classOf, isKind, MAX_VCPUS, type Event, type Kind, type Level, type Recorded, type Stamp } from './events.ts';
import { chainOf, headerColumns, headerRow, readHeaderRow, type Header } from './header.ts';
import { formats, newest, upcastFrom, type Format } from './migrations/formats.ts';
import { HASH_BYTES, hashPage, PAGE_BYTES } from './pages.ts';
import type { Position } from './position.ts';
import { createRows } from './rows.ts';
import { MAX_PAGE_LIST_BYTES, MAX_RECORD_BYTES, snapshotDigest, type Snapshot } from './snapshots.ts';

/** `RVJ1`, big-endian, in SQLite's header: tells a journal from other databases. */
const APPLICATION_ID = 0x52564a31;

/** What a run asked of the model and of the behaviours. */
export interface FootprintRow {
  readonly capability: string;
  readonly answer: boolean | number | string;
  readonly first: Position;
}

export interface Bookmark { readonly name: string; readonly position: Position; readonly note: string }

// ── Writing ──

export interface JournalWriter {
  /** Appends an event and returns its sequence number. It is safe after the next `flush`. */
  append(at: Stamp, event: Event): number;
  /** The chain's digest after the last event. */
  digest(): string;
  /** Stores a page; known content costs a look-up. */
  addPage(hash: Uint8Array, bytes: Uint8Array): void;
  /** Stores a snapshot. Its SnapshotTaken event, which must be the next event appended, carries `snapshotDigest`. */
  addSnapshot(snapshot: Snapshot): void;
  /** Remembers capabilities that were asked; those that are in the journal already stay as they are. */
  addFootprint(rows: readonly FootprintRow[]): void;
  /** Commits everything so far. */
  flush(): void;
  /** Commits, marks the recording as complete and closes the file. */
  finish(): void;
  /** Commits and closes; the recording is not complete. */
  abandon(): void;
  /** Closes without committing, after a failure. */
  close(): void;
}

/** Commits let the WAL grow to this many pages before it is copied into the file. */
const WAL_PAGES = 16384;

/** Creates the file; there must be none. */
export function createJournal(path: string, header: Header): JournalWriter {
  const database = createDatabase(path, header);
  const begin = database.prepare('BEGIN IMMEDIATE'), commit = database.prepare('COMMIT');
  const insertPage = database.prepare('INSERT OR IGNORE INTO page VALUES (?, ?)');
  const insertSnapshot = database.prepare('INSERT INTO snapshot VALUES (?, ?, ?, ?, ?, ?)');
  const insertFootprint = database.prepare('INSERT OR IGNORE INTO footprint VALUES (?, ?, ?, ?)');
  const chain = chainOf(header);
  const rows = createRows((sql) => database.prepare(sql));
  let seq = 0, open = false;

  function started(): void {
    if (!open) begin.run();
    open = true;
  }
  function writeRows(): void {
    started();
    rows.write();
  }
  function flush(): void {
    writeRows();
    commit.run();
    open = false;
  }

  return {
    append(at, event) {
      const payload = encodeEvent(event, rows.room());
      link(chain, at, event.kind, payload);
      if (rows.add(at, event.kind, payload, chain)) guarded(path, writeRows);
      return seq++;
    },
    digest: () => chainDigest(chain),
    addPage: (hash, bytes) => guarded(path, () => {
      started();
      insertPage.run(hash, bytes);
    }),
    addSnapshot: ({ number, icount, base, record, pages }) => guarded(path, () => {
      started();
      insertSnapshot.run(number, seq, icount, base, record, pages);
    }),
    addFootprint: (asked) => guarded(path, () => {
      started();
      for (const { capability, answer, first } of asked) insertFootprint.run(capability, JSON.stringify(answer), first.seq, first.icount);
    }),
    flush: () => guarded(path, flush),
    finish: () => guarded(path, () => {
      flush();
      database.exec('UPDATE header SET ok = 1');
      // A finished journal is one file that can be read where nothing can be written.
      database.pragma('journal_mode = DELETE');
      database.close();
    }),
    abandon: () => guarded(path, () => {
      flush();
      database.close();
    }),
    close: () => { database.close(); },
  };
}

function createDatabase(path: string, header: Header): Database.Database {
  return guarded(path, () => {
    const database = new Database(path);
    if (database.pragma('page_count', { simple: true }) !== 0) {
      database.close();
      throw new JournalError('exists', `There is a file at ${path} already. Choose another name, or remove it first.`);
    }
    database.pragma('journal_mode = WAL');
    database.pragma('synchronous = OFF');
    database.pragma(`wal_autocheckpoint = ${WAL_PAGES}`);
    const row = headerRow(header);
    // One transaction: whoever looks sees no journal at all, or a whole header.
    database.exec(`BEGIN; PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${newest.version}; ${newest.schema.join('; ')};`);
    database.prepare(`INSERT INTO header VALUES (1, ?, ?, ${headerColumns.map(() => '?').join(', ')}, 0)`)
      .run(newest.version, newest.oldestReader, ...headerColumns.map((column) => row[column]));
    database.exec('COMMIT');
    return database;
  });
}

/** Adds a bookmark to a journal that nobody is recording, or replaces the one of the same name. */
export function addBookmark(path: string, { name, position, note }: Bookmark): void {
  openJournal(path).close();
  guarded(path, () => {
    const database = new Database(path, { fileMustExist: true });
    restrict(database);
    database.prepare('INSERT OR REPLACE INTO bookmark VALUES (?, ?, ?, ?)').run(name, position.seq, position.icount, note);
    database.close();
  });
}

// ── Reading ──

/** An event whose payload has not been decoded. */
export interface StoredEvent {
  readonly seq: number;
  readonly at: Stamp;
  readonly kind: Kind;
  readonly payload: Uint8Array;
}

/** What the chain says of an event: enough to know whether the same has happened, without its payload. */
export interface Link {
  readonly seq: number;
  readonly icount: number;
  /** Of inputs, snapshots and the end; undefined for all that a machine does by itself. */
  readonly kind: Kind | undefined;
  /** The chain after the event. */
  readonly first: number;
  readonly second: number;
}

export interface Journal {
  readonly path: string;
  readonly format: number;
  readonly header: Header;
  /** False: the recording was cut, and ends with the last event that was committed. */
  readonly complete: boolean;
  /** Number of events. */
  readonly length: number;
  /** Instructions at the last event. */
  readonly instructions: number;
  /** Events from `from` on, in order, each checked against the chain. Decode with `decode`. */
  stored(from?: number): Iterable<StoredEvent>;
  decode(stored: StoredEvent): Event;
  /** The same events, a sixth of the work: places are checked, and that is all. */
  links(): Iterable<Link>;
  /** The chain before event `seq`. */
  chain(seq: number): Chain;
  events(from?: number): Iterable<Recorded>;
  /** One event; the chain is checked from its predecessor. */
  event(seq: number): Recorded;
  /** The digest of the chain after event `seq`. */
  digest(seq: number): string;
  /** Every snapshot: its number, and the event that stands for it. */
  snapshots(): readonly { readonly number: number; readonly seq: number; readonly icount: number }[];
  /** Checked against the digest in its event. */
  snapshot(number: number): Snapshot;
  /** The content of a page, checked against the hash. */
  page(hash: Uint8Array): Uint8Array;
  footprint(): readonly FootprintRow[];
  bookmarks(): readonly Bookmark[];
  close(): void;
}

/** Opens a journal for reading. Nothing in the file is changed or executed. */
export function openJournal(path: string): Journal {
  return guarded(path, () => {
    const database = new Database(path, { readonly: true, fileMustExist: true });
    try {
      return readerOf(path, database);
    } catch (error) {
      database.close();
      throw error;
    }
  });
}

/** Settings for a file that a stranger made: its SQL may call no function that has effects, and cells are checked before use. */
function restrict(database: Database.Database): void {
  database.pragma('trusted_schema = OFF');
  database.pragma('cell_size_check = ON');
  database.pragma('mmap_size = 0');
}

function readerOf(path: string, database: Database.Database): Journal {
  restrict(database);
  if (database.pragma('application_id', { simple: true }) !== APPLICATION_ID) {
    throw new JournalError('not-a-journal', `${path} is not a journal. A journal is made by “retro record”.`);
  }
  const { version, format } = formatOf(path, database);
  checkSchema(database, format, version);
  const { header, complete } = readHeader(database, version);
  const upcast = upcastFrom(format.version);

  // A payload or list that is too long is never loaded: the column then reads as NULL. Rows come many at a time, as one text, their payloads as
  // one blob and their digests as another: a JavaScript array and two buffers for each row would cost more than a replay does.
  const payload = `CASE WHEN typeof(payload) = 'blob' AND length(payload) <= ${MAX_PAYLOAD_BYTES} THEN payload END`;
  const digest = `CASE WHEN typeof(digest) = 'blob' AND length(digest) = ${DIGEST_BYTES} THEN digest END`;
  const selectEvents = database.prepare(`SELECT json_group_array(json_array(seq, vcpu, icount, level, smm, substr(class, 1, 64), substr(kind, 1, 64), length(payload), length(digest))),
    CAST(group_concat(payload, '') AS BLOB), CAST(group_concat(digest, '') AS BLOB)
    FROM (SELECT seq, vcpu, icount, level, smm, class, kind, ${payload} AS payload, ${digest} AS digest FROM event WHERE seq >= ? ORDER BY seq LIMIT ${READ_BATCH})`).raw();
  const isTold = "class = 'input' OR kind IN ('SnapshotTaken', 'Ended')";
  const selectLinks = database.prepare(`SELECT min(seq), max(seq), json_group_array(icount), json_group_array(json_array(seq, substr(kind, 1, 64))) FILTER (WHERE ${isTold}),
    CAST(group_concat(digest, '') AS BLOB) FROM (SELECT seq, icount, class, kind, ${digest} AS digest FROM event WHERE seq >= ? ORDER BY seq LIMIT ${LINK_BATCH})`).raw();
  const selectDigest = database.prepare('SELECT digest FROM event WHERE seq = ?').pluck();
  const selectSnapshot = database.prepare(`SELECT seq, icount, base, CASE WHEN length(record) <= ${MAX_RECORD_BYTES} THEN record END,
    CASE WHEN length(pages) <= ${MAX_PAGE_LIST_BYTES} THEN pages END FROM snapshot WHERE number = ?`).raw();
  const selectPage = database.prepare(`SELECT CASE WHEN length(bytes) = ${PAGE_BYTES} THEN bytes END FROM page WHERE hash = ?`).pluck();

  function chainBefore(seq: number): Chain {
    const chain = chainOf(header);
    if (seq === 0) return chain;
    const digest = selectDigest.get(seq - 1);
    if (!(digest instanceof Uint8Array) || digest.length !== DIGEST_BYTES) throw corrupt(`event ${seq - 1}`, 'it is missing, or has no digest');
    const view = new DataView(digest.buffer, digest.byteOffset);
    chain[0] = view.getInt32(0);
    chain[1] = view.getInt32(4);
    return chain;
  }

  function* stored(from = 0): Generator<StoredEvent> {
    const chain = guarded(path, () => chainBefore(from));
    let seq = from, icount = 0;
    for (;;) {
      const [text, payloads, digests] = guarded(path, () => selectEvents.get(seq) as [string, Uint8Array | null, Uint8Array | null]);
      const rows = JSON.parse(text) as unknown[][];
      let at = 0, digestAt = 0;
      for (const row of rows) {
        const length = row[PAYLOAD_LENGTH], end = at + (typeof length === 'number' ? length : 0);
        const event = checkRow(row, seq, icount, payloads?.subarray(at, end) ?? NOTHING);
        link(chain, event.at, event.kind, event.payload);
        if (row[DIGEST_LENGTH] !== DIGEST_BYTES || !digestEquals(chain, digests!, digestAt)) throw corrupt(`event ${seq}`, 'its digest does not follow from the events before it');
        at = end;
        digestAt += DIGEST_BYTES;
        icount = event.at.icount;
        seq++;
        yield event;
      }
      if (rows.length < READ_BATCH) return;
    }
  }

  function* links(): Generator<Link> {
    let seq = 0, icount = 0;
    while (seq < length) {
      const [first, last, counts, told, digests] = guarded(path, () => selectLinks.get(seq) as [number, number, string, string, Uint8Array | null]);
      const icounts = JSON.parse(counts) as unknown[], kinds = new Map(JSON.parse(told) as [number, Kind][]);
      if (first !== seq || last !== seq + icounts.length - 1) throw corrupt(`event ${seq}`, 'it is missing, or one of those behind it');
      if (digests?.length !== icounts.length * DIGEST_BYTES) throw corrupt(`event ${seq}`, 'it has no digest, or one of those behind it');
      const view = new DataView(digests.buffer, digests.byteOffset);
      for (let index = 0; index < icounts.length; index++, seq++) {
        const next = icounts[index];
        if (!isNatural(next) || next < icount) throw corrupt(`event ${seq}`, `icount ${String(next)} after ${icount}`);
        icount = next;
        yield { seq, icount, kind: kinds.get(seq), first: view.getInt32(index * DIGEST_BYTES), second: view.getInt32(index * DIGEST_BYTES + 4) };
      }
    }
  }

  function decode({ seq, kind, payload }: StoredEvent): Event {
    const now = upcast ? upcast({ kind, payload }) : { kind, payload };
    return decodeEvent(now.kind, now.payload, `event ${seq}`);
  }

  function event(seq: number): Recorded {
    const found = seq < length ? stored(seq).next() : undefined;
    if (found?.done === false) return { seq, at: found.value.at, event: decode(found.value) };
    throw new JournalError('no-such-position', `The journal has no event ${seq}; its last is ${length - 1}.`);
  }

  function snapshot(number: number): Snapshot {
    const where = `snapshot ${number}`;
    const row = selectSnapshot.get(number) as unknown[] | undefined;
    if (!row) throw corrupt(where, 'it is missing');
    const [seq, icount, base, record, pages] = row;
    if (!isNatural(seq) || !isNatural(icount) || !(base === null || isNatural(base)) || !(record instanceof Uint8Array) || !(pages instanceof Uint8Array)) {
      throw corrupt(where, 'a column has the wrong type or is too long');
    }
    const found: Snapshot = { number, icount, base, record, pages };
    const taken = event(seq).event;
    if (taken.kind !== 'SnapshotTaken' || taken.snapshot !== number || taken.digest !== snapshotDigest(found)) {
      throw corrupt(where, `it is not what event ${seq} says of it`);
    }
    return found;
  }

  function page(hash: Uint8Array): Uint8Array {
    const bytes: unknown = hash.length === HASH_BYTES ? selectPage.get(hash) : undefined;
    const name = Buffer.from(hash).toString('hex');
    if (!(bytes instanceof Uint8Array)) throw corrupt(`page ${name}`, `it is missing, or does not have ${PAGE_BYTES} bytes`);
    if (Buffer.compare(hashPage(bytes), hash) !== 0) throw corrupt(`page ${name}`, 'its content has another hash');
    return bytes;
  }

  /** Rows of a small table, at most `limit` of them. */
  const rowsOf = (table: string, order: string, columns: string, limit: number): unknown[][] =>
    database.prepare(`SELECT ${columns} FROM ${table} ORDER BY ${order} LIMIT ${limit}`).raw().all() as unknown[][];

  const last = database.prepare('SELECT seq, icount FROM event ORDER BY seq DESC LIMIT 1').raw().get() as unknown[] | undefined;
  const [lastSeq, lastIcount] = last ?? [-1, 0];
  if (last && (!isNatural(lastSeq) || !isNatural(lastIcount))) throw corrupt('the last event', 'seq or icount is not a natural number');
  const length = (lastSeq as number) + 1;

  const safely = <A extends unknown[], R>(action: (...given: A) => R) => (...given: A): R => guarded(path, () => action(...given));
  return {
    path, format: version, header, complete, length, instructions: lastIcount as number, stored, decode, links, chain: safely(chainBefore),
    *events(from) {
      for (const found of stored(from)) yield { seq: found.seq, at: found.at, event: decode(found) };
    },
    event: safely(event),
    digest: safely((seq) => chainDigest(chainBefore(seq + 1))),
    snapshots: safely(() => rowsOf('snapshot', 'number', 'number, seq, icount', MAX_ROWS).map(([number, seq, icount]) => {
      if (!isNatural(number) || !isNatural(seq) || !isNatural(icount)) throw corrupt('snapshots', 'a column is not a natural number');
      return { number, seq, icount };
    })),
    snapshot: safely(snapshot),
    page: safely(page),
    footprint: safely(() => rowsOf('footprint', 'first_seq, first_icount, capability', 'capability, answer, first_seq, first_icount', MAX_ROWS).map(readFootprint)),
    bookmarks: safely(() => rowsOf('bookmark', 'seq, icount, name', 'name, seq, icount, note', MAX_ROWS).map(readBookmark)),
    close: () => { database.close(); },
  };
}

/** Events that are loaded together: with payloads of the greatest length they fill 64 MiB. */
const READ_BATCH = 64;
/** Events whose links are. */
const LINK_BATCH = 1024;

/** Rows of the small tables that are read at most. */
const MAX_ROWS = 1 << 16;

const isNatural = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** The file's format version, and the format to read it with: its own, or the newest that we know when it says that this is enough. */
function formatOf(path: string, database: Database.Database): { version: number; format: Format } {
  const version = database.pragma('user_version', { simple: true }) as number;
  const format = formats.find((each) => each.version === version);
  if (format) return { version, format };
  const needs = version > newest.version ? database.prepare('SELECT oldest_reader FROM header LIMIT 1').pluck().get() : undefined;
  if (isNatural(needs) && needs <= newest.version) return { version, format: newest };
  throw new JournalError('too-new', `${path} has format version ${version}, this engine reads 1 to ${newest.version}. Use a newer engine.`);
}

/** The file's schema must be the format's, letter by letter: no view stands in for a table, no trigger or index is added. Statistics that
 * ANALYZE leaves are allowed; a newer format may add tables and views of its own. */
function checkSchema(database: Database.Database, format: Format, version: number): void {
  const expected = schemaOf(format);
  const found = database.prepare(`SELECT type, name, tbl_name, CASE WHEN length(sql) < 10000 THEN sql END FROM sqlite_schema
    WHERE name NOT IN ('sqlite_stat1', 'sqlite_stat4') LIMIT 1000`).raw().all() as unknown[][];
  for (const row of found) {
    const [type, name, table] = row.map(String), known = JSON.stringify(row);
    if (expected.delete(known)) continue;
    const addition = version > format.version && !ourTables.has(table!.toLowerCase()) && type !== 'trigger';
    if (!addition) throw corrupt('schema', `${type!.slice(0, 40)} ${name!.slice(0, 40)} is not that of format version ${format.version}`);
  }
  const [missing] = expected;
  if (missing) throw corrupt('schema', `${missing.slice(0, 60)} is missing`);
}

const ourTables = new Set(['header', 'event', 'page', 'snapshot', 'footprint', 'bookmark']);

/** What `sqlite_schema` holds in an empty journal of a format, by version. */
const schemas = new Map<number, readonly string[]>();

function schemaOf({ version, schema }: Format): Set<string> {
  let rows = schemas.get(version);
  if (!rows) {
    const model = new Database(':memory:');
    model.exec(schema.join('; '));
    rows = model.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema').raw().all().map((row) => JSON.stringify(row));
    model.close();
    schemas.set(version, rows);
  }
  return new Set(rows);
}

function readHeader(database: Database.Database, version: number): { header: Header; complete: boolean } {
  const columns = [...headerColumns, 'ok', 'format'];
  const rows = database.prepare(`SELECT ${columns.map((column) => `CASE WHEN length(${column}) <= 65536 THEN ${column} END AS ${column}`).join(', ')}
    FROM header LIMIT 2`).all() as Parameters<typeof readHeaderRow>[0][];
  if (rows.length !== 1) throw corrupt('header', `${rows.length} rows where there is one`);
  const row = rows[0] as Parameters<typeof readHeaderRow>[0] & { ok: unknown; format: unknown };
  if (row.format !== version) throw corrupt('header', `it says format version ${String(row.format)}, the file ${version}`);
  if (row.ok !== 0 && row.ok !== 1) throw corrupt('header', 'ok is neither 0 nor 1');
  return { header: readHeaderRow(row), complete: row.ok === 1 };
}

/** Places in a row as it is read; NULL where there is no blob, or one that is too long. */
const PAYLOAD_LENGTH = 7, DIGEST_LENGTH = 8;
const NOTHING = new Uint8Array(0);

/** Checks an event's row against its place and the events before it. */
function checkRow(row: readonly unknown[], expectedSeq: number, leastIcount: number, payload: Uint8Array): StoredEvent {
  const [seq, vcpu, icount, level, smm, eventClass, kind] = row;
  const where = `event ${expectedSeq}`;
  if (seq !== expectedSeq) throw corrupt(where, `it is missing; the next is ${String(seq)}`);
  if (vcpu !== null && !(isNatural(vcpu) && vcpu < MAX_VCPUS)) throw corrupt(where, 'vcpu is not the number of a vCPU');
  if (!isNatural(icount) || icount < leastIcount) throw corrupt(where, `icount ${String(icount)} after ${leastIcount}`);
  if (level !== 0 && level !== 1 && level !== 2) throw corrupt(where, `level ${String(level)}`);
  if (smm !== 0 && smm !== 1) throw corrupt(where, `smm ${String(smm)}`);
  if (typeof kind !== 'string' || !isKind(kind)) throw corrupt(where, `there is no event “${String(kind).slice(0, 40)}”`);
  if (eventClass !== classOf(kind)) throw corrupt(where, `${kind} is not of class ${String(eventClass).slice(0, 40)}`);
  if (row[PAYLOAD_LENGTH] !== payload.length) throw corrupt(where, `the payload is longer than ${MAX_PAYLOAD_BYTES} bytes or not a blob`);
  return { seq: expectedSeq, at: { vcpu: vcpu as number | null, icount, level: level as Level, smm: smm === 1 }, kind, payload };
}

function readFootprint([capability, text, seq, icount]: unknown[]): FootprintRow {
  let answer: unknown;
  try {
    answer = typeof text === 'string' && text.length <= MAX_PAYLOAD_BYTES ? JSON.parse(text) : undefined;
  } catch {
    answer = undefined;
  }
  if (typeof capability !== 'string' || !['boolean', 'number', 'string'].includes(typeof answer) || !isNatural(seq) || !isNatural(icount)) {
    throw corrupt('footprint', 'a row has the wrong types');
  }
  return { capability, answer: answer as FootprintRow['answer'], first: { seq, icount } };
}

function readBookmark([name, seq, icount, note]: unknown[]): Bookmark {
  if (typeof name !== 'string' || typeof note !== 'string' || !isNatural(seq) || !isNatural(icount)) throw corrupt('bookmark', 'a row has the wrong types');
  return { name, position: { seq, icount }, note };
}

// ── Errors ──

/** Runs an action on the file at `path`; what SQLite complains of becomes a JournalError. */
function guarded<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw error instanceof JournalError ? error : explain(path, error);
  }
}

function explain(path: string, error: unknown): unknown {
  if (error instanceof TypeError && /directory/.test(error.message)) {
    return new JournalError('cannot-open', `${path} cannot be opened: its folder does not exist. Check the path.`, error);
  }
  if (!(error instanceof Database.SqliteError)) return error;
  const primary = error.code.split('_').slice(0, 2).join('_');
  switch (primary) {
    case 'SQLITE_NOTADB': return new JournalError('not-a-journal', `${path} is not a journal. A journal is made by “retro record”.`, error);
    case 'SQLITE_CANTOPEN': return new JournalError('cannot-open', `${path} cannot be opened. Check the path and its permissions.`, error);
    case 'SQLITE_BUSY': return new JournalError('cannot-open', `${path} is in use by another program. Try again when that has ended.`, error);
    case 'SQLITE_FULL': case 'SQLITE_READONLY': case 'SQLITE_IOERR':
      return new JournalError('cannot-write', `${path} cannot be read or written: ${error.message}. Check the disk and the permissions.`, error);
    default: return corrupt(path, `SQLite says “${error.message}” (${error.code})`);
  }
}

