// What a transition says. A handler is a pure function of the vCPU before, the event and a read-only context; `vm/run.ts` applies the
// outcome: the new vCPU value, the stores to guest memory, what the TLB must forget. No handler imports an engine, a journal or a clock.
import type { VcpuState } from '../cpu/vcpu-state.ts';
import type { Capabilities } from '../model/capabilities.ts';
import type { CheckResult } from './check.ts';

/** A function of an array that gives the same view again for the same array: a view is dear, and transitions use the same room again and again. */
export function viewing<Whole extends object, View>(viewOf: (whole: Whole) => View): (whole: Whole) => View {
  let last: Whole | undefined, view: View;
  return (whole) => {
    if (whole !== last) {
      last = whole;
      view = viewOf(whole);
    }
    return view;
  };
}
/** Bytes of memory as words of the host's order, which is the guest's. */
export const wordsIn = viewing((bytes: Uint8Array) => new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.length >> 2));

/** Guest-physical reads, as the guest would make them. `undefined` where there is no memory. */
export interface ReadonlyMemory {
  read32(physical: number): number | undefined;
  read64(physical: number): bigint | undefined;
  /** A copy, at an address that 8 divides; it is gone when the transition is over. */
  readBytes(physical: number, length: number): Uint8Array | undefined;
}

export interface Context {
  /** As the vCPU sees it now: in system-management mode with SMRAM. */
  readonly memory: ReadonlyMemory;
  /** As it is outside system-management mode; absent: the same. */
  readonly outside?: ReadonlyMemory;
  readonly capability: Capabilities;
}

export interface MemoryWrite {
  readonly physical: number;
  readonly bytes: Uint8Array;
  /** To memory as system-management mode sees it, whatever mode the vCPU is in. */
  readonly smram?: true;
}

/** A fault that the instruction causing the transition raises instead (VMRUN's #GP). */
export interface InstructionFault {
  readonly vector: number;
  readonly errorCode: number;
}

export interface TransitionOutcome {
  readonly after: VcpuState;
  /** Stores to guest-physical memory. */
  readonly writes: readonly MemoryWrite[];
  /** Every consistency check that was evaluated. */
  readonly checks: readonly CheckResult[];
  /** Nothing else counts then: the instruction faults. */
  readonly fault?: InstructionFault;
  /** An event to deliver to the vCPU after the transition (EVENTINJ). */
  readonly inject?: { readonly type: 'external' | 'nmi' | 'exception' | 'software'; readonly vector: number; readonly errorCode?: number };
  /** What translations to forget: everything, or the non-global part. */
  readonly flush?: 'all' | 'non-global';
  /** The vCPU shuts down (triple fault), or user space must be told. */
  readonly stop?: 'shutdown' | 'internal-error';
  /** What the journal's row says, in the manual's names. */
  readonly detail: Readonly<Record<string, unknown>>;
}

export type Handler<Event> = (before: VcpuState, event: Event, context: Context) => TransitionOutcome;
