// Comparing: two events, or two journals event by event. What differs is a value, with both sides, for whoever shows it.
import { kinds, type Event, type Plain, type Recorded, type Stamp } from '../../journal/events.ts';
import type { Journal } from '../../journal/store.ts';

export interface Happened { readonly at: Stamp; readonly event: Event }

/** The first place where two runs differ. A side is null when nothing happened there. */
export interface Divergence {
  /** The event that the recording has there, or would have next. */
  readonly seq: number;
  readonly recorded: Happened | null;
  readonly replayed: Happened | null;
  /** Names of what differs: a column (`icount`), a field (`vcpus[0]`, `detail.exitCode`), or `event` when there is nothing to compare. */
  readonly differences: readonly string[];
}

export const diverge = (seq: number, recorded: Happened | null, replayed: Happened | null): Divergence =>
  ({ seq, recorded, replayed, differences: recorded && replayed ? differencesOf(recorded, replayed) : ['event'] });

export function differencesOf(a: Happened, b: Happened): string[] {
  const found = (['vcpu', 'icount', 'level', 'smm'] as const).filter((column) => a.at[column] !== b.at[column]) as string[];
  if (a.event.kind !== b.event.kind) return [...found, 'kind'];
  for (const name of Object.keys(kinds[a.event.kind].fields)) compareValues(name, fieldOf(a.event, name), fieldOf(b.event, name), found);
  return found;
}

const fieldOf = (event: Event, name: string): Plain => (event as unknown as Record<string, Plain>)[name]!;

/** Adds the names of what differs between two values of the same shape to `found`. */
export function compareValues(name: string, a: Plain, b: Plain, found: string[]): void {
  if (a instanceof Uint8Array && b instanceof Uint8Array) {
    if (a.length !== b.length || a.some((byte, index) => byte !== b[index])) found.push(name);
  } else if (Array.isArray(a) && Array.isArray(b) && a.length === b.length) {
    a.forEach((each: Plain, index) => compareValues(`${name}[${index}]`, each, (b as Plain[])[index]!, found));
  } else if (isRecord(a) && isRecord(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) compareValues(`${name}.${key}`, a[key] ?? null, b[key] ?? null, found);
  } else if (a !== b) found.push(name);
}

const isRecord = (value: Plain): value is Record<string, Plain> => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);

/** The first event in which two journals differ; snapshots do not count, a run is the same with and without. */
export function compareJournals(a: Journal, b: Journal): Divergence | undefined {
  const left = withoutSnapshots(a), right = withoutSnapshots(b);
  for (;;) {
    const x = left.next(), y = right.next();
    if (x.done && y.done) return undefined;
    const recorded: Recorded | null = x.done ? null : x.value, replayed: Recorded | null = y.done ? null : y.value;
    if (!recorded || !replayed || differencesOf(recorded, replayed).length > 0) return diverge(recorded?.seq ?? a.length, recorded, replayed);
  }
}

function* withoutSnapshots(journal: Journal): Generator<Recorded, undefined> {
  for (const recorded of journal.events()) if (recorded.event.kind !== 'SnapshotTaken') yield recorded;
}
