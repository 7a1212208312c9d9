// Moves between general registers and memory, conversions of width, conditional moves and sets, LEA, XLAT. Meanings, called by the
// three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { MemoryOperand } from '../isa/instruction.ts';
import type { Meaning } from './outcome.ts';
import { address, byteSwap, condition, constant, load, plus, register, select, shiftRightSigned, signExtend, truncate, zeroExtend } from './expr.ts';

export const mov: Meaning = ([, source]) => ({ result: source });
export const movbe: Meaning = ([, source]) => ({ result: byteSwap(source) });
export const movzx: Meaning = ([destination, source]) => ({ result: zeroExtend(destination.width, source) });
export const movsx: Meaning = ([destination, source]) => ({ result: signExtend(destination.width, source) });
/** With an operand size of 16 it reads 32 bits all the same, and keeps 16. */
export const movsxd: Meaning = ([destination, source]) =>
  ({ result: destination.width < source.width ? truncate(destination.width, source) : signExtend(destination.width, source) });

export const lea: Meaning = ([destination], { instruction: { addressSize } }) => {
  const offset = address(1, addressSize);
  return { result: destination.width < addressSize ? truncate(destination.width, offset) : zeroExtend(destination.width, offset) };
};

/** The source is read, and 32-bit destinations are zero-extended, whether the condition holds or not. */
export const cmovcc: Meaning = ([destination, source], { instruction }) =>
  ({ result: select(condition(instruction.condition), source, destination) });
export const setcc: Meaning = (_operands, { instruction }) => ({ result: zeroExtend(8, condition(instruction.condition)) });

/** CBW, CWDE, CDQE. */
export const cbw: Meaning = (_operands, { instruction: { operandSize } }) =>
  ({ registers: { rax: signExtend(operandSize, register('rax', operandSize === 64 ? 32 : operandSize === 32 ? 16 : 8)) } });
/** CWD, CDQ, CQO. */
export const cwd: Meaning = (_operands, { instruction: { operandSize } }) =>
  ({ registers: { rdx: shiftRightSigned(register('rax', operandSize), constant(operandSize, operandSize - 1)) } });

/** The table's address is in rBX of the address size; the decoded memory operand names it and its segment. */
export const xlat: Meaning = (_operands, { instruction: { addressSize, operands } }) => {
  const offset = plus(address(1, addressSize), zeroExtend(addressSize, register('rax', 8)));
  return { result: load(8, (operands[1] as MemoryOperand).segment, offset) };
};
