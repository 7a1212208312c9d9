// Stacks outside 64-bit mode, in numbers: the present one, or one that an inner privilege level is about to load. Used by event
// delivery and far transfers; 64-bit pushes stand in `deliver.ts` and `operand.ts`.
import { isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { isBig, SS } from '../cpu/segments.ts';
import { Attribute, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT } from '../cpu/state.ts';
import type { Cpu } from '../cpu/state.ts';
import { GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import { isWithinLimit, Vector } from './operand.ts';
import { RSP_WORD } from './words.ts';

export interface Stack {
  readonly base: number;
  readonly limit: number;
  readonly attributes: number;
  readonly mask: number;
  readonly pointer: number;
  /** RSP before: a 16-bit stack pointer leaves its upper bits. */
  readonly rsp: bigint;
  /** Whether the accesses are those of a system level. */
  readonly supervisor: boolean;
  /** Of the #SS that an overflow raises. */
  readonly errorCode: number;
}

const SS_PLACE = placeOfSegment(SS);

export function currentStack(cpu: Cpu, errorCode: number): Stack {
  const attributes = cpu.u32[SS_PLACE + SEGMENT_ATTRIBUTES >> 2]!;
  if ((attributes & Attribute.unusable) !== 0) throw new GuestFault(Vector.SS, errorCode);
  return {
    base: cpu.u32[SS_PLACE + SEGMENT_BASE >> 2]!, limit: cpu.u32[SS_PLACE + SEGMENT_LIMIT >> 2]!,
    attributes: isProtected(cpu) && !isVirtual8086(cpu) ? attributes : attributes & ~Attribute.expandDown,
    mask: isBig(attributes) ? 0xffffffff : 0xffff, pointer: cpu.u32[RSP_WORD]!, rsp: cpu.rsp, supervisor: false, errorCode,
  };
}

function linearOn(stack: Stack, offset: number, size: number): number {
  if (!isWithinLimit(stack.attributes, stack.limit, offset, size)) throw new GuestFault(Vector.SS, stack.errorCode);
  return (stack.base + offset) >>> 0;
}

/** Pushes `items`, the first one first, 2 or 4 bytes each: all are checked and probed, then stored. Returns the new RSP. */
export function pushItems(machine: Machine, stack: Stack, items: readonly number[], size: 2 | 4): bigint {
  const { memory, cpu } = machine;
  const length = items.length * size, end = stack.pointer & stack.mask, start = (end >>> 0) - length;
  // An aligned frame that neither wraps nor leaves the segment, on a page at hand: one probe for all of it.
  if (memory.hostOfWrite !== undefined && start >= 0 && (stack.base + start & size - 1) === 0 && isWithinLimit(stack.attributes, stack.limit, start, length)) {
    const host = memory.hostOfWrite((stack.base + start) >>> 0, 0, length, stack.supervisor);
    if (host !== 0) {
      for (let index = 0, at = host + length - size; index < items.length; index++, at -= size) {
        if (size === 4) cpu.view.setUint32(at, items[index]!, true);
        else cpu.view.setUint16(at, items[index]!, true);
      }
      return pointerOn(stack, start);
    }
  }
  return pushOneByOne(machine, stack, items, size);
}

function pushOneByOne(machine: Machine, stack: Stack, items: readonly number[], size: 2 | 4): bigint {
  const { memory } = machine;
  const at: bigint[] = [];
  let pointer = stack.pointer;
  for (let index = 0; index < items.length; index++) {
    pointer = (pointer - size & stack.mask) >>> 0;
    const linear = BigInt(linearOn(stack, pointer, size));
    memory.probeWrite(linear, size, stack.supervisor);
    at.push(linear);
  }
  for (let index = 0; index < items.length; index++) {
    if (size === 4) memory.write32(at[index]!, items[index]! >>> 0, stack.supervisor);
    else memory.write16(at[index]!, items[index]! & 0xffff, stack.supervisor);
  }
  return pointerOn(stack, pointer);
}

/** The item of 2 or 4 bytes at `depth` bytes above the stack pointer. */
export function peekItem(machine: Machine, stack: Stack, depth: number, size: 2 | 4): number {
  const { memory, cpu } = machine;
  const linear = linearOn(stack, (stack.pointer + depth & stack.mask) >>> 0, size);
  const host = memory.hostOfRead === undefined || (linear & size - 1) !== 0 ? 0 : memory.hostOfRead(linear, 0, size, stack.supervisor);
  if (host !== 0) return size === 4 ? cpu.view.getUint32(host, true) : cpu.view.getUint16(host, true);
  return size === 4 ? memory.read32(BigInt(linear), stack.supervisor) : memory.read16(BigInt(linear), stack.supervisor);
}

/** RSP once the stack pointer is `pointer` (modulo the stack's size). */
export const pointerOn = (stack: Stack, pointer: number): bigint =>
  stack.mask === 0xffff ? stack.rsp & ~0xffffn | BigInt(pointer & 0xffff) : BigInt(pointer >>> 0);
