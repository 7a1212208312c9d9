// Guest memory as the vCPU sees it, where the inline TLB probe did not settle it: segmentation, canonical and alignment checks, page walks,
// page crossings, code and table pages, ROM, MMIO, data breakpoints. Serves the engines (`readSlow`, `writeSlow`, `fetch`) and system
// instructions (`LinearMemory`). A linear address is in the two variables `low` and `high`; nothing hot makes a bigint.
import { CR0, CR4, is64Bit, untaggedHigh } from '../cpu/controls.ts';
import { Access, Stop, Written } from '../cpu/engine.ts';
import { AC } from '../cpu/flags.ts';
import {
  MXCSR_MM, placeOf, placeOfArea, placeOfSegment, RAM, SEGMENT_BASE, SEGMENT_LIMIT, type Cpu,
} from '../cpu/state.ts';
import { guestPhysical, PAGE_SIZE } from '../memory/addresses.ts';
import { hostOfPage, PageFlag, pageOfEntry, READ_ONLY_FRAME, TRACKED, WRITTEN, type FrameEntry, type Ram } from '../memory/ram.ts';
import type { Tlb } from '../memory/tlb.ts';
import { NESTED_FAULT, NESTED_TABLE, Reason } from '../memory/walk.ts';
import { dataBreakpoints, latchDebugCauses } from '../system/debug.ts';
import { GuestExit, GuestFault, NeedsUserspace, type LinearMemory } from '../system/machine.ts';
import type { Vmexit } from '../transitions/svm/exit.ts';
import { Exit } from '../transitions/svm/vmcb.ts';
import { linearOf, linearOf32 } from '../system/operand.ts';

const word = (name: Parameters<typeof placeOf>[0]): number => placeOf(name) >> 2;
const LINEAR = word('slowLinear'), OFFSET = word('slowOffset'), SEGMENT = word('slowSegment');
const FAULT_VECTOR = word('faultVector'), FAULT_CODE = word('faultErrorCode'), FAULT_ADDRESS = word('faultAddress');
const CPL = word('cpl'), CR0_WORD = word('cr0'), CR4_WORD = word('cr4'), FLAGS = word('rflagsSystem'), RIP = word('rip'), MXCSR = word('mxcsr');
const CS_BASE = placeOfSegment(1) + SEGMENT_BASE >> 2, CS_LIMIT = placeOfSegment(1) + SEGMENT_LIMIT >> 2;
const VALUE = placeOfArea('slowValue');
const GP = 13, SS = 12, PF = 14, ALIGNMENT_FAULT = 17;
/** In place of a vector: a nested page fault, of the page itself or of a guest table. */
export const NESTED_PAGE_FAULT = 0x400, NESTED_TABLE_FAULT = 0x401;

/** What lies outside RAM, and who must hear of changes. */
export interface AccessHooks {
  /** Bytes of a device: copies them to host address `host` when user space has answered; false asks it. At most 8 bytes. */
  mmioRead(address: number, length: number, host: number): boolean;
  /** False when user space must take the bytes first. */
  mmioWrite(address: number, length: number, host: number): boolean;
  /** A device of the kernel side wants the run loop to look behind this instruction. */
  mustLook(): boolean;
  /** A data breakpoint is hit while several instructions may run: the instruction has to run alone. True when it does already. */
  isAlone(): boolean;
  /** Whole granules of decoded code were written. */
  codeWritten(ramOffset: number, length: number): void;
  /** Translations of code may have changed. */
  mappingChanged(): void;
}

export interface AccessPaths {
  readSlow(access: number): number;
  writeSlow(access: number): Written;
  fetch(ahead: number): number;
  markCode(ramOffset: number, length: number): void;
  failure(): typeof Stop.fault | typeof Stop.userspace;
  readonly memory: LinearMemory;
  /** Stores bytes in RAM on behalf of nobody in the guest (user space, a restored page), keeping code and tables right. */
  storePhysical(page: number, offset: number, bytes: Uint8Array): void;
  /** Data breakpoints are armed. */
  setWatching(on: boolean): void;
}

/** EXITINFO1: the error code, with bit 32 for the page itself and bit 33 for a guest table; EXITINFO2: the guest-physical address (APM Vol. 2, 15.25.6). */
export const nestedPageFault = (cpu: Cpu): Vmexit => ({
  code: Exit.NPF, nextRip: 0n, info2: cpu.faultAddress,
  info1: BigInt(cpu.faultErrorCode) | (cpu.faultVector === NESTED_TABLE_FAULT ? 1n << 33n : 1n << 32n),
});

export function createAccess(cpu: Cpu, ram: Ram, tlb: Tlb, hooks: AccessHooks): AccessPaths {
  const { u8, u32, view } = cpu, { flags } = ram, { walker } = tlb;
  let low = 0, high = 0, watching = false;
  let failure: typeof Stop.fault | typeof Stop.userspace = Stop.fault;

  function raise(vector: number, errorCode: number): false {
    u32[FAULT_VECTOR] = vector;
    u32[FAULT_CODE] = errorCode;
    failure = Stop.fault;
    return false;
  }

  function needUserspace(): false {
    failure = Stop.userspace;
    return false;
  }

  // ── From offset or linear address to a checked linear address ──

  /** Sets `low` and `high`, or raises. */
  function locate(access: number, write: boolean): boolean {
    const size = access & 0xff;
    if ((access & Access.checkSegment) !== 0) {
      try {
        if (is64Bit(cpu)) {
          const linear = linearOf(cpu, u32[SEGMENT]!, cpu.slowOffset, size, write);
          low = Number(linear & 0xffffffffn);
          high = Number(linear >> 32n);
        } else {
          low = linearOf32(cpu, u32[SEGMENT]!, u32[OFFSET]!, size, write);
          high = 0;
        }
      } catch (thrown) {
        if (thrown instanceof GuestFault) return raise(thrown.vector, thrown.errorCode);
        throw thrown;
      }
    } else {
      low = u32[LINEAR]!;
      high = u32[LINEAR + 1]!;
      // Alignment comes before what the address may be (Zen 4, native vectors).
      if ((low & size - 1) !== 0 && mustBeAligned(access)) return raise(GP, 0);
      if (high !== 0) high = untaggedHigh(cpu, high);
      if (high !== 0 && !isCanonicalWord(high)) return raise((access & Access.stack) !== 0 ? SS : GP, 0);
      // Past the end of the lower half, or past 4 GiB outside 64-bit mode (there a flat segment's limit ends).
      if (low > 0xffffffff - (size - 1) && (is64Bit(cpu) ? !isCanonicalWord(high + 1 >>> 0) : true)) {
        return raise((access & Access.stack) !== 0 ? SS : GP, 0);
      }
    }
    if ((low & size - 1) !== 0) {
      if (mustBeAligned(access)) return raise(GP, 0);
      if (isAlignmentChecked(access)) return raise(ALIGNMENT_FAULT, 0);
    }
    return true;
  }

  const mustBeAligned = (access: number): boolean =>
    (access & Access.aligned) !== 0 && ((access & Access.lenient) === 0 || (u32[MXCSR]! & MXCSR_MM) === 0);

  function isCanonicalWord(value: number): boolean {
    const sign = value >> ((u32[CR4_WORD]! & CR4.LA57) !== 0 ? 24 : 15);
    return sign === 0 || sign === -1;
  }

  /** CPL 3, CR0.AM and RFLAGS.AC; sizes that are no power of two are never checked (their parts are). */
  const isAlignmentChecked = (access: number): boolean =>
    u32[CPL] === 3 && (u32[FLAGS]! & AC) !== 0 && (u32[CR0_WORD]! & CR0.AM) !== 0 && (access & (Access.supervisor | access - 1 & 0xff & access)) === 0;

  /** Walks for the page of `at` (low half) and `atHigh`. Returns what backs it (0: a hole), or -1 after raising #PF. */
  function translate(at: number, atHigh: number, reason: number): number {
    const code = walker.walk(at, atHigh, reason);
    if (code >= NESTED_FAULT) {
      raise((code & NESTED_TABLE) !== 0 ? NESTED_TABLE_FAULT : NESTED_PAGE_FAULT, code & 0xffff);
      u32[FAULT_ADDRESS] = walker.faultLow;
      u32[FAULT_ADDRESS + 1] = walker.faultHigh;
      return -1;
    }
    if (code >= 0) {
      raise(PF, code);
      u32[FAULT_ADDRESS] = at;
      u32[FAULT_ADDRESS + 1] = atHigh;
      return -1;
    }
    return ram.entryOfFrame(walker.frame);
  }

  const reasonOf = (access: number, write: number): number =>
    write | (u32[CPL] !== 3 ? (access & Access.supervisor) !== 0 ? Reason.implicit : 0 : (access & Access.supervisor) !== 0 ? Reason.implicit : Reason.user);

  /** Whether the access may go on as far as data breakpoints are concerned. */
  function passBreakpoints(size: number, write: boolean): boolean {
    const lastLow = low + size - 1 >>> 0, lastHigh = lastLow < low ? high + 1 >>> 0 : high;
    if (!tlb.isWatched(low, high) && !tlb.isWatched(lastLow, lastHigh)) return true;
    const causes = dataBreakpoints(cpu, BigInt(high) << 32n | BigInt(low), size, write);
    if (causes === 0) return true;
    if (!hooks.isAlone()) return needUserspace();
    latchDebugCauses(cpu, causes);
    return true;
  }

  // ── Reading ──

  function readSlow(access: number): number {
    return locate(access, false) ? readLocated(access) : 0;
  }

  function readLocated(access: number): number {
    const size = access & 0xff, reason = reasonOf(access, 0), inPage = low & 0xfff;
    if (inPage + size > PAGE_SIZE) return readCrossing(size, reason);
    const backing = translate(low, high, reason);
    if (backing === -1 || (watching && !passBreakpoints(size, false))) return 0;
    if (backing === 0) return readDevice(walker.frame, inPage, size, VALUE) ? VALUE : 0;
    const page = pageOfEntry(backing);
    tlb.insert(low, high, page, backing >= READ_ONLY_FRAME, (reason & Reason.user) !== 0, false);
    return hostOfPage(page) + inPage;
  }

  /** Devices see at most 8 bytes at a time. */
  function readDevice(frame: number, offset: number, size: number, host: number): boolean {
    for (let at = 0; at < size; at += 8) {
      if (!hooks.mmioRead(frame * PAGE_SIZE + offset + at, Math.min(8, size - at), host + at)) return needUserspace();
    }
    return true;
  }

  const nextLow = (): number => (low | 0xfff) + 1 >>> 0;
  /** The half above the next page's low half; outside 64-bit mode addresses wrap at 4 GiB. */
  const nextHigh = (): number => nextLow() === 0 && is64Bit(cpu) ? high + 1 >>> 0 : high;

  function readCrossing(size: number, reason: number): number {
    const inPage = low & 0xfff, first = PAGE_SIZE - inPage;
    const backing = translate(low, high, reason);
    if (backing === -1) return 0;
    const frame = walker.frame;
    const second = translate(nextLow(), nextHigh(), reason);
    if (second === -1 || (watching && !passBreakpoints(size, false))) return 0;
    const secondFrame = walker.frame;
    if (backing === 0) {
      if (!readDevice(frame, inPage, first, VALUE)) return 0;
    } else u8.copyWithin(VALUE, hostOfPage(pageOfEntry(backing)) + inPage, hostOfPage(pageOfEntry(backing)) + PAGE_SIZE);
    if (second === 0) {
      if (!readDevice(secondFrame, 0, size - first, VALUE + first)) return 0;
    } else {
      const host = hostOfPage(pageOfEntry(second));
      u8.copyWithin(VALUE + first, host, host + size - first);
    }
    return VALUE;
  }

  // ── Writing ──

  function writeSlow(access: number): Written {
    return locate(access, true) ? writeLocated(access) : Written.failed;
  }

  function writeLocated(access: number): Written {
    const size = access & 0xff, reason = reasonOf(access, Reason.write), inPage = low & 0xfff;
    if (inPage + size > PAGE_SIZE) return writeCrossing(access, size, reason);
    const backing = translate(low, high, reason);
    if (backing === -1) return Written.failed;
    if ((access & Access.probe) !== 0) return Written.done;
    if (watching && !passBreakpoints(size, true)) return Written.failed;
    if (backing === 0 || backing >= READ_ONLY_FRAME) {
      if (!writeDevice(walker.frame, inPage, size, VALUE)) return Written.failed;
      return hooks.mustLook() ? Written.attention : Written.done;
    }
    const page = pageOfEntry(backing);
    tlb.insert(low, high, page, false, (reason & Reason.user) !== 0, true);
    if ((flags[page]! & TRACKED) !== 0) return storeTracked(page, inPage, size, VALUE);
    flags[page]! |= WRITTEN;
    store(hostOfPage(page) + inPage, size);
    return Written.done;
  }

  function store(host: number, size: number): void {
    switch (size) {
      case 1: u8[host] = u8[VALUE]!; break;
      case 2: view.setUint16(host, u32[VALUE >> 2]!, true); break;
      case 4: view.setUint32(host, u32[VALUE >> 2]!, true); break;
      case 8:
        view.setUint32(host, u32[VALUE >> 2]!, true);
        view.setUint32(host + 4, u32[(VALUE >> 2) + 1]!, true);
        break;
      default: u8.copyWithin(host, VALUE, VALUE + size);
    }
  }

  function writeDevice(frame: number, offset: number, size: number, host: number): boolean {
    for (let at = 0; at < size; at += 8) {
      if (!hooks.mmioWrite(frame * PAGE_SIZE + offset + at, Math.min(8, size - at), host + at)) return needUserspace();
    }
    return true;
  }

  function writeCrossing(access: number, size: number, reason: number): Written {
    const inPage = low & 0xfff, first = PAGE_SIZE - inPage;
    const backing = translate(low, high, reason);
    if (backing === -1) return Written.failed;
    const frame = walker.frame;
    const second = translate(nextLow(), nextHigh(), reason);
    if (second === -1) return Written.failed;
    const secondFrame = walker.frame;
    if ((access & Access.probe) !== 0) return Written.done;
    if (watching && !passBreakpoints(size, true)) return Written.failed;
    // Devices first: they may still ask user space, and nothing may be stored before that.
    const firstIsDevice = backing === 0 || backing >= READ_ONLY_FRAME, secondIsDevice = second === 0 || second >= READ_ONLY_FRAME;
    if (firstIsDevice && !writeDevice(frame, inPage, first, VALUE)) return Written.failed;
    if (secondIsDevice && !writeDevice(secondFrame, 0, size - first, VALUE + first)) return Written.failed;
    let written: Written = Written.done;
    if (!firstIsDevice) written = storeTracked(pageOfEntry(backing), inPage, first, VALUE);
    if (!secondIsDevice && storeTracked(pageOfEntry(second), 0, size - first, VALUE + first) === Written.relook) written = Written.relook;
    return written;
  }

  /** Stores `size` bytes from host address `from`, which may hit decoded code or page tables. */
  function storeTracked(page: number, offset: number, size: number, from: number): Written {
    const flag = flags[page]!, host = hostOfPage(page) + offset;
    if ((flag & PageFlag.table) !== 0) tlb.beforeTableStore(page, offset, size);
    if (from === VALUE) store(host, size);
    else u8.copyWithin(host, from, from + size);
    return afterTracked(page, flag, offset, size);
  }

  function afterTracked(page: number, flag: number, offset: number, size: number): Written {
    flags[page] = flag | WRITTEN;
    let written: Written = Written.done;
    if ((flag & PageFlag.code) !== 0 && tlb.takeCode(page, offset, size)) {
      const first = offset & ~63, end = offset + size + 63 & ~63;
      hooks.codeWritten(page * PAGE_SIZE + first, end - first);
      written = Written.relook;
    }
    if ((flag & PageFlag.table) !== 0 && tlb.afterTableStore()) {
      hooks.mappingChanged();
      written = Written.relook;
    }
    return written;
  }

  function storePhysical(page: number, offset: number, bytes: Uint8Array): void {
    const flag = flags[page]!;
    if ((flag & PageFlag.table) !== 0) tlb.beforeTableStore(page, offset, bytes.length);
    u8.set(bytes, hostOfPage(page) + offset);
    afterTracked(page, flag, offset, bytes.length);
  }

  // ── Fetching ──

  function fetch(ahead: number): number {
    const user = u32[CPL] === 3, ip = u32[RIP]! + ahead;
    if (is64Bit(cpu)) {
      low = ip >>> 0;
      high = u32[RIP + 1]! + (ip > 0xffffffff ? 1 : 0) >>> 0;
      if (high !== 0 && !isCanonicalWord(high)) {
        raise(GP, 0);
        return -1;
      }
    } else {
      if (ip > u32[CS_LIMIT]!) {
        raise(GP, 0);
        return -1;
      }
      low = u32[CS_BASE]! + ip >>> 0;
      high = 0;
    }
    let page = tlb.probeFetch(low, high, user);
    if (page === -1) {
      const backing = translate(low, high, Reason.fetch | (user ? Reason.user : 0));
      if (backing <= 0) return backing === 0 ? -2 : -1;
      page = pageOfEntry(backing);
      tlb.insertFetch(low, high, user, page);
    }
    return page * PAGE_SIZE + (low & 0xfff);
  }

  function markCode(offset: number, length: number): void {
    for (let at = offset; at < offset + length;) {
      const part = Math.min(PAGE_SIZE - at % PAGE_SIZE, offset + length - at);
      tlb.markCode(Math.floor(at / PAGE_SIZE), at % PAGE_SIZE, part);
      at += part;
    }
  }

  // ── For system instructions ──

  function fail(): never {
    if (failure === Stop.userspace) throw new NeedsUserspace();
    if (u32[FAULT_VECTOR]! >= NESTED_PAGE_FAULT) throw new GuestExit(nestedPageFault(cpu));
    throw new GuestFault(u32[FAULT_VECTOR]!, u32[FAULT_CODE]!, u32[FAULT_VECTOR] === PF ? cpu.faultAddress : 0n);
  }

  const accessOf = (size: number, supervisor: boolean | undefined): number => supervisor === true ? size | Access.supervisor : size;

  /** What the TLB knows. RFLAGS.AC lends a supervisor the pages of users, but not for implicit accesses (SDM Vol. 3, 4.6.1). */
  function probe(atLow: number, atHigh: number, length: number, supervisor: boolean | undefined, write: boolean): number {
    if (supervisor === true && (u32[FLAGS]! & AC) !== 0 && (u32[CR4_WORD]! & CR4.SMAP) !== 0) return 0;
    return tlb.probe(atLow, atHigh, length, u32[CPL] === 3 && supervisor !== true, write);
  }

  function hostForRead(linear: bigint, size: number, supervisor: boolean | undefined): number {
    low = Number(BigInt.asUintN(32, linear));
    high = Number(linear >> 32n);
    const access = accessOf(size, supervisor);
    if ((low & size - 1) === 0) {
      const host = probe(low, high, size, supervisor, false);
      if (host !== 0) return host;
    } else if (isAlignmentChecked(access)) {
      raise(ALIGNMENT_FAULT, 0);
      fail();
    }
    const host = readLocated(access);
    if (host === 0) fail();
    return host;
  }

  /** Stores what is in the value area. */
  function write(linear: bigint, size: number, supervisor: boolean | undefined, more = 0): void {
    low = Number(BigInt.asUintN(32, linear));
    high = Number(linear >> 32n);
    const access = accessOf(size, supervisor) | more;
    if ((low & size - 1) !== 0 && isAlignmentChecked(access)) {
      raise(ALIGNMENT_FAULT, 0);
      fail();
    }
    const written = writeLocated(access);
    if (written === Written.failed) fail();
  }

  /** The page of a shadow stack, by a walk each time: the TLB has none of these. */
  function shadowPage(linear: bigint, reason: number): FrameEntry {
    const backing = translate(Number(BigInt.asUintN(32, linear)), Number(linear >> 32n), reason | Reason.shadow);
    if (backing === -1) fail();
    return backing;
  }
  const shadowReason = (user: boolean): number => user ? Reason.user : Reason.read;
  function readShadow32(linear: bigint, user: boolean): number {
    const backing = shadowPage(linear, shadowReason(user));
    return backing === 0 ? 0xffffffff : view.getUint32(hostOfPage(pageOfEntry(backing)) + Number(linear & 0xfffn), true);
  }
  function writeShadow32(linear: bigint, value: number, user: boolean): void {
    const backing = shadowPage(linear, shadowReason(user) | Reason.write);
    if (backing === 0 || backing >= READ_ONLY_FRAME) return;
    scratchView.setUint32(0, value, true);
    storePhysical(pageOfEntry(backing), Number(linear & 0xfffn), scratch.subarray(0, 4));
  }
  /** SSP is aligned to 4 bytes; canonical, as far as MSRs and tokens go, but it may run out of that. */
  function checkShadow(linear: bigint): bigint {
    const at = BigInt.asUintN(64, linear);
    if (!isCanonicalWord(Number(at >> 32n))) throw new GuestFault(GP, 0);
    return at;
  }

  const physicalHost = (physical: number): number => {
    const offset = ram.offsetOf(guestPhysical(physical));
    return offset === -1 ? 0 : RAM + offset;
  };
  function writePhysical(physical: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const part = Math.min(PAGE_SIZE - (physical + at) % PAGE_SIZE, bytes.length - at);
      const backing = ram.entryOfFrame(Math.floor((physical + at) / PAGE_SIZE));
      if (backing !== 0 && backing < READ_ONLY_FRAME) storePhysical(pageOfEntry(backing), (physical + at) % PAGE_SIZE, bytes.subarray(at, at + part));
      at += part;
    }
  }
  const scratch = new Uint8Array(8), scratchView = new DataView(scratch.buffer);

  const memory: LinearMemory = {
    read8: (linear, supervisor) => u8[hostForRead(linear, 1, supervisor)]!,
    read16: (linear, supervisor) => view.getUint16(hostForRead(linear, 2, supervisor), true),
    read32: (linear, supervisor) => view.getUint32(hostForRead(linear, 4, supervisor), true),
    read64: (linear, supervisor) => view.getBigUint64(hostForRead(linear, 8, supervisor), true),
    write8(linear, value, supervisor) {
      u8[VALUE] = value;
      write(linear, 1, supervisor);
    },
    write16(linear, value, supervisor) {
      view.setUint16(VALUE, value, true);
      write(linear, 2, supervisor);
    },
    write32(linear, value, supervisor) {
      u32[VALUE >> 2] = value;
      write(linear, 4, supervisor);
    },
    write64(linear, value, supervisor) {
      cpu.u64[VALUE >> 3] = value;
      write(linear, 8, supervisor);
    },
    probeWrite: (linear, length, supervisor) => { write(linear, length, supervisor, Access.probe); },
    hostOfRead: (atLow, atHigh, length, supervisor) => probe(atLow, atHigh, length, supervisor, false),
    hostOfWrite: (atLow, atHigh, length, supervisor) => probe(atLow, atHigh, length, supervisor, true),
    readShadow(linear, size, user) {
      const at = checkShadow(linear), low32 = BigInt(readShadow32(at, user));
      return size === 4 ? low32 : low32 | BigInt(readShadow32(checkShadow(at + 4n), user)) << 32n;
    },
    writeShadow(linear, size, value, user) {
      const at = checkShadow(linear);
      writeShadow32(at, Number(BigInt.asUintN(32, value)), user);
      if (size === 8) writeShadow32(checkShadow(at + 4n), Number(value >> 32n), user);
    },
    probeShadow(linear, length, user) {
      const at = checkShadow(linear), reason = shadowReason(user) | Reason.write;
      shadowPage(at, reason);
      if ((at & 0xfffn) + BigInt(length) > 0x1000n) shadowPage(checkShadow(at + BigInt(length) - 4n), reason);
    },
    hasPhysical: (physical) => physicalHost(physical) !== 0,
    nestedPhysical(physical, write) {
      const { nested } = tlb, atHigh = Math.floor(physical / 2 ** 32);
      const code = nested.walk(physical | 0, atHigh, Reason.user | (write ? Reason.write : Reason.read));
      if (code === -1) return nested.frame * PAGE_SIZE + physical % PAGE_SIZE;
      throw new GuestExit({ code: Exit.NPF, nextRip: 0n, info1: BigInt(code) | 1n << 32n, info2: BigInt(physical) });
    },
    readPhysical32(physical) {
      const host = physicalHost(physical);
      return host === 0 ? 0xffffffff : view.getUint32(host, true);
    },
    readPhysical64(physical) {
      const host = physicalHost(physical);
      return host === 0 ? 0xffffffffffffffffn : view.getBigUint64(host, true);
    },
    writePhysical32(physical, value) {
      scratchView.setUint32(0, value, true);
      writePhysical(physical, scratch.subarray(0, 4));
    },
    writePhysical64(physical, value) {
      scratchView.setBigUint64(0, value, true);
      writePhysical(physical, scratch);
    },
  };

  return {
    readSlow, writeSlow, fetch, markCode, memory, storePhysical,
    failure: () => failure,
    setWatching(on) { watching = on; },
  };
}
