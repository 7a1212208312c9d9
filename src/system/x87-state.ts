// The x87 unit as a whole: who may use it, its control, status and tag words, and its environment in memory. Called by the system table and by
// `x87.ts`, which computes. The file keeps the tags abridged as FXSAVE has them: bit n is set when physical register n is not empty.
import { CR0, is8086 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { CS } from '../cpu/segments.ts';
import { FSW_ES, FSW_TOP, placeOf, placeOfArea, type Cpu } from '../cpu/state.ts';
import type { Instruction, MemoryOperand } from '../isa/instruction.ts';
import { classify, Condition } from '../semantics/x87/arithmetic.ts';
import { fromBits, signAndExponent } from '../semantics/x87/convert.ts';
import type { Float80 } from '../semantics/x87/number.ts';
import { GuestFault, type Machine } from './machine.ts';
import { hostOf } from './x87-short.ts';
import { linearOfOperand, offsetOf, operandAt, readOperand, retire, segmentIndexOf, Vector, writeOperand } from './operand.ts';

/** Busy (a copy of ES), and the exceptions with the stack fault. */
const FSW_BUSY = 0x8000, FSW_EXCEPTIONS = 0xff;
/** Bits of the control word that can be written; bit 6 reads as 1. */
const FCW_WRITABLE = 0x1f3f, FCW_ALWAYS = 0x40, FCW_MASKS = 0x3f;
const FCW_RESET = 0x37f;

// ── The stack ──

export const topOf = (cpu: Cpu): number => cpu.fsw >> 11 & 7;
export const setTop = (cpu: Cpu, top: number): void => { cpu.fsw = cpu.fsw & ~FSW_TOP | (top & 7) << 11; };
const X87 = placeOfArea('x87');
const placeOfPhysical = (physical: number): number => X87 + 16 * (physical & 7);

export const readPhysical = (cpu: Cpu, physical: number): Float80 => {
  const place = placeOfPhysical(physical);
  return fromBits(cpu.u64[place >> 3]!, cpu.u16[place + 8 >> 1]!);
};
export const readStack = (cpu: Cpu, index: number): Float80 => readPhysical(cpu, topOf(cpu) + index);
export const isEmpty = (cpu: Cpu, index: number): boolean => (cpu.ftw >> (topOf(cpu) + index & 7) & 1) === 0;
export function markFull(cpu: Cpu, index: number): void {
  cpu.ftw |= 1 << (topOf(cpu) + index & 7);
}
export function markEmpty(cpu: Cpu, index: number): void {
  cpu.ftw &= ~(1 << (topOf(cpu) + index & 7));
}
export function writeStack(cpu: Cpu, index: number, value: Float80): void {
  const place = placeOfPhysical(topOf(cpu) + index);
  cpu.u64[place >> 3] = value.significand;
  cpu.u16[place + 8 >> 1] = signAndExponent(value);
  markFull(cpu, index);
}
export function pop(cpu: Cpu): void {
  markEmpty(cpu, 0);
  setTop(cpu, topOf(cpu) + 1);
}
export function push(cpu: Cpu, value: Float80): void {
  setTop(cpu, topOf(cpu) - 1);
  writeStack(cpu, 0, value);
}

// ── Who may ──

/** #NM when the unit is emulated or belongs to another task. An instruction that waits raises #MF for an exception that an earlier one left
 * pending. CR0.NE is taken as set: nothing is connected to FERR#, and KVM on Intel processors keeps NE set under its guests. */
export function askUnit({ cpu }: Machine, waits: boolean): void {
  if ((cpu.cr0 & (CR0.EM | CR0.TS)) !== 0) throw new GuestFault(Vector.NM);
  if (waits && (cpu.fsw & FSW_ES) !== 0) throw new GuestFault(Vector.MF);
}

/** ES and B follow from the exceptions that are not masked. */
export function summarise(cpu: Cpu): void {
  if ((cpu.fsw & ~cpu.fcw & FCW_MASKS) !== 0) cpu.fsw |= FSW_ES | FSW_BUSY;
  else cpu.fsw &= ~(FSW_ES | FSW_BUSY);
}

export function setControlWord(cpu: Cpu, value: number): void {
  cpu.fcw = value & FCW_WRITABLE | FCW_ALWAYS;
}

/** IA32_MISC_ENABLE bit 2: FOP of every instruction (SDM Vol. 1, 8.1.9.1). */
const FOP_ALWAYS = 4n;

/** What a handler of #MF asks: the last instruction that was no control instruction, its place, and that of its memory operand. Called
 * behind it: Intel processors keep FOP, and with fdp-excptn-only the data pointer, only of one that leaves an exception pending. */
export function notePointers({ cpu, capability }: Machine, instruction: Instruction): void {
  const isPending = (cpu.fsw & FSW_ES) !== 0, withSelectors = !capability.has('zero-fcs-fds');
  cpu.fip = cpu.rip;
  cpu.fcs = withSelectors ? cpu.segment[CS]!.selector : 0;
  if (isPending || capability.vendor !== 'GenuineIntel' || (cpu.miscEnable & FOP_ALWAYS) !== 0n) cpu.fop = instruction.fop ?? 0;
  const operand = instruction.operands[0];
  if (operand?.kind !== 'memory' || (!isPending && capability.has('fdp-excptn-only'))) return;
  cpu.fdp = offsetOf(cpu, instruction, operand);
  cpu.fds = withSelectors ? cpu.segment[segmentIndexOf(operand)]!.selector : 0;
}

// ── Control instructions ──

/** FNINIT and FNSAVE (APM Vol. 5, "FINIT"). */
function initialise(cpu: Cpu): void {
  cpu.fcw = FCW_RESET;
  cpu.fsw = 0;
  cpu.ftw = 0;
  cpu.fop = 0;
  cpu.fip = 0n;
  cpu.fdp = 0n;
  cpu.fcs = 0;
  cpu.fds = 0;
}

type Body = (machine: Machine, instruction: Instruction) => void;
/** A control instruction: `waits` for exceptions that are pending, or does not. */
const control = (waits: boolean, body: Body) => (machine: Machine, instruction: Instruction): Done => {
  askUnit(machine, waits);
  body(machine, instruction);
  retire(machine.cpu);
  return Done.next;
};

export const initialiseX87 = control(false, ({ cpu }) => { initialise(cpu); });
export const clearExceptions = control(false, ({ cpu }) => { cpu.fsw &= ~(FSW_EXCEPTIONS | FSW_BUSY); });
/** FNENI, FNDISI and FNSETPM had a meaning for the 8087 and 80287; FNOP never had one. */
export const doNothing = (waits: boolean) => control(waits, () => { /* As it says. */ });
export const storeStatus = control(false, (machine, instruction) => { storeWord(machine, instruction, machine.cpu.fsw); });
export const storeControl = control(false, (machine, instruction) => { storeWord(machine, instruction, machine.cpu.fcw); });
export const loadControl = control(true, (machine, instruction) => {
  const operand = operandAt(instruction, 0) as MemoryOperand, host = hostOf(machine, instruction, operand, false);
  setControlWord(machine.cpu, host === 0 ? Number(readOperand(machine, instruction, 0)) : machine.cpu.view.getUint16(host, true));
  summarise(machine.cpu);
});

/** To memory that is at hand, or AX, at once: code for x87 does this with every conversion and comparison. */
function storeWord(machine: Machine, instruction: Instruction, value: number): void {
  const operand = operandAt(instruction, 0), { view } = machine.cpu;
  const host = operand.kind === 'memory' ? hostOf(machine, instruction, operand, true) : placeOf('rax');
  if (host === 0) writeOperand(machine, instruction, 0, BigInt(value));
  else view.setUint16(host, value, true);
}

/** FWAIT: a lazy operating system hears of it when CR0.MP is set (APM Vol. 5, "FWAIT"). */
export function waitForExceptions({ cpu }: Machine): Done {
  if ((cpu.cr0 & CR0.TS) !== 0 && (cpu.cr0 & CR0.MP) !== 0) throw new GuestFault(Vector.NM);
  if ((cpu.fsw & FSW_ES) !== 0) throw new GuestFault(Vector.MF);
  retire(cpu);
  return Done.next;
}

// ── The environment in memory (APM Vol. 2, 11.4) ──

/** Two bits for each physical register: valid, zero, special, empty. */
function fullTags(cpu: Cpu): number {
  const { c0, c2, c3 } = Condition;
  let tags = 0;
  for (let physical = 0; physical < 8; physical++) {
    const conditions = classify(readPhysical(cpu, physical)) & (c0 | c2 | c3);
    const tag = (cpu.ftw >> physical & 1) === 0 ? 3 : conditions === c2 ? 0 : conditions === c3 ? 1 : 2;
    tags |= tag << 2 * physical;
  }
  return tags;
}
function abridged(tags: number): number {
  let full = 0;
  for (let physical = 0; physical < 8; physical++) if ((tags >> 2 * physical & 3) !== 3) full |= 1 << physical;
  return full;
}

/** The instruction and data pointers as real mode has them, one linear address. */
const linearPointer = (selector: number, offset: bigint): number => Number(BigInt(selector << 4) + offset & 0xffffffffn);

/** The environment as 7 words of 16 or 32 bits: control, status, tags, instruction pointer and selector with FOP, data pointer and selector. */
function environmentWords(cpu: Cpu, wide: boolean): number[] {
  const low = [cpu.fcw, cpu.fsw, fullTags(cpu)];
  const reserved = wide ? 0xffff0000 : 0;
  if (!isRealFormat(cpu)) {
    const fip = Number(cpu.fip & 0xffffffffn), fdp = Number(cpu.fdp & 0xffffffffn);
    return [...low.map(word => word + reserved), fip, cpu.fcs + (wide ? cpu.fop * 0x10000 : 0), fdp, cpu.fds + reserved];
  }
  const fip = linearPointer(cpu.fcs, cpu.fip), fdp = linearPointer(cpu.fds, cpu.fdp);
  const tail = [(fip & 0xffff) + reserved, (fip >>> 16 << 12 | cpu.fop) >>> 0, (fdp & 0xffff) + reserved, fdp >>> 16 << 12 >>> 0];
  return [...low.map(word => word + reserved), ...tail];
}
const isRealFormat = (cpu: Cpu): boolean => (cpu.cr0 & CR0.PE) === 0 || is8086(cpu);

function loadEnvironmentWords(cpu: Cpu, words: readonly number[], wide: boolean): void {
  setControlWord(cpu, words[0]!);
  cpu.fsw = words[1]! & 0xffff;
  cpu.ftw = abridged(words[2]!);
  summarise(cpu);
  const [fip, fcs, fdp, fds] = words.slice(3) as [number, number, number, number];
  if (isRealFormat(cpu)) {
    cpu.fop = fcs & 0x7ff;
    cpu.fip = BigInt(((fip & 0xffff) + (fcs >>> 12) * 0x10000) % 2 ** 32);
    cpu.fdp = BigInt(((fdp & 0xffff) + (fds >>> 12) * 0x10000) % 2 ** 32);
    cpu.fcs = cpu.fds = 0;
    return;
  }
  cpu.fip = BigInt(fip);
  cpu.fcs = fcs & 0xffff;
  if (wide) cpu.fop = fcs >>> 16 & 0x7ff;
  cpu.fdp = BigInt(fdp);
  cpu.fds = fds & 0xffff;
}

interface Area { readonly linear: bigint; readonly wide: boolean; readonly environmentBytes: number }

/** The first byte of the area is asked for, then the last (Zen 4, native vectors). */
function areaOf(machine: Machine, instruction: Instruction, write: boolean): Area {
  const operand = operandAt(instruction, 0) as MemoryOperand, size = operand.width >> 3, { memory } = machine;
  const linear = linearOfOperand(machine, instruction, operand, size, write), last = linear + BigInt(size - 1);
  for (const at of [linear, last]) {
    if (write) memory.probeWrite(at, 1);
    else memory.read8(at);
  }
  const wide = instruction.operandSize !== 16;
  return { linear, wide, environmentBytes: wide ? 28 : 14 };
}

function storeWords({ cpu, memory }: Machine, { linear, wide }: Area): void {
  environmentWords(cpu, wide).forEach((word, index) => {
    if (wide) memory.write32(linear + BigInt(4 * index), word);
    else memory.write16(linear + BigInt(2 * index), word & 0xffff);
  });
}
const readWords = ({ memory }: Machine, { linear, wide }: Area): number[] =>
  Array.from({ length: 7 }, (_, index) => wide ? memory.read32(linear + BigInt(4 * index)) : memory.read16(linear + BigInt(2 * index)));

/** FNSTENV masks all exceptions afterwards. */
export const storeEnvironment = control(false, (machine, instruction) => {
  const { cpu } = machine;
  storeWords(machine, areaOf(machine, instruction, true));
  cpu.fcw |= FCW_MASKS;
  summarise(cpu);
});
export const loadEnvironment = control(true, (machine, instruction) => {
  const area = areaOf(machine, instruction, false);
  loadEnvironmentWords(machine.cpu, readWords(machine, area), area.wide);
});

/** FNSAVE: the environment and ST(0) to ST(7), ten bytes each; then FNINIT. */
export const saveAll = control(false, (machine, instruction) => {
  const { cpu, memory } = machine, area = areaOf(machine, instruction, true);
  storeWords(machine, area);
  for (let index = 0; index < 8; index++) {
    const place = placeOfPhysical(topOf(cpu) + index), at = area.linear + BigInt(area.environmentBytes + 10 * index);
    memory.write64(at, cpu.u64[place >> 3]!);
    memory.write16(at + 8n, cpu.u16[place + 8 >> 1]!);
  }
  initialise(cpu);
});
export const restoreAll = control(true, (machine, instruction) => {
  const { cpu, memory } = machine, area = areaOf(machine, instruction, false);
  const values = Array.from({ length: 8 }, (_, index): readonly [bigint, number] => {
    const at = area.linear + BigInt(area.environmentBytes + 10 * index);
    return [memory.read64(at), memory.read16(at + 8n)];
  });
  loadEnvironmentWords(cpu, readWords(machine, area), area.wide);
  values.forEach(([significand, high], index) => {
    const place = placeOfPhysical(topOf(cpu) + index);
    cpu.u64[place >> 3] = significand;
    cpu.u64[place + 8 >> 3] = BigInt(high);
  });
});
