// Page walks: no paging, 32-bit (with 4 MiB pages), PAE, 4-level and 5-level (APM Vol. 2, 5.2 and 5.3; SDM Vol. 3, 4.3 to 4.7). Used by
// `tlb.ts` for the guest's own tables and, by the same text, for nested tables: how the frame of a table becomes RAM is an argument. Linear addresses are two 32-bit halves; nothing here makes a bigint or allocates.
//
// Choices where processors differ: a table in a hole reads as ones, as a bus abort gives, and so mostly ends in a reserved-bit fault. A
// is set in a non-leaf entry when the walk passes through it, even if a lower level then faults; A and D of a leaf only when the access is
// allowed (QEMU and hardware do that; KVM sets nothing when the walk faults).
import { RAM } from '../cpu/state.ts';
import { WRITTEN, hostOfPage, pageOfEntry, READ_ONLY_FRAME } from './ram.ts';
import type { FrameEntry, Ram } from './ram.ts';

/** What is wanted of a translation. The low bits are those of the #PF error code. */
export const Reason = {
  read: 0, write: 2, user: 4, fetch: 0x10,
  /** By the processor, of a shadow stack: the page must be a shadow-stack page. */
  shadow: 0x40,
  /** An implicit supervisor access (descriptor tables, TSS): SMAP has no exception for it. */
  implicit: 0x100,
  /** A debugger's look: sets neither A nor D and marks no table. */
  quiet: 0x200,
} as const;

/** Bits of the #PF error code (APM Vol. 2, 8.4.2). */
export const PageFault = { present: 1, write: 2, user: 4, reserved: 8, fetch: 0x10, protectionKey: 0x20, shadow: 0x40 } as const;

/** What a walk asks of the CPU model: only when an entry makes the answer matter, so that the footprint holds what could be noticed. */
export interface PagingModel {
  physicalAddressBits(): number;
  /** 4 MiB pages may lie above 4 GiB. */
  pse36(): boolean;
  /** 1 GiB pages exist. */
  pdpe1gb(): boolean;
  /** AMD reserves bit 8 of PML4E and PML5E; Intel ignores it. */
  reservesBit8(): boolean;
}

/** Everything that decides a walk, besides the tables. */
export interface PagingContext {
  /** 0: no paging; 2: 32-bit; 3: PAE; 4 and 5: long mode. */
  readonly levels: number;
  /** Frame of the top table (CR3 >> 12). */
  readonly root: number;
  /** PAE: the four registers, as pairs of words. */
  readonly pdptes: Uint32Array;
  readonly pse: boolean;
  readonly nxe: boolean;
  readonly wp: boolean;
  readonly smep: boolean;
  readonly smap: boolean;
  /** RFLAGS.AC, which lets explicit supervisor accesses through SMAP. */
  readonly ac: boolean;
  /** CR4.PKE in long mode. */
  readonly pke: boolean;
  readonly pkru: number;
  /** CR4.PKS in long mode, and IA32_PKRS: keys of supervisor pages. */
  readonly pks: boolean;
  readonly pkrs: number;
  readonly model: PagingModel;
  /** Nested paging: what the guest takes for physical addresses is translated once more, by tables of the host (APM Vol. 2, 15.25). */
  readonly nested?: PagingContext | undefined;
}

/** In what a walk returns: the nested walk failed. Its error code is below, with bit 16 when a guest table and not the page itself was reached
 * for; the guest-physical address is in `faultLow` and `faultHigh`. */
export const NESTED_FAULT = 0x10000, NESTED_TABLE = 0x20000;

/** The regions (2 MiB, or 4 MiB of 32-bit tables) of one context whose upper levels are remembered: what the manuals call a paging-structure
 * cache. */
export interface RegionCache { readonly low: Int32Array; readonly high: Int32Array; readonly at: Float64Array; readonly rights: Int32Array }
const REGIONS = 1024;
export const createRegionCache = (): RegionCache =>
  ({ low: new Int32Array(REGIONS).fill(-1), high: new Int32Array(REGIONS), at: new Float64Array(REGIONS), rights: new Int32Array(REGIONS) });

export interface Walker {
  /** Another context, of which nothing is known. */
  setContext(context: PagingContext): void;
  /** A context, and what is remembered of it; `nested` for its nested tables. */
  resume(context: PagingContext, regions: RegionCache, nested: RegionCache): void;
  /** Returns -1 and fills the fields below, or the error code of the #PF, or one with `NESTED_FAULT`. */
  walk(low: number, high: number, reason: number): number;
  faultLow: number;
  faultHigh: number;
  /** Physical frame (address >> 12) of the page that was found, as it is on the bus: the A20 gate masks it. */
  frame: number;
  /** Whether a write by the same privilege would now succeed with D set already. */
  writable: boolean;
  /** U/S of the page. */
  user: boolean;
  /** Forgets the cached upper levels. */
  drop(): void;
}

/** How a walker reaches memory. */
export interface TableAccess {
  /** What backs the frame that a table lies in: the RAM entry, or 0 for a hole. */
  entryOfFrame(frame: number): FrameEntry;
  /** RAM page `page` was read as a table of `level` for the region of linear addresses that contains the one given. */
  onTable(page: number, level: number, low: number, high: number): void;
}

const PRESENT = 1, WRITE = 2, USER = 4, ACCESSED = 0x20, DIRTY = 0x40, LARGE = 0x80;
/** In accumulated rights, beside WRITE and USER: NX, and the level of the entry that the cache points to. */
const NX = 0x10, LEVEL = 0x300, LEVEL_SHIFT = 8;
const HIGH_FRAME = 0x100000;

/** `inner` walks the nested tables of the same vCPU. */
export function createWalker(ram: Ram, tables: TableAccess, inner?: Walker): Walker {
  const { u32, flags } = ram;
  let { low: regionLow, high: regionHigh, at: regionAt, rights: regionRights } = createRegionCache();

  let levels = 0, root = 0, pdptes: Uint32Array = new Uint32Array(8);
  let pse = false, wp = false, smep = false, smapBlocks = false, smap = false, pke = false, pks = false, pkru = 0, pkrs = 0;
  let reportsFetch = false, model: PagingModel | undefined;
  let wide = false, regionShift = 21, entryShift = 3, indexMask = 511;
  let reservedHigh = 0, isNested = false;

  function setContext(context: PagingContext): void {
    adopt(context);
    if (context.nested !== undefined) inner?.setContext(context.nested);
    drop();
  }

  function resume(context: PagingContext, regions: RegionCache, nested: RegionCache): void {
    adopt(context);
    ({ low: regionLow, high: regionHigh, at: regionAt, rights: regionRights } = regions);
    if (context.nested !== undefined) inner?.resume(context.nested, nested, nested);
  }

  function adopt(context: PagingContext): void {
    ({ levels, root, pdptes, pse, wp, smep, smap, pke, pks, pkru, pkrs, model } = context);
    wide = levels > 2;
    regionShift = wide ? 21 : 22;
    entryShift = wide ? 3 : 2;
    indexMask = wide ? 511 : 1023;
    smapBlocks = smap && !context.ac;
    reportsFetch = smep || (context.nxe && wide);
    // Bit 63 without NXE; bits 62:52 in legacy PAE.
    reservedHigh = (context.nxe ? 0 : 0x80000000) | (levels === 3 ? 0x7ff00000 : 0);
    isNested = context.nested !== undefined && inner !== undefined;
  }

  function drop(): void {
    regionLow.fill(-1);
  }

  const result: Walker = { setContext, resume, walk, drop, frame: 0, writable: true, user: true, faultLow: 0, faultHigh: 0 };

  /** The page that a guest takes for physical, through the nested tables: every access is one of a user. */
  function nest(frame: number, offset: number, reason: number): number {
    const low = (frame % HIGH_FRAME << 12 | offset) >>> 0, high = Math.floor(frame / HIGH_FRAME);
    const code = inner!.walk(low, high, reason & (WRITE | Reason.fetch | Reason.quiet) | USER);
    if (code === -1) return -1;
    result.faultLow = low;
    result.faultHigh = high;
    return code | NESTED_FAULT;
  }

  /** What backs a guest's table. "Walks of guest tables are user writes for the nested tables" (APM Vol. 2, 15.25.5). */
  let tableFault = 0;
  function entryOfTable(frame: number, offset: number, reason: number): FrameEntry {
    if (!isNested) return tables.entryOfFrame(frame);
    tableFault = nest(frame, offset, reason & Reason.quiet | WRITE);
    return tableFault === -1 ? tables.entryOfFrame(inner!.frame) : -1;
  }

  function walk(low: number, high: number, reason: number): number {
    const code = walkOnce(low, high, reason);
    if (code !== -1) return code;
    if (!isNested) {
      result.frame = ram.frameOnBus(result.frame);
      return -1;
    }
    const nested = nest(result.frame, low & 0xfff, reason);
    if (nested !== -1) return nested;
    result.frame = inner!.frame;
    result.writable &&= inner!.writable;
    return -1;
  }

  /** Reserved bits of the high word: those above, and 51:MAXPHYADDR, which an entry below 4 GiB cannot have. */
  const hasReservedHigh = (entryHigh: number): boolean =>
    (entryHigh & reservedHigh) !== 0 || ((entryHigh & 0xfffff) !== 0 && (entryHigh & 0xfffff) >= 2 ** (model!.physicalAddressBits() - 32));
  /** 4 MiB pages: bits 20:13 are address bits 39:32 as far as they exist, the rest up to bit 21 is reserved. */
  function hasReserved4M(entry: number): boolean {
    const bits = entry & 0x3fe000;
    if (bits === 0) return false;
    const address = model!.pse36() ? (2 ** (Math.min(model!.physicalAddressBits(), 40) - 32) - 1) * 0x2000 : 0;
    return (bits & ~address) !== 0;
  }

  const faultOf = (reason: number): number => reason & (WRITE | USER | Reason.shadow) | (reportsFetch ? reason & PageFault.fetch : 0);

  function walkOnce(low: number, high: number, reason: number): number {
    if (levels === 0) {
      result.frame = low >>> 12;
      result.writable = true;
      result.user = true;
      return -1;
    }
    const region = low >>> regionShift, slot = (region ^ Math.imul(high, 0x9e5)) & (REGIONS - 1);
    if (regionLow[slot] === region && regionHigh[slot] === (high | 0)) {
      const rights = regionRights[slot]!;
      let at = regionAt[slot]!;
      if ((rights & LEVEL) === 1 << LEVEL_SHIFT) at += ((low >>> 12) & indexMask) << entryShift;
      return leaf(u32[at >>> 2]!, wide ? u32[(at >>> 2) + 1]! : 0, at, rights, low, reason);
    }
    return descend(low, high, reason, slot);
  }

  /** The walk from the top, to the leaf; remembers the way down. */
  function descend(low: number, high: number, reason: number, slot: number): number {
    let level = levels, frame = root, rights = WRITE | USER;
    if (level === 3) {
      const index = low >>> 30 << 1;
      let entry = pdptes[index]!, entryHigh = pdptes[index + 1]!;
      if (isNested) {
        // They are read at the walk: CR3 names 32 bytes, whose low address bits are in pdptes[0].
        const backing = entryOfTable(root, pdptes[0]! + 4 * index, reason);
        if (backing < 0) return tableFault | NESTED_TABLE;
        const at = backing === 0 ? -1 : hostOfPage(pageOfEntry(backing)) + pdptes[0]! + 4 * index >>> 2;
        entry = at < 0 ? 0xffffffff : u32[at]!;
        entryHigh = at < 0 ? 0xffffffff : u32[at + 1]!;
        if (backing !== 0 && (reason & Reason.quiet) === 0) tables.onTable(pageOfEntry(backing), 3, low, high);
        if ((entry & PRESENT) !== 0 && ((entry & 0x1e6) !== 0 || hasReservedHigh(entryHigh))) return reservedBit(reason);
      }
      if ((entry & PRESENT) === 0) return faultOf(reason);
      frame = (entry >>> 12) + (entryHigh & 0xfffff) * HIGH_FRAME;
      level = 2;
    }
    for (;;) {
      const offset = indexAt(level, low, high) << entryShift, backing = entryOfTable(frame, offset, reason);
      if (backing < 0) return tableFault | NESTED_TABLE;
      let at = -1, entry = 0xffffffff, entryHigh = wide ? 0xffffffff : 0;
      if (backing !== 0) {
        const page = pageOfEntry(backing);
        if ((reason & Reason.quiet) === 0) tables.onTable(page, level, low, high);
        at = hostOfPage(page) + offset;
        entry = u32[at >>> 2]!;
        if (wide) entryHigh = u32[(at >>> 2) + 1]!;
        // Nothing is written to ROM.
        if (backing >= READ_ONLY_FRAME) at = -1;
      }
      if (level === 1 || ((entry & LARGE) !== 0 && (level === 3 || (level === 2 && (wide || pse))) && (entry & PRESENT) !== 0)) {
        rights = rights & ~LEVEL | level << LEVEL_SHIFT;
        // A leaf of level 1 is remembered by its table, a large one by its entry.
        if (backing !== 0 && at >= 0 && (reason & Reason.quiet) === 0) remember(slot, low, high, level === 1 ? at - (at & 0xfff) : at, rights);
        return leaf(entry, entryHigh, at, rights, low, reason);
      }
      if ((entry & PRESENT) === 0) return faultOf(reason);
      if (hasReservedHigh(entryHigh) || (level >= 4 && ((entry & LARGE) !== 0 || ((entry & 0x100) !== 0 && model!.reservesBit8())))) return reservedBit(reason);
      rights &= entry | NX;
      if (entryHigh >>> 31 !== 0) rights |= NX;
      if ((entry & ACCESSED) === 0 && at >= 0 && (reason & Reason.quiet) === 0) mark(at, entry | ACCESSED);
      frame = (entry >>> 12) + (entryHigh & 0xfffff) * HIGH_FRAME;
      level--;
    }
  }

  /** Index of the entry in a table of `level`. */
  function indexAt(level: number, low: number, high: number): number {
    if (!wide) return level === 2 ? low >>> 22 : low >>> 12 & 1023;
    switch (level) {
      case 1: return low >>> 12 & 511;
      case 2: return low >>> 21 & 511;
      case 3: return (low >>> 30 | high << 2) & 511;
      case 4: return high >>> 7 & 511;
      default: return high >>> 16 & 511;
    }
  }

  function remember(slot: number, low: number, high: number, at: number, rights: number): void {
    regionLow[slot] = low >>> regionShift;
    regionHigh[slot] = high;
    regionAt[slot] = at;
    regionRights[slot] = rights;
  }

  function mark(at: number, entry: number): void {
    u32[at >>> 2] = entry;
    flags[(at - RAM) / 4096 | 0]! |= WRITTEN;
  }

  const reservedBit = (reason: number): number => faultOf(reason) | PageFault.present | PageFault.reserved;

  /** The last entry: reserved bits, rights, A and D. */
  function leaf(entry: number, entryHigh: number, at: number, above: number, low: number, reason: number): number {
    if ((entry & PRESENT) === 0) return faultOf(reason);
    if (entryHigh !== 0 && hasReservedHigh(entryHigh)) return reservedBit(reason);
    const level = (above & LEVEL) >> LEVEL_SHIFT;
    let frame = entry >>> 12;
    if (level !== 1) {
      if (!wide) {
        if (hasReserved4M(entry)) return reservedBit(reason);
        frame = (entry >>> 22 << 10) + (entry >>> 13 & 0xff) * HIGH_FRAME + (low >>> 12 & 0x3ff);
      } else if (level === 2) {
        if ((entry & 0x1fe000) !== 0) return reservedBit(reason);
        frame = (frame & ~0x1ff) + (low >>> 12 & 0x1ff);
      } else {
        if (!model!.pdpe1gb() || (entry & 0x3fffe000) !== 0) return reservedBit(reason);
        frame = (frame & ~0x3ffff) + (low >>> 12 & 0x3ffff);
      }
    }
    const extra = entryHigh & 0xfffff;
    if (extra !== 0) frame += extra * HIGH_FRAME;

    const user = (above & entry & USER) !== 0, writable = (above & entry & WRITE) !== 0;
    const executable = (above & NX) === 0 && entryHigh >>> 31 === 0;
    let mayWrite: boolean, allowed: boolean;
    if ((reason & Reason.shadow) !== 0) {
      // "R/W is 0 and D is 1 in the last entry, R/W is 1 in all others; U/S is that of the access" (SDM Vol. 3, 4.6.1; APM Vol. 2, 18.4).
      mayWrite = false;
      allowed = (above & WRITE) !== 0 && (entry & (WRITE | DIRTY)) === DIRTY && user === ((reason & USER) !== 0);
    } else if ((reason & USER) !== 0) {
      mayWrite = user && writable;
      allowed = user && ((reason & WRITE) === 0 || writable) && ((reason & Reason.fetch) === 0 || executable);
    } else {
      mayWrite = writable || !wp;
      if ((reason & Reason.fetch) !== 0) allowed = executable && !(user && smep);
      else allowed = ((reason & WRITE) === 0 || mayWrite) && !(user && ((reason & Reason.implicit) !== 0 ? smap : smapBlocks));
    }
    // The key has its say whatever the rights are.
    let refused = 0;
    if ((user ? pke : pks) && (reason & Reason.fetch) === 0) {
      const key = (user ? pkru : pkrs) >>> (entryHigh >>> 26 & 0x1e) & 3;
      if ((key & 1) !== 0 || ((key & 2) !== 0 && (reason & WRITE) !== 0 && ((reason & USER) !== 0 || wp))) refused = PageFault.protectionKey;
      if (key !== 0) mayWrite = false;
    }
    if (!allowed || refused !== 0) return faultOf(reason) | PageFault.present | refused;
    const wanted = (reason & WRITE) !== 0 ? ACCESSED | DIRTY : ACCESSED;
    if ((entry & wanted) !== wanted && at >= 0 && (reason & Reason.quiet) === 0) {
      entry |= wanted;
      mark(at, entry);
    }
    result.frame = frame;
    result.user = user;
    result.writable = mayWrite && (entry & DIRTY) !== 0;
    return -1;
  }

  return result;
}
