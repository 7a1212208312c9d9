// Seeking: a machine that stands at a position of a journal. The nearest snapshot before it is restored, and the machine runs forward
// to the exact instruction with the inputs that lie between. Time travel is made of this.
import { JournalError } from '../../journal/error.ts';
import { classOf, isInput, type Kind } from '../../journal/events.ts';
import { formatPosition, type Position } from '../../journal/position.ts';
import type { Journal } from '../../journal/store.ts';
import type { Kvm, Tier } from '../kvm/api.ts';
import { createCourse } from './course.ts';
import { assemble, type Machine } from './machine.ts';
import { firstSnapshot } from './replay.ts';
import { restoreSnapshot } from './snapshot.ts';

export interface Standing {
  readonly machine: Machine;
  /** The same position in normal form: behind the last event that has happened. */
  readonly position: Position;
  /** Instructions that had to run from the snapshot. */
  readonly distance: number;
}

/** Events after which the guest does not go on: they belong to the instruction that comes next. */
const stops: ReadonlySet<Kind> = new Set<Kind>(['DebugExit', 'Halted', 'Shutdown', 'Failed']);

export interface SeekOptions {
  readonly kvm: Kvm;
  readonly tier: Tier;
  /** Other behaviours than the recorded ones. */
  readonly behaviours?: Readonly<Record<string, string>>;
}

export function seek(journal: Journal, position: Position, { kvm, tier, behaviours = journal.header.behaviours }: SeekOptions): Standing {
  const target = icountOf(journal, position), snapshot = nearest(journal, position, target);
  const machine = assemble({ ...journal.header, behaviours }, kvm, tier);
  restoreSnapshot(machine, journal, snapshot.number);
  const course = createCourse(machine, journal.header.checkpointInterval, () => {});
  let last = { seq: snapshot.seq, icount: snapshot.icount };
  for (const row of journal.stored(snapshot.seq)) {
    if (row.seq > position.seq && row.at.icount >= target) break;
    if (row.seq === snapshot.seq) continue;
    last = { seq: row.seq, icount: row.at.icount };
    if (classOf(row.kind) === 'input') {
      course.advance(row.at.icount);
      const event = journal.decode(row);
      if (isInput(event)) course.apply(row.at, event);
    } else if (stops.has(row.kind)) course.advance(row.at.icount + 1);
  }
  course.advance(target);
  return { machine, position: { seq: last.seq, icount: target - last.icount }, distance: target - snapshot.icount };
}

/** The instruction count of a position; refuses one that is not in the journal. */
export function icountOf(journal: Journal, position: Position): number {
  const target = journal.event(position.seq).at.icount + position.icount;
  if (target <= journal.instructions) return target;
  throw new JournalError('no-such-position',
    `Position ${formatPosition(position)} lies behind the end of the journal, at instruction ${journal.instructions} (event ${journal.length - 1}). Choose an earlier one.`);
}

function nearest(journal: Journal, position: Position, target: number): { number: number; seq: number; icount: number } {
  firstSnapshot(journal);
  return journal.snapshots().filter(({ seq, icount }) => icount < target || (icount === target && seq <= position.seq)).at(-1)!;
}
