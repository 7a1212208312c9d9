// The words of `expr.ts` on 128-bit values, as pairs of i64: double-length products and dividends, CMPXCHG16B. Part of the emitter,
// called by `emit.ts` only; each half ends in a local or is a constant.
import type { Expr } from '../semantics/expr.ts';
import { I32, I64, Op, type Code } from './encode.ts';
import type { Emitter } from './emit.ts';

/** A local's index, or a constant. */
export type Half = number | bigint;
type Halves = readonly [Half, Half];

export function pushHalf(code: Code, half: Half): void {
  if (typeof half === 'bigint') code.i64(half);
  else code.get(half);
}

/** The halves of an inner node; undefined for a leaf, which the binding pushes. */
export function wideHalves(emitter: Emitter, node: Expr): Halves | undefined {
  switch (node.kind) {
    case 'binary': return binary(emitter, node);
    case 'unary': {
      const [low, high] = emitter.halves(node.value);
      if (node.word === 'not') return [combine(emitter, Op.i64Xor, low, -1n), combine(emitter, Op.i64Xor, high, -1n)];
      if (node.word === 'negate') return minus(emitter, [0n, 0n], [low, high]);
      throw new Error(`${node.word} of 128 bits has no WebAssembly reading`);
    }
    case 'select': {
      const yes = emitter.halves(node.whenTrue), no = emitter.halves(node.whenFalse);
      emitter.hold(node.condition);
      const half = (k: 0 | 1) => into(emitter, () => {
        pushHalf(emitter.code, yes[k]);
        pushHalf(emitter.code, no[k]);
        emitter.push(node.condition);
        emitter.code.op(Op.select);
      });
      return [half(0), half(1)];
    }
    case 'extend': {
      if (node.value.width > 64) throw new Error('an extension of 80 bits has no WebAssembly reading');
      const low = into(emitter, () => { emitter.pushAs64(node.value, node.signed); });
      return [low, node.signed ? combine(emitter, Op.i64ShrS, low, 63n) : 0n];
    }
    case 'join': {
      if (node.low.width !== 64) throw new Error(`a pair of ${node.low.width} bits has no WebAssembly reading`);
      const half = (value: Expr) => emitter.constant(value) ?? into(emitter, () => { emitter.push(value); });
      return [half(node.low), half(node.high)];
    }
    default: return undefined;
  }
}

function into(emitter: Emitter, push: () => void): number {
  push();
  const local = emitter.temporary(I64);
  emitter.code.set(local);
  return local;
}

function combine(emitter: Emitter, opcode: number, left: Half, right: Half): Half {
  const neutral = opcode === Op.i64Add || opcode === Op.i64Or || opcode === Op.i64Xor || opcode === Op.i64Sub;
  if (right === 0n && neutral) return left;
  if (left === 0n && neutral && opcode !== Op.i64Sub) return right;
  if ((left === 0n || right === 0n) && (opcode === Op.i64And || opcode === Op.i64Mul)) return 0n;
  return into(emitter, () => {
    pushHalf(emitter.code, left);
    pushHalf(emitter.code, right);
    emitter.code.op(opcode);
  });
}

/** An i64 of 0 or 1: left below right. */
const borrow = (emitter: Emitter, left: Half, right: Half): Half => into(emitter, () => {
  pushHalf(emitter.code, left);
  pushHalf(emitter.code, right);
  emitter.code.op(Op.i64LtU);
  emitter.code.op(Op.i64ExtendI32U);
});

function plus(emitter: Emitter, [leftLow, leftHigh]: Halves, [rightLow, rightHigh]: Halves): Halves {
  const low = combine(emitter, Op.i64Add, leftLow, rightLow);
  const carry = rightLow === 0n || leftLow === 0n ? 0n : borrow(emitter, low, leftLow);
  return [low, combine(emitter, Op.i64Add, combine(emitter, Op.i64Add, leftHigh, rightHigh), carry)];
}

function minus(emitter: Emitter, [leftLow, leftHigh]: Halves, [rightLow, rightHigh]: Halves): Halves {
  const low = combine(emitter, Op.i64Sub, leftLow, rightLow);
  const carry = rightLow === 0n ? 0n : borrow(emitter, leftLow, rightLow);
  return [low, combine(emitter, Op.i64Sub, combine(emitter, Op.i64Sub, leftHigh, rightHigh), carry)];
}

function times(emitter: Emitter, [leftLow, leftHigh]: Halves, [rightLow, rightHigh]: Halves): Halves {
  const op = (opcode: number, left: Half, right: Half) => combine(emitter, opcode, left, right);
  const cross = op(Op.i64Add, op(Op.i64Mul, leftLow, rightHigh), op(Op.i64Mul, leftHigh, rightLow));
  return [op(Op.i64Mul, leftLow, rightLow), op(Op.i64Add, timesHigh(emitter, leftLow, rightLow), cross)];
}

/** Bits 127:64 of an unsigned product, by halves of 32 bits. */
function timesHigh(emitter: Emitter, left: Half, right: Half): Half {
  const op = (opcode: number, first: Half, second: Half) => combine(emitter, opcode, first, second);
  const low = (value: Half) => op(Op.i64And, value, 0xffffffffn), high = (value: Half) => op(Op.i64ShrU, value, 32n);
  const leftLow = low(left), leftHigh = high(left), rightLow = low(right), rightHigh = high(right);
  const first = op(Op.i64Add, op(Op.i64Mul, leftHigh, rightLow), high(op(Op.i64Mul, leftLow, rightLow)));
  const second = op(Op.i64Add, op(Op.i64Mul, leftLow, rightHigh), low(first));
  return op(Op.i64Add, op(Op.i64Add, op(Op.i64Mul, leftHigh, rightHigh), high(first)), high(second));
}

function binary(emitter: Emitter, node: Extract<Expr, { kind: 'binary' }>): Halves {
  const { word } = node;
  const left = emitter.halves(node.left);
  switch (word) {
    case 'shiftLeft': case 'shiftRight': case 'shiftRightSigned': return shift(emitter, word, left, node.right);
    case 'rotateLeft': return rotate(emitter, left, node.right, false);
    case 'rotateRight': return rotate(emitter, left, node.right, true);
    default: break;
  }
  const right = emitter.halves(node.right);
  const each = (opcode: number): Halves => [combine(emitter, opcode, left[0], right[0]), combine(emitter, opcode, left[1], right[1])];
  switch (word) {
    case 'plus': return plus(emitter, left, right);
    case 'minus': return minus(emitter, left, right);
    case 'times': return times(emitter, left, right);
    case 'and': return each(Op.i64And);
    case 'or': return each(Op.i64Or);
    case 'xor': return each(Op.i64Xor);
    default: return divide(emitter, word, left, right);
  }
}

/** The common cases of a dividend that fits 64 bits, with a divisor that does too, are done in line. */
function divide(emitter: Emitter, word: 'divide' | 'remainder' | 'divideSigned' | 'remainderSigned', left: Halves, right: Halves): Halves {
  const { code } = emitter;
  const signed = word === 'divideSigned' || word === 'remainderSigned', quotient = word === 'divide' || word === 'divideSigned';
  const low = emitter.temporary(I64), high = emitter.temporary(I64);
  const extension = (half: Half) => {
    if (!signed) return code.i64Small(0);
    pushHalf(code, half);
    code.i64Small(63);
    code.op(Op.i64ShrS);
  };
  // Fits: both high halves are the extension of the low ones, the divisor is not 0, nor -1 (which could overflow).
  for (const [half, top] of [left, right]) {
    pushHalf(code, top);
    extension(half);
    code.op(Op.i64Eq);
  }
  code.op(Op.i32And);
  pushHalf(code, right[0]);
  if (signed) {
    code.i64Small(1);
    code.op(Op.i64Add);
    code.i64Small(1);
    code.op(Op.i64GtU);
  } else {
    code.i64Small(0);
    code.op(Op.i64Ne);
  }
  code.op(Op.i32And);
  code.if();
  pushHalf(code, left[0]);
  pushHalf(code, right[0]);
  code.op(signed ? (quotient ? Op.i64DivS : Op.i64RemS) : quotient ? Op.i64DivU : Op.i64RemU);
  code.set(low);
  extension(low);
  code.set(high);
  code.else();
  for (const half of [...left, ...right]) pushHalf(code, half);
  emitter.callFunction(word, [128, 128], 128);
  code.set(high);
  code.set(low);
  code.end();
  return [low, high];
}

/** Shifts by a constant, by a count proven below 128, or by anything. */
function shift(emitter: Emitter, word: 'shiftLeft' | 'shiftRight' | 'shiftRightSigned', value: Halves, count: Expr): Halves {
  const known = emitter.constant(count);
  const sign = (): Half => (word === 'shiftRightSigned' ? combine(emitter, Op.i64ShrS, value[1], 63n) : 0n);
  if (known !== undefined) {
    if (known >= 128n) {
      const filled = sign();
      return [filled, filled];
    }
    return shiftInRange(emitter, word, value, known);
  }
  const [countLow, countHigh] = emitter.halves(count);
  const shifted = shiftInRange(emitter, word, value, countLow);
  if (emitter.maximum(count) < 128) return shifted;
  const { code } = emitter;
  const filled = sign();
  const outside = emitter.temporary(I32);
  pushHalf(code, countLow);
  code.i64Small(127);
  code.op(Op.i64GtU);
  pushHalf(code, countHigh);
  code.i64Small(0);
  code.op(Op.i64Ne);
  code.op(Op.i32Or);
  code.set(outside);
  const choose = (half: Half) => into(emitter, () => {
    pushHalf(code, filled);
    pushHalf(code, half);
    code.get(outside);
    code.op(Op.select);
  });
  return [choose(shifted[0]), choose(shifted[1])];
}

/** The count is below 128. WebAssembly's own shifts take it modulo 64. */
function shiftInRange(emitter: Emitter, word: 'shiftLeft' | 'shiftRight' | 'shiftRightSigned', [low, high]: Halves, count: Half): Halves {
  const { code } = emitter;
  const op = (opcode: number, left: Half, right: Half) => combine(emitter, opcode, left, right);
  if (typeof count === 'bigint') {
    if (count === 0n) return [low, high];
    const rest = count & 63n;
    const far = count >= 64n;
    if (word === 'shiftLeft') {
      if (far) return [0n, rest === 0n ? low : op(Op.i64Shl, low, rest)];
      return [op(Op.i64Shl, low, rest), op(Op.i64Or, op(Op.i64Shl, high, rest), op(Op.i64ShrU, low, 64n - rest))];
    }
    const opcode = word === 'shiftRight' ? Op.i64ShrU : Op.i64ShrS;
    if (far) return [rest === 0n ? high : op(opcode, high, rest), word === 'shiftRight' ? 0n : op(Op.i64ShrS, high, 63n)];
    return [op(Op.i64Or, op(Op.i64ShrU, low, rest), op(Op.i64Shl, high, 64n - rest)), op(opcode, high, rest)];
  }
  const far = emitter.temporary(I32);
  code.get(count);
  code.i64Small(64);
  code.op(Op.i64And);
  code.op(Op.i32WrapI64);
  code.set(far);
  const choose = (whenFar: Half, whenNear: Half): Half => into(emitter, () => {
    pushHalf(code, whenFar);
    pushHalf(code, whenNear);
    code.get(far);
    code.op(Op.select);
  });
  // Shifting by 1 first and then by 63 - count keeps a count of 0 right.
  const rest = op(Op.i64Xor, count, 63n);
  if (word === 'shiftLeft') {
    const shifted = op(Op.i64Shl, low, count);
    const crossing = op(Op.i64ShrU, op(Op.i64ShrU, low, 1n), rest);
    return [choose(0n, shifted), choose(shifted, op(Op.i64Or, op(Op.i64Shl, high, count), crossing))];
  }
  const opcode = word === 'shiftRight' ? Op.i64ShrU : Op.i64ShrS;
  const shifted = op(opcode, high, count);
  const crossing = op(Op.i64Shl, op(Op.i64Shl, high, 1n), rest);
  const filled = word === 'shiftRight' ? 0n : op(Op.i64ShrS, high, 63n);
  return [choose(shifted, op(Op.i64Or, op(Op.i64ShrU, low, count), crossing)), choose(filled, shifted)];
}

function rotate(emitter: Emitter, value: Halves, count: Expr, rightward: boolean): Halves {
  const known = emitter.constant(count);
  const forward: Half = known === undefined ? combine(emitter, Op.i64And, emitter.halves(count)[0], 127n) : known & 127n;
  const back: Half = typeof forward === 'bigint' ? -forward & 127n : combine(emitter, Op.i64And, combine(emitter, Op.i64Sub, 0n, forward), 127n);
  const leftward = shiftInRange(emitter, 'shiftLeft', value, rightward ? back : forward);
  const right = shiftInRange(emitter, 'shiftRight', value, rightward ? forward : back);
  return [combine(emitter, Op.i64Or, leftward[0], right[0]), combine(emitter, Op.i64Or, leftward[1], right[1])];
}
