// PUSHF, POPF, CLI and STI with the rules of IOPL, virtual-8086 mode and the virtual interrupt flag (APM Vol. 2, 8.10; Vol. 3), and the
// instructions that raise an interrupt. Called by the system table.
import type { Instruction } from '../isa/instruction.ts';
import { CR4, cr4Of, isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { AC, IF, IOPL, OF, RF, rflags, TF, VIF, VIP, VM } from '../cpu/flags.ts';
import type { Cpu } from '../cpu/state.ts';
import { recordDebugCauses } from './debug.ts';
import { deliver, softwareEvent } from './deliver.ts';
import type { EventKind } from './deliver.ts';
import { needsAttention, setVirtualInterruptFlag, writableFlags, writeFlags } from './far.ts';
import { GuestExit, GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import {
  generalProtection, invalidOpcode, linearOfOperand, operandAt, operandBytes, peek, popped, pushAll, readLinear, readOperand, retire, setStackPointer, Vector,
} from './operand.ts';

const ioplOf = (cpu: Cpu): number => cpu.rflagsSystem & IOPL;
const levelOf = (cpu: Cpu): number => isProtected(cpu) ? cpu.cpl : 0;

/** In virtual-8086 mode below IOPL 3, PUSHF and POPF of 16 bits work on VIF when VME is on; everything else is #GP(0). */
function isVirtualised(cpu: Cpu, size: number): boolean {
  if (!isVirtual8086(cpu) || ioplOf(cpu) === IOPL) return false;
  if (size !== 2 || (cr4Of(cpu) & CR4.VME) === 0) throw generalProtection();
  return true;
}

export function pushFlags(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction);
  let image = rflags(cpu) & ~(VM | RF);
  if (isVirtualised(cpu, size)) image = image & ~IF | IOPL | ((image & VIF) !== 0 ? IF : 0);
  setStackPointer(cpu, pushAll(machine, [BigInt(image)], size));
  retire(cpu);
  return Done.next;
}

export function popFlags(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction);
  const virtual = isVirtualised(cpu, size);
  const image = Number(peek(machine, 0, size) & 0xffffffffn), before = cpu.rflagsSystem;
  if (virtual && ((image & TF) !== 0 || ((image & IF) !== 0 && (before & VIP) !== 0))) throw generalProtection();
  setStackPointer(cpu, popped(cpu, size));
  writeFlags(cpu, image, writableFlags(levelOf(cpu), ioplOf(cpu), size));
  cpu.rflagsSystem &= ~RF;
  if (virtual) setVirtualInterruptFlag(cpu, (image & IF) !== 0);
  retire(cpu);
  if (needsAttention(cpu)) return Done.attention;
  return ((before ^ cpu.rflagsSystem) & AC) !== 0 ? Done.moved : Done.next;
}

/** Which flag CLI and STI work on: IF, or VIF (VME in virtual-8086 mode, PVI at level 3), or none: #GP(0). */
function interruptFlag(cpu: Cpu): number {
  if (levelOf(cpu) <= ioplOf(cpu) >>> 12) return IF;
  const virtual = isVirtual8086(cpu) ? CR4.VME : cpu.cpl === 3 ? CR4.PVI : 0;
  if ((cr4Of(cpu) & virtual) === 0) throw generalProtection();
  return VIF;
}

export function clearInterruptFlag(machine: Machine): Done {
  const { cpu } = machine;
  cpu.rflagsSystem = (cpu.rflagsSystem & ~interruptFlag(cpu)) >>> 0;
  retire(cpu);
  return Done.next;
}

/** STI, when it sets IF, lets interrupts in only behind the next instruction (APM Vol. 2, 8.1.2). */
export function setInterruptFlag(machine: Machine): Done {
  const { cpu } = machine, flag = interruptFlag(cpu), before = cpu.rflagsSystem;
  if (flag === VIF && (before & VIP) !== 0) throw generalProtection();
  cpu.rflagsSystem = (before | flag) >>> 0;
  retire(cpu);
  if (flag === VIF || (before & IF) !== 0) return Done.next;
  cpu.interruptShadow = 1;
  return Done.attention;
}

// ── Software interrupts ──

function raise(machine: Machine, vector: number, kind: EventKind): Done {
  try {
    deliver(machine, vector, kind, 0);
  } catch (thrown) {
    if (thrown instanceof GuestFault) thrown.during = softwareEvent(kind, vector);
    else if (thrown instanceof GuestExit) thrown.exit = { ...thrown.exit, event: softwareEvent(kind, vector), eventError: 0 };
    throw thrown;
  }
  return needsAttention(machine.cpu) ? Done.attention : Done.moved;
}

export function softwareInterrupt(machine: Machine, instruction: Instruction): Done {
  const vector = operandAt(instruction, 0);
  if (vector.kind !== 'immediate') throw invalidOpcode();
  return raise(machine, Number(vector.value), 'software');
}
export const breakpointInterrupt = (machine: Machine): Done => raise(machine, Vector.BP, 'int3');
/** ICEBP: #DB without a cause of its own in DR6 and without a privilege check. Causes that MOV SS has held back go with it: one #DB. */
export function debugInterrupt(machine: Machine): Done {
  const { cpu } = machine;
  deliver(machine, Vector.DB, 'int1', 0);
  recordDebugCauses(machine, cpu.pendingDebug);
  cpu.pendingDebug = 0n;
  return needsAttention(cpu) ? Done.attention : Done.moved;
}
export function overflowInterrupt(machine: Machine): Done {
  if ((rflags(machine.cpu) & OF) !== 0) return raise(machine, Vector.OF, 'into');
  retire(machine.cpu);
  return Done.next;
}

export function checkBounds(machine: Machine, instruction: Instruction): Done {
  const bounds = operandAt(instruction, 1), width = instruction.operandSize;
  if (bounds.kind !== 'memory') throw invalidOpcode();
  const bound = (skip: number): bigint =>
    BigInt.asIntN(width, readLinear(machine, linearOfOperand(machine, instruction, bounds, width >> 3, false, skip), width));
  const index = BigInt.asIntN(width, readOperand(machine, instruction, 0)), lower = bound(0), upper = bound(width >> 3);
  if (index < lower || index > upper) throw new GuestFault(Vector.BR);
  retire(machine.cpu);
  return Done.next;
}
