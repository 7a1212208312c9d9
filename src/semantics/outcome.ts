// What a meaning says: the effects of one instruction, as values. A reader evaluates everything first, raises the fault
// if there is one, then stores, then writes registers and flags, so nothing is committed before the last possible fault.
import { Access } from '../cpu/engine.ts';
import type { Instruction, MemoryOperand, SegmentName } from '../isa/instruction.ts';
import type { Expr, GeneralRegister } from './expr.ts';

/** The arithmetic flags after an instruction. A flag that is not named, and has no source in `result` or `carries`, keeps its value. */
export interface Flags {
  /** ZF, SF and PF are those of this value. */
  readonly result?: Expr;
  /** The carry out of every bit of an addition (or borrow of a subtraction), as wide as the result: CF is its top bit,
   * OF the exclusive or of its two top bits, AF its bit 3. */
  readonly carries?: Expr;
  /** Truth values that override the two above. */
  readonly cf?: Expr;
  readonly pf?: Expr;
  readonly af?: Expr;
  readonly zf?: Expr;
  readonly sf?: Expr;
  readonly of?: Expr;
  /** No flag changes unless this holds (shifts by 0). */
  readonly when?: Expr;
}

export interface Outcome {
  /** Goes to operand 0. A result wider than a register operand replaces the whole register; a 32-bit result zero-extends to 64;
   * 8- and 16-bit results leave the other bits. In a vector register all bits above the result keep their value. */
  readonly result?: Expr;
  /** Goes to operand 1 (XCHG, XADD, MULX). Registers are written in this order: `registers`, `second`, `result`. */
  readonly second?: Expr;
  /** Implicit registers, by the width of the value as for `result`. */
  readonly registers?: Readonly<Partial<Record<GeneralRegister, Expr>>>;
  /** An implicit store (PUSH, CALL). At most one store, `result` to memory included, may happen in a meaning.
   * A store that faults comes before a branch target that does not fit (CALL; Zen 4, native vectors). */
  readonly store?: { readonly segment: SegmentName; readonly address: Expr; readonly value: Expr };
  /** Evaluated for the faults of its loads only (CLFLUSH). */
  readonly reads?: Expr;
  /** A memory operand of 128 or 256 bits must be aligned: else #GP(0), before the page is looked at (APM Vol. 1, 4.3.2). `lenient`: unless
   * MXCSR.MM is set. */
  readonly aligned?: true | 'lenient';
  /** Floating-point exceptions, as in MXCSR bits 5:0, where they are set. One that is not masked is #XM, or #UD without CR4.OSXMMEXCPT;
   * nothing else is committed then. */
  readonly exceptions?: Expr;
  readonly flags?: Flags;
  /** Direction flag after the instruction (CLD, STD). */
  readonly df?: Expr;
  /** Bits of vector registers that become 0: all above the result in the register that is written (`aboveResult`: every instruction with a
   * VEX prefix), all above 127 in the registers that the mode has (`upper`: VZEROUPPER), or all (VZEROALL). Results are 128 bits wide then,
   * or 256. */
  readonly clears?: 'aboveResult' | 'upper' | 'all';
  /** Raised, before anything is committed, when `when` holds. Error code 0 where the vector has one. `when` is evaluated before the rest,
   * so loads that are not in it come later. */
  readonly fault?: { readonly when: Expr; readonly vector: number };
  /** The next instruction pointer (an offset; a width below 64 zero-extends), taken when `when` holds or is absent.
   * A target outside the code segment's limit, or not canonical, raises #GP(0) at the branch. */
  readonly branch?: { readonly target: Expr; readonly when?: Expr };
  /** One element of a string instruction is described; with REP, the reader counts rCX of the address size down, repeats while
   * it is not 0; `comparesFlags` (CMPS, SCAS): also stops when ZF after the element is 0 (REP) or 1 (REPNE). */
  readonly string?: { readonly comparesFlags: boolean };
  /** The instruction is done by `system/` in TypeScript; no other field is set. */
  readonly system?: true;
}

/** The bits of an access code that ask for an aligned operand. */
export const alignmentOf = ({ aligned }: Outcome, { width }: MemoryOperand): number =>
  aligned && width >= 128 ? Access.aligned | (aligned === 'lenient' ? Access.lenient : 0) : 0;

/** What an instruction's meaning may depend on besides its operands: all of it constant once decoded in a mode. */
export interface Shape {
  readonly instruction: Instruction;
  /** Width of the stack pointer: 16 or 32 by SS.B, 64 in 64-bit mode. */
  readonly stackSize: 16 | 32 | 64;
}

export type Operands = readonly [Expr, Expr, Expr, Expr];
/** Operands arrive in the manual's order; those that do not exist are the 1-bit constant 0. */
export type Meaning = (operands: Operands, shape: Shape) => Outcome;
