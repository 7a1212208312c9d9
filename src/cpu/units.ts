// Whether an instruction of the vector units can execute at all, by the control bits that the operating system sets: asked once for decoded
// code (the mode key holds these bits) and by the reference for every instruction. It must not know what an instruction does.
import type { Instruction } from '../isa/instruction.ts';
import type { Units } from './mode.ts';

const UD = 6, NM = 7;
/** SSE instructions without a vector register among their operands, and MMX instructions likewise. */
const sseByName: ReadonlySet<string> = new Set(['LDMXCSR', 'STMXCSR']), mmxByName: ReadonlySet<string> = new Set(['EMMS', 'FEMMS']);
/** Likewise with a VEX prefix. Of those with a vector register the name begins with V; CR0.EM does not matter to them. */
const avxByName: ReadonlySet<string> = new Set(['VZEROUPPER', 'VZEROALL', 'VLDMXCSR', 'VSTMXCSR']);
/** Those with a VEX or XOP prefix that work on general registers alone. */
const generalWithVex: ReadonlySet<string> = new Set([
  'ANDN', 'BEXTR', 'BLSI', 'BLSMSK', 'BLSR', 'BZHI', 'MULX', 'PDEP', 'PEXT', 'RORX', 'SARX', 'SHLX', 'SHRX',
  'BLCFILL', 'BLCI', 'BLCIC', 'BLCMSK', 'BLCS', 'BLSFILL', 'BLSIC', 'T1MSKC', 'TZMSK',
]);

/** An MMX register is named: the instruction leaves the x87 stack full, with TOP 0, and waits for x87 exceptions (APM Vol. 5, 2.1). */
export const usesMmx = (instruction: Instruction): boolean => mentions(instruction, 'mmx');

const mentions = ({ operands }: Instruction, file: 'vector' | 'mmx'): boolean =>
  operands.some((operand) => operand.kind === 'register' && operand.file === file);

/** The vector of the exception that the instruction raises instead of executing, or 0 (APM Vol. 2, 11.3.1 to 11.3.3 and Vol. 4, 1.2). */
export function unitFault(instruction: Instruction, { emulated, switched, fxsr, avx, real }: Units): number {
  const { mnemonic } = instruction;
  if (real && generalWithVex.has(mnemonic)) return UD;
  if (avxByName.has(mnemonic) || (mnemonic.startsWith('V') && mentions(instruction, 'vector'))) return avx ? switched ? NM : 0 : UD;
  const sse = sseByName.has(mnemonic) || mentions(instruction, 'vector');
  if (!sse && !mmxByName.has(mnemonic) && !mentions(instruction, 'mmx')) return 0;
  if (emulated || (sse && !fxsr)) return UD;
  return switched ? NM : 0;
}
