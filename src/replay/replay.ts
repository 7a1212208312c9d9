// Replays: builds the machine of a journal, feeds the inputs at their positions, and compares everything that happens with what was
// recorded. The first difference ends it. A recording that was cut is replayed to its last committed event.
//
// Nothing is compared field by field while all is well: what happens is linked into a chain of its own, and after every event that has the
// recorded digest. So payloads are read only where something differs, and of inputs.
import { Observable } from 'rxjs';
import { createRoom, encodeEvent, link, type Chain } from '../../journal/codec.ts';
import { classOf, isInput, type Event, type Recorded, type Stamp } from '../../journal/events.ts';
import { corrupt, JournalError } from '../../journal/error.ts';
import type { Journal, Link } from '../../journal/store.ts';
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
  | { readonly kind: 'agreed'; readonly recorded: Recorded }
  | { readonly kind: 'verdict'; readonly verdict: Verdict };

/** The journal may be closed when the Observable completes or fails. */
export function replay(journal: Journal, options: ReplayOptions): Observable<ReplayStep> {
  return new Observable((subscriber) => {
    const breathe = options.breathe ?? (() => Promise.resolve());
    const { checkpointInterval } = journal.header;
    const expected = createCursor(journal);
    let divergence: Divergence | undefined;

    /** The machine says that something happened: the next recorded event must say the same. */
    function check(at: Stamp, event: Event): void {
      if (divergence) return;
      const row = expected.peek();
      if (row && expected.pop(at, event)) subscriber.next({ kind: 'agreed', recorded: { seq: row.seq, at, event } });
      else if (row || journal.complete) divergence = diverge(row?.seq ?? journal.length, row ? journal.event(row.seq) : null, { at, event });
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
        if (row.icount === icount && isOfInput(row)) {
          const { at, event } = journal.event(row.seq);
          if (isInput(event)) course.apply(at, event);
        } else if (expected.stopsAt() === icount) {
          course.stop();
        } else if (row.icount < icount || target <= icount) {
          // It was recorded and did not happen.
          divergence = diverge(row.seq, journal.event(row.seq), null);
        } else {
          course.advance(target);
          await breathe();
        }
      }
      if (subscriber.closed) return;
      if (journal.complete && !divergence && !course.over) throw corrupt(`event ${journal.length}`, 'the recording says that it is complete, and has no end');
      const left = expected.peek();
      if (!divergence && left) divergence = diverge(left.seq, journal.event(left.seq), null);
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

const isOfInput = ({ kind }: Link): boolean => kind !== undefined && classOf(kind) === 'input';

/** The recording ended here because somebody wanted it to. */
function isStopped(journal: Journal, { kind, seq }: Link): boolean {
  if (kind !== 'Ended') return false;
  const { event } = journal.event(seq);
  return event.kind === 'Ended' && event.reason === 'stopped';
}

interface Cursor {
  /** Reads ahead until it is known what was recorded up to `icount`. */
  readTo(icount: number): void;
  /** The next event that a replay must meet. */
  peek(): Link | undefined;
  /** Goes past it, if it is this one. */
  pop(at: Stamp, event: Event): boolean;
  /** Where the recording was stopped from outside, when that is the next thing from outside. */
  stopsAt(): number | undefined;
  /** The machine may run to here before the cursor must be looked at again: the next input, the end of what has been read ahead, the stop. */
  limit(): number;
}

/** Events that are read ahead at most, while one instruction does not have more. */
const READ_AHEAD = 1 << 10;

function createCursor(journal: Journal): Cursor {
  const links = journal.links()[Symbol.iterator](), chain: Chain = journal.chain(0), room = createRoom();
  let queue: Link[] = [], head = 0, ended = false, last: Link | undefined;

  function readOne(): void {
    const { done, value } = links.next() as IteratorResult<Link, undefined>;
    if (done) {
      ended = true;
      return;
    }
    last = value;
    queue.push(value);
  }
  /** Whether the machine must not run past the event before it is dealt with. */
  const isBarrier = (row: Link): boolean => isOfInput(row) || isStopped(journal, row);

  const barrier = (): Link | undefined => {
    for (let index = head; index < queue.length; index++) if (queue[index]!.kind !== undefined && isBarrier(queue[index]!)) return queue[index];
    return undefined;
  };

  /** A replay takes no snapshots. */
  function passSnapshots(): void {
    for (; queue[head]?.kind === 'SnapshotTaken'; head++) {
      const [taken] = journal.stored(queue[head]!.seq);
      link(chain, taken!.at, taken!.kind, taken!.payload);
    }
  }

  return {
    readTo(icount) {
      if (head > 0) {
        queue = queue.slice(head);
        head = 0;
      }
      while (!ended && (last?.icount ?? 0) <= icount) {
        if (queue.length >= READ_AHEAD && last!.icount > queue[0]!.icount + 1) return;
        if (queue.length > 0 && isBarrier(queue.at(-1)!)) return;
        readOne();
      }
    },
    peek() {
      passSnapshots();
      return queue[head];
    },
    pop(at, event) {
      link(chain, at, event.kind, encodeEvent(event, room));
      const { first, second } = queue[head++]!;
      return chain[0] === first && chain[1] === second;
    },
    stopsAt() {
      const row = barrier();
      return row?.kind === 'Ended' ? row.icount : undefined;
    },
    limit() {
      const row = barrier();
      if (row) return row.icount;
      // There may be more events at the last count that was read.
      if (!ended) return last!.icount - 1;
      // The last event of a cut recording may belong to the instruction at its count.
      return journal.complete ? Number.MAX_SAFE_INTEGER : (last?.icount ?? 0) + 1;
    },
  };
}
