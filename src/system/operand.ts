// Operands of a system instruction: registers, and memory through segmentation. `linearOf` is the one statement of the limit, type and
// canonical checks; `vm/run.ts` uses it for the checked accesses of the engines. Nothing here commits before its last possible fault.
import type { Instruction, MemoryOperand, Operand } from '../isa/instruction.ts';
import type { segmentNames } from '../isa/instruction.ts';
import { is64Bit, is8086, isCanonical, isCanonicalFor, stackSizeOf, untagged } from '../cpu/controls.ts';
import { FS, SS, isBig, isExpandDown, isReadable, isWritable } from '../cpu/segments.ts';
import { Attribute, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT } from '../cpu/state.ts';
import type { Cpu } from '../cpu/state.ts';
import { GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import { join, NEXT_RIP_WORD, RIP_WORD } from './words.ts';

export const Vector = { DE: 0, DB: 1, NMI: 2, BP: 3, OF: 4, BR: 5, UD: 6, NM: 7, DF: 8, TS: 10, NP: 11, SS: 12, GP: 13, PF: 14, MF: 16, AC: 17, MC: 18, XF: 19 } as const;

export const generalProtection = (errorCode = 0): GuestFault => new GuestFault(Vector.GP, errorCode);
export const invalidOpcode = (): GuestFault => new GuestFault(Vector.UD);

const indexOfSegment = { es: 0, cs: 1, ss: 2, ds: 3, fs: 4, gs: 5 } as const satisfies Record<(typeof segmentNames)[number], number>;
const MASK32 = 0xffffffffn;

// ── Segmentation ──

/** The linear address of `size` bytes at `offset` in a segment, checked (APM Vol. 2, 4.12; in 64-bit mode 5.3.1). `offset` is of the
 * address size already. Violations are #SS(0) in SS, #GP(0) elsewhere. */
export function linearOf(cpu: Cpu, segment: number, offset: bigint, size: number, write: boolean): bigint {
  if (is64Bit(cpu)) {
    const linear = untagged(cpu, segment >= FS ? BigInt.asUintN(64, offset + cpu.u64[placeOfSegment(segment) + SEGMENT_BASE >> 3]!) : offset);
    if (!isCanonical(cpu, linear) || (size > 1 && !isCanonical(cpu, BigInt.asUintN(64, linear + BigInt(size - 1))))) throw segmentFault(segment);
    return linear;
  }
  return BigInt(linearOf32(cpu, segment, Number(offset), size, write));
}

/** The same outside 64-bit mode, in numbers. */
export function linearOf32(cpu: Cpu, segment: number, offset: number, size: number, write: boolean): number {
  const place = placeOfSegment(segment);
  const attributes = cpu.u32[place + SEGMENT_ATTRIBUTES >> 2]!, limit = cpu.u32[place + SEGMENT_LIMIT >> 2]!;
  if (!is8086(cpu) && ((attributes & Attribute.unusable) !== 0 || !(write ? isWritable(attributes) : isReadable(attributes)))) throw segmentFault(segment);
  if (!isWithinLimit(attributes, limit, offset, size)) throw segmentFault(segment);
  return (cpu.u32[place + SEGMENT_BASE >> 2]! + offset) >>> 0;
}

/** Whether bytes `offset` .. `offset + size - 1` lie inside (APM Vol. 2, 4.12.1 and 4.12.2: expand-down). */
export function isWithinLimit(attributes: number, limit: number, offset: number, size: number): boolean {
  const last = offset + size - 1;
  if (isExpandDown(attributes)) return offset > limit && last <= (isBig(attributes) ? 0xffffffff : 0xffff);
  return last <= limit;
}

/** Bases in registers and MSRs are canonical for the widest paging that the processor has, whichever is on (SDM Vol. 3, 4.5.2; as KVM does). */
export const isCanonicalBase = (machine: Machine, base: bigint): boolean =>
  isCanonicalFor(base, 48) || (isCanonicalFor(base, 57) && machine.capability.has('la57'));
/** An address as AMD's registers keep it: the bits above the linear address repeat its highest. */
export const canonicalBase = ({ capability }: Machine, base: bigint): bigint =>
  isCanonicalFor(base, 48) ? base : BigInt.asUintN(64, BigInt.asIntN(capability.has('la57') ? 57 : 48, base));

const segmentFault = (segment: number): GuestFault => new GuestFault(segment === SS ? Vector.SS : Vector.GP, 0);

/** The offset that a memory operand names, of the instruction's address size. */
export function offsetOf(cpu: Cpu, instruction: Instruction, operand: MemoryOperand): bigint {
  let offset = operand.displacement;
  if (operand.base >= 0) offset += cpu.general(operand.base);
  if (operand.index >= 0) offset += cpu.general(operand.index) << BigInt(operand.scaleShift);
  if (operand.ripRelative) offset += cpu.nextRip;
  return BigInt.asUintN(instruction.addressSize, offset);
}

/** The linear address of a memory operand, `skip` bytes into it: the sum wraps at the address size. */
export function linearOfOperand(machine: Machine, instruction: Instruction, operand: MemoryOperand, size: number, write: boolean, skip = 0): bigint {
  const offset = BigInt.asUintN(instruction.addressSize, offsetOf(machine.cpu, instruction, operand) + BigInt(skip));
  return linearOf(machine.cpu, indexOfSegment[operand.segment], offset, size, write);
}

export const segmentIndexOf = (operand: MemoryOperand): number => indexOfSegment[operand.segment];

// ── Linear memory by width, and by halves ──

export function readLinear(machine: Machine, linear: bigint, width: number, supervisor = false): bigint {
  switch (width) {
    case 8: return BigInt(machine.memory.read8(linear, supervisor));
    case 16: return BigInt(machine.memory.read16(linear, supervisor));
    case 32: return BigInt(machine.memory.read32(linear, supervisor));
    case 64: return machine.memory.read64(linear, supervisor);
    default: throw new Error(`a system instruction cannot read ${width} bits`);
  }
}

export function writeLinear(machine: Machine, linear: bigint, width: number, value: bigint, supervisor = false): void {
  switch (width) {
    case 8: machine.memory.write8(linear, Number(value & 0xffn), supervisor); break;
    case 16: machine.memory.write16(linear, Number(value & 0xffffn), supervisor); break;
    case 32: machine.memory.write32(linear, Number(value & MASK32), supervisor); break;
    case 64: machine.memory.write64(linear, BigInt.asUintN(64, value), supervisor); break;
    default: throw new Error(`a system instruction cannot write ${width} bits`);
  }
}

/** Copies `count` 32-bit words at a linear address, given as halves, into `into`: one probe when the page is at hand. */
export function loadWords(machine: Machine, low: number, high: number, count: number, into: Uint32Array, supervisor: boolean): void {
  const { memory, cpu } = machine;
  const host = memory.hostOfRead === undefined ? 0 : memory.hostOfRead(low, high, count << 2, supervisor);
  if (host !== 0 && (host & 3) === 0) {
    const first = host >> 2;
    for (let word = 0; word < count; word++) into[word] = cpu.u32[first + word]!;
    return;
  }
  const linear = join(low, high);
  for (let word = 0; word < count; word++) into[word] = memory.read32(canonicalSum(machine, linear, 4 * word), supervisor);
}

/** Stores `count` words at a linear address whose last bytes are pushed first: what is missing is reported from the top down, and
 * nothing is stored before all of it can be. `count` is even (64-bit pushes). */
export function storeWords(machine: Machine, low: number, high: number, count: number, from: Uint32Array, supervisor: boolean): void {
  const { memory, cpu } = machine;
  const host = memory.hostOfWrite === undefined ? 0 : memory.hostOfWrite(low, high, count << 2, supervisor);
  if (host !== 0 && (host & 3) === 0) {
    const first = host >> 2;
    for (let word = 0; word < count; word++) cpu.u32[first + word] = from[word]!;
    return;
  }
  const linear = join(low, high);
  for (let word = count - 2; word >= 0; word -= 2) memory.probeWrite(BigInt.asUintN(64, linear + BigInt(4 * word)), 8, supervisor);
  for (let word = count - 2; word >= 0; word -= 2) {
    memory.write64(BigInt.asUintN(64, linear + BigInt(4 * word)), join(from[word]!, from[word + 1]!), supervisor);
  }
}

/** Tables may end outside the canonical range: their accesses then raise #GP(0). */
function canonicalSum(machine: Machine, linear: bigint, distance: number): bigint {
  const sum = BigInt.asUintN(64, linear + BigInt(distance));
  if (!isCanonical(machine.cpu, sum)) throw generalProtection();
  return sum;
}

// ── Operands ──

export const widthMask = (width: number): bigint => (1n << BigInt(width)) - 1n;

export function operandAt(instruction: Instruction, index: number): Operand {
  const operand = instruction.operands[index];
  if (operand === undefined) throw new Error(`${instruction.mnemonic} has no operand ${index}`);
  return operand;
}

/** A general register of the width named by the operand. */
export function readRegister(cpu: Cpu, number: number, width: number, high = false): bigint {
  const value = cpu.general(number);
  return high ? value >> 8n & 0xffn : BigInt.asUintN(width, value);
}

/** 32-bit writes zero-extend; 8- and 16-bit writes leave the rest (APM Vol. 1, 3.1.2). */
export function writeRegister(cpu: Cpu, number: number, width: number, value: bigint, high = false): void {
  if (width === 64 || width === 32) cpu.setGeneral(number, BigInt.asUintN(width, value));
  else {
    const shift = high ? 8n : 0n, mask = widthMask(width) << shift;
    cpu.setGeneral(number, cpu.general(number) & ~mask | value << shift & mask);
  }
}

export function readOperand(machine: Machine, instruction: Instruction, index: number): bigint {
  const operand = operandAt(instruction, index);
  switch (operand.kind) {
    case 'register':
      if (operand.file === 'segment') return BigInt(machine.cpu.segment[operand.number]!.selector);
      return readRegister(machine.cpu, operand.number, operand.width, operand.high);
    case 'memory': return readLinear(machine, linearOfOperand(machine, instruction, operand, operand.width >> 3, false), operand.width);
    case 'immediate': return operand.value;
    default: throw new Error(`${instruction.mnemonic}: operand ${index} has no value`);
  }
}

/** Sixteen bits of a register, or a 16-bit memory access whatever the operand's width: how selectors are read. */
export function readSelector(machine: Machine, instruction: Instruction, index: number): number {
  const operand = operandAt(instruction, index);
  if (operand.kind === 'memory') return machine.memory.read16(linearOfOperand(machine, instruction, operand, 2, false));
  return Number(readOperand(machine, instruction, index) & 0xffffn);
}

export function writeOperand(machine: Machine, instruction: Instruction, index: number, value: bigint): void {
  const operand = operandAt(instruction, index);
  if (operand.kind === 'memory') writeLinear(machine, linearOfOperand(machine, instruction, operand, operand.width >> 3, true), operand.width, value);
  else if (operand.kind === 'register' && operand.file === 'general') writeRegister(machine.cpu, operand.number, operand.width, value, operand.high);
  else throw new Error(`${instruction.mnemonic}: operand ${index} cannot be written`);
}

/** Writes a 16-bit value to memory, or its zero extension to a register (SLDT, STR, SMSW, MOV from Sreg). */
export function writeWord(machine: Machine, instruction: Instruction, index: number, value: bigint): void {
  const operand = operandAt(instruction, index);
  if (operand.kind === 'memory') machine.memory.write16(linearOfOperand(machine, instruction, operand, 2, true), Number(value & 0xffffn));
  else writeOperand(machine, instruction, index, value);
}

// ── The current stack ──

export const stackMaskOf = (cpu: Cpu): bigint => widthMask(stackSizeOf(cpu));

/** The whole of RSP for a stack pointer of the present size: 16 bits leave the other bits, 32 bits clear the upper half. */
export function rspWith(cpu: Cpu, pointer: bigint): bigint {
  const size = stackSizeOf(cpu);
  return size === 16 ? cpu.rsp & ~0xffffn | pointer & 0xffffn : BigInt.asUintN(size, pointer);
}
export function setStackPointer(cpu: Cpu, pointer: bigint): void {
  cpu.rsp = rspWith(cpu, pointer);
}

/** Pushes values of `size` bytes, the first one first, as one unit: checked and probed, then stored. Returns the new stack pointer, which
 * the caller commits with `setStackPointer`. */
export function pushAll(machine: Machine, values: readonly bigint[], size: 2 | 4 | 8): bigint {
  const { cpu, memory } = machine;
  const mask = stackMaskOf(cpu);
  const at: bigint[] = [];
  let pointer = cpu.rsp & mask;
  for (let index = 0; index < values.length; index++) {
    pointer = pointer - BigInt(size) & mask;
    const linear = linearOf(cpu, SS, pointer, size, true);
    memory.probeWrite(linear, size);
    at.push(linear);
  }
  values.forEach((value, index) => writeLinear(machine, at[index]!, size * 8, value));
  return pointer;
}

/** The value of `size` bytes at `depth` bytes above the stack pointer. */
export function peek(machine: Machine, depth: number, size: 2 | 4 | 8): bigint {
  const { cpu } = machine;
  return readLinear(machine, linearOf(cpu, SS, cpu.rsp + BigInt(depth) & stackMaskOf(cpu), size, false), size * 8);
}

export const popped = (cpu: Cpu, bytes: number): bigint => cpu.rsp + BigInt(bytes) & stackMaskOf(cpu);

// ── Instruction end ──

/** RIP behind the instruction. */
export function retire({ u32 }: Cpu): void {
  u32[RIP_WORD] = u32[NEXT_RIP_WORD]!;
  u32[RIP_WORD + 1] = u32[NEXT_RIP_WORD + 1]!;
}

export const operandBytes = (instruction: Instruction): 2 | 4 | 8 => instruction.operandSize >> 3 as 2 | 4 | 8;
