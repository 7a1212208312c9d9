// Guest RAM: which guest-physical frames it backs (KVM's memory slots), and what is known of every RAM page: whether code was decoded
// from it, whether page walks read it, whether it was written. Used by the walker, the TLB and the access paths. It knows no vCPU.
import { RAM } from '../cpu/state.ts';
import type { GuestPhysical, RamOffset } from './addresses.ts';
import { PAGE_SHIFT, PAGE_SIZE, ramOffset } from './addresses.ts';

/** What holds of a RAM page; bits of `Ram.flags`. */
export const PageFlag = {
  /** Some 64-byte granule holds decoded code: data writes look at `granules` first. */
  code: 1,
  /** A page walk read it: a write may change translations. */
  table: 2,
  /** Written since `takeDirtyPages`. */
  dirty: 4,
  /** Written since its content hash was taken. */
  unhashed: 8,
} as const;
/** Pages that no write entry of a TLB may point to. */
export const TRACKED = PageFlag.code | PageFlag.table;
export const WRITTEN = PageFlag.dirty | PageFlag.unhashed;

/** KVM_MEM_READONLY: reads are RAM's, writes go to user space. */
export const MEMORY_READ_ONLY = 2;

/** Address spaces of guest-physical memory: as the guest sees it, and as it is in system-management mode (KVM's two). A client that gives
 * the second one no slot has only one. */
export const NORMAL_SPACE = 0, SMM_SPACE = 1;
export type AddressSpace = typeof NORMAL_SPACE | typeof SMM_SPACE;
export const spaceOfSlot = (slot: number): number => slot >>> 16;

/** Bit 20 of an address, as a bit of the frame. */
const A20 = 0x100;
/** The frame that an access to `frame` reaches while the A20 gate is closed. */
export const withoutA20 = (frame: number): number => frame % (2 * A20) < A20 ? frame : frame - A20;

export interface Slot {
  /** Number, with the address space in bits 31:16. */
  readonly slot: number;
  readonly flags: number;
  readonly guestPhysical: number;
  readonly size: number;
  readonly ramOffset: number;
}

/** What backs a guest-physical frame: 0 is a hole; otherwise the RAM page plus one, with `READ_ONLY_FRAME` for a ROM slot. */
export type FrameEntry = number;
export const READ_ONLY_FRAME = 0x80000000;
export const pageOfEntry = (entry: FrameEntry): number => (entry & 0x7fffffff) - 1;

export interface Ram {
  readonly size: number;
  readonly pageCount: number;
  /** The whole linear memory; RAM begins at `RAM`. */
  readonly u8: Uint8Array;
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  /** `PageFlag` bits per RAM page. */
  readonly flags: Uint8Array;
  /** Two words per RAM page: a bit per 64-byte granule that holds decoded code. */
  readonly granules: Uint32Array;
  /** What the active vCPU reaches at a guest-physical frame (address >> 12, below 2^40): in the address space that is selected, behind the A20
   * gate. */
  entryOfFrame(frame: number): FrameEntry;
  /** What backs a frame, whatever the gate. */
  entryIn(space: AddressSpace, frame: number): FrameEntry;
  /** The frame that the active vCPU puts on the bus for `frame`: behind the A20 gate. */
  frameOnBus(frame: number): number;
  /** The address space of the active vCPU. Whoever changes it drops the TLB. */
  selectSpace(space: AddressSpace): void;
  /** Whether the A20 gate masks what the active vCPU accesses. Whoever changes it drops the TLB. */
  maskA20(masks: boolean): void;
  /** The RAM offset of a guest-physical address, or -1. */
  offsetOf(address: GuestPhysical): RamOffset | -1;
  /** Replaces all slots. Overlapping or unaligned ones are the caller's mistake: `checkSlot` tells. */
  setSlots(slots: readonly Slot[]): void;
  /** The first RAM page whose flags have one of `mask` at or after `from`, or -1. */
  nextPage(mask: number, from: number): number;
}

/** Frames below 4 GiB have a table; slots above it are few and searched. */
const LOW_FRAMES = 1 << 20;

/** What the frames of an address space are backed by. */
interface Frames {
  readonly low: Uint32Array;
  high: { first: number; end: number; entry: number }[];
}

function highEntry(high: Frames['high'], frame: number): FrameEntry {
  for (const { first, end, entry } of high) if (frame >= first && frame < end) return entry + (frame - first);
  return 0;
}

export function createRam(buffer: ArrayBuffer, size: number): Ram {
  const u8 = new Uint8Array(buffer), u32 = new Uint32Array(buffer), u64 = new BigUint64Array(buffer);
  const pageCount = size >>> PAGE_SHIFT;
  const flagWords = new Uint32Array((pageCount + 3) >> 2), flags = new Uint8Array(flagWords.buffer, 0, pageCount);
  const granules = new Uint32Array(2 * pageCount);
  const normal: Frames = { low: new Uint32Array(LOW_FRAMES), high: [] };
  let smm = normal, selected: AddressSpace = NORMAL_SPACE;
  let { low, high } = normal;
  /** The bits of a frame that the gate lets through. */
  let passes = ~0;

  function entryOfFrame(frame: number): FrameEntry {
    if (frame < LOW_FRAMES) return low[frame & passes]!;
    return highEntry(high, frameOnBus(frame));
  }
  const frameOnBus = (frame: number): number => passes === ~0 ? frame : withoutA20(frame);

  function selectSpace(space: AddressSpace): void {
    selected = space;
    ({ low, high } = space === SMM_SPACE ? smm : normal);
  }

  function setSlots(slots: readonly Slot[]): void {
    fill(normal, slots.filter(({ slot }) => spaceOfSlot(slot) === NORMAL_SPACE));
    const others = slots.filter(({ slot }) => spaceOfSlot(slot) === SMM_SPACE);
    if (others.length === 0) smm = normal;
    else {
      if (smm === normal) smm = { low: new Uint32Array(LOW_FRAMES), high: [] };
      fill(smm, others);
    }
    selectSpace(selected);
  }

  function fill(frames: Frames, slots: readonly Slot[]): void {
    const { low } = frames, high: Frames['high'] = [];
    low.fill(0);
    frames.high = high;
    for (const slot of slots) {
      const first = slot.guestPhysical / PAGE_SIZE, count = slot.size / PAGE_SIZE;
      const entry = (slot.ramOffset / PAGE_SIZE + 1 | (slot.flags & MEMORY_READ_ONLY ? READ_ONLY_FRAME : 0)) >>> 0;
      for (let index = 0; index < count && first + index < LOW_FRAMES; index++) low[first + index] = entry + index;
      if (first + count > LOW_FRAMES) {
        const skipped = Math.max(0, LOW_FRAMES - first);
        high.push({ first: first + skipped, end: first + count, entry: entry + skipped });
      }
    }
  }

  function nextPage(mask: number, from: number): number {
    const masks = Math.imul(mask, 0x01010101);
    for (let page = from; page < pageCount; page++) {
      // Four pages at a time where there is nothing.
      if ((page & 3) === 0) while (page < pageCount && (flagWords[page >> 2]! & masks) === 0) page += 4;
      if (page < pageCount && (flags[page]! & mask) !== 0) return page;
    }
    return -1;
  }

  return {
    size, pageCount, u8, u32, u64, flags, granules, entryOfFrame, frameOnBus, selectSpace, setSlots, nextPage,
    maskA20(masks) { passes = masks ? ~A20 : ~0; },
    entryIn(space, frame) {
      const frames = space === SMM_SPACE ? smm : normal;
      return frame < LOW_FRAMES ? frames.low[frame]! : highEntry(frames.high, frame);
    },
    offsetOf(address) {
      const entry = entryOfFrame(Math.floor(address / PAGE_SIZE));
      return entry === 0 ? -1 : ramOffset(pageOfEntry(entry) * PAGE_SIZE + address % PAGE_SIZE);
    },
  };
}

/** Why a slot cannot be set beside the others, in KVM's errno, or undefined. */
export function checkSlot(ramSize: number, slots: readonly Slot[], slot: Slot): 'EINVAL' | 'EEXIST' | undefined {
  const aligned = (value: number): boolean => Number.isSafeInteger(value) && value >= 0 && value % PAGE_SIZE === 0;
  if (!aligned(slot.guestPhysical) || !aligned(slot.size) || !aligned(slot.ramOffset)) return 'EINVAL';
  if (!Number.isInteger(slot.slot) || slot.slot < 0 || spaceOfSlot(slot.slot) > SMM_SPACE || slot.slot > 0x1ffff) return 'EINVAL';
  if (slot.guestPhysical + slot.size > 2 ** 52 || slot.ramOffset + slot.size > ramSize) return 'EINVAL';
  const overlaps = slots.some((other) => other.slot !== slot.slot && spaceOfSlot(other.slot) === spaceOfSlot(slot.slot)
    && other.guestPhysical < slot.guestPhysical + slot.size && slot.guestPhysical < other.guestPhysical + other.size);
  return overlaps ? 'EEXIST' : undefined;
}

/** The host address of a RAM page. */
export const hostOfPage = (page: number): number => RAM + page * PAGE_SIZE;

/** The granules that bytes `offset` .. `offset + length - 1` of one page touch, as masks for the two words of the page. */
export function granuleMask(offset: number, length: number, half: 0 | 1): number {
  const first = Math.max(0, (offset >>> 6) - 32 * half), last = Math.min(31, (offset + length - 1 >>> 6) - 32 * half);
  if (first > 31 || last < 0 || first > last) return 0;
  return last - first === 31 ? 0xffffffff : (2 ** (last - first + 1) - 1) * 2 ** first;
}
