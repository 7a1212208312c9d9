// The seam between the run loop and the readings of the instruction set. Three engines implement `Engine` (reference,
// interpreter, translator on top of the interpreter); the run loop (`vm/run.ts`) implements `Services` and cannot tell
// them apart: same stops, same counts, same state at every stop.
import type { Instruction } from '../isa/instruction.ts';

/** Why `Engine.run` came back. RIP is exact in every case. */
export const Stop = {
  /** The budget is used up. */
  budget: 0,
  /** The instruction at RIP faulted: `faultVector`, `faultErrorCode` and `faultAddress` of the vCPU file say how. Nothing was committed. */
  fault: 1,
  /** `Services.system` asked to stop after the instruction that it did (HLT, a change that the run loop must look at). It has retired. */
  attention: 2,
  /** The instruction at RIP needs user space (port or MMIO read). It has not retired and is executed again with the answer. */
  userspace: 3,
} as const;
export type Stop = (typeof Stop)[keyof typeof Stop];

export interface Engine {
  /** Runs from the vCPU file's state until a stop. `cpu.budget` holds the number of instructions that may retire (at least 1, below 2^31)
   * and is counted down; each element of a repeated string instruction counts as one. Lazy flags may be in any form afterwards. `sameMode`:
   * nothing that `cpu/mode.ts` reads has changed since the last run. */
  run(sameMode?: boolean): Stop;
  /** The mapping of code changed for this vCPU (CR3, paging mode, INVLPG, privilege…): forget linear addresses, keep decoded pages. */
  flushAddresses(): void;
  /** Linear addresses mean something else from now on. `space`: a small number for what; `known`: all that held there when another space was
   * entered still holds. */
  enterSpace(space: number, known: boolean): void;
  /** RAM bytes that held decoded code were written: drop what was decoded from them. */
  invalidateCode(ramOffset: number, length: number): void;
  /** Everything decoded is stale (other model, restored snapshot). */
  reset(): void;
  /** Delivers an exception or interrupt as `cpu/transfers.ts` remembers it, if that still holds: `entry` there, the RFLAGS image to push, the
   * error code, and its size on the stack, 8 or 0. Returns 0 when nothing was done. Absent: nothing is ever done. */
  readonly redeliver?: (entry: number, flags: number, errorCode: number, codeBytes: number) => number;
}

/** Access code of a slow memory access: the number of bytes, plus these. */
export const Access = {
  write: 0x100,
  /** `slowOffset` and `slowSegment` are given instead of `slowLinear`: limit and type checks come first. */
  checkSegment: 0x200,
  /** Only raise what a write would raise. */
  probe: 0x400,
  /** A stack access (or based on rSP, rBP): a non-canonical address is #SS(0), not #GP(0). */
  stack: 0x800,
  /** An implicit supervisor access, whatever CPL is. */
  supervisor: 0x1000,
  /** 16 bytes or more that must be aligned: else #GP(0). */
  aligned: 0x2000,
  /** With `aligned`: not when MXCSR.MM is set. */
  lenient: 0x4000,
} as const;

/** How a slow write ended. */
export const Written = {
  /** Nothing was stored: `Services.failure` says which stop. */
  failed: 0,
  done: 1,
  /** Stored, and decoded code or the mapping of code changed: finish this instruction, then look RIP up again. */
  relook: 2,
  /** Stored, and the run loop wants to look: finish this instruction, then leave with `Stop.attention`. */
  attention: 3,
} as const;
export type Written = (typeof Written)[keyof typeof Written];

/** A system instruction that `Services.prepare` has looked at. */
export interface SystemStep { readonly instruction: Instruction }

/** Whenever one of these is called in the middle of an instruction, `cpu.rip` is at that instruction and `cpu.budget` already counts it as
 * retired (so `icount` is what it will be behind it); an engine that then leaves with `fault` or `userspace` gives it back. */
export interface Services {
  /** A read that the TLB probe did not settle. In: `slowLinear`. Returns the host address of the bytes (perhaps of a copy in the
   * `slowValue` area), or 0: then `failure` says which stop. */
  readSlow(access: number): number;
  /** Likewise for a write; the value is in the `slowValue` area. */
  writeSlow(access: number): Written;
  /** What there is to know about a system instruction before it runs, worked out once when it is decoded. */
  prepare(instruction: Instruction): SystemStep;
  /** Does a system instruction: `cpu.nextRip` is behind it. On success it has set RIP itself. */
  system(step: SystemStep): Done;
  /** Translates CS:RIP + `ahead` for fetching (limit, canonical, paging with execute permission). Returns the RAM offset of that byte, or
   * -1: the fault is in the vCPU file, or -2: it lies outside RAM. `ahead` is 0, or up to 14 when an instruction crosses a page. */
  fetch(ahead: number): number;
  /** `length` bytes at `ramOffset` hold decoded code from now on: data writes to them must reach `Engine.invalidateCode`. */
  markCode(ramOffset: number, length: number): void;
  /** What the last failed `readSlow` or `writeSlow` came to. */
  readonly failure: typeof Stop.fault | typeof Stop.userspace;
}

/** How a system instruction ended. */
export const Done = {
  /** RIP is the next instruction; mode, mapping and privilege are unchanged: the engine may go on in the block. */
  next: 0,
  /** It retired, but RIP or something about the mode or mapping changed: look RIP up again. */
  moved: 1,
  /** It retired, and the run loop wants to look: leave with `Stop.attention`. */
  attention: 2,
  /** It faulted; nothing was committed, the budget is given back: leave with `Stop.fault`. */
  fault: 3,
  /** It needs user space and will be executed again: give the budget back, leave with `Stop.userspace`. */
  userspace: 4,
  /** One element of a repeated INS/OUTS was done and more remain: it retired, RIP stays. */
  repeat: 5,
} as const;
export type Done = (typeof Done)[keyof typeof Done];
