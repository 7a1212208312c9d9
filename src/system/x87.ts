// The x87 instructions that compute: which registers and memory they take, what happens when the stack is empty or full, when exceptions keep
// them from storing, and what the conditions say (APM Vol. 5, chapter 2). The values are computed in `semantics/x87`. Called by the system table.
import { Done } from '../cpu/engine.ts';
import { rflags, setArithmeticFlags, CF, PF, ZF } from '../cpu/flags.ts';
import type { Cpu } from '../cpu/state.ts';
import type { Instruction, MemoryOperand, RegisterOperand } from '../isa/instruction.ts';
import {
  add, classify, compare, Condition, constantOf, divide, extract, multiply, remainder, roundToInteger, scale, squareRootOf, subtract, type Operation,
} from '../semantics/x87/arithmetic.ts';
import {
  fromBinary, fromBits, fromDecimal, fromInteger, loadBinary, signAndExponent, toBinary, toDecimal, toInteger, type Stored,
} from '../semantics/x87/convert.ts';
import { BEFORE, indefinite, Mode, one, X87Exception, type Float80, type Result } from '../semantics/x87/number.ts';
import {
  angleOf, isTooLarge, logarithmOfNextTimes, logarithmTimes, powerMinusOne, trigonometric,
} from '../semantics/x87/transcendental.ts';
import type { Machine } from './machine.ts';
import { linearOfOperand, operandAt, readLinear, retire, writeLinear } from './operand.ts';
import {
  askUnit, isEmpty, markEmpty, notePointers, pop, push, readStack, setTop, topOf, writeStack,
} from './x87-state.ts';
import {
  arithmeticShort, compareShort, exchangeShort, loadConstantShort, loadShort, signShort, storeIntegerShort, storeShort, type Short, type ShortOperation,
} from './x87-short.ts';

type Instruct = (machine: Machine, instruction: Instruction) => Done;
const { invalid, denormal, zeroDivide, overflow, underflow, precision } = X87Exception;
const { c0, c1, c2, c3 } = Condition;
const STACK_FAULT = 0x40, FSW_SUMMARY = 0x8080, MASKS = 0x3f;

// ── Exceptions ──

/** Reports exceptions; C1 says whether the result was rounded up. Returns those that are not masked. */
function report(cpu: Cpu, flags: number, up = false): number {
  const unmasked = flags & ~cpu.fcw & MASKS;
  cpu.fsw = cpu.fsw & ~c1 | flags | (up ? c1 : 0) | (unmasked !== 0 ? FSW_SUMMARY : 0);
  return unmasked;
}
/** What is found before an operation keeps the result away when it is not masked, and then nothing else is found. Tells whether to go on. */
function mayStore(cpu: Cpu, { flags, up }: { flags: number; up: boolean }): boolean {
  const early = flags & BEFORE;
  if ((early & ~cpu.fcw) === 0) return report(cpu, flags, up) >= 0;
  report(cpu, early);
  return false;
}
/** Tells whether a masked stack fault lets the instruction go on with the indefinite value. C1: the stack was full. */
const stackFault = (cpu: Cpu, full: boolean): boolean => (report(cpu, invalid | STACK_FAULT, full) & invalid) === 0;

// ── Operands ──

const isMemory = (instruction: Instruction, index = 0): boolean => instruction.operands[index]?.kind === 'memory';
const stackNumber = (instruction: Instruction, index: number): number => (operandAt(instruction, index) as RegisterOperand).number;

/** The memory operand, read before anything else happens. */
function readMemory(machine: Machine, instruction: Instruction): { low: bigint; high: number; width: number } {
  const operand = operandAt(instruction, 0) as MemoryOperand, { width } = operand;
  const linear = linearOfOperand(machine, instruction, operand, width >> 3, false);
  if (width < 80) return { low: readLinear(machine, linear, width), high: 0, width };
  return { low: machine.memory.read64(linear), high: machine.memory.read16(linear + 8n), width };
}
const isInteger = (mnemonic: string): boolean => mnemonic.startsWith('FI');

/** An operand of arithmetic in memory. */
function memoryValue(machine: Machine, instruction: Instruction): { value: Float80; denormal: boolean } {
  const { low, width } = readMemory(machine, instruction);
  return isInteger(instruction.mnemonic) ? { value: fromInteger(low, width), denormal: false } : fromBinary(low, width as 32 | 64);
}

function finish(machine: Machine, instruction: Instruction): Done {
  notePointers(machine, instruction);
  retire(machine.cpu);
  return Done.next;
}

/** An instruction that computes: #NM, #MF, its operand in memory (`prepare`), then the rest, which cannot fault any more. */
const instruct = <T>(prepare: (machine: Machine, instruction: Instruction) => T, body: (cpu: Cpu, instruction: Instruction, operand: T) => void): Instruct =>
  (machine, instruction) => {
    askUnit(machine, true);
    const operand = prepare(machine, instruction);
    body(machine.cpu, instruction, operand);
    return finish(machine, instruction);
  };
/** The short way through an instruction where there is one. */
const frequent = (short: Short, exact: Instruct): Instruct => (machine, instruction) => short(machine, instruction) ? Done.next : exact(machine, instruction);
const nothing = (): undefined => undefined;
const onStack = (body: (cpu: Cpu, instruction: Instruction) => void): Instruct => instruct(nothing, body);

// ── Arithmetic ──

const reversed = (operation: Operation): Operation => (left, right, controlWord) => operation(right, left, controlWord);

/** FADD and its kin: operand 0 and operand 1, or ST(0) and memory; the result goes to the first. */
const arithmetic = (operation: Operation, pops = false): Instruct => instruct(
  (machine, instruction) => isMemory(instruction) ? memoryValue(machine, instruction) : undefined,
  (cpu, instruction, memory) => {
    const into = memory ? 0 : stackNumber(instruction, 0), from = memory ? -1 : stackNumber(instruction, 1);
    if (isEmpty(cpu, into) || (from >= 0 && isEmpty(cpu, from))) {
      if (!stackFault(cpu, false)) return;
      writeStack(cpu, into, indefinite);
    } else {
      const result = operation(readStack(cpu, into), memory ? memory.value : readStack(cpu, from), cpu.fcw);
      // A denormal of memory is none in a register, but it is reported, unless a NaN, an invalid operation or a division by zero comes first.
      const isReported = memory?.denormal === true && (result.flags & (invalid | zeroDivide)) === 0 && !isNanResult(result);
      if (!mayStore(cpu, isReported ? { ...result, flags: result.flags | denormal } : result)) return;
      writeStack(cpu, into, result.value);
    }
    if (pops) pop(cpu);
  });
/** FADD, FADDP and FIADD: the short way, then the exact one. */
function arithmeticFamily(name: string, short: ShortOperation, operation: Operation, isReversed = false): Record<string, Instruct> {
  const instruction = (pops: boolean): Instruct =>
    frequent((machine, each) => arithmeticShort(machine, each, short, isReversed, pops), arithmetic(operation, pops));
  const plain = instruction(false);
  return { [`F${name}`]: plain, [`FI${name}`]: plain, [`F${name}P`]: instruction(true) };
}
const isNanResult = ({ value }: Result): boolean => value.exponent === 0x7fff && value.significand << 1n !== 1n << 64n;

/** Replaces ST(0). */
const unary = (operation: (value: Float80, controlWord: number) => Result): Instruct => onStack((cpu) => {
  if (isEmpty(cpu, 0)) {
    if (stackFault(cpu, false)) writeStack(cpu, 0, indefinite);
    return;
  }
  const result = operation(readStack(cpu, 0), cpu.fcw);
  if (mayStore(cpu, result)) writeStack(cpu, 0, result.value);
});

/** FCHS and FABS look at the sign only. */
const sign = (clears: boolean): Instruct => frequent((machine, instruction) => signShort(machine, instruction, clears),
  unary(value => ({ value: { ...value, negative: !clears && !value.negative }, flags: 0, up: false })));

/** Takes ST(1) and ST(0), pops, and leaves the result on top. */
const binaryPop = (operation: Operation): Instruct => onStack((cpu) => {
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) {
    if (!stackFault(cpu, false)) return;
    writeStack(cpu, 1, indefinite);
  } else {
    const result = operation(readStack(cpu, 1), readStack(cpu, 0), cpu.fcw);
    if (!mayStore(cpu, result)) return;
    writeStack(cpu, 1, result.value);
  }
  pop(cpu);
});

const scaleTop: Instruct = onStack((cpu) => {
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) {
    if (stackFault(cpu, false)) writeStack(cpu, 0, indefinite);
    return;
  }
  const result = scale(readStack(cpu, 0), readStack(cpu, 1), cpu.fcw);
  if (mayStore(cpu, result)) writeStack(cpu, 0, result.value);
});

const setConditions = (cpu: Cpu, conditions: number): void => { cpu.fsw = cpu.fsw & ~(c0 | c1 | c2 | c3) | conditions; };

/** FPREM and FPREM1. */
const partialRemainder = (nearest: boolean): Instruct => onStack((cpu) => {
  cpu.fsw &= ~c2;
  if (isEmpty(cpu, 0) || isEmpty(cpu, 1)) {
    if (stackFault(cpu, false)) writeStack(cpu, 0, indefinite);
    return;
  }
  const { conditions, ...result } = remainder(readStack(cpu, 0), readStack(cpu, 1), nearest, cpu.fcw);
  if (!mayStore(cpu, result)) return;
  writeStack(cpu, 0, result.value);
  if (conditions !== undefined) setConditions(cpu, conditions);
});

/** FXTRACT: the exponent replaces ST(0), and the significand is pushed. */
const extractTop: Instruct = onStack((cpu) => {
  const empty = isEmpty(cpu, 0);
  if (empty || !isEmpty(cpu, -1)) return pushTwo(cpu, !empty);
  const { exponent, significand, flags } = extract(readStack(cpu, 0));
  if (!mayStore(cpu, { flags, up: false })) return;
  writeStack(cpu, 0, exponent);
  push(cpu, significand);
});
/** What stands for two results when the stack does not allow them. */
function pushTwo(cpu: Cpu, full: boolean): void {
  if (!stackFault(cpu, full)) return;
  writeStack(cpu, 0, indefinite);
  push(cpu, indefinite);
}

// ── Angles ──

/** Leaves an angle that cannot be reduced alone. */
function isReducible(cpu: Cpu): boolean {
  const tooLarge = isTooLarge(readStack(cpu, 0));
  cpu.fsw = cpu.fsw & ~(c1 | c2) | (tooLarge ? c2 : 0);
  return !tooLarge;
}
const angle = (name: 'sine' | 'cosine'): Instruct => onStack((cpu) => {
  if (isEmpty(cpu, 0)) {
    cpu.fsw &= ~c2;
    if (stackFault(cpu, false)) writeStack(cpu, 0, indefinite);
    return;
  }
  if (!isReducible(cpu)) return;
  const result = trigonometric(name, readStack(cpu, 0), cpu.fcw);
  if (mayStore(cpu, result)) writeStack(cpu, 0, result.value);
});

/** FSINCOS and FPTAN push a second result. */
const pushingAngle = (first: 'sine' | 'tangent', second: (value: Float80, controlWord: number) => Result): Instruct => onStack((cpu) => {
  const empty = isEmpty(cpu, 0);
  if (empty || !isEmpty(cpu, -1)) {
    cpu.fsw &= ~c2;
    return pushTwo(cpu, !empty);
  }
  if (!isReducible(cpu)) return;
  const value = readStack(cpu, 0), result = trigonometric(first, value, cpu.fcw), other = second(value, cpu.fcw);
  if (!mayStore(cpu, { flags: result.flags | other.flags, up: result.up })) return;
  writeStack(cpu, 0, result.value);
  push(cpu, isNanResult(result) ? result.value : other.value);
});

// ── Comparison ──

/** The second operand of a comparison: memory, a register, or 0 for FTST. */
const comparison = (quietly: boolean, pops: number, zeroes = false): Instruct => frequent(
  (machine, instruction) => !zeroes && compareShort(machine, instruction, pops, false), exactComparison(quietly, pops, zeroes));
const exactComparison = (quietly: boolean, pops: number, zeroes: boolean): Instruct => instruct(
  (machine, instruction) => isMemory(instruction) ? memoryValue(machine, instruction) : undefined,
  (cpu, instruction, memory) => {
    const from = memory || zeroes ? 0 : instruction.operands.length === 0 ? 1 : stackNumber(instruction, 1);
    const { conditions, flags } = compared(cpu, from, memory ?? (zeroes ? { value: fromInteger(0n, 32), denormal: false } : undefined), quietly);
    const unmasked = report(cpu, flags);
    cpu.fsw = cpu.fsw & ~(c0 | c2 | c3) | conditions;
    if (unmasked === 0) for (let count = 0; count < pops; count++) pop(cpu);
  });

/** C3 C2 C0 of ST(0) against ST(`from`) or a value. Exceptions that are not masked keep the stack as it is, but not the conditions. */
function compared(cpu: Cpu, from: number, memory: { value: Float80; denormal: boolean } | undefined, quietly: boolean): { conditions: number; flags: number } {
  if (isEmpty(cpu, 0) || isEmpty(cpu, from)) return { conditions: c0 | c2 | c3, flags: invalid | STACK_FAULT };
  const result = compare(readStack(cpu, 0), memory ? memory.value : readStack(cpu, from), quietly);
  const isReported = memory?.denormal === true && (result.flags & invalid) === 0 && result.conditions !== (c0 | c2 | c3);
  return isReported ? { ...result, flags: result.flags | denormal } : result;
}

/** FCOMI and FUCOMI: C3, C2 and C0 go to ZF, PF and CF; OF, SF and AF are cleared, and C1 is left alone (Zen 4, native vectors). */
const flagComparison = (quietly: boolean, pops: boolean): Instruct => frequent(
  (machine, instruction) => compareShort(machine, instruction, pops ? 1 : 0, true), exactFlagComparison(quietly, pops));
const exactFlagComparison = (quietly: boolean, pops: boolean): Instruct => onStack((cpu, instruction) => {
  const { conditions, flags } = compared(cpu, stackNumber(instruction, 1), undefined, quietly);
  const unmasked = report(cpu, flags, (flags & STACK_FAULT) === 0 && (cpu.fsw & c1) !== 0);
  setArithmeticFlags(cpu, (conditions & c3 ? ZF : 0) | (conditions & c2 ? PF : 0) | (conditions & c0 ? CF : 0));
  if (pops && unmasked === 0) pop(cpu);
});

/** FXAM: an empty register has a sign, too. */
const examine: Instruct = onStack((cpu) => {
  const conditions = classify(readStack(cpu, 0));
  setConditions(cpu, isEmpty(cpu, 0) ? c3 | c0 | conditions & c1 : conditions);
});

// ── Loads ──

/** Pushes a value, or the indefinite one when the stack is full. A denormal is pushed even when its exception is not masked (Zen 4, native
 * vectors). */
function load(cpu: Cpu, value: Float80, flags: number): void {
  if (!isEmpty(cpu, -1)) {
    if (stackFault(cpu, true)) push(cpu, indefinite);
  } else if ((report(cpu, flags) & invalid) === 0) push(cpu, value);
}

const loadReal: Instruct = frequent(loadShort, instruct(
  (machine, instruction) => isMemory(instruction) ? readMemory(machine, instruction) : undefined,
  (cpu, instruction, memory) => {
    if (memory === undefined) return loadRegister(cpu, stackNumber(instruction, 0));
    if (memory.width === 80) return load(cpu, fromBits(memory.low, memory.high), 0);
    const { value, flags } = loadBinary(memory.low, memory.width as 32 | 64);
    load(cpu, value, flags);
  }));
function loadRegister(cpu: Cpu, number: number): void {
  if (!isEmpty(cpu, number)) return load(cpu, readStack(cpu, number), 0);
  if (stackFault(cpu, false)) push(cpu, indefinite);
}
const loadInteger: Instruct = frequent(loadShort, instruct(readMemory, (cpu, _instruction, { low, width }) => { load(cpu, fromInteger(low, width), 0); }));
const loadDecimal: Instruct = instruct(readMemory, (cpu, _instruction, { low, high }) => { load(cpu, fromDecimal(BigInt(high) << 64n | low), 0); });
const loadConstant: Instruct = frequent(loadConstantShort, onStack((cpu, { mnemonic }) => { load(cpu, constantOf(mnemonic, cpu.fcw), 0); }));

// ── Stores ──

/** Stores what `convert` makes of ST(0) in memory. An exception that is not masked, but for a lost digit, keeps it from being stored. */
const storeMemory = (convert: (value: Float80, width: number, cpu: Cpu) => Stored, indefiniteBits: (width: number) => bigint, pops: boolean): Instruct =>
  (machine, instruction) => {
    askUnit(machine, true);
    const { cpu, memory } = machine, operand = operandAt(instruction, 0) as MemoryOperand, { width } = operand;
    const linear = linearOfOperand(machine, instruction, operand, width >> 3, true);
    memory.probeWrite(linear, width >> 3);
    const stored = isEmpty(cpu, 0) ? { bits: indefiniteBits(width), flags: invalid | STACK_FAULT, up: false } : convert(readStack(cpu, 0), width, cpu);
    // What is not stored has lost no digits. A device comes before the status word: it may have to be asked, and then all is done again.
    if ((stored.flags & ~cpu.fcw & (invalid | overflow | underflow)) !== 0) report(cpu, stored.flags & ~precision);
    else {
      if (width === 80) {
        memory.write64(linear, BigInt.asUintN(64, stored.bits));
        memory.write16(linear + 8n, Number(stored.bits >> 64n));
      } else writeLinear(machine, linear, width, stored.bits);
      report(cpu, stored.flags, stored.up);
      if (pops) pop(cpu);
    }
    return finish(machine, instruction);
  };

const indefinite80 = BigInt(signAndExponent(indefinite)) << 64n | indefinite.significand;
const indefiniteReal = (width: number): bigint => width === 80 ? indefinite80 : width === 64 ? 0xfff8n << 48n : 0xffc00000n;
const toReal = (value: Float80, width: number, cpu: Cpu): Stored =>
  width === 80 ? { bits: BigInt(signAndExponent(value)) << 64n | value.significand, flags: 0, up: false } : toBinary(value, width as 32 | 64, cpu.fcw);
const roundingMode = (cpu: Cpu): number => cpu.fcw >> 10 & 3;
const indefiniteInteger = (width: number): bigint => 1n << BigInt(width - 1);

/** FST and FSTP to memory or a register. */
const storeReal = (pops: boolean): Instruct => {
  const toMemory = storeMemory(toReal, indefiniteReal, pops);
  const toRegister = onStack((cpu, instruction) => {
    if (isEmpty(cpu, 0) && !stackFault(cpu, false)) return;
    const value = isEmpty(cpu, 0) ? indefinite : readStack(cpu, 0);
    if (!isEmpty(cpu, 0)) report(cpu, 0);
    writeStack(cpu, stackNumber(instruction, 0), value);
    if (pops) pop(cpu);
  });
  return frequent((machine, instruction) => storeShort(machine, instruction, pops),
    (machine, instruction) => isMemory(instruction) ? toMemory(machine, instruction) : toRegister(machine, instruction));
};
const storeInteger = (pops: boolean): Instruct => frequent((machine, instruction) => storeIntegerShort(machine, instruction, pops, false),
  storeMemory((value, width, cpu) => toInteger(value, width, roundingMode(cpu)), indefiniteInteger, pops));
const storeTruncated: Instruct = frequent((machine, instruction) => storeIntegerShort(machine, instruction, true, true),
  storeMemory((value, width) => ({ ...toInteger(value, width, Mode.zero), up: false }), indefiniteInteger, true));
const storeDecimal: Instruct = storeMemory((value, _width, cpu) => toDecimal(value, roundingMode(cpu)), () => 0xffffc000000000000000n, true);

/** FSTPNCE: FSTP to a register, which an empty one leaves alone. */
const storeUnchecked: Instruct = onStack((cpu, instruction) => {
  const into = stackNumber(instruction, 0);
  report(cpu, 0);
  if (!isEmpty(cpu, 0)) writeStack(cpu, into, readStack(cpu, 0));
  pop(cpu);
});

// ── The stack itself ──

const exchange: Instruct = frequent(exchangeShort, onStack((cpu, instruction) => {
  const other = stackNumber(instruction, 1);
  if (isEmpty(cpu, 0) || isEmpty(cpu, other)) {
    if (!stackFault(cpu, false)) return;
    for (const index of [0, other]) if (isEmpty(cpu, index)) writeStack(cpu, index, indefinite);
  } else report(cpu, 0);
  const top = readStack(cpu, 0);
  writeStack(cpu, 0, readStack(cpu, other));
  writeStack(cpu, other, top);
}));

/** FCMOVcc: moves when the flags say so; an empty register is a fault either way. C1 is left alone otherwise (Zen 4, native vectors). */
const move = (holds: (flags: number) => boolean): Instruct => onStack((cpu, instruction) => {
  const from = stackNumber(instruction, 1);
  if (isEmpty(cpu, 0) || isEmpty(cpu, from)) {
    if (stackFault(cpu, false)) writeStack(cpu, 0, indefinite);
    return;
  }
  if (holds(rflags(cpu))) writeStack(cpu, 0, readStack(cpu, from));
});

const rotate = (by: number): Instruct => onStack((cpu) => {
  report(cpu, 0);
  setTop(cpu, topOf(cpu) + by);
});
const free = (pops: boolean): Instruct => onStack((cpu, instruction) => {
  report(cpu, 0);
  markEmpty(cpu, stackNumber(instruction, 0));
  if (pops) pop(cpu);
});

/** Mnemonic to function, for the system table. */
export const x87Instructions: Readonly<Record<string, Instruct>> = {
  ...arithmeticFamily('ADD', 'add', add), ...arithmeticFamily('MUL', 'multiply', multiply), ...arithmeticFamily('SUB', 'subtract', subtract),
  ...arithmeticFamily('SUBR', 'subtract', reversed(subtract), true), ...arithmeticFamily('DIV', 'divide', divide),
  ...arithmeticFamily('DIVR', 'divide', reversed(divide), true),
  FCHS: sign(false), FABS: sign(true), FSQRT: unary(squareRootOf), FRNDINT: unary(roundToInteger), FSCALE: scaleTop,
  FXTRACT: extractTop, FPREM: partialRemainder(false), FPREM1: partialRemainder(true),
  F2XM1: unary(powerMinusOne), FYL2X: binaryPop(logarithmTimes), FYL2XP1: binaryPop(logarithmOfNextTimes), FPATAN: binaryPop(angleOf),
  FSIN: angle('sine'), FCOS: angle('cosine'), FSINCOS: pushingAngle('sine', (value, controlWord) => trigonometric('cosine', value, controlWord)),
  FPTAN: pushingAngle('tangent', () => ({ value: one, flags: 0, up: false })),
  FCOM: comparison(false, 0), FCOMP: comparison(false, 1), FCOMPP: comparison(false, 2), FICOM: comparison(false, 0), FICOMP: comparison(false, 1),
  FUCOM: comparison(true, 0), FUCOMP: comparison(true, 1), FUCOMPP: comparison(true, 2), FTST: comparison(false, 0, true),
  FCOMI: flagComparison(false, false), FCOMIP: flagComparison(false, true), FUCOMI: flagComparison(true, false), FUCOMIP: flagComparison(true, true),
  FXAM: examine,
  FLD: loadReal, FILD: loadInteger, FBLD: loadDecimal,
  FLD1: loadConstant, FLDL2T: loadConstant, FLDL2E: loadConstant, FLDPI: loadConstant, FLDLG2: loadConstant, FLDLN2: loadConstant, FLDZ: loadConstant,
  FST: storeReal(false), FSTP: storeReal(true), FIST: storeInteger(false), FISTP: storeInteger(true), FISTTP: storeTruncated, FBSTP: storeDecimal,
  FSTPNCE: storeUnchecked, FXCH: exchange, FFREE: free(false), FFREEP: free(true), FINCSTP: rotate(1), FDECSTP: rotate(-1),
  FCMOVB: move(flags => (flags & CF) !== 0), FCMOVE: move(flags => (flags & ZF) !== 0), FCMOVBE: move(flags => (flags & (CF | ZF)) !== 0),
  FCMOVU: move(flags => (flags & PF) !== 0), FCMOVNB: move(flags => (flags & CF) === 0), FCMOVNE: move(flags => (flags & ZF) === 0),
  FCMOVNBE: move(flags => (flags & (CF | ZF)) === 0), FCMOVNU: move(flags => (flags & PF) === 0),
};
