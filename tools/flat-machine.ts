// The smallest machine that the native vectors need: three pieces of memory, no paging structures, no devices. It implements `Services`
// over a plain buffer, so that every engine plugs in as it does under the run loop. Used by `native-vectors.ts` and by tests.
import { is64Bit, isCanonical } from '../src/cpu/controls.ts';
import { Access, Done, Stop, Written, type Services } from '../src/cpu/engine.ts';
import { isExpandDown, isReadable, isWritable } from '../src/cpu/segments.ts';
import {
  bindCpu, MXCSR_MM, placeOfArea, RAM, resetCpu, TLB_ENTRIES, TLB_ENTRY_SIZE, tlbOffset, TLB_READ_USER, TLB_WRITE_USER, type Cpu,
} from '../src/cpu/state.ts';
import { segmentNames, type CodeSize, type HasFeature } from '../src/isa/instruction.ts';
import type { Capabilities } from '../src/model/capabilities.ts';
import { executeSystem } from '../src/system/index.ts';
import { GuestFault, type Machine } from '../src/system/machine.ts';

/** Linear address, length, and whether data writes and fetches are allowed. RAM offsets follow each other in this order. */
export const memoryMap = [
  { name: 'code', linear: 0x10000000, length: 0x2000, ramOffset: 0, writable: false, executable: true },
  { name: 'data', linear: 0x10010000, length: 0x2000, ramOffset: 0x2000, writable: true, executable: false },
  { name: 'constants', linear: 0x10014000, length: 0x1000, ramOffset: 0x4000, writable: false, executable: false },
] as const;
type Region = (typeof memoryMap)[number];
export const RAM_LENGTH = 0x10000;

export const Vector = { de: 0, bp: 3, of: 4, br: 5, ud: 6, ss: 12, gp: 13, pf: 14 } as const;

export interface FlatMachine {
  readonly memory: WebAssembly.Memory;
  readonly cpu: Cpu;
  readonly services: Services;
  /** The processor: features for the decoder, and everything that system instructions ask. */
  readonly capability: Capabilities;
  readonly has: HasFeature;
  /** The bytes of a region of the map. */
  bytesOf(name: Region['name']): Uint8Array;
  /** User mode with the segments that the vectors describe. */
  enter(mode: CodeSize): void;
  /** Forgets what the TLB holds: the next accesses take the slow path. */
  flushTlb(): void;
}

export function createFlatMachine(capability: Capabilities): FlatMachine {
  const memory = new WebAssembly.Memory({ initial: (RAM + RAM_LENGTH) >> 16, maximum: (RAM + RAM_LENGTH) >> 16 });
  const cpu = bindCpu(memory.buffer);
  resetCpu(cpu);
  const filled = new Set<number>();
  const machine: FlatMachine = {
    memory, cpu, capability, has: feature => capability.has(feature),
    bytesOf(name) {
      const region = memoryMap.find(each => each.name === name)!;
      return cpu.u8.subarray(RAM + region.ramOffset, RAM + region.ramOffset + region.length);
    },
    enter: mode => enterMode(cpu, mode),
    flushTlb() {
      for (const entry of filled) cpu.u64[entry >> 3] = 0xffff_ffff_ffff_ffffn;
      filled.clear();
    },
    services: servicesOf(cpu, filled, capability),
  };
  for (const table of [TLB_READ_USER, TLB_WRITE_USER]) for (let index = 0; index < TLB_ENTRIES; index++) filled.add(table + index * TLB_ENTRY_SIZE);
  machine.flushTlb();
  return machine;
}

// ── Modes ──

const FLAT_DATA = 0xcf3, DATA16 = 0xf3, UNUSABLE = 0x10000;
const codeAttributes: Readonly<Record<CodeSize, number>> = { 64: 0xafb, 32: 0xcfb, 16: 0xfb };

function enterMode(cpu: Cpu, mode: CodeSize): void {
  cpu.cr0 = 0x80050033;
  // PAE, OSFXSR, OSXMMEXCPT, OSXSAVE with x87, SSE and AVX state.
  cpu.cr4 = 0x20n | 0x600n | 0x40000n;
  cpu.xcr0 = 7n;
  cpu.efer = 0xd01n;
  cpu.cpl = 3;
  // No interrupt table: a software interrupt ends in #GP with the vector in its error code.
  cpu.idtrLimit = 0;
  const limit = mode === 16 ? 0xffff : 0xffffffff;
  for (const [index, segment] of cpu.segment.entries()) {
    const code = index === 1, nullSelector = index >= 4 && mode !== 16;
    segment.selector = nullSelector ? 0 : code ? 0x33 : 0x2b;
    segment.base = mode !== 16 ? 0n : code ? 0x10000000n : 0x10008000n;
    segment.limit = limit;
    segment.attributes = nullSelector ? UNUSABLE : code ? codeAttributes[mode] : mode === 16 ? DATA16 : FLAT_DATA;
  }
}

// ── Services ──

const PageFault = { present: 1, write: 2, user: 4, fetch: 16 } as const;

function regionAt(linear: bigint): Region | undefined {
  return memoryMap.find(({ linear: first, length }) => linear >= BigInt(first) && linear < BigInt(first + length));
}

function servicesOf(cpu: Cpu, filled: Set<number>, capability: Capabilities): Services {
  let failure: typeof Stop.fault = Stop.fault;
  const value = placeOfArea('slowValue');

  /** Host address of one byte, or a page fault. */
  const translate = (linear: bigint, kind: 'read' | 'write' | 'fetch'): number => {
    const region = regionAt(linear);
    const allowed = region && (kind === 'write' ? region.writable : kind === 'read' || region.executable);
    if (!allowed) {
      const code = PageFault.user | (region ? PageFault.present : 0) | (kind === 'write' ? PageFault.write : kind === 'fetch' ? PageFault.fetch : 0);
      throw new GuestFault(Vector.pf, code, linear);
    }
    if (kind !== 'fetch') fillTlb(linear, region, kind);
    return RAM + region.ramOffset + Number(linear) - region.linear;
  };

  const fillTlb = (linear: bigint, region: Region, kind: 'read' | 'write'): void => {
    const entry = (kind === 'read' ? TLB_READ_USER : TLB_WRITE_USER) + tlbOffset(Number(linear & 0xffffffffn));
    cpu.u64[entry >> 3] = linear & ~0xfffn;
    cpu.u32[entry + 8 >> 2] = RAM + region.ramOffset - region.linear >>> 0;
    filled.add(entry);
  };

  const mustBeAligned = (access: number): boolean => (access & Access.aligned) !== 0 && !(access & Access.lenient && cpu.mxcsr & MXCSR_MM);
  const linearOf = (access: number): bigint => {
    const size = BigInt(access & 0xff);
    if (!(access & Access.checkSegment)) {
      const first = cpu.slowLinear;
      if (mustBeAligned(access) && first & size - 1n) throw new GuestFault(Vector.gp);
      if (!isCanonical(cpu, first) || !isCanonical(cpu, BigInt.asUintN(64, first + size - 1n))) throw new GuestFault(access & Access.stack ? Vector.ss : Vector.gp);
      return first;
    }
    const segment = cpu.segment[cpu.slowSegment]!;
    const refused = new GuestFault(segmentNames[cpu.slowSegment] === 'ss' ? Vector.ss : Vector.gp);
    if (segment.attributes & UNUSABLE || !(access & Access.write ? isWritable : isReadable)(segment.attributes)) throw refused;
    if (isExpandDown(segment.attributes) || cpu.slowOffset + size - 1n > BigInt(segment.limit)) throw refused;
    return BigInt.asUintN(32, segment.base + cpu.slowOffset);
  };

  /** Host addresses of the bytes of an access, from its first linear address up: the lower page faults first. */
  const hostBytes = (access: number, kind: 'read' | 'write'): number[] => {
    const first = linearOf(access);
    if (mustBeAligned(access) && first & BigInt((access & 0xff) - 1)) throw new GuestFault(Vector.gp);
    const mask = is64Bit(cpu) ? 64 : 32;
    return Array.from({ length: access & 0xff }, (_, at) => translate(BigInt.asUintN(mask, first + BigInt(at)), kind));
  };

  const guarded = <T>(work: () => T, failed: T): T => {
    try {
      return work();
    } catch (thrown) {
      if (!(thrown instanceof GuestFault)) throw thrown;
      cpu.faultVector = thrown.vector;
      cpu.faultErrorCode = thrown.errorCode;
      cpu.faultAddress = thrown.address;
      failure = Stop.fault;
      return failed;
    }
  };

  const system = systemMachine(cpu, capability, translate);
  return {
    get failure() { return failure; },
    readSlow: access => guarded(() => {
      const hosts = hostBytes(access, 'read');
      if (hosts.at(-1)! - hosts[0]! === hosts.length - 1 && hosts[0]! >> 12 === hosts.at(-1)! >> 12) return hosts[0]!;
      hosts.forEach((host, at) => { cpu.u8[value + at] = cpu.u8[host]!; });
      return value;
    }, 0),
    writeSlow: access => guarded<Written>(() => {
      const hosts = hostBytes(access, 'write');
      if (!(access & Access.probe)) hosts.forEach((host, at) => { cpu.u8[host] = cpu.u8[value + at]!; });
      return Written.done;
    }, Written.failed),
    prepare: instruction => ({ instruction }),
    system: ({ instruction }) => guarded<Done>(() => executeSystem(system, instruction), Done.fault),
    fetch: ahead => guarded(() => {
      const offset = cpu.rip + BigInt(ahead);
      if (is64Bit(cpu)) {
        if (!isCanonical(cpu, BigInt.asUintN(64, offset))) throw new GuestFault(Vector.gp);
        return translate(BigInt.asUintN(64, offset), 'fetch') - RAM;
      }
      if (offset > BigInt(cpu.cs.limit)) throw new GuestFault(Vector.gp);
      return translate(BigInt.asUintN(32, cpu.cs.base + offset), 'fetch') - RAM;
    }, -1),
    markCode() { /* The code region cannot be written by the guest. */ },
  };
}

// ── System instructions ──

/** No ports, no time, no translation caches; memory byte by byte. */
function systemMachine(cpu: Cpu, capability: Capabilities, translate: (linear: bigint, kind: 'read' | 'write') => number): Machine {
  const hosts = (linear: bigint, length: number, kind: 'read' | 'write'): number[] =>
    Array.from({ length }, (_, at) => translate(BigInt.asUintN(is64Bit(cpu) ? 64 : 32, linear + BigInt(at)), kind));
  const read = (linear: bigint, length: number): bigint =>
    hosts(linear, length, 'read').reduceRight((value, host) => value << 8n | BigInt(cpu.u8[host]!), 0n);
  const write = (linear: bigint, length: number, value: bigint): void => {
    hosts(linear, length, 'write').forEach((host, at) => { cpu.u8[host] = Number(value >> BigInt(8 * at) & 0xffn); });
  };
  /** What a TLB would have at hand: inside a page that may be accessed. */
  const hostAt = (low: number, high: number, length: number, write: boolean): number => {
    const region = high === 0 && (low & 0xfff) + length <= 0x1000 ? regionAt(BigInt(low)) : undefined;
    return region && (region.writable || !write) ? RAM + region.ramOffset + low - region.linear : 0;
  };
  const absent = (what: string) => (): never => { throw new Error(`the vectors' machine has no ${what}`); };
  return {
    cpu, capability,
    memory: {
      read8: linear => Number(read(linear, 1)), read16: linear => Number(read(linear, 2)), read32: linear => Number(read(linear, 4)),
      read64: linear => read(linear, 8),
      write8: (linear, value) => { write(linear, 1, BigInt(value)); }, write16: (linear, value) => { write(linear, 2, BigInt(value)); },
      write32: (linear, value) => { write(linear, 4, BigInt(value)); }, write64: (linear, value) => { write(linear, 8, value); },
      probeWrite: (linear, length) => { hosts(linear, length, 'write'); },
      hostOfRead: (low, high, length) => hostAt(low, high, length, false), hostOfWrite: (low, high, length) => hostAt(low, high, length, true),
      readPhysical32: absent('physical memory'), readPhysical64: absent('physical memory'),
      writePhysical32: absent('physical memory'), writePhysical64: absent('physical memory'),
    },
    tsc: () => cpu.icount, random: () => 0n, portIn: absent('ports'), portOut: absent('ports'),
    flushTlb() { /* The map never changes. */ }, flushPage() { /* The map never changes. */ },
    debugRegistersChanged() { /* Breakpoints are never armed. */ },
  };
}
