// Event delivery through the IDT: exceptions, interrupts and software interrupts, in real, virtual-8086, protected and long mode, with
// double and triple faults. Called by `vm/run.ts` for faults and interrupts and by the system table for INT n and friends. A delivery
// that faults has changed nothing but what hardware documents (accessed and busy bits, CR2, DR6).
import { CR4, cr4Of, isCanonicalHigh, isLongMode, isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { AC, arithmeticFlags, IF, IOPL, NT, RF, TF, VIF, VM } from '../cpu/flags.ts';
import {
  attributesOf, baseOf, CS, DS, ES, FS, GS, isBig, isCode, isConforming, isNullSelector, isPresent, limitOf, privilegeOf, SS, SystemType, TR,
} from '../cpu/segments.ts';
import type { Descriptor } from '../cpu/segments.ts';
import { Attribute } from '../cpu/state.ts';
import { isFlatCode32 } from '../cpu/mode.ts';
import { longTransferOf, rememberDelivery } from '../cpu/transfers.ts';
import type { Cpu } from '../cpu/state.ts';
import { combineFaults, vectorRows } from '../model/vectors.ts';
import type { TransitionOutcome } from '../transitions/outcome.ts';
import { VirtualInterrupt } from '../transitions/svm/vmcb.ts';
import { recordDebugCauses } from './debug.ts';
import { eventWord, interceptException, type During } from './intercepts.ts';
import { prepareEntry, trackFar } from './guard.ts';
import { GuestExit, GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import { hasVirtualNmi, setVirtualInterrupt } from './nested.ts';
import { generalProtection, loadWords, storeWords, Vector } from './operand.ts';
import { checkStackSegment, isInGdtAndAccessed, markAccessed, readDescriptor, setNullSegment, setSegment, setSegment8086 } from './segment-load.ts';
import { currentStack, pushItems } from './stack.ts';
import type { Stack } from './stack.ts';
import { switchTask } from './task.ts';
import {
  attributesWord, baseWord, CPL_WORD, CR4_WORD, FLAGS_WORD, IDTR_BASE_WORD, IDTR_LIMIT_WORD, join, limitWord, NEXT_RIP_WORD, RIP_WORD, RSP_WORD, selectorWord,
} from './words.ts';

/** What is delivered. `software` is INT n; `int1` is F1 (ICEBP). */
export type EventKind = 'exception' | 'external' | 'nmi' | 'software' | 'int3' | 'into' | 'int1';
export type Delivery = 'delivered' | 'shutdown';

// ── Exceptions and their combinations ──

/** Vectors below 32 as bit sets, for the hot path. */
const vectorsThat = (holds: (row: NonNullable<(typeof vectorRows)[number]>) => boolean): number =>
  Object.entries(vectorRows).reduce((set, [vector, row]) => row !== undefined && holds(row) ? set | 1 << Number(vector) : set, 0);
const WITH_ERROR_CODE = vectorsThat((row) => row.errorCode);
/** Faults push RF = 1 so that the instruction breakpoint that may stand at the instruction does not hit again; #DB pushes RF as it is
 * (SDM Vol. 3, 17.3.1.1; APM Vol. 2, 3.1.6). */
const PUSHES_RF = vectorsThat((row) => row.class === 'fault');

const has = (set: number, vector: number): boolean => vector < 32 && (set >>> vector & 1) === 1;

/** Delivers an exception; `address` is CR2 of a #PF and the new causes (DR6 layout) of a #DB. After `shutdown` (a triple fault) the vCPU is
 * as it was before the last attempt. */
export function deliverException(machine: Machine, vector: number, errorCode: number, address: bigint, during?: During): Delivery {
  interceptException(machine, vector, errorCode, address, during);
  return deliverOrCombine(machine, vector, errorCode, address, has(WITH_ERROR_CODE, vector));
}

/** Once the hypervisor has been asked. */
function deliverOrCombine(machine: Machine, vector: number, errorCode: number, address: bigint, hasCode: boolean): Delivery {
  let code = errorCode, payload = address;
  for (;;) {
    if (vector === Vector.PF) machine.cpu.cr2 = payload;
    else if (vector === Vector.DB) recordDebugCauses(machine, payload);
    try {
      deliver(machine, vector, 'exception', code, hasCode);
      return 'delivered';
    } catch (fault) {
      const during = { event: eventWord(EXCEPTION, vector, hasCode), error: hasCode ? code : 0 };
      if (!(fault instanceof GuestFault)) throw within(fault, during);
      interceptException(machine, fault.vector, fault.errorCode, fault.address, during);
      // The walk writes CR2 as it fails, whatever becomes of the fault.
      if (fault.vector === Vector.PF) machine.cpu.cr2 = fault.address;
      const next = combineFaults(vector, fault.vector);
      if (next === 'shutdown') return 'shutdown';
      if (next === 'double-fault') interceptException(machine, Vector.DF, 0, 0n, during);
      vector = next === 'double-fault' ? Vector.DF : fault.vector;
      code = next === 'double-fault' ? 0 : fault.errorCode;
      payload = fault.address;
      hasCode = has(WITH_ERROR_CODE, vector);
    }
  }
}

/** Types of EVENTINJ and EXITINTINFO (APM Vol. 2, 15.20). */
const EXTERNAL = 0, NON_MASKABLE = 2, EXCEPTION = 3, SOFTWARE = 4;

/** A guest that leaves in the middle of a delivery says which one. */
function within(thrown: unknown, { event, error }: During): unknown {
  if (thrown instanceof GuestExit && thrown.exit.event === undefined) thrown.exit = { ...thrown.exit, event, eventError: error };
  return thrown;
}

/** What a hypervisor injects with VMRUN: no intercept holds for it, only for what its delivery raises. `cpu.nextRip` is behind the instruction
 * that a software interrupt stands for. */
export function injectEvent(machine: Machine, { type, vector, errorCode }: NonNullable<TransitionOutcome['inject']>): Delivery {
  const { cpu } = machine;
  if (type === 'exception' && vector !== Vector.BP && vector !== Vector.OF) return deliverOrCombine(machine, vector, errorCode ?? 0, vector === Vector.PF ? cpu.cr2 : 0n, errorCode !== undefined);
  // "#BP and #OF behave as traps raised by INT3 and INTO" (APM Vol. 2, 15.20).
  const kind = type === 'exception' ? (vector === Vector.BP ? 'int3' : 'into') : type;
  const during = { event: eventWord(typeOfKind(kind), vector, errorCode !== undefined), error: errorCode ?? 0 };
  try {
    deliver(machine, vector, kind, errorCode ?? 0, errorCode !== undefined);
    return 'delivered';
  } catch (fault) {
    if (!(fault instanceof GuestFault)) throw within(fault, during);
    return deliverException(machine, fault.vector, fault.errorCode, fault.address, during);
  }
}
const typeOfKind = (kind: EventKind): number => kind === 'external' ? EXTERNAL : kind === 'nmi' ? NON_MASKABLE : kind === 'software' ? SOFTWARE : EXCEPTION;
/** EXITINTINFO of a software interrupt whose delivery faults. */
export const softwareEvent = (kind: EventKind, vector: number): number => eventWord(typeOfKind(kind), vector);

/** Delivers an external interrupt or NMI between instructions. What its delivery raises is delivered instead: interrupts are benign. */
export function deliverInterrupt(machine: Machine, vector: number, kind: EventKind): Delivery {
  const during = { event: eventWord(typeOfKind(kind), vector), error: 0 };
  try {
    deliver(machine, vector, kind, 0);
    if (kind === 'nmi') blockNmi(machine);
    return 'delivered';
  } catch (fault) {
    if (!(fault instanceof GuestFault) || isSoftware(kind)) throw within(fault, during);
    if (kind === 'nmi') blockNmi(machine);
    return deliverException(machine, fault.vector, fault.errorCode, fault.address, during);
  }
}

/** Until IRET: the virtual ones in a guest that has them. */
function blockNmi({ cpu, capability }: Machine): void {
  if (hasVirtualNmi(cpu, capability)) setVirtualInterrupt(cpu, 0, VirtualInterrupt.nmiMask);
  else cpu.nmiBlocked = 1;
}

/** Raised by an instruction: the pushed RIP is the next one, and a fault is the instruction's own. */
export const isSoftware = (kind: EventKind): boolean => kind === 'software' || kind === 'int3' || kind === 'into' || kind === 'int1';

// ── One delivery ──

/** Error-code bits (APM Vol. 2, 8.4.1): 0 EXT, 1 IDT, 2 TI. INT n, INT3 and INTO are not external. */
const externalBit = (kind: EventKind): number => kind === 'software' || kind === 'int3' || kind === 'into' ? 0 : 1;

/** The RFLAGS image that an event pushes. */
function pushedFlags(cpu: Cpu, vector: number, kind: EventKind): number {
  const flags = cpu.u32[FLAGS_WORD]! | arithmeticFlags(cpu);
  if (isSoftware(kind)) return flags & ~RF;
  return kind === 'exception' && has(PUSHES_RF, vector) ? flags | RF : flags;
}

export function deliver(machine: Machine, vector: number, kind: EventKind, errorCode: number, hasCode = kind === 'exception' && has(WITH_ERROR_CODE, vector)): void {
  const { cpu } = machine;
  if (isLongMode(cpu)) deliverLong(machine, vector, kind, errorCode, hasCode);
  else if (!isProtected(cpu)) {
    deliver8086(machine, vector, pushedFlags(cpu, vector, kind), cpu.u32[returnWord(kind)]!, IF, cpu.idtrBase, cpu.idtrLimit);
  }
  else if (kind === 'software' && isVirtual8086(cpu)) deliverSoftware8086(machine, vector);
  else deliverProtected(machine, vector, kind, errorCode, hasCode);
}

const scratch = new Uint32Array(12), gate = new Uint32Array(4), legacyGate = new Uint32Array(2);
const CS_SELECTOR = selectorWord(CS), SS_SELECTOR = selectorWord(SS), SS_ATTRIBUTES = attributesWord(SS);
const TR_BASE = baseWord(TR), TR_LIMIT = limitWord(TR), TR_SELECTOR = selectorWord(TR), TR_ATTRIBUTES = attributesWord(TR);

const returnWord = (kind: EventKind): number => isSoftware(kind) ? NEXT_RIP_WORD : RIP_WORD;

// ── Long mode (APM Vol. 2, 8.9); the hot path: no bigint here ──

function deliverLong(machine: Machine, vector: number, kind: EventKind, errorCode: number, hasCode: boolean): void {
  const { cpu } = machine, { u32 } = cpu;
  if (!isSoftware(kind) && machine.redeliver?.(longTransferOf(vector), pushedFlags(cpu, vector, kind), errorCode, hasCode ? 8 : 0) === 1) return;
  const external = externalBit(kind), gateError = vector << 3 | 2 | external;

  if ((vector << 4 | 15) > u32[IDTR_LIMIT_WORD]!) throw generalProtection(gateError);
  const gateSum = u32[IDTR_BASE_WORD]! + (vector << 4);
  loadWords(machine, gateSum >>> 0, u32[IDTR_BASE_WORD + 1]! + (gateSum > 0xffffffff ? 1 : 0) >>> 0, 4, gate, true);
  const gateLow = gate[0]!, gateHigh = gate[1]!, targetHigh = gate[2]!;
  const type = gateHigh >>> 8 & 0x1f;
  if ((type !== SystemType.interruptGate32 && type !== SystemType.trapGate32) || (gate[3]! & 0x1f00) !== 0) throw generalProtection(gateError);
  const cpl = u32[CPL_WORD]!;
  if (isDplChecked(kind) && (gateHigh >>> 13 & 3) < cpl) throw generalProtection(gateError);
  if ((gateHigh & 0x8000) === 0) throw new GuestFault(Vector.NP, gateError);

  const selector = gateLow >>> 16;
  const descriptor = gateCode(machine, selector, external);
  const attributes = attributesOf(descriptor.high);
  if ((attributes & (Attribute.long | Attribute.big)) !== Attribute.long) throw generalProtection(selector & 0xfffc | external);
  const newCpl = isConforming(attributes) ? cpl : privilegeOf(attributes);
  const stackIndex = gateHigh & 7;

  // The stack: IST, the inner level's RSP, or the present one, aligned to 16 bytes.
  let stackLow = u32[RSP_WORD]!, stackHigh = u32[RSP_WORD + 1]!;
  if (stackIndex !== 0 || newCpl !== cpl) {
    const place = stackIndex !== 0 ? 0x1c + 8 * stackIndex : 4 + 8 * newCpl;
    if (place + 7 > u32[TR_LIMIT]!) throw new GuestFault(Vector.TS, u32[TR_SELECTOR]! & 0xfffc | external);
    const taskSum = u32[TR_BASE]! + place;
    loadWords(machine, taskSum >>> 0, u32[TR_BASE + 1]! + (taskSum > 0xffffffff ? 1 : 0) >>> 0, 2, scratch, true);
    stackLow = scratch[0]!;
    stackHigh = scratch[1]!;
    if (!isCanonicalHigh(cpu, stackHigh)) throw new GuestFault(Vector.SS, external);
  }
  const targetLow = (gateLow & 0xffff | gateHigh & 0xffff0000) >>> 0;
  if (!isCanonicalHigh(cpu, targetHigh)) throw generalProtection(external);

  const returnAt = returnWord(kind);
  const guard = (u32[CR4_WORD]! & CR4.CET) === 0 ? undefined : prepareEntry(machine, newCpl, join(u32[returnAt]!, u32[returnAt + 1]!), true, stackIndex);
  const items = hasCode ? 6 : 5;
  stackLow &= ~15;
  const newLow = stackLow - 8 * items >>> 0;
  const newHigh = stackHigh - ((stackLow >>> 0) < 8 * items ? 1 : 0) >>> 0;
  if (!isCanonicalHigh(cpu, newHigh)) throw new GuestFault(Vector.SS, external);
  let word = 0;
  if (hasCode) {
    scratch[word++] = errorCode;
    scratch[word++] = 0;
  }
  scratch[word++] = u32[returnAt]!;
  scratch[word++] = u32[returnAt + 1]!;
  scratch[word++] = u32[CS_SELECTOR]!;
  scratch[word++] = 0;
  scratch[word++] = pushedFlags(cpu, vector, kind);
  scratch[word++] = 0;
  scratch[word++] = u32[RSP_WORD]!;
  scratch[word++] = u32[RSP_WORD + 1]!;
  scratch[word++] = u32[SS_SELECTOR]!;
  scratch[word] = 0;
  storeWords(machine, newLow, newHigh, 2 * items, scratch, newCpl !== 3 && cpl === 3);
  guard?.();

  u32[RIP_WORD] = targetLow;
  u32[RIP_WORD + 1] = targetHigh;
  u32[RSP_WORD] = newLow;
  u32[RSP_WORD + 1] = newHigh;
  u32[CPL_WORD] = newCpl;
  setSegment(cpu, CS, selector & 0xfffc | newCpl, descriptor);
  if (newCpl !== cpl) {
    // "The new SS selector is a null selector with RPL = new CPL" (APM Vol. 2, 8.9.3).
    u32[SS_SELECTOR] = newCpl;
    u32[SS_ATTRIBUTES] = Attribute.unusable | newCpl << Attribute.dplShift;
  }
  const isInterruptGate = type === SystemType.interruptGate32;
  enterHandler(cpu, isInterruptGate);
  if (guard !== undefined) trackFar(cpu);
  else if (newCpl === 0 && cpl === 0 && stackIndex === 0 && isInGdtAndAccessed(selector, descriptor)) {
    rememberDelivery(cpu, vector, gate, selector, descriptor, keptFlags(isInterruptGate));
  }
}

/** TF, NT, VM and RF are cleared, IF too by an interrupt gate. */
const keptFlags = (isInterruptGate: boolean): number => ~(TF | NT | VM | RF | (isInterruptGate ? IF : 0));
function enterHandler(cpu: Cpu, isInterruptGate: boolean): void {
  cpu.u32[FLAGS_WORD]! &= keptFlags(isInterruptGate);
}

const isDplChecked = (kind: EventKind): boolean => kind === 'software' || kind === 'int3' || kind === 'into';

/** The code segment of a gate, checked as far as all modes agree. */
function gateCode(machine: Machine, selector: number, external: number): Descriptor {
  if (isNullSelector(selector)) throw generalProtection(external);
  const code = selector & 0xfffc | external;
  const descriptor = readDescriptor(machine, selector, Vector.GP, code);
  const attributes = attributesOf(descriptor.high);
  if (!isCode(attributes) || privilegeOf(attributes) > machine.cpu.u32[CPL_WORD]!) throw generalProtection(code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
  markAccessed(machine, selector, descriptor);
  return descriptor;
}

// ── Legacy protected mode, and virtual-8086 mode through the IDT (APM Vol. 2, 8.7, 8.8) ──

function deliverProtected(machine: Machine, vector: number, kind: EventKind, errorCode: number, hasCode: boolean): void {
  const { cpu } = machine, { u32 } = cpu;
  const external = externalBit(kind), oldCpl = u32[CPL_WORD]!, gateError = vector << 3 | 2 | external;
  if ((vector << 3 | 7) > u32[IDTR_LIMIT_WORD]!) throw generalProtection(gateError);
  loadWords(machine, u32[IDTR_BASE_WORD]! + (vector << 3) >>> 0, 0, 2, legacyGate, true);
  const gateLow = legacyGate[0]!, gateHigh = legacyGate[1]!, type = gateHigh >>> 8 & 0x1f, selector = gateLow >>> 16;
  const isInterruptGate = type === SystemType.interruptGate16 || type === SystemType.interruptGate32;
  const isTrapGate = type === SystemType.trapGate16 || type === SystemType.trapGate32;
  if (!isInterruptGate && !isTrapGate && type !== SystemType.taskGate) throw generalProtection(gateError);
  if (isDplChecked(kind) && (gateHigh >>> 13 & 3) < oldCpl) throw generalProtection(gateError);
  if ((gateHigh & 0x8000) === 0) throw new GuestFault(Vector.NP, gateError);
  const flags = pushedFlags(cpu, vector, kind);
  if (type === SystemType.taskGate) {
    switchTask(machine, selector, { cause: 'gate', external, flags, returnAddress: u32[returnWord(kind)]!, errorCode: hasCode ? errorCode : undefined });
    return;
  }

  const descriptor = gateCode(machine, selector, external), attributes = attributesOf(descriptor.high), code = selector & 0xfffc | external;
  const newCpl = isConforming(attributes) ? oldCpl : privilegeOf(attributes);
  const fromVirtual8086 = isVirtual8086(cpu);
  if (fromVirtual8086 && newCpl !== 0) throw generalProtection(code);
  const wide = type === SystemType.interruptGate32 || type === SystemType.trapGate32;
  const target = wide ? (gateLow & 0xffff | gateHigh & 0xffff0000) >>> 0 : gateLow & 0xffff;
  const size = wide ? 4 : 2;
  const items: number[] = [];
  let stack: Stack, inner: InnerStack | undefined;
  if (newCpl !== oldCpl) {
    inner = innerStack(machine, newCpl, external);
    stack = inner.stack;
    if (fromVirtual8086) items.push(cpu.gs.selector, cpu.fs.selector, cpu.ds.selector, cpu.es.selector);
    items.push(u32[SS_SELECTOR]!, u32[RSP_WORD]!);
  } else stack = currentStack(cpu, external);
  items.push(flags, u32[CS_SELECTOR]!, u32[returnWord(kind)]!);
  if (hasCode) items.push(errorCode);
  if (target > limitOf(descriptor.low, descriptor.high)) throw generalProtection(external);
  const guard = (u32[CR4_WORD]! & CR4.CET) === 0 ? undefined : prepareEntry(machine, newCpl, BigInt(u32[returnWord(kind)]!), false);
  const pointer = pushItems(machine, stack, items, size);

  guard?.();
  if (inner !== undefined) {
    markAccessed(machine, inner.selector, inner.descriptor);
    setSegment(cpu, SS, inner.selector, inner.descriptor);
  }
  cpu.rsp = pointer;
  u32[RIP_WORD] = target;
  u32[RIP_WORD + 1] = 0;
  u32[CPL_WORD] = newCpl;
  setSegment(cpu, CS, selector & 0xfffc | newCpl, descriptor);
  if (fromVirtual8086) for (const segment of [ES, DS, FS, GS]) setNullSegment(machine, segment, 0);
  enterHandler(cpu, isInterruptGate);
  if (guard !== undefined) trackFar(cpu);
  else if (newCpl === 0 && oldCpl === 0 && wide && isFlatCode32(cpu) && isInGdtAndAccessed(selector, descriptor)) {
    rememberDelivery(cpu, vector, legacyGate, selector, descriptor, keptFlags(isInterruptGate));
  }
}

export interface InnerStack { readonly selector: number; readonly descriptor: Descriptor; readonly stack: Stack }

/** The stack for an inner level, from the present TSS (APM Vol. 2, 12.2.2): SS and eSP, checked. Faults are #TS, absence and overflow #SS. */
export function innerStack(machine: Machine, cpl: number, external: number): InnerStack {
  const { cpu, memory } = machine, { u32 } = cpu;
  const wide = (u32[TR_ATTRIBUTES]! & 8) !== 0, taskError = u32[TR_SELECTOR]! & 0xfffc | external;
  const place = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
  if (place + (wide ? 5 : 3) > u32[TR_LIMIT]!) throw new GuestFault(Vector.TS, taskError);
  const linear = u32[TR_BASE]! + place >>> 0;
  const pointer = wide ? memory.read32(BigInt(linear), true) : memory.read16(BigInt(linear), true);
  const selector = memory.read16(BigInt(linear + (wide ? 4 : 2) >>> 0), true);
  if (isNullSelector(selector)) throw new GuestFault(Vector.TS, external);
  const code = selector & 0xfffc | external;
  const descriptor = checkStackSegment(machine, selector, cpl, Vector.TS, code);
  const attributes = attributesOf(descriptor.high);
  return {
    selector, descriptor,
    stack: {
      base: baseOf(descriptor.low, descriptor.high), limit: limitOf(descriptor.low, descriptor.high), attributes,
      mask: isBig(attributes) ? 0xffffffff : 0xffff, pointer, rsp: BigInt(pointer), supervisor: cpl !== 3 && cpu.cpl === 3, errorCode: code,
    },
  };
}

// ── Real mode, and virtual-8086 mode through the interrupt vector table (APM Vol. 2, 8.6, 8.10) ──

/** Through the table of far pointers at `base`. `cleared` goes off in RFLAGS, besides TF, AC and RF. */
function deliver8086(machine: Machine, vector: number, flags: number, returnAddress: number, cleared: number, base: bigint, limit: number): void {
  const { cpu, memory } = machine;
  if ((vector << 2 | 3) > limit) throw generalProtection();
  const target = memory.read32(BigInt.asUintN(32, base + BigInt(vector << 2)), !isProtected(cpu));
  const pointer = pushItems(machine, currentStack(cpu, 0), [flags & 0xffff, cpu.cs.selector, returnAddress & 0xffff], 2);
  cpu.rsp = pointer;
  cpu.rip = BigInt(target & 0xffff);
  setSegment8086(cpu, CS, target >>> 16);
  cpu.u32[FLAGS_WORD]! &= ~(TF | AC | RF | cleared);
}

/** INT n in virtual-8086 mode: to the 8086 program when VME and the interrupt redirection bitmap say so, else to the IDT with IOPL = 3,
 * else #GP(0) (APM Vol. 2, 8.10; SDM Vol. 3, table 20-2). */
function deliverSoftware8086(machine: Machine, vector: number): void {
  const { cpu } = machine;
  const flags = pushedFlags(cpu, vector, 'software'), isPrivileged = (flags & IOPL) === IOPL;
  if ((cr4Of(cpu) & CR4.VME) !== 0 && !isRedirectedToMonitor(machine, vector)) {
    const virtual = flags & ~IF | IOPL | ((flags & VIF) !== 0 ? IF : 0);
    deliver8086(machine, vector, isPrivileged ? flags : virtual, cpu.u32[NEXT_RIP_WORD]!, isPrivileged ? IF : VIF, 0n, 0x3ff);
    return;
  }
  if (!isPrivileged) throw generalProtection();
  deliverProtected(machine, vector, 'software', 0, false);
}

/** The vector's bit in the 32 bytes below the I/O permission bitmap of a 32-bit TSS. */
function isRedirectedToMonitor(machine: Machine, vector: number): boolean {
  const { tr } = machine.cpu;
  if ((tr.attributes & 8) === 0 || tr.limit < 103) throw generalProtection();
  const place = machine.memory.read16(BigInt.asUintN(32, tr.base + 102n), true) - 32 + (vector >> 3);
  if (place < 0 || place > tr.limit) throw generalProtection();
  return (machine.memory.read8(BigInt.asUintN(32, tr.base + BigInt(place)), true) >>> (vector & 7) & 1) === 1;
}
