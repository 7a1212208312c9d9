// Control and debug registers, XCR0 and PKRU, and the instructions that invalidate translations. Every write builds the new state whole,
// asks the rows of `transitions/controls.ts`, and commits at the end; WRMSR EFER comes here too.
import type { Instruction } from '../isa/instruction.ts';
import { CR0, CR0_DEFINED, CR4, cr4Of, DR6, DR6_FIXED, DR7, DR7_FIXED, DR7_WRITABLE, EFER, is64Bit, isCanonical, isLongMode } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { AC } from '../cpu/flags.ts';
import { isLongCode } from '../cpu/segments.ts';
import type { Cpu } from '../cpu/state.ts';
import { brokenCheck, controlChecks, xcr0Checks } from '../transitions/controls.ts';
import type { ControlState } from '../transitions/controls.ts';
import { GuestFault, GuestShutdown } from './machine.ts';
import type { Machine } from './machine.ts';
import { hasNestedPaging, isGuest, setTaskPriority, taskPriority } from './nested.ts';
import {
  generalProtection, invalidOpcode, isCanonicalBase, linearOfOperand, offsetOf, operandAt, readOperand, readRegister, readSelector, retire, segmentIndexOf, Vector,
  writeOperand, writeWord,
} from './operand.ts';
import { requirePrivilege0 } from './segment-load.ts';
import { enabledInUse } from './xsave.ts';

// ── State and change ──

export function controlState(cpu: Cpu): ControlState {
  return {
    cr0: BigInt(cpu.cr0), cr3: cpu.cr3, cr4: cpu.cr4, efer: cpu.efer & ~BigInt(EFER.LMA), csLong: isLongCode(cpu.cs.attributes), task16: (cpu.tr.attributes & 8) === 0,
  };
}

const has = (value: bigint, mask: number): boolean => (value & BigInt(mask)) !== 0n;
const differ = (before: bigint, after: bigint, mask: number): boolean => ((before ^ after) & BigInt(mask)) !== 0n;

/** Bits whose change makes the PDPTEs load again (SDM Vol. 3, 4.4.1), and those that the TLB must know. */
const CR0_LOADS_POINTERS = CR0.PG | CR0.CD | CR0.NW;
const CR4_LOADS_POINTERS = CR4.PAE | CR4.PSE | CR4.PGE | CR4.SMEP;
const CR4_MAPPING = CR4.PSE | CR4.PAE | CR4.PGE | CR4.LA57 | CR4.PCIDE | CR4.SMEP | CR4.SMAP | CR4.PKE | CR4.CET | CR4.PKS;
const EFER_MAPPING = EFER.LMA | EFER.NXE;

/** Checks a change and makes it: LMA follows LME and PG, the PDPTEs are loaded, the TLB is told. #GP(0) when a row does not hold. */
function changeControls(machine: Machine, change: Partial<ControlState>): void {
  const { cpu, capability } = machine;
  const before = controlState(cpu), after = { ...before, ...change };
  refuseBroken(brokenCheck({ before, after }, capability));
  const isPaging = has(after.cr0, CR0.PG), isLong = isPaging && has(after.efer, EFER.LME);
  if (isPaging && !isLong && has(after.cr4, CR4.PAE)
    && (differ(before.cr0, after.cr0, CR0_LOADS_POINTERS) || differ(before.cr4, after.cr4, CR4_LOADS_POINTERS))) {
    loadPageDirectoryPointers(machine, after.cr3);
  }
  const efer = after.efer | (isLong ? BigInt(EFER.LMA) : 0n);
  const remaps = differ(before.cr0, after.cr0, CR0.PG | CR0.WP | CR0.PE) || differ(before.cr4, after.cr4, CR4_MAPPING) || differ(cpu.efer, efer, EFER_MAPPING);
  cpu.cr0 = Number(after.cr0);
  cpu.cr4 = after.cr4;
  cpu.efer = efer;
  if (remaps) machine.flushTlb(true);
}

/** PAE paging: four pointers at CR3, whose reserved bits raise #GP(0) when present (APM Vol. 2, 5.2.3; SDM Vol. 3, 4.4.1). */
export function loadPageDirectoryPointers(machine: Machine, cr3: bigint): void {
  const { cpu, memory, capability } = machine;
  // Nested paging reads them at each walk (APM Vol. 2, 15.25.10).
  if (hasNestedPaging(cpu, capability)) return;
  const place = Number(cr3 & 0xffffffe0n);
  const reserved = 0x1e6n | -1n << BigInt(capability.number('physical-address-bits')) & 0xffffffffffffffffn;
  const pointers = [0, 8, 16, 24].map((offset) => memory.readPhysical64(place + offset));
  if (pointers.some((pointer) => (pointer & 1n) !== 0n && (pointer & reserved) !== 0n)) throw generalProtection();
  [cpu.pdpte0, cpu.pdpte1, cpu.pdpte2, cpu.pdpte3] = pointers as [bigint, bigint, bigint, bigint];
}

/** #GP(0) that knows which check raised it. */
function refuseBroken(check: { readonly id: string } | undefined): void {
  if (check === undefined) return;
  const fault = generalProtection();
  fault.check = check.id;
  throw fault;
}

const VM_CR_SVMDIS = 0x10n;
/** WRMSR EFER: LMA is read-only. */
export function writeEfer(machine: Machine, value: bigint): void {
  const { cpu, capability } = machine, svme = BigInt(EFER.SVME);
  // SVMDIS: "writes to EFER with SVME set take #GP" (APM Vol. 2, 15.30.1).
  if ((value & svme) !== 0n && (cpu.vmCr & VM_CR_SVMDIS) !== 0n) throw generalProtection();
  const leavesSvm = isGuest(cpu) && (value & svme) === 0n && (cpu.efer & svme) !== 0n;
  changeControls(machine, { efer: value & ~BigInt(EFER.LMA) });
  if (!leavesSvm) return;
  cpu.guestMode = 0;
  machine.flushTlb(true);
  // Of the hypervisor: it is in charge again, and cannot go on.
  if (capability.behaviour('nsvm.svme-clear') === 'shutdown') throw new GuestShutdown();
}

// ── MOV CRn ──

export function moveControl(machine: Machine, instruction: Instruction): Done {
  const destination = operandAt(instruction, 0);
  return destination.kind === 'register' && destination.file === 'control' ? moveToControl(machine, instruction, destination.number) : moveFromControl(machine, instruction);
}

/** CR8 outside 64-bit mode is LOCK MOV CR0 on AMD processors; the decoder says CR8 then (APM Vol. 2, 3.1.5). */
function requireControl(machine: Machine, number: number): void {
  if (number !== 0 && number !== 2 && number !== 3 && number !== 4 && number !== 8) throw invalidOpcode();
  if (number === 8 && !is64Bit(machine.cpu) && !machine.capability.has('cr8legacy')) throw invalidOpcode();
  requirePrivilege0(machine.cpu);
}

function moveFromControl(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, source = operandAt(instruction, 1);
  if (source.kind !== 'register') throw invalidOpcode();
  requireControl(machine, source.number);
  const value = source.number === 0 ? BigInt(cpu.cr0) : source.number === 2 ? cpu.cr2 : source.number === 3 ? cpu.cr3 : source.number === 4 ? cpu.cr4 : BigInt(taskPriority(cpu));
  writeOperand(machine, instruction, 0, value);
  retire(cpu);
  return Done.next;
}

function moveToControl(machine: Machine, instruction: Instruction, number: number): Done {
  const { cpu } = machine;
  requireControl(machine, number);
  const value = readOperand(machine, instruction, 1);
  switch (number) {
    case 0: writeCr0(machine, value); break;
    case 2: cpu.cr2 = value; break;
    case 3: writeCr3(machine, value); break;
    case 4: changeControls(machine, { cr4: value }); break;
    default:
      if (value >> 4n !== 0n) throw generalProtection();
      setTaskPriority(cpu, Number(value));
      retire(cpu);
      // The task priority decides which interrupts are let in.
      return Done.attention;
  }
  retire(cpu);
  return number === 2 ? Done.next : Done.moved;
}

/** ET reads as 1; undefined bits of the low half are ignored, bits of the high half are #GP(0). */
export function writeCr0(machine: Machine, value: bigint): void {
  changeControls(machine, { cr0: value & ~0xffffffffn | value & BigInt(CR0_DEFINED) | BigInt(CR0.ET) });
}

/** The only row that a change of CR3 alone can break. */
const cr3Check = controlChecks.find((check) => check.id === 'cr3.reserved')!;

function writeCr3(machine: Machine, value: bigint): void {
  const { cpu, capability } = machine;
  const hasPcid = (cr4Of(cpu) & CR4.PCIDE) !== 0;
  // With PCIDE, bit 63 only asks to keep the translations of the new PCID.
  const cr3 = hasPcid ? value & ~(1n << 63n) : value;
  if (!cr3Check.holds({ ...controlState(cpu), cr3 }, capability)) throw generalProtection();
  if ((cpu.cr0 & CR0.PG) !== 0 && !isLongMode(cpu) && (cr4Of(cpu) & CR4.PAE) !== 0) loadPageDirectoryPointers(machine, cr3);
  cpu.cr3 = cr3;
  machine.flushTlb(false);
}

/** LMSW: the low four bits; PE can be set but not cleared (APM Vol. 3, "LMSW"). */
export function loadStatusWord(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  const value = readSelector(machine, instruction, 0);
  writeCr0(machine, BigInt((cpu.cr0 & ~0xe | value & 0xf) >>> 0));
  retire(cpu);
  return Done.moved;
}

export function storeStatusWord(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.UMIP) !== 0) throw generalProtection();
  writeWord(machine, instruction, 0, BigInt(cpu.cr0));
  retire(cpu);
  return Done.next;
}

export function clearTaskSwitched(machine: Machine): Done {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  cpu.cr0 = (cpu.cr0 & ~CR0.TS) >>> 0;
  retire(cpu);
  return Done.moved;
}

// ── MOV DRn (APM Vol. 2, 13.1.1) ──

export function moveDebug(machine: Machine, instruction: Instruction): Done {
  const { cpu, capability } = machine;
  const destination = operandAt(instruction, 0), source = operandAt(instruction, 1);
  if (destination.kind !== 'register' || source.kind !== 'register') throw invalidOpcode();
  const writes = destination.file === 'debug';
  let { number } = writes ? destination : source;
  if (number > 7 || ((number === 4 || number === 5) && (cr4Of(cpu) & CR4.DE) !== 0)) throw invalidOpcode();
  requirePrivilege0(cpu);
  if ((cpu.dr7 & BigInt(DR7.GD)) !== 0n) throw new GuestFault(Vector.DB, 0, BigInt(DR6.BD));
  if (number === 4 || number === 5) number += 2;
  const name = `dr${number}` as 'dr0' | 'dr1' | 'dr2' | 'dr3' | 'dr6' | 'dr7';
  if (!writes) {
    writeOperand(machine, instruction, 0, cpu[name]);
    retire(cpu);
    return Done.next;
  }
  const value = readOperand(machine, instruction, 1);
  if (number >= 6 && value >> 32n !== 0n) throw generalProtection();
  if (number === 6) {
    const activeLow = (capability.has('rtm') ? DR6.RTM : 0) | (capability.has('bus-lock-detect') ? DR6.BLD : 0);
    cpu.dr6 = value & 0xe00fn | BigInt((DR6_FIXED & ~activeLow) >>> 0) | value & BigInt(activeLow);
  } else cpu[name] = number === 7 ? value & BigInt(DR7_WRITABLE) | BigInt(DR7_FIXED) : value;
  machine.debugRegistersChanged();
  retire(cpu);
  return Done.attention;
}

// ── XCR0 and PKRU ──

function requireExtendedControl(cpu: Cpu): void {
  if ((cr4Of(cpu) & CR4.OSXSAVE) === 0) throw invalidOpcode();
}
const low32 = (cpu: Cpu, number: number): number => Number(readRegister(cpu, number, 32));
/** EDX:EAX. */
export const pairOf = (cpu: Cpu): bigint => readRegister(cpu, 2, 32) << 32n | readRegister(cpu, 0, 32);
export function setPair(cpu: Cpu, value: bigint): void {
  cpu.rax = value & 0xffffffffn;
  cpu.rdx = value >> 32n & 0xffffffffn;
}

export function getExtendedControl(machine: Machine): Done {
  const { cpu, capability } = machine;
  requireExtendedControl(cpu);
  const index = low32(cpu, 1);
  if (index !== 0 && !(index === 1 && capability.has('xgetbv1'))) throw generalProtection();
  setPair(cpu, index === 0 ? cpu.xcr0 : enabledInUse(cpu));
  retire(cpu);
  return Done.next;
}

export function setExtendedControl(machine: Machine): Done {
  const { cpu, capability } = machine;
  requireExtendedControl(cpu);
  requirePrivilege0(cpu);
  if (low32(cpu, 1) !== 0) throw generalProtection();
  const [low, , , high] = capability.cpuid(0xd, 0);
  const subject = { xcr0: pairOf(cpu), supported: BigInt(high >>> 0) << 32n | BigInt(low >>> 0) | 1n };
  refuseBroken(xcr0Checks.find((check) => !check.holds(subject, capability)));
  cpu.xcr0 = subject.xcr0;
  retire(cpu);
  return Done.moved;
}

function requireProtectionKeys(cpu: Cpu): void {
  if ((cr4Of(cpu) & CR4.PKE) === 0) throw invalidOpcode();
  if (low32(cpu, 1) !== 0) throw generalProtection();
}

export function readProtectionKeys(machine: Machine): Done {
  const { cpu } = machine;
  requireProtectionKeys(cpu);
  setPair(cpu, BigInt(cpu.pkru));
  retire(cpu);
  return Done.next;
}

export function writeProtectionKeys(machine: Machine): Done {
  const { cpu } = machine;
  requireProtectionKeys(cpu);
  if (low32(cpu, 2) !== 0) throw generalProtection();
  cpu.pkru = low32(cpu, 0);
  machine.flushTlb(true);
  retire(cpu);
  return Done.moved;
}

/** STAC, CLAC: what a supervisor may do with user pages changes with SMAP on. */
export const setAlignmentCheck = (on: boolean) => (machine: Machine): Done => {
  const { cpu } = machine;
  if (cpu.cpl !== 0) throw invalidOpcode();
  cpu.rflagsSystem = (on ? cpu.rflagsSystem | AC : cpu.rflagsSystem & ~AC) >>> 0;
  retire(cpu);
  return Done.moved;
};

// ── Invalidation ──

export function invalidatePage(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  const operand = operandAt(instruction, 0);
  if (operand.kind !== 'memory') throw invalidOpcode();
  const segment = segmentIndexOf(operand), offset = offsetOf(cpu, instruction, operand);
  const base = is64Bit(cpu) && segment < 4 ? 0n : cpu.segment[segment]!.base;
  const linear = BigInt.asUintN(is64Bit(cpu) ? 64 : 32, base + offset);
  // A non-canonical address is no page: nothing happens (APM Vol. 3, "INVLPG").
  if (isCanonical(cpu, linear)) machine.flushPage(linear);
  retire(cpu);
  return Done.moved;
}

/** INVPCID (APM Vol. 3, "INVPCID"): translations carry no PCID here, so a context is everything that is not global. */
export function invalidateContext(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine;
  requirePrivilege0(cpu);
  const type = readOperand(machine, instruction, 0), operand = operandAt(instruction, 1);
  if (operand.kind !== 'memory') throw invalidOpcode();
  const at = linearOfOperand(machine, instruction, operand, 16, false);
  const pcid = memory.read64(at), linear = memory.read64(BigInt.asUintN(64, at + 8n));
  if (type > 3n) throw generalProtection();
  if (type < 2n && pcid !== 0n && (pcid > 0xfffn || (cr4Of(cpu) & CR4.PCIDE) === 0)) throw generalProtection();
  if (type === 0n && !isCanonicalBase(machine, linear)) throw generalProtection();
  if (type === 0n) machine.flushPage(linear);
  else machine.flushTlb(type === 2n);
  retire(cpu);
  return Done.moved;
}

/** INVD, WBINVD, WBNOINVD: caches cannot be seen. */
export function invalidateCaches(machine: Machine): Done {
  requirePrivilege0(machine.cpu);
  retire(machine.cpu);
  return Done.next;
}

