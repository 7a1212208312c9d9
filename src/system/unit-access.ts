// Instructions that reach memory as one unit, which nobody but a meaning of several stores could say otherwise: MOVDIR64B, CMPccXADD and the
// remote atomic operations, CLZERO. Called by the system table. With turns for vCPUs every access is atomic already.
import type { Instruction, MemoryOperand } from '../isa/instruction.ts';
import { Done } from '../cpu/engine.ts';
import { AF, CF, OF, PF, SF, setArithmeticFlags, ZF } from '../cpu/flags.ts';
import { DS, ES } from '../cpu/segments.ts';
import type { Machine } from './machine.ts';
import {
  generalProtection, linearOf, linearOfOperand, operandAt, readLinear, readOperand, readRegister, retire, writeLinear, writeOperand,
} from './operand.ts';

const LINE = 64, RAX = 0;

function storeLine(machine: Machine, linear: bigint, words: readonly bigint[]): void {
  machine.memory.probeWrite(linear, LINE);
  words.forEach((word, index) => { machine.memory.write64(linear + BigInt(8 * index), word); });
}

/** CLZERO: zeroes the 64-byte line at rAX (APM Vol. 3, "CLZERO"). */
export function clearLine(machine: Machine, instruction: Instruction): Done {
  const offset = readRegister(machine.cpu, RAX, instruction.addressSize) & ~BigInt(LINE - 1);
  storeLine(machine, linearOf(machine.cpu, DS, offset, LINE, true), new Array<bigint>(8).fill(0n));
  retire(machine.cpu);
  return Done.next;
}

/** MOVDIR64B: 64 bytes to ES:[register], which must be aligned; the segment cannot be overridden (SDM Vol. 2, "MOVDIR64B"). */
export function moveLine(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine;
  const target = linearOf(cpu, ES, readOperand(machine, instruction, 0), LINE, true);
  if ((target & BigInt(LINE - 1)) !== 0n) throw generalProtection();
  const source = linearOfOperand(machine, instruction, operandAt(instruction, 1) as MemoryOperand, LINE, false);
  storeLine(machine, target, Array.from({ length: 8 }, (_, index) => memory.read64(BigInt.asUintN(64, source + BigInt(8 * index)))));
  retire(cpu);
  return Done.next;
}

/** The linear address of operand 0, which must be aligned to its size. */
function aligned(machine: Machine, instruction: Instruction): { readonly linear: bigint; readonly width: number } {
  const operand = operandAt(instruction, 0) as MemoryOperand, bytes = operand.width >> 3;
  const linear = linearOfOperand(machine, instruction, operand, bytes, true);
  if ((linear & BigInt(bytes - 1)) !== 0n) throw generalProtection();
  return { linear, width: operand.width };
}

/** CMPccXADD: compares memory with operand 1, adds operand 2 to it when the condition holds; operand 1 takes the old value. */
export function compareAndAdd(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, { linear, width } = aligned(machine, instruction);
  machine.memory.probeWrite(linear, width >> 3);
  const old = readLinear(machine, linear, width), compared = readOperand(machine, instruction, 1), added = readOperand(machine, instruction, 2);
  const flags = subtractionFlags(old, compared, width);
  writeLinear(machine, linear, width, holds(instruction.condition, flags) ? BigInt.asUintN(width, old + added) : old);
  writeOperand(machine, instruction, 1, old);
  setArithmeticFlags(cpu, flags);
  retire(cpu);
  return Done.next;
}

/** The six flags of `left - right`. */
function subtractionFlags(left: bigint, right: bigint, width: number): number {
  const result = BigInt.asUintN(width, left - right), top = BigInt(width - 1);
  const bit = (value: bigint, index: bigint, flag: number): number => (value >> index & 1n) === 0n ? 0 : flag;
  let ones = Number(result & 0xffn);
  ones ^= ones >> 4;
  ones ^= ones >> 2;
  return (left < right ? CF : 0) | (result === 0n ? ZF : 0) | bit(result, top, SF) | bit((left ^ right) & (left ^ result), top, OF)
    | bit(left ^ right ^ result, 4n, AF) | (((ones ^ ones >> 1) & 1) === 0 ? PF : 0);
}

/** Condition code 0..15 over flags (APM Vol. 3, "Jcc"). */
function holds(code: number, flags: number): boolean {
  const has = (mask: number): boolean => (flags & mask) !== 0, less = has(SF) !== has(OF);
  const positive = [has(OF), has(CF), has(ZF), has(CF | ZF), has(SF), has(PF), less, less || has(ZF)][code >> 1]!;
  return positive !== ((code & 1) !== 0);
}

/** AADD, AAND, AOR, AXOR: no flags, no result. */
export const combine = (word: (left: bigint, right: bigint) => bigint) => (machine: Machine, instruction: Instruction): Done => {
  const { linear, width } = aligned(machine, instruction);
  machine.memory.probeWrite(linear, width >> 3);
  writeLinear(machine, linear, width, BigInt.asUintN(width, word(readLinear(machine, linear, width), readOperand(machine, instruction, 1))));
  retire(machine.cpu);
  return Done.next;
};
