// Event rows on their way into the table: they wait for each other, because one INSERT of many rows costs half of as many INSERTs, and what
// repeats in them is text of the statement instead of a bound value. Called by `store.ts`, which begins and ends the transactions.
import { createRoom, DIGEST_BYTES, putDigest, type Chain, type Room } from './codec.ts';
import { classOf, kinds, MAX_VCPUS, type Kind, type Level, type Stamp } from './events.ts';

/** A prepared INSERT. */
export interface Insert { run(...values: readonly unknown[]): { readonly lastInsertRowid: number | bigint } }

export interface Rows {
  /** Where the payload of the next event is to be. */
  room(): Room;
  /** Adds the next event, with the chain up to it. True: `write` is due. */
  add(at: Stamp, kind: Kind, payload: Uint8Array, chain: Chain): boolean;
  /** Writes the rows that wait. */
  write(): void;
}

/** Events in one INSERT: with 64 a row would cost a twentieth less, and the same sequence of kinds would come again less often. */
const BATCH = 16;
/** Sequences of shapes that have a statement of their own at most, and those that are remembered to see whether they come again. */
const MAX_INSERTS = 64, MAX_SEEN = 4096;

const kindNames = Object.keys(kinds) as Kind[];
const kindNumbers = Object.fromEntries(kindNames.map((kind, index) => [kind, index])) as Readonly<Record<Kind, number>>;

/** What most rows share with rows before them, as a number: everything but number, time, payload and digest. */
const shapeOf = ({ vcpu, level, smm }: Stamp, kind: Kind): number =>
  ((kindNumbers[kind] * 2 + (smm ? 1 : 0)) * 3 + level) * (MAX_VCPUS + 1) + (vcpu === null ? MAX_VCPUS : vcpu);

interface Shape { readonly vcpu: number | null; readonly level: Level; readonly smm: 0 | 1; readonly kind: Kind }
function readShape(shape: number): Shape {
  const vcpu = shape % (MAX_VCPUS + 1), rest = Math.floor(shape / (MAX_VCPUS + 1)), number = Math.floor(rest / 6);
  return { vcpu: vcpu === MAX_VCPUS ? null : vcpu, level: rest % 3 as Level, smm: Math.floor(rest / 3) % 2 as 0 | 1, kind: kindNames[number]! };
}

/** The row behind the last one: SQLite gives it the next number. */
function rowText(shape: number): string {
  const { vcpu, level, smm, kind } = readShape(shape);
  return `(NULL, ${vcpu ?? 'NULL'}, ?, ${level}, ${smm}, '${classOf(kind)}', '${kind}', ?, ?)`;
}

export function createRows(prepare: (sql: string) => Insert): Rows {
  const any = (rows: number): Insert => prepare(`INSERT INTO event VALUES ${Array(rows).fill('(?, ?, ?, ?, ?, ?, ?, ?, ?)').join(', ')}`);
  const insertBatch = any(BATCH), insertOne = any(1);
  const rooms = Array.from({ length: BATCH }, createRoom);
  const digests = Array.from({ length: BATCH }, () => new Uint8Array(new ArrayBuffer(DIGEST_BYTES)));
  const shapes = new Array<number>(BATCH).fill(0), values = new Array<number | Uint8Array>(3 * BATCH).fill(0);
  const inserts = new Map<string, Insert>(), seen = new Set<string>();
  let lastShapes: readonly number[] = [], lastInsert: Insert | undefined;
  /** The number of the first row that waits, and how many do. */
  let first = 0, waiting = 0;

  /** A guest does the same again and again: a sequence of shapes that has been there before gets a statement. */
  function insertOf(): Insert | undefined {
    if (lastInsert !== undefined && shapes.every((shape, index) => shape === lastShapes[index])) return lastInsert;
    const name = shapes.join();
    let insert = inserts.get(name);
    if (insert === undefined && seen.has(name) && inserts.size < MAX_INSERTS) {
      insert = prepare(`INSERT INTO event VALUES ${shapes.map(rowText).join(', ')}`);
      inserts.set(name, insert);
    } else if (insert === undefined && seen.size < MAX_SEEN) seen.add(name);
    lastShapes = shapes.slice();
    return lastInsert = insert;
  }

  /** All columns of a row that waits. */
  function columnsOf(index: number): unknown[] {
    const { vcpu, level, smm, kind } = readShape(shapes[index]!);
    return [first + index, vcpu, values[3 * index], level, smm, classOf(kind), kind, values[3 * index + 1], values[3 * index + 2]];
  }

  function writeBatch(): void {
    const insert = insertOf();
    if (insert === undefined) insertBatch.run(...shapes.flatMap((_, index) => columnsOf(index)));
    else if (insert.run(...values).lastInsertRowid !== first + BATCH - 1) throw new Error(`event ${first} has another number in the file`);
  }

  return {
    room: () => rooms[waiting]!,
    add(at, kind, payload, chain) {
      const place = 3 * waiting, digest = digests[waiting]!;
      putDigest(chain, digest);
      shapes[waiting] = shapeOf(at, kind);
      values[place] = at.icount;
      values[place + 1] = payload;
      values[place + 2] = digest;
      return ++waiting === BATCH;
    },
    write() {
      if (waiting === BATCH) writeBatch();
      else for (let index = 0; index < waiting; index++) insertOne.run(...columnsOf(index));
      first += waiting;
      waiting = 0;
    },
  };
}
