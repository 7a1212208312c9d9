// Random expressions mean the same to the emitter and to the reference evaluator, odd corners included: counts beyond the width, divisions
// by zero, values whose upper bits nobody cleaned, halves and lanes of 128 bits.
import { describe, expect, it } from 'vitest';
import { evaluate, type Environment } from '../../src/semantics/evaluate.ts';
import * as words from '../../src/semantics/expr.ts';
import type { Expr, Lane, LaneWord, Width } from '../../src/semantics/expr.ts';
import { Emitter, Simd, Upper, type Binding } from '../../src/wasm/emit.ts';
import { Module, Op, type Code } from '../../src/wasm/encode.ts';
import { createFunctions } from '../../src/wasm/functions.ts';
import { random } from './sequences.ts';

const widths: readonly Width[] = [1, 8, 16, 32, 64, 128];
/** Operands 4k to 4k + 3 have width number k; constants are known to the emitter where `known` says so. */
const OPERANDS_PER_WIDTH = 4, placeOf = (index: number): number => 16 * index;
const RESULT = 0x1000;

type Next = (below: number) => number;

/** An expression of a width over operands, a bounded number of words deep; some nodes are used twice. */
function makeExpr(next: Next, width: Width, depth: number, shared: Expr[]): Expr {
  const reuse = shared.filter((each) => each.width === width);
  if (reuse.length > 0 && next(5) === 0) return reuse[next(reuse.length)]!;
  const made = depth === 0 ? makeLeaf(next, width) : makeWord(next, width, depth, shared);
  if (next(3) === 0) shared.push(made);
  return made;
}

const interesting = (next: Next, width: Width): bigint => {
  const top = 1n << BigInt(width - 1);
  const choices = [0n, 1n, top, top - 1n, (top << 1n) - 1n, BigInt(next(140)), BigInt(next(2 ** 32)) << BigInt(next(97)), BigInt(next(2 ** 32))];
  return BigInt.asUintN(width, choices[next(choices.length)]!);
};

function makeLeaf(next: Next, width: Width): Expr {
  if (next(3) === 0) return words.constant(width, interesting(next, width));
  return words.operand(OPERANDS_PER_WIDTH * widths.indexOf(width) + next(OPERANDS_PER_WIDTH), width);
}

function makeWord(next: Next, width: Width, depth: number, shared: Expr[]): Expr {
  const sub = (of: Width): Expr => makeExpr(next, of, depth - 1, shared);
  if (width === 1) {
    switch (next(6)) {
      case 0: return words.not(sub(1));
      case 1: return [words.and, words.or, words.xor][next(3)]!(sub(1), sub(1));
      case 2: case 3: {
        const of = widths[next(widths.length)]!;
        return [words.equal, words.below, words.less][next(3)]!(sub(of), sub(of));
      }
      case 4: return words.isZero(sub(widths[1 + next(5)]!));
      default: {
        const of = widths[1 + next(5)]!;
        return words.bit(sub(of), next(of));
      }
    }
  }
  if (width >= 64 && next(3) === 0) return makeVector(next, width, sub);
  if (width === 32 && next(12) === 0) return words.signs(lanesOf[next(4)]!, sub(next(2) === 0 ? 64 : 128));
  switch (next(9)) {
    case 0: case 1: return [words.plus, words.minus, words.times, words.and, words.or, words.xor][next(6)]!(sub(width), sub(width));
    case 2: {
      const shifts = [words.shiftLeft, words.shiftRight, words.shiftRightSigned, words.rotateLeft, words.rotateRight];
      const count = next(2) === 0 ? sub(width) : words.and(sub(width), words.constant(width, width - 1));
      return shifts[next(5)]!(sub(width), count);
    }
    case 3: return [words.divide, words.remainder, words.divideSigned, words.remainderSigned][next(4)]!(sub(width), sub(width));
    case 4: {
      if (width === 128) return [words.not, words.negate][next(2)]!(sub(width));
      return [words.not, words.negate, words.popcount, words.leadingZeros, words.trailingZeros, words.byteSwap][next(6)]!(sub(width));
    }
    case 5: return words.select(sub(1), sub(width), sub(width));
    case 6: {
      const narrower = widths.filter((each) => each < width);
      return [words.zeroExtend, words.signExtend][next(2)]!(width, sub(narrower[next(narrower.length)]!));
    }
    case 7: {
      const wider = widths.filter((each) => each > width);
      if (wider.length === 0) return words.join(sub(64), sub(64));
      const of = wider[next(wider.length)]!;
      return words.slice(sub(of), next(of - width + 1), width);
    }
    default: return width === 8 ? sub(8) : words.join(sub(width / 2 as Width), sub(width / 2 as Width));
  }
}

const lanesOf: readonly Lane[] = [8, 16, 32, 64];
/** The lanes that each word has in WebAssembly. */
const laneWords: readonly (readonly [LaneWord, ...Lane[]])[] = [
  ['plus', 8, 16, 32, 64], ['minus', 8, 16, 32, 64], ['times', 16, 32, 64], ['equal', 8, 16, 32, 64], ['greater', 8, 16, 32, 64],
  ['minimum', 8, 16, 32], ['maximum', 8, 16, 32], ['minimumUnsigned', 8, 16, 32], ['maximumUnsigned', 8, 16, 32], ['averageUnsigned', 8, 16],
  ['plusSaturated', 8, 16], ['plusSaturatedUnsigned', 8, 16], ['minusSaturated', 8, 16], ['minusSaturatedUnsigned', 8, 16],
  ['timesHigh', 16], ['timesHighUnsigned', 16], ['timesHighRounded', 16], ['timesLow', 64], ['timesLowUnsigned', 64], ['pairProducts', 32], ['permute', 8],
];

function makeVector(next: Next, width: Width, sub: (of: Width) => Expr): Expr {
  const lane = lanesOf[next(4)]!;
  switch (next(6)) {
    case 0: return words.shiftLanes((['shiftLeft', 'shiftRight', 'shiftRightSigned'] as const)[next(3)]!, lane, sub(width), sub(([8, 32, 64] as const)[next(3)]!));
    case 1: {
      const count = width / lane;
      return words.shuffle(lane, Array.from({ length: count }, () => next(2 * count)), sub(width), sub(width));
    }
    case 2: return words.narrow(next(2) === 0 ? 16 : 32, next(2) === 0, sub(width), sub(width));
    default: {
      const [word, ...of] = laneWords[next(laneWords.length)]!;
      return words.lanes(word, of[next(of.length)]!, sub(width), sub(width));
    }
  }
}

const loads = { 1: Op.i32Load8U, 8: Op.i32Load8U, 16: Op.i32Load16U, 32: Op.i32Load, 64: Op.i64Load } as const;

/** `known`: values of operands that the emitter may fold, as it does with the constants of a translated instruction. */
function binding(code: Code, known: ReadonlyMap<number, bigint>): Binding {
  const missing = (): never => { throw new Error('not in these expressions'); };
  return {
    constant: (leaf) => leaf.kind === 'operand' ? known.get(leaf.index) : undefined, upper: () => Upper.zero,
    pushOperand({ index, width }) {
      code.i32(placeOf(index));
      if (width === 128) code.simdMemory(Simd.load);
      else code.load(loads[width as keyof typeof loads]);
    },
    pushAddress: missing, pushRegister: missing, pushNextIp: missing, pushLoad: missing, flag: missing, condition: missing,
  };
}

/** A module with a function for each expression, which puts the value, zero-extended, where `RESULT` says. */
function build(exprs: readonly Expr[], memory: WebAssembly.Memory, known: ReadonlyMap<number, bigint> = new Map()): (() => void)[] {
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: 256 });
  let free = 0;
  const functions = createFunctions(table, memory, () => free++);
  const module = new Module();
  module.importMemory('outside', 'memory');
  module.importTable('outside', 'table');
  const type = module.type([], []);
  exprs.forEach((expr, number) => {
    const { code, index } = module.function(type);
    const emitter = new Emitter(module, code, binding(code, known), functions);
    emitter.begin([expr]);
    if (expr.width === 128) emitter.hold(expr);
    code.i32(RESULT);
    if (expr.width === 128 && number % 2 === 0) {
      emitter.pushVector(expr);
      code.simdMemory(Simd.store);
    } else if (expr.width === 128) {
      const [low, high] = emitter.halves(expr);
      for (const [half, at] of [[low, 0], [high, 8]] as const) {
        if (at === 8) code.i32(RESULT);
        if (typeof half === 'bigint') code.i64(half);
        else code.get(half);
        code.store(Op.i64Store, at);
      }
    } else {
      emitter.pushAs64(expr, false);
      code.store(Op.i64Store);
    }
    module.export(`f${number}`, index);
  });
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { outside: { memory, table } });
  return exprs.map((_, number) => exports[`f${number}`] as () => void);
}

/** Operands for one round, put into memory too. */
function operandsFor(next: Next, view: DataView): bigint[] {
  const values = widths.flatMap((width) => Array.from({ length: OPERANDS_PER_WIDTH }, () => interesting(next, width)));
  values.forEach((value, index) => {
    view.setBigUint64(placeOf(index), BigInt.asUintN(64, value), true);
    view.setBigUint64(placeOf(index) + 8, value >> 64n, true);
  });
  return values;
}

function compare(exprs: readonly Expr[], run: readonly (() => void)[], view: DataView, values: readonly bigint[]): void {
  const environment = { operand: (index: number) => values[index]! } as unknown as Environment;
  exprs.forEach((expr, number) => {
    view.setBigUint64(RESULT + 8, 0n, true);
    run[number]!();
    const result = view.getBigUint64(RESULT, true) | view.getBigUint64(RESULT + 8, true) << 64n;
    const expected = evaluate(expr, environment);
    if (result === expected) return;
    const text = JSON.stringify(expr, (_, value: unknown) => typeof value === 'bigint' ? `0x${value.toString(16)}` : value);
    expect.fail(`${result.toString(16)}, not ${expected.toString(16)}\n${values.map((each) => each.toString(16)).join()}\n${text}`);
  });
}

const makeExprs = (next: Next, count: number): Expr[] => Array.from({ length: count }, () => makeExpr(next, widths[next(widths.length)]!, 1 + next(5), []));

describe('an expression', () => {
  it.each([1, 2, 3, 4, 5, 6])('has the same value in WebAssembly and in the reference (seed %i)', (seed) => {
    const next = random(seed);
    const memory = new WebAssembly.Memory({ initial: 1 }), view = new DataView(memory.buffer);
    const exprs = makeExprs(next, 250), run = build(exprs, memory);
    for (let round = 0; round < 25; round++) compare(exprs, run, view, operandsFor(next, view));
  });

  it.each([11, 12, 13])('has the same value when some operands are known while it is emitted (seed %i)', (seed) => {
    const next = random(seed);
    const memory = new WebAssembly.Memory({ initial: 1 }), view = new DataView(memory.buffer);
    for (let round = 0; round < 8; round++) {
      const values = operandsFor(next, view), exprs = makeExprs(next, 100);
      const known = new Map(values.flatMap((value, index) => (next(2) === 0 ? [[index, value] as const] : [])));
      compare(exprs, build(exprs, memory, known), view, values);
    }
  });
});
