// How meanings of 128 bits become those of the VEX encoding: a first source of its own, 256 bits as two halves, scalars that take the rest of
// the vector from that source, zeros above the result. Used by the tables of this folder; nothing here knows an instruction.
import type { ImmediateOperand, Instruction, Operand } from '../../isa/instruction.ts';
import type { Meaning, Operands, Outcome, Shape } from '../outcome.ts';
import { and, constant, isZero, join, or, select, slice, truncate, unmasked, zeroExtend, type Expr, type Lane, type Width } from '../expr.ts';
import { PRECOMPUTATION } from '../softfloat.ts';
import { insertAt } from '../sse/packed.ts';

export const nothing = constant(1, 0);
export const isVector = (operand: Operand | undefined): boolean => operand?.kind === 'register' && operand.file === 'vector';

/** Half 0 or 1 of 256 bits; what is shorter belongs to both. */
export const halfOf = (value: Expr, part: 0 | 1): Expr => value.width === 256 ? slice(value, 128 * part, 128) : value;

/** The exceptions of two halves: what is detected before an operation keeps the rest from being reported when it is not masked. */
export const together = (low: Expr, high: Expr): Expr => {
  const all = or(low, high), early = and(all, constant(32, PRECOMPUTATION));
  return select(isZero(and(early, unmasked)), all, early);
};
/** The same for two halves, lower one first, as one result. */
export const pair = ([low, high]: readonly [Outcome, Outcome]): Outcome => ({
  result: join(high.result!, low.result!),
  ...(low.exceptions && { exceptions: together(low.exceptions, high.exceptions!) }),
  ...(low.reads && { reads: low.reads }),
});

/** The last immediate without its lowest bits: what the upper half reads where each half has bits of its own. */
function withoutLow({ operands, ...instruction }: Instruction, bits: number): Instruction {
  const at = operands.length - 1, immediate = operands[at] as ImmediateOperand;
  return { ...instruction, operands: operands.with(at, { kind: 'immediate', width: immediate.width, value: immediate.value >> BigInt(bits) }) };
}

/** Each half of 128 bits by itself. `bits`: of the immediate for each half; 0 where both read the same. */
export const eachHalf = (meaning: Meaning, bits = 0): Meaning => (operands, shape) => {
  if (!operands.some(({ width }) => width === 256)) return meaning(operands, shape);
  const half = (part: 0 | 1): Outcome => {
    const instruction = part === 1 && bits > 0 ? withoutLow(shape.instruction, bits) : shape.instruction;
    return meaning(operands.map(each => halfOf(each, part)) as unknown as Operands, { ...shape, instruction });
  };
  return pair([half(0), half(1)]);
};

/** The source is half as wide as the destination, or narrower: each half of the result is made of half the source. */
export const eachSourceHalf = (meaning: Meaning): Meaning => ([destination, source, ...rest], shape) => {
  if (destination.width < 256) return meaning([destination, source, ...rest], shape);
  const width = source.width / 2 as Width;
  const half = (part: 0 | 1): Outcome => meaning([halfOf(destination, part), slice(source, part * width, width), ...rest], shape);
  return pair([half(0), half(1)]);
};

/** The destination of the legacy instruction is the first source here, and what is written is another register. */
export const apart = (meaning: Meaning): Meaning => ([, first, second, third], { instruction, ...shape }) =>
  meaning([first, second, third, nothing], { ...shape, instruction: { ...instruction, operands: instruction.operands.slice(1) } });

/** The lowest lane of the first source and the second source give the lowest lane, the rest is that of the first source. */
export const scalar = (meaning: Meaning, lane: Lane): Meaning => ([, first, second], shape) => {
  const { result, ...outcome } = meaning([truncate(lane, first), second, nothing, nothing], shape);
  return { ...outcome, result: insertAt(first, result!, result!.width as Lane, 0) };
};

/** Zeros above what is written of a vector register; and memory operands at any address. */
export const vex = (meaning: Meaning): Meaning => (operands, shape: Shape) => {
  const { aligned: _, ...outcome } = meaning(operands, shape);
  if (!outcome.result || !isVector(shape.instruction.operands[0])) return outcome;
  return { ...outcome, result: outcome.result.width < 128 ? zeroExtend(128, outcome.result) : outcome.result, clears: 'aboveResult' };
};
/** Memory operands at addresses that are multiples of their width. */
export const aligned = (meaning: Meaning): Meaning => (operands, shape) => ({ ...meaning(operands, shape), aligned: true });
