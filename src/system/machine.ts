// What a system instruction sees: the vCPU file, guest memory through segmentation and paging, the capability door, and
// the few things that are the machine's and not the vCPU's. Written against by everything in `system/`, provided by `vm/run.ts`.
import type { Engine } from '../cpu/engine.ts';
import type { Cpu } from '../cpu/state.ts';
import type { Capabilities } from '../model/capabilities.ts';
import type { Vmexit } from '../transitions/svm/exit.ts';

/** A guest fault unwinds a system instruction: thrown before anything is committed, caught in one place (`vm/run.ts`). */
export class GuestFault {
  readonly vector: number;
  readonly errorCode: number;
  /** CR2 for #PF. */
  readonly address: bigint;
  /** EXITINTINFO of the software interrupt whose delivery raised it, or 0. */
  during = 0;
  /** The consistency check that raised it, where one did. */
  check: string | undefined = undefined;
  constructor(vector: number, errorCode = 0, address = 0n) {
    this.vector = vector;
    this.errorCode = errorCode;
    this.address = address;
  }
}

/** A nested guest goes to its hypervisor: unwinds an instruction or a delivery as a fault does, with nothing committed. */
export class GuestExit {
  exit: Vmexit;
  constructor(exit: Vmexit) {
    this.exit = exit;
  }
}

/** Nobody can go on: the vCPU shuts down. */
export class GuestShutdown {}

/** The hypervisor below gives up on an instruction: user space hears of it. */
export class EmulationFailure {}

/** Linear memory as the CPU sees it. `supervisor` forces an implicit system access (descriptor tables, TSS, IDT); otherwise CPL decides.
 * Every function may throw a GuestFault (#PF, #AC); linear addresses are canonical already. Bytes 1, 2, 4 as numbers, 8 as bigint. */
export interface LinearMemory {
  read8(linear: bigint, supervisor?: boolean): number;
  read16(linear: bigint, supervisor?: boolean): number;
  read32(linear: bigint, supervisor?: boolean): number;
  read64(linear: bigint, supervisor?: boolean): bigint;
  write8(linear: bigint, value: number, supervisor?: boolean): void;
  write16(linear: bigint, value: number, supervisor?: boolean): void;
  write32(linear: bigint, value: number, supervisor?: boolean): void;
  write64(linear: bigint, value: bigint, supervisor?: boolean): void;
  /** Raises what a write of `length` bytes would raise, and stores nothing. */
  probeWrite(linear: bigint, length: number, supervisor?: boolean): void;
  /** Host address (an index into `cpu.u8`) of `length` bytes of plain RAM at a linear address given as two halves, or 0 when the functions
   * above must do the access: page crossing, no TLB entry, MMIO, a watched or tracked page, a fault. Never throws. */
  hostOfRead?(low: number, high: number, length: number, supervisor: boolean): number;
  hostOfWrite?(low: number, high: number, length: number, supervisor: boolean): number;
  /** Accesses to shadow stacks: the page must be one, of the privilege that is named. Absent: they are like any other. */
  readShadow?(linear: bigint, size: 4 | 8, user: boolean): bigint;
  writeShadow?(linear: bigint, size: 4 | 8, value: bigint, user: boolean): void;
  probeShadow?(linear: bigint, length: number, user: boolean): void;
  readPhysical32(physical: number): number;
  readPhysical64(physical: number): bigint;
  writePhysical32(physical: number, value: number): void;
  writePhysical64(physical: number, value: bigint): void;
  /** Whether memory is at a physical address. */
  hasPhysical?(physical: number): boolean;
  /** Where the nested tables put what a nested guest takes for a physical address; throws the guest's exit when they do not. */
  nestedPhysical?(physical: number, write: boolean): number;
}

/** A port or device access that user space must answer: unwinds the instruction, which is executed again with the answer. */
export class NeedsUserspace {}

export interface Machine {
  readonly cpu: Cpu;
  readonly memory: LinearMemory;
  readonly capability: Capabilities;
  /** The TSC now: a function of the instruction count and of the header. */
  tsc(): bigint;
  /** The same outside nested guests, where theirs is scaled and has an offset. Absent: there are none. */
  hostTsc?(): bigint;
  /** PAUSE: the guest waits in a loop, and time goes on. Absent: it does not. */
  pause?(): void;
  /** 64 random bits from the journal's seed. */
  random(): bigint;
  /** Port input: returns the value, or throws NeedsUserspace the first time. `size` is 1, 2 or 4. */
  portIn(port: number, size: 1 | 2 | 4): number;
  portOut(port: number, size: 1 | 2 | 4, value: number): void;
  /** A local APIC answers, by MSR number (its ID also outside x2APIC mode); undefined where there is none (then MSR accesses raise #GP). */
  apicRead?(register: number): bigint;
  apicWrite?(register: number, value: bigint): void;
  /** CR0, CR3, CR4, EFER, privilege, A20 or PKRU changed in a way that the TLB must know. `global` drops global pages too. */
  flushTlb(global: boolean): void;
  /** One linear page (INVLPG). */
  flushPage(linear: bigint): void;
  /** See `Engine`. */
  redeliver?: Engine['redeliver'];
  /** Debug registers changed: the memory system re-arms data breakpoints. */
  debugRegistersChanged(): void;
}
