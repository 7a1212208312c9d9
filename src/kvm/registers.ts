// KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS and KVM_SET_SREGS on the active vCPU file, with KVM's meaning: SET_SREGS replaces modes and
// tables without the checks that instructions make. Called by `vcpu.ts`, which tells the VM that registers changed.
import { CR0, CR4, EFER } from '../cpu/controls.ts';
import { rflags, setRflags, VM } from '../cpu/flags.ts';
import { Activity, Attribute, Pending, type Cpu, type Segment } from '../cpu/state.ts';
import type { KvmSegment, Regs, Sregs } from './api.ts';

const generalNames = ['rax', 'rbx', 'rcx', 'rdx', 'rsi', 'rdi', 'rsp', 'rbp', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip'] as const;

export function getRegs(cpu: Cpu): Regs {
  const regs = { rflags: BigInt(rflags(cpu)) } as Regs;
  for (const name of generalNames) regs[name] = cpu[name];
  return regs;
}

export function setRegs(cpu: Cpu, regs: Regs): void {
  for (const name of generalNames) cpu[name] = regs[name];
  setRflags(cpu, Number(BigInt.asUintN(32, regs.rflags)));
  setPrivilege(cpu);
  // Without a local APIC in the kernel KVM knows no halted vCPU: it goes on from where the client puts it.
  if (cpu.activity === Activity.halted) cpu.activity = Activity.running;
}

/** CPL is the DPL of SS, as VMCBs have it; 0 in real mode and 3 in virtual-8086 mode. */
function setPrivilege(cpu: Cpu): void {
  if ((cpu.cr0 & CR0.PE) === 0) cpu.cpl = 0;
  else cpu.cpl = (cpu.rflagsSystem & VM) !== 0 ? 3 : cpu.ss.attributes >>> Attribute.dplShift & 3;
}

function getSegment({ selector, attributes, base, limit }: Segment): KvmSegment {
  const bit = (mask: number): number => (attributes & mask) !== 0 ? 1 : 0;
  return {
    base, limit, selector, type: attributes & 15, s: bit(Attribute.notSystem), dpl: attributes >>> Attribute.dplShift & 3, present: bit(Attribute.present),
    avl: bit(Attribute.avl), l: bit(Attribute.long), db: bit(Attribute.big), g: bit(Attribute.granularity), unusable: bit(Attribute.unusable),
  };
}

function setSegment(segment: Segment, from: KvmSegment): void {
  segment.selector = from.selector & 0xffff;
  segment.base = BigInt.asUintN(64, from.base);
  segment.limit = from.limit >>> 0;
  segment.attributes = from.type & 15 | (from.s & 1) << 4 | (from.dpl & 3) << Attribute.dplShift | (from.present & 1) << 7
    | (from.avl & 1) << 8 | (from.l & 1) << 9 | (from.db & 1) << 10 | (from.g & 1) << 11 | (from.unusable & 1) << 16;
}

const segmentNames = { cs: 'cs', ds: 'ds', es: 'es', fs: 'fs', gs: 'gs', ss: 'ss', tr: 'tr', ldt: 'ldtr' } as const;
const segmentEntries = Object.entries(segmentNames) as [keyof typeof segmentNames, (typeof segmentNames)[keyof typeof segmentNames]][];

export function getSregs(cpu: Cpu): Sregs {
  const segments = {} as Record<keyof typeof segmentNames, KvmSegment>;
  for (const [name, register] of segmentEntries) segments[name] = getSegment(cpu[register]);
  const bitmap = [0n, 0n, 0n, 0n];
  if ((cpu.pending & Pending.interrupt) !== 0) bitmap[cpu.pendingVector >>> 6] = 1n << BigInt(cpu.pendingVector & 63);
  return {
    ...segments,
    gdt: { base: cpu.gdtrBase, limit: cpu.gdtrLimit }, idt: { base: cpu.idtrBase, limit: cpu.idtrLimit },
    cr0: BigInt(cpu.cr0), cr2: cpu.cr2, cr3: cpu.cr3, cr4: cpu.cr4, cr8: BigInt(cpu.cr8), efer: cpu.efer, apicBase: cpu.apicBase, interruptBitmap: bitmap,
  };
}

/** `readPhysical64` reads the page-directory pointers that PAE paging loads. */
export function setSregs(cpu: Cpu, sregs: Sregs, readPhysical64: (physical: number) => bigint): void {
  for (const [name, register] of segmentEntries) setSegment(cpu[register], sregs[name]);
  cpu.gdtrBase = sregs.gdt.base;
  cpu.gdtrLimit = sregs.gdt.limit;
  cpu.idtrBase = sregs.idt.base;
  cpu.idtrLimit = sregs.idt.limit;
  cpu.cr0 = Number(BigInt.asUintN(32, sregs.cr0)) | CR0.ET;
  cpu.cr2 = sregs.cr2;
  cpu.cr3 = sregs.cr3;
  cpu.cr4 = sregs.cr4;
  cpu.cr8 = Number(sregs.cr8 & 15n);
  const long = (cpu.cr0 & CR0.PG) !== 0 && (sregs.efer & BigInt(EFER.LME)) !== 0n;
  cpu.efer = long ? sregs.efer | BigInt(EFER.LMA) : sregs.efer & ~BigInt(EFER.LMA);
  cpu.apicBase = sregs.apicBase;
  setPrivilege(cpu);
  if ((cpu.cr0 & CR0.PG) !== 0 && !long && (cpu.cr4 & BigInt(CR4.PAE)) !== 0n) {
    const place = Number(cpu.cr3 & 0xffffffe0n);
    cpu.pdpte0 = readPhysical64(place);
    cpu.pdpte1 = readPhysical64(place + 8);
    cpu.pdpte2 = readPhysical64(place + 16);
    cpu.pdpte3 = readPhysical64(place + 24);
  }
  setPendingInterrupt(cpu, sregs.interruptBitmap);
}

/** The bitmap holds at most one bit: the interrupt that was queued and not delivered. */
function setPendingInterrupt(cpu: Cpu, bitmap: readonly bigint[]): void {
  cpu.pending &= ~Pending.interrupt;
  cpu.pendingVector = 0;
  for (let vector = 0; vector < 256; vector++) {
    if (((bitmap[vector >>> 6] ?? 0n) >> BigInt(vector & 63) & 1n) === 0n) continue;
    cpu.pending |= Pending.interrupt;
    cpu.pendingVector = vector;
  }
}
