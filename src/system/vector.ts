// Vector instructions that are more than one value: MXCSR, FXSAVE and FXRSTOR, the masked stores. Called by the system table; `cpu/units.ts`
// has been asked before about MXCSR and masked stores, not about FXSAVE. It must not store before the last possible fault.
import { CR0, CR4, cr4Of, is64Bit } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { FSW_ES, FSW_TOP, placeOfArea, placeOfRegister, type Cpu } from '../cpu/state.ts';
import { usesMmx } from '../cpu/units.ts';
import { segmentNames, type Instruction, type MemoryOperand, type RegisterOperand } from '../isa/instruction.ts';
import { GuestFault, type Machine } from './machine.ts';
import { generalProtection, linearOf, linearOfOperand, operandAt, offsetOf, readOperand, retire, Vector, writeOperand } from './operand.ts';

/** Bits of MXCSR that exist, but for misaligned SSE (bit 17), which no model offers. */
export const MXCSR_MASK = 0xffff;

export function loadMxcsr(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, value = Number(readOperand(machine, instruction, 0));
  if ((value & ~MXCSR_MASK) !== 0) throw generalProtection();
  cpu.mxcsr = value;
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

const FSW_BUSY = 0x8000, AREA = 512, X87 = 32, XMM = 160;
const topOf = (cpu: Cpu): number => cpu.fsw >> 11 & 7;
/** REX.W makes the x87 pointers 64 bits wide; else they are offset and selector. */
const isWide = (instruction: Instruction): boolean => instruction.operandSize === 64;

function areaOf(machine: Machine, instruction: Instruction, write: boolean): bigint {
  const { cpu } = machine;
  if ((cpu.cr0 & (CR0.EM | CR0.TS)) !== 0) throw new GuestFault(Vector.NM);
  const linear = linearOfOperand(machine, instruction, operandAt(instruction, 0) as MemoryOperand, AREA, write);
  if ((linear & 15n) !== 0n) throw generalProtection();
  return linear;
}
/** XMM registers that take part: none without CR4.OSFXSR, eight outside 64-bit mode. */
const registersOf = (cpu: Cpu): number => (cr4Of(cpu) & CR4.OSFXSR) === 0 ? 0 : is64Bit(cpu) ? 16 : 8;

export function saveExtended(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine;
  const area = areaOf(machine, instruction, true), wide = isWide(instruction);
  // The last byte is asked for first (Zen 4, native vectors).
  memory.probeWrite(area + BigInt(AREA - 1), 1);
  memory.probeWrite(area, 16);
  const put = (at: number, value: bigint): void => { memory.write64(area + BigInt(at), value); };
  put(0, BigInt(cpu.fcw) | BigInt(cpu.fsw) << 16n | BigInt(cpu.ftw) << 32n | BigInt(cpu.fop) << 48n);
  put(8, wide ? cpu.fip : cpu.fip & 0xffffffffn | BigInt(cpu.fcs) << 32n);
  put(16, wide ? cpu.fdp : cpu.fdp & 0xffffffffn | BigInt(cpu.fds) << 32n);
  if (registersOf(cpu) > 0) put(24, BigInt(cpu.mxcsr) | BigInt(MXCSR_MASK) << 32n);
  const quadword = (place: number): bigint => cpu.u64[place >> 3]!;
  for (let register = 0; register < 8; register++) {
    const place = placeOfArea('x87') + 16 * (topOf(cpu) + register & 7);
    put(X87 + 16 * register, quadword(place));
    put(X87 + 16 * register + 8, quadword(place + 8) & 0xffffn);
  }
  for (let register = 0; register < registersOf(cpu); register++) {
    for (const half of [0, 8]) put(XMM + 16 * register + half, quadword(placeOfRegister('vector', register) + half));
  }
  retire(cpu);
  return Done.next;
}

export function restoreExtended(machine: Machine, instruction: Instruction): Done {
  const { cpu, memory } = machine;
  const area = areaOf(machine, instruction, false), wide = isWide(instruction), registers = registersOf(cpu);
  // Everything is read before anything changes.
  memory.read8(area + BigInt(AREA - 1));
  const words: bigint[] = [];
  for (let at = 0; at < AREA; at += 8) words.push(memory.read64(area + BigInt(at)));
  const word = (at: number): bigint => words[at >> 3]!, number = (at: number, from: number, width: number): number => Number(BigInt.asUintN(width, word(at) >> BigInt(from)));
  const mxcsr = number(24, 0, 32);
  if (registers > 0 && (mxcsr & ~MXCSR_MASK) !== 0) throw generalProtection();
  cpu.fcw = number(0, 0, 16);
  // ES and B follow from the exceptions that are not masked.
  cpu.fsw = number(0, 16, 16) & ~(FSW_ES | FSW_BUSY);
  if ((cpu.fsw & ~cpu.fcw & 0x3f) !== 0) cpu.fsw |= FSW_ES | FSW_BUSY;
  cpu.ftw = number(0, 32, 8);
  cpu.fop = number(0, 48, 11);
  cpu.fip = wide ? word(8) : BigInt(number(8, 0, 32));
  cpu.fcs = wide ? 0 : number(8, 32, 16);
  cpu.fdp = wide ? word(16) : BigInt(number(16, 0, 32));
  cpu.fds = wide ? 0 : number(16, 32, 16);
  for (let register = 0; register < 8; register++) {
    const place = placeOfArea('x87') + 16 * (topOf(cpu) + register & 7) >> 3;
    cpu.u64[place] = word(X87 + 16 * register);
    cpu.u64[place + 1] = word(X87 + 16 * register + 8) & 0xffffn;
  }
  if (registers > 0) cpu.mxcsr = mxcsr;
  for (let register = 0; register < registers; register++) {
    for (const half of [0, 8]) cpu.u64[placeOfRegister('vector', register) + half >> 3] = word(XMM + 16 * register + half);
  }
  retire(cpu);
  return Done.next;
}
