// SYSCALL, SYSRET, SYSENTER, SYSEXIT, SWAPGS and the FS/GS base instructions, with the differences between AMD and Intel: AMD has SYSCALL in
// compatibility and legacy mode and no SYSENTER in long mode; Intel the other way round. APM Vol. 3; SDM Vol. 2. Called by the system table.
import type { Instruction } from '../isa/instruction.ts';
import { CR4, cr4Of, DR6, EFER, eferOf, is64Bit, isCanonical, isLongMode, isProtected } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { IF, RF, rflags, setRflags, TF, VM } from '../cpu/flags.ts';
import { CS, FS, GS, SS } from '../cpu/segments.ts';
import { Attribute } from '../cpu/state.ts';
import type { Cpu } from '../cpu/state.ts';
import { latchDebugCauses } from './debug.ts';
import { needsAttention } from './far.ts';
import { enterSystemCall, leaveSystemCall, trackFar } from './guard.ts';
import type { Machine } from './machine.ts';
import { generalProtection, invalidOpcode, isCanonicalBase, operandAt, readOperand, retire, writeOperand } from './operand.ts';
import { requirePrivilege0 } from './segment-load.ts';

const isAmd = (machine: Machine): boolean => machine.capability.vendor === 'AuthenticAMD' || machine.capability.vendor === 'HygonGenuine';

/** Flat segments whose descriptors are never read: accessed, present, 4 GiB. */
const CODE32 = 0xc9b, CODE64 = 0xa9b, DATA = 0xc93;
function setFlat(cpu: Cpu, segment: number, selector: number, attributes: number, level: number): void {
  const record = cpu.segment[segment]!;
  record.selector = selector & 0xffff;
  record.base = 0n;
  record.limit = 0xffffffff;
  record.attributes = attributes | level << Attribute.dplShift;
}

function enter(cpu: Cpu, code: number, stack: number, attributes: number, level: number, rip: bigint): void {
  setFlat(cpu, CS, code, attributes, level);
  setFlat(cpu, SS, stack, DATA, level);
  cpu.cpl = level;
  cpu.rip = rip;
}

const ended = (cpu: Cpu): Done => needsAttention(cpu) ? Done.attention : Done.moved;

function requireSyscall(machine: Machine): void {
  const { cpu } = machine;
  if ((eferOf(cpu) & EFER.SCE) === 0 || (!isAmd(machine) && !is64Bit(cpu))) throw invalidOpcode();
}

export function systemCall(machine: Machine): Done {
  const { cpu } = machine;
  requireSyscall(machine);
  const code = Number(cpu.star >> 32n & 0xfffcn), flags = rflags(cpu) & ~RF;
  enterSystemCall(cpu);
  if (isLongMode(cpu)) {
    const target = is64Bit(cpu) ? cpu.lstar : cpu.cstar;
    cpu.rcx = cpu.nextRip;
    cpu.r11 = BigInt(flags >>> 0);
    enter(cpu, code, code + 8, CODE64, 0, target);
    setRflags(cpu, flags & ~Number(cpu.sfmask & 0xffffffffn));
  } else {
    cpu.rcx = cpu.nextRip;
    enter(cpu, code, code + 8, CODE32, 0, cpu.star & 0xffffffffn);
    setRflags(cpu, flags & ~(VM | IF));
  }
  trackFar(cpu);
  return ended(cpu);
}

/** Bits of RFLAGS that SYSRET takes from R11. */
const RETURNED_FLAGS = 0x3c7fd7;

export function systemReturn(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, amd = isAmd(machine);
  requireSyscall(machine);
  if (!isProtected(cpu)) throw invalidOpcode();
  requirePrivilege0(cpu);
  const long = isLongMode(cpu), wide = instruction.operandSize === 64;
  const selector = Number(cpu.star >> 48n), target = wide ? cpu.rcx : cpu.rcx & 0xffffffffn;
  // Intel checks here, in ring 0; AMD faults at the first fetch in ring 3.
  if (wide && !amd && !isCanonical(cpu, target)) throw generalProtection();
  leaveSystemCall(cpu, wide);
  const { base, limit, attributes } = cpu.ss;
  enter(cpu, (wide ? selector + 16 : selector) | 3, selector + 8 | 3, wide ? CODE64 : CODE32, 3, target);
  if (amd) {
    // "SS.sel = SYSRET_CS + 8; SS base, limit, attributes unchanged" (APM Vol. 3, "SYSRET").
    Object.assign(cpu.ss, { base, limit, attributes });
  }
  if (long) setRflags(cpu, Number(cpu.r11 & BigInt(RETURNED_FLAGS)));
  else setRflags(cpu, rflags(cpu) | IF);
  // A TF that SYSRET sets traps behind SYSRET itself, not behind the instruction after it.
  if ((cpu.rflagsSystem & TF) !== 0) latchDebugCauses(cpu, DR6.BS);
  return ended(cpu);
}

/** #UD on AMD in long mode; #GP(0) in real mode and with a null SYSENTER_CS. */
function requireSysenter(machine: Machine): number {
  const { cpu } = machine, code = Number(cpu.sysenterCs & 0xfffcn);
  if (isAmd(machine) && isLongMode(cpu)) throw invalidOpcode();
  if (!isProtected(cpu) || code === 0) throw generalProtection();
  return code;
}

export function systemEnter(machine: Machine): Done {
  const { cpu } = machine, code = requireSysenter(machine), long = isLongMode(cpu);
  setRflags(cpu, rflags(cpu) & ~(VM | IF | RF));
  enterSystemCall(cpu);
  enter(cpu, code, code + 8, long ? CODE64 : CODE32, 0, long ? cpu.sysenterEip : cpu.sysenterEip & 0xffffffffn);
  cpu.rsp = long ? cpu.sysenterEsp : cpu.sysenterEsp & 0xffffffffn;
  trackFar(cpu);
  return ended(cpu);
}

export function systemExit(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, code = requireSysenter(machine), wide = instruction.operandSize === 64;
  requirePrivilege0(cpu);
  const target = wide ? cpu.rdx : cpu.rdx & 0xffffffffn, stack = wide ? cpu.rcx : cpu.rcx & 0xffffffffn;
  if (wide && (!isCanonical(cpu, target) || !isCanonical(cpu, stack))) throw generalProtection();
  leaveSystemCall(cpu, wide);
  enter(cpu, code + (wide ? 32 : 16) | 3, code + (wide ? 40 : 24) | 3, wide ? CODE64 : CODE32, 3, target);
  cpu.rsp = stack;
  return ended(cpu);
}

export function swapGs(machine: Machine): Done {
  const { cpu } = machine;
  if (!is64Bit(cpu)) throw invalidOpcode();
  requirePrivilege0(cpu);
  const base = cpu.gs.base;
  cpu.gs.base = cpu.kernelGsBase;
  cpu.kernelGsBase = base;
  retire(cpu);
  return Done.next;
}

function requireBaseInstructions(cpu: Cpu): void {
  if (!is64Bit(cpu) || (cr4Of(cpu) & CR4.FSGSBASE) === 0) throw invalidOpcode();
}
const readBase = (segment: number) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine;
  requireBaseInstructions(cpu);
  const operand = operandAt(instruction, 0), base = cpu.segment[segment]!.base;
  writeOperand(machine, instruction, 0, operand.kind === 'register' ? BigInt.asUintN(operand.width, base) : base);
  retire(cpu);
  return Done.next;
};
const writeBase = (segment: number) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine;
  requireBaseInstructions(cpu);
  const base = readOperand(machine, instruction, 0);
  if (!isCanonicalBase(machine, base)) throw generalProtection();
  cpu.segment[segment]!.base = base;
  retire(cpu);
  return Done.next;
};
export const readFsBase = readBase(FS), readGsBase = readBase(GS), writeFsBase = writeBase(FS), writeGsBase = writeBase(GS);
