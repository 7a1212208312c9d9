// The vector words of `expr.ts` as WebAssembly SIMD: every value here is one v128 on the stack, of which a 64-bit expression uses the low
// half. Part of the emitter, called by `emit.ts` only.
import type { Expr, Lane, LaneWord, ShiftWord } from '../semantics/expr.ts';
import { I32, I64, Op, V128 } from './encode.ts';
import { Simd, type Emitter } from './emit.ts';

type Node<K extends Expr['kind']> = Extract<Expr, { kind: K }>;

/** Opcodes of the words that WebAssembly has as such. */
const laneOps: Readonly<Partial<Record<LaneWord, Readonly<Partial<Record<Lane, number>>>>>> = {
  plus: { 8: 0x6e, 16: 0x8e, 32: 0xae, 64: 0xce },
  minus: { 8: 0x71, 16: 0x91, 32: 0xb1, 64: 0xd1 },
  times: { 16: 0x95, 32: 0xb5, 64: 0xd5 },
  equal: { 8: 0x23, 16: 0x2d, 32: 0x37, 64: 0xd6 },
  greater: { 8: 0x27, 16: 0x31, 32: 0x3b, 64: 0xd9 },
  minimum: { 8: 0x76, 16: 0x96, 32: 0xb6 },
  minimumUnsigned: { 8: 0x77, 16: 0x97, 32: 0xb7 },
  maximum: { 8: 0x78, 16: 0x98, 32: 0xb8 },
  maximumUnsigned: { 8: 0x79, 16: 0x99, 32: 0xb9 },
  averageUnsigned: { 8: 0x7b, 16: 0x9b },
  plusSaturated: { 8: 0x6f, 16: 0x8f },
  plusSaturatedUnsigned: { 8: 0x70, 16: 0x90 },
  minusSaturated: { 8: 0x72, 16: 0x92 },
  minusSaturatedUnsigned: { 8: 0x73, 16: 0x93 },
  pairProducts: { 32: 0xba },
};
const shiftOps: Readonly<Record<ShiftWord, Readonly<Record<Lane, number>>>> = {
  shiftLeft: { 8: 0x6b, 16: 0x8b, 32: 0xab, 64: 0xcb },
  shiftRightSigned: { 8: 0x6c, 16: 0x8c, 32: 0xac, 64: 0xcc },
  shiftRight: { 8: 0x6d, 16: 0x8d, 32: 0xad, 64: 0xcd },
};
const bitmasks: Readonly<Record<Lane, number>> = { 8: 0x64, 16: 0x84, 32: 0xa4, 64: 0xc4 };
const narrowOps = { 16: [0x66, 0x65], 32: [0x86, 0x85] } as const;

/** Byte numbers for `i8x16.shuffle`: `second` is where the lanes of the right operand begin. */
function bytesOf(picks: readonly number[], lane: number): number[] {
  const count = picks.length, size = lane / 8;
  return Array.from({ length: 16 }, (_, at) => {
    const pick = picks[Math.floor(at / size) % count]!;
    return (pick < count ? pick : pick - count + 16 / size) * size + at % size;
  });
}

/** Pushes the v128 of a node whose own form is a vector. */
export function pushVectorNode(emitter: Emitter, node: Expr): void {
  switch (node.kind) {
    case 'lanes': return pushLanes(emitter, node);
    case 'shiftLanes': return pushShift(emitter, node);
    case 'shuffle': return pushShuffle(emitter, node);
    case 'narrow': return pushNarrow(emitter, node);
    case 'unary':
      emitter.pushVector(node.value);
      return emitter.code.simd(Simd.not);
    case 'binary': {
      // and(not(a), b) is one instruction, with its operands the other way round.
      const inverted = node.word === 'and' && node.left.kind === 'unary' && node.left.word === 'not' ? node.left.value : undefined;
      emitter.pushVector(inverted ? node.right : node.left);
      emitter.pushVector(inverted ?? node.right);
      return emitter.code.simd(inverted ? Simd.andNot : node.word === 'and' ? Simd.and : node.word === 'or' ? Simd.or : Simd.xor);
    }
    case 'select':
      emitter.hold(node.condition);
      emitter.pushVector(node.whenTrue);
      emitter.pushVector(node.whenFalse);
      emitter.pushTruth(node.condition);
      return emitter.code.op(Op.select);
    default: throw new Error(`${node.kind} is no vector`);
  }
}

/** Pushes one after the other, from locals: for words that need their operands twice. */
function held(emitter: Emitter, node: Expr): () => void {
  const local = emitter.temporary(V128);
  emitter.pushVector(node);
  emitter.code.set(local);
  return () => { emitter.code.get(local); };
}

function pushLanes(emitter: Emitter, { word, lane, left, right, width }: Node<'lanes'>): void {
  const { code } = emitter;
  const opcode = laneOps[word]?.[lane];
  if (opcode !== undefined) {
    emitter.pushVector(left);
    emitter.pushVector(right);
    return code.simd(opcode);
  }
  if (word === 'permute' && lane === 8) {
    // What is left of the index is below the number of lanes, or at least 128: swizzle gives 0 for those.
    emitter.pushVector(left);
    emitter.pushVector(right);
    code.simd(Simd.constant, ...new Array<number>(16).fill(width === 64 ? 0x87 : 0x8f));
    code.simd(Simd.and);
    return code.simd(Simd.swizzle);
  }
  const pushLeft = held(emitter, left), pushRight = held(emitter, right);
  const both = (...ops: number[]): void => {
    pushLeft();
    pushRight();
    for (const each of ops) code.simd(each);
  };
  switch (word) {
    case 'shiftLeft': case 'shiftRight': case 'shiftRightSigned': return pushShiftEach(emitter, word, lane, pushLeft, pushRight);
    case 'timesHigh': case 'timesHighUnsigned': {
      if (lane !== 16) break;
      const unsigned = word === 'timesHighUnsigned';
      both(unsigned ? Simd.timesLowHalf16Unsigned : Simd.timesLowHalf16);
      both(unsigned ? Simd.timesHighHalf16Unsigned : Simd.timesHighHalf16);
      return code.simd(Simd.shuffle, ...bytesOf([1, 3, 5, 7, 9, 11, 13, 15], 16));
    }
    case 'timesHighRounded':
      if (lane !== 16) break;
      // The one product that WebAssembly saturates is that of two times -1.
      both(Simd.timesRounded16);
      both(Simd.and);
      code.simd(Simd.constant, ...new Array<number>(8).fill(0).flatMap(() => [0, 0x80]));
      code.simd(Simd.equal16);
      pushLeft();
      pushRight();
      code.simd(Simd.equal16);
      code.simd(Simd.and);
      return code.simd(Simd.xor);
    case 'timesLow': case 'timesLowUnsigned': {
      if (lane !== 64) break;
      const even = bytesOf([0, 2, 0, 2], 32);
      for (const push of [pushLeft, pushRight]) {
        push();
        push();
        code.simd(Simd.shuffle, ...even);
      }
      return code.simd(word === 'timesLow' ? Simd.timesLowHalf32 : Simd.timesLowHalf32Unsigned);
    }
    default: break;
  }
  throw new Error(`${word} of ${lane}-bit lanes has no WebAssembly reading`);
}

/** Lane by lane, each by a count of its own. */
function pushShiftEach(emitter: Emitter, word: ShiftWord, lane: Lane, pushLeft: () => void, pushRight: () => void): void {
  const { code } = emitter;
  if (lane !== 32 && lane !== 64) throw new Error(`${word} of ${lane}-bit lanes by counts has no WebAssembly reading`);
  const wide = lane === 64, type = wide ? I64 : I32, [extract, replace] = wide ? [Simd.extract64, Simd.replace64] : [Simd.extract32, Simd.replace32];
  const small = (value: number): void => { if (wide) code.i64Small(value); else code.i32(value); };
  const count = emitter.temporary(type);
  const pushInRange = (): void => {
    code.get(count);
    small(lane);
    code.op(wide ? Op.i64LtU : Op.i32LtU);
  };
  const opcode = word === 'shiftLeft' ? wide ? Op.i64Shl : Op.i32Shl : word === 'shiftRight' ? wide ? Op.i64ShrU : Op.i32ShrU : wide ? Op.i64ShrS : Op.i32ShrS;
  pushLeft();
  for (let at = 0; at < 128 / lane; at++) {
    pushRight();
    code.simd(extract, at);
    code.set(count);
    pushLeft();
    code.simd(extract, at);
    if (word === 'shiftRightSigned') {
      code.get(count);
      small(lane - 1);
      pushInRange();
      code.op(Op.select);
      code.op(opcode);
    } else {
      code.get(count);
      code.op(opcode);
      small(0);
      pushInRange();
      code.op(Op.select);
    }
    code.simd(replace, at);
  }
}

function pushShift(emitter: Emitter, { word, lane, value, count }: Node<'shiftLanes'>): void {
  const { code } = emitter;
  const opcode = shiftOps[word][lane];
  const known = emitter.constant(count);
  if (known !== undefined) {
    if (known >= lane && word !== 'shiftRightSigned') return code.simd(Simd.constant, ...new Array<number>(16).fill(0));
    emitter.pushVector(value);
    code.i32(known >= lane ? lane - 1 : Number(known));
    return code.simd(opcode);
  }
  // WebAssembly takes counts modulo the lane.
  const local = emitter.temporary(I32), wide = count.width === 64;
  const pushLimit = (limit: number): void => { if (wide) code.i64Small(limit); else code.i32(limit); };
  const pushBelow = (): void => {
    emitter.pushZeroExtended(count);
    pushLimit(lane);
    code.op(wide ? Op.i64LtU : Op.i32LtU);
  };
  emitter.hold(count);
  if (word === 'shiftRightSigned') {
    emitter.pushZeroExtended(count);
    if (wide) code.op(Op.i32WrapI64);
    code.i32(lane - 1);
    pushBelow();
    code.op(Op.select);
    code.set(local);
    emitter.pushVector(value);
    code.get(local);
    return code.simd(opcode);
  }
  emitter.pushVector(value);
  emitter.pushZeroExtended(count);
  if (wide) code.op(Op.i32WrapI64);
  code.simd(opcode);
  code.i32(0);
  pushBelow();
  code.op(Op.i32Sub);
  code.simd(Simd.splat32);
  code.simd(Simd.and);
}

function pushShuffle(emitter: Emitter, { lane, picks, left, right }: Node<'shuffle'>): void {
  emitter.pushVector(left);
  emitter.pushVector(right);
  emitter.code.simd(Simd.shuffle, ...bytesOf(picks, lane));
}

function pushNarrow(emitter: Emitter, { lane, signed, left, right, width }: Node<'narrow'>): void {
  const { code } = emitter;
  if (lane !== 16 && lane !== 32) throw new Error(`narrowing ${lane}-bit lanes has no WebAssembly reading`);
  const opcode = narrowOps[lane][signed ? 1 : 0];
  emitter.pushVector(left);
  emitter.pushVector(right);
  if (width === 64) {
    const both = emitter.temporary(V128);
    code.simd(Simd.shuffle, ...bytesOf([0, 2], 64));
    code.tee(both);
    code.get(both);
  }
  code.simd(opcode);
}

/** Pushes the i32 of the top bits of lanes. */
export function pushSigns(emitter: Emitter, { lane, value }: Node<'signs'>): void {
  emitter.pushVector(value);
  emitter.code.simd(bitmasks[lane]);
  if (value.width === 128) return;
  emitter.code.i32((1 << value.width / lane) - 1);
  emitter.code.op(Op.i32And);
}
