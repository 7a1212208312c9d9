// The reference engine: fetch, decode, evaluate the meaning in bigint, commit; one instruction at a time, no cache of anything. It is the
// judge of the other two readings and runs under the same run loop. It never looks at the TLB: every access goes through `Services`.
import { codeSizeOf, CR4, cr4Of, is64Bit, isCanonical, stackSizeOf } from '../cpu/controls.ts';
import { Access, Done, Stop, Written, type Engine, type Services } from '../cpu/engine.ts';
import { AF, CF, DF, OF, PF, SF, ZF, rflags, setArithmeticFlags } from '../cpu/flags.ts';
import { isGuarded, isGuardedTransfer, unitsOf } from '../cpu/mode.ts';
import { CS, FS } from '../cpu/segments.ts';
import { FSW_ES, FSW_TOP, RAM, placeOfRegister, placeOfArea, VECTOR_BYTES, type Cpu } from '../cpu/state.ts';
import { unitFault, usesMmx } from '../cpu/units.ts';
import { decode } from '../isa/decode.ts';
import {
  segmentNames, type HasFeature, type Instruction, type MemoryOperand, type Operand, type RegisterOperand, type SegmentName, type Undecodable,
} from '../isa/instruction.ts';
import { evaluate, evaluator, type Environment } from './evaluate.ts';
import { constant, generalRegisters, operand as operandExpr, type Expr, type Flag, type GeneralRegister, type Width } from './expr.ts';
import { displacementOf, meaningOf } from './index.ts';
import { alignmentOf, type Flags, type Meaning, type Operands, type Outcome } from './outcome.ts';

const GP = 13, UD = 6, XM = 19, MF = 16;
const flagBits: Readonly<Record<Flag, number>> = { cf: CF, pf: PF, af: AF, zf: ZF, sf: SF, of: OF, df: DF };

/** Unwinds an instruction before anything is committed. */
class Abandoned {
  readonly stop: Stop;
  constructor(stop: Stop) {
    this.stop = stop;
  }
}

export interface ReferenceMachine { readonly cpu: Cpu; readonly services: Services; readonly has: HasFeature }

export function createReference(machine: ReferenceMachine): Engine {
  const { cpu } = machine;
  return {
    run() {
      while (cpu.budget > 0) {
        const budget = cpu.budget;
        cpu.budget = budget - 1;
        const stop = step(machine);
        if (stop === Stop.fault || stop === Stop.userspace) cpu.budget = budget;
        if (stop !== Stop.budget) return stop;
      }
      return Stop.budget;
    },
    flushAddresses() { /* Nothing is remembered. */ },
    enterSpace() { /* Nor here. */ },
    invalidateCode() { /* Nothing is remembered. */ },
    reset() { /* Nothing is remembered. */ },
  };
}

/** One instruction, or one element of a repeated one. `Stop.budget` means: go on. */
function step(machine: ReferenceMachine): Stop {
  try {
    const instruction = fetchInstruction(machine);
    if (instruction.mnemonic === '') throw fault(machine.cpu, (instruction as Undecodable).why === 'long' ? GP : UD);
    return execute(machine, instruction as Instruction);
  } catch (thrown) {
    if (thrown instanceof Abandoned) return thrown.stop;
    throw thrown;
  }
}

function fault(cpu: Cpu, vector: number): Abandoned {
  cpu.faultVector = vector;
  cpu.faultErrorCode = 0;
  return new Abandoned(Stop.fault);
}

// ── Fetching ──

function fetchInstruction(machine: ReferenceMachine): Instruction | Undecodable {
  const { cpu, has } = machine;
  const codeSize = codeSizeOf(cpu);
  const bytes = new Uint8Array(16);
  const linear = cpu.rip + (codeSize === 64 ? 0n : cpu.cs.base);
  const inPage = Math.min(bytes.length, 0x1000 - Number(linear & 0xfffn));
  fetchBytes(machine, bytes, 0, inPage);
  let found = decode(bytes, 0, inPage, codeSize, has);
  if (found.mnemonic === '' && (found as Undecodable).why === 'more') {
    fetchBytes(machine, bytes, inPage, bytes.length - inPage);
    found = decode(bytes, 0, bytes.length, codeSize, has);
  }
  // The last byte may lie beyond the limit of the code segment.
  if (codeSize !== 64 && found.length > 1 && machine.services.fetch(found.length - 1) === -1) throw new Abandoned(Stop.fault);
  return found;
}

/** Reads code from `ahead` on, which does not cross a page; what lies outside RAM reads as ones. */
function fetchBytes({ cpu, services }: ReferenceMachine, bytes: Uint8Array, ahead: number, length: number): void {
  const at = services.fetch(ahead);
  if (at === -1) throw new Abandoned(Stop.fault);
  if (at === -2) bytes.fill(0xff, ahead, ahead + length);
  else bytes.set(cpu.u8.subarray(RAM + at, RAM + at + length), ahead);
}

// ── Executing ──

function execute(machine: ReferenceMachine, instruction: Instruction): Stop {
  const { cpu } = machine;
  const meaning = meaningOf(instruction.mnemonic);
  if (!meaning) throw fault(cpu, UD);
  const unusable = unitFault(instruction, unitsOf(cpu));
  if (unusable !== 0) throw fault(cpu, unusable);
  if (usesMmx(instruction) && (cpu.fsw & FSW_ES) !== 0) throw fault(cpu, MF);
  cpu.nextRip = BigInt.asUintN(is64Bit(cpu) ? 64 : 32, cpu.rip + BigInt(instruction.length));
  const outcome = outcomeOf(meaning, instruction, stackSizeOf(cpu));
  if (outcome.system || (isGuarded(cpu) && isGuardedTransfer(instruction))) return executeSystem(machine, instruction);
  if (!outcome.string || instruction.rep === 'none') return commit(machine, instruction, outcome);
  const { addressSize } = instruction;
  if (readGeneral(cpu, RCX, addressSize) === 0n) {
    cpu.rip = cpu.nextRip;
    return Stop.budget;
  }
  const again = cpu.rip, stop = commit(machine, instruction, outcome);
  const count = BigInt.asUintN(addressSize, cpu.rcx - 1n);
  writeGeneral(cpu, RCX, addressSize, count);
  const ended = outcome.string.comparesFlags && ((rflags(cpu) & ZF) !== 0) === (instruction.rep === 'repne');
  if (count !== 0n && !ended) cpu.rip = again;
  return stop;
}
const RCX = 1;

function executeSystem({ cpu, services }: ReferenceMachine, instruction: Instruction): Stop {
  const done = services.system(services.prepare(instruction));
  switch (done) {
    case Done.next: case Done.moved: case Done.repeat: return Stop.budget;
    case Done.attention: return Stop.attention;
    case Done.fault: throw new Abandoned(Stop.fault);
    case Done.userspace: throw new Abandoned(Stop.userspace);
    default: throw new Error(`${instruction.mnemonic} at ${cpu.rip.toString(16)}: ended with ${String(done)}`);
  }
}

const nothing = constant(1, 0);
const outcomeOf = (meaning: Meaning, instruction: Instruction, stackSize: 16 | 32 | 64): Outcome => {
  const operands = [0, 1, 2, 3].map(index => {
    const operand = instruction.operands[index];
    return operand && widthOf(operand) > 0 ? operandExpr(index, widthOf(operand) as Width) : nothing;
  });
  return meaning(operands as unknown as Operands, { instruction, stackSize });
};
/** A memory operand of which only the address counts has no value, nor has a register that only system instructions read. */
const widthOf = (operand: Operand): number =>
  operand.kind === 'register' && operand.file !== 'general' && placeOfRegister(operand.file, operand.number) === 0 ? 0 : operand.width;

/** Everything is evaluated, faults first; then the store, which may still fault; then registers, flags and RIP. */
function commit(machine: ReferenceMachine, instruction: Instruction, outcome: Outcome): Stop {
  const { cpu } = machine;
  const environment = environmentOf(machine, instruction, outcome);
  const value = evaluator(environment);
  const maybe = (expr: Expr | undefined): bigint | undefined => expr && value(expr);
  if (outcome.fault && value(outcome.fault.when)) throw fault(cpu, outcome.fault.vector);
  maybe(outcome.reads);
  const result = maybe(outcome.result), second = maybe(outcome.second), df = maybe(outcome.df);
  const registers = Object.entries(outcome.registers ?? {}).map(([name, expr]) => [name, value(expr), expr.width] as const);
  const store = outcome.store && { ...outcome.store, offset: value(outcome.store.address), stored: value(outcome.store.value) };
  const flags = outcome.flags && flagsAfter(cpu, outcome.flags, value);
  if (outcome.exceptions && result !== undefined && instruction.operands[0]!.kind === 'memory') {
    // What cannot be stored is not computed (Zen 4, native vectors).
    probeWrite(machine, instruction.operands[0]!.segment, environment.address(0), outcome.result!.width);
  }
  if (outcome.exceptions) raiseExceptions(cpu, Number(value(outcome.exceptions)));
  const next = outcome.branch && (!outcome.branch.when || value(outcome.branch.when)) ? value(outcome.branch.target) : undefined;
  if (next !== undefined && !isValidTarget(cpu, next)) {
    if (store) probeWrite(machine, store.segment, store.offset, store.value.width);
    throw fault(cpu, GP);
  }

  let written: Written = Written.done;
  if (store) written = writeMemory(machine, store.segment, store.offset, store.value.width, store.stored);
  const destination = instruction.operands[0];
  if (result !== undefined && destination!.kind === 'memory') {
    written = writeMemory(machine, destination.segment, environment.address(0), outcome.result!.width, result, alignmentOf(outcome, destination));
  }
  for (const [name, after, width] of registers) writeGeneral(cpu, generalRegisters.indexOf(name as GeneralRegister), width, after);
  if (second !== undefined) writeOperand(cpu, instruction.operands[1] as RegisterOperand, second, outcome.second!.width);
  if (result !== undefined && destination!.kind !== 'memory') writeOperand(cpu, destination as RegisterOperand, result, outcome.result!.width);
  if (usesMmx(instruction)) {
    cpu.fsw &= ~FSW_TOP;
    cpu.ftw = 0xff;
  }
  if (outcome.clears) clearVectors(cpu, outcome.clears, destination, outcome.result?.width ?? 0);
  if (flags !== undefined) setArithmeticFlags(cpu, flags);
  if (df !== undefined) cpu.rflagsSystem = (cpu.rflagsSystem & ~DF | (df ? DF : 0)) >>> 0;
  cpu.rip = next ?? cpu.nextRip;
  return written === Written.attention ? Stop.attention : Stop.budget;
}

function clearVectors(cpu: Cpu, what: NonNullable<Outcome['clears']>, destination: Operand | undefined, width: number): void {
  const clear = (number: number, fromByte: number): void => {
    const place = placeOfRegister('vector', number);
    cpu.u8.fill(0, place + fromByte, place + VECTOR_BYTES);
  };
  if (what !== 'aboveResult') {
    for (let number = 0; number < (is64Bit(cpu) ? 16 : 8); number++) clear(number, what === 'all' ? 0 : 16);
  } else if (destination?.kind === 'register' && destination.file === 'vector') clear(destination.number, width / 8);
}

/** The flags stay set even when the instruction faults for one of them (APM Vol. 1, 4.10). */
function raiseExceptions(cpu: Cpu, flags: number): void {
  const unmasked = flags & ~(cpu.mxcsr >> 7);
  cpu.mxcsr |= flags;
  if (unmasked !== 0) throw fault(cpu, cr4Of(cpu) & CR4.OSXMMEXCPT ? XM : UD);
}

/** Near targets: canonical in 64-bit mode, inside the code segment elsewhere (APM Vol. 3, "JMP (Near)"). */
const isValidTarget = (cpu: Cpu, target: bigint): boolean =>
  is64Bit(cpu) ? isCanonical(cpu, target) : target <= BigInt(cpu.segment[CS]!.limit);

function flagsAfter(cpu: Cpu, flags: Flags, value: (expr: Expr) => bigint): number | undefined {
  let after = rflags(cpu);
  const put = (name: Flag, set: boolean): void => { after = set ? after | flagBits[name] : after & ~flagBits[name]; };
  if (flags.result) {
    const result = value(flags.result), top = BigInt(flags.result.width - 1);
    put('zf', result === 0n);
    put('sf', (result >> top & 1n) === 1n);
    put('pf', (result & 0xffn).toString(2).replaceAll('0', '').length % 2 === 0);
  }
  if (flags.carries) {
    const carries = value(flags.carries), top = BigInt(flags.carries.width - 1);
    put('cf', (carries >> top & 1n) === 1n);
    put('of', (carries >> top & 1n) !== (carries >> top - 1n & 1n));
    put('af', (carries >> 3n & 1n) === 1n);
  }
  for (const name of ['cf', 'pf', 'af', 'zf', 'sf', 'of'] as const) {
    const override = flags[name];
    if (override) put(name, value(override) === 1n);
  }
  return flags.when && !value(flags.when) ? undefined : after;
}

// ── Registers and memory ──

const readGeneral = (cpu: Cpu, number: number, width: number): bigint => BigInt.asUintN(width, cpu.general(number));

/** A 64- or 32-bit value replaces the whole register, narrower ones leave the other bits (APM Vol. 1, 3.1.2). */
function writeGeneral(cpu: Cpu, number: number, width: number, value: bigint, shift = 0n): void {
  const kept = width >= 32 ? 0n : cpu.general(number) & ~((1n << BigInt(width)) - 1n << shift);
  cpu.setGeneral(number, kept | value << shift);
}

/** `width` is that of the value, which may be wider than the operand. */
function writeOperand(cpu: Cpu, { file, number, high }: RegisterOperand, value: bigint, width: number): void {
  if (file === 'general') return writeGeneral(cpu, number, width, value, high ? 8n : 0n);
  const place = placeOfRegister(file, number);
  for (let at = 0; at < width / 8; at++) cpu.u8[place + at] = Number(value >> BigInt(8 * at) & 0xffn);
  // As an x87 register it is a NaN or an infinity then.
  if (file === 'mmx') cpu.u16[place + 8 >> 1] = 0xffff;
}

function readBytes(cpu: Cpu, place: number, width: number): bigint {
  let value = 0n;
  for (let at = width / 8 - 1; at >= 0; at--) value = value << 8n | BigInt(cpu.u8[place + at]!);
  return value;
}

function offsetOf({ cpu }: ReferenceMachine, instruction: Instruction, index: number, displacement: bigint): bigint {
  const operand = instruction.operands[index] as MemoryOperand;
  let offset = operand.displacement + displacement;
  if (operand.base >= 0) offset += cpu.general(operand.base);
  if (operand.index >= 0) offset += cpu.general(operand.index) << BigInt(operand.scaleShift);
  if (operand.ripRelative) offset += cpu.nextRip;
  return BigInt.asUintN(instruction.addressSize, offset);
}

/** Tells `Services` where: a linear address in 64-bit mode, where only FS and GS have a base, else offset and segment to be checked. */
function accessTo(cpu: Cpu, segment: SegmentName, offset: bigint, width: number): number {
  const index = segmentNames.indexOf(segment), bytes = Math.ceil(width / 8);
  if (is64Bit(cpu)) {
    cpu.slowLinear = BigInt.asUintN(64, offset + (index >= FS ? cpu.segment[index]!.base : 0n));
    return bytes | (segment === 'ss' ? Access.stack : 0);
  }
  cpu.slowOffset = offset;
  cpu.slowSegment = index;
  return bytes | Access.checkSegment | (segment === 'ss' ? Access.stack : 0);
}

function readMemory({ cpu, services }: ReferenceMachine, segment: SegmentName, offset: bigint, width: number, more = 0): bigint {
  const host = services.readSlow(accessTo(cpu, segment, offset, width) | more);
  if (host === 0) throw new Abandoned(services.failure);
  return readBytes(cpu, host, width);
}

function writeMemory({ cpu, services }: ReferenceMachine, segment: SegmentName, offset: bigint, width: number, value: bigint, more = 0): Written {
  const place = placeOfArea('slowValue');
  for (let at = 0; at < width / 8; at++) cpu.u8[place + at] = Number(value >> BigInt(8 * at) & 0xffn);
  const written = services.writeSlow(accessTo(cpu, segment, offset, width) | Access.write | more);
  if (written === Written.failed) throw new Abandoned(services.failure);
  return written;
}

/** Raises what a write would raise. */
function probeWrite({ cpu, services }: ReferenceMachine, segment: SegmentName, offset: bigint, width: number): void {
  if (services.writeSlow(accessTo(cpu, segment, offset, width) | Access.write | Access.probe) === Written.failed) throw new Abandoned(services.failure);
}

function environmentOf(machine: ReferenceMachine, instruction: Instruction, outcome: Outcome): Environment {
  const { cpu } = machine;
  const status = rflags(cpu), writesFirst = outcome.result !== undefined;
  const readRegister = ({ file, number, high, width }: RegisterOperand): bigint =>
    file !== 'general' ? readBytes(cpu, placeOfRegister(file, number), width) : high ? cpu.general(number) >> 8n & 0xffn : readGeneral(cpu, number, width);
  const displace = displacementOf(instruction.mnemonic)?.(operandExpr(1, widthOf(instruction.operands[1]!) as Width), instruction);
  const environment: Environment = {
    nextIp: cpu.nextRip,
    mxcsr: cpu.mxcsr,
    register: name => cpu.general(generalRegisters.indexOf(name)),
    flag: name => (status & flagBits[name]) !== 0,
    address: index => offsetOf(machine, instruction, index, index === 0 && displace ? evaluate(displace, environment) : 0n),
    load: (width, segment, offset) => readMemory(machine, segment, offset, width),
    operand(index, width) {
      const operand = instruction.operands[index]!;
      switch (operand.kind) {
        case 'register': return readRegister(operand);
        case 'immediate': return operand.value;
        case 'relative': return BigInt.asUintN(operand.width, cpu.nextRip + operand.displacement);
        case 'memory': {
          const offset = environment.address(index);
          // What will be written is asked for writing before it is read: a page that cannot be written faults as a write.
          if (index === 0 && writesFirst) probeWrite(machine, operand.segment, offset, width);
          return readMemory(machine, operand.segment, offset, width, alignmentOf(outcome, operand));
        }
        case 'far': throw new Error(`${instruction.mnemonic}: a far pointer has no value`);
      }
    },
  };
  return environment;
}
