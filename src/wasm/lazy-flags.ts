// The lazy flags of `cpu/flags.ts` as expressions: how a condition reads the two words, and which two words an instruction
// leaves behind. Pure rewriting of one expression into another, used by both WebAssembly readings; it emits nothing.
import {
  and, constant, equal, isZero, not, or, popcount, select, shiftLeft, signBit, signExtend, slice, truncate, xor, zeroExtend, bit,
  type Expr, type Flag,
} from '../semantics/expr.ts';
import type { Flags } from '../semantics/outcome.ts';

/** Reserved operand numbers: words of the vCPU file that a binding must be able to read like operands. */
export const LAZY_RESULT = -1, LAZY_CARRIES = -2, RFLAGS_SYSTEM = -3;
/** `flagResult` before the instruction. */
export const oldResult: Expr = { kind: 'operand', width: 64, index: LAZY_RESULT };
/** `flagCarries` before the instruction. */
export const oldCarries: Expr = { kind: 'operand', width: 32, index: LAZY_CARRIES };
const systemFlags: Expr = { kind: 'operand', width: 32, index: RFLAGS_SYSTEM };

const word = (value: number) => constant(32, value >>> 0);
const at = (value: Expr, position: number): Expr => shiftLeft(zeroExtend(32, value), word(position));
const evenParity = (byte: Expr): Expr => not(bit(popcount(byte), 0));
const CARRY_BITS = 0xc0000000, AF_BIT = 8, PARITY_BITS = 0xff00, SIGN_BIT = 1;

/** The flags that the two words stand for. */
export function readFlags(result: Expr, carries: Expr): Readonly<Record<Flag, Expr>> {
  return {
    cf: signBit(carries),
    of: signBit(xor(carries, shiftLeft(carries, word(1)))),
    af: bit(carries, 3),
    zf: isZero(result),
    sf: xor(signBit(result), bit(carries, 0)),
    pf: evenParity(xor(truncate(8, result), slice(carries, 8, 8))),
    df: bit(systemFlags, 10),
  };
}
/** SF xor OF of the two words, in one go. */
const lessOf = (result: Expr, carries: Expr): Expr =>
  signBit(xor(xor(slice(result, 32, 32), shiftLeft(carries, word(31))), xor(carries, shiftLeft(carries, word(1)))));

function conditionsOver(flags: Readonly<Record<Flag, Expr>>, less: Expr): readonly Expr[] {
  const even = [flags.of, flags.cf, flags.zf, or(flags.cf, flags.zf), flags.sf, flags.pf, less, or(less, flags.zf)];
  return even.flatMap((truth) => [truth, not(truth)]);
}

/** Each flag, and condition codes 0..15, over the words in the vCPU file. */
export const flagBefore = readFlags(oldResult, oldCarries);
export const conditionBefore = conditionsOver(flagBefore, lessOf(oldResult, oldCarries));

/** The two words after an instruction; one that is absent keeps its value. */
export interface LazyFlags { readonly result?: Expr; readonly carries?: Expr }

/** What `Flags` (but for `when`, which is the reader's business) puts into the two words. */
export function lazyFlags(flags: Flags): LazyFlags {
  const { result, carries } = flags;
  const carryWord = carries ? carriesToWord(carries) : undefined;
  if (result && carryWord && !flags.cf && !flags.pf && !flags.af && !flags.zf && !flags.sf && !flags.of) {
    return { result: signExtend(64, result), carries: carryWord };
  }
  const base = carryWord ?? oldCarries;
  const parts: Expr[] = [];
  // CF and OF share two bits, so a change of one needs the other.
  if (flags.cf || flags.of) {
    const before = readFlags(oldResult, base);
    const cf = flags.cf ?? before.cf, of = flags.of ?? before.of;
    parts.push(at(cf, 31), at(xor(cf, of), 30));
  } else parts.push(and(base, word(CARRY_BITS)));
  parts.push(flags.af ? at(flags.af, 3) : and(base, word(AF_BIT)));
  const { resultWord, corrections } = resultToWord(flags);
  parts.push(...corrections);
  const merged = parts.reduce((left, right) => or(left, right));
  return resultWord ? { result: resultWord, carries: merged } : { carries: merged };
}

/** The carry vector's two top bits to 31:30, and bit 3 where it is. */
function carriesToWord(carries: Expr): Expr {
  if (carries.kind === 'constant' && carries.value === 0n) return word(0);
  if (carries.width === 32) return and(carries, word(CARRY_BITS | AF_BIT));
  if (carries.width === 64) return or(and(slice(carries, 32, 32), word(CARRY_BITS)), and(truncate(32, carries), word(AF_BIT)));
  const wide = zeroExtend(32, carries);
  return or(and(shiftLeft(wide, word(32 - carries.width)), word(CARRY_BITS)), and(wide, word(AF_BIT)));
}

/** `flagResult`, and the parity and sign corrections that `flagCarries` then needs. */
function resultToWord(flags: Flags): { resultWord: Expr | undefined; corrections: readonly Expr[] } {
  const { result } = flags;
  const old = flagBefore;
  if (flags.zf || (result && flags.sf && flags.pf)) {
    // The canonical form: 0 for ZF, else 1; sign and parity are corrections.
    const source = result ? readFlags(signExtend(64, result), word(0)) : old;
    const zf = flags.zf ?? source.zf;
    const pf = flags.pf ?? source.pf, sf = flags.sf ?? source.sf;
    return { resultWord: select(zf, constant(64, 0), constant(64, 1)), corrections: [at(xor(pf, zf), 8), zeroExtend(32, sf)] };
  }
  const resultWord = result ? signExtend(64, result) : undefined;
  const current = resultWord ?? oldResult;
  const kept = resultWord ? [] : [PARITY_BITS, SIGN_BIT];
  const corrections: Expr[] = [];
  if (flags.pf) corrections.push(at(equal(flags.pf, bit(popcount(truncate(8, current)), 0)), 8));
  else if (kept.length) corrections.push(and(oldCarries, word(PARITY_BITS)));
  if (flags.sf) corrections.push(zeroExtend(32, xor(flags.sf, signBit(current))));
  else if (kept.length) corrections.push(and(oldCarries, word(SIGN_BIT)));
  return { resultWord, corrections };
}

/** Condition `code` straight from what an instruction says about flags, for a reader that has not stored them yet. */
export function conditionAfter(flags: Flags, code: number): Expr {
  const words = lazyFlags(flags);
  const result = words.result ?? oldResult, carries = words.carries ?? oldCarries;
  const over = readFlags(result, carries);
  const named = {
    ...over,
    ...(flags.cf && { cf: flags.cf }), ...(flags.of && { of: flags.of }), ...(flags.zf && { zf: flags.zf }),
    ...(flags.sf && { sf: flags.sf }), ...(flags.pf && { pf: flags.pf }), ...(flags.af && { af: flags.af }),
    ...(flags.result && !flags.zf && { zf: isZero(flags.result) }),
    ...(flags.result && !flags.sf && { sf: signBit(flags.result) }),
    ...(flags.carries && !flags.cf && { cf: signBit(flags.carries) }),
  };
  const less = flags.cf || flags.of || flags.sf ? xor(named.sf, named.of) : lessOf(result, carries);
  return conditionsOver(named, less)[code]!;
}
