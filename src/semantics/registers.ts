// Registers as the meanings name them: the whole of a register operand, and the parts that shift counts and high bytes come from.
// Used by the meanings only.
import type { Operand } from '../isa/instruction.ts';
import { generalRegisters, register, type Expr } from './expr.ts';

/** All 64 bits of a general-register operand, whatever its width; undefined for memory. */
export function wholeRegister(operand: Operand): Expr | undefined {
  return operand.kind === 'register' && operand.file === 'general' ? register(generalRegisters[operand.number]!, 64) : undefined;
}
