// A snapshot: everything that a run needs to go on from a position. It is a record (vCPUs, VM, board) and a list of pages, either all
// of them or those that differ from an older snapshot. The recorder makes them, the seeker restores them.
import { packPlain, unpackPlain } from './codec.ts';
import { corrupt } from './error.ts';
import type { Plain } from './events.ts';
import { readPageList, sha256 } from './pages.ts';

/** Everything but RAM. */
export interface SnapshotState {
  /** `Vcpu.saveState()` of each, by number. */
  readonly vcpus: readonly Uint8Array[];
  readonly vm: Plain;
  readonly board: Plain;
}

/** As it is stored. */
export interface Snapshot {
  readonly number: number;
  /** Instructions retired by all vCPUs together. */
  readonly icount: number;
  /** The older snapshot that the page list adds to; null when the list is complete. */
  readonly base: number | null;
  readonly record: Uint8Array;
  readonly pages: Uint8Array;
}

export const MAX_RECORD_BYTES = 1 << 26;
export const MAX_PAGE_LIST_BYTES = 1 << 28;

export const encodeState = ({ vcpus, vm, board }: SnapshotState): Uint8Array => packPlain([[...vcpus], vm, board]);

export function decodeState(record: Uint8Array, cpuCount: number, where: string): SnapshotState {
  const fields = unpackPlain(record, MAX_RECORD_BYTES, where);
  if (!Array.isArray(fields) || fields.length < 3) throw corrupt(where, 'byte 0: the record is not an array of 3');
  const [vcpus, vm, board] = fields as [Plain, Plain, Plain];
  if (!Array.isArray(vcpus) || vcpus.length !== cpuCount || !vcpus.every((state) => state instanceof Uint8Array)) {
    throw corrupt(where, `it does not hold the states of ${cpuCount} vCPUs`);
  }
  return { vcpus: vcpus as Uint8Array[], vm, board };
}

/** What the SnapshotTaken event carries, so that the chain covers the snapshot and, by their hashes, its pages. */
export const snapshotDigest = ({ number, icount, base, record, pages }: Snapshot): string =>
  sha256(packPlain([number, icount, base]), record, pages).slice(0, 32);

/** The content hash of every page that is not zero, or was not at some time, as of snapshot `number`. */
export function resolvePages(read: (number: number) => Snapshot, number: number, pageCount: number): Map<number, Uint8Array> {
  const pages = new Map<number, Uint8Array>();
  for (let at: number | null = number; at !== null;) {
    const snapshot: Snapshot = read(at), where = `snapshot ${at}`;
    readPageList(snapshot.pages, pageCount, where, pages);
    if (snapshot.base !== null && snapshot.base >= at) throw corrupt(where, `it builds on snapshot ${snapshot.base}, which is not older`);
    at = snapshot.base;
  }
  return pages;
}
