// What the fast readings of floating-point words ask of MXCSR: they answer for the usual settings only, and leave the rest to the exact
// reading. Called by `float.ts`, `fused.ts` and `half.ts`.
import { placeOf } from '../cpu/state.ts';
import { Op, type Code } from './encode.ts';

/** All exceptions masked; and with the rounding control among the bits, to nearest. */
const MASKED = 0x1f80, ROUNDING = 0x6000, INEXACT = 0x20;

function pushMxcsr(code: Code, bits: number): void {
  code.i32(0);
  code.load(Op.i32Load, placeOf('mxcsr'));
  code.i32(bits);
  code.op(Op.i32And);
}

/** The truth on the stack holds only while every exception is masked and, if MXCSR rounds, it rounds to nearest. */
export function andMasked(code: Code, rounds = true): void {
  pushMxcsr(code, rounds ? MASKED | ROUNDING : MASKED);
  code.i32(MASKED);
  code.op(Op.i32Eq);
  code.op(Op.i32And);
}

/** On the stack a truth, and above it whether the result is exact: the truth holds only while that, or the inexact flag is set already. */
export function andExact(code: Code): void {
  pushMxcsr(code, INEXACT);
  code.op(Op.i32Or);
  code.i32(0);
  code.op(Op.i32Ne);
  code.op(Op.i32And);
}
