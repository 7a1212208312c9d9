// The float words of `expr.ts` as WebAssembly: the processor's own arithmetic, followed by a proof that MXCSR, the operands and the result
// leave no doubt: rounding to nearest with everything masked and the inexact flag set already, no NaN, no denormal, no overflow. If that
// fails, a function of the table looks again, at zeros, at results that are exact and at NaNs in comparisons. In any other case the exact
// reading of `semantics/softfloat.ts` decides. Part of the emitter, called by `emit.ts`, and by `functions.ts` for the second look.
import { placeOf, placeOfArea } from '../cpu/state.ts';
import type { Expr, FloatExpr, FloatWord } from '../semantics/expr.ts';
import { I32, I64, Op, V128, type Code, type ValueType } from './encode.ts';
import { Simd, type Emitter } from './emit.ts';
import { FUSED, isFused } from './fused.ts';
import { HALF, isHalf } from './half.ts';
import { andExact, andMasked } from './mxcsr.ts';

/** Where the arguments of the exact reading stand, 16 bytes each, and behind them its result. */
export const FLOAT_ARGUMENTS = placeOfArea('slowValue'), FLOAT_RESULT = FLOAT_ARGUMENTS + 48;

interface Lanes {
  readonly lane: 32 | 64;
  readonly full: number;
  readonly bitmask: number;
  readonly abs: number; readonly sqrt: number; readonly add: number; readonly sub: number; readonly mul: number; readonly div: number;
  readonly pmin: number; readonly pmax: number; readonly nearest: number; readonly floor: number; readonly ceil: number; readonly trunc: number;
  readonly eq: number; readonly ne: number; readonly lt: number; readonly gt: number; readonly le: number; readonly ge: number;
  readonly neg: number;
  /** Signed integers: greater. */
  readonly above: number;
  readonly smallest: bigint; readonly infinity: bigint; readonly two31: bigint;
  /** Of the significand; half of them and one, as a factor; and where a product of halves may overflow or lose digits. */
  readonly digits: number; readonly splitter: bigint; readonly huge: bigint; readonly tiny: bigint;
}
const byFormat: Readonly<Record<32 | 64, Lanes>> = {
  32: {
    lane: 32, full: 15, bitmask: 0xa4, abs: 0xe0, sqrt: 0xe3, add: 0xe4, sub: 0xe5, mul: 0xe6, div: 0xe7, pmin: 0xea, pmax: 0xeb,
    nearest: 0x6a, ceil: 0x67, floor: 0x68, trunc: 0x69,
    eq: 0x41, ne: 0x42, lt: 0x43, gt: 0x44, le: 0x45, ge: 0x46, smallest: 0x00800000n, infinity: 0x7f800000n, two31: 0x4f000000n,
    neg: 0xe1, above: 0x3b, digits: 24, splitter: 0x45800800n, huge: 0x76000000n, tiny: 0x10000000n,
  },
  64: {
    lane: 64, full: 3, bitmask: 0xc4, abs: 0xec, sqrt: 0xef, add: 0xf0, sub: 0xf1, mul: 0xf2, div: 0xf3, pmin: 0xf6, pmax: 0xf7,
    nearest: 0x94, ceil: 0x74, floor: 0x75, trunc: 0x7a,
    eq: 0x47, ne: 0x48, lt: 0x49, gt: 0x4a, le: 0x4b, ge: 0x4c, smallest: 0x0010000000000000n, infinity: 0x7ff0000000000000n, two31: 0x41e0000000000000n,
    neg: 0xed, above: 0xd9, digits: 53, splitter: 0x41a0000002000000n, huge: 0x7dd0000000000000n, tiny: 0x0500000000000000n,
  },
};
const Scalar = {
  lt32: 0x5d, lt64: 0x63, abs32: 0x8b, abs64: 0x99, nearest32: 0x90, nearest64: 0x9e, f32FromI64: 0xb4, f64FromI64: 0xb9,
  f32FromBits: 0xbe, f64FromBits: 0xbf, f32ToBits: 0xbc, f64ToBits: 0xbd,
} as const;
const TO_SINGLE = 0x5e, TO_DOUBLE = 0x5f, TO_I32_FROM_F32 = 0xf8, F32_FROM_I32 = 0xfa, TO_I32_FROM_F64 = 0xfc, F64_FROM_I32 = 0xfe, INTEGER_ABSOLUTE = 0xa0, INTEGER_BELOW = 0x3a;
/** As doubles: the smallest normal single and the largest one. */
const SMALLEST_SINGLE = 0x3810000000000000n, LARGEST_SINGLE = 0x47efffffe0000000n, TWO_63_SINGLE = 0x5f000000n, TWO_63 = 0x43e0000000000000n;

export interface FloatLocals { readonly result: number; readonly flags: number }

/** Evaluates a float node into a local. `leave`: what to do instead of the exact reading. */
export function emitFloat(emitter: Emitter, node: FloatExpr, leave: (() => void) | undefined): FloatLocals {
  const { code } = emitter;
  const args = node.arguments.map((argument) => pushArgument(emitter, argument));
  const result = emitter.temporary(node.width === 128 ? V128 : node.width === 64 ? I64 : I32);
  const flags = emitter.temporary(I32);
  if (isFused(node.word) || isHalf(node.word)) {
    emitShortcut(emitter, node, args, result, flags, leave);
    return { result, flags };
  }
  const fast = new FastPath(code, (type) => emitter.temporary(type), node.word, node.format, node.width, args);
  fast.compute();
  code.set(result);
  code.i32(0);
  code.set(flags);
  if (fast.isCertain) return { result, flags };
  fast.pushTrusted();
  code.op(Op.i32Eqz);
  code.if();
  if (fast.looksAgain) {
    for (const local of fast.forSecondLook()) code.get(local);
    code.i32(emitter.functions.secondLookSlot(node.word, node.format));
    code.callIndirect(emitter.module.type(...SECOND_LOOK));
    code.op(Op.i32Eqz);
    code.if();
  }
  if (leave) leave();
  else callExact(emitter, node, args, result, flags);
  if (fast.looksAgain) code.end();
  code.end();
  return { result, flags };
}

/** Words whose fast path is a function of the table. */
function emitShortcut(
  emitter: Emitter, node: FloatExpr, args: readonly number[], result: number, flags: number, leave: (() => void) | undefined,
): void {
  const { code } = emitter, trusted = emitter.temporary(I32);
  for (const local of args) code.get(local);
  code.i32(emitter.functions.shortcutSlot(node.word, node.format, node.width < 128));
  code.callIndirect(emitter.module.type(...(isFused(node.word) ? FUSED : HALF)));
  code.set(trusted);
  if (node.width < 128) code.simd(node.width === 64 ? Simd.extract64 : Simd.extract32, 0);
  code.set(result);
  code.i32(0);
  code.set(flags);
  code.get(trusted);
  code.op(Op.i32Eqz);
  code.if();
  if (leave) leave();
  else callExact(emitter, node, args, result, flags);
  code.end();
}

/** The type of a second look: both operands and the result; what a word does not have is any vector. */
export const SECOND_LOOK: readonly [readonly ValueType[], readonly ValueType[]] = [[V128, V128, V128], [I32]];
/** The body of the second look at a word, for scalars and vectors alike. */
export function emitSecondLook(code: Code, word: FloatWord, format: 32 | 64): void {
  const look = new FastPath(code, (type) => code.local(type), word, format, 128, [0, 1]);
  look.vector = 2;
  look.pushSecondLook();
}

/** A local of type v128 with the lanes; what is shorter is repeated, so that all lanes may be looked at. */
function pushArgument(emitter: Emitter, argument: Expr): number {
  const local = emitter.temporary(V128);
  if (argument.width === 128) emitter.pushVector(argument);
  else {
    emitter.push(argument);
    emitter.code.simd(argument.width === 64 ? Simd.splat64 : Simd.splat32);
  }
  emitter.code.set(local);
  return local;
}

function callExact(emitter: Emitter, { word, format, width, arguments: sources }: FloatExpr, args: readonly number[], result: number, flags: number): void {
  const { code } = emitter;
  args.forEach((local, number) => {
    code.i32(0);
    code.get(local);
    code.simdMemory(Simd.store, FLOAT_ARGUMENTS + 16 * number);
  });
  code.i32(emitter.functions.floatSlot(word, format, width, sources.map((each) => each.width)));
  code.callIndirect(emitter.module.type([], [I32]));
  code.set(flags);
  code.i32(0);
  if (width === 128) code.simdMemory(Simd.load, FLOAT_RESULT);
  else code.load(width === 64 ? Op.i64Load : Op.i32Load, FLOAT_RESULT);
  code.set(result);
}

const repeat = (lane: 32 | 64, value: bigint): number[] =>
  Array.from({ length: 16 }, (_, at) => Number((value >> BigInt(8 * (at % (lane / 8)))) & 0xffn));

const comparisons: Readonly<Partial<Record<FloatWord, keyof Lanes>>> = {
  equal: 'eq', less: 'lt', lessOrEqual: 'le', notEqual: 'ne', notLess: 'lt', notLessOrEqual: 'le',
};
const arithmetic: Readonly<Partial<Record<FloatWord, keyof Lanes>>> = { add: 'add', subtract: 'sub', multiply: 'mul', divide: 'div' };
/** To integers of the same format. What MXCSR says is only taken when it says nearest. */
const roundings: Readonly<Partial<Record<FloatWord, keyof Lanes>>> = {
  roundNearest: 'nearest', roundDown: 'floor', roundUp: 'ceil', roundZero: 'trunc', roundCurrent: 'nearest', roundCurrentQuietly: 'nearest',
  roundNearestQuietly: 'nearest', roundDownQuietly: 'floor', roundUpQuietly: 'ceil', roundZeroQuietly: 'trunc',
};

/** These only look at their operands: they never round, or do not say so. */
const looking: ReadonlySet<FloatWord> = new Set<FloatWord>(['minimum', 'maximum', 'equal', 'less', 'lessOrEqual', 'unordered', 'notEqual', 'notLess',
  'notLessOrEqual', 'ordered', 'order', 'orderQuiet', 'toDouble', 'roundNearestQuietly', 'roundDownQuietly', 'roundUpQuietly', 'roundZeroQuietly']);

/** These report every NaN as invalid. */
const loud: ReadonlySet<FloatWord> = new Set<FloatWord>(['less', 'lessOrEqual', 'notLess', 'notLessOrEqual', 'order', 'minimum', 'maximum']);
/** These report nothing for quiet NaNs. */
const quiet: ReadonlySet<FloatWord> = new Set<FloatWord>(['equal', 'notEqual', 'unordered', 'ordered', 'orderQuiet']);
/** What COMISS says when one operand is a NaN: ZF, PF and CF. */
const UNORDERED = 0x45;
const INVALID_MASKED_AND_SET = 0x81;

class FastPath {
  /** The inexact flag is at stake. */
  readonly rounds: boolean;
  /** There is more to look at when the first look is in doubt. */
  readonly looksAgain: boolean;
  /** The result needs no proof. */
  readonly isCertain: boolean;
  /** A local with the result as a vector. */
  vector = -1;
  private readonly code: Code;
  private readonly temporary: (type: ValueType) => number;
  private readonly word: FloatWord;
  private readonly format: 32 | 64;
  private readonly width: number;
  private readonly args: readonly number[];
  private readonly lanes: Lanes;
  /** Locals with absolute values. */
  private readonly absolute: number[] = [];
  private absoluteResult = -1;

  constructor(code: Code, temporary: (type: ValueType) => number, word: FloatWord, format: 32 | 64, width: number, args: readonly number[]) {
    this.code = code;
    this.temporary = temporary;
    this.word = word;
    this.format = format;
    this.width = width;
    this.args = args;
    this.lanes = byFormat[word === 'toSingle' ? 64 : word === 'toDouble' ? 32 : format];
    this.rounds = !looking.has(word);
    this.looksAgain = this.rounds || loud.has(word);
    this.isCertain = word === 'fromSigned32' && format === 64;
  }

  forSecondLook(): readonly number[] {
    const first = this.args[0]!;
    return [first, this.args[1] ?? first, this.vector >= 0 ? this.vector : first];
  }

  private get(number: number): void { this.code.get(this.args[number]!); }
  private op(name: keyof Lanes): void { this.code.simd(this.lanes[name] as number); }
  private constant(value: bigint): void { this.code.simd(Simd.constant, ...repeat(this.lanes.lane, value)); }

  /** From a vector on the stack to the form of the result. */
  private finish(): void {
    this.vector = this.temporary(V128);
    this.code.tee(this.vector);
    if (this.width < 128) this.code.simd(this.width === 64 ? Simd.extract64 : Simd.extract32, 0);
  }

  compute(): void {
    const { word, format, code } = this;
    const operation = arithmetic[word], comparison = comparisons[word], rounding = roundings[word];
    if (rounding) {
      this.get(0);
      this.op(rounding);
      return this.finish();
    }
    if (operation || comparison) {
      this.get(0);
      this.get(1);
      this.op((operation ?? comparison)!);
      // A NaN is neither less nor equal.
      if (word === 'notLess' || word === 'notLessOrEqual') code.simd(Simd.not);
      return this.finish();
    }
    switch (word) {
      case 'addSubtract':
        this.get(0);
        this.pushSecondTerm();
        this.op('add');
        return this.finish();
      case 'squareRoot':
        this.get(0);
        this.op('sqrt');
        return this.finish();
      case 'minimum': case 'maximum':
        // The second operand unless the first is really beyond it.
        this.get(1);
        this.get(0);
        this.op(word === 'minimum' ? 'pmin' : 'pmax');
        return this.finish();
      case 'unordered': case 'ordered':
        this.pushUnordered();
        if (word === 'ordered') code.simd(Simd.not);
        return this.finish();
      case 'order': case 'orderQuiet':
        for (const name of ['lt', 'eq'] as const) {
          this.get(0);
          this.get(1);
          this.op(name);
          this.op('bitmask');
          code.i32(1);
          code.op(Op.i32And);
        }
        code.i32(6);
        code.op(Op.i32Shl);
        code.op(Op.i32Or);
        this.pushUnordered();
        this.op('bitmask');
        code.i32(1);
        code.op(Op.i32And);
        code.i32(UNORDERED);
        code.op(Op.i32Mul);
        return code.op(Op.i32Or);
      case 'fromSigned32':
        this.get(0);
        code.simd(format === 32 ? F32_FROM_I32 : F64_FROM_I32);
        return this.finish();
      case 'fromSigned64':
        this.get(0);
        code.simd(Simd.extract64, 0);
        code.op(format === 32 ? Scalar.f32FromI64 : Scalar.f64FromI64);
        return code.op(format === 32 ? Scalar.f32ToBits : Scalar.f64ToBits);
      case 'toSingle': case 'toDouble':
        this.get(0);
        code.simd(word === 'toSingle' ? TO_SINGLE : TO_DOUBLE);
        return this.finish();
      case 'toSigned64': case 'truncateTo64':
        this.pushScalar();
        code.byte(0xfc);
        return code.byte(format === 32 ? 4 : 6);
      default:
        this.pushIntegral();
        code.simd(format === 32 ? TO_I32_FROM_F32 : TO_I32_FROM_F64);
        return this.finish();
    }
  }

  /** What is added to the first operand of a sum or difference. */
  private pushSecondTerm(): void {
    const { word, code, format } = this;
    this.get(1);
    if (word === 'subtract') code.simd(this.lanes.neg);
    if (word !== 'addSubtract') return;
    code.simd(Simd.constant, ...Array.from({ length: 16 }, (_, at) => at % (format / 4) === format / 8 - 1 ? 0x80 : 0));
    code.simd(Simd.xor);
  }

  /** The argument as f32 or f64, rounded to an integer where the word rounds. */
  private pushScalar(): void {
    const { code } = this, single = this.format === 32;
    this.get(0);
    code.simd(single ? Simd.extract32 : Simd.extract64, 0);
    code.op(single ? Scalar.f32FromBits : Scalar.f64FromBits);
    if (this.word === 'toSigned64') code.op(single ? Scalar.nearest32 : Scalar.nearest64);
  }
  private pushIntegral(): void {
    this.get(0);
    if (this.word === 'toSigned32') this.op('nearest');
  }

  /** Rounding to nearest, all exceptions masked, and the inexact flag is set. DAZ and FTZ may be as they like: where a denormal operand or a
   * tiny result would make a difference, nothing is trusted. */
  private pushPlainControl(): void {
    const { code } = this;
    code.i32(0);
    code.load(Op.i32Load, placeOf('mxcsr'));
    code.i32(0x7fa0);
    code.op(Op.i32And);
    code.i32(0x1fa0);
    code.op(Op.i32Eq);
  }
  /** All lanes of the mask on the stack hold. */
  private pushAll(): void {
    this.op('bitmask');
    this.code.i32(this.lanes.full);
    this.code.op(Op.i32Eq);
  }

  private pushAbsolute(number: number): void {
    const known = this.absolute[number];
    if (known !== undefined) return this.code.get(known);
    const local = this.temporary(V128);
    this.get(number);
    this.op('abs');
    this.code.tee(local);
    this.absolute[number] = local;
  }
  private pushAbsoluteResult(): void {
    if (this.absoluteResult >= 0) return this.code.get(this.absoluteResult);
    this.absoluteResult = this.temporary(V128);
    this.code.get(this.vector);
    this.op('abs');
    this.code.tee(this.absoluteResult);
  }
  /** A mask: one of the two is a NaN. */
  private pushUnordered(): void {
    for (const number of [0, 1]) {
      this.get(number);
      this.get(number);
      this.op('ne');
    }
    this.code.simd(Simd.or);
  }
  /** Neither NaN nor denormal. */
  private pushOrdinary(number: number): void {
    this.pushAbsolute(number);
    this.constant(this.lanes.smallest);
    this.op('ge');
    this.pushAbsolute(number);
    this.constant(0n);
    this.op('eq');
    this.code.simd(Simd.or);
  }
  /** Above the smallest normal number, which a tiny one may have been rounded to, and finite. */
  private pushNormalResult(): void {
    this.pushAbsoluteResult();
    this.constant(this.lanes.smallest);
    this.op('gt');
    this.pushAbsoluteResult();
    this.constant(this.lanes.infinity);
    this.op('lt');
    this.code.simd(Simd.and);
  }

  /** Whether the result, and the silence about exceptions, are right beyond doubt. */
  pushTrusted(): void {
    const { code } = this;
    if (this.word in arithmetic || this.word === 'addSubtract') {
      // All three are normal numbers.
      this.pushAbsolute(0);
      this.pushAbsolute(1);
      this.op('pmin');
      this.pushAbsoluteResult();
      this.op('pmin');
      this.constant(this.lanes.smallest);
      this.op('gt');
      this.pushAbsoluteResult();
      this.constant(this.lanes.infinity);
      this.op('lt');
      code.simd(Simd.and);
      this.pushAll();
    } else this.pushUsual();
    if (!this.rounds) return;
    this.pushPlainControl();
    code.op(Op.i32And);
  }

  /** The operands and the result are such that nothing but inexactness can be reported: an i32. */
  private pushUsual(): void {
    const { word, format, code } = this;
    switch (word) {
      case 'squareRoot':
        // Positive and normal, or a zero.
        this.get(0);
        this.constant(this.lanes.smallest);
        this.op('ge');
        this.get(0);
        this.constant(this.lanes.infinity);
        this.op('lt');
        code.simd(Simd.and);
        this.get(0);
        this.constant(0n);
        this.op('eq');
        code.simd(Simd.or);
        return this.pushAll();
      case 'fromSigned32': case 'fromSigned64': return code.i32(1);
      case 'toSingle':
        this.pushAbsolute(0);
        this.constant(SMALLEST_SINGLE);
        this.op('gt');
        this.pushAbsolute(0);
        this.constant(LARGEST_SINGLE);
        this.op('le');
        code.simd(Simd.and);
        this.pushAbsolute(0);
        this.constant(0n);
        this.op('eq');
        code.simd(Simd.or);
        return this.pushAll();
      case 'toSigned64': case 'truncateTo64':
        this.pushScalar();
        code.op(format === 32 ? Scalar.abs32 : Scalar.abs64);
        if (format === 32) code.i32(Number(TWO_63_SINGLE));
        else code.i64(TWO_63);
        code.op(format === 32 ? Scalar.f32FromBits : Scalar.f64FromBits);
        return code.op(format === 32 ? Scalar.lt32 : Scalar.lt64);
      case 'toSigned32': case 'truncateTo32':
        this.pushIntegral();
        this.op('abs');
        this.constant(this.lanes.two31);
        this.op('lt');
        return this.pushAll();
      case 'toDouble':
        this.pushOrdinary(0);
        return this.pushAll();
      case 'add': case 'subtract': case 'addSubtract': case 'multiply': case 'divide':
        // Zeros may take part, but one that comes out must be exact.
        this.pushOrdinary(0);
        this.pushOrdinary(1);
        code.simd(Simd.and);
        this.pushNormalResult();
        this.pushAbsoluteResult();
        this.constant(0n);
        this.op('eq');
        if (word === 'multiply' || word === 'divide') {
          this.pushAbsolute(0);
          if (word === 'multiply') {
            this.pushAbsolute(1);
            this.op('pmin');
          }
          this.constant(0n);
          this.op('eq');
          code.simd(Simd.and);
        }
        code.simd(Simd.or);
        code.simd(Simd.and);
        return this.pushAll();
      case 'roundNearest': case 'roundDown': case 'roundUp': case 'roundZero': case 'roundCurrent':
      case 'roundNearestQuietly': case 'roundDownQuietly': case 'roundUpQuietly': case 'roundZeroQuietly': case 'roundCurrentQuietly':
        this.pushOrdinary(0);
        return this.pushAll();
      default:
        // Comparisons report nothing for ordinary operands, and some nothing for quiet NaNs.
        for (const number of [0, 1]) {
          this.pushOrdinary(number);
          if (!quiet.has(word)) continue;
          this.pushAbsolute(number);
          this.constant(this.lanes.infinity | this.lanes.smallest - 1n >> 1n);
          code.simd(this.lanes.above);
          code.simd(Simd.or);
        }
        code.simd(Simd.and);
        return this.pushAll();
    }
  }

  /** The usual, and either the inexact flag is set already or nothing is inexact; NaNs, when the invalid flag is set already. */
  pushSecondLook(): void {
    const { code } = this;
    if (loud.has(this.word)) return this.pushKnownInvalid();
    this.pushUsual();
    andMasked(code);
    this.pushExact();
    andExact(code);
  }

  /** What a NaN would report is masked and set; other operands are ordinary. */
  private pushKnownInvalid(): void {
    const { code } = this;
    for (const number of [0, 1]) {
      this.get(number);
      this.get(number);
      this.op('ne');
      code.i32(0);
      code.i32(0);
      code.load(Op.i32Load, placeOf('mxcsr'));
      code.i32(INVALID_MASKED_AND_SET);
      code.op(Op.i32And);
      code.i32(INVALID_MASKED_AND_SET);
      code.op(Op.i32Eq);
      code.op(Op.i32Sub);
      code.simd(Simd.splat32);
      code.simd(Simd.and);
      this.pushOrdinary(number);
      code.simd(Simd.or);
    }
    code.simd(Simd.and);
    this.pushAll();
  }

  /** Whether nothing was rounded away, for usual operands: an i32 that is not 0; when in doubt 0. */
  private pushExact(): void {
    const { word, code } = this;
    const result = (): void => { code.get(this.vector); };
    switch (word) {
      case 'add': case 'subtract': case 'addSubtract': {
        // Knuth's sum: what r lacks is (a - (r - t)) + (b - t), where t = r - a.
        const second = this.local(() => { this.pushSecondTerm(); });
        const part = this.local(() => {
          result();
          this.get(0);
          this.op('sub');
        });
        this.get(0);
        result();
        code.get(part);
        this.op('sub');
        this.op('sub');
        code.get(second);
        code.get(part);
        this.op('sub');
        this.op('add');
        this.constant(0n);
        this.op('eq');
        return this.pushAll();
      }
      case 'multiply': return this.pushExactProduct(this.args[0]!, this.args[1]!, this.vector);
      case 'divide': return this.pushExactProduct(this.vector, this.args[1]!, this.args[0]!);
      case 'squareRoot': return this.pushExactProduct(this.vector, this.vector, this.args[0]!);
      case 'toSingle':
        this.get(0);
        result();
        code.simd(TO_DOUBLE);
        this.op('eq');
        return this.pushAll();
      case 'fromSigned32':
        // Integers of 24 bits and a sign.
        this.get(0);
        code.simd(INTEGER_ABSOLUTE);
        code.simd(Simd.constant, ...repeat(32, 0x01000000n));
        code.simd(INTEGER_BELOW);
        return this.pushAll();
      case 'fromSigned64':
        this.get(0);
        code.simd(Simd.extract64, 0);
        code.i64(1n << BigInt(this.lanes.digits));
        code.op(Op.i64Add);
        code.i64(2n << BigInt(this.lanes.digits));
        return code.op(Op.i64LtU);
      default:
        // To integers, of the same format too: they were integers.
        this.get(0);
        this.op('nearest');
        this.get(0);
        this.op('eq');
        return this.pushAll();
    }
  }

  private local(push: () => void): number {
    const local = this.temporary(V128);
    push();
    this.code.set(local);
    return local;
  }

  /** Whether a product of two numbers is exactly a third one, by Dekker's product: the parts of Veltkamp's split have few enough digits to be
   * multiplied without rounding, if nothing is too large or too small. */
  private pushExactProduct(left: number, right: number, whole: number): void {
    const { code } = this;
    const apply = (name: keyof Lanes, first: number, second: number): number => this.local(() => {
      code.get(first);
      code.get(second);
      this.op(name);
    });
    const split = (value: number): [high: number, low: number] => {
      const scaled = this.local(() => {
        code.get(value);
        this.constant(this.lanes.splitter);
        this.op('mul');
      });
      const high = apply('sub', scaled, apply('sub', scaled, value));
      return [high, apply('sub', value, high)];
    };
    const product = apply('mul', left, right);
    const [leftHigh, leftLow] = split(left), [rightHigh, rightLow] = split(right);
    let error = apply('sub', apply('mul', leftHigh, rightHigh), product);
    error = apply('add', error, apply('mul', leftHigh, rightLow));
    error = apply('add', error, apply('mul', leftLow, rightHigh));
    error = apply('add', error, apply('mul', leftLow, rightLow));
    code.get(error);
    this.constant(0n);
    this.op('eq');
    code.get(product);
    code.get(whole);
    this.op('eq');
    code.simd(Simd.and);
    for (const value of [left, right]) {
      code.get(value);
      this.op('abs');
      this.constant(this.lanes.huge);
      this.op('lt');
      code.simd(Simd.and);
    }
    code.get(product);
    this.op('abs');
    this.constant(this.lanes.tiny);
    this.op('gt');
    code.get(product);
    this.constant(0n);
    this.op('eq');
    code.simd(Simd.or);
    code.simd(Simd.and);
    this.pushAll();
  }
}
