// The frequent cases of the frequent x87 operations, in halves of 32 bits instead of bigint: operands and results that are normal numbers
// or zeros, rounded to nearest. What is not so is left to `arithmetic.ts` and `convert.ts`, which say what the operations mean; a test holds
// the two together. Operands and result stand in one array, so that nothing is allocated. Called by `system/x87-short.ts`.

/** Where a number stands: low half, high half, biased exponent, sign. */
export const LEFT = 0, RIGHT = 4, RESULT = 8;
const HIGH = 1, EXPONENT = 2, SIGN = 3;
/** A place for three numbers. */
export const createHalves = (): Uint32Array => new Uint32Array(16);

/** How an operation went: not at all, exactly, or rounded towards or away from zero. */
export const Went = { no: 0, exact: 1, down: 2, up: 3 } as const;
export type Went = (typeof Went)[keyof typeof Went];

const BIAS = 16383, LAST = 0x7fff, TWO32 = 0x1_0000_0000, INTEGER_BIT = 0x8000_0000;

/** A number that these functions take: normal, or zero. */
const isNormal = (n: Uint32Array, at: number): boolean => n[at + HIGH]! >= INTEGER_BIT && n[at + EXPONENT]! !== 0 && n[at + EXPONENT]! !== LAST;
const isZero = (n: Uint32Array, at: number): boolean => (n[at]! | n[at + HIGH]! | n[at + EXPONENT]!) === 0;
export const isPlain = (n: Uint32Array, at: number): boolean => isNormal(n, at) || isZero(n, at);

// ── Rounding ──

/** Rounds a normalised significand, of which `next` and `sticky` are what follows its 64 bits, to `bits`; puts the result. */
function put(n: Uint32Array, sign: number, exponent: number, high: number, low: number, next: number, sticky: boolean, bits: number): Went {
  let kept = low, top = high, half: boolean, rest: boolean, odd: boolean;
  if (bits === 64) {
    half = (next & INTEGER_BIT) !== 0;
    rest = sticky || (next & 0x7fffffff) !== 0;
    odd = (low & 1) !== 0;
  } else if (bits === 53) {
    half = (low & 0x400) !== 0;
    rest = sticky || next !== 0 || (low & 0x3ff) !== 0;
    odd = (low & 0x800) !== 0;
    kept = (low & ~0x7ff) >>> 0;
  } else {
    half = (high & 0x80) !== 0;
    rest = sticky || next !== 0 || low !== 0 || (high & 0x7f) !== 0;
    odd = (high & 0x100) !== 0;
    kept = 0;
    top = (high & ~0xff) >>> 0;
  }
  const up = half && (rest || odd);
  let biased = exponent;
  if (up) {
    if (bits === 24) top += 0x100;
    else {
      kept += bits === 64 ? 1 : 0x800;
      if (kept >= TWO32) {
        kept -= TWO32;
        top += 1;
      }
    }
    if (top >= TWO32) {
      top = INTEGER_BIT;
      biased++;
    }
  }
  if (biased <= 0 || biased >= LAST) return Went.no;
  n[RESULT] = kept;
  n[RESULT + HIGH] = top;
  n[RESULT + EXPONENT] = biased;
  n[RESULT + SIGN] = sign;
  return up ? Went.up : half || rest ? Went.down : Went.exact;
}

function putZero(n: Uint32Array, sign: number): Went {
  n[RESULT] = n[RESULT + HIGH] = n[RESULT + EXPONENT] = 0;
  n[RESULT + SIGN] = sign;
  return Went.exact;
}

// ── Arithmetic: of LEFT and RIGHT, into RESULT ──

/** The high half of a product of two halves: the double nearest to the product is near enough to tell it from its neighbours. */
const highOf = (left: number, right: number, low: number): number => Math.round((left * right - low) / TWO32);

export function multiply(n: Uint32Array, bits: number): Went {
  const sign = n[LEFT + SIGN]! ^ n[RIGHT + SIGN]!;
  if (!isNormal(n, LEFT) || !isNormal(n, RIGHT)) return isPlain(n, LEFT) && isPlain(n, RIGHT) ? putZero(n, sign) : Went.no;
  const leftLow = n[LEFT]!, leftHigh = n[LEFT + HIGH]!, rightLow = n[RIGHT]!, rightHigh = n[RIGHT + HIGH]!;
  const low00 = Math.imul(leftLow, rightLow) >>> 0, low01 = Math.imul(leftLow, rightHigh) >>> 0;
  const low10 = Math.imul(leftHigh, rightLow) >>> 0, low11 = Math.imul(leftHigh, rightHigh) >>> 0;
  let sum = highOf(leftLow, rightLow, low00) + low01 + low10;
  const word1 = sum >>> 0;
  sum = (sum - word1) / TWO32 + highOf(leftLow, rightHigh, low01) + highOf(leftHigh, rightLow, low10) + low11;
  const word2 = sum >>> 0, word3 = (sum - word2) / TWO32 + highOf(leftHigh, rightHigh, low11);
  const exponent = n[LEFT + EXPONENT]! + n[RIGHT + EXPONENT]! - BIAS;
  if (word3 >= INTEGER_BIT) return put(n, sign, exponent + 1, word3, word2, word1, low00 !== 0, bits);
  return put(n, sign, exponent, (word3 << 1 | word2 >>> 31) >>> 0, (word2 << 1 | word1 >>> 31) >>> 0, (word1 << 1 | low00 >>> 31) >>> 0, low00 << 1 !== 0, bits);
}

/** `negates`: the right operand's sign is turned. */
export function add(n: Uint32Array, negates: boolean, bits: number): Went {
  const rightSign = n[RIGHT + SIGN]! ^ (negates ? 1 : 0);
  if (!isNormal(n, LEFT) || !isNormal(n, RIGHT)) return addZero(n, rightSign, bits);
  const swaps = n[LEFT + EXPONENT]! < n[RIGHT + EXPONENT]! || (n[LEFT + EXPONENT] === n[RIGHT + EXPONENT]
    && (n[LEFT + HIGH]! < n[RIGHT + HIGH]! || (n[LEFT + HIGH] === n[RIGHT + HIGH] && n[LEFT]! < n[RIGHT]!)));
  const larger = swaps ? RIGHT : LEFT, smaller = swaps ? LEFT : RIGHT, sign = swaps ? rightSign : n[LEFT + SIGN]!;
  const distance = n[larger + EXPONENT]! - n[smaller + EXPONENT]!;

  // The smaller one in three words and a bit for all that is lost below them.
  let high = n[smaller + HIGH]!, low = n[smaller]!, next = 0, sticky = false;
  if (distance >= 96) {
    high = low = next = 0;
    sticky = true;
  } else {
    const words = distance >> 5, bit = distance & 31;
    if (words === 2) {
      sticky = low !== 0;
      next = high;
      high = low = 0;
    } else if (words === 1) {
      next = low;
      low = high;
      high = 0;
    }
    if (bit !== 0) {
      sticky ||= next << 32 - bit !== 0;
      next = (next >>> bit | low << 32 - bit) >>> 0;
      low = (low >>> bit | high << 32 - bit) >>> 0;
      high >>>= bit;
    }
  }
  const exponent = n[larger + EXPONENT]!;
  return n[LEFT + SIGN] === rightSign ? putSum(n, sign, exponent, n[larger + HIGH]!, n[larger]!, high, low, next, sticky, bits)
    : putDifference(n, sign, exponent, n[larger + HIGH]!, n[larger]!, high, low, next, sticky, bits);
}

function putSum(n: Uint32Array, sign: number, exponent: number, largeHigh: number, largeLow: number, high: number, low: number, next: number, sticky: boolean, bits: number): Went {
  const lowSum = largeLow + low, highSum = largeHigh + high + (lowSum >= TWO32 ? 1 : 0);
  if (highSum < TWO32) return put(n, sign, exponent, highSum, lowSum >>> 0, next, sticky, bits);
  return put(n, sign, exponent + 1, (highSum >>> 1 | INTEGER_BIT) >>> 0, (lowSum >>> 1 & 0x7fffffff | highSum << 31) >>> 0,
    (next >>> 1 | lowSum << 31) >>> 0, sticky || (next & 1) !== 0, bits);
}

function putDifference(n: Uint32Array, sign: number, exponent: number, largeHigh: number, largeLow: number, high: number, low: number, next: number, sticky: boolean, bits: number): Went {
  // With something below the three words the difference is a little less than its last word says.
  let last = -next - (sticky ? 1 : 0), borrow = last < 0 ? 1 : 0;
  last >>>= 0;
  let middle = largeLow - low - borrow;
  borrow = middle < 0 ? 1 : 0;
  middle >>>= 0;
  let top = largeHigh - high - borrow, biased = exponent;
  if ((top | middle | last) === 0 && !sticky) return putZero(n, 0);
  if (top === 0) {
    // At most one place was shifted out then, and nothing is below it.
    top = middle;
    middle = last;
    last = 0;
    biased -= 32;
    if (top === 0) {
      top = middle;
      middle = 0;
      biased -= 32;
    }
  }
  const places = Math.clz32(top);
  if (places !== 0) {
    top = (top << places | middle >>> 32 - places) >>> 0;
    middle = (middle << places | last >>> 32 - places) >>> 0;
    last = last << places >>> 0;
    biased -= places;
  }
  return put(n, sign, biased, top, middle, last, sticky, bits);
}

/** One operand is zero, or none of our business. */
function addZero(n: Uint32Array, rightSign: number, bits: number): Went {
  if (isZero(n, LEFT)) {
    if (isZero(n, RIGHT)) return putZero(n, n[LEFT + SIGN]! & rightSign);
    return isNormal(n, RIGHT) ? put(n, rightSign, n[RIGHT + EXPONENT]!, n[RIGHT + HIGH]!, n[RIGHT]!, 0, false, bits) : Went.no;
  }
  return isZero(n, RIGHT) && isNormal(n, LEFT) ? put(n, n[LEFT + SIGN]!, n[LEFT + EXPONENT]!, n[LEFT + HIGH]!, n[LEFT]!, 0, false, bits) : Went.no;
}

/** Bit by bit; what is left of the dividend stays below the divisor. */
export function divide(n: Uint32Array, bits: number): Went {
  const sign = n[LEFT + SIGN]! ^ n[RIGHT + SIGN]!;
  if (!isNormal(n, RIGHT) || !isPlain(n, LEFT)) return Went.no;
  if (isZero(n, LEFT)) return putZero(n, sign);
  const divisorHigh = n[RIGHT + HIGH]!, divisorLow = n[RIGHT]!;
  let high = n[LEFT + HIGH]!, low = n[LEFT]!, exponent = n[LEFT + EXPONENT]! - n[RIGHT + EXPONENT]! + BIAS;
  let word0 = 0, word1 = 0, places = 64;
  if (high < divisorHigh || (high === divisorHigh && low < divisorLow)) exponent--;
  else {
    // The integer bit is before the point.
    low -= divisorLow;
    high -= divisorHigh + (low < 0 ? 1 : 0);
    low >>>= 0;
    word0 = 1;
    places = 63;
  }
  for (let bit = 0; bit < places; bit++) {
    const over = high >= INTEGER_BIT;
    high = (high << 1 | low >>> 31) >>> 0;
    low = low << 1 >>> 0;
    const fits = over || high > divisorHigh || (high === divisorHigh && low >= divisorLow);
    word1 = word1 << 1 | word0 >>> 31;
    word0 <<= 1;
    if (!fits) continue;
    word0 |= 1;
    low -= divisorLow;
    high = high - divisorHigh - (low < 0 ? 1 : 0) >>> 0;
    low >>>= 0;
  }
  // Half of the last place, and whether anything is left besides.
  const over = high >= INTEGER_BIT, doubledHigh = (high << 1 | low >>> 31) >>> 0, doubledLow = low << 1 >>> 0;
  const half = over || doubledHigh > divisorHigh || (doubledHigh === divisorHigh && doubledLow >= divisorLow);
  const isTie = !over && doubledHigh === divisorHigh && doubledLow === divisorLow;
  return put(n, sign, exponent, word1 >>> 0, word0 >>> 0, half ? INTEGER_BIT : 0, half ? !isTie : (high | low) !== 0, bits);
}

/** -1, 0 or 1 for numbers that are plain. */
export function order(n: Uint32Array): number {
  const leftZero = isZero(n, LEFT), rightZero = isZero(n, RIGHT);
  if (leftZero && rightZero) return 0;
  if (leftZero) return n[RIGHT + SIGN] === 0 ? -1 : 1;
  if (rightZero || n[LEFT + SIGN] !== n[RIGHT + SIGN]) return n[LEFT + SIGN] === 0 ? 1 : -1;
  const larger = n[LEFT + SIGN] === 0 ? 1 : -1;
  if (n[LEFT + EXPONENT] !== n[RIGHT + EXPONENT]) return n[LEFT + EXPONENT]! > n[RIGHT + EXPONENT]! ? larger : -larger;
  if (n[LEFT + HIGH] !== n[RIGHT + HIGH]) return n[LEFT + HIGH]! > n[RIGHT + HIGH]! ? larger : -larger;
  return n[LEFT] === n[RIGHT] ? 0 : n[LEFT]! > n[RIGHT]! ? larger : -larger;
}

// ── Conversions: into `at`, or of LEFT into the low and high half of RESULT ──

/** Single precision; false when it is neither normal nor zero. */
export function fromSingle(n: Uint32Array, at: number, word: number): boolean {
  const exponent = word >>> 23 & 0xff;
  n[at + SIGN] = word >>> 31;
  n[at] = 0;
  n[at + HIGH] = exponent === 0 ? 0 : INTEGER_BIT | word << 8;
  n[at + EXPONENT] = exponent === 0 ? 0 : exponent - 127 + BIAS;
  return exponent === 0 ? word << 1 === 0 : exponent !== 0xff;
}
export function fromDouble(n: Uint32Array, at: number, low: number, high: number): boolean {
  const exponent = high >>> 20 & 0x7ff;
  n[at + SIGN] = high >>> 31;
  n[at] = low << 11;
  n[at + HIGH] = exponent === 0 ? 0 : INTEGER_BIT | (high & 0xfffff) << 11 | low >>> 21;
  n[at + EXPONENT] = exponent === 0 ? 0 : exponent - 1023 + BIAS;
  return exponent === 0 ? (low | high << 1) === 0 : exponent !== 0x7ff;
}
export function fromInteger(n: Uint32Array, at: number, value: number): void {
  const magnitude = Math.abs(value) >>> 0, places = Math.clz32(magnitude);
  n[at + SIGN] = value < 0 ? 1 : 0;
  n[at] = 0;
  n[at + HIGH] = magnitude << places;
  n[at + EXPONENT] = magnitude === 0 ? 0 : BIAS + 31 - places;
}

/** The same of 64 bits. */
export function fromInteger64(n: Uint32Array, at: number, low: number, high: number): void {
  const negative = high >>> 31 !== 0;
  let magnitudeLow = low >>> 0, magnitudeHigh = high >>> 0;
  if (negative) {
    magnitudeHigh = ~high + (magnitudeLow === 0 ? 1 : 0) >>> 0;
    magnitudeLow = -low >>> 0;
  }
  const words = magnitudeHigh === 0 ? 32 : 0;
  if (words !== 0) {
    magnitudeHigh = magnitudeLow;
    magnitudeLow = 0;
  }
  const places = Math.clz32(magnitudeHigh);
  n[at + SIGN] = negative ? 1 : 0;
  n[at] = magnitudeLow << places;
  n[at + HIGH] = places === 0 ? magnitudeHigh : magnitudeHigh << places | magnitudeLow >>> 32 - places;
  n[at + EXPONENT] = magnitudeHigh === 0 ? 0 : BIAS + 63 - words - places;
}

/** Double precision when the result is normal or zero. */
export function toDouble(n: Uint32Array): Went {
  const sign = n[LEFT + SIGN]! << 31;
  if (isZero(n, LEFT)) return putBits(n, 0, sign, Went.exact);
  if (!isNormal(n, LEFT)) return Went.no;
  const went = put(n, 0, n[LEFT + EXPONENT]!, n[LEFT + HIGH]!, n[LEFT]!, 0, false, 53);
  const exponent = n[RESULT + EXPONENT]! - BIAS + 1023, high = n[RESULT + HIGH]!;
  if (went === Went.no || exponent <= 0 || exponent >= 0x7ff || n[LEFT + EXPONENT]! - BIAS + 1023 <= 0) return Went.no;
  return putBits(n, n[RESULT]! >>> 11 | high << 21, sign | exponent << 20 | high >>> 11 & 0xfffff, went);
}
export function toSingle(n: Uint32Array): Went {
  const sign = n[LEFT + SIGN]! << 31;
  if (isZero(n, LEFT)) return putBits(n, sign, 0, Went.exact);
  if (!isNormal(n, LEFT)) return Went.no;
  const went = put(n, 0, n[LEFT + EXPONENT]!, n[LEFT + HIGH]!, n[LEFT]!, 0, false, 24);
  const exponent = n[RESULT + EXPONENT]! - BIAS + 127;
  if (went === Went.no || exponent <= 0 || exponent >= 0xff || n[LEFT + EXPONENT]! - BIAS + 127 <= 0) return Went.no;
  return putBits(n, sign | exponent << 23 | n[RESULT + HIGH]! >>> 8 & 0x7fffff, 0, went);
}
function putBits(n: Uint32Array, low: number, high: number, went: Went): Went {
  n[RESULT] = low;
  n[RESULT + HIGH] = high;
  return went;
}

/** An integer of 16, 32 or 64 bits, to nearest or towards zero, when it surely fits: it has two bits less. */
export function toInteger(n: Uint32Array, width: number, truncates: boolean): Went {
  if (isZero(n, LEFT)) return putBits(n, 0, 0, Went.exact);
  const exponent = n[LEFT + EXPONENT]! - BIAS, high = n[LEFT + HIGH]!, low = n[LEFT]!;
  if (!isNormal(n, LEFT) || exponent >= width - 2 || exponent < 0) return Went.no;
  // The whole part in two words, the next 32 places, and whether anything is below them.
  const shift = exponent < 31 ? 31 - exponent : 63 - exponent, below = 32 - shift;
  let wholeLow: number, wholeHigh = 0, fraction: number, rest = false;
  if (exponent < 31) {
    wholeLow = high >>> shift;
    fraction = shift === 0 ? low : (high << below | low >>> shift) >>> 0;
    rest = shift !== 0 && low << below !== 0;
  } else if (shift === 32) {
    wholeLow = high;
    fraction = low;
  } else {
    wholeLow = (low >>> shift | high << below) >>> 0;
    wholeHigh = high >>> shift;
    fraction = low << below >>> 0;
  }
  const up = !truncates && (fraction > INTEGER_BIT || (fraction === INTEGER_BIT && (rest || (wholeLow & 1) !== 0)));
  if (up) {
    wholeLow = wholeLow + 1 >>> 0;
    if (wholeLow === 0) wholeHigh++;
  }
  const went = up ? Went.up : fraction !== 0 || rest ? Went.down : Went.exact;
  if (n[LEFT + SIGN] === 0) return putBits(n, wholeLow, wholeHigh, went);
  return putBits(n, -wholeLow, ~wholeHigh + (wholeLow === 0 ? 1 : 0), went);
}
