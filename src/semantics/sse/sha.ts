// SHA-1 and SHA-256: rounds, and the words of the message schedule. Meanings, called by the three readings through `sse/index.ts`. Names as in
// FIPS 180-4; SDM Vol. 2, alphabetic.
import type { Meaning } from '../outcome.ts';
import { and, constant, join, not, plus, rotateLeft, rotateRight, shiftRight, slice, xor, type Expr } from '../expr.ts';
import { immediateOf } from './packed.ts';

type Words = readonly [Expr, Expr, Expr, Expr];
/** The four words of a vector, the lowest first. */
const wordsOf = (vector: Expr): Words => [slice(vector, 0, 32), slice(vector, 32, 32), slice(vector, 64, 32), slice(vector, 96, 32)];
const vectorOf = (...[first, second, third, fourth]: Words): Expr => join(join(fourth, third), join(second, first));

const sum = (...all: readonly Expr[]): Expr => all.reduce((left, right) => plus(left, right));
const parity = (...all: readonly Expr[]): Expr => all.reduce((left, right) => xor(left, right));
const left = (value: Expr, count: number): Expr => rotateLeft(value, constant(32, count));
const right = (value: Expr, count: number): Expr => rotateRight(value, constant(32, count));
const down = (value: Expr, count: number): Expr => shiftRight(value, constant(32, count));
const choose = (x: Expr, y: Expr, z: Expr): Expr => xor(and(x, y), and(not(x), z));
const majority = (x: Expr, y: Expr, z: Expr): Expr => parity(and(x, y), and(x, z), and(y, z));

// ── SHA-1: vectors have A and the first word of the message on top ──

/** Function and constant by bits 1:0 of the immediate (FIPS 180-4, 4.1.1 and 4.2.1). */
const phases = [[choose, 0x5a827999], [parity, 0x6ed9eba1], [majority, 0x8f1bbcdc], [parity, 0xca62c1d6]] as const;

/** Four rounds. The second operand's top word has E in it already. */
export const sha1Rounds: Meaning = ([state, message], { instruction }) => {
  const [mix, add] = phases[immediateOf(instruction) & 3]!;
  let [d, c, b, a] = wordsOf(state), e: Expr = constant(32, 0);
  for (const word of [...wordsOf(message)].reverse()) {
    const next = sum(mix(b, c, d), left(a, 5), word, e, constant(32, add));
    [a, b, c, d, e] = [next, a, left(b, 30), c, d];
  }
  return { result: vectorOf(d, c, b, a) };
};
export const sha1NextE: Meaning = ([state, message]) => {
  const [first, second, third, fourth] = wordsOf(message);
  return { result: vectorOf(first, second, third, plus(left(slice(state, 96, 32), 30), fourth)) };
};
export const sha1Message1: Meaning = ([early, late]) => {
  const [w3, w2, w1, w0] = wordsOf(early), [, , w5, w4] = wordsOf(late);
  return { result: vectorOf(xor(w5, w3), xor(w4, w2), xor(w3, w1), xor(w2, w0)) };
};
export const sha1Message2: Meaning = ([early, late]) => {
  const [x3, x2, x1, x0] = wordsOf(early), [w15, w14, w13] = wordsOf(late);
  const w16 = left(xor(x0, w13), 1);
  return { result: vectorOf(left(xor(x3, w16), 1), left(xor(x2, w15), 1), left(xor(x1, w14), 1), w16) };
};

// ── SHA-256: A, B, E, F in one vector from the top, C, D, G, H in the other; the message has its first word lowest ──

/** Two rounds, with the message and the constants already added in the low half of XMM0. */
export const sha256Rounds: Meaning = ([cdgh, abef, message]) => {
  let [h, g, d, c] = wordsOf(cdgh), [f, e, b, a] = wordsOf(abef);
  for (const word of wordsOf(message).slice(0, 2)) {
    const first = sum(choose(e, f, g), parity(right(e, 6), right(e, 11), right(e, 25)), word, h);
    const second = sum(majority(a, b, c), parity(right(a, 2), right(a, 13), right(a, 22)));
    [a, b, c, d, e, f, g, h] = [plus(first, second), a, b, c, plus(first, d), e, f, g];
  }
  return { result: vectorOf(f, e, b, a) };
};
const early256 = (word: Expr): Expr => parity(right(word, 7), right(word, 18), down(word, 3));
const late256 = (word: Expr): Expr => parity(right(word, 17), right(word, 19), down(word, 10));
export const sha256Message1: Meaning = ([early, late]) => {
  const [w0, w1, w2, w3] = wordsOf(early), w4 = slice(late, 0, 32);
  return { result: vectorOf(plus(w0, early256(w1)), plus(w1, early256(w2)), plus(w2, early256(w3)), plus(w3, early256(w4))) };
};
export const sha256Message2: Meaning = ([early, late]) => {
  const [x0, x1, x2, x3] = wordsOf(early), [, , w14, w15] = wordsOf(late);
  const w16 = plus(x0, late256(w14)), w17 = plus(x1, late256(w15));
  return { result: vectorOf(w16, w17, plus(x2, late256(w16)), plus(x3, late256(w17))) };
};
