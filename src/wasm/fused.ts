// Multiplication and addition with one rounding, from instructions that round twice: functions of their own in the table, which `float.ts`
// calls and `functions.ts` builds. They answer whether their result is beyond doubt; if not, the exact reading decides.
//
// Singles: the product of two is exact as a double, the sum is rounded to 53 bits and then to 24. That differs from one rounding only if the
// sum lies exactly between two singles. Doubles: product and sums are kept with their errors, the smaller parts are added with rounding to
// odd, and one rounding follows (Boldo and Melquiond, "Emulation of FMA and Correctly Rounded Sums: Proved Algorithms Using Rounding to
// Odd", 2008), for magnitudes where nothing overflows or loses digits at the lower end.
import type { FloatWord } from '../semantics/expr.ts';
import { I32, Op, V128, type Code, type ValueType } from './encode.ts';
import { Simd } from './emit.ts';
import { andExact, andMasked } from './mxcsr.ts';

/** Factors and what is added, as vectors of the format, to the result as a vector and whether it can be trusted. */
export const FUSED: readonly [readonly ValueType[], readonly ValueType[]] = [[V128, V128, V128], [V128, I32]];

/** Which lanes of product and of what is added change their sign: even ones in bit 0, odd ones in bit 1. */
const signs: Readonly<Partial<Record<FloatWord, readonly [product: number, added: number]>>> = {
  fusedAdd: [0, 0], fusedSubtract: [0, 3], fusedNegativeAdd: [3, 0], fusedNegativeSubtract: [3, 3], fusedAddOdd: [0, 1], fusedAddEven: [0, 2],
};
export const isFused = (word: FloatWord): boolean => word in signs;

const F64 = { abs: 0xec, add: 0xf0, sub: 0xf1, mul: 0xf2, eq: 0x47, ne: 0x48, le: 0x4b, ge: 0x4c } as const;
const F32 = { abs: 0xe0, eq: 0x41, ge: 0x46 } as const;
const I64X2 = { add: 0xce, equal: 0xd6, shiftRightSigned: 0xcc, allTrue: 0xc3 } as const;
const I32X4_ALL_TRUE = 0xa3, BIT_SELECT = 0x52, TO_SINGLE = 0x5e, TO_DOUBLE = 0x5f;
/** As doubles: half of the digits and one, as a factor; 2 to the 400, -400, 800 and -800; the smallest normal single and the largest one. */
const SPLITTER = 0x41a0000002000000n, LARGE = 0x58f0000000000000n, SMALL = 0x26f0000000000000n, HUGE = 0x71f0000000000000n, TINY = 0x0df0000000000000n;
const SMALLEST_SINGLE = 0x3810000000000000n, LARGEST_SINGLE = 0x47efffffe0000000n;
/** The digits of a double that a single has not, and half of the last digit that it has. */
const BELOW_SINGLE = 0x1fffffffn, HALF_SINGLE = 0x10000000n;

const bytesOf = (value: bigint, lane: 32 | 64): number[] => Array.from({ length: 16 }, (_, at) => Number(value >> BigInt(8 * (at % (lane / 8))) & 0xffn));

/** Small steps over locals that hold vectors. */
function calculator(code: Code) {
  const keep = (): number => {
    const local = code.local(V128);
    code.set(local);
    return local;
  };
  const push = (...locals: readonly number[]): void => { for (const local of locals) code.get(local); };
  const constant = (value: bigint, lane: 32 | 64 = 64): void => { code.simd(Simd.constant, ...bytesOf(value, lane)); };
  const combine = (opcode: number, left: number, right: number): number => {
    push(left, right);
    code.simd(opcode);
    return keep();
  };
  /** A sum or difference, and what it lacks (Knuth). */
  const twoSum = (left: number, right: number): readonly [sum: number, error: number] => {
    const sum = combine(F64.add, left, right), part = combine(F64.sub, sum, left);
    const rest = combine(F64.sub, left, combine(F64.sub, sum, part));
    return [sum, combine(F64.add, rest, combine(F64.sub, right, part))];
  };
  const split = (value: number): readonly [high: number, low: number] => {
    push(value);
    constant(SPLITTER);
    code.simd(F64.mul);
    const scaled = keep(), high = combine(F64.sub, scaled, combine(F64.sub, scaled, value));
    return [high, combine(F64.sub, value, high)];
  };
  /** A product, and what it lacks (Dekker, with Veltkamp's split). */
  const twoProduct = (left: number, right: number): readonly [product: number, error: number] => {
    const product = combine(F64.mul, left, right), [leftHigh, leftLow] = split(left), [rightHigh, rightLow] = split(right);
    let error = combine(F64.sub, combine(F64.mul, leftHigh, rightHigh), product);
    for (const [first, second] of [[leftHigh, rightLow], [leftLow, rightHigh], [leftLow, rightLow]] as const) {
      error = combine(F64.add, error, combine(F64.mul, first, second));
    }
    return [product, error];
  };
  /** Pushes a mask: the value compares so with 0. */
  const pushZero = (opcode: number, value: number): void => {
    push(value);
    constant(0n);
    code.simd(opcode);
  };
  /** Pushes a mask: magnitudes from `least` to `most`, and 0. */
  const pushWithin = (value: number, least: bigint, most: bigint): void => {
    push(value);
    code.simd(F64.abs);
    const magnitude = keep();
    push(magnitude);
    constant(least);
    code.simd(F64.ge);
    push(magnitude);
    constant(most);
    code.simd(F64.le);
    code.simd(Simd.and);
    pushZero(F64.eq, value);
    code.simd(Simd.or);
  };
  const flip = (value: number, lanes: number, width: 32 | 64): number => {
    if (lanes === 0) return value;
    const sign = 1n << BigInt(width - 1), pattern = (lanes & 1 ? sign : 0n) | (lanes & 2 ? sign << BigInt(width) : 0n);
    push(value);
    code.simd(Simd.constant, ...Array.from({ length: 16 }, (_, at) => Number(pattern >> BigInt(8 * (at % (width / 4))) & 0xffn)));
    code.simd(Simd.xor);
    return keep();
  };
  return { keep, push, constant, combine, twoSum, twoProduct, pushZero, pushWithin, flip };
}
type Calculator = ReturnType<typeof calculator>;

/** The body: parameters 0, 1 and 2. A scalar needs its lowest lane only, and has the same in all others. */
export function emitFused(code: Code, word: FloatWord, format: 32 | 64, isScalar: boolean): void {
  const steps = calculator(code), [product, added] = signs[word]!;
  const left = steps.flip(0, product, format), third = steps.flip(2, added, format);
  const { result, pushTrusted, exact } = format === 64 ? doubles(code, steps, left, 1, third) : singles(code, steps, left, 1, third, isScalar);
  code.get(result);
  pushTrusted();
  // Rounding to nearest, everything masked; and the inexact flag is set, or nothing is inexact. Neither operands nor results are denormal,
  // so DAZ and FTZ do not matter.
  andMasked(code);
  code.get(exact);
  code.simd(I64X2.allTrue);
  andExact(code);
}

interface Fused { readonly result: number; readonly pushTrusted: () => void; readonly exact: number }

function doubles(code: Code, { keep, push, constant, combine, twoSum, twoProduct, pushZero, pushWithin }: Calculator, left: number, right: number, third: number): Fused {
  const [product, productError] = twoProduct(left, right);
  const [low, lowError] = twoSum(third, productError);
  const [high, highError] = twoSum(product, low);
  const [sum, sumError] = twoSum(lowError, highError);
  // To odd: what is inexact and even moves by one towards the error.
  push(sumError, sum);
  code.simd(Simd.xor);
  code.i32(63);
  code.simd(I64X2.shiftRightSigned);
  constant(1n);
  code.simd(Simd.or);
  push(sum);
  constant(1n);
  code.simd(Simd.and);
  constant(0n);
  code.simd(I64X2.equal);
  pushZero(F64.ne, sumError);
  code.simd(Simd.and);
  code.simd(Simd.and);
  push(sum);
  code.simd(I64X2.add);
  const odd = keep();
  const [rounded, roundedError] = twoSum(high, odd);
  // A product that is 0 leaves the sign of a sum of zeros to the usual rules.
  push(combine(F64.add, product, third), rounded);
  pushZero(F64.eq, product);
  code.simd(BIT_SELECT);
  const result = keep();
  pushZero(F64.eq, sumError);
  pushZero(F64.eq, roundedError);
  code.simd(Simd.and);
  const exact = keep();
  return {
    result, exact,
    pushTrusted: () => {
      pushWithin(left, SMALL, LARGE);
      pushWithin(right, SMALL, LARGE);
      code.simd(Simd.and);
      pushWithin(third, TINY, HUGE);
      code.simd(Simd.and);
      code.simd(I64X2.allTrue);
    },
  };
}

function singles(code: Code, steps: Calculator, left: number, right: number, third: number, isScalar: boolean): Fused {
  const { keep, push, constant, combine, twoSum, pushZero, pushWithin } = steps;
  const halves = (isScalar ? [0] : [0, 1]).map((half) => {
    const [a, b, c] = [left, right, third].map((value) => {
      push(value);
      if (half === 1) {
        push(value);
        code.simd(Simd.shuffle, ...Array.from({ length: 16 }, (_, at) => (at + 8) % 16));
      }
      code.simd(TO_DOUBLE);
      return keep();
    });
    const [sum, error] = twoSum(combine(F64.mul, a!, b!), c!);
    push(sum);
    code.simd(TO_SINGLE);
    const single = keep();
    pushZero(F64.eq, error);
    push(single);
    code.simd(TO_DOUBLE);
    push(sum);
    code.simd(F64.eq);
    code.simd(Simd.and);
    const exact = keep();
    // Not between two singles; and neither tiny nor too large for one.
    push(sum);
    constant(BELOW_SINGLE);
    code.simd(Simd.and);
    constant(HALF_SINGLE);
    code.simd(I64X2.equal);
    code.simd(Simd.not);
    pushWithin(sum, SMALLEST_SINGLE + 1n, LARGEST_SINGLE);
    code.simd(Simd.and);
    return { single, exact, sound: keep() };
  });
  const [low, high] = halves, both = (name: 'exact' | 'sound'): number => high ? combine(Simd.and, low![name], high[name]) : low![name];
  const sound = both('sound');
  let result = low!.single;
  if (high) {
    push(low!.single, high.single);
    code.simd(Simd.shuffle, 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23);
    result = keep();
  }
  return {
    result, exact: both('exact'),
    pushTrusted: () => {
      push(sound);
      code.simd(I64X2.allTrue);
      // Denormal operands would be reported.
      [left, right, third].forEach((value) => {
        push(value);
        code.simd(F32.abs);
        constant(0x00800000n, 32);
        code.simd(F32.ge);
        push(value);
        constant(0n);
        code.simd(F32.eq);
        code.simd(Simd.or);
        code.simd(I32X4_ALL_TRUE);
        code.op(Op.i32And);
      });
    },
  };
}
