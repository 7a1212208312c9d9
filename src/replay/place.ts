// Where a machine stands, as people ask: which vCPU is next, in which mode, at which instruction. For `retro explain` and `retro migrate`.
import type { Level } from '../../journal/events.ts';
import type { Journal } from '../../journal/store.ts';
import type { Position } from '../../journal/position.ts';
import { codeSizeOf, CR0, isLongMode, isProtected, isVirtual8086 } from '../cpu/controls.ts';
import { readVcpu } from '../vm/vcpu-codec.ts';
import type { Machine } from './machine.ts';

export interface Place {
  readonly vcpu: number;
  readonly level: Level;
  readonly smm: boolean;
  readonly mode: 'real' | 'virtual-8086' | 'protected' | 'compatibility' | '64-bit';
  readonly paging: boolean;
  readonly codeSize: 16 | 32 | 64;
  readonly cpl: number;
  readonly rip: bigint;
  readonly linear: bigint;
  /** The bytes there, as far as they are mapped. */
  readonly bytes: Uint8Array;
}

const LONGEST_INSTRUCTION = 15;

/** `vcpu`: which one runs next. */
export function placeOf(machine: Machine, vcpu: number): Place {
  const active = machine.vm.vcpus[vcpu]!, cpu = readVcpu(active.saveState());
  const codeSize = codeSizeOf(cpu), linear = BigInt.asUintN(codeSize === 64 ? 64 : 32, cpu.rip + (codeSize === 64 ? 0n : cpu.cs.base)), bytes: number[] = [];
  for (let at = 0n; at < LONGEST_INSTRUCTION; at++) {
    const byte = byteAt(machine, vcpu, BigInt.asUintN(64, linear + at));
    if (byte === undefined) break;
    bytes.push(byte);
  }
  const mode = !isProtected(cpu) ? 'real' : isVirtual8086(cpu) ? 'virtual-8086' : codeSize === 64 ? '64-bit' : isLongMode(cpu) ? 'compatibility' : 'protected';
  return {
    vcpu, level: cpu.guestMode === 0 ? 1 : 2, smm: cpu.smm !== 0, mode, paging: (cpu.cr0 & CR0.PG) !== 0, codeSize, cpl: cpu.cpl, rip: cpu.rip, linear,
    bytes: Uint8Array.from(bytes),
  };
}

function byteAt({ vm }: Machine, vcpu: number, linear: bigint): number | undefined {
  const physical = vm.vcpus[vcpu]!.translate(linear);
  if (physical === undefined) return undefined;
  try {
    return vm.readMemory(physical, 1)[0];
  } catch (error) {
    if ((error as { code?: string }).code === 'EFAULT') return undefined;
    throw error;
  }
}

/** The position before the instruction at `icount`: behind the last event that had happened then. What the instruction itself leads to comes later. */
export function positionBefore(journal: Journal, icount: number): Position {
  let last = { seq: 0, icount: 0 };
  for (const row of journal.stored()) {
    if (row.at.icount > icount || (row.at.icount === icount && belongsToNext.has(row.kind))) break;
    last = { seq: row.seq, icount: row.at.icount };
  }
  return { seq: last.seq, icount: icount - last.icount };
}

/** Events that carry the count before the instruction that brings them about. */
export const belongsToNext: ReadonlySet<string> = new Set([
  'Vmrun', 'VmExit', 'VmEntry', 'Smi', 'Rsm', 'Init', 'Startup', 'TripleFault', 'UserspaceExit', 'DebugExit', 'Halted', 'Shutdown', 'Failed', 'Ended',
]);
