// A running machine as an Observable of what happens to it. The journal's writer, a progress display and any projection subscribe. It
// looks for inputs between chunks of instructions, gives each its exact position, and lets the host breathe there.
import { Observable } from 'rxjs';
import type { Event, Input, Stamp } from '../../journal/events.ts';
import { snapshotDigest } from '../../journal/snapshots.ts';
import { createCourse } from './course.ts';
import type { Machine } from './machine.ts';
import { createSnapshotTaker, type TakenSnapshot } from './snapshot.ts';

/** Something that happened. Subscribers are told at the moment itself. */
export interface Occurrence {
  readonly at: Stamp;
  readonly event: Event;
  /** With SnapshotTaken: what was taken. Its pages are views of RAM: use them at once. */
  readonly taken?: TakenSnapshot;
}

/** An input from the host, and the vCPU that it is for. */
export interface HostInput { readonly input: Input; readonly vcpu: number | null }

export interface LiveOptions {
  /** Loaded, and not yet run. */
  readonly machine: Machine;
  readonly checkpointInterval: number;
  /** Inputs as they arrive; what comes at subscription is there before the first instruction. */
  readonly inputs?: Observable<HostInput>;
  /** The run is stopped when this emits. */
  readonly stop?: Observable<unknown>;
  /** The run is stopped after so many instructions. */
  readonly until?: number;
  /** Waits until the host has done what it had to do; called between chunks. */
  readonly breathe?: () => Promise<void>;
}

/** Snapshots lie at growing distances: a sixteenth of the run so far, but at least this many instructions … */
const SNAPSHOT_DISTANCE = 1 << 28;
/** … and this many for every page that has been written since the last (storing one costs some 20 µs), so that they are a small part of any run. */
const DISTANCE_PER_PAGE = 1_000_000;

export function live(options: LiveOptions): Observable<Occurrence> {
  return new Observable((subscriber) => {
    const { machine, checkpointInterval, until = Number.MAX_SAFE_INTEGER, breathe = () => Promise.resolve() } = options;
    const waiting: HostInput[] = [];
    let stopped = false;
    subscriber.add(options.inputs?.subscribe({ next: (input) => waiting.push(input), error: (error: unknown) => subscriber.error(error) }));
    subscriber.add(options.stop?.subscribe(() => { stopped = true; }));

    const course = createCourse(machine, checkpointInterval, (at, event) => subscriber.next({ at, event }));
    const snapshots = createSnapshotTaker(machine);
    let lastSnapshot = 0, snapshotDue = 0;

    function takeSnapshot(): void {
      const taken = snapshots.take(), { number, icount } = taken.snapshot;
      const event: Event = { kind: 'SnapshotTaken', snapshot: number, digest: snapshotDigest(taken.snapshot) };
      subscriber.next({ at: { vcpu: null, icount, level: 0, smm: false }, event, taken });
      lastSnapshot = icount;
      snapshotDue = icount + Math.max(SNAPSHOT_DISTANCE, icount / 16);
    }

    /** Takes a snapshot, unless that costs too much so soon after the last one: then it is put off. */
    function considerSnapshot(icount: number): void {
      const distance = snapshots.dirtyCount() * DISTANCE_PER_PAGE;
      if (icount === 0 || icount - lastSnapshot >= distance) takeSnapshot();
      else snapshotDue = lastSnapshot + Math.ceil(distance * 1.5);
    }

    async function run(): Promise<void> {
      for (let icount = machine.icount(); !course.over && !subscriber.closed; icount = machine.icount()) {
        if (icount >= snapshotDue) considerSnapshot(icount);
        for (const { input, vcpu } of waiting.splice(0)) course.apply({ vcpu, icount, level: 0, smm: false }, input);
        if (stopped || icount >= until) course.stop();
        else course.advance(Math.min((Math.floor(icount / checkpointInterval) + 1) * checkpointInterval, until));
        await breathe();
      }
      subscriber.complete();
    }
    run().catch((error: unknown) => subscriber.error(error));
  });
}
