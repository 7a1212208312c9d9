// PUSH, POP, LEAVE. Meanings, called by the three readings through `index.ts`; those that store more than once are in `system/`.
// The stack pointer has the width of the stack segment; the values have the operand size. APM Vol. 3, chapter 3.
import type { Meaning, Outcome, Shape } from './outcome.ts';
import { constant, load, minus, plus, register, type Expr, type Width } from './expr.ts';

/** Stores `value` on the stack: part of the outcome of PUSH and CALL. */
export function pushed(value: Expr, { stackSize }: Shape): Outcome {
  const pointer = minus(register('rsp', stackSize), constant(stackSize, value.width / 8));
  return { store: { segment: 'ss', address: pointer, value }, registers: { rsp: pointer } };
}

/** The value at the top of the stack, and the stack pointer behind it and `more` bytes. */
export function popped(width: Width, { stackSize }: Shape, more: Expr = constant(stackSize, 0)): { value: Expr; rsp: Expr } {
  const top = register('rsp', stackSize);
  const behind = plus(top, constant(stackSize, width / 8));
  return { value: load(width, 'ss', top), rsp: more.kind === 'constant' && more.value === 0n ? behind : plus(behind, more) };
}

/** PUSH rSP stores the old value (APM Vol. 3, "PUSH"). */
export const push: Meaning = ([source], shape) => pushed(source, shape);

/** POP rSP ends with the popped value: the result is written after the implied registers. */
export const pop: Meaning = (_operands, shape) => {
  const { value, rsp } = popped(shape.instruction.operandSize, shape);
  return { result: value, registers: { rsp } };
};

export const leave: Meaning = (_operands, { instruction: { operandSize }, stackSize }) => {
  const frame = register('rbp', stackSize);
  return { registers: { rsp: plus(frame, constant(stackSize, operandSize / 8)), rbp: load(operandSize, 'ss', frame) } };
};
