// Near transfers of control. Meanings, called by the three readings through `index.ts`; far ones, interrupts and returns from them are in
// `system/`. A target is an offset of the operand size; whether it may be taken is checked by the reader. APM Vol. 3, chapter 3.
import type { Meaning } from './outcome.ts';
import { and, condition, constant, flag, isZero, minus, nextIp, not, register, truncate, zeroExtend, type Expr } from './expr.ts';
import { popped, pushed } from './stack.ts';

export const jmp: Meaning = ([target]) => ({ branch: { target } });
export const jcc: Meaning = ([target], { instruction }) => ({ branch: { target, when: condition(instruction.condition) } });

/** A target in memory or in rSP is read before the push. */
export const call: Meaning = ([target], shape) => ({ ...pushed(nextIp(shape.instruction.operandSize), shape), branch: { target } });

/** RET with an immediate releases so many bytes more. */
export const ret: Meaning = ([release], shape) => {
  const { instruction: { operandSize, operands }, stackSize } = shape;
  const more = operands.length === 0 ? undefined : stackSize < release.width ? truncate(stackSize, release) : zeroExtend(stackSize, release);
  const { value, rsp } = popped(operandSize, shape, more);
  return { registers: { rsp }, branch: { target: value } };
};

/** The count is rCX of the address size, and no flag changes. */
const loopWhile = (also?: Expr): Meaning => ([target], { instruction: { addressSize } }) => {
  const count = minus(register('rcx', addressSize), constant(addressSize, 1));
  const more = not(isZero(count));
  return { registers: { rcx: count }, branch: { target, when: also ? and(more, also) : more } };
};
export const loop = loopWhile();
export const loope = loopWhile(flag('zf'));
export const loopne = loopWhile(not(flag('zf')));

export const jcxz: Meaning = ([target], { instruction: { addressSize } }) =>
  ({ branch: { target, when: isZero(register('rcx', addressSize)) } });
