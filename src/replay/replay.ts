// Replays: builds the machine of a journal, feeds the inputs at their positions, and compares everything that happens with what was
// recorded. The first difference ends it. A recording that was cut is replayed to its last committed event.
import { Observable } from 'rxjs';
import { createRoom, encodeEvent } from '../../journal/codec.ts';
import { classOf, isInput, type Event, type Stamp } from '../../journal/events.ts';
import { corrupt, JournalError } from '../../journal/error.ts';
import type { Journal, StoredEvent } from '../../journal/store.ts';
import type { Kvm, Tier } from '../kvm/api.ts';
import { diverge, type Divergence } from './compare.ts';
import { createCourse } from './course.ts';
import { assemble } from './machine.ts';
import { restoreSnapshot } from './snapshot.ts';

export interface ReplayOptions {
  readonly kvm: Kvm;
  readonly tier: Tier;
  /** Other behaviours than the recorded ones: the first event that comes out otherwise is the verdict. */
  readonly behaviours?: Readonly<Record<string, string>>;
  /** Waits until the host has done what it had to do; called between chunks. */
  readonly breathe?: () => Promise<void>;
}

export type Verdict =
  | {
    readonly kind: 'identical';
    readonly events: number;
    readonly instructions: number;
    /** The recording was cut: nothing is known beyond its last event. */
    readonly cut: boolean;
  }
  | { readonly kind: 'diverged'; readonly divergence: Divergence };

/** Progress, and at last the verdict. */
export type ReplayStep =
  | { readonly kind: 'agreed'; readonly event: StoredEvent }
  | { readonly kind: 'verdict'; readonly verdict: Verdict };

/** The journal may be closed when the Observable completes or fails. */
export function replay(journal: Journal, options: ReplayOptions): Observable<ReplayStep> {
  return new Observable((subscriber) => {
    const breathe = options.breathe ?? (() => Promise.resolve());
    const { checkpointInterval } = journal.header;
    const expected = createCursor(journal);
    let divergence: Divergence | undefined;
    const decode = (row: StoredEvent) => ({ at: row.at, event: journal.decode(row) });

    /** The machine says that something happened: the next recorded event must say the same. */
    function check(at: Stamp, event: Event): void {
      if (divergence) return;
      const row = expected.peek();
      if (row && matches(row, at, event)) {
        expected.pop();
        subscriber.next({ kind: 'agreed', event: row });
      } else if (row || journal.complete) {
        divergence = diverge(row?.seq ?? journal.length, row ? decode(row) : null, { at, event });
      }
    }

    async function run(): Promise<void> {
      const { behaviours = journal.header.behaviours } = options;
      const machine = assemble({ ...journal.header, behaviours }, options.kvm, options.tier);
      restoreSnapshot(machine, journal, firstSnapshot(journal));
      const course = createCourse(machine, checkpointInterval, check);
      while (!divergence && !course.over && !subscriber.closed) {
        const icount = machine.icount();
        const chunkEnd = (Math.floor(icount / checkpointInterval) + 1) * checkpointInterval;
        expected.readTo(chunkEnd);
        const row = expected.peek();
        if (!row) break;
        const target = Math.min(chunkEnd, expected.limit());
        if (row.at.icount === icount && classOf(row.kind) === 'input') {
          const event = journal.decode(row);
          if (isInput(event)) course.apply(row.at, event);
        } else if (expected.stopsAt() === icount) {
          course.stop();
        } else if (row.at.icount < icount || target <= icount) {
          // It was recorded and did not happen.
          divergence = diverge(row.seq, decode(row), null);
        } else {
          course.advance(target);
          await breathe();
        }
      }
      if (subscriber.closed) return;
      if (journal.complete && !divergence && !course.over) throw corrupt(`event ${journal.length}`, 'the recording says that it is complete, and has no end');
      const left = expected.peek();
      if (!divergence && left) divergence = diverge(left.seq, decode(left), null);
      const verdict: Verdict = divergence ? { kind: 'diverged', divergence }
        : { kind: 'identical', events: journal.length, instructions: journal.instructions, cut: !journal.complete };
      subscriber.next({ kind: 'verdict', verdict });
      subscriber.complete();
    }
    run().catch((error: unknown) => subscriber.error(error));
  });
}

/** The number of the snapshot that every journal begins with. */
export function firstSnapshot(journal: Journal): number {
  const [first] = journal.snapshots();
  if (first?.seq === 0 && first.number === 0) return 0;
  throw new JournalError('no-such-position', `${journal.path} was cut before its first snapshot: nothing can be replayed. Record the guest again.`);
}

/** Where our side of a comparison is packed. */
const room = createRoom();

function matches(row: StoredEvent, at: Stamp, event: Event): boolean {
  return row.kind === event.kind && row.at.icount === at.icount && row.at.vcpu === at.vcpu && row.at.level === at.level && row.at.smm === at.smm
    && hasBytes(row.payload, encodeEvent(event, room));
}
/** A call of Buffer.compare costs more than most payloads. */
function hasBytes(left: Uint8Array, right: Uint8Array): boolean {
  if (left.length !== right.length) return false;
  for (let index = 0; index < left.length; index++) if (left[index] !== right[index]) return false;
  return true;
}

/** The recording ended here because somebody wanted it to. */
function isStopped(journal: Journal, row: StoredEvent): boolean {
  if (row.kind !== 'Ended') return false;
  const event = journal.decode(row);
  return event.kind === 'Ended' && event.reason === 'stopped';
}

interface Cursor {
  /** Reads ahead until it is known what was recorded up to `icount`. */
  readTo(icount: number): void;
  /** The next event that a replay must meet. */
  peek(): StoredEvent | undefined;
  pop(): void;
  /** Where the recording was stopped from outside, when that is the next thing from outside. */
  stopsAt(): number | undefined;
  /** The machine may run to here before the cursor must be looked at again: the next input, the end of what has been read ahead, the stop. */
  limit(): number;
}

/** Events that are read ahead at most, while one instruction does not have more: with 16 times as many a replay is 6 % slower, because they grow old. */
const READ_AHEAD = 1 << 10;

function createCursor(journal: Journal): Cursor {
  const rows = journal.stored()[Symbol.iterator]();
  let queue: StoredEvent[] = [], head = 0, ended = false, last: StoredEvent | undefined;

  function readOne(): void {
    const { done, value } = rows.next() as IteratorResult<StoredEvent, undefined>;
    if (done) {
      ended = true;
      return;
    }
    last = value;
    // A replay takes no snapshots.
    if (value.kind !== 'SnapshotTaken') queue.push(value);
  }
  /** Whether the machine must not run past the row before it is dealt with. */
  const isBarrier = (row: StoredEvent): boolean => classOf(row.kind) === 'input' || isStopped(journal, row);

  const barrier = (): StoredEvent | undefined => {
    for (let index = head; index < queue.length; index++) if (isBarrier(queue[index]!)) return queue[index];
    return undefined;
  };

  return {
    readTo(icount) {
      if (head > 0) {
        queue = queue.slice(head);
        head = 0;
      }
      while (!ended && (last?.at.icount ?? 0) <= icount) {
        if (queue.length >= READ_AHEAD && last!.at.icount > queue[0]!.at.icount + 1) return;
        if (queue.length > 0 && isBarrier(queue.at(-1)!)) return;
        readOne();
      }
    },
    peek: () => queue[head],
    pop: () => { head++; },
    stopsAt() {
      const row = barrier();
      return row?.kind === 'Ended' ? row.at.icount : undefined;
    },
    limit() {
      const row = barrier();
      if (row) return row.at.icount;
      // There may be more events at the last count that was read.
      if (!ended) return last!.at.icount - 1;
      // The last event of a cut recording may belong to the instruction at its count.
      return journal.complete ? Number.MAX_SAFE_INTEGER : (last?.at.icount ?? 0) + 1;
    },
  };
}
