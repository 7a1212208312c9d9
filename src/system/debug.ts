// Debug exceptions: what causes them, what DR6 then says, and which accesses hit a breakpoint (APM Vol. 2, 13.1). The run loop asks the
// matching helpers; event delivery records the causes. Whether a trap is due, and when, is the run loop's to decide.
import { CR4, cr4Of, DR6, DR7 } from '../cpu/controls.ts';
import { placeOf, type Cpu } from '../cpu/state.ts';
import type { Machine } from './machine.ts';

/** DebugCtl bits that a #DB clears (APM Vol. 2, 13.1.1.6). */
export const DEBUGCTL = { LBR: 1n, BTF: 2n } as const;

/** Bits of DR6 that read as 1 until their cause happens. */
const ACTIVE_LOW = BigInt(DR6.BLD | DR6.RTM);
const BREAKPOINTS = 0xfn;
const DR7_WORD = placeOf('dr7') >> 2, ENABLES = 0xff;

/** A #DB is about to be delivered: DR6 takes `causes` (in DR6's layout; BLD and RTM set mean "happened"), general detect goes off so that
 * the handler may use the debug registers, and branch recording stops. */
export function recordDebugCauses(machine: Machine, causes: bigint): void {
  const { cpu } = machine;
  cpu.dr6 = (cpu.dr6 & ~BREAKPOINTS | ACTIVE_LOW | causes & ~ACTIVE_LOW) & ~(causes & ACTIVE_LOW);
  cpu.debugCtl &= ~(DEBUGCTL.LBR | DEBUGCTL.BTF);
  if (cpu.dr7 & BigInt(DR7.GD)) {
    cpu.dr7 &= ~BigInt(DR7.GD);
    machine.debugRegistersChanged();
  }
}

export const BreakOn = { execute: 0, write: 1, port: 2, readOrWrite: 3 } as const;
const lengths = [1, 2, 8, 4] as const;

const conditionOf = (dr7: number, index: number): number => dr7 >>> (16 + 4 * index) & 3;
const lengthOf = (dr7: number, index: number): number => lengths[dr7 >>> (18 + 4 * index) & 3]!;
const isEnabled = (dr7: number, index: number): boolean => (dr7 >>> (2 * index) & 3) !== 0;

/** Which conditions some enabled breakpoint waits for: a bit per `BreakOn` value. 0: nothing needs watching. */
export function watchedConditions(cpu: Cpu): number {
  const dr7 = cpu.u32[DR7_WORD]!;
  if ((dr7 & ENABLES) === 0) return 0;
  let conditions = 0;
  for (let index = 0; index < 4; index++) if (isEnabled(dr7, index)) conditions |= 1 << conditionOf(dr7, index);
  return (cr4Of(cpu) & CR4.DE) !== 0 ? conditions : conditions & ~(1 << BreakOn.port);
}

const addressOf = (cpu: Cpu, index: number): bigint => index === 0 ? cpu.dr0 : index === 1 ? cpu.dr1 : index === 2 ? cpu.dr2 : cpu.dr3;

/** DR6 bits of the enabled breakpoints of these conditions that touch `length` bytes at `address`. The low bits of a breakpoint's address
 * that its length covers are ignored (APM Vol. 2, 13.1.2.2). */
function matching(cpu: Cpu, conditions: number, address: bigint, length: number): number {
  const dr7 = cpu.u32[DR7_WORD]!;
  let hits = 0;
  for (let index = 0; index < 4; index++) {
    if (!isEnabled(dr7, index) || (conditions >>> conditionOf(dr7, index) & 1) === 0) continue;
    const size = BigInt(lengthOf(dr7, index)), first = addressOf(cpu, index) & -size;
    if (address < first + size && address + BigInt(length) > first) hits |= 1 << index;
  }
  return hits;
}

/** Instruction breakpoints at the linear address of an instruction; a fault before it, unless RF is set. */
export const executeBreakpoints = (cpu: Cpu, linear: bigint): number => matching(cpu, 1 << BreakOn.execute, linear, 1);
/** Data breakpoints hit by an access; a trap after the instruction. */
export const dataBreakpoints = (cpu: Cpu, linear: bigint, length: number, write: boolean): number =>
  matching(cpu, 1 << BreakOn.readOrWrite | (write ? 1 << BreakOn.write : 0), linear, length);
/** I/O breakpoints; only with CR4.DE. */
export const portBreakpoints = (cpu: Cpu, port: number, size: number): number =>
  (cr4Of(cpu) & CR4.DE) === 0 ? 0 : matching(cpu, 1 << BreakOn.port, BigInt(port), size);

/** Adds causes for the #DB trap that the run loop raises when the instruction has retired. */
export function latchDebugCauses(cpu: Cpu, causes: number): void {
  if (causes !== 0) cpu.pendingDebug |= BigInt(causes);
}
