// Guest pages, stored once by content: their hashes, and lists that say which page of RAM has which content. Zero pages are never
// stored. The recorder and the seeker use this; it knows neither the VM nor SQL.
import { createHash } from 'node:crypto';
import { corrupt } from './error.ts';

export const PAGE_BYTES = 4096;
/** The first 128 bits of SHA-256. */
export const HASH_BYTES = 16;
/** A page list is a sequence of: page number u32, little-endian; hash of its content, all zeros for a page of zeros. */
const ENTRY_BYTES = 4 + HASH_BYTES;

const zeroPage = new Uint8Array(PAGE_BYTES);
const zeroHash = new Uint8Array(HASH_BYTES);

export const isZeroPage = (bytes: Uint8Array): boolean => Buffer.compare(bytes, zeroPage) === 0;
export const isZeroHash = (hash: Uint8Array): boolean => Buffer.compare(hash, zeroHash) === 0;

/** The content hash of a page. */
export function hashPage(bytes: Uint8Array): Uint8Array {
  return isZeroPage(bytes) ? zeroHash : createHash('sha256').update(bytes).digest().subarray(0, HASH_BYTES);
}

/** SHA-256 of some bytes, as hex. */
export const sha256 = (...parts: readonly Uint8Array[]): string => parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest('hex');

/** What the recorder knows about RAM: the hash of every page as of the last snapshot. RAM begins as zeros. */
export interface PageTable {
  /** Takes a page's content; returns its hash when that changed, and undefined when not. */
  update(page: number, bytes: Uint8Array): Uint8Array | undefined;
  /** The list of all pages that are not zero. */
  all(): Uint8Array;
}

export function createPageTable(): PageTable {
  const hashes = new Map<number, Uint8Array>();
  return {
    update(page, bytes) {
      const hash = hashPage(bytes);
      if (Buffer.compare(hash, hashes.get(page) ?? zeroHash) === 0) return undefined;
      hashes.set(page, hash);
      return hash;
    },
    all() {
      const list = createPageList(hashes.size);
      for (const page of Uint32Array.from(hashes.keys()).sort()) {
        const hash = hashes.get(page)!;
        if (!isZeroHash(hash)) list.add(page, hash);
      }
      return list.bytes();
    },
  };
}

/** Builds a page list of at most `capacity` entries; pages must come in ascending order. */
export function createPageList(capacity: number): { add(page: number, hash: Uint8Array): void; bytes(): Uint8Array } {
  const bytes = new Uint8Array(capacity * ENTRY_BYTES);
  const view = new DataView(bytes.buffer);
  let at = 0;
  return {
    add(page, hash) {
      view.setUint32(at, page, true);
      bytes.set(hash, at + 4);
      at += ENTRY_BYTES;
    },
    bytes: () => bytes.subarray(0, at),
  };
}

export const pagesIn = (list: Uint8Array): number => list.length / ENTRY_BYTES;

/** Puts a list's entries into `into`, page number to hash; what is there already stays, so lists are read from the newest back. */
export function readPageList(list: Uint8Array, pageCount: number, where: string, into: Map<number, Uint8Array>): void {
  if (list.length % ENTRY_BYTES !== 0) throw corrupt(where, `a page list of ${list.length} bytes`);
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  for (let at = 0, last = -1; at < list.length; at += ENTRY_BYTES) {
    const page = view.getUint32(at, true);
    if (page <= last || page >= pageCount) throw corrupt(where, `byte ${at}: page ${page} after page ${last}, RAM has ${pageCount}`);
    if (!into.has(page)) into.set(page, list.subarray(at + 4, at + ENTRY_BYTES));
    last = page;
  }
}
