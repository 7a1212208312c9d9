// Packed integers of MMX and SSE to SSE4: arithmetic, comparisons, shifts, packs and shuffles of lanes, for 64 and 128 bits alike. Meanings,
// called by the three readings through `sse/index.ts`. APM Vol. 4 and Vol. 5, alphabetic.
import type { ImmediateOperand, Instruction } from '../../isa/instruction.ts';
import type { Meaning } from '../outcome.ts';
import {
  and, below, constant, isZero, join, lanes, narrow, not, or, select, shiftLanes, shiftLeft, shiftRight, shuffle, slice, truncate, xor, zeroExtend,
  type Expr, type Lane, type LaneWord, type ShiftWord, type Width,
} from '../expr.ts';

const binary = (word: (left: Expr, right: Expr) => Expr): Meaning => ([destination, source]) => ({ result: word(destination, source) });
export const packed = (word: LaneWord, lane: Lane): Meaning => binary((left, right) => lanes(word, lane, left, right));

/** PAND, ANDPS …: bits have no lanes. */
export const bitAnd = binary(and), bitAndNot = binary((left, right) => and(not(left), right)), bitOr = binary(or), bitXor = binary(xor);

/** The last immediate, as it is encoded. */
export const immediateOf = ({ operands }: Instruction, index = operands.length - 1): number => Number((operands[index] as ImmediateOperand).value);
const countOf = (width: number, lane: number): number => width / lane;
const zero = (width: Width): Expr => constant(width, 0);
export const sequence = <T>(count: number, pick: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => pick(at));

// ── Shifts ──

/** The count is an immediate, or the low 64 bits of an operand. */
export const shift = (word: ShiftWord, lane: Lane): Meaning => ([destination, source]) =>
  ({ result: shiftLanes(word, lane, destination, source.width > 64 ? truncate(64, source) : source) });

/** PSLLDQ and PSRLDQ shift by bytes. */
export const shiftBytes = (direction: 1 | -1): Meaning => ([destination], { instruction }) => {
  const { width } = destination, count = countOf(width, 8), by = immediateOf(instruction);
  if (by >= count) return { result: zero(width) };
  return { result: shuffle(8, sequence(count, at => {
    const from = at - direction * by;
    return from < 0 || from >= count ? count : from;
  }), destination, zero(width)) };
};

/** The bytes of both operands, destination above source, shifted right. The source is read even when nothing of it is left. */
export const alignRight: Meaning = ([destination, source], { instruction }) => {
  const { width } = destination, count = countOf(width, 8), by = immediateOf(instruction);
  if (by >= 2 * count) return { result: zero(width), reads: source };
  if (by >= count) return { result: shuffle(8, sequence(count, at => Math.min(at + by - count, count)), destination, zero(width)), reads: source };
  return { result: shuffle(8, sequence(count, at => at + by), source, destination) };
};

// ── Shuffles ──

/** PUNPCKL…, PUNPCKH…: lanes of both, alternating. MMX reads only 32 bits of memory for the low half. */
export const interleave = (lane: Lane, half: 'low' | 'high'): Meaning => ([destination, source]) => {
  const { width } = destination, count = countOf(width, lane), first = half === 'low' ? 0 : count / 2;
  return { result: shuffle(lane, sequence(count, at => first + (at >> 1) + (at & 1) * count), destination, zeroExtend(width, source)) };
};

/** Four lanes by two bits each; `first` is where they are, the others stay (PSHUFLW, PSHUFHW). */
const chooseFour = (immediate: number, first: number): number[] => sequence(4, at => first + (immediate >> 2 * at & 3));
export const shuffleFour = (lane: Lane, kept: 'none' | 'low' | 'high' = 'none'): Meaning => ([, source], { instruction }) => {
  const chosen = chooseFour(immediateOf(instruction), kept === 'low' ? 4 : 0);
  const picks = kept === 'low' ? [0, 1, 2, 3, ...chosen] : kept === 'high' ? [...chosen, 4, 5, 6, 7] : chosen;
  return { result: shuffle(lane, picks, source) };
};

/** SHUFPS: two lanes of each; SHUFPD: one. */
export const shufflePairs: Meaning = ([destination, source], { instruction }) => {
  const four = chooseFour(immediateOf(instruction), 0);
  return { result: shuffle(32, [four[0]!, four[1]!, four[2]! + 4, four[3]! + 4], destination, source) };
};
export const shuffleHalves: Meaning = ([destination, source], { instruction }) => {
  const immediate = immediateOf(instruction);
  return { result: shuffle(64, [immediate & 1, 2 + (immediate >> 1 & 1)], destination, source) };
};

export const shuffleBytes: Meaning = ([destination, source]) => ({ result: lanes('permute', 8, destination, source) });

export const pack = (lane: 16 | 32, signed: boolean): Meaning => binary((left, right) => narrow(lane, signed, left, right));

// ── Single lanes ──

export const extractLane = (lane: Lane): Meaning => ([destination, source], { instruction }) => {
  const at = immediateOf(instruction) & countOf(source.width, lane) - 1;
  const value = slice(source, at * lane, lane);
  return { result: destination.width < lane ? truncate(destination.width, value) : zeroExtend(destination.width, value) };
};
/** The lane's place in a vector of zeros, and a mask of the others. */
export const insertAt = (vector: Expr, value: Expr, lane: Lane, at: number): Expr => {
  const { width } = vector, count = countOf(width, lane);
  return shuffle(lane, sequence(count, k => k === at ? count : k), vector, zeroExtend(width, value.width > lane ? truncate(lane, value) : value));
};
export const insertLane = (lane: Lane): Meaning => ([destination, source], { instruction }) =>
  ({ result: insertAt(destination, source, lane, immediateOf(instruction) & countOf(destination.width, lane) - 1) });

/** INSERTPS: bits 7:6 choose a lane of a register, 5:4 where it goes, and 3:0 the lanes that become 0. */
export const insertSingle: Meaning = ([destination, source], { instruction }) => {
  const immediate = immediateOf(instruction), from = instruction.operands[1]!.kind === 'memory' ? 0 : immediate >> 6, to = immediate >> 4 & 3;
  const inserted = insertAt(destination, slice(source, 32 * from, 32), 32, to);
  return { result: shuffle(32, sequence(4, at => immediate >> at & 1 ? 4 : at), inserted, zero(128)) };
};

/** EXTRQ and INSERTQ: length and first bit of a field are two immediates, or 6 bits each of a vector register, 8 bits apart. A length of 0 means
 * 64. What the manual leaves undefined (the upper half, a field beyond the top) is 0 (Zen 4, native vectors). */
const fieldOf = ({ operands }: Instruction, control: Expr): { mask: Expr; first: Expr } => {
  const immediates = operands.filter(each => each.kind === 'immediate'), six = constant(64, 63);
  const [length, first] = immediates.length > 0
    ? immediates.map(({ value }) => constant(64, value & 63n)) as [Expr, Expr]
    : [and(zeroExtend(64, slice(control, 0, 8)), six), and(zeroExtend(64, slice(control, 8, 8)), six)];
  const all = constant(64, -1);
  return { mask: select(isZero(length), all, not(shiftLeft(all, length))), first };
};
export const extractField: Meaning = ([destination, source], { instruction }) => {
  const { mask, first } = fieldOf(instruction, source);
  return { result: zeroExtend(128, and(shiftRight(truncate(64, destination), first), mask)) };
};
export const insertField: Meaning = ([destination, source], { instruction }) => {
  const { mask, first } = fieldOf(instruction, slice(source, 64, 64));
  const place = shiftLeft(mask, first), field = shiftLeft(and(truncate(64, source), mask), first);
  return { result: zeroExtend(128, or(and(truncate(64, destination), not(place)), field)) };
};

// ── Sums and products ──

/** Absolute differences of unsigned bytes. */
const distance = (left: Expr, right: Expr): Expr =>
  or(lanes('minusSaturatedUnsigned', 8, left, right), lanes('minusSaturatedUnsigned', 8, right, left));
/** Each pair of unsigned lanes to their sum. */
const sumPairs = (lane: 8 | 16 | 32, value: Expr): Expr => {
  const wide = 2 * lane as Lane;
  const low = shiftLanes('shiftRight', wide, shiftLanes('shiftLeft', wide, value, constant(32, lane)), constant(32, lane));
  return lanes('plus', wide, low, shiftLanes('shiftRight', wide, value, constant(32, lane)));
};
export const sumOfDistances = binary((left, right) => sumPairs(32, sumPairs(16, sumPairs(8, distance(left, right)))));

/** The even lanes of both, and the odd ones: what a horizontal operation combines. */
export const evenAndOdd = (lane: Lane, left: Expr, right: Expr): [Expr, Expr] => {
  const count = countOf(left.width, lane);
  return [shuffle(lane, sequence(count, at => 2 * at), left, right), shuffle(lane, sequence(count, at => 2 * at + 1), left, right)];
};
export const horizontal = (word: LaneWord, lane: Lane): Meaning => binary((left, right) => lanes(word, lane, ...evenAndOdd(lane, left, right)));

/** PMADDUBSW: unsigned bytes of the destination by signed bytes of the source. */
export const productsOfBytes = binary((left, right) => {
  const eight = constant(32, 8), by = (word: ShiftWord, value: Expr): Expr => shiftLanes(word, 16, value, eight);
  const even = lanes('times', 16, by('shiftRight', by('shiftLeft', left)), by('shiftRightSigned', by('shiftLeft', right)));
  const odd = lanes('times', 16, by('shiftRight', left), by('shiftRightSigned', right));
  return lanes('plusSaturated', 16, even, odd);
});

/** PABSx: the smallest number stays itself. */
export const absolute = (lane: Lane): Meaning => ([, source]) => {
  const negative = isNegative(lane, source);
  return { result: lanes('minus', lane, xor(source, negative), negative) };
};
const isNegative = (lane: Lane, value: Expr): Expr => lanes('greater', lane, zero(value.width), value);
/** PSIGNx: times the sign of the source. */
export const applySign = (lane: Lane): Meaning => binary((left, right) => {
  const negative = isNegative(lane, right);
  const signed = lanes('minus', lane, xor(left, negative), negative);
  return and(not(lanes('equal', lane, right, zero(right.width))), signed);
});

// ── SSE4 ──

/** PMOVSXxx, PMOVZXxx: each lane in the top of a wide one, then shifted down. */
export const widen = (lane: 8 | 16 | 32, wide: Lane, signed: boolean): Meaning => (operands) => {
  const source = zeroExtend(128, operands[1]);
  const count = countOf(128, lane), each = wide / lane;
  const picks = sequence(count, at => at % each === (signed ? each - 1 : 0) ? Math.floor(at / each) : count);
  const spread = shuffle(lane, picks, source, zero(128));
  return { result: signed ? shiftLanes('shiftRightSigned', wide, spread, constant(32, wide - lane)) : spread };
};

/** By the top bits of the lanes of XMM0. */
export const blendByRegister = (lane: Lane): Meaning => ([destination, source, mask]) => {
  const chosen = lanes('greater', lane, zero(128), mask);
  return { result: or(and(chosen, source), and(not(chosen), destination)) };
};
export const blendByImmediate = (lane: Lane): Meaning => ([destination, source], { instruction }) => {
  const immediate = immediateOf(instruction), count = countOf(128, lane);
  return { result: shuffle(lane, sequence(count, at => immediate >> at & 1 ? at + count : at), destination, source) };
};

/** ZF: no bit of the source is set in the destination; CF: the destination has all bits of the source. */
export const testBits: Meaning = ([destination, source]) => {
  const none = constant(1, 0);
  return { flags: { zf: isZero(and(destination, source)), cf: isZero(and(not(destination), source)), pf: none, af: none, sf: none, of: none } };
};

/** The least of eight words and where it is first, the rest 0. */
export const leastWord: Meaning = ([, source]) => {
  let least = slice(source, 0, 16), at = constant(16, 0);
  for (let index = 1; index < 8; index++) {
    const each = slice(source, 16 * index, 16), less = below(each, least);
    [least, at] = [select(less, each, least), select(less, constant(16, index), at)];
  }
  return { result: zeroExtend(128, join(at, least)) };
};

/** MPSADBW: eight sums of four distances each, of one group of the source and the groups of the destination from one byte to the next. */
export const sumsOfDistances: Meaning = ([destination, source], { instruction }) => {
  const immediate = immediateOf(instruction), group = immediate & 3, first = immediate & 4;
  const windows = (part: 0 | 1): Expr => {
    const at = (k: number): number => first + 4 * part + (k >> 2) + (k & 3);
    const left = shuffle(8, sequence(16, at), destination);
    return sumPairs(16, sumPairs(8, distance(left, shuffle(32, [group, group, group, group], source))));
  };
  return { result: shuffle(16, sequence(8, at => 2 * at), windows(0), windows(1)) };
};
