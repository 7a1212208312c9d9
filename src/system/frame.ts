// PUSHA, POPA and ENTER: stack instructions of more than one access, which meanings do not describe. Called by the system table.
// They go on one value after the other: what was stored or loaded before a fault stays, rSP does not move, and the instruction can be executed
// again (Zen 4, native vectors; undefined in the manuals).
import type { Instruction } from '../isa/instruction.ts';
import { Done } from '../cpu/engine.ts';
import { SS } from '../cpu/segments.ts';
import type { Machine } from './machine.ts';
import { linearOf, operandBytes, peek, popped, readLinear, readOperand, readRegister, retire, rspWith, setStackPointer, stackMaskOf, writeLinear, writeRegister } from './operand.ts';
import { stackSizeOf } from '../cpu/controls.ts';

const RSP = 4, RBP = 5;

/** rAX, rCX, rDX, rBX, the old rSP, rBP, rSI, rDI. */
export function pushAllRegisters(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction);
  let pointer = cpu.rsp;
  for (let number = 0; number < 8; number++) pointer = pushAt(machine, pointer, readRegister(cpu, number, size * 8), size);
  setStackPointer(cpu, pointer);
  retire(cpu);
  return Done.next;
}

/** The reverse, and likewise one after the other; the image of rSP is thrown away. */
export function popAllRegisters(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction);
  for (let number = 7; number >= 0; number--) {
    const value = peek(machine, (7 - number) * size, size);
    if (number !== RSP) writeRegister(cpu, number, size * 8, value);
  }
  setStackPointer(cpu, popped(cpu, 8 * size));
  retire(cpu);
  return Done.next;
}

/** ENTER (APM Vol. 3, "ENTER"): pushes rBP, copies `level - 1` frame pointers from the frame of rBP, pushes the new frame pointer, makes
 * room. Each copy is read after the pushes before it. */
export function enterFrame(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine, size = operandBytes(instruction), mask = stackMaskOf(cpu);
  const room = readOperand(machine, instruction, 0), level = Number(readOperand(machine, instruction, 1) & 31n);
  const frame = pushAt(machine, cpu.rsp, readRegister(cpu, RBP, size * 8), size);
  let pointer = frame;
  for (let index = 1; index < level; index++) {
    const linear = linearOf(cpu, SS, cpu.rbp - BigInt(index * size) & mask, size, false);
    pointer = pushAt(machine, pointer, readLinear(machine, linear, size * 8), size);
  }
  const newFrame = rspWith(cpu, frame);
  if (level > 0) pointer = pushAt(machine, pointer, BigInt.asUintN(size * 8, newFrame), size);
  // The processor tries a write at the final stack pointer, so that a missing page is found here.
  const top = pointer - room & mask;
  memory.probeWrite(linearOf(cpu, SS, top, size, true), size);
  setStackPointer(cpu, top);
  // The frame pointer is as wide as stack pointer or operand: a 32-bit ENTER on a 16-bit stack copies the upper half of ESP too (Zen 4,
  // native vectors).
  writeRegister(cpu, RBP, Math.max(stackSizeOf(cpu), size * 8), newFrame);
  retire(cpu);
  return Done.next;
}

/** Stores one value below `pointer`; returns the stack pointer behind it, which is not committed. */
function pushAt(machine: Machine, pointer: bigint, value: bigint, size: 2 | 4 | 8): bigint {
  const below = pointer - BigInt(size) & stackMaskOf(machine.cpu);
  writeLinear(machine, linearOf(machine.cpu, SS, below, size, true), size * 8, value);
  return below;
}
