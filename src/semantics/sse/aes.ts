// AES: one round of the cipher, or a step of its key schedule. Meanings, called by the three readings through `sse/index.ts`. The state is 16
// bytes, column by column (FIPS 197, 3.4). APM Vol. 4, alphabetic.
import type { Meaning } from '../outcome.ts';
import { constant, shuffle, xor, type Expr } from '../expr.ts';
import { inverses, lookUp, timesX } from './galois.ts';
import { immediateOf, sequence } from './packed.ts';

/** FIPS 197, 5.1.1: the inverse, and an affine map of its bits. */
const substitutes: readonly number[] = inverses.map(inverse => {
  const rotated = (by: number): number => inverse << by | inverse >> 8 - by;
  return (inverse ^ rotated(1) ^ rotated(2) ^ rotated(3) ^ rotated(4) ^ 0x63) & 0xff;
});
const originals: readonly number[] = sequence(256, value => substitutes.indexOf(value));

/** Row r moves by r columns. */
const shiftRows = (state: Expr, direction: 1 | -1): Expr => shuffle(8, sequence(16, at => at + direction * 4 * (at & 3) & 15), state);
/** Each column upward by so many rows. */
const rotateColumns = (state: Expr, by: number): Expr => shuffle(8, sequence(16, at => at & 12 | at + by & 3), state);

/** FIPS 197, 5.1.3: 2a + 3b + c + d for the bytes a, b, c, d of a column, from each of them on. */
function mixColumns(state: Expr): Expr {
  const next = rotateColumns(state, 1);
  return xor(timesX(xor(state, next)), xor(next, xor(rotateColumns(state, 2), rotateColumns(state, 3))));
}
/** The inverse matrix is the same one times another, which adds 4a + 4c to a. */
const unmixColumns = (state: Expr): Expr => mixColumns(xor(state, timesX(timesX(xor(state, rotateColumns(state, 2))))));

const substitute = (state: Expr): Expr => shiftRows(lookUp(substitutes, state), 1);
const restore = (state: Expr): Expr => shiftRows(lookUp(originals, state), -1);

export const encrypt: Meaning = ([state, key]) => ({ result: xor(mixColumns(substitute(state)), key) });
export const encryptLast: Meaning = ([state, key]) => ({ result: xor(substitute(state), key) });
export const decrypt: Meaning = ([state, key]) => ({ result: xor(unmixColumns(restore(state)), key) });
export const decryptLast: Meaning = ([state, key]) => ({ result: xor(restore(state), key) });

/** AESIMC: a key of the cipher as one of the inverse cipher. */
export const unmixKey: Meaning = ([, key]) => ({ result: unmixColumns(key) });

/** AESKEYGENASSIST: the words 1 and 3 substituted, and each once more, rotated and with the round's constant. */
export const assistKey: Meaning = ([, key], { instruction }) => {
  const words = shuffle(8, [4, 5, 6, 7, 5, 6, 7, 4, 12, 13, 14, 15, 13, 14, 15, 12], lookUp(substitutes, key));
  const round = BigInt(immediateOf(instruction));
  return { result: xor(words, constant(128, round << 32n | round << 96n)) };
};
