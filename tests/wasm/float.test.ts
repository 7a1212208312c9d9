// Floating point in WebAssembly gives the values and exceptions of the exact reading, whether the fast path is trusted or not: every word,
// both formats, scalars and vectors, operands near every edge, several states of MXCSR.
import { describe, expect, it } from 'vitest';
import { placeOf } from '../../src/cpu/state.ts';
import { evaluator, type Environment } from '../../src/semantics/evaluate.ts';
import { float, floatFlags, operand, type FloatExpr, type FloatWord, type Width } from '../../src/semantics/expr.ts';
import { laneWidths } from '../../src/semantics/softfloat.ts';
import { Emitter, Simd, Upper, type Binding } from '../../src/wasm/emit.ts';
import { Module, Op, type Code } from '../../src/wasm/encode.ts';
import { createFunctions } from '../../src/wasm/functions.ts';
import { random } from './sequences.ts';

const ARGUMENTS = 0x8000, RESULT = 0x9000, FLAGS = 0x9010;
const loads = { 32: Op.i32Load, 64: Op.i64Load } as const;

function binding(code: Code): Binding {
  const missing = (): never => { throw new Error('not in these expressions'); };
  return {
    constant: () => undefined, upper: () => Upper.zero,
    pushOperand({ index, width }) {
      code.i32(ARGUMENTS + 16 * index);
      if (width === 128) code.simdMemory(Simd.load);
      else code.load(loads[width as 32 | 64]);
    },
    pushAddress: missing, pushRegister: missing, pushNextIp: missing, pushLoad: missing, flag: missing, condition: missing,
  };
}

function build(exprs: readonly FloatExpr[], memory: WebAssembly.Memory): (() => void)[] {
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 512 });
  let free = 0;
  const functions = createFunctions(table, memory, () => free++);
  const module = new Module();
  module.importMemory('outside', 'memory');
  module.importTable('outside', 'table');
  const type = module.type([], []);
  exprs.forEach((expr, number) => {
    const { code, index } = module.function(type);
    const emitter = new Emitter(module, code, binding(code), functions), flags = floatFlags(expr);
    emitter.begin([flags, expr]);
    emitter.hold(flags);
    code.i32(RESULT);
    if (expr.width === 128) {
      emitter.pushVector(expr);
      code.simdMemory(Simd.store);
    } else {
      emitter.push(expr);
      code.store(expr.width === 64 ? Op.i64Store : Op.i32Store);
    }
    code.i32(FLAGS);
    emitter.push(flags);
    code.store(Op.i32Store);
    module.export(`f${number}`, index);
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { outside: { memory, table } });
  return exprs.map((_, number) => exports[`f${number}`] as () => void);
}

const binaryWords: readonly FloatWord[] = ['add', 'subtract', 'addSubtract', 'multiply', 'divide', 'minimum', 'maximum', 'equal', 'less', 'lessOrEqual', 'unordered',
  'notEqual', 'notLess', 'notLessOrEqual', 'ordered'];
const halfWords: readonly FloatWord[] = ['toHalf', 'toHalfNearest', 'toHalfDown', 'toHalfUp', 'toHalfZero'];
const fusedWords: readonly FloatWord[] = ['fusedAdd', 'fusedSubtract', 'fusedNegativeAdd', 'fusedNegativeSubtract', 'fusedAddOdd', 'fusedAddEven'];
const roundings = (['Nearest', 'Down', 'Up', 'Zero', 'Current'] as const).flatMap((mode): FloatWord[] => [`round${mode}`, `round${mode}Quietly`]);
const everything: readonly FloatExpr[] = ([32, 64] as const).flatMap((format) => {
  const all = (word: FloatWord, widths: readonly (readonly [result: Width, source: Width])[], count = 1): FloatExpr[] =>
    widths.map(([width, source]) => float(word, format, width, ...Array.from({ length: count }, (_, index) => operand(index, source))));
  const same = [[format, format], [128, 128]] as const, other = format === 32 ? 64 : 32;
  return [
    ...binaryWords.flatMap((word) => all(word, same, 2)), ...fusedWords.flatMap((word) => all(word, /(Odd|Even)$/.test(word) ? [[128, 128]] : same, 3)),
    ...all('squareRoot', same), ...roundings.flatMap((word) => all(word, same)),
    ...all('order', [[32, format]], 2), ...all('orderQuiet', [[32, format]], 2),
    ...all('fromSigned32', format === 32 ? [[32, 32], [64, 64], [128, 128]] : [[64, 32], [128, 64]]), ...all('fromSigned64', [[format, 64]]),
    ...(['toSigned32', 'truncateTo32'] as const).flatMap((word) => all(word, format === 32 ? [[32, 32], [64, 64], [128, 128]] : [[32, 64], [64, 128]])),
    ...all('toSigned64', [[64, format]]), ...all('truncateTo64', [[64, format]]),
    ...(format === 32 ? [...halfWords.flatMap((word) => all(word, [[64, 128]])), ...all('halfToSingle', [[128, 64]])] : []),
    ...(format === 32 ? all('toDouble', [[other, format], [128, 64]]) : all('toSingle', [[other, format], [64, 128]])),
  ];
});

/** Numbers near the edges of a format: zeros, denormals, the smallest and largest, integers, NaNs of both kinds, and anything. */
function interesting(next: (below: number) => number, lane: number): bigint {
  if (lane === 16) return BigInt(next(0x10000));
  const precision = lane === 32 ? 24 : 53, exponents = lane === 32 ? 255 : 2047, bias = exponents >> 1;
  const choices = [0, 0, 1, 2, bias, bias, bias + next(70), exponents - 1, exponents, next(exponents), next(exponents), bias - next(70)];
  const fractions = [0n, 1n, (1n << BigInt(precision - 1)) - 1n, 1n << BigInt(precision - 2), BigInt(next(2 ** 32)) << BigInt(Math.max(0, precision - 33)), BigInt(next(2 ** 32)) * BigInt(next(2 ** 32))];
  const fraction = BigInt.asUintN(precision - 1, fractions[next(fractions.length)]!);
  return BigInt(next(2)) << BigInt(lane - 1) | BigInt(choices[next(choices.length)]!) << BigInt(precision - 1) | fraction;
}

/** Singles that half precision has, or nearly. */
function nearHalves(next: (below: number) => number): bigint {
  let all = 0n;
  const lost = [0, 0x1000, 0x1fff, 1, next(0x2000)][next(5)]!;
  for (let at = 0; at < 128; at += 32) all |= BigInt((next(2) * 0x40000 + 109 * 0x400 + next(36 * 0x400)) * 0x2000 + (next(3) === 0 ? lost : 0)) << BigInt(at);
  return all;
}

/** What nearly is a product, or the opposite of it: little is left of the sum. */
function nearProduct(next: (below: number) => number, lane: 32 | 64, left: bigint, right: bigint): bigint {
  const scratch = new DataView(new ArrayBuffer(8)), sign = next(2) === 0 ? 1 : -1;
  const number = (vector: bigint, at: number): number => {
    scratch.setBigUint64(0, vector >> BigInt(at) & (1n << BigInt(lane)) - 1n);
    return lane === 64 ? scratch.getFloat64(0) : scratch.getFloat32(4);
  };
  let all = 0n;
  for (let at = 0; at < 128; at += lane) {
    if (lane === 64) scratch.setFloat64(0, sign * number(left, at) * number(right, at));
    else scratch.setFloat32(4, sign * number(left, at) * number(right, at));
    all |= (lane === 64 ? scratch.getBigUint64(0) : BigInt(scratch.getUint32(4))) + BigInt(next(3)) << BigInt(at);
  }
  return BigInt.asUintN(128, all);
}

describe('floating point in WebAssembly', () => {
  const plain = 0x1fa0;
  it.each([plain, plain | 0x1f, 0x1f80, plain | 0x40, plain | 0x8000, 0x9fc0, plain | 0x2000, plain | 0x6000, 0x1e20, 0x0020])('agrees with the exact reading with MXCSR %i', (mxcsr) => {
    const memory = new WebAssembly.Memory({ initial: 1 });
    const view = new DataView(memory.buffer), run = build(everything, memory), next = random(mxcsr);
    const wrong: string[] = [];
    for (let round = 0; round < 150; round++) {
      everything.forEach((expr, number) => {
        const [lane] = laneWidths(expr.word, expr.format);
        const values = [0, 1, 2].map(() => {
          let value = 0n;
          for (let at = 0; at < 128; at += lane) value |= interesting(next, lane) << BigInt(at);
          return value;
        });
        if (expr.word.startsWith('toHalf') && next(2) === 0) values[0] = nearHalves(next);
        if (next(8) === 0) values[1] = values[0]!;
        if (expr.arguments.length === 3 && next(3) === 0) values[2] = nearProduct(next, lane as 32 | 64, values[0]!, values[1]!);
        values.forEach((value, index) => {
          view.setBigUint64(ARGUMENTS + 16 * index, BigInt.asUintN(64, value), true);
          view.setBigUint64(ARGUMENTS + 16 * index + 8, value >> 64n, true);
        });
        view.setUint32(placeOf('mxcsr'), mxcsr, true);
        view.setBigUint64(RESULT, 0n, true);
        view.setBigUint64(RESULT + 8, 0n, true);
        run[number]!();
        const environment = { operand: (index: number, width: number) => BigInt.asUintN(width, values[index]!), mxcsr } as unknown as Environment;
        const value = evaluator(environment);
        const result = view.getBigUint64(RESULT, true) | view.getBigUint64(RESULT + 8, true) << 64n, flags = view.getUint32(FLAGS, true) | mxcsr;
        const exactFlags = Number(value(floatFlags(expr))) | mxcsr, unmasked = exactFlags & ~mxcsr & ~(mxcsr >> 7) & 0x3f;
        if (flags !== exactFlags || (unmasked === 0 && result !== value(expr))) {
          wrong.push(`${expr.word} ${expr.format}/${expr.width} of ${values.map((each) => each.toString(16)).join()}: ${result.toString(16)} ${flags.toString(16)}, not ${value(expr).toString(16)} ${exactFlags.toString(16)}`);
        }
      });
    }
    expect(wrong.slice(0, 6)).toEqual([]);
  });
});
