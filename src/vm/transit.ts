// World switches: calls a pure handler with the active vCPU as a value and read-only memory, then applies what it says: the new state, the
// stores. Called by `run.ts` for VMRUN, #VMEXIT, SMI, RSM, INIT and shutdown; what a handler decides is its own.
import { placeOf, type Cpu } from '../cpu/state.ts';
import { applyVcpu, borrowVcpu, lendStates } from '../cpu/vcpu-state.ts';
import { PAGE_SIZE } from '../memory/addresses.ts';
import { hostOfPage, NORMAL_SPACE, pageOfEntry, READ_ONLY_FRAME, SMM_SPACE, withoutA20, type FrameEntry, type Ram } from '../memory/ram.ts';
import type { Capabilities } from '../model/capabilities.ts';
import type { CheckResult } from '../transitions/check.ts';
import type { Context, Handler, MemoryWrite, ReadonlyMemory, TransitionOutcome } from '../transitions/outcome.ts';

const GUEST_MODE = placeOf('guestMode') >> 2, SMM = placeOf('smm') >> 2;

export interface Transition {
  readonly kind: string;
  /** Where the vCPU was before: 2 in a nested guest, and whether it was in system-management mode. */
  readonly level: 1 | 2;
  readonly smm: boolean;
  readonly detail: Readonly<Record<string, unknown>>;
  /** Every consistency check that was evaluated: for whoever explains; the detail names those that failed. */
  readonly checks: readonly CheckResult[];
}

export interface TransitParts {
  readonly cpu: Cpu;
  readonly ram: Ram;
  readonly capability: Capabilities;
  /** Whether the A20 gate masks what the vCPU accesses outside system-management mode. */
  masksA20(): boolean;
  /** Stores bytes in a page of RAM, keeping code and tables right. */
  storePhysical(page: number, offset: number, bytes: Uint8Array): void;
  /** The active vCPU is another state now. */
  onSwitch(): void;
  onTransition(transition: Transition): void;
}

/** What a transition leaves behind: its states and copies of memory are gone. */
export type TransitResult = Pick<TransitionOutcome, 'fault' | 'stop' | 'inject'>;
/** Makes a transition and tells it, with the checks that failed. */
export type Transit = <Event>(kind: string, handler: Handler<Event>, event: Event) => TransitResult;

export function createTransit({ cpu, ram, capability, masksA20, storePhysical, onSwitch, onTransition }: TransitParts): Transit {
  const { u8, u32 } = cpu, file = borrowVcpu(cpu);
  const context: Context = {
    capability, memory: readonlyMemory(ram.entryOfFrame),
    outside: readonlyMemory((frame) => ram.entryIn(NORMAL_SPACE, masksA20() ? withoutA20(frame) : frame)),
  };

  /** Copies of memory that a transition asked for: their room is used again by the next, which mostly asks for the same lengths. */
  const copies: Uint8Array[] = [];
  let copied = 0;
  function newCopy(length: number): Uint8Array {
    const place = copied++, known = copies[place];
    return known?.length === length ? known : copies[place] = new Uint8Array(new ArrayBuffer(length + 7 & ~7), 0, length);
  }

  // A view is dearer than the copy, and mostly it is the same part of memory again.
  let partHost = 0, part = u8.subarray(0, 0);
  function memoryAt(host: number, length: number): Uint8Array {
    if (host !== partHost || length !== part.length) {
      partHost = host;
      part = u8.subarray(host, host + length);
    }
    return part;
  }
  /** A copy of guest-physical memory, or undefined where a part of it is not RAM. */
  function readonlyMemory(entryOf: (frame: number) => FrameEntry): ReadonlyMemory {
    function readBytes(physical: number, length: number): Uint8Array | undefined {
      const bytes = newCopy(length);
      for (let at = 0; at < length;) {
        const offset = (physical + at) % PAGE_SIZE, part = Math.min(PAGE_SIZE - offset, length - at);
        const entry = entryOf(Math.floor((physical + at) / PAGE_SIZE));
        if (entry === 0) return undefined;
        bytes.set(memoryAt(hostOfPage(pageOfEntry(entry)) + offset, part), at);
        at += part;
      }
      return bytes;
    }
    const viewOf = (bytes: Uint8Array | undefined): DataView | undefined => bytes === undefined ? undefined : new DataView(bytes.buffer, bytes.byteOffset);
    return {
      readBytes,
      read32(physical) {
        if (physical % 4 !== 0) return viewOf(readBytes(physical, 4))?.getUint32(0, true);
        const entry = entryOf(Math.floor(physical / PAGE_SIZE));
        return entry === 0 ? undefined : u32[hostOfPage(pageOfEntry(entry)) + physical % PAGE_SIZE >>> 2];
      },
      read64: (physical) => viewOf(readBytes(physical, 8))?.getBigUint64(0, true),
    };
  }

  /** Nothing is stored where no RAM is. */
  function storeBytes({ physical, bytes, smram }: MemoryWrite): void {
    for (let at = 0; at < bytes.length;) {
      const offset = (physical + at) % PAGE_SIZE, part = Math.min(PAGE_SIZE - offset, bytes.length - at), frame = Math.floor((physical + at) / PAGE_SIZE);
      const entry = smram === true ? ram.entryIn(SMM_SPACE, frame) : ram.entryOfFrame(frame);
      if (entry !== 0 && entry < READ_ONLY_FRAME) storePhysical(pageOfEntry(entry), offset, part === bytes.length ? bytes : bytes.subarray(at, at + part));
      at += part;
    }
  }

  let lastChecks: readonly CheckResult[] = [], lastFailed: readonly string[] = [];
  /** A hypervisor that enters the same guest again gets the same answers. */
  function failedOf(checks: readonly CheckResult[]): readonly string[] {
    if (checks !== lastChecks) {
      lastChecks = checks;
      lastFailed = checks.filter(({ passed }) => !passed).map(({ id }) => id);
    }
    return lastFailed;
  }

  return (kind, handler, event) => {
    const level = u32[GUEST_MODE] === 0 ? 1 : 2, smm = u32[SMM] !== 0;
    const { checks, detail, fault, stop, inject } = lendStates(() => {
      const outcome = handler(file, event, context);
      for (const write of outcome.writes) storeBytes(write);
      if (outcome.after !== file) {
        applyVcpu(file, outcome.after);
        onSwitch();
      }
      return outcome;
    });
    copied = 0;
    const failed = failedOf(checks);
    onTransition({ kind, level, smm, detail: failed.length === 0 ? detail : { ...detail, failed }, checks });
    return { fault, stop, inject };
  };
}
