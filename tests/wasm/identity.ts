// A machine for tests of code itself: 64-bit supervisor mode, a page map that tests may change, RAM that may hold code and data in one
// page. It implements `Services` as the run loop does, with code granules, and nothing else.
import { Access, Done, Stop, Written, type Engine, type Services } from '../../src/cpu/engine.ts';
import { bindCpu, placeOf, placeOfArea, RAM, resetCpu, TLB, TLB_END, tlbOffset, TLB_READ_SUPERVISOR, TLB_WRITE_SUPERVISOR, type Cpu } from '../../src/cpu/state.ts';
import { createReference } from '../../src/semantics/reference.ts';
import { createEngine, type EngineKind } from '../../src/wasm/index.ts';

const PAGES = 64, PAGE = 0x1000;
const PF = 14;

export interface Identity {
  readonly cpu: Cpu;
  readonly engine: Engine;
  /** RAM page by linear page; absent: not mapped. Call `flush` after a change. */
  readonly map: Map<number, number>;
  flush(): void;
  /** Guest RAM. */
  readonly ram: Uint8Array;
  /** How often decoded code was written. */
  readonly counts: { invalidations: number };
  /** Puts bytes (hex, blanks allowed) where RIP then is. */
  code(at: number, hex: string): void;
  /** Runs so many instructions, or until something else happens. */
  run(count: number): Stop;
}

export function createIdentity(kind: EngineKind | 'reference', eager = true): Identity {
  const memory = new WebAssembly.Memory({ initial: (RAM + PAGES * PAGE) >> 16, maximum: (RAM + PAGES * PAGE) >> 16 });
  const cpu = bindCpu(memory.buffer);
  resetCpu(cpu);
  cpu.cr0 = 0x80010011;
  cpu.cr4 = 0x20n;
  cpu.efer = 0x500n;
  cpu.cs.attributes = 0xa9b;
  cpu.ss.attributes = 0xc93;
  const map = new Map(Array.from({ length: PAGES }, (_, page) => [page, page] as const));
  const codeGranules = new Set<number>(), codePages = new Set<number>();
  const counts = { invalidations: 0 };
  const value = placeOfArea('slowValue');
  const flush = (): void => {
    cpu.u32.fill(0xffffffff, TLB >> 2, TLB_END >> 2);
    engine.flushAddresses();
  };

  function fault(linear: number, code: number): void {
    cpu.faultVector = PF;
    cpu.faultErrorCode = code;
    cpu.faultAddress = BigInt(linear);
  }
  function enter(table: number, linear: number, page: number): void {
    const at = (table + tlbOffset(linear)) >> 2;
    cpu.u32[at] = linear & -PAGE;
    cpu.u32[at + 1] = 0;
    cpu.u32[at + 2] = RAM + page * PAGE - (linear & -PAGE);
  }
  /** RAM offsets of the bytes of an access, or undefined after a fault. */
  function bytesOf(size: number, write: boolean): number[] | undefined {
    const first = cpu.u32[placeOf('slowLinear') >> 2]!;
    const offsets: number[] = [];
    for (let linear = first; linear < first + size; linear++) {
      const page = map.get(linear >>> 12);
      if (page === undefined) {
        fault(linear, write ? 2 : 0);
        return undefined;
      }
      offsets.push(page * PAGE + linear % PAGE);
    }
    return offsets;
  }

  const services: Services = {
    failure: Stop.fault,
    readSlow(access) {
      const offsets = bytesOf(access & 0xff, false);
      if (!offsets) return 0;
      enter(TLB_READ_SUPERVISOR, cpu.u32[placeOf('slowLinear') >> 2]!, offsets[0]! >>> 12);
      offsets.forEach((offset, at) => { cpu.u8[value + at] = cpu.u8[RAM + offset]!; });
      return value;
    },
    writeSlow(access) {
      const offsets = bytesOf(access & 0xff, true);
      if (!offsets) return Written.failed;
      if (access & Access.probe) return Written.done;
      offsets.forEach((offset, at) => { cpu.u8[RAM + offset] = cpu.u8[value + at]!; });
      if (!codePages.has(offsets[0]! >>> 12)) enter(TLB_WRITE_SUPERVISOR, cpu.u32[placeOf('slowLinear') >> 2]!, offsets[0]! >>> 12);
      const touched = offsets.filter((offset) => codeGranules.has(offset >>> 6));
      if (touched.length === 0) return Written.done;
      for (const offset of touched) codeGranules.delete(offset >>> 6);
      counts.invalidations++;
      for (const offset of touched) engine.invalidateCode(offset, 1);
      return Written.relook;
    },
    prepare: (instruction) => ({ instruction }),
    system({ instruction }) {
      if (instruction.mnemonic !== 'HLT') throw new Error(`${instruction.mnemonic} at ${cpu.rip.toString(16)}`);
      cpu.rip = cpu.nextRip;
      return Done.attention;
    },
    fetch(ahead) {
      const linear = Number(cpu.rip) + ahead, page = map.get(linear >>> 12);
      if (page !== undefined) return page * PAGE + linear % PAGE;
      fault(linear, 0x10);
      return -1;
    },
    markCode(offset, length) {
      for (let granule = offset >>> 6; granule <= (offset + length - 1) >>> 6; granule++) codeGranules.add(granule);
      codePages.add(offset >>> 12);
      cpu.u32.fill(0xffffffff, TLB >> 2, TLB_END >> 2);
    },
  };
  const has = (): boolean => false;
  const engine: Engine = kind === 'reference' ? createReference({ cpu, services, has }) : createEngine(kind, { memory, cpu, services, has, eager });
  flush();
  return {
    cpu, engine, map, flush, counts,
    ram: cpu.u8.subarray(RAM, RAM + PAGES * PAGE),
    code(at, hex) {
      const bytes = Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');
      cpu.u8.set(bytes, RAM + at);
      engine.invalidateCode(at, bytes.length);
      cpu.rip = BigInt(at);
    },
    run(count) {
      cpu.budget = count;
      return engine.run();
    },
  };
}
