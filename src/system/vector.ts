// Vector instructions that are more than one value: MXCSR, FXSAVE and FXRSTOR, the masked stores. Called by the system table; `cpu/units.ts`
// has been asked before about MXCSR and masked stores, not about FXSAVE. It must not store before the last possible fault.
import { CR0 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { FSW_ES, FSW_TOP, placeOfRegister } from '../cpu/state.ts';
import { usesMmx } from '../cpu/units.ts';
import { segmentNames, type Instruction, type MemoryOperand, type RegisterOperand } from '../isa/instruction.ts';
import { LEGACY_LENGTH } from '../model/xstate.ts';
import { GuestFault, type Machine } from './machine.ts';
import { generalProtection, linearOf, linearOfOperand, operandAt, offsetOf, readOperand, retire, Vector, writeOperand } from './operand.ts';
import {
  checkMxcsr, fxVectorCount, imageOf, isFast, loadRange, mxcsrOf, mxcsrRange, putMxcsr, putVectors, putX87, storeRanges, takeVectors, takeX87, vectorRange, x87Ranges,
} from './save-area.ts';

export function loadMxcsr(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  cpu.mxcsr = checkMxcsr(machine, Number(readOperand(machine, instruction, 0)));
  retire(cpu);
  return Done.next;
}

export function storeMxcsr(machine: Machine, instruction: Instruction): Done {
  writeOperand(machine, instruction, 0, BigInt(machine.cpu.mxcsr));
  retire(machine.cpu);
  return Done.next;
}

/** MASKMOVQ and MASKMOVDQU: the bytes whose mask has its top bit set go to DS:[rDI]. Only those that are stored can fault. */
export function storeMasked(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine;
  if (usesMmx(instruction) && (cpu.fsw & FSW_ES) !== 0) throw new GuestFault(Vector.MF);
  const target = operandAt(instruction, 0) as MemoryOperand, offset = offsetOf(cpu, instruction, target);
  const segment = Math.max(0, segmentNames.indexOf(target.segment));
  const placeOf = (index: number): number => {
    const { file, number } = operandAt(instruction, index) as RegisterOperand;
    return placeOfRegister(file, number);
  };
  const source = placeOf(1), mask = placeOf(2);
  const stores: (readonly [linear: bigint, value: number])[] = [];
  for (let at = 0; at < target.width >> 3; at++) {
    if (cpu.u8[mask + at]! < 0x80) continue;
    const linear = linearOf(cpu, segment, BigInt.asUintN(instruction.addressSize, offset + BigInt(at)), 1, true);
    memory.probeWrite(linear, 1);
    stores.push([linear, cpu.u8[source + at]!]);
  }
  for (const [linear, value] of stores) memory.write8(linear, value);
  if (usesMmx(instruction)) {
    cpu.fsw &= ~FSW_TOP;
    cpu.ftw = 0xff;
  }
  retire(cpu);
  return Done.next;
}

/** EMMS: all x87 registers are empty again (APM Vol. 5, "EMMS"). */
export function emptyMmx(machine: Machine): Done {
  const { cpu } = machine;
  if ((cpu.fsw & FSW_ES) !== 0) throw new GuestFault(Vector.MF);
  cpu.fsw &= ~FSW_TOP;
  cpu.ftw = 0;
  retire(cpu);
  return Done.next;
}

// ── FXSAVE and FXRSTOR (APM Vol. 2, 11.4.4) ──

/** REX.W makes the x87 pointers 64 bits wide; else they are offset and selector. */
const isWide = (instruction: Instruction): boolean => instruction.operandSize === 64;

function areaOf(machine: Machine, instruction: Instruction, write: boolean): bigint {
  const { cpu } = machine;
  if ((cpu.cr0 & (CR0.EM | CR0.TS)) !== 0) throw new GuestFault(Vector.NM);
  const linear = linearOfOperand(machine, instruction, operandAt(instruction, 0) as MemoryOperand, LEGACY_LENGTH, write);
  if ((linear & 15n) !== 0n) throw generalProtection();
  return linear;
}

export function saveExtended(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine, count = fxVectorCount(cpu);
  const area = areaOf(machine, instruction, true), image = imageOf(LEGACY_LENGTH);
  // The last byte is asked for first, then the first (Zen 4, native vectors).
  memory.probeWrite(area + BigInt(LEGACY_LENGTH - 1), 1);
  memory.probeWrite(area, 1);
  putX87(machine, area, image, isWide(instruction));
  putMxcsr(machine, image);
  const registers = isFast(cpu) ? 0 : count;
  putVectors(cpu, image, registers);
  storeRanges(machine, area, image, [...x87Ranges, ...count > 0 ? [mxcsrRange] : [], ...registers > 0 ? [vectorRange(registers)] : []]);
  retire(cpu);
  return Done.next;
}

export function restoreExtended(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine, count = fxVectorCount(cpu);
  const area = areaOf(machine, instruction, false), image = imageOf(LEGACY_LENGTH);
  // Everything is read before anything changes.
  memory.read8(area + BigInt(LEGACY_LENGTH - 1));
  loadRange(machine, area, image, [0, LEGACY_LENGTH]);
  if (count > 0) cpu.mxcsr = mxcsrOf(machine, image);
  takeX87(machine, image, isWide(instruction));
  takeVectors(cpu, image, isFast(cpu) ? 0 : count);
  retire(cpu);
  return Done.next;
}
