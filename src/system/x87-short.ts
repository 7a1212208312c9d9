// The frequent way through frequent x87 instructions: plain numbers in halves, no exception but a lost digit that is masked, rounding to
// nearest, memory that is at hand. Each function either does the whole instruction or does nothing and answers false, and then `x87.ts` does it
// in the exact way. A test holds the two together. Called by `x87.ts` only.
import { CR0, is64Bit } from '../cpu/controls.ts';
import { AC, CF, setArithmeticFlags, ZF } from '../cpu/flags.ts';
import { CS, FS } from '../cpu/segments.ts';
import { FSW_ES, FSW_TOP, placeOf, placeOfArea } from '../cpu/state.ts';
import type { Instruction, MemoryOperand, RegisterOperand } from '../isa/instruction.ts';
import { Condition } from '../semantics/x87/arithmetic.ts';
import {
  add, createHalves, divide, fromDouble, fromInteger, fromInteger64, fromSingle, isPlain, LEFT, multiply, order, RESULT, RIGHT, toDouble, toInteger, toSingle, Went,
} from '../semantics/x87/halves.ts';
import { X87Exception } from '../semantics/x87/number.ts';
import type { Capabilities } from '../model/capabilities.ts';
import type { Machine } from './machine.ts';
import { linearOf32, segmentIndexOf } from './operand.ts';
import { baseWord, CPL_WORD, FLAGS_WORD, NEXT_RIP_WORD, RIP_WORD, selectorWord } from './words.ts';

const word = (name: Parameters<typeof placeOf>[0]): number => placeOf(name) >> 2;
const CR0_WORD = word('cr0'), FCW = word('fcw'), FSW = word('fsw'), FTW = word('ftw'), FOP = word('fop'), FIP = word('fip'), FDP = word('fdp');
const FCS = word('fcs'), FDS = word('fds'), MISC_ENABLE = word('miscEnable'), GENERAL = word('rax'), X87 = placeOfArea('x87') >> 2;
const ROUNDING = 0xc00, { c0, c1, c2, c3 } = Condition, { precision } = X87Exception;
const precisions = [24, 64, 53, 64] as const;
const TWO32 = 0x1_0000_0000;
/** IA32_MISC_ENABLE bit 2: FOP of every instruction. */
const FOP_ALWAYS = 4;

/** The numbers of the instruction, and the offset of its memory operand in halves. */
const n = createHalves(), offset = new Uint32Array(2);

/** A short way through an instruction, and the exact one. */
export type Short = (machine: Machine, instruction: Instruction) => boolean;

/** The unit may be used, nothing is pending, rounding is to nearest, lost digits are masked. */
const isUsual = (u32: Uint32Array): boolean =>
  (u32[CR0_WORD]! & (CR0.EM | CR0.TS)) === 0 && (u32[FSW]! & FSW_ES) === 0 && (u32[FCW]! & (ROUNDING | precision)) === precision;
const bitsOf = (u32: Uint32Array): number => precisions[u32[FCW]! >> 8 & 3]!;

// ── The stack ──

const physical = (u32: Uint32Array, index: number): number => (u32[FSW]! >> 11) + index & 7;
const isFull = (u32: Uint32Array, index: number): boolean => (u32[FTW]! >> physical(u32, index) & 1) !== 0;

function takeStack(u32: Uint32Array, index: number, at: number): boolean {
  if (!isFull(u32, index)) return false;
  const place = X87 + 4 * physical(u32, index), high = u32[place + 2]!;
  n[at] = u32[place]!;
  n[at + 1] = u32[place + 1]!;
  n[at + 2] = high & 0x7fff;
  n[at + 3] = high >>> 15 & 1;
  return true;
}
function putStack(u32: Uint32Array, index: number, from: number): void {
  const place = X87 + 4 * physical(u32, index);
  u32[place] = n[from]!;
  u32[place + 1] = n[from + 1]!;
  u32[place + 2] = n[from + 2]! | n[from + 3]! << 15;
  u32[FTW]! |= 1 << physical(u32, index);
}
function moveTop(u32: Uint32Array, by: number): void {
  u32[FSW] = u32[FSW]! & ~FSW_TOP | physical(u32, by) << 11;
}
function pop(u32: Uint32Array): void {
  u32[FTW]! &= ~(1 << physical(u32, 0));
  moveTop(u32, 1);
}

// ── Memory ──

/** The host address of a memory operand that is at hand, or 0; its offset is left in `offset`. */
export function hostOf(machine: Machine, instruction: Instruction, operand: MemoryOperand, write: boolean): number {
  const { cpu, memory } = machine, { u32 } = cpu, bytes = operand.width >> 3;
  if (memory.hostOfRead === undefined || memory.hostOfWrite === undefined) return 0;
  const displacement = Number(operand.displacement);
  let low = displacement >>> 0, high = (displacement - low) / TWO32;
  if (operand.base >= 0) {
    low += u32[GENERAL + 2 * operand.base]!;
    high += u32[GENERAL + 2 * operand.base + 1]!;
  }
  if (operand.index >= 0) {
    const scale = 1 << operand.scaleShift;
    low += u32[GENERAL + 2 * operand.index]! * scale;
    high += u32[GENERAL + 2 * operand.index + 1]! * scale;
  }
  if (operand.ripRelative) {
    low += u32[NEXT_RIP_WORD]!;
    high += u32[NEXT_RIP_WORD + 1]!;
  }
  const carry = Math.floor(low / TWO32), { addressSize } = instruction;
  low = addressSize === 16 ? low & 0xffff : low >>> 0;
  high = addressSize === 64 ? high + carry >>> 0 : 0;
  offset[0] = low;
  offset[1] = high;
  const segment = segmentIndexOf(operand);
  if (!is64Bit(cpu)) {
    low = linearOf32(cpu, segment, low, bytes, write);
    high = 0;
  } else if (segment >= FS) {
    low += u32[baseWord(segment)]!;
    high = high + u32[baseWord(segment) + 1]! + (low >= TWO32 ? 1 : 0) >>> 0;
    low >>>= 0;
  }
  // An address that may not be canonical, and every one under alignment checks, is looked at in the exact way.
  if ((high > 0x7fff && high < 0xffff8000) || (u32[CPL_WORD] === 3 && (u32[FLAGS_WORD]! & AC) !== 0)) return 0;
  return write ? memory.hostOfWrite(low, high, bytes, false) : memory.hostOfRead(low, high, bytes, false);
}

const memoryOperand = ({ operands }: Instruction): MemoryOperand | undefined => operands[0]?.kind === 'memory' ? operands[0] : undefined;
const stackNumber = (instruction: Instruction, index: number): number => (instruction.operands[index] as RegisterOperand).number;
const isInteger = ({ mnemonic }: Instruction): boolean => mnemonic.charCodeAt(1) === 0x49;

/** A plain number from memory. */
function takeMemory(machine: Machine, instruction: Instruction, operand: MemoryOperand, at: number): boolean {
  const { width } = operand, { view } = machine.cpu, host = hostOf(machine, instruction, operand, false);
  if (host === 0) return false;
  if (isInteger(instruction)) {
    if (width === 64) fromInteger64(n, at, view.getInt32(host, true), view.getInt32(host + 4, true));
    else fromInteger(n, at, width === 16 ? view.getInt16(host, true) : view.getInt32(host, true));
    return true;
  }
  if (width === 64) return fromDouble(n, at, view.getUint32(host, true), view.getUint32(host + 4, true));
  if (width === 32) return fromSingle(n, at, view.getUint32(host, true));
  const high = view.getUint16(host + 8, true);
  n[at] = view.getUint32(host, true);
  n[at + 1] = view.getUint32(host + 4, true);
  n[at + 2] = high & 0x7fff;
  n[at + 3] = high >>> 15;
  return true;
}

// ── Behind the instruction ──

/** What the model says of the pointers, asked once for each door; somebody who listens to the questions hears all of them. */
let door: Capabilities | undefined, withSelectors = false, withOpcode = false, withData = false;
function ask(capability: Capabilities): void {
  if (door === capability && capability.onAsk === undefined) return;
  door = capability;
  withSelectors = !capability.has('zero-fcs-fds');
  withOpcode = capability.vendor !== 'GenuineIntel';
  withData = !capability.has('fdp-excptn-only');
}

/** What `notePointers` notes when nothing is pending, and RIP behind the instruction. */
function finish(machine: Machine, instruction: Instruction, operand: MemoryOperand | undefined): true {
  const { u32 } = machine.cpu;
  ask(machine.capability);
  u32[FIP] = u32[RIP_WORD]!;
  u32[FIP + 1] = u32[RIP_WORD + 1]!;
  u32[FCS] = withSelectors ? u32[selectorWord(CS)]! : 0;
  if (withOpcode || (u32[MISC_ENABLE]! & FOP_ALWAYS) !== 0) u32[FOP] = instruction.fop ?? 0;
  if (operand !== undefined && withData) {
    u32[FDP] = offset[0]!;
    u32[FDP + 1] = offset[1]!;
    u32[FDS] = withSelectors ? u32[selectorWord(segmentIndexOf(operand))]! : 0;
  }
  u32[RIP_WORD] = u32[NEXT_RIP_WORD]!;
  u32[RIP_WORD + 1] = u32[NEXT_RIP_WORD + 1]!;
  return true;
}
function report(u32: Uint32Array, went: Went): void {
  u32[FSW] = u32[FSW]! & ~c1 | (went === Went.up ? c1 | precision : went === Went.down ? precision : 0);
}

// ── Instructions ──

export type ShortOperation = 'add' | 'subtract' | 'multiply' | 'divide';
function compute(operation: ShortOperation, bits: number): Went {
  switch (operation) {
    case 'add': return add(n, false, bits);
    case 'subtract': return add(n, true, bits);
    case 'multiply': return multiply(n, bits);
    case 'divide': return divide(n, bits);
  }
}

/** FADD and its kin; `reversed`: the operand in memory, or the second register, comes first. */
export function arithmeticShort(machine: Machine, instruction: Instruction, operation: ShortOperation, reversed: boolean, pops: boolean): boolean {
  const { u32 } = machine.cpu;
  if (!isUsual(u32)) return false;
  const operand = memoryOperand(instruction), into = operand ? 0 : stackNumber(instruction, 0);
  if (!takeStack(u32, into, reversed ? RIGHT : LEFT)) return false;
  const other = reversed ? LEFT : RIGHT;
  if (!(operand ? takeMemory(machine, instruction, operand, other) : takeStack(u32, stackNumber(instruction, 1), other))) return false;
  const went = compute(operation, bitsOf(u32));
  if (went === Went.no) return false;
  putStack(u32, into, RESULT);
  report(u32, went);
  if (pops) pop(u32);
  return finish(machine, instruction, operand);
}

/** FLD and FILD. */
export function loadShort(machine: Machine, instruction: Instruction): boolean {
  const { u32 } = machine.cpu, operand = memoryOperand(instruction);
  if (!isUsual(u32) || isFull(u32, -1)) return false;
  if (!(operand ? takeMemory(machine, instruction, operand, LEFT) : takeStack(u32, stackNumber(instruction, 0), LEFT))) return false;
  moveTop(u32, -1);
  putStack(u32, 0, LEFT);
  report(u32, Went.exact);
  return finish(machine, instruction, operand);
}

/** FLD1 and FLDZ. */
export function loadConstantShort(machine: Machine, instruction: Instruction): boolean {
  const { u32 } = machine.cpu, { mnemonic } = instruction;
  if ((mnemonic !== 'FLD1' && mnemonic !== 'FLDZ') || !isUsual(u32) || isFull(u32, -1)) return false;
  fromInteger(n, LEFT, mnemonic === 'FLD1' ? 1 : 0);
  moveTop(u32, -1);
  putStack(u32, 0, LEFT);
  report(u32, Went.exact);
  return finish(machine, instruction, undefined);
}

/** FCHS and FABS. */
export function signShort(machine: Machine, instruction: Instruction, clears: boolean): boolean {
  const { u32 } = machine.cpu;
  if (!isUsual(u32) || !takeStack(u32, 0, LEFT)) return false;
  n[LEFT + 3] = clears ? 0 : n[LEFT + 3]! ^ 1;
  putStack(u32, 0, LEFT);
  report(u32, Went.exact);
  return finish(machine, instruction, undefined);
}

/** FST and FSTP to memory or a register. */
export function storeShort(machine: Machine, instruction: Instruction, pops: boolean): boolean {
  const { u32, view } = machine.cpu, operand = memoryOperand(instruction);
  if (!isUsual(u32) || !takeStack(u32, 0, LEFT)) return false;
  if (operand === undefined) {
    putStack(u32, stackNumber(instruction, 0), LEFT);
    report(u32, Went.exact);
  } else {
    const { width } = operand, went = width === 80 ? Went.exact : width === 64 ? toDouble(n) : toSingle(n);
    const host = went === Went.no ? 0 : hostOf(machine, instruction, operand, true), from = width === 80 ? LEFT : RESULT;
    if (host === 0) return false;
    view.setUint32(host, n[from]!, true);
    if (width >= 64) view.setUint32(host + 4, n[from + 1]!, true);
    if (width === 80) view.setUint16(host + 8, n[LEFT + 2]! | n[LEFT + 3]! << 15, true);
    report(u32, went);
  }
  if (pops) pop(u32);
  return finish(machine, instruction, operand);
}

/** FIST, FISTP, and FISTTP, which rounds in its own way. */
export function storeIntegerShort(machine: Machine, instruction: Instruction, pops: boolean, truncates: boolean): boolean {
  const { u32, view } = machine.cpu, operand = memoryOperand(instruction)!;
  const isTruncating = (u32[FCW]! & ROUNDING) === ROUNDING;
  if (!isUsual(u32) && !((isTruncating || truncates) && isUsualButRounding(u32))) return false;
  if (!takeStack(u32, 0, LEFT)) return false;
  const went = toInteger(n, operand.width, truncates || isTruncating), host = went === Went.no ? 0 : hostOf(machine, instruction, operand, true);
  if (host === 0) return false;
  if (operand.width === 16) view.setUint16(host, n[RESULT]!, true);
  else view.setUint32(host, n[RESULT]!, true);
  if (operand.width === 64) view.setUint32(host + 4, n[RESULT + 1]!, true);
  report(u32, went);
  if (pops) pop(u32);
  return finish(machine, instruction, operand);
}
const isUsualButRounding = (u32: Uint32Array): boolean =>
  (u32[CR0_WORD]! & (CR0.EM | CR0.TS)) === 0 && (u32[FSW]! & FSW_ES) === 0 && (u32[FCW]! & precision) !== 0;

/** FXCH. */
export function exchangeShort(machine: Machine, instruction: Instruction): boolean {
  const { u32 } = machine.cpu, other = stackNumber(instruction, 1);
  if (!isUsual(u32) || !takeStack(u32, 0, LEFT) || !takeStack(u32, other, RIGHT)) return false;
  putStack(u32, 0, RIGHT);
  putStack(u32, other, LEFT);
  report(u32, Went.exact);
  return finish(machine, instruction, undefined);
}

/** FCOM, FUCOM and their kin: the order of two plain numbers goes to the conditions, or (`toFlags`) to the flags, and then C1 stays. */
export function compareShort(machine: Machine, instruction: Instruction, pops: number, toFlags: boolean): boolean {
  const { cpu } = machine, { u32 } = cpu, operand = memoryOperand(instruction);
  if (!isUsual(u32) || !takeStack(u32, 0, LEFT)) return false;
  const from = instruction.operands.length === 0 ? 1 : operand ? 0 : stackNumber(instruction, 1);
  if (!(operand ? takeMemory(machine, instruction, operand, RIGHT) : takeStack(u32, from, RIGHT)) || !isPlain(n, LEFT) || !isPlain(n, RIGHT)) return false;
  const found = order(n);
  if (toFlags) setArithmeticFlags(cpu, found < 0 ? CF : found > 0 ? 0 : ZF);
  else u32[FSW] = u32[FSW]! & ~(c0 | c1 | c2 | c3) | (found < 0 ? c0 : found > 0 ? 0 : c3);
  for (let count = 0; count < pops; count++) pop(u32);
  return finish(machine, instruction, operand);
}
