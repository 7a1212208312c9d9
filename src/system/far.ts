// Far jumps, calls and returns, and IRET, in every mode, with call gates and task gates. Called by the system table. Everything is
// checked and read before CS, SS, RSP or RFLAGS changes; a task switch alone may fault in the new task (`task.ts`).
import type { Instruction } from '../isa/instruction.ts';
import { CR4, cr4Of, is64Bit, is8086, isCanonical, isCanonicalHigh, isLongMode, isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { AC, ARITHMETIC, DF, ID, IF, IOPL, NT, RF, setArithmeticFlags, TF, VIF, VIP, VM } from '../cpu/flags.ts';
import { attributesOf, baseOf, CS, isConforming, isLongCode, isNullSelector, isPresent, isSystem, limitOf, privilegeOf, SS, SystemType } from '../cpu/segments.ts';
import type { Descriptor } from '../cpu/segments.ts';
import { placeOf } from '../cpu/state.ts';
import type { Cpu } from '../cpu/state.ts';
import { isFlatCode32 } from '../cpu/mode.ts';
import { rememberReturn } from '../cpu/transfers.ts';
import { innerStack } from './deliver.ts';
import { checkJump, prepareEntry, prepareReturn, trackFar, type Commit } from './guard.ts';
import { GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import {
  generalProtection, loadWords, operandAt, operandBytes, peek, popped, pushAll, rspWith, setStackPointer, storeWords, Vector,
} from './operand.ts';
import {
  checkCodeType, checkStackSegment, dropInnerSegments, isInGdtAndAccessed, markAccessed, readDescriptor, readFarPointer, readSystemDescriptor, setNullSegment, setSegment,
  setSegment8086,
} from './segment-load.ts';
import { currentStack, peekItem, pointerOn, pushItems } from './stack.ts';
import { isGuest, unblockNmi } from './nested.ts';
import { switchTask } from './task.ts';
import { CPL_WORD, CR4_WORD, FLAGS_WORD, join, NEXT_RIP_WORD, RIP_WORD, RSP_WORD } from './words.ts';

// ── RFLAGS as POPF and IRET write it ──

/** The bits that an image of `size` bytes may change at this privilege (APM Vol. 3, "IRET", "POPF"). VM, VIF and VIP are not among them. */
export const writableFlags = (cpl: number, iopl: number, size: number): number =>
  ARITHMETIC | TF | DF | NT | (size > 2 ? AC | ID : 0) | (cpl === 0 ? IOPL : 0) | (cpl <= iopl >>> 12 ? IF : 0);

export function writeFlags(cpu: Cpu, value: number, mask: number): void {
  const before = cpu.u32[FLAGS_WORD]!;
  cpu.u32[FLAGS_WORD] = before & ~mask | value & mask & ~ARITHMETIC | 2;
  setArithmeticFlags(cpu, value);
}

/** Whether the run loop must look before the next instruction: a trap flag, RF (which lasts one instruction), or an event that waits. */
export const needsAttention = (cpu: Cpu): boolean =>
  (cpu.u32[FLAGS_WORD]! & (TF | RF)) !== 0 || cpu.u32[PENDING_WORD]! !== 0 || cpu.u32[PENDING_DEBUG_WORD]! !== 0;
const PENDING_WORD = placeOf('pending') >> 2, PENDING_DEBUG_WORD = placeOf('pendingDebug') >> 2, NMI_BLOCKED_WORD = placeOf('nmiBlocked') >> 2;

const moved = (cpu: Cpu): Done => needsAttention(cpu) ? Done.attention : Done.moved;

// ── Code segments ──

/** The offset in its code segment, checked: inside the limit, canonical in 64-bit mode. */
function checkTarget(machine: Machine, descriptor: Descriptor, offset: bigint): bigint {
  if (isLongMode(machine.cpu) && isLongCode(attributesOf(descriptor.high))) {
    if (!isCanonical(machine.cpu, offset)) throw generalProtection();
  } else if (offset > BigInt(limitOf(descriptor.low, descriptor.high))) throw generalProtection();
  return offset;
}

/** A code segment that JMP or CALL goes to directly: conforming code of an outer or equal level, else exactly this level. */
function checkDirect(machine: Machine, selector: number, descriptor: Descriptor): void {
  const { cpu } = machine, code = selector & 0xfffc, attributes = attributesOf(descriptor.high);
  checkCodeType(machine, attributes, code);
  const dpl = privilegeOf(attributes);
  if (isConforming(attributes) ? dpl > cpu.cpl : (selector & 3) > cpu.cpl || dpl !== cpu.cpl) throw generalProtection(code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
}

/** The code segment of a return, whose privilege is the selector's RPL. */
function readReturnCode(machine: Machine, selector: number): Descriptor {
  if (isNullSelector(selector)) throw generalProtection();
  const code = selector & 0xfffc, level = selector & 3;
  const descriptor = readDescriptor(machine, selector, Vector.GP, code), attributes = attributesOf(descriptor.high);
  if (level < machine.cpu.u32[CPL_WORD]!) throw generalProtection(code);
  checkCodeType(machine, attributes, code);
  const dpl = privilegeOf(attributes);
  if (isConforming(attributes) ? dpl > level : dpl !== level) throw generalProtection(code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
  return descriptor;
}

/** The stack segment of a return to `level`; undefined for the null selector that 64-bit code below level 3 may return with. */
function readReturnStack(machine: Machine, selector: number, level: number, code: Descriptor): Descriptor | undefined {
  if (isNullSelector(selector)) {
    if (!isLongMode(machine.cpu) || !isLongCode(attributesOf(code.high)) || level === 3 || (selector & 3) !== level) throw generalProtection();
    return undefined;
  }
  return checkStackSegment(machine, selector, level, Vector.GP, selector & 0xfffc);
}

function enterCode(machine: Machine, selector: number, descriptor: Descriptor, cpl: number, offset: bigint): void {
  const { cpu } = machine;
  setSegment(cpu, CS, selector & 0xfffc | cpl, descriptor);
  cpu.cpl = cpl;
  cpu.rip = offset;
}

/** The same outside long mode, in numbers. */
function checkTarget32(descriptor: Descriptor, offset: number): void {
  if (offset > limitOf(descriptor.low, descriptor.high)) throw generalProtection();
}
function enterCode32({ cpu }: Machine, selector: number, descriptor: Descriptor, cpl: number, offset: number): void {
  setSegment(cpu, CS, selector & 0xfffc | cpl, descriptor);
  cpu.u32[CPL_WORD] = cpl;
  cpu.u32[RIP_WORD] = offset;
  cpu.u32[RIP_WORD + 1] = 0;
}

// ── JMP and CALL ──

interface FarTarget { readonly selector: number; readonly offset: bigint }

function farTarget(machine: Machine, instruction: Instruction): FarTarget {
  const operand = operandAt(instruction, 0);
  return operand.kind === 'far' ? operand : readFarPointer(machine, instruction, 0);
}

export function jumpFar(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, { selector, offset } = farTarget(machine, instruction);
  if (is8086(cpu)) {
    enter8086(cpu, selector, offset);
    return Done.moved;
  }
  if (isNullSelector(selector)) throw generalProtection();
  const descriptor = readDescriptor(machine, selector, Vector.GP, selector & 0xfffc);
  if (isSystem(attributesOf(descriptor.high))) return throughSystemDescriptor(machine, selector, 'jump');
  checkDirect(machine, selector, descriptor);
  const target = checkTarget(machine, descriptor, offset);
  checkJump(cpu, isLong(machine, descriptor));
  markAccessed(machine, selector, descriptor);
  enterCode(machine, selector, descriptor, cpu.cpl, target);
  trackFar(cpu);
  return Done.moved;
}

export function callFar(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, { selector, offset } = farTarget(machine, instruction), size = operandBytes(instruction);
  const frame = (): bigint => pushAll(machine, [BigInt(cpu.cs.selector), cpu.nextRip], size);
  if (is8086(cpu)) {
    check8086(cpu, offset);
    const pointer = frame();
    enter8086(cpu, selector, offset);
    setStackPointer(cpu, pointer);
    return Done.moved;
  }
  if (isNullSelector(selector)) throw generalProtection();
  const descriptor = readDescriptor(machine, selector, Vector.GP, selector & 0xfffc);
  if (isSystem(attributesOf(descriptor.high))) return throughSystemDescriptor(machine, selector, 'call');
  checkDirect(machine, selector, descriptor);
  const target = checkTarget(machine, descriptor, offset);
  markAccessed(machine, selector, descriptor);
  const guard = prepareEntry(machine, cpu.cpl, cpu.nextRip, isLong(machine, descriptor));
  const rsp = rspWith(cpu, frame());
  guard?.();
  enterCode(machine, selector, descriptor, cpu.cpl, target);
  trackFar(cpu);
  cpu.rsp = rsp;
  return Done.moved;
}

function check8086(cpu: Cpu, offset: bigint): void {
  if (offset > BigInt(cpu.cs.limit)) throw generalProtection();
}
function enter8086(cpu: Cpu, selector: number, offset: bigint): void {
  check8086(cpu, offset);
  setSegment8086(cpu, CS, selector);
  cpu.rip = offset;
}

/** JMP or CALL to a gate or a TSS. */
function throughSystemDescriptor(machine: Machine, selector: number, cause: 'jump' | 'call'): Done {
  const { cpu } = machine, code = selector & 0xfffc;
  const gate = readSystemDescriptor(machine, selector, Vector.GP, code), attributes = attributesOf(gate.high);
  const type = attributes & 0x1f;
  const isCallGate = type === SystemType.callGate32 || (type === SystemType.callGate16 && !isLongMode(cpu));
  const isTask = !isLongMode(cpu) && (type === SystemType.taskGate || type === SystemType.tss16 || type === SystemType.tss32);
  if ((!isCallGate && !isTask) || gate.upperType !== 0) throw generalProtection(code);
  if (privilegeOf(attributes) < Math.max(cpu.cpl, selector & 3)) throw generalProtection(code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
  if (isTask) {
    switchTask(machine, type === SystemType.taskGate ? gate.low >>> 16 : selector, {
      cause, external: 0, flags: 0, returnAddress: cpu.u32[NEXT_RIP_WORD]!, errorCode: undefined,
    });
    return Done.attention;
  }

  const wide = type === SystemType.callGate32, target = gate.low >>> 16, targetCode = target & 0xfffc;
  if (isNullSelector(target)) throw generalProtection();
  const descriptor = readDescriptor(machine, target, Vector.GP, targetCode), codeAttributes = attributesOf(descriptor.high);
  checkCodeType(machine, codeAttributes, targetCode);
  const dpl = privilegeOf(codeAttributes), conforming = isConforming(codeAttributes);
  if (dpl > cpu.cpl || (cause === 'jump' && !conforming && dpl !== cpu.cpl)) throw generalProtection(targetCode);
  if (isLongMode(cpu) && !isLongCode(codeAttributes)) throw generalProtection(targetCode);
  if (!isPresent(codeAttributes)) throw new GuestFault(Vector.NP, targetCode);
  const offset = BigInt(wide ? (gate.low & 0xffff | gate.high & 0xffff0000) >>> 0 : gate.low & 0xffff) | BigInt(gate.baseHigh) << 32n;
  checkTarget(machine, descriptor, offset);
  markAccessed(machine, target, descriptor);
  if (cause === 'jump') enterCode(machine, target, descriptor, cpu.cpl, offset);
  else if (isLongMode(cpu)) callGateLong(machine, target, descriptor, conforming ? cpu.cpl : dpl, offset);
  else callGateLegacy(machine, target, descriptor, conforming ? cpu.cpl : dpl, offset, wide ? 4 : 2, gate.high & 0x1f);
  trackFar(cpu);
  return Done.moved;
}

/** A call gate outside long mode; to an inner level `count` parameters are copied (APM Vol. 2, 4.11.2). */
function callGateLegacy(machine: Machine, selector: number, descriptor: Descriptor, cpl: number, offset: bigint, size: 2 | 4, count: number): void {
  const { cpu } = machine, returnAddress = Number(cpu.nextRip & 0xffffffffn), outer = currentStack(cpu, 0);
  const guard = prepareEntry(machine, cpl, cpu.nextRip, false);
  if (cpl === cpu.cpl) {
    cpu.rsp = pushItems(machine, outer, [cpu.cs.selector, returnAddress], size);
    guard?.();
    enterCode(machine, selector, descriptor, cpl, offset);
    return;
  }
  const inner = innerStack(machine, cpl, 0);
  const items = [cpu.ss.selector, cpu.u32[RSP_WORD]!];
  for (let index = count - 1; index >= 0; index--) items.push(peekItem(machine, outer, index * size, size));
  items.push(cpu.cs.selector, returnAddress);
  const rsp = pushItems(machine, inner.stack, items, size);
  guard?.();
  markAccessed(machine, inner.selector, inner.descriptor);
  setSegment(cpu, SS, inner.selector, inner.descriptor);
  enterCode(machine, selector, descriptor, cpl, offset);
  cpu.rsp = rsp;
}

const scratch = new Uint32Array(10);

/** A call gate in long mode: 8-byte pushes, no parameters, a null SS for an inner level (APM Vol. 2, 4.11.3). */
function callGateLong(machine: Machine, selector: number, descriptor: Descriptor, cpl: number, offset: bigint): void {
  const { cpu, memory } = machine;
  const isInner = cpl !== cpu.cpl;
  let stack = cpu.rsp;
  if (isInner) {
    const place = 4 + 8 * cpl;
    if (place + 7 > cpu.tr.limit) throw new GuestFault(Vector.TS, cpu.tr.selector & 0xfffc);
    stack = memory.read64(cpu.tr.base + BigInt(place), true);
    if (!isCanonical(cpu, stack)) throw new GuestFault(Vector.SS, 0);
  }
  const items = isInner ? [cpu.nextRip, BigInt(cpu.cs.selector), cpu.rsp, BigInt(cpu.ss.selector)] : [cpu.nextRip, BigInt(cpu.cs.selector)];
  const pointer = BigInt.asUintN(64, stack - BigInt(8 * items.length));
  if (!isCanonical(cpu, pointer)) throw new GuestFault(Vector.SS, 0);
  items.forEach((item, index) => {
    scratch[2 * index] = Number(item & 0xffffffffn);
    scratch[2 * index + 1] = Number(item >> 32n);
  });
  const guard = prepareEntry(machine, cpl, cpu.nextRip, true);
  storeWords(machine, Number(pointer & 0xffffffffn), Number(pointer >> 32n), 2 * items.length, scratch, isInner && cpu.cpl === 3);
  guard?.();
  enterCode(machine, selector, descriptor, cpl, offset);
  if (isInner) setNullSegment(machine, SS, cpl);
  cpu.rsp = pointer;
}

// ── RET ──

export function returnFar(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction);
  const immediate = instruction.operands[0];
  const release = immediate?.kind === 'immediate' ? Number(immediate.value) : 0;
  const offset = peek(machine, 0, size), selector = Number(peek(machine, size, size) & 0xffffn);
  if (is8086(cpu)) {
    const rsp = rspWith(cpu, popped(cpu, 2 * size + release));
    enter8086(cpu, selector, offset);
    cpu.rsp = rsp;
    return Done.moved;
  }
  const descriptor = readReturnCode(machine, selector), level = selector & 3;
  if (level === cpu.cpl) {
    checkTarget(machine, descriptor, offset);
    const guard = guardReturn(machine, selector, descriptor, offset);
    markAccessed(machine, selector, descriptor);
    const rsp = rspWith(cpu, popped(cpu, 2 * size + release));
    guard?.();
    enterCode(machine, selector, descriptor, level, offset);
    cpu.rsp = rsp;
    return Done.moved;
  }
  const pointer = peek(machine, 2 * size + release, size), stackSelector = Number(peek(machine, 3 * size + release, size) & 0xffffn);
  const stack = readReturnStack(machine, stackSelector, level, descriptor);
  checkTarget(machine, descriptor, offset);
  const guard = guardReturn(machine, selector, descriptor, offset);
  markAccessed(machine, selector, descriptor);
  if (stack !== undefined) markAccessed(machine, stackSelector, stack);
  guard?.();
  enterCode(machine, selector, descriptor, level, offset);
  enterStack(machine, stackSelector, stack);
  setStackPointer(cpu, pointer + BigInt(release));
  dropInnerSegments(machine);
  return Done.moved;
}

const isLong = ({ cpu }: Machine, descriptor: Descriptor): boolean => isLongMode(cpu) && isLongCode(attributesOf(descriptor.high));

/** What the shadow stack says of a return; asked for before anything changes. */
function guardReturn(machine: Machine, selector: number, descriptor: Descriptor, offset: bigint): Commit | undefined {
  const { cpu } = machine;
  if ((cpu.u32[CR4_WORD]! & CR4.CET) === 0) return undefined;
  const toLong = isLong(machine, descriptor), target = toLong ? offset : BigInt.asUintN(32, offset + BigInt(baseOf(descriptor.low, descriptor.high)));
  return prepareReturn(machine, selector & 3, selector, target, toLong);
}

function enterStack(machine: Machine, selector: number, descriptor: Descriptor | undefined): void {
  if (descriptor === undefined) setNullSegment(machine, SS, selector);
  else setSegment(machine.cpu, SS, selector, descriptor);
}

// ── IRET ──

export function returnFromInterrupt(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  if (isLongMode(cpu)) returnLong(machine, instruction.operandSize);
  else if (!isProtected(cpu)) returnReal(machine, operandBytes(instruction) as 2 | 4);
  else if (isVirtual8086(cpu)) returnInVirtual8086(machine, operandBytes(instruction) as 2 | 4);
  else if ((cpu.rflagsSystem & NT) !== 0) returnToTask(machine);
  else returnLegacy(machine, operandBytes(instruction) as 2 | 4);
  if (isGuest(cpu)) unblockNmi(cpu, machine.capability);
  else cpu.u32[NMI_BLOCKED_WORD] = 0;
  return moved(cpu);
}

/** In long mode: 64-bit code always pops SS:RSP, compatibility mode only for an outer level (APM Vol. 2, 8.9.5). The 64-bit form is the hot path. */
function returnLong(machine: Machine, operandSize: 16 | 32 | 64): void {
  const { cpu } = machine, { u32 } = cpu;
  if ((u32[FLAGS_WORD]! & NT) !== 0) throw generalProtection();
  const from64 = is64Bit(cpu);
  const size = operandSize >> 3 as 2 | 4 | 8;
  if (from64 && size === 8) {
    const low = u32[RSP_WORD]!, high = u32[RSP_WORD + 1]!;
    if (!isCanonicalHigh(cpu, high) || !isCanonicalHigh(cpu, high + (low + 39 > 0xffffffff ? 1 : 0) >>> 0)) throw new GuestFault(Vector.SS, 0);
    loadWords(machine, low, high, 10, scratch, false);
  } else peekFrame(machine, size, from64 ? 5 : 3);
  const oldCpl = u32[CPL_WORD]!, selector = scratch[2]! & 0xffff, level = selector & 3, flags = scratch[4]!;
  const targetLow = scratch[0]!, targetHigh = scratch[1]!;
  const descriptor = readReturnCode(machine, selector);
  const withStack = from64 || level !== oldCpl;
  if (withStack && !from64) peekFrame(machine, size, 5);
  const pointerLow = scratch[6]!, pointerHigh = scratch[7]!, stackSelector = scratch[8]! & 0xffff;
  const stack = withStack ? readReturnStack(machine, stackSelector, level, descriptor) : undefined;
  const toLong = isLongCode(attributesOf(descriptor.high));
  if (toLong ? !isCanonicalHigh(cpu, targetHigh) : targetHigh !== 0 || targetLow > limitOf(descriptor.low, descriptor.high)) throw generalProtection();
  const guard = (u32[CR4_WORD]! & CR4.CET) === 0 ? undefined : guardReturn(machine, selector, descriptor, join(targetLow, targetHigh));
  markAccessed(machine, selector, descriptor);
  if (stack !== undefined) markAccessed(machine, stackSelector, stack);
  guard?.();

  const mask = writableFlags(oldCpl, u32[FLAGS_WORD]! & IOPL, size) | (size > 2 ? RF | (oldCpl === 0 ? VIF | VIP : 0) : 0);
  if (!withStack) cpu.rsp = rspWith(cpu, popped(cpu, 3 * size));
  setSegment(cpu, CS, selector, descriptor);
  u32[CPL_WORD] = level;
  u32[RIP_WORD] = targetLow;
  u32[RIP_WORD + 1] = targetHigh;
  writeFlags(cpu, flags, mask);
  if (withStack) {
    enterStack(machine, stackSelector, stack);
    if (toLong) {
      u32[RSP_WORD] = pointerLow;
      u32[RSP_WORD + 1] = pointerHigh;
    } else setStackPointer(cpu, join(pointerLow, pointerHigh));
    if (level !== oldCpl) dropInnerSegments(machine);
    else if (level === 0 && toLong && size === 8 && guard === undefined && stack !== undefined
      && isInGdtAndAccessed(selector, descriptor) && isInGdtAndAccessed(stackSelector, stack)) {
      rememberReturn(cpu, { selector, descriptor }, { selector: stackSelector, descriptor: stack }, mask & ~(ARITHMETIC | RF));
    }
  }
}

/** Items of the frame, each in two words of `scratch`. */
function peekFrame(machine: Machine, size: 2 | 4 | 8, count: number): void {
  for (let index = 0; index < count; index++) {
    const item = peek(machine, index * size, size);
    scratch[2 * index] = Number(item & 0xffffffffn);
    scratch[2 * index + 1] = Number(item >> 32n);
  }
}

function returnReal(machine: Machine, size: 2 | 4): void {
  const { cpu } = machine, stack = currentStack(cpu, 0);
  const offset = peekItem(machine, stack, 0, size), selector = peekItem(machine, stack, size, size) & 0xffff, flags = peekItem(machine, stack, 2 * size, size);
  enter8086(cpu, selector, BigInt(offset));
  cpu.rsp = pointerOn(stack, stack.pointer + 3 * size);
  writeFlags(cpu, flags, writableFlags(0, 0, size) | (size > 2 ? RF : 0));
}

/** In virtual-8086 mode: with IOPL = 3, or with VME for a 16-bit frame, where IF stands for VIF (APM Vol. 2, 8.10.3). */
function returnInVirtual8086(machine: Machine, size: 2 | 4): void {
  const { cpu } = machine, iopl = cpu.rflagsSystem & IOPL, virtual = iopl !== IOPL;
  if (virtual && (size !== 2 || (cr4Of(cpu) & CR4.VME) === 0)) throw generalProtection();
  const stack = currentStack(cpu, 0);
  const offset = peekItem(machine, stack, 0, size), selector = peekItem(machine, stack, size, size) & 0xffff, flags = peekItem(machine, stack, 2 * size, size);
  if (virtual && ((flags & TF) !== 0 || ((flags & IF) !== 0 && (cpu.rflagsSystem & VIP) !== 0))) throw generalProtection();
  enter8086(cpu, selector, BigInt(offset));
  cpu.rsp = pointerOn(stack, stack.pointer + 3 * size);
  writeFlags(cpu, flags, writableFlags(3, iopl, size) | (size > 2 ? RF : 0));
  if (virtual) setVirtualInterruptFlag(cpu, (flags & IF) !== 0);
}

export function setVirtualInterruptFlag(cpu: Cpu, on: boolean): void {
  cpu.rflagsSystem = (on ? cpu.rflagsSystem | VIF : cpu.rflagsSystem & ~VIF) >>> 0;
}

/** NT: the interrupted task is in the back link of the TSS. */
function returnToTask(machine: Machine): void {
  const { cpu, memory } = machine;
  const link = memory.read16(BigInt.asUintN(32, cpu.tr.base), true);
  switchTask(machine, link, { cause: 'iret', external: 0, flags: 0, returnAddress: Number(cpu.nextRip & 0xffffffffn), errorCode: undefined });
}

function returnLegacy(machine: Machine, size: 2 | 4): void {
  const { cpu } = machine, stack = currentStack(cpu, 0), oldCpl = cpu.u32[CPL_WORD]!;
  const item = (index: number): number => peekItem(machine, stack, index * size, size);
  const offset = item(0), selector = item(1) & 0xffff, flags = item(2);
  if (size === 4 && (flags & VM) !== 0 && oldCpl === 0) return returnToVirtual8086(machine, offset, flags, [3, 4, 5, 6, 7, 8].map(item));
  const descriptor = readReturnCode(machine, selector), level = selector & 3;
  const mask = writableFlags(oldCpl, cpu.u32[FLAGS_WORD]! & IOPL, size) | (size > 2 ? RF | (oldCpl === 0 ? VIF | VIP : 0) : 0);
  if (level === oldCpl) {
    checkTarget32(descriptor, offset);
    const guard = guardReturn(machine, selector, descriptor, BigInt(offset));
    markAccessed(machine, selector, descriptor);
    guard?.();
    cpu.rsp = pointerOn(stack, stack.pointer + 3 * size);
    enterCode32(machine, selector, descriptor, level, offset);
    writeFlags(cpu, flags, mask);
    if (level === 0 && size === 4 && guard === undefined && isFlatCode32(cpu) && isInGdtAndAccessed(selector, descriptor)) {
      rememberReturn(cpu, { selector, descriptor }, undefined, mask & ~(ARITHMETIC | RF));
    }
    return;
  }
  const pointer = item(3), stackSelector = item(4) & 0xffff;
  const stackDescriptor = readReturnStack(machine, stackSelector, level, descriptor);
  checkTarget32(descriptor, offset);
  const guard = guardReturn(machine, selector, descriptor, BigInt(offset));
  markAccessed(machine, selector, descriptor);
  guard?.();
  if (stackDescriptor !== undefined) markAccessed(machine, stackSelector, stackDescriptor);
  enterCode32(machine, selector, descriptor, level, offset);
  writeFlags(cpu, flags, mask);
  enterStack(machine, stackSelector, stackDescriptor);
  setStackPointer(cpu, BigInt(pointer));
  dropInnerSegments(machine);
}

/** The rest of the frame is ESP, SS, ES, DS, FS, GS (APM Vol. 2, 8.7.4). */
function returnToVirtual8086(machine: Machine, offset: number, flags: number, rest: readonly number[]): void {
  const { cpu } = machine, selector = peekItem(machine, currentStack(cpu, 0), 4, 4) & 0xffff;
  if (offset > 0xffff) throw generalProtection();
  prepareReturn(machine, 3, 0, 0n, true)?.();
  const [esp, ss, es, ds, fs, gs] = rest as [number, number, number, number, number, number];
  writeFlags(cpu, flags, TF | IF | DF | IOPL | NT | RF | VM | AC | VIF | VIP | ID);
  cpu.cpl = 3;
  [es, selector, ss, ds, fs, gs].forEach((value, segment) => setSegment8086(cpu, segment, value & 0xffff));
  cpu.rsp = BigInt(esp);
  cpu.rip = BigInt(offset);
}
