// The four inline TLBs, kept coherent with the page tables: whatever page a walk read is tracked, and a write to it drops what was derived
// from it. So an entry is never stale, INVLPG has nothing to do, and dropping everything is always allowed and never visible. Called by
// the access paths of `vm/`; engines only probe.
import { RAM, TLB, TLB_ENTRIES, TLB_ENTRY_SIZE, TLB_END, tlbOffset, TLB_READ_SUPERVISOR, TLB_READ_USER, TLB_WRITE_SUPERVISOR, TLB_WRITE_USER } from '../cpu/state.ts';
import { PAGE_SIZE } from './addresses.ts';
import { granuleMask, hostOfPage, PageFlag, TRACKED, WRITTEN } from './ram.ts';
import type { Ram } from './ram.ts';
import { createWalker } from './walk.ts';
import type { PagingContext, Walker } from './walk.ts';

/** What a store to a tracked page came to. */
export const Touched = { nothing: 0, code: 1, mapping: 2 } as const;

export interface Tlb {
  readonly walker: Walker;
  /** Of the nested tables alone. */
  readonly nested: Walker;
  /** Another paging context: everything is dropped. */
  setContext(context: PagingContext): void;
  /** RFLAGS.AC changed while SMAP is on. */
  setContextOfAc(context: PagingContext): void;
  /** Enters what the walker just found for a page of RAM; `write` when a write was allowed. */
  insert(low: number, high: number, page: number, readOnly: boolean, user: boolean, write: boolean): void;
  /** Host address of `length` bytes at a linear address when an entry is there, or 0. */
  probe(low: number, high: number, length: number, user: boolean, write: boolean): number;
  /** RAM page that a fetch found at a linear page, or -1. */
  probeFetch(low: number, high: number, user: boolean): number;
  insertFetch(low: number, high: number, user: boolean, page: number): void;
  dropPage(low: number, high: number): void;
  dropAll(): void;
  /** Write entries only: before marks of written pages are cleared. */
  dropWrites(): void;
  /** Bytes of a RAM page hold decoded code from now on. */
  markCode(page: number, offset: number, length: number): void;
  /** All decoded code is gone. */
  forgetCode(): void;
  /** Called around a store of `length` bytes into a tracked page: before it, `tableEntryBefore` remembers what the entries were. */
  beforeTableStore(page: number, offset: number, length: number): void;
  /** After it: drops what was derived. True when a page that holds code may have been mapped there. */
  afterTableStore(): boolean;
  /** After a store into a page with code: the granules hit are no longer code; false when none were. */
  takeCode(page: number, offset: number, length: number): boolean;
  /** Pages that must not be entered: armed data breakpoints. */
  setWatched(pages: readonly { readonly low: number; readonly high: number }[]): void;
  isWatched(low: number, high: number): boolean;
}

/** Writes to a page whose code is gone, after which it counts as plain again. */
const QUIET_WRITES = 64;
/** Owner kinds of a table page. */
const NOT_A_TABLE = 0, ONE_REGION = 1, MANY = 2;
/** The level of a table that stands for more than one region. */
const MANY_REGIONS = 2;
const EMPTY = 0xffffffff;
/** Pages of code whose translation is remembered. Privilege is in the low bit of the tag. */
const FETCHES = 256;
/** Up to so many entries are emptied one by one; beyond, all at once. */
const FEW = 256;

export function createTlb(ram: Ram): Tlb {
  const { u32, flags, granules } = ram;
  const words = u32.subarray(TLB >> 2, TLB_END >> 2);
  const writeSupervisor = u32.subarray(TLB_WRITE_SUPERVISOR >> 2, (TLB_WRITE_SUPERVISOR >> 2) + TLB_ENTRIES * 4);
  const writeUser = u32.subarray(TLB_WRITE_USER >> 2, (TLB_WRITE_USER >> 2) + TLB_ENTRIES * 4);

  /** A page may have write entries only when its mark equals `writeGeneration`: spares most searches. */
  let writeGeneration = 1;
  const writeMark = new Uint32Array(ram.pageCount);
  const quiet = new Uint8Array(ram.pageCount);
  const ownerKind = new Uint8Array(ram.pageCount), ownerLow = new Uint32Array(ram.pageCount), ownerHigh = new Uint32Array(ram.pageCount);
  let tablePages: number[] = [];
  /** Where entries were made since all were dropped, and how many; past `FEW` only the number is kept. */
  const made = new Uint32Array(FEW);
  let madeCount = 0;
  const fetchLow = new Int32Array(FETCHES).fill(-1), fetchHigh = new Int32Array(FETCHES), fetchPage = new Int32Array(FETCHES);
  let leafSpan = 0x200000, entryShift = 3, levels = 0, smap = false, isNested = false;
  /** Supervisor entries of user pages, made while RFLAGS.AC let SMAP through. */
  let borrowed: number[] = [];
  let watched: readonly { readonly low: number; readonly high: number }[] = [];

  // A nested table says where many linear pages are, and which ones is not remembered.
  const nested = createWalker(ram, { entryOfFrame: ram.entryOfFrame, onTable: (page) => { onTable(page, MANY_REGIONS, 0, 0); } });
  const walker = createWalker(ram, { entryOfFrame: ram.entryOfFrame, onTable }, nested);

  function onTable(page: number, level: number, low: number, high: number): void {
    const flag = flags[page]!, start = (low & -leafSpan) >>> 0;
    if ((flag & PageFlag.table) === 0) {
      flags[page] = flag | PageFlag.table;
      tablePages.push(page);
      ownerKind[page] = level === 1 ? ONE_REGION : MANY;
      ownerLow[page] = start;
      ownerHigh[page] = high;
      dropWritesTo(page);
    } else if (level !== 1 || ownerLow[page] !== start || ownerHigh[page] !== high >>> 0) ownerKind[page] = MANY;
  }

  /** Write entries of a RAM page, wherever it is mapped. */
  function dropWritesTo(page: number): void {
    if (writeMark[page] !== writeGeneration) return;
    writeMark[page] = 0;
    const host = hostOfPage(page) | 0;
    for (const table of [writeSupervisor, writeUser]) {
      for (let at = 0; at < table.length; at += 4) {
        if ((table[at]! + table[at + 2]! | 0) !== host || table[at] === EMPTY) continue;
        table[at] = EMPTY;
        table[at + 1] = EMPTY;
      }
    }
  }

  function dropWrites(): void {
    writeSupervisor.fill(EMPTY);
    writeUser.fill(EMPTY);
    newGeneration();
  }

  function newGeneration(): void {
    writeGeneration++;
    if (writeGeneration > 0xfffffff0) {
      writeMark.fill(0);
      writeGeneration = 1;
    }
  }

  function dropAll(): void {
    if (madeCount > FEW) words.fill(EMPTY);
    else {
      for (let index = 0; index < madeCount; index++) {
        u32[made[index]!] = EMPTY;
        u32[made[index]! + 1] = EMPTY;
      }
    }
    madeCount = 0;
    fetchLow.fill(-1);
    newGeneration();
    walker.drop();
    nested.drop();
    borrowed = [];
    for (const page of tablePages) {
      flags[page]! &= ~PageFlag.table;
      ownerKind[page] = NOT_A_TABLE;
    }
    tablePages = [];
  }

  function dropPage(low: number, high: number): void {
    const page = (low & -PAGE_SIZE) >>> 0, index = tlbOffset(low) >> 2;
    for (let at = (TLB >> 2) + index; at < TLB_END >> 2; at += TLB_ENTRIES * TLB_ENTRY_SIZE >> 2) {
      if (u32[at] !== page || u32[at + 1] !== high >>> 0) continue;
      u32[at] = EMPTY;
      u32[at + 1] = EMPTY;
    }
  }

  function probeFetch(low: number, high: number, user: boolean): number {
    const index = low >>> 12 & FETCHES - 1;
    return fetchLow[index] === (low & -PAGE_SIZE | (user ? 1 : 0)) && fetchHigh[index] === (high | 0) ? fetchPage[index]! : -1;
  }
  function insertFetch(low: number, high: number, user: boolean, page: number): void {
    const index = low >>> 12 & FETCHES - 1;
    fetchLow[index] = low & -PAGE_SIZE | (user ? 1 : 0);
    fetchHigh[index] = high;
    fetchPage[index] = page;
  }

  function setContext(context: PagingContext): void {
    dropAll();
    walker.setContext(context);
    smap = context.smap;
    isNested = context.nested !== undefined;
    levels = context.levels;
    leafSpan = context.levels > 2 ? 0x200000 : 0x400000;
    entryShift = context.levels > 2 ? 3 : 2;
  }

  function setContextOfAc(context: PagingContext): void {
    for (const at of borrowed) {
      u32[at] = EMPTY;
      u32[at + 1] = EMPTY;
    }
    borrowed = [];
    walker.setContext(context);
  }

  /** What was lent is too much to go through one by one. */
  function dropSupervisor(): void {
    u32.fill(EMPTY, TLB_READ_SUPERVISOR >> 2, TLB_READ_USER >> 2);
    borrowed = [];
  }

  function enter(table: number, low: number, high: number, page: number): number {
    const at = table + tlbOffset(low) >> 2, start = low & -PAGE_SIZE;
    if (u32[at] === EMPTY && madeCount <= FEW) made[madeCount++] = at;
    u32[at] = start;
    u32[at + 1] = high;
    u32[at + 2] = RAM + page * PAGE_SIZE - start;
    return at;
  }

  function insert(low: number, high: number, page: number, readOnly: boolean, user: boolean, write: boolean): void {
    if (watched.length !== 0 && isWatched(low, high)) return;
    if (borrowed.length > TLB_ENTRIES) dropSupervisor();
    const at = enter(user ? TLB_READ_USER : TLB_READ_SUPERVISOR, low, high, page);
    const lends = smap && !user && walker.user;
    if (lends) borrowed.push(at);
    // A read does not mark a page as written, so it makes a write entry only where that is done already.
    const flag = flags[page]!;
    if (readOnly || (flag & TRACKED) !== 0) return;
    if (write) flags[page] = flag | WRITTEN;
    else if ((flag & WRITTEN) !== WRITTEN || !(levels === 0 || walker.writable)) return;
    writeMark[page] = writeGeneration;
    const writeAt = enter(user ? TLB_WRITE_USER : TLB_WRITE_SUPERVISOR, low, high, page);
    if (lends) borrowed.push(writeAt);
  }

  function probe(low: number, high: number, length: number, user: boolean, write: boolean): number {
    const table = user ? (write ? TLB_WRITE_USER : TLB_READ_USER) : write ? TLB_WRITE_SUPERVISOR : TLB_READ_SUPERVISOR;
    const at = table + tlbOffset(low) >> 2;
    if (u32[at] !== (low & -PAGE_SIZE) >>> 0 || u32[at + 1] !== high >>> 0 || (low & 0xfff) + length > PAGE_SIZE) return 0;
    return (u32[at + 2]! + low) >>> 0;
  }

  // ── Code ──

  function markCode(page: number, offset: number, length: number): void {
    granules[2 * page]! |= granuleMask(offset, length, 0);
    granules[2 * page + 1]! |= granuleMask(offset, length, 1);
    quiet[page] = 0;
    if ((flags[page]! & PageFlag.code) !== 0) return;
    flags[page]! |= PageFlag.code;
    dropWritesTo(page);
  }

  function forgetCode(): void {
    granules.fill(0);
    for (let page = 0; page < flags.length; page++) flags[page]! &= ~PageFlag.code;
  }

  function takeCode(page: number, offset: number, length: number): boolean {
    const first = granuleMask(offset, length, 0), second = granuleMask(offset, length, 1);
    if ((granules[2 * page]! & first) === 0 && (granules[2 * page + 1]! & second) === 0) {
      if (granules[2 * page] === 0 && granules[2 * page + 1] === 0 && ++quiet[page]! >= QUIET_WRITES) flags[page]! &= ~PageFlag.code;
      return false;
    }
    granules[2 * page]! &= ~first;
    granules[2 * page + 1]! &= ~second;
    return true;
  }

  // ── Tables ──

  let storePage = 0, storeFirst = 0, storeLast = 0, storeWasPresent = false, storeHeldCode = false;

  function beforeTableStore(page: number, offset: number, length: number): void {
    storePage = page;
    storeFirst = offset >>> entryShift;
    storeLast = offset + length - 1 >>> entryShift;
    // Nested tables may have entries of another size, and what a guest's entry names may be code wherever the nested ones put it.
    storeWasPresent = isNested && ownerKind[page] !== ONE_REGION;
    storeHeldCode = isNested;
    for (let index = storeFirst; index <= storeLast; index++) {
      const at = hostOfPage(page) + (index << entryShift) >>> 2, entry = u32[at]!;
      if ((entry & 1) === 0) continue;
      storeWasPresent = true;
      if (isNested) continue;
      const frame = (entry >>> 12) + (entryShift === 3 ? (u32[at + 1]! & 0xfffff) * 0x100000 : 0);
      const backing = ram.entryOfFrame(frame);
      storeHeldCode ||= backing !== 0 && (flags[(backing & 0x7fffffff) - 1]! & PageFlag.code) !== 0;
    }
  }

  function afterTableStore(): boolean {
    if (!storeWasPresent) return false;
    if (ownerKind[storePage] !== ONE_REGION) {
      dropAll();
      return true;
    }
    for (let index = storeFirst; index <= storeLast; index++) dropPage(ownerLow[storePage]! + index * PAGE_SIZE, ownerHigh[storePage]!);
    return storeHeldCode;
  }

  function isWatched(low: number, high: number): boolean {
    for (const page of watched) if (page.low === (low & -PAGE_SIZE) >>> 0 && page.high === high >>> 0) return true;
    return false;
  }

  words.fill(EMPTY);
  dropAll();
  return {
    walker, nested, setContext, setContextOfAc, insert, probe, probeFetch, insertFetch, dropPage, dropAll, dropWrites, markCode, forgetCode, takeCode,
    beforeTableStore, afterTableStore, isWatched,
    setWatched(pages) {
      if (pages.length === 0 && watched.length === 0) return;
      watched = pages;
      for (const { low, high } of pages) dropPage(low, high);
    },
  };
}
