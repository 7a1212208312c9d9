// Meanings against the arithmetic of plain numbers over whole small domains, and the table of meanings against the decoder and `system/`.
import { describe, expect, it } from 'vitest';
import { rows } from '../../src/isa/tables.ts';
import type { Instruction } from '../../src/isa/instruction.ts';
import { evaluator, type Environment } from '../../src/semantics/evaluate.ts';
import { constant, generalRegisters, operand, register, type Expr } from '../../src/semantics/expr.ts';
import { isSystem, knownMnemonics, meaningOf, whyMissing } from '../../src/semantics/index.ts';
import type { Outcome } from '../../src/semantics/outcome.ts';
import { systemInstructions } from '../../src/system/index.ts';

const instruction = { operandSize: 32, addressSize: 64, condition: -1, operands: [] } as unknown as Instruction;
const none = constant(1, 0);

/** The outcome of an 8-bit instruction of two operands, or of one and rAX. */
function byteOutcome(mnemonic: string, oneOperand = false): Outcome {
  const operands = oneOperand ? [operand(1, 8), none, none, none] as const : [operand(0, 8), operand(1, 8), none, none] as const;
  const shape = { instruction: { ...instruction, operands: oneOperand ? [{}] : [{}, {}] } as unknown as Instruction, stackSize: 64 as const };
  return meaningOf(mnemonic)!(operands, shape);
}

const environment = (left: number, right: number, carry: boolean): Environment => ({
  operand: index => BigInt(index === 0 ? left : right), address: () => 0n, nextIp: 0n, load: () => 0n,
  register: name => name === 'rax' ? BigInt(left) : 0n, flag: name => name === 'cf' && carry,
});

interface Flags { cf: boolean; pf: boolean; af: boolean; zf: boolean; sf: boolean; of: boolean }

function flagsOf({ flags }: Outcome, value: (expr: Expr) => bigint): Flags {
  const result = value(flags!.result!), carries = flags!.carries ? value(flags!.carries) : 0n;
  const truth = (own: Expr | undefined, otherwise: boolean): boolean => own ? value(own) === 1n : otherwise;
  return {
    cf: truth(flags!.cf, (carries >> 7n & 1n) === 1n), af: truth(flags!.af, (carries >> 3n & 1n) === 1n),
    of: truth(flags!.of, (carries >> 7n & 1n) !== (carries >> 6n & 1n)), zf: truth(flags!.zf, result === 0n),
    sf: truth(flags!.sf, (result >> 7n & 1n) === 1n), pf: truth(flags!.pf, evenParity(Number(result))),
  };
}
const evenParity = (byte: number): boolean => [...byte.toString(2)].filter(digit => digit === '1').length % 2 === 0;
const signed = (byte: number): number => byte << 24 >> 24;

/** What the manual's words come to in plain numbers. */
const sums: Readonly<Record<string, (left: number, right: number, carry: number) => { exact: number; signedExact: number; nibble: number }>> = {
  ADD: (left, right) => ({ exact: left + right, signedExact: signed(left) + signed(right), nibble: (left & 15) + (right & 15) }),
  ADC: (left, right, carry) => ({ exact: left + right + carry, signedExact: signed(left) + signed(right) + carry, nibble: (left & 15) + (right & 15) + carry }),
  SUB: (left, right) => ({ exact: left - right, signedExact: signed(left) - signed(right), nibble: (left & 15) - (right & 15) }),
  SBB: (left, right, carry) => ({ exact: left - right - carry, signedExact: signed(left) - signed(right) - carry, nibble: (left & 15) - (right & 15) - carry }),
};

describe('all pairs of bytes', () => {
  it.each(Object.keys(sums))('%s', mnemonic => {
    const outcome = byteOutcome(mnemonic), wrong: string[] = [];
    for (let left = 0; left < 256; left++) for (let right = 0; right < 256; right++) for (const carry of [0, 1]) {
      const value = evaluator(environment(left, right, carry === 1));
      const { exact, signedExact, nibble } = sums[mnemonic]!(left, right, carry), result = exact & 0xff;
      const expected: Flags = {
        cf: exact !== result, af: nibble !== (nibble & 15), zf: result === 0, sf: result > 127, pf: evenParity(result), of: signedExact !== signed(result),
      };
      if (Number(value(outcome.result!)) !== result || JSON.stringify(order(flagsOf(outcome, value))) !== JSON.stringify(order(expected))) wrong.push(`${left} ${right} ${carry}`);
    }
    expect(wrong).toEqual([]);
  });

  it.each(['MUL', 'IMUL'])('%s', mnemonic => {
    const outcome = byteOutcome(mnemonic, true), sign = mnemonic === 'IMUL', wrong: string[] = [];
    for (let left = 0; left < 256; left++) for (let right = 0; right < 256; right++) {
      const value = evaluator(environment(left, right, false));
      const product = sign ? signed(left) * signed(right) : left * right;
      const needed = sign ? signed(product & 0xff) !== product : product > 0xff;
      if (Number(value(outcome.registers!.rax!)) !== (product & 0xffff) || value(outcome.flags!.cf!) !== BigInt(needed)) wrong.push(`${left} ${right}`);
    }
    expect(wrong).toEqual([]);
  });

  it.each(['DIV', 'IDIV'])('%s of every 16-bit dividend by some divisors', mnemonic => {
    const outcome = byteOutcome(mnemonic, true), sign = mnemonic === 'IDIV', wrong: string[] = [];
    for (const divisor of [0, 1, 2, 3, 7, 10, 127, 128, 129, 254, 255]) for (let dividend = 0; dividend < 65536; dividend += divisor % 3 + 1) {
      const value = evaluator(environment(dividend, divisor, false));
      const above = sign ? dividend << 16 >> 16 : dividend, below = sign ? signed(divisor) : divisor;
      const quotient = Math.trunc(above / below), fits = below !== 0 && (sign ? signed(quotient & 0xff) === quotient : quotient <= 0xff);
      const expected = (quotient & 0xff) | (above % below & 0xff) << 8;
      if ((value(outcome.fault!.when) === 0n) !== fits || (fits && Number(value(outcome.registers!.rax!)) !== expected)) wrong.push(`${dividend} / ${divisor}`);
    }
    expect(wrong).toEqual([]);
  });
});

const order = ({ cf, pf, af, zf, sf, of }: Flags): readonly boolean[] => [cf, pf, af, zf, sf, of];

describe('rotates through carry', () => {
  const rotate = (mnemonic: string, width: 8 | 16 | 32 | 64, value: bigint, count: number, carry: boolean): { result: bigint; carry: boolean } => {
    const n = BigInt((count & (width === 64 ? 63 : 31)) % (width + 1)), ring = BigInt(width + 1);
    const whole = value | (carry ? 1n << BigInt(width) : 0n);
    const turned = mnemonic === 'RCL' ? whole << n | whole >> ring - n : whole >> n | whole << ring - n;
    return { result: BigInt.asUintN(width, turned), carry: (turned >> BigInt(width) & 1n) === 1n };
  };
  it.each(['RCL', 'RCR'])('%s turns a ring of one bit more than the operand, for every count', mnemonic => {
    for (const width of [8, 16, 32, 64] as const) for (let count = 0; count < 256; count++) for (const carry of [false, true]) {
      const source = BigInt.asUintN(width, 0x9e37_79b9_7f4a_7c15n * BigInt(count + 3));
      const outcome = meaningOf(mnemonic)!([operand(0, width), operand(1, 8), none, none], { instruction, stackSize: 64 });
      const value = evaluator({ ...environment(0, 0, carry), operand: index => index === 0 ? source : BigInt(count) });
      const expected = rotate(mnemonic, width, source, count, carry);
      expect(value(outcome.result!)).toBe(expected.result);
      if (value(outcome.flags!.when!)) expect(value(outcome.flags!.cf!) === 1n).toBe(expected.carry);
      else expect(count & (width === 64 ? 63 : 31)).toBe(0);
    }
  });
});

describe('the table', () => {
  it('has a meaning for every mnemonic of the integer rows, or says who does it', () => {
    for (const mnemonic of knownMnemonics()) expect([mnemonic, meaningOf(mnemonic) !== undefined]).toEqual([mnemonic, whyMissing(mnemonic) === undefined]);
  });

  it('names no mnemonic that the decoder does not', () => {
    const decoded = new Set(rows.map(row => row[0]));
    expect(knownMnemonics().filter(mnemonic => !decoded.has(mnemonic))).toEqual([]);
  });

  it('leaves to system/ what system/ does, and nothing else', () => {
    const left = knownMnemonics().filter(isSystem).sort();
    expect(left.filter(mnemonic => !Object.hasOwn(systemInstructions, mnemonic))).toEqual([]);
    expect(Object.keys(systemInstructions).filter(mnemonic => !isSystem(mnemonic))).toEqual([]);
  });

  it('keeps general registers in the order of their numbers', () => {
    expect(generalRegisters.indexOf('rsp')).toBe(4);
    expect(register('r8', 64)).toMatchObject({ name: 'r8' });
  });
});
