// What the run loop has to know of a system instruction before it runs, as one record: worked out once, when the instruction is decoded.
// Called by `run.ts`; it executes nothing.
import type { SystemStep } from '../cpu/engine.ts';
import { placeOf } from '../cpu/state.ts';
import type { Instruction, Operand } from '../isa/instruction.ts';
import type { PortSize } from './exits.ts';
import { systemInstruction, type SystemInstruction } from '../system/index.ts';

export interface Step extends SystemStep {
  readonly execute: SystemInstruction;
  /** Another way than to call `execute`, in some states. */
  readonly way: 'usual' | 'port' | 'pause' | 'time' | 'control' | 'rsm' | 'vmrun';
  /** What IN and OUT name: a port number, or -1 for DX. */
  readonly port: { readonly fixed: number; readonly size: PortSize; readonly isInput: boolean } | undefined;
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
const ways: Readonly<Record<string, Step['way']>> = { IN: 'port', OUT: 'port', PAUSE: 'pause', RDTSC: 'time', RSM: 'rsm', VMRUN: 'vmrun' };
const traps: Readonly<Record<string, Step['trap']>> = { INT: 'never', INT3: 'never', INTO: 'never', INT1: 'never', SYSCALL: 'by-flags' };

const isTaskPriority = (operand: Operand | undefined): boolean => operand?.kind === 'register' && operand.file === 'control' && operand.number === 8;
/** MOV from a control register that is a plain word of the vCPU file. */
const readsControl = ({ mnemonic, operands: [, source] }: Instruction): boolean =>
  mnemonic === 'MOVCR' && source?.kind === 'register' && source.file === 'control' && source.number in controlWords;
export const controlWords: Readonly<Record<number, number>> = { 2: placeOf('cr2') >> 2, 3: placeOf('cr3') >> 2, 4: placeOf('cr4') >> 2 };

function portOf({ mnemonic, operands }: Instruction): Step['port'] {
  if (mnemonic !== 'IN' && mnemonic !== 'OUT') return undefined;
  const isInput = mnemonic === 'IN', which = operands[isInput ? 1 : 0]!, value = operands[isInput ? 0 : 1]!;
  return { fixed: which.kind === 'immediate' ? Number(which.value) : -1, size: value.width >> 3 as PortSize, isInput };
}

export const prepare = (instruction: Instruction): Step => {
  const { mnemonic } = instruction;
  return {
    instruction, execute: systemInstruction(instruction), way: readsControl(instruction) ? 'control' : ways[mnemonic] ?? 'usual', port: portOf(instruction), trap: traps[mnemonic] ?? 'usual', exits: EXITING.has(mnemonic),
    reachesApic: (mnemonic === 'MOVCR' && isTaskPriority(instruction.operands[0])) || mnemonic === 'WRMSR', keepsCode: mnemonic === 'INVLPG' || mnemonic === 'CLAC' || mnemonic === 'STAC',
  };
};
