// Hardware task switches through a TSS or a task gate: JMP, CALL, IRET with NT, and interrupts (APM Vol. 2, 12.3; SDM Vol. 3, 7.3).
// Legacy modes only. Everything up to the load of TR is checked and read first; what then faults, faults in the new task.
import { CR0, CR4, cr4Of, DR6 } from '../cpu/controls.ts';
import { arithmeticFlags, NT, RF, setRflags, VM } from '../cpu/flags.ts';
import {
  attributesOf, baseOf, CS, DescriptorHigh, isCode, isConforming, isNullSelector, isPresent, isReadable, limitOf, privilegeOf, SS, SystemType,
} from '../cpu/segments.ts';
import type { Descriptor } from '../cpu/segments.ts';
import { Attribute } from '../cpu/state.ts';
import { loadPageDirectoryPointers } from './control.ts';
import { latchDebugCauses } from './debug.ts';
import { interceptTaskSwitch } from './intercepts.ts';
import { GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import { generalProtection, Vector } from './operand.ts';
import {
  checkStackSegment, loadLdtr, markAccessed, readDescriptor, setNullSegment, setSegment, setSegment8086, setTaskRegister, writeDescriptorHigh,
} from './segment-load.ts';
import { currentStack, pushItems } from './stack.ts';

export interface TaskSwitch {
  readonly cause: 'jump' | 'call' | 'iret' | 'gate';
  /** EXT of the error codes. */
  readonly external: number;
  /** For `gate`: the RFLAGS image to save; the others save the present one. */
  readonly flags: number;
  readonly returnAddress: number;
  /** Pushed on the new task's stack. */
  readonly errorCode: number | undefined;
}

/** Places in a TSS: of the general registers in encoding order and of the segment registers in index order. */
interface Layout { readonly width: 2 | 4; readonly limit: number; readonly ip: number; readonly flags: number; readonly general: number; readonly segments: number; readonly segmentCount: number; readonly ldt: number }
const layout16: Layout = { width: 2, limit: 0x2b, ip: 0x0e, flags: 0x10, general: 0x12, segments: 0x22, segmentCount: 4, ldt: 0x2a };
const layout32: Layout = { width: 4, limit: 0x67, ip: 0x20, flags: 0x24, general: 0x28, segments: 0x48, segmentCount: 6, ldt: 0x60 };
const CR3_PLACE = 0x1c, TRAP_PLACE = 0x64;
const layoutOf = (type: number): Layout => (type & 8) !== 0 ? layout32 : layout16;

export function switchTask(machine: Machine, selector: number, how: TaskSwitch): void {
  const { cpu, memory } = machine;
  const { cause, external } = how;
  const descriptor = readTaskDescriptor(machine, selector, cause, external);
  const type = descriptor.high >>> 8 & 0xf, layout = layoutOf(type), oldLayout = layoutOf(cpu.tr.attributes);
  const base = baseOf(descriptor.low, descriptor.high), limit = limitOf(descriptor.low, descriptor.high);
  interceptTaskSwitch(machine, { selector, cause, errorCode: how.errorCode, resumes: (how.flags & RF) !== 0 });
  if (limit < layout.limit) throw new GuestFault(Vector.TS, selector & 0xfffc | external);

  // All that may still fault in the old task.
  const next = readTask(machine, base, layout);
  const oldSelector = cpu.tr.selector, oldBase = Number(cpu.tr.base & 0xffffffffn);
  if (cpu.tr.limit < oldLayout.limit) throw new GuestFault(Vector.TS, oldSelector & 0xfffc | external);
  const at = (start: number, place: number): bigint => BigInt((start + place) >>> 0);
  memory.probeWrite(at(oldBase, oldLayout.ip), oldLayout.segments + oldLayout.segmentCount * oldLayout.width - oldLayout.ip, true);
  const nests = cause === 'call' || cause === 'gate';
  if (nests) memory.probeWrite(at(base, 0), 2, true);

  if (!nests) clearBusy(machine, oldSelector);
  const present = cause === 'gate' ? how.flags : cpu.rflagsSystem | arithmeticFlags(cpu);
  saveTask(machine, oldBase, oldLayout, how.returnAddress, cause === 'iret' ? present & ~NT : present);
  if (nests) memory.write16(at(base, 0), oldSelector, true);
  if (cause !== 'iret') writeDescriptorHigh(machine, selector, descriptor.high | DescriptorHigh.busy);

  // The new task: registers first, so that a fault finds them.
  setTaskRegister(cpu, selector, BigInt(base), limit, attributesOf(descriptor.high) | 2);
  cpu.cr0 = (cpu.cr0 | CR0.TS) >>> 0;
  // Local breakpoints belong to the task that set them (APM Vol. 2, 13.1.1.4).
  cpu.dr7 &= ~0x155n;
  machine.debugRegistersChanged();
  enterTask(machine, next, nests, layout, how);
}

interface Task { readonly cr3: number; readonly ip: number; readonly flags: number; readonly general: readonly number[]; readonly segments: readonly number[]; readonly ldt: number; readonly trap: boolean }

function readTaskDescriptor(machine: Machine, selector: number, cause: TaskSwitch['cause'], external: number): Descriptor {
  const isReturn = cause === 'iret', invalid = isReturn ? Vector.TS : Vector.GP, code = selector & 0xfffc | external;
  if (isNullSelector(selector) || selector & 4) throw new GuestFault(invalid, code);
  const descriptor = readDescriptor(machine, selector, invalid, code), type = descriptor.high >>> 8 & 0x1f;
  const { tss16, tss32, tss16Busy, tss32Busy } = SystemType;
  if (isReturn ? type !== tss16Busy && type !== tss32Busy : type !== tss16 && type !== tss32) throw new GuestFault(invalid, code);
  if (!isPresent(attributesOf(descriptor.high))) throw new GuestFault(Vector.NP, code);
  return descriptor;
}

function readTask(machine: Machine, base: number, layout: Layout): Task {
  const { memory } = machine, { width } = layout;
  const word = (place: number): number => memory.read16(BigInt((base + place) >>> 0), true);
  const item = (place: number): number => width === 4 ? memory.read32(BigInt((base + place) >>> 0), true) : word(place);
  const list = (place: number, count: number, read: (place: number) => number): number[] => Array.from({ length: count }, (_, index) => read(place + index * width));
  return {
    cr3: width === 4 ? item(CR3_PLACE) : 0,
    ip: item(layout.ip), flags: item(layout.flags),
    general: list(layout.general, 8, item), segments: list(layout.segments, layout.segmentCount, word),
    ldt: word(layout.ldt), trap: width === 4 && (word(TRAP_PLACE) & 1) !== 0,
  };
}

function clearBusy(machine: Machine, selector: number): void {
  const descriptor = readDescriptor(machine, selector, Vector.TS, selector & 0xfffc);
  writeDescriptorHigh(machine, selector, descriptor.high & ~DescriptorHigh.busy);
}

function saveTask(machine: Machine, base: number, layout: Layout, ip: number, flags: number): void {
  const { cpu, memory } = machine, { width } = layout;
  const put = (place: number, value: number): void => {
    if (width === 4) memory.write32(BigInt((base + place) >>> 0), value >>> 0, true);
    else memory.write16(BigInt((base + place) >>> 0), value & 0xffff, true);
  };
  put(layout.ip, ip);
  put(layout.flags, flags);
  for (let index = 0; index < 8; index++) put(layout.general + index * width, Number(cpu.general(index) & 0xffffffffn));
  for (let index = 0; index < layout.segmentCount; index++) memory.write16(BigInt((base + layout.segments + index * width) >>> 0), cpu.segment[index]!.selector, true);
}

/** Bits of RFLAGS that a TSS can set. */
const TASK_FLAGS = 0x3f7fd5;

function enterTask(machine: Machine, task: Task, nests: boolean, layout: Layout, how: TaskSwitch): void {
  const { cpu } = machine, { external } = how;
  cpu.rip = BigInt(task.ip);
  setRflags(cpu, task.flags & (layout.width === 4 ? TASK_FLAGS : 0x7fd5) | (nests ? NT : 0));
  // A 16-bit TSS leaves the upper halves as ones on the 386 and undefined later: they are kept.
  task.general.forEach((value, index) => {
    cpu.setGeneral(index, layout.width === 4 ? BigInt(value) : cpu.general(index) & 0xffff0000n | BigInt(value));
  });
  const selectors = [...task.segments, 0, 0].slice(0, 6);
  selectors.forEach((selector, segment) => {
    cpu.segment[segment]!.selector = selector;
    cpu.segment[segment]!.attributes = Attribute.unusable;
  });
  cpu.cpl = task.flags & VM && layout.width === 4 ? 3 : selectors[CS]! & 3;
  const ldtr = cpu.ldtr;
  ldtr.selector = task.ldt;
  ldtr.attributes = Attribute.unusable;
  if (task.trap) latchDebugCauses(cpu, DR6.BT);
  if (layout.width === 4 && (cpu.cr0 & CR0.PG) !== 0) {
    if ((cr4Of(cpu) & CR4.PAE) !== 0) loadPageDirectoryPointers(machine, BigInt(task.cr3));
    cpu.cr3 = BigInt(task.cr3);
    machine.flushTlb(false);
  }
  loadLdtr(machine, task.ldt, Vector.TS, external, Vector.TS);
  if ((cpu.rflagsSystem & VM) !== 0) selectors.forEach((selector, segment) => setSegment8086(cpu, segment, selector));
  else {
    loadTaskCode(machine, selectors[CS]!, external);
    loadTaskStack(machine, selectors[SS]!, external);
    for (const segment of [3, 0, 4, 5]) loadTaskData(machine, segment, selectors[segment]!, external);
  }
  if (task.ip > cpu.cs.limit) throw generalProtection(external);
  if (how.errorCode !== undefined) cpu.rsp = pushItems(machine, currentStack(cpu, external), [how.errorCode], layout.width);
}

function loadTaskCode(machine: Machine, selector: number, external: number): void {
  const code = selector & 0xfffc | external;
  if (isNullSelector(selector)) throw new GuestFault(Vector.TS, external);
  const descriptor = readDescriptor(machine, selector, Vector.TS, code), attributes = attributesOf(descriptor.high), level = selector & 3;
  if (!isCode(attributes) || (isConforming(attributes) ? privilegeOf(attributes) > level : privilegeOf(attributes) !== level)) throw new GuestFault(Vector.TS, code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
  markAccessed(machine, selector, descriptor);
  setSegment(machine.cpu, CS, selector, descriptor);
}

function loadTaskStack(machine: Machine, selector: number, external: number): void {
  if (isNullSelector(selector)) throw new GuestFault(Vector.TS, external);
  const descriptor = checkStackSegment(machine, selector, machine.cpu.cpl, Vector.TS, selector & 0xfffc | external);
  markAccessed(machine, selector, descriptor);
  setSegment(machine.cpu, SS, selector, descriptor);
}

function loadTaskData(machine: Machine, segment: number, selector: number, external: number): void {
  if (isNullSelector(selector)) return setNullSegment(machine, segment, selector);
  const code = selector & 0xfffc | external;
  const descriptor = readDescriptor(machine, selector, Vector.TS, code), attributes = attributesOf(descriptor.high);
  if (!isReadable(attributes)) throw new GuestFault(Vector.TS, code);
  if (!isConforming(attributes) && privilegeOf(attributes) < Math.max(machine.cpu.cpl, selector & 3)) throw new GuestFault(Vector.TS, code);
  if (!isPresent(attributes)) throw new GuestFault(Vector.NP, code);
  markAccessed(machine, selector, descriptor);
  setSegment(machine.cpu, segment, selector, descriptor);
}

