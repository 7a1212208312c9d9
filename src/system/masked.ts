// Vector instructions that touch memory element by element, as a mask says: VMASKMOVPS, VPMASKMOVD and their kin, and the gathers. Called by
// the system table. An element whose mask bit is clear is not accessed and cannot fault.
import { Done } from '../cpu/engine.ts';
import { placeOfRegister, VECTOR_BYTES, type Cpu } from '../cpu/state.ts';
import type { Instruction, MemoryOperand, RegisterOperand } from '../isa/instruction.ts';
import { GuestFault, type Machine } from './machine.ts';
import { linearOf, linearOfOperand, operandAt, readLinear, retire, segmentIndexOf, writeLinear } from './operand.ts';

type ElementWidth = 32 | 64;
interface VectorRegister { readonly place: number; readonly bytes: number }

function vectorAt(instruction: Instruction, index: number): VectorRegister {
  const { file, number, width } = operandAt(instruction, index) as RegisterOperand;
  return { place: placeOfRegister(file, number), bytes: width / 8 };
}
const readElement = ({ u32, u64 }: Cpu, place: number, at: number, width: ElementWidth): bigint =>
  width === 64 ? u64[(place >> 3) + at]! : BigInt(u32[(place >> 2) + at]!);
function writeElement({ u32, u64 }: Cpu, place: number, at: number, width: ElementWidth, value: bigint): void {
  if (width === 64) u64[(place >> 3) + at] = value;
  else u32[(place >> 2) + at] = Number(value);
}
const isSet = (cpu: Cpu, place: number, at: number, width: ElementWidth): boolean => (readElement(cpu, place, at, width) >> BigInt(width - 1)) !== 0n;
const clearAbove = (cpu: Cpu, { place, bytes }: VectorRegister): void => { cpu.u8.fill(0, place + bytes, place + VECTOR_BYTES); };

/** VMASKMOVPS, VPMASKMOVD …: the elements whose mask has its top bit set are loaded, with zeros for the others, or stored. */
export const moveMasked = (width: ElementWidth) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine, stores = operandAt(instruction, 0).kind === 'memory', bytes = width / 8;
  const memory = operandAt(instruction, stores ? 0 : 2) as MemoryOperand;
  const mask = vectorAt(instruction, 1), register = vectorAt(instruction, stores ? 2 : 0);
  const chosen: (readonly [at: number, linear: bigint])[] = [];
  for (let at = 0; at * bytes < mask.bytes; at++) {
    if (!isSet(cpu, mask.place, at, width)) continue;
    const linear = linearOfOperand(machine, instruction, memory, bytes, stores, at * bytes);
    if (stores) machine.memory.probeWrite(linear, bytes);
    chosen.push([at, linear]);
  }
  if (stores) for (const [at, linear] of chosen) writeLinear(machine, linear, width, readElement(cpu, register.place, at, width));
  else {
    const loaded = chosen.map(([at, linear]) => [at, readLinear(machine, linear, width)] as const);
    cpu.u8.fill(0, register.place, register.place + VECTOR_BYTES);
    for (const [at, value] of loaded) writeElement(cpu, register.place, at, width, value);
  }
  retire(cpu);
  return Done.next;
};

/** VPGATHERDD …: the elements whose mask has its top bit set are loaded from where the lanes of the index register say. A fault leaves what
 * was loaded before it in the destination and clears their masks, so that the instruction goes on where it was (APM Vol. 4, "VGATHERDPD"). */
export const gather = (indexWidth: ElementWidth, width: ElementWidth) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine, memory = operandAt(instruction, 1) as MemoryOperand, { addressSize } = instruction;
  const destination = vectorAt(instruction, 0), mask = vectorAt(instruction, 2), indexes = placeOfRegister('vector', memory.index);
  const base = memory.displacement + (memory.base >= 0 ? cpu.general(memory.base) : 0n);
  const loaded: (readonly [at: number, value: bigint])[] = [];
  const commit = (): void => {
    for (const [at, value] of loaded) {
      writeElement(cpu, destination.place, at, width, value);
      writeElement(cpu, mask.place, at, width, 0n);
    }
  };
  try {
    for (let at = 0; at * width < mask.bytes * 8; at++) {
      if (!isSet(cpu, mask.place, at, width)) continue;
      const index = BigInt.asIntN(indexWidth, readElement(cpu, indexes, at, indexWidth)) << BigInt(memory.scaleShift);
      const linear = linearOf(cpu, segmentIndexOf(memory), BigInt.asUintN(addressSize, base + index), width / 8, false);
      loaded.push([at, readLinear(machine, linear, width)]);
    }
  } catch (thrown) {
    // User space is asked for an element, or a nested guest's hypervisor is: the whole instruction is executed again.
    if (thrown instanceof GuestFault) commit();
    throw thrown;
  }
  commit();
  clearAbove(cpu, destination);
  cpu.u8.fill(0, mask.place, mask.place + VECTOR_BYTES);
  retire(cpu);
  return Done.next;
};
