// PUSHA, POPA and ENTER: stack instructions of more than one access, which meanings do not describe. Called by the system table.
// All accesses are checked before the first store.
import type { Instruction } from '../isa/instruction.ts';
import { Done } from '../cpu/engine.ts';
import { SS } from '../cpu/segments.ts';
import type { Machine } from './machine.ts';
import { linearOf, operandBytes, peek, popped, pushAll, readLinear, readOperand, readRegister, retire, setStackPointer, stackMaskOf, writeRegister } from './operand.ts';
import { stackSizeOf } from '../cpu/controls.ts';

const RSP = 4, RBP = 5;

/** rAX, rCX, rDX, rBX, the old rSP, rBP, rSI, rDI. */
export function pushAllRegisters(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction);
  const values = [0, 1, 2, 3, 4, 5, 6, 7].map((number) => readRegister(cpu, number, size * 8));
  setStackPointer(cpu, pushAll(machine, values, size));
  retire(cpu);
  return Done.next;
}

/** The reverse; the image of rSP is thrown away. */
export function popAllRegisters(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction);
  const values = [0, 1, 2, 3, 4, 5, 6, 7].map((index) => peek(machine, index * size, size));
  const pointer = popped(cpu, 8 * size);
  values.forEach((value, index) => {
    if (7 - index !== RSP) writeRegister(cpu, 7 - index, size * 8, value);
  });
  setStackPointer(cpu, pointer);
  retire(cpu);
  return Done.next;
}

/** ENTER (APM Vol. 3, "ENTER"): pushes rBP, copies `level - 1` frame pointers from the frame of rBP, pushes the new frame pointer, makes room. */
export function enterFrame(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine, size = operandBytes(instruction), mask = stackMaskOf(cpu);
  const room = readOperand(machine, instruction, 0), level = Number(readOperand(machine, instruction, 1) & 31n);
  const frame = cpu.rsp - BigInt(size) & mask;
  const values = [readRegister(cpu, RBP, size * 8)];
  for (let index = 1; index < level; index++) {
    const linear = linearOf(cpu, SS, cpu.rbp - BigInt(index * size) & mask, size, false);
    values.push(readLinear(machine, linear, size * 8));
  }
  if (level > 0) values.push(BigInt.asUintN(size * 8, frame));
  // The processor tries a write at the final stack pointer, so that a missing page is found here.
  const top = cpu.rsp - BigInt(values.length * size) - room & mask;
  memory.probeWrite(linearOf(cpu, SS, top, size, true), size);
  pushAll(machine, values, size);
  setStackPointer(cpu, top);
  const width = stackSizeOf(cpu);
  writeRegister(cpu, RBP, width, frame);
  retire(cpu);
  return Done.next;
}
