// Conversions from and to half precision: functions of their own in the table, which `float.ts` calls and `functions.ts` builds. They answer
// whether their result is beyond doubt; if not, the exact reading decides.
import type { FloatWord } from '../semantics/expr.ts';
import { I32, V128, type Code, type ValueType } from './encode.ts';
import { Simd } from './emit.ts';
import { andExact, andMasked } from './mxcsr.ts';

/** A vector to the result as a vector and whether it can be trusted. */
export const HALF: readonly [readonly ValueType[], readonly ValueType[]] = [[V128], [V128, I32]];
type HalfWord = Extract<FloatWord, 'halfToSingle' | `toHalf${string}`>;
export const isHalf = (word: FloatWord): word is HalfWord => word === 'halfToSingle' || word.startsWith('toHalf');

const I32X4 = { shiftLeft: 0xab, shiftRightSigned: 0xac, shiftRight: 0xad, add: 0xae, sub: 0xb1, eq: 0x37, ne: 0x38, lt: 0x39, gt: 0x3b, ge: 0x3f, allTrue: 0xa3 } as const;
const EXTEND_LOW = 0xa9, NARROW = 0x86, SINGLE_TIMES = 0xe6;
/** 2 to the 112, which brings a half's exponent to where a single has it; as singles, 2 to the -14 and 65504, the smallest normal and the largest half. */
const SCALE = 0x77800000, SMALLEST_HALF = 0x38800000, LARGEST_HALF = 0x477fe000;

export function emitHalf(code: Code, word: HalfWord): void {
  if (word === 'halfToSingle') fromHalf(code);
  else toHalf(code, word);
}

const steps = (code: Code) => ({
  keep(): number {
    const local = code.local(V128);
    code.set(local);
    return local;
  },
  constant(value: number): void { code.simd(Simd.constant, ...Array.from({ length: 16 }, (_, at) => value >>> 8 * (at % 4) & 0xff)); },
  shift(opcode: number, by: number): void {
    code.i32(by);
    code.simd(opcode);
  },
});

/** Exact for all but signaling NaNs, which are reported. */
function fromHalf(code: Code): void {
  const { keep, constant, shift } = steps(code);
  code.get(0);
  code.simd(EXTEND_LOW);
  const half = keep();
  code.get(half);
  constant(0x7fff);
  code.simd(Simd.and);
  const magnitude = keep();
  code.get(magnitude);
  shift(I32X4.shiftLeft, 13);
  const shifted = keep();
  code.get(shifted);
  constant(SCALE);
  code.simd(SINGLE_TIMES);
  // Infinities and NaNs have the largest exponent in both formats.
  code.get(magnitude);
  constant(0x7bff);
  code.simd(I32X4.gt);
  constant(0x7f800000);
  code.simd(Simd.and);
  code.simd(Simd.or);
  code.get(half);
  constant(0x8000);
  code.simd(Simd.and);
  shift(I32X4.shiftLeft, 16);
  code.simd(Simd.or);
  // Not above infinity, or quiet.
  code.get(magnitude);
  constant(0x7c01);
  code.simd(I32X4.lt);
  code.get(magnitude);
  constant(0x7dff);
  code.simd(I32X4.gt);
  code.simd(Simd.or);
  code.simd(I32X4.allTrue);
}

/** For what becomes a normal number or a zero. */
function toHalf(code: Code, word: Exclude<HalfWord, 'halfToSingle'>): void {
  const { keep, constant, shift } = steps(code);
  code.get(0);
  constant(0x7fffffff);
  code.simd(Simd.and);
  const magnitude = keep();
  code.get(0);
  shift(I32X4.shiftRight, 31);
  const sign = keep();
  code.get(magnitude);
  constant(0);
  code.simd(I32X4.eq);
  const isZero = keep();

  code.get(magnitude);
  pushIncrement();
  code.simd(I32X4.add);
  shift(I32X4.shiftRight, 13);
  constant(112 << 10);
  code.simd(I32X4.sub);
  code.get(isZero);
  code.simd(Simd.andNot);
  code.get(sign);
  shift(I32X4.shiftLeft, 15);
  code.simd(Simd.or);
  const single = keep();
  code.get(single);
  code.get(single);
  code.simd(NARROW);

  code.get(magnitude);
  constant(SMALLEST_HALF - 1);
  code.simd(I32X4.gt);
  code.get(magnitude);
  constant(LARGEST_HALF + 1);
  code.simd(I32X4.lt);
  code.simd(Simd.and);
  code.get(isZero);
  code.simd(Simd.or);
  code.simd(I32X4.allTrue);
  // Everything is masked; where MXCSR rounds, to nearest; and the inexact flag is set, or nothing is inexact.
  andMasked(code, word === 'toHalf');
  code.get(magnitude);
  constant(0x1fff);
  code.simd(Simd.and);
  constant(0);
  code.simd(I32X4.eq);
  code.simd(I32X4.allTrue);
  andExact(code);

  /** What is added before the low 13 bits are cut off. */
  function pushIncrement(): void {
    switch (word) {
      case 'toHalf': case 'toHalfNearest':
        code.get(magnitude);
        shift(I32X4.shiftRight, 13);
        constant(1);
        code.simd(Simd.and);
        constant(0xfff);
        return code.simd(I32X4.add);
      case 'toHalfZero': return constant(0);
      default:
        code.get(sign);
        constant(word === 'toHalfUp' ? 0 : 1);
        code.simd(I32X4.eq);
        constant(0x1fff);
        return code.simd(Simd.and);
    }
  }
}
