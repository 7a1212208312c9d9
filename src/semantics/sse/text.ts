// PCMPxSTRx: two strings of up to 16 bytes or 8 words, compared each with each. Meanings, called by the three readings through
// `sse/index.ts`. What the manual does with a matrix of bits is done here lane by lane of the second string, for one element of the first
// after the other. APM Vol. 4, 1.6 (String Compare Instructions); SDM Vol. 2B, 4.1.
import type { Meaning, Outcome, Shape } from '../outcome.ts';
import {
  and, below, bit, constant, equal, isZero, lanes, leadingZeros, minus, negate, not, or, register, repeated, select, shuffle, signBit, signs,
  trailingZeros, truncate, xor, zeroExtend, type Expr, type Width,
} from '../expr.ts';
import { immediateOf, sequence } from './packed.ts';

/** Immediate byte: bit 0 words, bit 1 signed, bits 3:2 aggregation, bits 5:4 polarity, bit 6 the form of the result. */
interface Control { readonly lane: 8 | 16; readonly signed: boolean; readonly aggregation: number; readonly polarity: number; readonly high: boolean }
const controlOf = (immediate: number): Control =>
  ({ lane: immediate & 1 ? 16 : 8, signed: (immediate & 2) !== 0, aggregation: immediate >> 2 & 3, polarity: immediate >> 4 & 3, high: (immediate & 0x40) !== 0 });

const none = constant(128, 0), all = not(none);
const everywhere = (vector: Expr, lane: 8 | 16, at: number): Expr => shuffle(lane, sequence(128 / lane, () => at), vector);
/** Lanes to lower places; what comes from beyond the top is taken from `fill`. */
const moveDown = (vector: Expr, lane: 8 | 16, by: number, fill: Expr): Expr => shuffle(lane, sequence(128 / lane, at => at + by), vector, fill);
const moveUp = (vector: Expr, lane: 8 | 16, by: number): Expr => shuffle(lane, sequence(128 / lane, at => at < by ? 128 / lane : at - by), vector, none);

// ── Lengths: all ones in the lanes that belong to a string ──

/** Up to the first element that is 0. */
function implicitLength(text: Expr, { lane }: Control): Expr {
  let ended = lanes('equal', lane, text, none);
  for (let by = 1; by < 128 / lane; by *= 2) ended = or(ended, moveUp(ended, lane, by));
  return not(ended);
}
/** The magnitude of a register, at most all elements. */
function explicitLength(name: 'rax' | 'rdx', width: Width, { lane }: Control): Expr {
  const value = register(name, width), magnitude = select(signBit(value), negate(value), value), most = constant(width, 128 / lane);
  const count = truncate(16, select(below(magnitude, most), magnitude, most));
  const places = constant(128, sequence(128 / lane, at => BigInt(at) << BigInt(at * lane)).reduce((left, right) => left | right));
  return lanes('greater', lane, everywhere(zeroExtend(128, count), lane, 0), places);
}

// ── Comparisons: all ones in the lanes of the second string for which they hold ──

interface Strings { readonly first: Expr; readonly firstValid: Expr; readonly second: Expr; readonly secondValid: Expr }

function equalAny({ first, firstValid, second, secondValid }: Strings, lane: 8 | 16): Expr {
  const each = sequence(128 / lane, at => and(lanes('equal', lane, everywhere(first, lane, at), second), everywhere(firstValid, lane, at)));
  return and(each.reduce((left, right) => or(left, right)), secondValid);
}

/** Each pair of the first string is a lower and an upper bound. */
function ranges({ first, firstValid, second, secondValid }: Strings, { lane, signed }: Control): Expr {
  const bias = repeated(128, lane, signed ? 0n : 1n << BigInt(lane - 1)), bounds = xor(first, bias), text = xor(second, bias);
  const each = sequence(64 / lane, pair => {
    const outside = or(lanes('greater', lane, everywhere(bounds, lane, 2 * pair), text), lanes('greater', lane, text, everywhere(bounds, lane, 2 * pair + 1)));
    return and(not(outside), everywhere(firstValid, lane, 2 * pair + 1));
  });
  return and(each.reduce((left, right) => or(left, right)), secondValid);
}

/** Elements behind both ends are equal, those behind one are not. */
const equalEach = ({ first, firstValid, second, secondValid }: Strings, lane: 8 | 16): Expr =>
  or(and(lanes('equal', lane, first, second), and(firstValid, secondValid)), not(or(firstValid, secondValid)));

/** Where the first string occurs in the second, or would if the vector did not end. */
function equalOrdered({ first, firstValid, second, secondValid }: Strings, lane: 8 | 16): Expr {
  const each = sequence(128 / lane, at => {
    const found = and(lanes('equal', lane, everywhere(first, lane, at), second), secondValid);
    return moveDown(or(found, not(everywhere(firstValid, lane, at))), lane, at, all);
  });
  return each.reduce((left, right) => and(left, right));
}

function aggregate(strings: Strings, control: Control): Expr {
  switch (control.aggregation) {
    case 0: return equalAny(strings, control.lane);
    case 1: return ranges(strings, control);
    case 2: return equalEach(strings, control.lane);
    default: return equalOrdered(strings, control.lane);
  }
}

/** Negated everywhere, or only inside the second string. */
const polarize = (found: Expr, { polarity }: Control, { secondValid }: Strings): Expr =>
  polarity === 1 ? not(found) : polarity === 3 ? xor(found, secondValid) : found;

// ── Results ──

function outcomeOf(strings: Strings, control: Control, result: (found: Expr, bits: Expr) => Outcome): Outcome {
  const { lane } = control, top = 128 / lane - 1, zero = constant(1, 0);
  const found = polarize(aggregate(strings, control), control, strings), bits = signs(lane, found);
  const ends = (valid: Expr): Expr => not(bit(signs(lane, valid), top));
  const flags = { cf: not(isZero(bits)), zf: ends(strings.secondValid), sf: ends(strings.firstValid), of: bit(bits, 0), af: zero, pf: zero };
  return { ...result(found, bits), flags };
}

/** To rCX: the lowest or the highest place that was found, or the number of elements. */
const toIndex = ({ lane, high }: Control) => (_found: Expr, bits: Expr): Outcome => {
  const count = constant(32, 128 / lane);
  const highest = minus(constant(32, 31), leadingZeros(bits));
  return { registers: { rcx: high ? select(equal(bits, constant(32, 0)), count, highest) : trailingZeros(or(bits, constant(32, 1 << 128 / lane))) } };
};
/** To XMM0: lanes of ones, or one bit for each. */
const toMask = ({ high }: Control) => (found: Expr, bits: Expr): Outcome => ({ result: high ? found : zeroExtend(128, bits) });

const compare = (explicit: boolean, first: Expr, second: Expr, { instruction }: Shape, to: typeof toIndex): Outcome => {
  const control = controlOf(immediateOf(instruction)), width = instruction.operandSize === 64 ? 64 : 32;
  const [firstValid, secondValid] = explicit
    ? [explicitLength('rax', width, control), explicitLength('rdx', width, control)]
    : [implicitLength(first, control), implicitLength(second, control)];
  return outcomeOf({ first, firstValid, second, secondValid }, control, to(control));
};
export const compareToIndex = (explicit: boolean): Meaning => ([first, second], shape) => compare(explicit, first, second, shape, toIndex);
/** The destination is the implied XMM0. */
export const compareToMask = (explicit: boolean): Meaning => ([, first, second], shape) => compare(explicit, first, second, shape, toMask);
