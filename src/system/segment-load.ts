// Loading segment registers and descriptor-table registers, and the instructions that look at descriptors. Called by the system table,
// by far transfers, task switches and event delivery. Descriptor reads are implicit supervisor accesses (APM Vol. 2, 4.6, 4.8, 4.12).
import type { Instruction } from '../isa/instruction.ts';
import { CR4, cr4Of, is64Bit, is8086, isLongMode, isVirtual8086 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { arithmeticFlags, setArithmeticFlags, ZF } from '../cpu/flags.ts';
import {
  attributesOf, baseOf, CS, DescriptorHigh, DS, ES, FS, GS, isCode, isConforming, isData, isNullSelector, isPresent, isReadable, isSystem, isWritable, limitOf,
  privilegeOf, SS, SystemType, typeOf,
} from '../cpu/segments.ts';
import type { Descriptor } from '../cpu/segments.ts';
import { Attribute, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT, SEGMENT_SELECTOR } from '../cpu/state.ts';
import type { Cpu } from '../cpu/state.ts';
import { GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import {
  generalProtection, invalidOpcode, isCanonicalBase, linearOfOperand, loadWords, operandAt, operandBytes, peek, popped, pushAll, readOperand, readSelector, retire,
  rspWith, setStackPointer, Vector, writeOperand, writeWord, writeRegister,
} from './operand.ts';
import { GDTR_BASE_WORD, GDTR_LIMIT_WORD, join, baseWord, limitWord, attributesWord } from './words.ts';
import { LDTR, TR } from '../cpu/segments.ts';

// ── Descriptor tables ──

const words = new Uint32Array(4);
const LDTR_BASE_WORD = baseWord(LDTR), LDTR_LIMIT_WORD = limitWord(LDTR), LDTR_ATTRIBUTES_WORD = attributesWord(LDTR);

/** Whether a descriptor of `bytes` bytes lies inside its table. */
export function isInTable(cpu: Cpu, selector: number, bytes: number): boolean {
  const last = (selector & 0xfff8) + bytes - 1;
  if ((selector & 4) === 0) return last <= cpu.u32[GDTR_LIMIT_WORD]!;
  return (cpu.u32[LDTR_ATTRIBUTES_WORD]! & Attribute.unusable) === 0 && last <= cpu.u32[LDTR_LIMIT_WORD]!;
}

function loadTableWords(machine: Machine, selector: number, count: number): void {
  const { u32 } = machine.cpu;
  const base = (selector & 4) === 0 ? GDTR_BASE_WORD : LDTR_BASE_WORD;
  const sum = u32[base]! + (selector & 0xfff8), low = sum >>> 0;
  loadWords(machine, low, isLongMode(machine.cpu) ? u32[base + 1]! + (sum > 0xffffffff ? 1 : 0) >>> 0 : 0, count, words, true);
}

/** The descriptor that a selector names; outside its table: `vector`(`errorCode`). The selector is not null. */
export function readDescriptor(machine: Machine, selector: number, vector: number, errorCode: number): Descriptor {
  if (!isInTable(machine.cpu, selector, 8)) throw new GuestFault(vector, errorCode);
  loadTableWords(machine, selector, 2);
  return { low: words[0]!, high: words[1]! };
}

/** A system descriptor: 16 bytes in long mode. `base` is whole; `upperType` are the bits that must be 0 in the upper half. */
export interface SystemDescriptor extends Descriptor { readonly baseHigh: number; readonly upperType: number }

export function readSystemDescriptor(machine: Machine, selector: number, vector: number, errorCode: number): SystemDescriptor {
  if (!isLongMode(machine.cpu)) return { ...readDescriptor(machine, selector, vector, errorCode), baseHigh: 0, upperType: 0 };
  if (!isInTable(machine.cpu, selector, 16)) throw new GuestFault(vector, errorCode);
  loadTableWords(machine, selector, 4);
  return { low: words[0]!, high: words[1]!, baseHigh: words[2]!, upperType: words[3]! >>> 8 & 0x1f };
}

export function linearOfDescriptor(cpu: Cpu, selector: number): bigint {
  const base = (selector & 4) === 0 ? cpu.gdtrBase : cpu.ldtr.base;
  return BigInt.asUintN(isLongMode(cpu) ? 64 : 32, base + BigInt(selector & 0xfff8));
}

/** Stores the upper word of a descriptor: how the accessed and busy bits are set. */
export function writeDescriptorHigh(machine: Machine, selector: number, high: number): void {
  machine.memory.write8(linearOfDescriptor(machine.cpu, selector) + 5n, high >>> 8 & 0xff, true);
}

/** Sets the accessed bit in the table, if it is not set. */
export function markAccessed(machine: Machine, selector: number, descriptor: Descriptor): void {
  if ((descriptor.high & DescriptorHigh.accessed) === 0) writeDescriptorHigh(machine, selector, descriptor.high | DescriptorHigh.accessed);
}

/** Loading it again would change nothing in the table. */
export const isInGdtAndAccessed = (selector: number, { high }: Descriptor): boolean => (selector & 4) === 0 && (high & DescriptorHigh.accessed) !== 0;

// ── Writing the hidden part: no checks here ──

export function setSegment(cpu: Cpu, segment: number, selector: number, descriptor: Descriptor): void {
  const place = placeOfSegment(segment);
  cpu.u32[place + SEGMENT_SELECTOR >> 2] = selector;
  cpu.u32[place + SEGMENT_ATTRIBUTES >> 2] = attributesOf(descriptor.high) | Attribute.accessed;
  cpu.u32[place + SEGMENT_BASE >> 2] = baseOf(descriptor.low, descriptor.high);
  cpu.u32[(place + SEGMENT_BASE >> 2) + 1] = 0;
  cpu.u32[place + SEGMENT_LIMIT >> 2] = limitOf(descriptor.low, descriptor.high);
}

/** Real mode leaves limit and size as they are (that is "unreal mode"); virtual-8086 mode fixes everything (APM Vol. 2, 4.5.1, 4.7.4). */
export function setSegment8086(cpu: Cpu, segment: number, selector: number): void {
  const record = cpu.segment[segment]!;
  record.selector = selector;
  record.base = BigInt(selector << 4);
  if (isVirtual8086(cpu)) {
    record.limit = 0xffff;
    record.attributes = 0xf3;
  } else record.attributes = record.attributes & (Attribute.avl | Attribute.long | Attribute.big | Attribute.granularity) | 0x93;
}

/** A null selector: unusable. Intel, and AMD from Zen 2 on, clear base and limit; older AMD processors leave them (CPUID "null-sel-clr-base"). */
export function setNullSegment(machine: Machine, segment: number, selector: number): void {
  const { cpu, capability } = machine;
  const record = cpu.segment[segment]!;
  record.selector = selector;
  record.attributes = Attribute.unusable | (segment === SS ? cpu.cpl << Attribute.dplShift : 0);
  if (segment !== SS && (capability.vendor !== 'AuthenticAMD' || capability.has('null-sel-clr-base'))) {
    record.base = 0n;
    record.limit = 0;
  }
}

// ── SS, DS, ES, FS, GS ──

/** Loads a stack or data segment register with all checks (APM Vol. 3, "MOV"; SDM Vol. 2, "MOV"). */
export function loadSegment(machine: Machine, segment: number, selector: number): void {
  const { cpu } = machine;
  if (is8086(cpu)) return setSegment8086(cpu, segment, selector);
  if (segment === SS) return loadStackSegment(machine, selector);
  if (isNullSelector(selector)) return setNullSegment(machine, segment, selector);
  const code = selector & 0xfffc;
  const descriptor = readDescriptor(machine, selector, Vector.GP, code);
  const attributes = attributesOf(descriptor.high);
  if (!isReadable(attributes)) throw generalProtection(code);
  if (!isConforming(attributes) && privilegeOf(attributes) < Math.max(cpu.cpl, selector & 3)) throw generalProtection(code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
  markAccessed(machine, selector, descriptor);
  setSegment(cpu, segment, selector, descriptor);
}

function loadStackSegment(machine: Machine, selector: number): void {
  const { cpu } = machine;
  if (isNullSelector(selector)) {
    // "In 64-bit mode, a null selector can be loaded into SS unless CPL is 3" (APM Vol. 3, "MOV"); its RPL must be CPL.
    if (!is64Bit(cpu) || cpu.cpl === 3 || (selector & 3) !== cpu.cpl) throw generalProtection();
    return setNullSegment(machine, SS, selector);
  }
  const descriptor = checkStackSegment(machine, selector, cpu.cpl, Vector.GP, selector & 0xfffc);
  markAccessed(machine, selector, descriptor);
  setSegment(cpu, SS, selector, descriptor);
}

/** The descriptor of a stack segment for privilege level `cpl`. Violations are `vector`(`errorCode`), absence #SS(`errorCode`). */
export function checkStackSegment(machine: Machine, selector: number, cpl: number, vector: number, errorCode: number): Descriptor {
  const descriptor = readDescriptor(machine, selector, vector, errorCode);
  const attributes = attributesOf(descriptor.high);
  if ((selector & 3) !== cpl || !isWritable(attributes) || privilegeOf(attributes) !== cpl) throw new GuestFault(vector, errorCode);
  if (!isPresent(attributes)) throw new GuestFault(Vector.SS, errorCode);
  return descriptor;
}

/** Code that is valid for a transfer to privilege level of the selector's RPL or as the caller says: type, size bits and presence. */
export function checkCodeType(machine: Machine, attributes: number, errorCode: number): void {
  if (!isCode(attributes)) throw generalProtection(errorCode);
  if (isLongMode(machine.cpu) && (attributes & (Attribute.long | Attribute.big)) === (Attribute.long | Attribute.big)) throw generalProtection(errorCode);
}

/** MOV SS and POP SS hold interrupts and debug traps off until the next instruction is done (APM Vol. 2, 8.1.2). In 64-bit mode the other
 * segment loads change nothing that decoded code depends on. */
function afterLoad(cpu: Cpu, segment: number): Done {
  if (segment === SS) {
    cpu.interruptShadow = 2;
    return Done.attention;
  }
  return is64Bit(cpu) ? Done.next : Done.moved;
}

export function moveToSegment(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  const destination = operandAt(instruction, 0);
  if (destination.kind !== 'register' || destination.number === CS || destination.number > 5) throw invalidOpcode();
  loadSegment(machine, destination.number, readSelector(machine, instruction, 1));
  retire(cpu);
  return afterLoad(cpu, destination.number);
}

/** LKGS: as MOV to GS, but the descriptor's base goes to KERNEL_GS_BASE (Intel FRED specification, 10.1). */
export function loadKernelGs(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, { base } = cpu.gs;
  requirePrivilege0(cpu);
  loadSegment(machine, GS, readSelector(machine, instruction, 0));
  cpu.kernelGsBase = cpu.gs.base;
  cpu.gs.base = base;
  retire(cpu);
  return Done.moved;
}

/** MOV r/m, Sreg: memory takes 16 bits, a register the zero extension to its width. */
export function moveFromSegment(machine: Machine, instruction: Instruction): Done {
  const source = operandAt(instruction, 1);
  if (source.kind !== 'register' || source.number > 5) throw invalidOpcode();
  writeWord(machine, instruction, 0, BigInt(machine.cpu.segment[source.number]!.selector));
  retire(machine.cpu);
  return Done.next;
}

export function popSegment(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  const destination = operandAt(instruction, 0);
  if (destination.kind !== 'register') throw invalidOpcode();
  const size = operandBytes(instruction);
  const selector = Number(peek(machine, 0, size) & 0xffffn);
  const rsp = rspWith(cpu, popped(cpu, size));
  loadSegment(machine, destination.number, selector);
  cpu.rsp = rsp;
  retire(cpu);
  return afterLoad(cpu, destination.number);
}

/** PUSH Sreg: the selector, zero-extended to the operand size. */
export function pushSegment(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  const source = operandAt(instruction, 0);
  if (source.kind !== 'register') throw invalidOpcode();
  const pointer = pushAll(machine, [BigInt(cpu.segment[source.number]!.selector)], operandBytes(instruction));
  setStackPointer(cpu, pointer);
  retire(cpu);
  return Done.next;
}

/** LDS, LES, LFS, LGS, LSS. The width of the far pointer says how much offset there is. */
export const loadFarPointer = (segment: number) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine;
  const pointer = operandAt(instruction, 1), destination = operandAt(instruction, 0);
  if (pointer.kind !== 'memory' || destination.kind !== 'register') throw invalidOpcode();
  const { offset, selector } = readFarPointer(machine, instruction, 1);
  loadSegment(machine, segment, selector);
  writeRegister(cpu, destination.number, destination.width, offset);
  retire(cpu);
  return segment === SS || !is64Bit(cpu) ? Done.moved : Done.next;
};

/** A far pointer in memory: offset, then selector. Width 0 stands for 16 bits more than the operand size. */
export function readFarPointer(machine: Machine, instruction: Instruction, index: number): { offset: bigint; selector: number } {
  const operand = operandAt(instruction, index);
  if (operand.kind !== 'memory') throw invalidOpcode();
  // AMD processors have no 64-bit offsets in far pointers (APM Vol. 3, "JMP (Far)"); Intel's have (SDM Vol. 2, "JMP").
  const { vendor } = machine.capability, isWide = instruction.operandSize === 64 && vendor !== 'AuthenticAMD' && vendor !== 'HygonGenuine';
  const offsetBytes = isWide ? 8 : operand.width === 0 ? instruction.operandSize >> 3 : operand.width - 16 >> 3;
  const linear = linearOfOperand(machine, instruction, operand, offsetBytes, false);
  const linearOfSelector = linearOfOperand(machine, instruction, operand, 2, false, offsetBytes);
  const { memory } = machine;
  const offset = offsetBytes === 8 ? memory.read64(linear) : BigInt(offsetBytes === 4 ? memory.read32(linear) : memory.read16(linear));
  return { offset, selector: memory.read16(linearOfSelector) };
}

// ── LDTR and TR ──

function requireProtected(cpu: Cpu): void {
  if (is8086(cpu)) throw invalidOpcode();
}
export function requirePrivilege0(cpu: Cpu): void {
  if (cpu.cpl !== 0) throw generalProtection();
}
function refuseUserMode(cpu: Cpu): void {
  if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.UMIP) !== 0) throw generalProtection();
}

export function loadLdt(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requireProtected(cpu);
  requirePrivilege0(cpu);
  loadLdtr(machine, readSelector(machine, instruction, 0), Vector.GP, 0);
  retire(cpu);
  return Done.next;
}

/** LDTR, for LLDT (#GP and #NP) and for task switches (`invalid` = `absent` = #TS). */
export function loadLdtr(machine: Machine, selector: number, invalid: number, external: number, absent: number = Vector.NP): void {
  const { cpu } = machine;
  const { ldtr } = cpu;
  if (isNullSelector(selector)) {
    ldtr.selector = selector;
    ldtr.attributes = Attribute.unusable;
    ldtr.base = 0n;
    ldtr.limit = 0;
    return;
  }
  const code = selector & 0xfffc | external;
  if (selector & 4) throw new GuestFault(invalid, code);
  const descriptor = readSystemDescriptor(machine, selector, invalid, code);
  const attributes = attributesOf(descriptor.high);
  if ((attributes & 0x1f) !== SystemType.ldt || descriptor.upperType !== 0) throw new GuestFault(invalid, code);
  if (!isPresent(attributes)) throw new GuestFault(absent, code);
  const base = join(baseOf(descriptor.low, descriptor.high), descriptor.baseHigh);
  if (!isCanonicalBase(machine, base)) throw new GuestFault(invalid, code);
  ldtr.selector = selector;
  ldtr.attributes = attributes;
  ldtr.base = base;
  ldtr.limit = limitOf(descriptor.low, descriptor.high);
}

export function loadTask(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requireProtected(cpu);
  requirePrivilege0(cpu);
  const selector = readSelector(machine, instruction, 0), code = selector & 0xfffc;
  if (isNullSelector(selector)) throw generalProtection();
  if (selector & 4) throw generalProtection(code);
  const descriptor = readSystemDescriptor(machine, selector, Vector.GP, code);
  const attributes = attributesOf(descriptor.high), type = attributes & 0x1f;
  if ((type !== SystemType.tss32 && (type !== SystemType.tss16 || isLongMode(cpu))) || descriptor.upperType !== 0) throw generalProtection(code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
  const base = join(baseOf(descriptor.low, descriptor.high), descriptor.baseHigh);
  if (!isCanonicalBase(machine, base)) throw generalProtection(code);
  writeDescriptorHigh(machine, selector, descriptor.high | DescriptorHigh.busy);
  setTaskRegister(cpu, selector, base, limitOf(descriptor.low, descriptor.high), attributes | 2);
  retire(cpu);
  return Done.next;
}

export function setTaskRegister(cpu: Cpu, selector: number, base: bigint, limit: number, attributes: number): void {
  const record = cpu.segment[TR]!;
  record.selector = selector;
  record.base = base;
  record.limit = limit;
  record.attributes = attributes;
}

const storeSelector = (segment: number) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine;
  requireProtected(cpu);
  refuseUserMode(cpu);
  writeWord(machine, instruction, 0, BigInt(cpu.segment[segment]!.selector));
  retire(cpu);
  return Done.next;
};
export const storeLdt = storeSelector(LDTR);
export const storeTask = storeSelector(TR);

// ── GDTR and IDTR ──

type TableRegister = 'gdtr' | 'idtr';

/** LGDT, LIDT. With a 16-bit operand size the base has 24 bits (APM Vol. 3, "LGDT"). */
export const loadTableRegister = (register: TableRegister) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu, memory } = machine;
  requirePrivilege0(cpu);
  const operand = operandAt(instruction, 0);
  if (operand.kind !== 'memory') throw invalidOpcode();
  const long = is64Bit(cpu);
  const linearOfLimit = linearOfOperand(machine, instruction, operand, 2, false);
  const linearOfBase = linearOfOperand(machine, instruction, operand, long ? 8 : 4, false, 2);
  const limit = memory.read16(linearOfLimit);
  let base = long ? memory.read64(linearOfBase) : BigInt(memory.read32(linearOfBase));
  if (instruction.operandSize === 16 && !long) base &= 0xffffffn;
  if (!isCanonicalBase(machine, base)) throw generalProtection();
  cpu[`${register}Base`] = base;
  cpu[`${register}Limit`] = limit;
  retire(cpu);
  return Done.next;
};

/** SGDT, SIDT: the operand size is ignored (APM Vol. 3, "SGDT"). */
export const storeTableRegister = (register: TableRegister) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu, memory } = machine;
  refuseUserMode(cpu);
  const operand = operandAt(instruction, 0);
  if (operand.kind !== 'memory') throw invalidOpcode();
  const bytes = is64Bit(cpu) ? 8 : 4;
  const linearOfLimit = linearOfOperand(machine, instruction, operand, 2, true);
  const linearOfBase = linearOfOperand(machine, instruction, operand, bytes, true, 2);
  memory.probeWrite(linearOfLimit, 2);
  memory.probeWrite(linearOfBase, bytes);
  memory.write16(linearOfLimit, cpu[`${register}Limit`]);
  if (bytes === 8) memory.write64(linearOfBase, cpu[`${register}Base`]);
  else memory.write32(linearOfBase, Number(cpu[`${register}Base`] & 0xffffffffn));
  retire(cpu);
  return Done.next;
};

// ── LAR, LSL, VERR, VERW, ARPL ──

export function setZero(cpu: Cpu, zero: boolean): void {
  setArithmeticFlags(cpu, arithmeticFlags(cpu) & ~ZF | (zero ? ZF : 0));
}

/** The descriptor, when the selector may be looked at from here: not null, inside its table, visible at CPL and RPL. */
function visibleDescriptor(machine: Machine, selector: number): Descriptor | undefined {
  const { cpu } = machine;
  if (isNullSelector(selector) || !isInTable(cpu, selector, 8)) return undefined;
  loadTableWords(machine, selector, 2);
  const descriptor = { low: words[0]!, high: words[1]! };
  const attributes = attributesOf(descriptor.high);
  return isConforming(attributes) || privilegeOf(attributes) >= Math.max(cpu.cpl, selector & 3) ? descriptor : undefined;
}

/** System types that LAR and LSL accept, as bit sets, in legacy and in long mode (APM Vol. 3, "LAR", "LSL"). */
const bits = (...types: number[]): number => types.reduce((set, type) => set | 1 << type, 0);
const { tss16, ldt, tss16Busy, callGate16, taskGate, tss32, tss32Busy, callGate32 } = SystemType;
const larTypes = { legacy: bits(tss16, ldt, tss16Busy, callGate16, taskGate, tss32, tss32Busy, callGate32), long: bits(ldt, tss32, tss32Busy, callGate32) };
const lslTypes = { legacy: bits(tss16, ldt, tss16Busy, tss32, tss32Busy), long: bits(ldt, tss32, tss32Busy) };

const lookAt = (types: typeof larTypes, value: (descriptor: Descriptor) => number) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine;
  requireProtected(cpu);
  const descriptor = visibleDescriptor(machine, readSelector(machine, instruction, 1));
  const attributes = descriptor === undefined ? 0 : attributesOf(descriptor.high);
  const valid = descriptor !== undefined
    && (!isSystem(attributes) || ((isLongMode(cpu) ? types.long : types.legacy) >>> typeOf(attributes) & 1) === 1);
  if (valid) writeOperand(machine, instruction, 0, BigInt(value(descriptor)));
  setZero(cpu, valid);
  retire(cpu);
  return Done.next;
};
export const loadAccessRights = lookAt(larTypes, (descriptor) => (descriptor.high & 0xffff00) >>> 0);
export const loadSegmentLimit = lookAt(lslTypes, (descriptor) => limitOf(descriptor.low, descriptor.high));

const verify = (allows: (attributes: number) => boolean) => (machine: Machine, instruction: Instruction): Done => {
  const { cpu } = machine;
  requireProtected(cpu);
  const descriptor = visibleDescriptor(machine, readSelector(machine, instruction, 0));
  const attributes = descriptor === undefined ? 0 : attributesOf(descriptor.high);
  setZero(cpu, descriptor !== undefined && (isCode(attributes) || isData(attributes)) && allows(attributes));
  retire(cpu);
  return Done.next;
};
export const verifyRead = verify(isReadable);
export const verifyWrite = verify(isWritable);

export function adjustRequestedPrivilege(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requireProtected(cpu);
  const destination = readOperand(machine, instruction, 0), source = readOperand(machine, instruction, 1);
  const raise = (destination & 3n) < (source & 3n);
  if (raise) writeOperand(machine, instruction, 0, destination & ~3n | source & 3n);
  setZero(cpu, raise);
  retire(cpu);
  return Done.next;
}

/** After a return to an outer level, data segments that the new level may not use become null (APM Vol. 3, "RET (Far)"). Their bases stay:
 * 64-bit code goes on using those of FS and GS. */
export function dropInnerSegments(machine: Machine): void {
  const { cpu } = machine;
  for (const segment of [ES, DS, FS, GS]) {
    const place = placeOfSegment(segment), attributes = cpu.u32[place + SEGMENT_ATTRIBUTES >> 2]!;
    if ((attributes & Attribute.unusable) !== 0 || isConforming(attributes) || privilegeOf(attributes) >= cpu.cpl) continue;
    cpu.u32[place + SEGMENT_SELECTOR >> 2] = 0;
    cpu.u32[place + SEGMENT_ATTRIBUTES >> 2] = Attribute.unusable;
  }
}
