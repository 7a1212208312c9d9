// The surface that every client drives a VM through: our board, a foreign program, a test. Names are those of the KVM API as the
// rust-vmm `kvm-ioctls` crate spells them, in camelCase; structures are <linux/kvm.h>'s. There is no other way to drive a VM.

import type { VcpuExit } from '../vm/exits.ts';
export type { VcpuExit } from '../vm/exits.ts';

/** struct kvm_regs. */
export interface Regs {
  rax: bigint; rbx: bigint; rcx: bigint; rdx: bigint; rsi: bigint; rdi: bigint; rsp: bigint; rbp: bigint;
  r8: bigint; r9: bigint; r10: bigint; r11: bigint; r12: bigint; r13: bigint; r14: bigint; r15: bigint;
  rip: bigint; rflags: bigint;
}

/** struct kvm_segment. */
export interface KvmSegment {
  base: bigint; limit: number; selector: number; type: number; present: number; dpl: number; db: number; s: number; l: number; g: number; avl: number; unusable: number;
}
/** struct kvm_sregs. */
export interface Sregs {
  cs: KvmSegment; ds: KvmSegment; es: KvmSegment; fs: KvmSegment; gs: KvmSegment; ss: KvmSegment; tr: KvmSegment; ldt: KvmSegment;
  gdt: { base: bigint; limit: number }; idt: { base: bigint; limit: number };
  cr0: bigint; cr2: bigint; cr3: bigint; cr4: bigint; cr8: bigint; efer: bigint; apicBase: bigint; interruptBitmap: readonly bigint[];
}

export interface Vcpu {
  readonly id: number;
  /** KVM_RUN. Returns at an exit, or with `Intr` when this vCPU has retired `untilIcount` instructions (absent: never). The exit and its
   * `data` are valid until the next `run`. An exit that was not answered by another `run` is no part of a saved state. */
  run(untilIcount?: bigint): VcpuExit;
  getRegs(): Regs;
  setRegs(regs: Regs): void;
  getSregs(): Sregs;
  setSregs(sregs: Sregs): void;
  getMsr(index: number): bigint;
  setMsr(index: number, value: bigint): void;
  /** KVM_TRANSLATE: the guest-physical address behind a linear one, seen by a supervisor; undefined where nothing is mapped. Changes nothing. */
  translate(linear: bigint): number | undefined;
  /** KVM_INTERRUPT: queues external interrupt `vector` (no in-kernel irqchip). */
  interrupt(vector: number): void;
  /** KVM_NMI. */
  nmi(): void;
  /** KVM_SMI: a system-management interrupt. One that is not taken yet stays one. */
  smi(): void;
  /** Whether `run` would get anywhere: the vCPU does not sleep (KVM_GET_MP_STATE), or what it sleeps for has come. Where the VM has its
   * interrupt controllers, KVM_RUN sleeps by itself; here it returns with `Hlt`, and the client gives another vCPU its turn. */
  isRunnable(): boolean;
  /** Instructions retired. An instruction that waits for user space has not. */
  readonly icount: bigint;
  /** 64-bit digest of the architectural vCPU state, as 16 hex digits; the same in every tier. */
  digest(): string;
  /** The whole architectural vCPU file, canonical; and back. */
  saveState(): Uint8Array;
  loadState(state: Uint8Array): void;
}

export interface Vm {
  /** KVM_CREATE_VCPU. */
  createVcpu(id: number): Vcpu;
  readonly vcpus: readonly Vcpu[];
  /** KVM_CREATE_IRQCHIP and KVM_CREATE_PIT2: local APICs, I/O APIC, 8259 and 8254. Before the first vCPU. */
  createIrqchip(): void;
  /** KVM_IRQ_LINE. */
  setIrqLine(gsi: number, high: boolean): void;
  /**
   * The A20 gate, open at first. While it is closed, bit 20 of every physical address is 0 that a vCPU puts on the bus: data, code, page tables
   * (nested ones too), VMCBs, devices; behind all translation, in every mode (SDM Vol. 3, 8.7.13.4; QEMU and Bochs do so). It is open
   * for what runs in system-management mode and for the save area (as in QEMU), and where VM_CR.DIS_A20M is set (APM Vol. 2, 15.30.1). All vCPUs
   * share it, and it counts from the next instruction on. KVM has none; with it QEMU's guests have an open one. What user space reads and
   * writes, and dirty pages, know no gate.
   */
  setA20(open: boolean): void;
  isA20Open(): boolean;
  /** No vCPU is runnable: lets time pass up to the next timer. False: no timer runs, so nothing but an input can wake the VM. */
  idle(): boolean;
  /** KVM_GET_CLOCK, in ticks of the TSC: instructions retired by all vCPUs, and the time that all of them slept. */
  getClock(): number;
  /** KVM_SET_USER_MEMORY_REGION: maps `size` bytes of the VM's RAM, from `ramOffset`, at guest-physical `guestPhysical`. Size 0 removes the slot.
   * Bits 31:16 of `slot` are the address space: 1 is memory as system-management mode sees it. Where it has no slot at all there is no
   * difference (on KVM the VM would die at the first SMI). Reading and writing below is always in address space 0. */
  setUserMemoryRegion(region: { slot: number; flags: number; guestPhysical: number; size: number; ramOffset: number }): void;
  /** Guest RAM. Writing through `writeMemory` keeps decoded code and dirty marks right. */
  readMemory(guestPhysical: number, length: number): Uint8Array;
  writeMemory(guestPhysical: number, bytes: Uint8Array): void;
  readonly ramSize: number;
  /** RAM pages (4 KiB, by RAM page number) written since the last call, in ascending order; marks are cleared. */
  takeDirtyPages(): Uint32Array;
  /** 64-bit digest of all of RAM, as 16 hex digits; pages that were not written since the last call are not read again. */
  memoryDigest(): string;
  /** Rolling digests of the port and device accesses that were answered, one of 16 hex digits per vCPU, joined by `-`. */
  accessDigest(): string;
  /** A page of RAM by page number, as a view (do not keep it), and its replacement when a snapshot is restored. */
  ramPage(page: number): Uint8Array;
  restoreRamPage(page: number, bytes: Uint8Array): void;
  /** VM-level state that is not RAM or a vCPU file (memory slots, turn order, devices in the kernel, random generator), as plain data, and back. */
  saveVmState(): unknown;
  loadVmState(state: unknown): void;
  /** What the run asked of the capability door. */
  footprint(): readonly { capability: string; answer: boolean | number | string; firstIcount: bigint }[];
  /** Tells also what is never recorded; absent: not any more. It costs, so only those who explain or compare do it. */
  listen(heard?: VmListener): void;
  /** Receives every transition that the core computes, as it happens. */
  onTransition?: (transition: VmTransition) => void;
}

/** A transition as the VM reports it, before the recorder gives it a sequence number. */
export interface VmTransition {
  readonly vcpu: number;
  readonly icount: bigint;
  readonly kind: string;
  /** Where the vCPU was before: 2 in a nested guest, and whether it was in system-management mode. */
  readonly level: 1 | 2;
  readonly smm: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
  /** Every consistency check that was evaluated, and what it asked of the capability door when somebody listens. Never recorded. */
  readonly checks?: readonly VmCheck[];
}

export interface VmCheck { readonly id: string; readonly passed: boolean; readonly asked?: readonly string[] }

/** An exception, NMI or interrupt as its delivery begins. */
export interface VmDelivery {
  readonly vcpu: number;
  readonly icount: bigint;
  readonly kind: 'exception' | 'nmi' | 'external';
  readonly vector: number;
  readonly errorCode: number;
  /** CR2 for #PF, the causes for #DB. */
  readonly address: bigint;
  /** The consistency check that raised it, where one did. */
  readonly check: string | undefined;
}

export interface VmListener {
  /** Every question to the capability door, also one that was asked before; and the instructions that all vCPUs had retired. */
  readonly asked?: ((capability: string, answer: boolean | number | string, icount: number) => void) | undefined;
  readonly delivery?: ((delivery: VmDelivery) => void) | undefined;
}

export type Tier = 'reference' | 'interpreter' | 'translator' | 'auto';

export interface VmConfig {
  /** `EPYC-Milan`, `EPYC-Genoa-v3,+cet-ss`: a name of the model tables with features added and removed. */
  readonly cpu: string;
  readonly behaviours: Readonly<Record<string, string>>;
  readonly ramBytes: number;
  readonly tier: Tier;
  /** Seed of RDRAND and RDSEED, 64 bits. */
  readonly seed: bigint;
  /** Instructions in a vCPU's turn. */
  readonly quantum: number;
  /** TSC ticks per instruction is 1; this is the TSC frequency that the guest is told, in kHz. */
  readonly tscKhz: number;
}

export interface Kvm {
  /** KVM_CREATE_VM. */
  createVm(config: VmConfig): Vm;
}
