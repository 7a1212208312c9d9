// Records: builds a machine, lets it run, and writes what happens to a journal. An event that comes out of `record` has been appended;
// when Ended comes out, or the Observable fails, everything has been committed.
import { defer, Observable } from 'rxjs';
import type { Recorded } from '../../journal/events.ts';
import type { Header, Image, MachineHeader } from '../../journal/header.ts';
import { sha256 } from '../../journal/pages.ts';
import { createJournal, type FootprintRow, type JournalWriter } from '../../journal/store.ts';
import type { Kvm, Tier } from '../kvm/api.ts';
import { live, type LiveOptions, type Occurrence } from './live.ts';
import { assemble } from './machine.ts';

export interface NamedFile { readonly name: string; readonly bytes: Uint8Array }

export interface RecordOptions extends Omit<LiveOptions, 'machine' | 'checkpointInterval'> {
  readonly kvm: Kvm;
  readonly tier: Tier;
  /** The journal: there must be no such file. */
  readonly path: string;
  readonly machine: MachineHeader;
  readonly kernel: NamedFile;
  readonly initrd?: NamedFile;
  /** The guest's command line, beginning with the name of the image. */
  readonly commandLine: string;
  /** When this is, as text for the header. */
  readonly created: string;
  /** Version of this engine. */
  readonly engine: string;
  readonly checkpointInterval?: number;
}

/** Instructions between two checkpoints: some 10 ms, or 80 in the interpreter, so that inputs do not wait and a cut recording loses little. */
export const CHECKPOINT_INTERVAL = 1 << 24;

/** Runs when it is subscribed to, once for every subscriber. */
export function record(options: RecordOptions): Observable<Recorded> {
  return defer(() => {
    const { kvm, tier, path, kernel, initrd, commandLine, created, engine, checkpointInterval = CHECKPOINT_INTERVAL } = options;
    const machine = assemble(options.machine, kvm, tier);
    machine.board.loadImage(kernel.bytes, commandLine, initrd?.bytes);
    const images = [imageOf('kernel', kernel), ...initrd ? [imageOf('initrd', initrd)] : []];
    const header: Header = { ...options.machine, engine, checkpointInterval, images, commandLine, created, parent: null };
    const writer = createJournal(path, header);
    const footprint = (): FootprintRow[] =>
      machine.vm.footprint().map(({ capability, answer, firstIcount }) => ({ capability, answer, first: { seq: 0, icount: Number(firstIcount) } }));
    return live({ ...options, machine, checkpointInterval }).pipe(journaled(writer, footprint));
  });
}

const imageOf = (role: Image['role'], { name, bytes }: NamedFile): Image => ({ name, role, bytes: bytes.length, digest: sha256(bytes) });

/** Commits come this many instructions apart … */
const COMMIT_INSTRUCTIONS = 1 << 26;
/** … or this many events, whichever is first; and always with a snapshot, so that the first one makes the journal useful. */
const COMMIT_EVENTS = 1 << 14;

/** Writes each occurrence to a journal, and passes it on with its place there. */
const journaled = (writer: JournalWriter, footprint: () => FootprintRow[]) => (source: Observable<Occurrence>): Observable<Recorded> =>
  new Observable((subscriber) => {
    let committedIcount = 0, committedSeq = 0, asked = 0, closed = false;

    function commit(seq: number, icount: number): void {
      const rows = footprint();
      if (rows.length > asked) writer.addFootprint(rows.slice(asked));
      asked = rows.length;
      writer.flush();
      committedIcount = icount;
      committedSeq = seq;
    }

    function write({ at, event, taken }: Occurrence): void {
      if (taken) {
        for (const { hash, bytes } of taken.pages) writer.addPage(hash, bytes);
        writer.addSnapshot(taken.snapshot);
      }
      const seq = writer.append(at, event);
      const due = at.icount - committedIcount >= COMMIT_INSTRUCTIONS && event.kind === 'Checkpoint';
      if (due || taken || seq - committedSeq >= COMMIT_EVENTS || event.kind === 'Ended') commit(seq, at.icount);
      if (event.kind === 'Ended') {
        closed = true;
        writer.finish();
      }
      subscriber.next({ seq, at, event });
    }

    /** What is left of a run that did not come to its end. */
    function abandon(): void {
      if (closed) return;
      closed = true;
      writer.abandon();
    }

    const subscription = source.subscribe({
      next: (occurrence) => {
        if (closed) return;
        try {
          write(occurrence);
        } catch (error) {
          // What could not be written now cannot be written in the end either.
          closed = true;
          writer.close();
          subscriber.error(error);
        }
      },
      error: (error: unknown) => {
        abandon();
        subscriber.error(error);
      },
      complete: () => subscriber.complete(),
    });
    return () => {
      subscription.unsubscribe();
      abandon();
    };
  });
