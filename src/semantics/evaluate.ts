// The reference reading of an expression: unsigned bigints, slow and obvious. Called by `reference.ts` for whole instructions and by tests
// for single words; never in production. It must agree with `wasm/emit.ts` on every word, the odd corners included.
import type { SegmentName } from '../isa/instruction.ts';
import type { BinaryWord, CompareWord, Expr, Flag, GeneralRegister, Lane, LaneWord, UnaryWord, Width } from './expr.ts';
import { functions } from './functions.ts';
import { applyFloat } from './softfloat.ts';

/** Where the leaves get their values. Reads of memory throw when they fault: evaluation has no effects to undo. */
export interface Environment {
  operand(index: number, width: Width): bigint;
  address(index: number): bigint;
  /** All 64 bits. */
  register(name: GeneralRegister): bigint;
  flag(name: Flag): boolean;
  readonly nextIp: bigint;
  /** As at reset, if it is not given. */
  readonly mxcsr?: number;
  load(width: Width, segment: SegmentName, offset: bigint): bigint;
}

/** A function that gives the value of an expression, and the same value again for the same node. */
export function evaluator(environment: Environment): (expr: Expr) => bigint {
  const known = new Map<Expr, bigint>();
  const evaluate = (expr: Expr): bigint => {
    let value = known.get(expr);
    if (value === undefined) known.set(expr, value = BigInt.asUintN(expr.width, compute(expr, environment, evaluate)));
    return value;
  };
  return evaluate;
}

export const evaluate = (expr: Expr, environment: Environment): bigint => evaluator(environment)(expr);

/** May return bits beyond the width; the caller cuts them off. */
function compute(expr: Expr, environment: Environment, value: (expr: Expr) => bigint): bigint {
  switch (expr.kind) {
    case 'constant': return expr.value;
    case 'operand': return environment.operand(expr.index, expr.width);
    case 'address': return environment.address(expr.index);
    case 'register': return environment.register(expr.name);
    case 'flag': return environment.flag(expr.flag) ? 1n : 0n;
    case 'condition': return holds(expr.code, environment) ? 1n : 0n;
    case 'nextIp': return environment.nextIp;
    case 'load': return environment.load(expr.width, expr.segment, value(expr.address));
    case 'unary': return unary(expr.word, value(expr.value), expr.width);
    case 'binary': return binary(expr.word, value(expr.left), value(expr.right), expr.width);
    case 'compare': return compare(expr.word, value(expr.left), value(expr.right), expr.left.width) ? 1n : 0n;
    case 'select': {
      // Both sides are evaluated: a load in the side that is not taken may fault, as it may in the other readings.
      const whenTrue = value(expr.whenTrue), whenFalse = value(expr.whenFalse);
      return value(expr.condition) ? whenTrue : whenFalse;
    }
    case 'extend': return expr.signed ? BigInt.asIntN(expr.value.width, value(expr.value)) : value(expr.value);
    case 'slice': return value(expr.value) >> BigInt(expr.lowBit);
    case 'join': return value(expr.high) << BigInt(expr.low.width) | value(expr.low);
    case 'lanes': {
      const left = value(expr.left), right = value(expr.right), { lane } = expr;
      return eachLane(expr.width, lane, at => laneWord(expr.word, lane, laneOf(left, at, lane), laneOf(right, at, lane), left, expr.width));
    }
    case 'shiftLanes': {
      const source = value(expr.value), count = value(expr.count), { lane, word } = expr;
      return eachLane(expr.width, lane, at => binary(word, laneOf(source, at, lane), count, lane));
    }
    case 'shuffle': {
      const both = value(expr.right) << BigInt(expr.width) | value(expr.left);
      return eachLane(expr.width, expr.lane, at => laneOf(both, expr.picks[at]!, expr.lane));
    }
    case 'narrow': {
      const both = value(expr.right) << BigInt(expr.width) | value(expr.left), half = expr.lane / 2;
      return eachLane(expr.width, half, at => saturate(BigInt.asIntN(expr.lane, laneOf(both, at, expr.lane)), half, expr.signed));
    }
    case 'signs': {
      const source = value(expr.value);
      return eachLane(expr.value.width / expr.lane, 1, at => laneOf(source, at, expr.lane) >> BigInt(expr.lane - 1));
    }
    case 'float': return applyFloat(expr.word, expr.format, expr.width, expr.arguments.map(value), environment.mxcsr ?? 0x1f80).value;
    case 'floatFlags': {
      const { word, format, width, arguments: args } = expr.value;
      if (expr.before && unmaskedExceptions(value(expr.before), environment.mxcsr ?? 0x1f80)) return 0n;
      return BigInt(applyFloat(word, format, width, args.map(value), environment.mxcsr ?? 0x1f80).flags);
    }
    case 'unmasked': return BigInt(~((environment.mxcsr ?? 0x1f80) >> 7) & 0x3f);
    case 'call': {
      const named = functions[expr.name];
      if (!named) throw new Error(`no function is called '${expr.name}'`);
      return BigInt(named(...expr.arguments.map(argument => Number(value(argument)))));
    }
  }
}

const unmaskedExceptions = (flags: bigint, mxcsr: number): boolean => (Number(flags) & ~(mxcsr >> 7)) !== 0;

// ── Vectors ──

const laneOf = (vector: bigint, at: number, lane: number): bigint => BigInt.asUintN(lane, vector >> BigInt(at * lane));

/** A vector from the value of each lane, which may have bits beyond the lane. */
function eachLane(width: number, lane: number, value: (at: number) => bigint): bigint {
  let vector = 0n;
  for (let at = 0; at * lane < width; at++) vector |= BigInt.asUintN(lane, value(at)) << BigInt(at * lane);
  return vector;
}

function saturate(value: bigint, width: number, signed: boolean): bigint {
  const least = signed ? -(1n << BigInt(width - 1)) : 0n, most = (1n << BigInt(signed ? width - 1 : width)) - 1n;
  return value < least ? least : value > most ? most : value;
}

function laneWord(word: LaneWord, lane: Lane, left: bigint, right: bigint, table: bigint, width: Width): bigint {
  const signed = (value: bigint): bigint => BigInt.asIntN(lane, value);
  const half = lane / 2, low = (value: bigint): bigint => BigInt.asUintN(half, value), lowSigned = (value: bigint): bigint => BigInt.asIntN(half, value);
  const truth = (holds: boolean): bigint => holds ? -1n : 0n;
  const a = signed(left), b = signed(right);
  switch (word) {
    case 'plus': return left + right;
    case 'minus': return left - right;
    case 'times': return left * right;
    case 'equal': return truth(left === right);
    case 'greater': return truth(a > b);
    case 'minimum': return a < b ? a : b;
    case 'maximum': return a > b ? a : b;
    case 'minimumUnsigned': return left < right ? left : right;
    case 'maximumUnsigned': return left > right ? left : right;
    case 'averageUnsigned': return left + right + 1n >> 1n;
    case 'plusSaturated': return saturate(a + b, lane, true);
    case 'plusSaturatedUnsigned': return saturate(left + right, lane, false);
    case 'minusSaturated': return saturate(a - b, lane, true);
    case 'minusSaturatedUnsigned': return saturate(left - right, lane, false);
    case 'timesHigh': return a * b >> BigInt(lane);
    case 'timesHighUnsigned': return left * right >> BigInt(lane);
    case 'timesHighRounded': return (a * b >> BigInt(lane - 2)) + 1n >> 1n;
    case 'timesLow': return lowSigned(left) * lowSigned(right);
    case 'timesLowUnsigned': return low(left) * low(right);
    case 'pairProducts': return lowSigned(left) * lowSigned(right) + (a >> BigInt(half)) * (b >> BigInt(half));
    case 'shiftLeft': case 'shiftRight': case 'shiftRightSigned': return binary(word, left, right, lane);
    case 'permute': return b < 0n ? 0n : laneOf(table, Number(right) % (width / lane), lane);
  }
}

function unary(word: UnaryWord, value: bigint, width: Width): bigint {
  switch (word) {
    case 'not': return ~value;
    case 'negate': return -value;
    case 'popcount': return BigInt(value.toString(2).replaceAll('0', '').length);
    case 'leadingZeros': return value === 0n ? BigInt(width) : BigInt(width - value.toString(2).length);
    case 'trailingZeros': return value === 0n ? BigInt(width) : BigInt((value & -value).toString(2).length - 1);
    case 'byteSwap': {
      let swapped = 0n;
      for (let at = 0; at < width; at += 8) swapped = swapped << 8n | value >> BigInt(at) & 0xffn;
      return swapped;
    }
  }
}

function binary(word: BinaryWord, left: bigint, right: bigint, width: Width): bigint {
  const bits = BigInt(width);
  switch (word) {
    case 'plus': return left + right;
    case 'minus': return left - right;
    case 'times': return left * right;
    case 'and': return left & right;
    case 'or': return left | right;
    case 'xor': return left ^ right;
    case 'shiftLeft': return right >= bits ? 0n : left << right;
    case 'shiftRight': return right >= bits ? 0n : left >> right;
    case 'shiftRightSigned': return BigInt.asIntN(width, left) >> (right >= bits ? bits : right);
    case 'rotateLeft': return left << right % bits | left >> bits - right % bits;
    case 'rotateRight': return left >> right % bits | left << bits - right % bits;
    case 'divide': return right === 0n ? 0n : left / right;
    case 'remainder': return right === 0n ? 0n : left % right;
    case 'divideSigned': case 'remainderSigned': {
      const dividend = BigInt.asIntN(width, left), divisor = BigInt.asIntN(width, right);
      if (divisor === 0n || (divisor === -1n && dividend === -(1n << bits - 1n))) return 0n;
      return word === 'divideSigned' ? dividend / divisor : dividend % divisor;
    }
  }
}

function compare(word: CompareWord, left: bigint, right: bigint, width: Width): boolean {
  switch (word) {
    case 'equal': return left === right;
    case 'below': return left < right;
    case 'less': return BigInt.asIntN(width, left) < BigInt.asIntN(width, right);
  }
}

/** Condition codes, APM Vol. 3, "Jcc": the lowest bit negates. */
export function holds(code: number, { flag }: Pick<Environment, 'flag'>): boolean {
  const positive = (): boolean => {
    switch (code >> 1) {
      case 0: return flag('of');
      case 1: return flag('cf');
      case 2: return flag('zf');
      case 3: return flag('cf') || flag('zf');
      case 4: return flag('sf');
      case 5: return flag('pf');
      case 6: return flag('sf') !== flag('of');
      default: return flag('zf') || flag('sf') !== flag('of');
    }
  };
  return positive() !== ((code & 1) === 1);
}
