// All rows of `opcodes/` in one list: what the decoder knows. Read by `tables.ts`, and by tests that hold every row to a meaning or a reason.
import type { Row } from './opcodes/row.ts';
import { amd3d } from './opcodes/amd3d.ts';
import { arithmetic } from './opcodes/arithmetic.ts';
import { avxCrypto } from './opcodes/avx/crypto.ts';
import { avxFloat } from './opcodes/avx/float.ts';
import { avxMove } from './opcodes/avx/move.ts';
import { avxPacked } from './opcodes/avx/packed.ts';
import { fma } from './opcodes/avx/fma.ts';
import { mask } from './opcodes/avx/mask.ts';
import { xop } from './opcodes/avx/xop.ts';
import { avx512Float } from './opcodes/avx512/float.ts';
import { avx512Half } from './opcodes/avx512/half.ts';
import { avx512Integer } from './opcodes/avx512/integer.ts';
import { avx512Move } from './opcodes/avx512/move.ts';
import { bcd } from './opcodes/bcd.ts';
import { bits } from './opcodes/bits.ts';
import { bmi } from './opcodes/bmi.ts';
import { branch } from './opcodes/branch.ts';
import { extensions } from './opcodes/extensions.ts';
import { hints } from './opcodes/hints.ts';
import { io } from './opcodes/io.ts';
import { move } from './opcodes/move.ts';
import { multiply } from './opcodes/multiply.ts';
import { segment } from './opcodes/segment.ts';
import { shift } from './opcodes/shift.ts';
import { crypto } from './opcodes/sse/crypto.ts';
import { float } from './opcodes/sse/float.ts';
import { vectorMove } from './opcodes/sse/move.ts';
import { packed } from './opcodes/sse/packed.ts';
import { stack } from './opcodes/stack.ts';
import { string } from './opcodes/string.ts';
import { system } from './opcodes/system.ts';
import { virtualization } from './opcodes/virtualization.ts';
import { x87 } from './opcodes/x87.ts';

/** By the file that they stand in. Order matters only between rows of one opcode: the first that fits and whose feature is present wins. */
export const rowGroups = {
  arithmetic, bcd, bits, bmi, branch, hints, io, move, multiply, segment, shift, stack, string,
  system, virtualization, x87, amd3d, packed, float, vectorMove, crypto,
  avxPacked, avxFloat, avxMove, avxCrypto, fma, mask, xop, extensions,
  avx512Integer, avx512Float, avx512Half, avx512Move,
} satisfies Readonly<Record<string, readonly Row[]>>;
export const rows: readonly Row[] = Object.values(rowGroups).flat();
