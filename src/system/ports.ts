// IN, OUT, INS and OUTS: the permission of IOPL and of the I/O bitmap in the TSS, I/O breakpoints, and one element of a repeated string at
// a time. Called by the system table; the machine answers, or asks user space and the instruction is executed again.
import type { Instruction } from '../isa/instruction.ts';
import { isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { DF, IOPL } from '../cpu/flags.ts';
import { latchDebugCauses, portBreakpoints } from './debug.ts';
import { interceptPort } from './intercepts.ts';
import type { Machine } from './machine.ts';
import { generalProtection, linearOfOperand, operandAt, readLinear, readOperand, readRegister, retire, writeLinear, writeOperand, writeRegister } from './operand.ts';

type Size = 1 | 2 | 4;

/** Allowed below IOPL; above it, and always in virtual-8086 mode, by a zero bit for every byte in the bitmap of a 32-bit TSS (APM Vol. 2, 12.2.4). */
function requirePort(machine: Machine, port: number, size: Size): void {
  const { cpu, memory } = machine;
  if (!isProtected(cpu) || (!isVirtual8086(cpu) && cpu.cpl <= (cpu.rflagsSystem & IOPL) >>> 12)) return;
  const { tr } = cpu;
  if ((tr.attributes & 0xd) !== 9 || tr.limit < 103) throw generalProtection();
  const place = memory.read16(tr.base + 102n, true) + (port >>> 3);
  if (place + 1 > tr.limit) throw generalProtection();
  const bits = memory.read16(tr.base + BigInt(place), true) >>> (port & 7);
  if ((bits & (1 << size) - 1) !== 0) throw generalProtection();
}

/** The end of a port access that may have hit an I/O breakpoint, which traps behind the instruction. */
function finish(machine: Machine, port: number, size: Size, done: Done): Done {
  const { cpu } = machine;
  if (cpu.dr7 === 0x400n) return done;
  const hits = portBreakpoints(cpu, port, size);
  latchDebugCauses(cpu, hits);
  return hits === 0 ? done : Done.attention;
}

const portOf = (machine: Machine, instruction: Instruction, index: number): number => Number(readOperand(machine, instruction, index) & 0xffffn);
const widthAt = (instruction: Instruction, index: number): Size => {
  const operand = operandAt(instruction, index);
  return (operand.kind === 'register' || operand.kind === 'memory' ? operand.width >> 3 : 1) as Size;
};

export function input(machine: Machine, instruction: Instruction): Done {
  const port = portOf(machine, instruction, 1), size = widthAt(instruction, 0);
  requirePort(machine, port, size);
  interceptPort(machine, instruction, port, size, true);
  writeOperand(machine, instruction, 0, BigInt(machine.portIn(port, size) >>> 0));
  retire(machine.cpu);
  return finish(machine, port, size, Done.next);
}

export function output(machine: Machine, instruction: Instruction): Done {
  const port = portOf(machine, instruction, 0), size = widthAt(instruction, 1);
  requirePort(machine, port, size);
  interceptPort(machine, instruction, port, size, false);
  machine.portOut(port, size, Number(readOperand(machine, instruction, 1)));
  retire(machine.cpu);
  return finish(machine, port, size, Done.next);
}

const RCX = 1, RSI = 6, RDI = 7;

/** Counts a repeated string down and steps its pointer. A count of 0 does nothing at all. */
function stringElement(machine: Machine, instruction: Instruction, pointer: number, size: Size, port: number, element: () => void): Done {
  const { cpu } = machine, width = instruction.addressSize;
  const isRepeated = instruction.rep !== 'none';
  const count = isRepeated ? readRegister(cpu, RCX, width) : 1n;
  if (count === 0n) {
    retire(cpu);
    return Done.next;
  }
  requirePort(machine, port, size);
  interceptPort(machine, instruction, port, size, pointer === RDI);
  element();
  const step = (cpu.rflagsSystem & DF) !== 0 ? -BigInt(size) : BigInt(size);
  writeRegister(cpu, pointer, width, BigInt.asUintN(width, readRegister(cpu, pointer, width) + step));
  if (isRepeated) writeRegister(cpu, RCX, width, count - 1n);
  if (count > 1n) return finish(machine, port, size, Done.repeat);
  retire(cpu);
  return finish(machine, port, size, Done.next);
}

/** The destination is probed before the port is read: a read cannot be taken back. */
export function inputString(machine: Machine, instruction: Instruction): Done {
  const destination = operandAt(instruction, 0), port = portOf(machine, instruction, 1), size = widthAt(instruction, 0);
  if (destination.kind !== 'memory') throw new Error('INS writes memory');
  return stringElement(machine, instruction, RDI, size, port, () => {
    const linear = linearOfOperand(machine, instruction, destination, size, true);
    machine.memory.probeWrite(linear, size);
    writeLinear(machine, linear, size * 8, BigInt(machine.portIn(port, size) >>> 0));
  });
}

export function outputString(machine: Machine, instruction: Instruction): Done {
  const source = operandAt(instruction, 1), port = portOf(machine, instruction, 0), size = widthAt(instruction, 1);
  if (source.kind !== 'memory') throw new Error('OUTS reads memory');
  return stringElement(machine, instruction, RSI, size, port, () => {
    machine.portOut(port, size, Number(readLinear(machine, linearOfOperand(machine, instruction, source, size, false), size * 8)));
  });
}
