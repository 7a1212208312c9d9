// What decoded instructions have in common: a shape is everything that a handler is built from, so that a handler serves all instructions
// of one shape and the record holds the rest (register numbers, immediates, displacements). Called by `blocks.ts` for every decoded
// instruction; it emits nothing.
import { isGuardedTransfer, type Mode } from '../cpu/mode.ts';
import { placeOfRegister } from '../cpu/state.ts';
import { unitFault } from '../cpu/units.ts';
import type { Instruction, MemoryOperand, Operand, SegmentName } from '../isa/instruction.ts';
import { constant, operand, type Expr, type Width } from '../semantics/expr.ts';
import { displacementOf, meaningOf } from '../semantics/index.ts';
import type { Operands, Outcome } from '../semantics/outcome.ts';

/** How a segment enters an address: `flat` not at all, `code` neither, but what it writes is looked at closely, `base` by its base (FS and GS in
 * 64-bit mode), `checked` by base and limit. */
export type Segmentation = 'flat' | 'code' | 'base' | 'checked';

export function segmentation(segment: SegmentName, mode: Mode): Segmentation {
  const rare = segment === 'fs' || segment === 'gs';
  if (mode.codeSize === 64) return rare ? 'base' : 'flat';
  if (rare) return 'checked';
  if (segment === 'cs') return mode.flatCode ? 'code' : 'checked';
  return mode.flatData ? 'flat' : 'checked';
}

export interface Shape {
  readonly key: string;
  /** The first instruction seen of this shape: only what all have in common may be read from it. */
  readonly instruction: Instruction;
  readonly mode: Mode;
  readonly outcome: Outcome;
  /** Added to the offset of memory operand 0. */
  readonly displacement: Expr | undefined;
  /** The branch, if any, has a target that is known and need not be checked. */
  readonly direct: boolean;
}

const nothing = constant(1, 0);
/** A memory operand of which only the address counts has no value, nor has a register that only system instructions read. */
const widthOf = (each: Operand): number => each.kind === 'register' && each.file !== 'general' && placeOfRegister(each.file, 0) === 0 ? 0 : each.width;

/** Constant address: absolute, or relative to RIP. */
export const isConstantAddress = (each: MemoryOperand): boolean => each.ripRelative || (each.base < 0 && each.index < 0);

/** String instructions have two memory operands, of which the record has no room: their registers are part of the shape. */
export const isImplied = (instruction: Instruction): boolean => instruction.operands.filter(({ kind }) => kind === 'memory').length > 1;

function operandKey(each: Operand, instruction: Instruction, mode: Mode): string {
  switch (each.kind) {
    case 'register': return each.file === 'general' ? `r${each.width}` : `${each.file}${each.width}`;
    case 'immediate': return `i${each.width}`;
    case 'relative': return `j${each.width}`;
    case 'far': return 'far';
    case 'memory': {
      const segment = segmentation(each.segment, mode);
      const where = segment === 'flat' && mode.codeSize === 64 ? '' : each.segment;
      const form = isConstantAddress(each) ? 'c' : `${each.base >= 0 ? 'b' : ''}${each.index >= 0 ? `i${each.scaleShift}` : ''}${each.displacement !== 0n ? 'd' : ''}`;
      return `m${each.width}${form}${where}${segment === 'checked' ? '!' : ''}${isImplied(instruction) ? each.base : ''}`;
    }
  }
}

const modeKeys = new Map<number, string>();
/** The parts of a mode that handlers depend on. */
function modeText(mode: Mode): string {
  let text = modeKeys.get(mode.key);
  if (text === undefined) {
    text = `${mode.codeSize}${mode.stackSize === mode.codeSize ? '' : `s${mode.stackSize}`}${mode.user ? 'u' : ''}${mode.flatData ? '' : 'S'}${mode.flatCode ? '' : 'C'}${mode.alignmentCheck ? 'a' : ''}`;
    modeKeys.set(mode.key, text);
  }
  return text;
}

function keyOf(instruction: Instruction, mode: Mode, direct: boolean): string {
  let key = `${instruction.mnemonic}/${modeText(mode)}/${instruction.operandSize}/${instruction.addressSize}`;
  if (instruction.condition >= 0) key += `?${instruction.condition}`;
  if (instruction.rep !== 'none') key += `/${instruction.rep}`;
  if (!direct) key += '/far';
  for (const each of instruction.operands) key += `,${operandKey(each, instruction, mode)}`;
  return key;
}

/** A copy whose numbers tell when somebody reads them: a meaning that does depends on more than the shape. */
function watched(instruction: Instruction, touched: (name: string) => void): Instruction {
  const operands = instruction.operands.map((each) => {
    const copy = { ...each };
    for (const name of ['number', 'high', 'value', 'displacement', 'base', 'index', 'selector', 'offset'] as const) {
      if (!(name in each)) continue;
      const value = (each as unknown as Record<string, unknown>)[name];
      Object.defineProperty(copy, name, { enumerable: true, get: () => { touched(name); return value; } });
    }
    return copy;
  });
  return { ...instruction, operands };
}

const numbersOf = (instruction: Instruction): string => instruction.operands.map((each) => {
  switch (each.kind) {
    case 'register': return `${each.number}${each.high ? 'h' : ''}`;
    case 'immediate': return `${each.value}`;
    case 'memory': return `${each.base}.${each.index}.${each.displacement}`;
    default: return '';
  }
}).join();

/** The immediates alone: all that most meanings read (PSHUFD). */
const valuesOf = (instruction: Instruction): string => instruction.operands.map((each) => each.kind === 'immediate' ? `${each.value}` : '').join();
const detail = { numbers: numbersOf, values: valuesOf } as const;

/** All shapes seen; one that reads the numbers or values of its operands is marked, and filed with them. */
const shapes = new Map<string, Shape | keyof typeof detail>();

/** The shape of an instruction, or undefined when it has no meaning, or none in this mode. `direct`: its relative target was found valid. */
export function shapeOf(instruction: Instruction, mode: Mode, direct: boolean): Shape | undefined {
  if (unitFault(instruction, mode.units) !== 0 || (mode.guarded && isGuardedTransfer(instruction))) return undefined;
  const key = keyOf(instruction, mode, direct);
  const known = shapes.get(key);
  if (known === undefined) return makeShape(instruction, mode, direct, key);
  if (typeof known !== 'string') return known;
  return shapes.get(`${key}=${detail[known](instruction)}`) as Shape | undefined ?? makeShape(instruction, mode, direct, key);
}

function makeShape(instruction: Instruction, mode: Mode, direct: boolean, key: string): Shape | undefined {
  const meaning = meaningOf(instruction.mnemonic);
  if (!meaning) return undefined;
  const operands = [0, 1, 2, 3].map((index) => {
    const each = instruction.operands[index];
    const width = each ? widthOf(each) : 0;
    return width > 0 ? operand(index, width as Width) : nothing;
  }) as unknown as Operands;
  let by: keyof typeof detail | undefined;
  const seen = watched(instruction, (name) => { by = name === 'value' && by !== 'numbers' ? 'values' : 'numbers'; });
  const outcome = meaning(operands, { instruction: seen, stackSize: mode.stackSize });
  const displacement = instruction.operands[0]?.kind === 'memory' ? displacementOf(instruction.mnemonic)?.(operands[1], seen) : undefined;
  const full = by ? `${key}=${detail[by](instruction)}` : key;
  if (by) shapes.set(key, by);
  const shape: Shape = { key: full, instruction, mode, outcome, displacement, direct };
  shapes.set(full, shape);
  return shape;
}
