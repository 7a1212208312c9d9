// 64-bit values between bigints and words. Through a typed array V8 compiles the move into its caller; shifts and masks of a bigint, Number() and
// BigInt() are calls that allocate. For hot paths that meet a bigint: they call these, and nothing here knows what a value means.
const wide = new BigUint64Array(1), halves = new Uint32Array(wide.buffer);

/** Writes a value, negative ones in two's complement, to two words. */
export function putWide(words: Uint32Array, at: number, value: bigint): void {
  wide[0] = value;
  words[at] = halves[0]!;
  words[at + 1] = halves[1]!;
}

/** The value of two words. */
export function joined(low: number, high: number): bigint {
  halves[0] = low;
  halves[1] = high;
  return wide[0]!;
}

/** A natural number below 2^53 as a bigint, and back. */
export const wideOf = (value: number): bigint => joined(value, value / 2 ** 32);
export function numberOf(value: bigint): number {
  wide[0] = value;
  return halves[1]! * 2 ** 32 + halves[0]!;
}
