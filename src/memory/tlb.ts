// The four inline TLBs, kept coherent with the page tables: whatever page a walk read is tracked, and a write to it drops what was derived
// from it. So an entry is never stale, INVLPG has nothing to do, and dropping everything is always allowed and never visible. Called by
// the access paths of `vm/`; engines only probe.
import { RAM, TLB, TLB_ENTRIES, TLB_ENTRY_SIZE, TLB_END, tlbOffset, TLB_READ_SUPERVISOR, TLB_READ_USER, TLB_WRITE_SUPERVISOR, TLB_WRITE_USER } from '../cpu/state.ts';
import { PAGE_SIZE } from './addresses.ts';
import { granuleMask, hostOfPage, PageFlag, TRACKED, WRITTEN } from './ram.ts';
import type { Ram } from './ram.ts';
import { createRegionCache, createWalker } from './walk.ts';
import type { PagingContext, RegionCache, Walker } from './walk.ts';

/** What a store to a tracked page came to. */
export const Touched = { nothing: 0, code: 1, mapping: 2 } as const;

export interface Tlb {
  readonly walker: Walker;
  /** Of the nested tables alone. */
  readonly nested: Walker;
  /** Another paging context. `key`: the words that it follows from; where they are those of a context that was left a while ago, what was
   * known of that one comes back. Without a key everything is new. True: what others derived from the context `number` still holds. */
  setContext(context: PagingContext, key?: Readonly<Uint32Array>): boolean;
  /** The context that was set with this key, where it follows from the key alone and something is known of it. */
  remembered(key: Readonly<Uint32Array>): PagingContext | undefined;
  /** Of the active context, below `CONTEXTS`. */
  number(): number;
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
/** Contexts that are remembered. With one more, everything starts anew: so tables of contexts that are gone do not stay tracked. */
const CONTEXTS = 8;
/** Entries that are kept of a context that is left; one with more begins with none when it comes back. */
const KEPT_ENTRIES = 1024;
/** Returns to a context after which it begins with none, and gets those that it still needs one by one: the others are not carried along for
 * ever. A hypervisor that has done much, and now enters its guest again and again, needs a tenth of what it has. */
const RETURNS = 256;
/** Words of a kept entry: its place, and the three words of it. */
const KEPT_WORDS = 4;
/** Stores into tables after which everything starts anew with the next context: some of the tables may have become data. */
const MOST_TABLE_STORES = 2048;

/** A context, and while another one is active, its entries. */
interface Slot {
  readonly key: Uint32Array;
  isKeyed: boolean;
  /** Nothing has been dropped since it was left. */
  isValid: boolean;
  /** Nothing has been dropped since it was entered for the first time. */
  isKnown: boolean;
  context: PagingContext | undefined;
  readonly entries: Uint32Array;
  count: number;
  returns: number;
  readonly regions: RegionCache;
  readonly nested: RegionCache;
  readonly fetchLow: Int32Array;
  readonly fetchHigh: Int32Array;
  readonly fetchPage: Int32Array;
}
const KEY_WORDS = 32;
const createSlot = (): Slot => ({
  key: new Uint32Array(KEY_WORDS), isKeyed: true, isValid: false, isKnown: false, context: undefined, entries: new Uint32Array(KEPT_ENTRIES * KEPT_WORDS), count: 0, returns: 0, regions: createRegionCache(), nested: createRegionCache(),
  fetchLow: new Int32Array(FETCHES).fill(-1), fetchHigh: new Int32Array(FETCHES), fetchPage: new Int32Array(FETCHES),
});

/** Pages of code whose translation is remembered. Privilege is in the low bit of the tag. */
const FETCHES = 256;

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
  /** Places of the entries in use. Each has the stamp in its last word; beyond `KEPT_ENTRIES` they are only counted. */
  const used = new Int32Array(KEPT_ENTRIES);
  let usedCount = 0, stamp = 1, tableStores = 0;
  const slots: Slot[] = [createSlot()];
  let active = slots[0]!, { fetchLow, fetchHigh, fetchPage } = active, hasOthers = false;
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
    forgetOthers();
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
    forgetOthers();
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

  /** Few entries are emptied one by one. */
  function emptyEntries(): void {
    if (usedCount > KEPT_ENTRIES) words.fill(EMPTY);
    else {
      for (let index = 0; index < usedCount; index++) {
        u32[used[index]!] = EMPTY;
        u32[used[index]! + 1] = EMPTY;
      }
    }
    usedCount = 0;
    stamp = stamp + 1 & 0x3fffffff;
  }

  /** What is known of contexts that are not active may be wrong from now on. */
  function forgetOthers(): void {
    if (!hasOthers) return;
    hasOthers = false;
    for (const slot of slots) if (slot !== active) slot.isValid = false;
  }

  function dropAll(): void {
    emptyEntries();
    fetchLow.fill(-1);
    newGeneration();
    forgetOthers();
    active.count = 0;
    for (const slot of slots) slot.isKnown = false;
    tableStores = 0;
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
    const fetch = low >>> 12 & FETCHES - 1;
    if (fetchLow[fetch]! >>> 12 === page >>> 12 && fetchHigh[fetch] === (high | 0)) fetchLow[fetch] = -1;
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

  function setContext(context: PagingContext, key?: Readonly<Uint32Array>): boolean {
    leave();
    if (tableStores > MOST_TABLE_STORES) dropAll();
    enterSlot(key);
    const { isKnown } = active;
    active.isKnown = true;
    // RFLAGS.AC is in no key, and the pointers of PAE tables are words that all contexts share.
    active.context = context.smap || context.levels === 3 || context.nested?.levels === 3 ? undefined : context;
    walker.resume(context, active.regions, active.nested);
    smap = context.smap;
    isNested = context.nested !== undefined;
    levels = context.levels;
    leafSpan = context.levels > 2 ? 0x200000 : 0x400000;
    entryShift = context.levels > 2 ? 3 : 2;
    return isKnown;
  }

  /** Puts the entries of the active context aside. Those that SMAP lent depend on RFLAGS.AC. */
  function leave(): void {
    active.count = usedCount > KEPT_ENTRIES || smap ? 0 : usedCount;
    if (usedCount > KEPT_ENTRIES) words.fill(EMPTY);
    else {
      const { entries } = active;
      for (let index = 0, to = 0; index < usedCount; index++, to += KEPT_WORDS) {
        const at = used[index]!;
        entries[to] = at;
        entries[to + 1] = u32[at]!;
        entries[to + 2] = u32[at + 1]!;
        entries[to + 3] = u32[at + 2]!;
        u32[at] = EMPTY;
        u32[at + 1] = EMPTY;
      }
    }
    usedCount = 0;
    stamp = stamp + 1 & 0x3fffffff;
    borrowed = [];
  }

  /** What was active before, or what was just asked for: contexts often take turns. */
  let likely: Slot | undefined;
  function slotOf(key: Readonly<Uint32Array>): Slot | undefined {
    if (likely !== undefined && hasKey(likely, key)) return likely;
    for (const slot of slots) if (hasKey(slot, key)) return slot;
    return undefined;
  }
  function remembered(key: Readonly<Uint32Array>): PagingContext | undefined {
    const slot = slotOf(key);
    if (slot !== undefined) likely = slot;
    return slot?.context;
  }
  function hasKey(slot: Slot, key: Readonly<Uint32Array>): boolean {
    if (!slot.isValid || !slot.isKeyed) return false;
    for (let word = 0; word < key.length; word++) if (slot.key[word] !== key[word]) return false;
    return true;
  }

  function enterSlot(key: Readonly<Uint32Array> | undefined): void {
    const left = active;
    left.isValid = left.isKeyed;
    let found = key === undefined ? undefined : slotOf(key);
    likely = left;
    if (found !== undefined) {
      active = found;
      if (++found.returns % RETURNS === 0) found.count = 0;
    } else {
      if (slots.length < CONTEXTS) slots.push(createSlot());
      found = slots.find((slot) => !slot.isValid);
      if (found === undefined) {
        found = left;
        dropAll();
      }
      active = found;
      found.count = 0;
      found.regions.low.fill(-1);
      found.nested.low.fill(-1);
      found.fetchLow.fill(-1);
      found.isKnown = false;
      found.context = undefined;
      found.isKeyed = key !== undefined;
      if (key !== undefined) found.key.set(key);
      found.isValid = true;
    }
    hasOthers = true;
    ({ fetchLow, fetchHigh, fetchPage } = active);
    restoreEntries(active);
  }

  function restoreEntries({ entries, count }: Slot): void {
    for (let index = 0, from = 0; index < count; index++, from += KEPT_WORDS) {
      const at = entries[from]!;
      u32[at] = entries[from + 1]!;
      u32[at + 1] = entries[from + 2]!;
      u32[at + 2] = entries[from + 3]!;
      u32[at + 3] = stamp;
      used[index] = at;
    }
    usedCount = count;
  }

  function setContextOfAc(context: PagingContext): void {
    for (const at of borrowed) {
      u32[at] = EMPTY;
      u32[at + 1] = EMPTY;
    }
    borrowed = [];
    walker.resume(context, active.regions, active.nested);
  }

  /** What was lent is too much to go through one by one. */
  function dropSupervisor(): void {
    u32.fill(EMPTY, TLB_READ_SUPERVISOR >> 2, TLB_READ_USER >> 2);
    borrowed = [];
  }

  function enter(table: number, low: number, high: number, page: number): number {
    const at = table + tlbOffset(low) >> 2, start = low & -PAGE_SIZE;
    u32[at] = start;
    u32[at + 1] = high;
    u32[at + 2] = RAM + page * PAGE_SIZE - start;
    if (u32[at + 3] !== stamp) {
      u32[at + 3] = stamp;
      if (usedCount < KEPT_ENTRIES) used[usedCount] = at;
      usedCount++;
    }
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
    forgetOthers();
    tableStores++;
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
    walker, nested, setContext, remembered, number: () => slots.indexOf(active), setContextOfAc, insert, probe, probeFetch, insertFetch, dropPage, dropAll, dropWrites, markCode, forgetCode, takeCode,
    beforeTableStore, afterTableStore, isWatched,
    setWatched(pages) {
      if (pages.length === 0 && watched.length === 0) return;
      watched = pages;
      forgetOthers();
      for (const { low, high } of pages) dropPage(low, high);
    },
  };
}
