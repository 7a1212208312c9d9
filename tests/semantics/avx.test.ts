// Meanings of the VEX encoding that the native vectors do not hold, because the processor they come from has them not. AVX-VNNI
// and the 52-bit products also agreed with an Intel processor on 1,200 random cases.
import { expect, it } from 'vitest';
import { evaluate, type Environment } from '../../src/semantics/evaluate.ts';
import { operand } from '../../src/semantics/expr.ts';
import { meaningOf } from '../../src/semantics/index.ts';
import type { Instruction } from '../../src/isa/instruction.ts';
import type { Operands, Outcome } from '../../src/semantics/outcome.ts';

/** The result of an instruction whose operands are all vector registers of 128 bits, with these values. */
function compute(mnemonic: string, ...values: bigint[]): { result: bigint; outcome: Outcome } {
  const registers = values.map((_, number) => ({ kind: 'register', file: 'vector', number, high: false, width: 128 }));
  const operands = [0, 1, 2, 3].map((index) => operand(index, 128)) as unknown as Operands;
  const outcome = meaningOf(mnemonic)!(operands, { instruction: { operands: registers } as unknown as Instruction, stackSize: 64 });
  return { result: evaluate(outcome.result!, { operand: (index: number) => values[index]! } as unknown as Environment), outcome };
}

it.each([
  ['VPDPBUSD', 0x7fffffff_00000001_80000000_0000000an, 0xffffffff_01020304_ffffffff_ffff0000n, 0x7f7f7f7f_01020304_80808080_807f0000n, 0x8001fa03_0000001f_7ffe0200_ffffff0bn],
  ['VPDPBUSDS', 0x7fffffff_00000001_80000000_0000000an, 0xffffffff_01020304_ffffffff_ffff0000n, 0x7f7f7f7f_01020304_80808080_807f0000n, 0x7fffffff_0000001f_80000000_ffffff0bn],
  ['VPDPWSSD', 0x00000001_ffffffff_80000000_7fffffffn, 0x80008000_80008000_80008000_00010001n, 0x80008000_80008000_7fff7fff_00010001n, 0x80000001_7fffffff_00010000_80000001n],
  ['VPDPWSSDS', 0x00000001_ffffffff_80000000_7fffffffn, 0x80008000_80008000_80008000_00010001n, 0x80008000_80008000_7fff7fff_00010001n, 0x7fffffff_7fffffff_80000000_7fffffffn],
  ['VPMADD52LUQ', 0x00000000_00000001_ffffffff_ffffffffn, 0xfff00000_00000003_000fffff_ffffffffn, 0xfff00000_00000005_000fffff_ffffffffn, 0x00000000_00000010_00000000_00000000n],
  ['VPMADD52HUQ', 0x00000000_00000001_00000000_00000000n, 0xfff00000_00000003_000fffff_ffffffffn, 0xfff00000_00000005_000fffff_ffffffffn, 0x00000000_00000001_000fffff_fffffffen],
] as const)('%s adds products', (mnemonic, destination, first, second, result) => {
  expect(compute(mnemonic, destination, first, second).result.toString(16)).toBe(result.toString(16));
});

it('FMA4 takes its factors behind the destination, and clears what is above a scalar', () => {
  const two = 0x40000000n, three = 0x40400000n, five = 0x40a00000n, above = 0x11111111_22222222_33333333_00000000n;
  const { result, outcome } = compute('VFMADDSS', above | five, above | two, above | three, above | five);
  expect([result, outcome.clears]).toEqual([0x41300000n, 'aboveResult']);
});
