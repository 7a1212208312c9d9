// Addition, subtraction and comparison, with and without carry, and the exchanges built on them. Meanings: pure functions from operand
// expressions to an outcome, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { Meaning, Outcome } from './outcome.ts';
import {
  and, constant, equal, flag, isZero, join, minus, negate, not, or, plus, register, select, signBit, truncate, slice, zeroExtend, address,
  type Expr, type Width,
} from './expr.ts';
import { additionFlags, borrowsOfSubtraction, carriesOfAddition, subtractionFlags } from './flags.ts';
import { wholeRegister } from './registers.ts';

export const add: Meaning = ([destination, source]) => {
  const result = plus(destination, source);
  return { result, flags: additionFlags(destination, source, result) };
};

export const adc: Meaning = ([destination, source]) => {
  const result = plus(plus(destination, source), zeroExtend(destination.width, flag('cf')));
  return { result, flags: additionFlags(destination, source, result) };
};

export const sub: Meaning = ([destination, source]) => {
  const result = minus(destination, source);
  return { result, flags: subtractionFlags(destination, source, result) };
};

export const sbb: Meaning = ([destination, source]) => {
  const result = minus(minus(destination, source), zeroExtend(destination.width, flag('cf')));
  return { result, flags: subtractionFlags(destination, source, result) };
};

export const cmp: Meaning = ([destination, source]) =>
  ({ flags: subtractionFlags(destination, source, minus(destination, source)) });

/** CF keeps its value. */
export const inc: Meaning = ([destination]) => {
  const one = constant(destination.width, 1), result = plus(destination, one);
  return { result, flags: { result, carries: carriesOfAddition(destination, one, result), cf: flag('cf') } };
};

export const dec: Meaning = ([destination]) => {
  const one = constant(destination.width, 1), result = minus(destination, one);
  return { result, flags: { result, carries: borrowsOfSubtraction(destination, one, result), cf: flag('cf') } };
};

/** 0 - destination: every bit at or above the lowest one of the destination borrows. */
export const neg: Meaning = ([destination]) => {
  const result = negate(destination);
  return { result, flags: { result, carries: or(destination, result) } };
};

/** ADX: addition through one flag, the others untouched. */
const addThrough = (name: 'cf' | 'of'): Meaning => ([destination, source]) => {
  const result = plus(plus(destination, source), zeroExtend(destination.width, flag(name)));
  return { result, flags: { [name]: signBit(carriesOfAddition(destination, source, result)) } };
};
export const adcx = addThrough('cf');
export const adox = addThrough('of');

export const xadd: Meaning = ([destination, source]) => {
  const result = plus(destination, source);
  return { result, second: destination, flags: additionFlags(destination, source, result) };
};

export const xchg: Meaning = ([destination, source]) => ({ result: source, second: destination });

/** When the comparison fails the destination is written back, and when it succeeds the accumulator is left alone: of 32-bit operands each
 * keeps its upper half then (Zen 4, native vectors). */
export const cmpxchg: Meaning = ([destination, source], shape) => {
  const { width } = destination;
  const accumulator = register('rax', width), difference = minus(accumulator, destination), same = equal(accumulator, destination);
  const flags = subtractionFlags(accumulator, destination, difference);
  if (width !== 32) return { result: select(same, source, destination), registers: { rax: select(same, accumulator, destination) }, flags };
  const whole = wholeRegister(shape.instruction.operands[0]!);
  return {
    result: whole ? select(same, zeroExtend(64, source), whole) : select(same, source, destination),
    registers: { rax: select(same, register('rax', 64), zeroExtend(64, destination)) },
    flags,
  };
};

/** CMPXCHG8B and CMPXCHG16B: rDX:rAX against memory, rCX:rBX goes there. Only ZF changes. */
function compareDouble(memory: Expr, half: Width): Outcome {
  const low = truncate(half, memory), high = slice(memory, half, half);
  const same = and(equal(register('rax', half), low), equal(register('rdx', half), high));
  const keepOr = (name: 'rax' | 'rdx', value: Expr): Expr => select(same, register(name, 64), zeroExtend(64, value));
  return {
    result: select(same, join(register('rcx', half), register('rbx', half)), memory),
    registers: { rax: keepOr('rax', low), rdx: keepOr('rdx', high) },
    flags: { zf: same },
  };
}
export const cmpxchg8b: Meaning = ([memory]) => compareDouble(memory, 32);
/** The memory operand must be aligned (APM Vol. 3, "CMPXCHG16B"). */
export const cmpxchg16b: Meaning = ([memory], { instruction }) => {
  const low = and(address(0, instruction.addressSize), constant(instruction.addressSize, 15));
  return { ...compareDouble(memory, 64), fault: { when: not(isZero(low)), vector: 13 } };
};
