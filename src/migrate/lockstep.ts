// Two machines side by side: the recording's own, and one with another CPU or other behaviours, both fed the recorded inputs. They run slice
// by slice and are compared; where they differ, the first instruction that made the difference is searched for inside the slice.
import type { Event, Stamp } from '../../journal/events.ts';
import { classOf, isInput } from '../../journal/events.ts';
import { encodeEvent } from '../../journal/codec.ts';
import type { MachineHeader } from '../../journal/header.ts';
import type { Journal, StoredEvent } from '../../journal/store.ts';
import type { Kvm, Tier } from '../kvm/api.ts';
import { differencesOf, type Happened } from '../replay/compare.ts';
import { createCourse, type Course } from '../replay/course.ts';
import { differencesBetween, type Difference } from '../replay/difference.ts';
import { assemble, digestOf, type Machine } from '../replay/machine.ts';
import { createMark, type Mark } from '../replay/mark.ts';
import { restoreSnapshot } from '../replay/snapshot.ts';

export interface LockstepOptions {
  readonly kvm: Kvm;
  readonly tier: Tier;
  readonly target: MachineHeader;
  /** The snapshot to start from: nothing that differs was asked before it. */
  readonly snapshot: { readonly number: number; readonly seq: number };
  /** Capabilities that the two sides answer differently: wherever one is asked, the sides are compared. */
  readonly watched: ReadonlySet<string>;
  readonly breathe: () => Promise<void>;
  readonly onProgress: (instructions: number) => void;
}

/** An event that one side has and the other has not, or has otherwise. */
export interface EventDifference { readonly original: Happened | null; readonly other: Happened | null; readonly differences: readonly string[] }

/** The two sides are alike before the instruction at `icount`, and not behind it. */
export interface Parting {
  readonly icount: number;
  /** Behind the instruction. Empty when only an event differs. */
  readonly differences: readonly Difference[];
  /** The first event that differs: that of the instruction, or a later one that it led to. */
  readonly event: EventDifference | undefined;
}

export interface Pair { readonly original: Machine; readonly other: Machine }

export type LockstepResult =
  | { readonly kind: 'alike'; readonly instructions: number }
  /** This engine does not replay the recording itself. */
  | { readonly kind: 'broken'; readonly seq: number }
  | { readonly kind: 'parted'; readonly parting: Parting };

/** Told of a parting while both machines stand before its instruction. */
export type OnParting = (parting: Parting, pair: Pair) => void;

/** A question may be asked again and again: so many places of a run are looked at one by one, and so many of a slice. */
const LOOKED_AT = 1024, LOOKED_AT_IN_SLICE = 128;
/** Hidden state that differs may soon be the same again: the slices behind such a place are short at first. */
const SHORT_SLICE = 64;
/** So often it may be the same again; from then on only what instructions read is compared. */
const HIDDEN_PARTINGS = 8;

interface Walker { readonly machine: Machine; readonly mark: Mark; course: Course; events: Happened[]; asked: number[] }

function createWalker(journal: Journal, header: MachineHeader, { kvm, tier, snapshot, watched }: LockstepOptions): Walker {
  const machine = assemble(header, kvm, tier);
  restoreSnapshot(machine, journal, snapshot.number);
  const walker = { machine, mark: createMark(machine), events: [], asked: [] } as unknown as Walker;
  machine.vm.listen({
    asked(capability, _answer, icount) {
      if (watched.has(capability) && walker.asked.length < LOOKED_AT_IN_SLICE && walker.asked.at(-1) !== icount) walker.asked.push(icount);
    },
  });
  return walker;
}

/** Events that the comparison of states makes superfluous: they carry digests, which hidden state changes, too. */
const isDigest = ({ event }: Happened): boolean => event.kind === 'Checkpoint';
/** What counts of an event: not the digest of the end, and not which checks failed. One reason more to refuse a VMRUN makes no difference to anybody. */
function effectOf(happened: Happened): Happened {
  const { at, event } = happened;
  if (event.kind === 'Ended') return { at, event: { ...event, state: '' } };
  if (!('detail' in event) || !('failed' in event.detail)) return happened;
  const { failed: _failed, ...detail } = event.detail;
  return { at, event: { ...event, detail } };
}
/** VMRUN and RSM have retired when their change of world is told, and so has the I/O instruction that brings an SMI. */
const comesWithInstruction = ({ event }: Happened): boolean =>
  event.kind === 'Vmrun' || event.kind === 'Rsm' || (event.kind === 'Smi' && event.detail['port'] !== undefined);

function firstEventDifference(original: readonly Happened[], other: readonly Happened[]): EventDifference | undefined {
  const a = original.filter((each) => !isDigest(each)).map(effectOf), b = other.filter((each) => !isDigest(each)).map(effectOf);
  for (let index = 0; index < Math.max(a.length, b.length); index++) {
    const left = a[index] ?? null, right = b[index] ?? null;
    const differences = left && right ? differencesOf(left, right) : ['event'];
    if (differences.length > 0) return { original: left, other: right, differences };
  }
  return undefined;
}

/** What must be equal: everything, or, once hidden state differs, all that the guest can read. */
type Equal = (pair: Pair) => boolean;
const allEqual: Equal = ({ original, other }) => original.icount() === other.icount() && digestOf(original) === digestOf(other);
const visibleEqual: Equal = ({ original, other }) => original.icount() === other.icount() && differencesBetween(original, other).every(({ hidden }) => hidden);

/**
 * Runs both sides to the end of the recording, or to where the guest can tell them apart. `onHidden` is told where state begins to differ that
 * no instruction reads (an event may tell of it; it may be the same again later), `onParting` where the guest can tell; the machines stand before the instruction then.
 */
export async function runInLockstep(journal: Journal, options: LockstepOptions, onHidden: OnParting, onParting: OnParting): Promise<LockstepResult> {
  const { header } = journal, { checkpointInterval } = header;
  const original = createWalker(journal, header, options), other = createWalker(journal, options.target, options), walkers = [original, other];
  const pair: Pair = { original: original.machine, other: other.machine };
  const inputs = inputsOf(journal, options.snapshot.seq), checkRecording = createChecker(journal, options.snapshot.seq);
  const end = journal.complete ? Number.MAX_SAFE_INTEGER : journal.instructions;
  let equal = allEqual, nextInput = 0, looksLeft = LOOKED_AT, partings = 0, sliceLength = Infinity;

  const icount = (): number => pair.original.icount();
  const back = (): void => { for (const { mark } of walkers) mark.back(); };
  const setMarks = (): void => { for (const { mark } of walkers) mark.set(); };
  /** Runs both without telling anybody. */
  function runTo(until: number): void {
    for (const { machine } of walkers) {
      machine.vm.onTransition = () => undefined;
      machine.onOutput = () => undefined;
      machine.board.run(BigInt(until));
    }
  }

  /** Runs both to the end of the slice, and keeps what happens. */
  function walk(until: number): void {
    for (const walker of walkers) {
      walker.events = [];
      walker.asked = [];
      walker.course = createCourse(walker.machine, checkpointInterval, (at, event) => { walker.events.push({ at, event }); });
      walker.course.advance(until);
    }
  }

  /** A place between `from` and `to`, where the sides are alike and the next instruction makes them differ; they stand there afterwards. The
   * marks stand at `from`, and both sides are alike there. Undefined: nothing differs at `to`, nor where a question was answered differently. */
  function search(from: number, to: number): number | undefined {
    // A system instruction has been counted when it asks, any other has not.
    const places = [...new Set(walkers.flatMap(({ asked }) => asked.flatMap((icount) => [icount, icount + 1])))]
      .filter((place) => place > from && place < to).sort((x, y) => x - y).slice(0, looksLeft);
    looksLeft -= places.length;
    const isEqualAtEnd = equal(pair);
    if (isEqualAtEnd && places.length === 0) return undefined;
    let low = from, high = isEqualAtEnd ? undefined : to;
    if (places.length > 0) back();
    for (const place of places) {
      runTo(place);
      if (!equal(pair)) {
        high = place;
        break;
      }
      low = place;
    }
    if (high === undefined) {
      runTo(to);
      return undefined;
    }
    back();
    runTo(low);
    setMarks();
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      back();
      runTo(middle);
      if (equal(pair)) {
        setMarks();
        low = middle;
      } else high = middle;
    }
    back();
    return low;
  }

  for (;;) {
    const from = icount(), input = inputs[nextInput], limit = Math.min(input?.at.icount ?? end, end);
    if (from >= limit) {
      if (input === undefined || input.at.icount > from) break;
      // A recording that was stopped from outside ends here.
      if (input.kind === 'Ended') break;
      const event = journal.decode(input);
      for (const { machine } of walkers) if (isInput(event)) createCourse(machine, checkpointInterval, () => undefined).apply(input.at, event);
      nextInput++;
      continue;
    }
    const until = Math.min((Math.floor(from / checkpointInterval) + 1) * checkpointInterval, limit, from + sliceLength);
    setMarks();
    walk(until);
    const reached = Math.max(icount(), pair.other.icount());
    const broken = checkRecording(original.events, partings === 0);
    if (broken !== undefined) return { kind: 'broken', seq: broken };
    const event = firstEventDifference(original.events, other.events), isOver = original.course.over && other.course.over;
    const eventIcount = event === undefined ? Infinity : Math.min(event.original?.at.icount ?? Infinity, event.other?.at.icount ?? Infinity);
    let place: number | undefined;
    if (event !== undefined && equal === allEqual) {
      // Either something differs before that event, or its instruction makes the difference.
      const withInstruction = [...original.events, ...other.events].some((each) => each.at.icount === eventIcount && comesWithInstruction(each));
      const eventPlace = Math.max(from, withInstruction ? eventIcount - 1 : eventIcount);
      back();
      runTo(eventPlace);
      place = search(from, eventPlace) ?? eventPlace;
    } else place = search(from, isOver ? reached + 1 : Math.max(until, from + 1));
    if (place === undefined) {
      if (isOver || original.course.over !== other.course.over) break;
      sliceLength *= 2;
      if (equal === visibleEqual && partings < HIDDEN_PARTINGS && allEqual(pair)) {
        equal = allEqual;
        sliceLength = Infinity;
      }
      options.onProgress(icount());
      await options.breathe();
      continue;
    }
    setMarks();
    runTo(place + 1);
    const differences = differencesBetween(pair.original, pair.other), isVisible = differences.length === 0 || differences.some(({ hidden }) => !hidden);
    back();
    // A change of world that an instruction makes carries the count behind it. What was told before this place has been dealt with.
    const later = (walker: Walker): Happened[] => walker.events.filter(({ at }) => at.icount >= place);
    const since = equal === allEqual ? event : firstEventDifference(later(original), later(other));
    const parting: Parting = { icount: place, differences, event: isVisible || eventIcount <= place + 1 ? since : undefined };
    if (isVisible) {
      onParting(parting, pair);
      return { kind: 'parted', parting };
    }
    onHidden(parting, pair);
    equal = visibleEqual;
    partings++;
    sliceLength = SHORT_SLICE;
    runTo(place + 1);
  }
  return { kind: 'alike', instructions: icount() };
}

/** Inputs behind an event, and the end of a recording that was stopped from outside: the machines must not run past them. */
function inputsOf(journal: Journal, from: number): StoredEvent[] {
  const found: StoredEvent[] = [];
  for (const row of journal.stored(from)) {
    if (row.seq === from) continue;
    if (classOf(row.kind) === 'input') found.push(row);
    else if (row.kind === 'Ended') {
      const event = journal.decode(row);
      if (event.kind === 'Ended' && event.reason === 'stopped') found.push(row);
    }
  }
  return found;
}

/** Holds the original side against the recording. Lines of output are cut where a slice begins, so they are left out. */
function createChecker(journal: Journal, from: number): (events: readonly Happened[], isExact: boolean) => number | undefined {
  const rows = journal.stored(from)[Symbol.iterator]();
  let ended = false;
  const next = (): StoredEvent | undefined => {
    for (;;) {
      const { done, value } = rows.next() as IteratorResult<StoredEvent, undefined>;
      if (done) return void (ended = true);
      if (value.seq > from && classOf(value.kind) !== 'input' && value.kind !== 'SnapshotTaken' && value.kind !== 'SerialOutput') return value;
    }
  };
  const differs = (row: StoredEvent, at: Stamp, event: Event): boolean =>
    row.kind !== event.kind || row.at.icount !== at.icount || Buffer.compare(row.payload, encodeEvent(event)) !== 0;
  return (events, isExact) => {
    // After a search has put the machines back, the same events come again.
    if (!isExact) return undefined;
    for (const { at, event } of events) {
      if (event.kind === 'SerialOutput' || ended) continue;
      const row = next();
      if (row !== undefined && differs(row, at, event)) return row.seq;
    }
    return undefined;
  };
}
