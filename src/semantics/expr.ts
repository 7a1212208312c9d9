// The only words that a meaning may use. An expression is a pure value: a directed graph of frozen nodes, each with a
// width in bits. Three readers give it sense: `evaluate.ts` (bigint), and `wasm/emit.ts` for the interpreter and the
// translator. A node that is used twice is evaluated once (identity is sharing). Nothing here knows a vCPU.
import type { SegmentName } from '../isa/instruction.ts';

/** Bits. 1 is a truth value; 80 is an x87 register; 128 and more are vector registers and double-length products. */
export type Width = 1 | 8 | 16 | 32 | 64 | 80 | 128 | 256 | 512;

/** The arithmetic flags, and the direction flag, which string instructions read. */
export type Flag = 'cf' | 'pf' | 'af' | 'zf' | 'sf' | 'of' | 'df';

export const generalRegisters = [
  'rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi',
  'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15',
] as const;
export type GeneralRegister = (typeof generalRegisters)[number];

export type UnaryWord = 'not' | 'negate' | 'popcount' | 'leadingZeros' | 'trailingZeros' | 'byteSwap';
export type BinaryWord =
  | 'plus' | 'minus' | 'times' | 'and' | 'or' | 'xor'
  | 'shiftLeft' | 'shiftRight' | 'shiftRightSigned' | 'rotateLeft' | 'rotateRight'
  | 'divide' | 'remainder' | 'divideSigned' | 'remainderSigned';
export type CompareWord = 'equal' | 'below' | 'less';

/** Width of the elements of a vector. */
export type Lane = 8 | 16 | 32 | 64;
/** What is done to each pair of lanes; `lanes` says more of those that are not plain. */
export type LaneWord =
  | 'plus' | 'minus' | 'times' | 'equal' | 'greater' | 'minimum' | 'maximum' | 'minimumUnsigned' | 'maximumUnsigned' | 'averageUnsigned'
  | 'plusSaturated' | 'plusSaturatedUnsigned' | 'minusSaturated' | 'minusSaturatedUnsigned'
  | 'timesHigh' | 'timesHighUnsigned' | 'timesHighRounded' | 'timesLow' | 'timesLowUnsigned' | 'pairProducts' | 'permute' | ShiftWord;
/** Floating point under MXCSR, lane by lane; `softfloat.ts` says what each does. */
export type FloatWord =
  | 'add' | 'subtract' | 'addSubtract' | 'multiply' | 'divide' | 'squareRoot' | 'minimum' | 'maximum'
  | 'equal' | 'less' | 'lessOrEqual' | 'unordered' | 'notEqual' | 'notLess' | 'notLessOrEqual' | 'ordered' | 'order' | 'orderQuiet'
  | 'fromSigned32' | 'fromSigned64' | 'toSigned32' | 'toSigned64' | 'truncateTo32' | 'truncateTo64' | 'toSingle' | 'toDouble'
  | RoundWord
  | 'halfToSingle' | 'toHalf' | 'toHalfNearest' | 'toHalfDown' | 'toHalfUp' | 'toHalfZero'
  | 'fusedAdd' | 'fusedSubtract' | 'fusedNegativeAdd' | 'fusedNegativeSubtract' | 'fusedAddOdd' | 'fusedAddEven';
/** To an integer of the same format; `Current` as MXCSR says; `Quietly` without a report of inexactness. */
export type RoundWord = `round${'Nearest' | 'Down' | 'Up' | 'Zero' | 'Current'}${'' | 'Quietly'}`;
export type ShiftWord = 'shiftLeft' | 'shiftRight' | 'shiftRightSigned';

export type Expr =
  | { readonly kind: 'constant'; readonly width: Width; readonly value: bigint }
  | { readonly kind: 'operand'; readonly width: Width; readonly index: number }
  | { readonly kind: 'address'; readonly width: Width; readonly index: number }
  | { readonly kind: 'register'; readonly width: Width; readonly name: GeneralRegister }
  | { readonly kind: 'flag'; readonly width: 1; readonly flag: Flag }
  | { readonly kind: 'condition'; readonly width: 1; readonly code: number }
  | { readonly kind: 'nextIp'; readonly width: Width }
  | { readonly kind: 'load'; readonly width: Width; readonly segment: SegmentName; readonly address: Expr }
  | { readonly kind: 'unary'; readonly width: Width; readonly word: UnaryWord; readonly value: Expr }
  | { readonly kind: 'binary'; readonly width: Width; readonly word: BinaryWord; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'compare'; readonly width: 1; readonly word: CompareWord; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'select'; readonly width: Width; readonly condition: Expr; readonly whenTrue: Expr; readonly whenFalse: Expr }
  | { readonly kind: 'extend'; readonly width: Width; readonly signed: boolean; readonly value: Expr }
  | { readonly kind: 'slice'; readonly width: Width; readonly lowBit: number; readonly value: Expr }
  | { readonly kind: 'join'; readonly width: Width; readonly high: Expr; readonly low: Expr }
  | { readonly kind: 'lanes'; readonly width: Width; readonly lane: Lane; readonly word: LaneWord; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'shiftLanes'; readonly width: Width; readonly lane: Lane; readonly word: ShiftWord; readonly value: Expr; readonly count: Expr }
  | { readonly kind: 'shuffle'; readonly width: Width; readonly lane: Lane; readonly picks: readonly number[]; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'narrow'; readonly width: Width; readonly lane: Lane; readonly signed: boolean; readonly left: Expr; readonly right: Expr }
  | { readonly kind: 'signs'; readonly width: 32; readonly lane: Lane; readonly value: Expr }
  | { readonly kind: 'float'; readonly width: Width; readonly word: FloatWord; readonly format: 32 | 64; readonly arguments: readonly Expr[] }
  | { readonly kind: 'floatFlags'; readonly width: 32; readonly value: FloatExpr; readonly before: Expr | undefined }
  | { readonly kind: 'unmasked'; readonly width: 32 }
  | { readonly kind: 'call'; readonly width: Width; readonly name: string; readonly arguments: readonly Expr[] };

export type FloatExpr = Extract<Expr, { kind: 'float' }>;

// ── Leaves ──

export const constant = (width: Width, value: bigint | number): Expr => ({
  kind: 'constant', width, value: BigInt.asUintN(width, BigInt(value)),
});
/** The value of operand `index` (0 is the destination in the manual's order). Reading memory may fault. */
export const operand = (index: number, width: Width): Expr => ({ kind: 'operand', width, index });
/** The effective address (the offset in its segment) of memory operand `index`, of the address size. */
export const address = (index: number, width: Width): Expr => ({ kind: 'address', width, index });
/** The low `width` bits of a general register. */
export const register = (name: GeneralRegister, width: Width): Expr => ({ kind: 'register', width, name });
export const flag = (name: Flag): Expr => ({ kind: 'flag', width: 1, flag: name });
/** Condition code 0..15 as in Jcc (APM Vol. 3, "Jcc"), over the flags before the instruction. */
export const condition = (code: number): Expr => ({ kind: 'condition', width: 1, code });
/** The offset of the next instruction, truncated to `width`. */
export const nextIp = (width: Width): Expr => ({ kind: 'nextIp', width });
/** An implicit memory read (stack, XLAT): segment and offset; the offset's width is the address or stack size. */
export const load = (width: Width, segment: SegmentName, offset: Expr): Expr => ({ kind: 'load', width, segment, address: offset });

// ── Arithmetic: both sides and the result have one width; everything is modulo 2^width ──

const unary = (word: UnaryWord) => (value: Expr): Expr => ({ kind: 'unary', width: value.width, word, value });
const binary = (word: BinaryWord) => (left: Expr, right: Expr): Expr => {
  if (left.width !== right.width) throw new Error(`${word}: ${left.width} and ${right.width} bits`);
  return { kind: 'binary', width: left.width, word, left, right };
};
export const not = unary('not');
export const negate = unary('negate');
/** Counts of bits, in the operand's own width; leading and trailing zeros of 0 are the width. */
export const popcount = unary('popcount');
export const leadingZeros = unary('leadingZeros');
export const trailingZeros = unary('trailingZeros');
export const byteSwap = unary('byteSwap');
export const plus = binary('plus');
export const minus = binary('minus');
export const times = binary('times');
export const and = binary('and');
export const or = binary('or');
export const xor = binary('xor');
/** Shifts take a count of the same width; a count of `width` or more shifts everything out (fills with the sign). */
export const shiftLeft = binary('shiftLeft');
export const shiftRight = binary('shiftRight');
export const shiftRightSigned = binary('shiftRightSigned');
/** Rotates take the count modulo the width. */
export const rotateLeft = binary('rotateLeft');
export const rotateRight = binary('rotateRight');
/** Divisions: by zero, and an overflowing signed one, give 0; a meaning raises #DE before its result counts. */
export const divide = binary('divide');
export const remainder = binary('remainder');
export const divideSigned = binary('divideSigned');
export const remainderSigned = binary('remainderSigned');

// ── Truth values ──

const compare = (word: CompareWord) => (left: Expr, right: Expr): Expr => {
  if (left.width !== right.width) throw new Error(`${word}: ${left.width} and ${right.width} bits`);
  return { kind: 'compare', width: 1, word, left, right };
};
export const equal = compare('equal');
/** Unsigned. */
export const below = compare('below');
/** Signed. */
export const less = compare('less');
export const isZero = (value: Expr): Expr => equal(value, constant(value.width, 0));
export const select = (when: Expr, whenTrue: Expr, whenFalse: Expr): Expr => {
  if (when.width !== 1 || whenTrue.width !== whenFalse.width) throw new Error(`select: ${when.width}, ${whenTrue.width}, ${whenFalse.width} bits`);
  return { kind: 'select', width: whenTrue.width, condition: when, whenTrue, whenFalse };
};

// ── Changes of width ──

export const zeroExtend = (width: Width, value: Expr): Expr =>
  value.width === width ? value : { kind: 'extend', width, signed: false, value };
export const signExtend = (width: Width, value: Expr): Expr =>
  value.width === width ? value : { kind: 'extend', width, signed: true, value };
/** Bits `lowBit` .. `lowBit + width - 1`. */
export const slice = (value: Expr, lowBit: number, width: Width): Expr =>
  lowBit === 0 && value.width === width ? value : { kind: 'slice', width, lowBit, value };
export const truncate = (width: Width, value: Expr): Expr => slice(value, 0, width);
export const bit = (value: Expr, index: number): Expr => slice(value, index, 1);
export const signBit = (value: Expr): Expr => slice(value, value.width - 1, 1);
/** `high` above `low`: equal widths w give 2w. */
export const join = (high: Expr, low: Expr): Expr => ({ kind: 'join', width: (high.width + low.width) as Width, high, low });

/** A named pure function of values that the plain words would make unreadable (CRC32, PEXT, AES round). Its bigint
 * reading stands in `functions.ts`; the emitter may have a faster one of its own. */
export const call = (name: string, width: Width, ...args: Expr[]): Expr => ({ kind: 'call', width, name, arguments: args });

// ── Vectors: lane 0 is the lowest ──

/** Lane by lane. `equal` and `greater` (signed) give all ones or 0. `timesHigh…` is the upper half of a product, rounded: bits `lane` + 14
 * to 15 of it plus its half (PMULHRSW); `timesLow…` the whole product of the lower halves; `pairProducts` the sum of the signed products of
 * the two halves; `permute`: the lane of `left` that each lane of `right` names, 0 where its top bit is set;
 * shifts: by the count in the lane of `right`, unsigned, where `lane` or more shifts everything out. */
export const lanes = (word: LaneWord, lane: Lane, left: Expr, right: Expr): Expr => {
  if (left.width !== right.width) throw new Error(`${word}: ${left.width} and ${right.width} bits`);
  return { kind: 'lanes', width: left.width, lane, word, left, right };
};
/** Every lane by the same unsigned count; a count of `lane` or more shifts everything out (fills with the sign). */
export const shiftLanes = (word: ShiftWord, lane: Lane, value: Expr, count: Expr): Expr =>
  ({ kind: 'shiftLanes', width: value.width, lane, word, value, count });
/** Lane k of the result is lane `picks[k]` of the lanes of `left`, followed by those of `right`. */
export const shuffle = (lane: Lane, picks: readonly number[], left: Expr, right: Expr = left): Expr => {
  if (left.width !== right.width || picks.length * lane !== left.width) throw new Error(`shuffle: ${picks.length} lanes of ${lane} from ${left.width} and ${right.width} bits`);
  return { kind: 'shuffle', width: left.width, lane, picks, left, right };
};
/** Signed lanes saturated to half their width, signed or unsigned: those of `left`, then those of `right`. */
export const narrow = (lane: Lane, signed: boolean, left: Expr, right: Expr): Expr => ({ kind: 'narrow', width: left.width, lane, signed, left, right });
/** The top bits of all lanes, lane 0 in bit 0. */
export const signs = (lane: Lane, value: Expr): Expr => ({ kind: 'signs', width: 32, lane, value });
/** Floating point of a format (of the result where the word makes floating point from integers). */
export const float = (word: FloatWord, format: 32 | 64, width: Width, ...args: Expr[]): FloatExpr => ({ kind: 'float', width, word, format, arguments: args });
/** The exceptions that came with it, as in MXCSR bits 5:0; none when one of those of a step `before` is not masked, which ends the instruction. */
export const floatFlags = (value: FloatExpr, before?: Expr): Expr => ({ kind: 'floatFlags', width: 32, value, before });
/** The exceptions that MXCSR does not mask, as in its bits 5:0. */
export const unmasked: Expr = { kind: 'unmasked', width: 32 };
/** The same lane everywhere. */
export const repeated = (width: Width, lane: Lane, value: bigint): Expr => {
  let all = 0n;
  for (let at = 0; at < width; at += lane) all |= value << BigInt(at);
  return constant(width, all);
};

/** What an expression is made of. */
export function childrenOf(node: Expr): readonly Expr[] {
  switch (node.kind) {
    case 'load': return [node.address];
    case 'unary': case 'extend': case 'slice': case 'signs': return [node.value];
    case 'floatFlags': return node.before ? [node.value, node.before] : [node.value];
    case 'binary': case 'compare': case 'lanes': case 'shuffle': case 'narrow': return [node.left, node.right];
    case 'select': return [node.condition, node.whenTrue, node.whenFalse];
    case 'join': return [node.high, node.low];
    case 'shiftLanes': return [node.value, node.count];
    case 'call': case 'float': return node.arguments;
    default: return [];
  }
}
/** Whether something holds for the expression or for any part of it. */
export function some(root: Expr, holds: (node: Expr) => boolean, seen = new Set<Expr>()): boolean {
  if (seen.has(root)) return false;
  seen.add(root);
  return holds(root) || childrenOf(root).some(child => some(child, holds, seen));
}
