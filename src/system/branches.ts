// Control-transfer recording: DebugCtl.LBR and the four registers that name the last branch and the last branch before an interrupt or
// exception (APM Vol. 2, 13.1.1.6 and 13.1.1.7). While LBR is set `vm/run.ts` lets every instruction run by itself and tells this file what
// it was; single steps that wait for a branch (DebugCtl.BTF) ask the same question. Hot code never records anything.
import type { Instruction } from '../isa/instruction.ts';
import { placeOfMsr } from '../cpu/msrs.ts';
import type { Cpu } from '../cpu/state.ts';

const BRANCH_FROM = placeOfMsr('lastBranch', 0), BRANCH_TO = placeOfMsr('lastBranch', 1), EVENT_FROM = placeOfMsr('lastBranch', 2), EVENT_TO = placeOfMsr('lastBranch', 3);

/** Taken whenever they retire. */
const always: ReadonlySet<string> = new Set(['JMP', 'CALL', 'RET', 'JMPF', 'CALLF', 'RETF', 'IRET', 'SYSCALL', 'SYSRET', 'SYSENTER', 'SYSEXIT', 'INT', 'INT1', 'INT3', 'INTO']);
/** Taken when RIP is not behind them. One that jumps to the next instruction counts as not taken. */
const sometimes: ReadonlySet<string> = new Set(['JCC', 'LOOP', 'LOOPE', 'LOOPNE', 'JCXZ']);
const interrupts: ReadonlySet<string> = new Set(['INT', 'INT1', 'INT3', 'INTO']);

/** Whether an instruction that has just retired transferred control: it was at `from`, and RIP is where execution goes on. */
export function hasBranched(cpu: Cpu, { mnemonic, length }: Instruction, from: bigint): boolean {
  if (mnemonic === 'INTO') return cpu.rip !== from + BigInt(length);
  return always.has(mnemonic) || (sometimes.has(mnemonic) && cpu.rip !== from + BigInt(length));
}

/** RIP is where the transfer went. The registers hold offsets in the code segment. */
export function recordBranch(cpu: Cpu, { mnemonic }: Instruction, from: bigint): void {
  if (interrupts.has(mnemonic)) recordEvent(cpu, from);
  else setBranch(cpu, from);
}

/** An interrupt or exception was delivered: the last branch before it moves to the second pair of registers. */
export function recordEvent(cpu: Cpu, from: bigint): void {
  cpu.u64[EVENT_FROM] = cpu.u64[BRANCH_FROM]!;
  cpu.u64[EVENT_TO] = cpu.u64[BRANCH_TO]!;
  setBranch(cpu, from);
}

function setBranch(cpu: Cpu, from: bigint): void {
  cpu.u64[BRANCH_FROM] = from;
  cpu.u64[BRANCH_TO] = cpu.rip;
}
