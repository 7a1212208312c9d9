// Flags that nobody has needed yet. A translated block keeps the last flag-setting instruction as expressions over saved locals; a
// condition reads it directly (a compare and a branch become one WebAssembly comparison), and the two lazy words are made from it only
// where the flags must be in the vCPU file. Used by `translator.ts`; pure.
import { equal, below, less, isZero, not, or, signBit, constant, type Expr, type Flag } from '../semantics/expr.ts';
import type { Flags } from '../semantics/outcome.ts';
import { conditionAfter, conditionBefore, flagBefore, lazyFlags, type LazyFlags } from './lazy-flags.ts';

export interface PendingFlags {
  readonly flags: Flags;
  /** The flags are those of `left - right`, and these are its operands. */
  readonly comparison: { readonly left: Expr; readonly right: Expr } | undefined;
  /** Locals to give back when this is replaced. */
  readonly locals: readonly number[];
}

/** Whether flags are exactly those of a subtraction without borrow: then every condition is one comparison of its operands. */
export function comparisonOf({ result, carries, cf, of, zf, sf, pf }: Flags): { left: Expr; right: Expr } | undefined {
  if (!result || !carries || cf || of || zf || sf || pf) return undefined;
  if (result.kind !== 'binary' || result.word !== 'minus') return undefined;
  const { left, right } = result;
  // borrowsOfSubtraction(left, right, result): (not left and right) or …
  if (carries.kind !== 'binary' || carries.word !== 'or' || carries.left.kind !== 'binary' || carries.left.word !== 'and') return undefined;
  const [inverted, other] = [carries.left.left, carries.left.right];
  return inverted.kind === 'unary' && inverted.word === 'not' && inverted.value === left && other === right ? { left, right } : undefined;
}

/** Whether every flag is given a value, so that what was there before does not matter. */
export function overwritesAll(flags: Flags): boolean {
  if (flags.when) return false;
  const named = (name: Flag & keyof Flags): boolean => flags[name] !== undefined;
  const fromResult = flags.result !== undefined, fromCarries = flags.carries !== undefined;
  return (fromResult || (named('zf') && named('sf') && named('pf'))) && (fromCarries || (named('cf') && named('of') && named('af')));
}

/** Condition `code` (0..15) over pending flags, or over the stored words when nothing is pending. */
export function conditionOf(pending: PendingFlags | undefined, code: number): Expr {
  if (!pending) return conditionBefore[code]!;
  const truth = evenCondition(pending, code >> 1);
  if (!truth) return conditionAfter(pending.flags, code);
  return code & 1 ? not(truth) : truth;
}

function evenCondition({ flags, comparison }: PendingFlags, pair: number): Expr | undefined {
  const { result } = flags;
  if (comparison) {
    const { left, right } = comparison;
    switch (pair) {
      case 1: return below(left, right);
      case 2: return equal(left, right);
      case 3: return not(below(right, left));
      case 4: return signBit(result!);
      case 6: return less(left, right);
      case 7: return not(less(right, left));
      default: return undefined;
    }
  }
  const noCarries = flags.carries?.kind === 'constant' && flags.carries.value === 0n && !flags.cf && !flags.of;
  if (!result || flags.zf || flags.sf) return undefined;
  switch (pair) {
    case 2: return isZero(result);
    case 4: return signBit(result);
    case 3: return noCarries ? isZero(result) : undefined;
    case 6: return noCarries ? signBit(result) : undefined;
    case 7: return noCarries ? or(signBit(result), isZero(result)) : undefined;
    case 1: return noCarries ? constant(1, 0) : undefined;
    default: return undefined;
  }
}

const codeOfFlag: Readonly<Partial<Record<Flag, number>>> = { of: 0, cf: 2, zf: 4, sf: 8, pf: 10 };

/** One flag over pending flags. */
export function flagOf(pending: PendingFlags | undefined, flag: Flag): Expr {
  if (!pending || flag === 'df') return flagBefore[flag];
  const code = codeOfFlag[flag];
  if (code !== undefined) return conditionOf(pending, code);
  return pending.flags.af ?? auxiliary(pending.flags);
}

/** AF is bit 3 of the carries, or what it was. */
function auxiliary({ carries }: Flags): Expr {
  return carries ? { kind: 'slice', width: 1, lowBit: 3, value: carries } : flagBefore.af;
}

/** The two lazy words that pending flags stand for. */
export const wordsOf = (pending: PendingFlags): LazyFlags => lazyFlags(pending.flags);
