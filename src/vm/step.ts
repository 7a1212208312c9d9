// What the run loop has to know of a system instruction before it runs, as one record: worked out once, when the instruction is decoded.
// Called by `run.ts`; it executes nothing.
import type { SystemStep } from '../cpu/engine.ts';
import type { Instruction } from '../isa/instruction.ts';
import { systemInstruction, type SystemInstruction } from '../system/index.ts';

export interface Step extends SystemStep {
  readonly execute: SystemInstruction;
  /** Another way than to call `execute`, in some states. */
  readonly way: 'usual' | 'in' | 'out' | 'pause' | 'time' | 'rsm' | 'vmrun';
  /** Whether TF, clear behind it, keeps it from trapping: INT n and its like clear it themselves. */
  readonly trap: 'usual' | 'never' | 'by-flags';
  /** A guest leaves to KVM for it, which takes time. */
  readonly exits: boolean;
  /** CR8 and the APIC base are the local APIC's too. */
  readonly reachesApic: boolean;
  /** The TLB is coherent, so it changes nothing that code depends on. */
  readonly keepsCode: boolean;
}
const EXITING = new Set(['CPUID', 'VMCALL', 'VMMCALL', 'MOVCR', 'RDMSR', 'WRMSR', 'IN', 'OUT', 'HLT', 'WBINVD', 'INVD', 'XSETBV', 'VMRUN']);
const ways: Readonly<Record<string, Step['way']>> = { IN: 'in', OUT: 'out', PAUSE: 'pause', RDTSC: 'time', RSM: 'rsm', VMRUN: 'vmrun' };
const traps: Readonly<Record<string, Step['trap']>> = { INT: 'never', INT3: 'never', INTO: 'never', INT1: 'never', SYSCALL: 'by-flags' };

export const prepare = (instruction: Instruction): Step => {
  const { mnemonic } = instruction;
  return {
    instruction, execute: systemInstruction(instruction), way: ways[mnemonic] ?? 'usual', trap: traps[mnemonic] ?? 'usual', exits: EXITING.has(mnemonic),
    reachesApic: mnemonic === 'MOVCR' || mnemonic === 'WRMSR', keepsCode: mnemonic === 'INVLPG' || mnemonic === 'CLAC' || mnemonic === 'STAC',
  };
};
