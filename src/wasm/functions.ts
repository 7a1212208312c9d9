// Named functions for the emitter, in slots of the table: what `call` nodes mean, divisions of 128 bits, and floating point where it must be
// exact. They run in JavaScript with bigint; the boundary is slow, so only rare words go this way. Called by `index.ts`.
import type { BinaryWord, Width } from '../semantics/expr.ts';
import { placeOf } from '../cpu/state.ts';
import { functions as named } from '../semantics/functions.ts';
import { applyFloat } from '../semantics/softfloat.ts';
import { foldBinary } from './fold.ts';
import { I32, I64, Module, type Code, type ValueType } from './encode.ts';
import type { Functions } from './emit.ts';
import { emitFused, FUSED } from './fused.ts';
import { emitHalf, HALF, isHalf } from './half.ts';
import { emitSecondLook, FLOAT_ARGUMENTS, FLOAT_RESULT, SECOND_LOOK } from './float.ts';

const divisions: ReadonlySet<string> = new Set<BinaryWord>(['divide', 'remainder', 'divideSigned', 'remainderSigned']);

const typesOf = (width: number): ValueType[] => (width <= 32 ? [I32] : width === 64 ? [I64] : [I64, I64]);

/** `allocate` gives a free slot of the table; `memory` is where floating point has its arguments. */
export function createFunctions(table: WebAssembly.Table, memory: WebAssembly.Memory, allocate: () => number): Functions {
  const slots = new Map<string, number>(), view = new DataView(memory.buffer);
  /** A function in WebAssembly, made when it is first asked for. */
  const slotOf = (key: string, type: readonly [readonly ValueType[], readonly ValueType[]], emit: (code: Code) => void): number => {
    let slot = slots.get(key);
    if (slot !== undefined) return slot;
    slot = allocate();
    slots.set(key, slot);
    const module = new Module();
    module.importMemory('core', 'memory');
    const { code, index } = module.function(module.type(...type));
    emit(code);
    module.export('run', index);
    table.set(slot, new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { core: { memory } }).exports['run']);
    return slot;
  };
  return {
    floatSlot(word, format, width, argumentWidths) {
      const key = `${word}/${format}/${width}/${argumentWidths.join()}`;
      let slot = slots.get(key);
      if (slot !== undefined) return slot;
      slot = allocate();
      slots.set(key, slot);
      const read = (at: number, bits: number): bigint =>
        BigInt.asUintN(bits, view.getBigUint64(at, true) | view.getBigUint64(at + 8, true) << 64n);
      table.set(slot, exported(() => {
        const values = argumentWidths.map((bits, number) => read(FLOAT_ARGUMENTS + 16 * number, bits));
        const { value, flags } = applyFloat(word, format, width, values, view.getUint32(placeOf('mxcsr'), true));
        view.setBigUint64(FLOAT_RESULT, BigInt.asUintN(64, value), true);
        view.setBigUint64(FLOAT_RESULT + 8, value >> 64n, true);
        return flags;
      }, [], 32));
      return slot;
    },
    secondLookSlot: (word, format) => slotOf(`${word}/${format}/look`, SECOND_LOOK, (code) => { emitSecondLook(code, word, format); }),
    shortcutSlot: (word, format, isScalar) => isHalf(word) ? slotOf(word, HALF, (code) => { emitHalf(code, word); })
      : slotOf(`${word}/${format}/${isScalar}`, FUSED, (code) => { emitFused(code, word, format, isScalar); }),
    slot(name, argumentWidths, width) {
      const key = `${name}/${argumentWidths.join()}/${width}`;
      let slot = slots.get(key);
      if (slot === undefined) {
        slot = allocate();
        slots.set(key, slot);
        table.set(slot, exported(reading(name, width), argumentWidths, width));
      }
      return slot;
    },
  };
}

/** The function over the values as WebAssembly passes them: numbers, or the halves of dividend and divisor. */
function reading(name: string, width: number): (...values: never[]) => unknown {
  if (!divisions.has(name)) return named[name] ?? nameless(name);
  return (...[leftLow, leftHigh, rightLow, rightHigh]: bigint[]) => {
    const whole = (low: bigint, high: bigint): bigint => BigInt.asUintN(64, low) | BigInt.asUintN(64, high) << 64n;
    const result = foldBinary(name as BinaryWord, width as Width, whole(leftLow!, leftHigh!), whole(rightLow!, rightHigh!));
    return [BigInt.asUintN(64, result), result >> 64n];
  };
}
const nameless = (name: string): never => { throw new Error(`no function is called '${name}'`); };

/** A JavaScript function as one that a table takes: imported and exported again. */
function exported(run: (...values: never[]) => unknown, widths: readonly number[], width: number): unknown {
  const module = new Module();
  const index = module.importFunction('outside', 'run', module.type(widths.flatMap(typesOf), typesOf(width)));
  module.export('run', index);
  return new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { outside: { run } }).exports['run'];
}
