// The third reading: a region of hot basic blocks as one WebAssembly function. Guest registers live in locals, flags stay symbolic, loops
// are WebAssembly loops. Translated code never calls TypeScript: whatever it cannot do in line (a TLB miss, a fault, a system
// instruction, a jump out of the region) it leaves to the interpreter, at that instruction, with nothing of it committed.
//
// A region function has the type of an interpreter handler, (record, budget) -> stop, and is installed as the handler of its entry
// records; so entering and leaving are tail calls, and an interpreter that runs alone is never wrong.
import {
  placeOf, placeOfGeneral, placeOfRegister, placeOfSegment, SEGMENT_BASE,
  TLB_ENTRIES, TLB_READ_SUPERVISOR, TLB_READ_USER, TLB_WRITE_SUPERVISOR, TLB_WRITE_USER,
} from '../cpu/state.ts';
import { usesMmx } from '../cpu/units.ts';
import { segmentNames, type Instruction, type MemoryOperand, type SegmentName } from '../isa/instruction.ts';
import { childrenOf, constant, generalRegisters, some, type Expr, type GeneralRegister, type Width } from '../semantics/expr.ts';
import type { Outcome } from '../semantics/outcome.ts';
import type { Mode } from '../cpu/mode.ts';
import { COUNT, HANDLER, pushJumpHit, RECORD } from './core.ts';
import { Emitter, Simd, Upper, type Binding, type Functions } from './emit.ts';
import { I32, I64, Op, type Module } from './encode.ts';
import { clearVector, clearVectors, eachRead } from './interpreter.ts';
import { Field, JUMP_ENTRY_RECORD } from './layout.ts';
import { LAZY_CARRIES, LAZY_RESULT, RFLAGS_SYSTEM, lazyFlags, oldCarries, oldResult } from './lazy-flags.ts';
import { comparisonOf, conditionOf, flagOf, overwritesAll, wordsOf, type PendingFlags } from './pending-flags.ts';
import { emitStructure, structure, type Jump } from './structure.ts';

/** One instruction of a block as the interpreter has it. */
export interface SourceInstruction {
  readonly instruction: Instruction;
  /** Offset of the instruction in CS. */
  readonly rip: bigint;
  /** Address of its record, and the table slot of the record's own handler (not of a region that was put in its place). */
  readonly record: number;
  readonly handler: number;
  readonly outcome: Outcome;
  /** A branch's target is known and need not be checked. */
  readonly direct: boolean;
  /** Addition to the offset of memory operand 0 (bit strings). */
  readonly displace: Expr | undefined;
}

/** A decoded basic block: ends before the next block, or with a transfer of control, or before what cannot be translated. The blocks that it
 * goes to are given by number, -1 for what is not in the region; one piece of code may be several blocks, for callers that are known. */
export interface SourceBlock {
  readonly instructions: readonly SourceInstruction[];
  /** Of a direct branch. */
  readonly taken: number;
  /** What follows when nothing branches; behind a call, where it returns to. */
  readonly behind: number;
  /** Where an indirect branch most likely goes: compared first. */
  readonly expected: readonly { readonly target: bigint; readonly block: number }[];
  /** Where else an indirect branch has been seen to go. */
  readonly mayGoTo: readonly number[];
}

/** Regions are for flat segments: no base to add and no limit to check but for FS and GS; and misaligned accesses are legal. */
export const canHaveRegions = (mode: Mode): boolean => mode.codeSize !== 16 && mode.flatData && mode.flatCode && !mode.alignmentCheck;

/** In the `heat` word of an entry record: the number of its block, and above it the instructions of the block. */
export const packEntry = (block: number, count: number): number => block | count << 16;
/** The same in the region's table of entries by offset in the page; 0 where none is. */
export const packTarget = (block: number, count: number): number => block | count << 8;

const SAVED = 1000;

/** Whether an expression needs what a region does not do: a call out of WebAssembly. */
const callsOut = (root: Expr): boolean => some(root, (node) => node.kind === 'call'
  || (node.kind === 'binary' && node.width > 64 && (node.word.startsWith('divide') || node.word.startsWith('remainder'))));

/** The expressions of an outcome. */
export function rootsOf({ result, second, registers, store, flags, fault, branch, df }: Outcome): Expr[] {
  const roots: (Expr | undefined)[] = [result, second, store?.address, store?.value, fault?.when, branch?.when, branch?.target, df];
  if (registers) roots.push(...Object.values(registers));
  if (flags) roots.push(flags.result, flags.carries, flags.cf, flags.pf, flags.af, flags.zf, flags.sf, flags.of, flags.when);
  return roots.filter((root) => root !== undefined);
}

/** Whether the instruction can stand in a region; if not, the region leaves there. */
export function translatable({ instruction, outcome, direct }: SourceInstruction): boolean {
  if (outcome.system || usesMmx(instruction) || outcome.reads || outcome.df || (outcome.string && instruction.rep !== 'none')) return false;
  if (outcome.branch && instruction.operands[0]?.kind === 'relative' && !direct) return false;
  // FS and GS have limits to check outside 64-bit mode, and CS is not to be written.
  if (instruction.codeSize !== 64 && instruction.operands.some((each) => each.kind === 'memory' && each.width > 0 && (segmentNames.indexOf(each.segment) > 3 || each.segment === 'cs'))) return false;
  return !rootsOf(outcome).some(callsOut);
}

function touchesMemory({ instruction, outcome }: SourceInstruction): boolean {
  const loads = (root: Expr): boolean =>
    some(root, (node) => node.kind === 'load' || (node.kind === 'operand' && instruction.operands[node.index]?.kind === 'memory'));
  if (outcome.store || outcome.fault || outcome.exceptions) return true;
  if (outcome.result && instruction.operands[0]?.kind === 'memory') return true;
  return rootsOf(outcome).some(loads);
}

const readsFlags = (outcome: Outcome): boolean =>
  rootsOf(outcome).some((root) => some(root, (node) => node.kind === 'condition' || (node.kind === 'flag' && node.flag !== 'df')));

/** Whether a block needs the flag words on entry: it may stop, end, or read a flag before it has written all of them. */
function needsFlags({ instructions }: SourceBlock): boolean {
  for (const each of instructions) {
    if (!translatable(each) || touchesMemory(each) || readsFlags(each.outcome)) return true;
    if (each.outcome.flags) return !overwritesAll(each.outcome.flags);
  }
  return true;
}

/** For each instruction whether the flags that it leaves are written anew in the block before anybody can see them. */
function deadFlags({ instructions }: SourceBlock): boolean[] {
  const dead = new Array<boolean>(instructions.length).fill(false);
  let overwritten = false;
  for (let position = instructions.length - 1; position >= 0; position--) {
    const each = instructions[position]!;
    dead[position] = overwritten;
    if (!translatable(each) || each.outcome.branch || touchesMemory(each) || readsFlags(each.outcome)) overwritten = false;
    else if (each.outcome.flags && overwritesAll(each.outcome.flags)) overwritten = true;
  }
  return dead;
}

/** The blocks that a block jumps to without dispatch. */
function successorsOf({ instructions, taken, behind, expected }: SourceBlock): number[] {
  const last = instructions.at(-1)!;
  if (!translatable(last)) return [];
  const { branch } = last.outcome;
  if (!branch) return [behind];
  const direct = last.instruction.operands[0]?.kind === 'relative';
  return [...(direct ? [taken] : expected.map(({ block }) => block)), ...(branch.when ? [behind] : [])];
}

export function relativeTarget({ instruction, rip }: SourceInstruction, mode: Mode): bigint {
  const operand = instruction.operands[0]!;
  if (operand.kind !== 'relative') throw new Error('not a relative branch');
  const width = mode.codeSize === 64 && operand.width === 64 ? 64 : operand.width;
  return BigInt.asUintN(width, rip + BigInt(instruction.length) + operand.displacement);
}

/**
 * Emits the function of a region into `module` and returns its index. `blocks[0]` is the head; `entries` are the numbers of the blocks
 * whose records will get this function as their handler.
 */
export function translateRegion(
  module: Module, functions: Functions, mode: Mode,
  blocks: readonly SourceBlock[], entries: readonly number[], pageStart: bigint, targetTable: number,
): number {
  const handlerType = module.type(...HANDLER);
  const { code, index } = module.function(handlerType);
  const inRegion = (numbers: readonly number[]): number[] => [...new Set(numbers.filter((number) => number >= 0))];
  const successors = blocks.map((block) => inRegion(successorsOf(block)));
  // A call returns behind itself, and an indirect jump goes to what it went to: these edges order the blocks, though only dispatch takes them.
  const ordering = blocks.map((block, number) => inRegion([...successors[number]!, block.behind, ...block.mayGoTo]));
  reachFromHead(ordering);
  const isEntry = new Set(entries);
  const predecessorCount = new Array<number>(blocks.length).fill(0);
  for (const targets of successors) for (const target of targets) predecessorCount[target]!++;
  const needs = blocks.map(needsFlags);

  const usage = registersOf(blocks);
  const next = code.local(I32);
  const registers = new Map<number, number>();
  for (const number of usage.used) registers.set(number, code.local(I64));
  const resultWord = code.local(I64), carriesWord = code.local(I32);
  const linear = code.local(I64), entryPlace = code.local(I32), target = code.local(I64), found = code.local(I32);

  let pending: PendingFlags | undefined;
  /** Flags that flow into a block along its only edge. */
  const inherited: (PendingFlags | undefined)[] = new Array(blocks.length);
  const emitted = new Set<number>();
  let current: SourceInstruction;
  /** Instructions of the current block that the budget has paid for and that are not committed, the current one included. */
  let unpaid = 0;
  /** Host address locals of memory operands of the current instruction, once probed. */
  let hosts = new Map<string, number>();

  const registerLocal = (number: number): number => registers.get(number)!;
  const pushRegisterOf = (number: number, width: Width, high = false): void => {
    code.get(registerLocal(number));
    if (width === 64) return;
    code.op(Op.i32WrapI64);
    if (high) {
      code.i32(8);
      code.op(Op.i32ShrU);
    }
  };

  const binding: Binding = {
    constant(leaf) {
      const { length } = current.instruction;
      const behind = current.rip + BigInt(length);
      if (leaf.kind === 'nextIp') return behind;
      if (leaf.index >= SAVED || leaf.index < 0) return undefined;
      const operand = current.instruction.operands[leaf.index]!;
      if (leaf.kind === 'address') {
        if (operand.kind !== 'memory' || operand.base >= 0 || operand.index >= 0 || (leaf.index === 0 && current.displace)) return undefined;
        return operand.displacement + (operand.ripRelative ? behind : 0n);
      }
      if (operand.kind === 'immediate') return operand.value;
      if (operand.kind === 'relative') return relativeTarget(current, mode);
      return undefined;
    },
    upper(leaf) {
      if (leaf.kind === 'load') return Upper.zero;
      if (leaf.kind === 'operand' && leaf.index >= 0 && leaf.index < SAVED) {
        const operand = current.instruction.operands[leaf.index];
        if (operand?.kind === 'memory') return Upper.zero;
      }
      return Upper.unknown;
    },
    pushOperand({ index: number, width }) {
      if (number >= SAVED) return code.get(number - SAVED);
      if (number === LAZY_RESULT) return code.get(resultWord);
      if (number === LAZY_CARRIES) return code.get(carriesWord);
      if (number === RFLAGS_SYSTEM) {
        code.i32(0);
        return code.load(Op.i32Load, placeOf('rflagsSystem'));
      }
      const operand = current.instruction.operands[number]!;
      if (operand.kind === 'register' && operand.file !== 'general') {
        return loadParts(() => { code.i32(0); }, width, placeOfRegister(operand.file, operand.number));
      }
      if (operand.kind === 'register') return pushRegisterOf(operand.number, width, operand.high);
      if (operand.kind !== 'memory') throw new Error(`operand ${number} of ${current.instruction.mnemonic} is ${operand.kind}`);
      const writes = number === 0 && current.outcome.result !== undefined;
      const host = operandHost(number, operand, writes);
      loadParts(() => { code.get(host); }, width);
    },
    pushAddress({ index: number, width }) {
      pushOffset(number, current.instruction.operands[number] as MemoryOperand);
      if (width <= 32) code.op(Op.i32WrapI64);
    },
    pushRegister({ name, width }) { pushRegisterOf(generalRegisters.indexOf(name), width); },
    pushNextIp() { throw new Error('the next instruction is a constant'); },
    pushLoad({ segment, address, width }, emitter) {
      emitter.pushAs64(address, false);
      code.get(probe(segment, width / 8, false));
      loadBytes(width);
    },
    leaveFloat() { leave(); },
    flag: ({ flag }) => memo(`flag ${flag}`, () => flagOf(pending, flag)),
    condition: ({ code: number }) => memo(`condition ${number}`, () => conditionOf(pending, number)),
  };
  let questions = new Map<string, Expr>();
  const memo = (key: string, make: () => Expr): Expr => {
    let answer = questions.get(key);
    if (!answer) questions.set(key, answer = make());
    return answer;
  };
  const emitter = new Emitter(module, code, binding, functions);

  // ── Memory ──

  const segmentBase = (segment: SegmentName): number | undefined =>
    segment === 'fs' || segment === 'gs' ? placeOfSegment(segmentNames.indexOf(segment)) + SEGMENT_BASE : undefined;

  /** The offset of a memory operand, as i64, zero-extended from the address size. */
  function pushOffset(number: number, { base, index: indexRegister, scaleShift, displacement, ripRelative }: MemoryOperand): void {
    const { addressSize, length } = current.instruction;
    const fixed = displacement + (ripRelative ? current.rip + BigInt(length) : 0n);
    let parts = 0;
    const part = (): void => { if (parts++ > 0) code.op(Op.i64Add); };
    if (base >= 0) {
      code.get(registerLocal(base));
      part();
    }
    if (indexRegister >= 0) {
      code.get(registerLocal(indexRegister));
      if (scaleShift > 0) {
        code.i64Small(scaleShift);
        code.op(Op.i64Shl);
      }
      part();
    }
    if (number === 0 && current.displace) {
      emitter.pushAs64(current.displace, true);
      part();
    }
    if (fixed !== 0n || parts === 0) {
      code.i64(fixed);
      part();
    }
    if (addressSize < 64) {
      code.i64(addressSize === 32 ? 0xffffffffn : 0xffffn);
      code.op(Op.i64And);
    }
  }

  /** Host address of `bytes` at the offset on the stack; leaves the region at this instruction unless the TLB has the whole access. */
  function probe(segment: SegmentName, bytes: number, write: boolean, aligned = false): number {
    const base = segmentBase(segment);
    if (base !== undefined) {
      code.i32(0);
      code.load(Op.i64Load, base);
      code.op(Op.i64Add);
    }
    code.set(linear);
    const table = mode.user ? (write ? TLB_WRITE_USER : TLB_READ_USER) : write ? TLB_WRITE_SUPERVISOR : TLB_READ_SUPERVISOR;
    code.get(linear);
    code.op(Op.i32WrapI64);
    code.i32(8);
    code.op(Op.i32ShrU);
    code.tee(entryPlace);
    code.get(entryPlace);
    code.i32(10);
    code.op(Op.i32ShrU);
    code.op(Op.i32Xor);
    code.i32((TLB_ENTRIES - 1) << 4);
    code.op(Op.i32And);
    code.tee(entryPlace);
    code.load(Op.i64Load, table);
    code.get(linear);
    if (bytes > 1 && !aligned) {
      code.i64Small(bytes - 1);
      code.op(Op.i64Add);
    }
    // A misaligned address has low bits that no tag has.
    code.i64Small(aligned ? -4096 | bytes - 1 : -4096);
    code.op(Op.i64And);
    code.op(Op.i64Ne);
    code.if();
    leave();
    code.end();
    const host = emitter.temporary(I32);
    code.get(entryPlace);
    code.load(Op.i32Load, table + 8);
    code.get(linear);
    code.op(Op.i32WrapI64);
    code.op(Op.i32Add);
    code.set(host);
    return host;
  }

  function operandHost(number: number, operand: MemoryOperand, write: boolean): number {
    const key = `${number}`;
    let host = hosts.get(key);
    if (host === undefined) {
      pushOffset(number, operand);
      host = probe(operand.segment, operand.width / 8, write, current.outcome.aligned !== undefined && operand.width >= 128);
      hosts.set(key, host);
    }
    return host;
  }

  /** Loads from the address that is pushed: 256 bits as two vectors. */
  function loadParts(pushAddress: () => void, width: Width, offset = 0): void {
    pushAddress();
    if (width < 256) return loadBytes(width, offset);
    loadBytes(128, offset);
    pushAddress();
    loadBytes(128, offset + 16);
  }

  /** Loads from the address on the stack. */
  function loadBytes(width: Width, offset = 0): void {
    switch (width) {
      case 8: return code.load(Op.i32Load8U, offset);
      case 16: return code.load(Op.i32Load16U, offset);
      case 32: return code.load(Op.i32Load, offset);
      case 64: return code.load(Op.i64Load, offset);
      case 128: return code.simdMemory(Simd.load, offset);
      default: throw new Error(`a load of ${width} bits`);
    }
  }

  /** Stores `value` at the address that is pushed. */
  function storeBytes(pushAddress: () => void, value: Expr, offset = 0): void {
    if (value.width === 256) {
      for (const part of [0, 1]) {
        pushAddress();
        emitter.pushPart(value, part);
        code.simdMemory(Simd.store, offset + 16 * part);
      }
      return;
    }
    pushAddress();
    if (value.width === 128) {
      emitter.pushVector(value);
      return code.simdMemory(Simd.store, offset);
    }
    emitter.push(value);
    code.store(value.width === 64 ? Op.i64Store : value.width === 32 ? Op.i32Store : value.width === 16 ? Op.i32Store16 : Op.i32Store8, offset);
  }

  // ── Leaving ──

  /** Puts everything back into the vCPU file and lets the interpreter go on at `at`, whose record's own handler is called. */
  function leaveTo(at: SourceInstruction, giveBack: number): void {
    if (pending) storeWords(pending);
    if (giveBack > 0) {
      code.get(COUNT);
      code.i32(giveBack);
      code.op(Op.i32Add);
      code.set(COUNT);
    }
    code.i32(at.record);
    code.set(found);
    code.i32(at.handler);
    code.set(next);
    code.br(exit);
  }
  /** The one way out: the record is in `found`, the slot of its handler in `next`. */
  function emitExit(): void {
    for (const number of usage.written) {
      code.i32(0);
      code.get(registerLocal(number));
      code.store(Op.i64Store, placeOfGeneral(number));
    }
    code.i32(0);
    code.get(resultWord);
    code.store(Op.i64Store, placeOf('flagResult'));
    code.i32(0);
    code.get(carriesWord);
    code.store(Op.i32Store, placeOf('flagCarries'));
    code.get(found);
    code.get(COUNT);
    code.get(next);
    code.returnCallIndirect(handlerType);
  }
  /** Leaves at the current instruction. */
  const leave = (): void => aside(() => { leaveTo(current, unpaid); });

  /** Emits code that does not come back, with an emitter of its own: nothing evaluated here is known outside. */
  function aside(emit: () => void): void {
    const asked = questions;
    questions = new Map();
    emit();
    questions = asked;
  }
  function storeWords(flags: PendingFlags): void {
    const side = new Emitter(module, code, binding, functions);
    const words = wordsOf(flags);
    side.begin([...(words.result ? [words.result] : []), ...(words.carries ? [words.carries] : [])]);
    if (words.carries) side.hold(words.carries);
    if (words.result) {
      side.push(words.result);
      code.set(resultWord);
    }
    if (words.carries) {
      side.push(words.carries);
      code.set(carriesWord);
    }
    side.begin([]);
  }
  /** Makes the flag words true, and nothing pending. */
  function settleFlags(): void {
    if (!pending) return;
    storeWords(pending);
    pending = undefined;
  }

  // ── Instructions ──

  /** A copy of an expression whose leaves are saved in locals of their own, so that it means the same later. */
  function save(root: Expr, copies: Map<Expr, Expr>, locals: number[], whole: boolean): Expr {
    const known = copies.get(root);
    if (known) return known;
    const copy = (): Expr => {
      const value = emitter.constant(root);
      if (value !== undefined) return constant(root.width, value);
      const again = (each: Expr): Expr => save(each, copies, locals, false);
      if (!whole) {
        switch (root.kind) {
          case 'unary': return { ...root, value: again(root.value) };
          case 'binary': return { ...root, left: again(root.left), right: again(root.right) };
          case 'compare': if (root.left.width > 64) break; return { ...root, left: again(root.left), right: again(root.right) };
          case 'select': return { ...root, condition: again(root.condition), whenTrue: again(root.whenTrue), whenFalse: again(root.whenFalse) };
          case 'extend': return { ...root, value: again(root.value) };
          // A part of a wide value is saved as it is: there are no wide locals.
          case 'slice': if (root.value.width > 64) break; return { ...root, value: again(root.value) };
          case 'join': return { ...root, high: again(root.high), low: again(root.low) };
          case 'operand': if (root.index < 0) return root; break;
          default: break;
        }
      }
      if (root.width > 64) throw new Error('flags of a wide value');
      const local = code.local(root.width === 64 ? I64 : I32);
      locals.push(local);
      emitter.push(root);
      code.set(local);
      return { kind: 'operand', width: root.width, index: SAVED + local };
    };
    const result = copy();
    copies.set(root, result);
    return result;
  }

  /** What will be pending once the instruction has committed. Emits the saving of its leaves. */
  function deferFlags(outcome: Outcome): PendingFlags | undefined {
    const { flags } = outcome;
    if (!flags) return pending;
    const comparison = comparisonOf(flags);
    const copies = new Map<Expr, Expr>(), locals: number[] = [];
    // The result is saved as a value: where it is committed as well it costs nothing.
    if (flags.result && emitter.constant(flags.result) === undefined && flags.result.width <= 64) {
      if (!comparison || outcome.result === flags.result) save(flags.result, copies, locals, true);
    }
    const saved: Record<string, Expr> = {};
    for (const [name, value] of Object.entries(flags) as [string, Expr | undefined][]) {
      if (value && name !== 'when') saved[name] = save(value, copies, locals, false);
    }
    const sides = comparison && { left: save(comparison.left, copies, locals, false), right: save(comparison.right, copies, locals, false) };
    return { flags: saved, comparison: sides, locals };
  }

  /** Flags that change only when a condition over the operands holds: the words are chosen at once. */
  function conditionalFlags(outcome: Outcome): void {
    const { when, ...flags } = outcome.flags!;
    const words = lazyFlags(flags);
    const pairs = [[words.result, oldResult, resultWord], [words.carries, oldCarries, carriesWord]] as const;
    const made = pairs.map(([value, old, local]) => value && { local, value: { kind: 'select', width: value.width, condition: when!, whenTrue: value, whenFalse: old } as Expr });
    for (const each of made) if (each) emitter.hold(each.value);
    for (const each of made) {
      if (!each) continue;
      emitter.push(each.value);
      code.set(each.local);
    }
  }

  function writeRegister(number: number, value: Expr, high = false): void {
    const local = registerLocal(number);
    switch (value.width) {
      case 64:
        emitter.push(value);
        break;
      case 32:
        emitter.pushAs64(value, false);
        break;
      default: {
        const mask = ((1n << BigInt(value.width)) - 1n) << (high ? 8n : 0n);
        code.get(local);
        code.i64(~mask);
        code.op(Op.i64And);
        emitter.pushAs64(value, false);
        if (high) {
          code.i64Small(8);
          code.op(Op.i64Shl);
        }
        code.op(Op.i64Or);
      }
    }
    code.set(local);
  }

  /** The outcome without a `when` that the operands decide (shifts by an immediate). */
  function decided({ outcome }: SourceInstruction): Outcome {
    if (!outcome.flags?.when) return outcome;
    const { when, ...flags } = outcome.flags;
    emitter.begin([when]);
    const always = emitter.constant(when);
    if (always === undefined) return outcome;
    const { flags: _, ...rest } = outcome;
    return always ? { ...rest, flags } : rest;
  }

  function instructionBody(each: SourceInstruction, flagsAreDead: boolean): void {
    current = each;
    hosts = new Map();
    questions = new Map();
    const { flags: _, ...withoutFlags } = each.outcome;
    const outcome: Outcome = flagsAreDead ? withoutFlags : decided(each);
    const { instruction } = each;
    // What keeps a flag reads the words, so these must be true before anything of the instruction is evaluated.
    if (outcome.flags && !overwritesAll(outcome.flags)) settleFlags();
    const roots = rootsOf(outcome);
    emitter.begin(each.displace ? [...roots, each.displace] : roots);
    commit(outcome, instruction);
  }

  function commit(outcome: Outcome, instruction: Instruction): void {
    const { result, second, registers: implicit, store, fault } = outcome;
    if (fault) {
      emitter.pushTruth(fault.when);
      code.if();
      leave();
      code.end();
    }
    // Memory is read whether its value is needed or not: CMOVcc faults when its condition is known to be false, CMP when its flags are dead.
    const seen = new Set<Expr>();
    for (const root of rootsOf(current.outcome)) eachRead(root, (read) => { emitter.hold(read); }, (index) => instruction.operands[index]!.kind === 'memory', seen);
    const values = [result, second, store?.value, store?.address, ...Object.values(implicit ?? {})].filter((value) => value !== undefined);
    const single = values.length === 1 && !outcome.flags && values[0]!.width < 256;
    if (!single) for (const value of values) emitter.hold(value);
    else if (result && instruction.operands[0]?.kind === 'memory') emitter.hold(result);
    // The last place where the instruction may leave: the store.
    const destination = instruction.operands[0];
    let host: number | undefined;
    if (result && destination?.kind === 'memory') host = operandHost(0, destination, true);
    if (store) {
      emitter.pushAs64(store.address, false);
      host = probe(store.segment, store.value.width / 8, true);
    }
    let after: PendingFlags | undefined;
    if (outcome.flags?.when) conditionalFlags(outcome);
    else after = deferFlags(outcome);
    if (store) storeBytes(() => { code.get(host!); }, store.value);
    for (const [name, value] of Object.entries(implicit ?? {})) writeRegister(generalRegisters.indexOf(name as GeneralRegister), value);
    if (second) writeOperand(1, second, instruction);
    if (result) {
      if (host !== undefined && destination?.kind === 'memory') storeBytes(() => { code.get(host!); }, result);
      else writeOperand(0, result, instruction);
    }
    if (outcome.clears) clearVectors(code, outcome.clears, mode);
    if (outcome.flags) {
      releaseSaved(after);
      pending = after;
    }
  }
  function writeOperand(number: number, value: Expr, instruction: Instruction): void {
    const operand = instruction.operands[number]!;
    if (operand.kind !== 'register') throw new Error(`operand ${number} of ${instruction.mnemonic} cannot be written`);
    if (operand.file === 'general') return writeRegister(operand.number, value, operand.high && value.width === 8);
    const place = placeOfRegister(operand.file, operand.number);
    storeBytes(() => { code.i32(0); }, value, place);
    if (current.outcome.clears === 'aboveResult') clearVector(code, () => { code.i32(0); }, value.width / 8, place);
  }
  /** Locals of flags that nobody can ask for any more; inherited ones may still be asked for in another block. */
  function releaseSaved(keep: PendingFlags | undefined): void {
    if (!pending || pending === keep || inherited.includes(pending)) return;
    for (const local of pending.locals) code.release(local);
  }

  // ── Jumps ──

  /** Goes to a block of the region: pays for it, or leaves at its first instruction. */
  function goTo(number: number, jump: Jump): void {
    const block = blocks[number]!;
    const { length } = block.instructions;
    code.get(COUNT);
    code.i32(length);
    code.op(Op.i32Sub);
    code.tee(COUNT);
    code.i32(0);
    code.op(Op.i32LtS);
    code.if();
    aside(() => { leaveTo(block.instructions[0]!, length); });
    code.end();
    // A block with one way in, not emitted yet, takes over what is pending; any other finds the words.
    if (predecessorCount[number] === 1 && !isEntry.has(number) && !emitted.has(number)) inherited[number] = pending;
    else if (pending && needs[number]) storeWords(pending);
    jump(number);
  }

  /** A jump whose target is in an i64 local: to an entry of this region by the region's own table, elsewhere through the jump cache; what
   * neither knows is left to the interpreter before the instruction. */
  function goToTarget(dispatch: () => void, commitAll: () => void): void {
    code.get(target);
    code.i64(pageStart);
    code.op(Op.i64Sub);
    code.tee(linear);
    code.i64Small(0x1000);
    code.op(Op.i64LtU);
    code.if();
    code.get(linear);
    code.op(Op.i32WrapI64);
    code.i32(1);
    code.op(Op.i32Shl);
    code.load(Op.i32Load16U, targetTable);
    code.tee(next);
    code.i32(8);
    code.op(Op.i32ShrU);
    code.tee(entryPlace);
    code.i32(1);
    code.op(Op.i32Sub);
    // Unsigned: no entry (0) is above every count.
    code.get(COUNT);
    code.op(Op.i32LtU);
    code.if();
    aside(() => {
      emitter.enterScope();
      commitAll();
      emitter.leaveScope();
      if (pending) storeWords(pending);
      code.get(COUNT);
      code.get(entryPlace);
      code.op(Op.i32Sub);
      code.set(COUNT);
      code.get(next);
      code.i32(0xff);
      code.op(Op.i32And);
      code.set(next);
      dispatch();
    });
    code.end();
    code.end();
    pushJumpHit(code, target, found);
    code.op(Op.i32Eqz);
    code.if();
    leave();
    code.end();
    code.get(found);
    code.load(Op.i32Load, JUMP_ENTRY_RECORD);
    code.set(found);
    commitAll();
    aside(() => { leaveToRecord(); });
  }
  /** As `leaveTo`, for the record in `found`, whatever its handler is. */
  function leaveToRecord(): void {
    if (pending) storeWords(pending);
    code.get(found);
    code.load(Op.i32Load, Field.handler);
    code.set(next);
    code.br(exit);
  }

  function terminator(last: SourceInstruction, block: SourceBlock, jump: Jump, dispatch: () => void): void {
    const { outcome, instruction } = last;
    const branch = outcome.branch!;
    current = last;
    unpaid = 1;
    hosts = new Map();
    questions = new Map();
    emitter.begin(rootsOf(outcome));
    const { branch: _, ...rest } = outcome;
    if (instruction.operands[0]?.kind === 'relative') {
      const { taken, behind } = block;
      if (!branch.when) {
        if (taken < 0) return leave();
        commit(rest, instruction);
        unpaid = 0;
        return goTo(taken, jump);
      }
      // The condition is over the registers and flags before the instruction commits (LOOP).
      if (rest.registers) {
        emitter.hold(branch.when);
        if (taken < 0 || behind < 0) {
          emitter.pushTruth(branch.when);
          if (taken >= 0) code.op(Op.i32Eqz);
          if (taken >= 0 || behind >= 0) {
            code.if();
            leave();
            code.end();
          } else {
            code.op(Op.drop);
            return leave();
          }
        }
        commit(rest, instruction);
      }
      emitter.pushTruth(branch.when);
      code.if();
      const flags = pending;
      emitter.enterScope();
      if (taken < 0) leave();
      else goTo(taken, jump);
      emitter.leaveScope();
      pending = flags;
      code.end();
      if (behind < 0) leave();
      else goTo(behind, jump);
      return;
    }
    // Indirect: the target is read first; nothing is committed before the jump cache has it.
    emitter.hold(branch.target);
    emitter.pushAs64(branch.target, false);
    code.set(target);
    const saved = code.local(I64);
    code.get(target);
    code.set(saved);
    if (branch.when) throw new Error('a conditional indirect branch');
    const host = rest.store ? storeHost(rest) : undefined;
    for (const { target: known, block: number } of block.expected) {
      if (number < 0) continue;
      code.get(saved);
      code.i64(known);
      code.op(Op.i64Eq);
      code.if();
      const flags = pending;
      emitter.enterScope();
      commitHeld(rest, host);
      goTo(number, jump);
      emitter.leaveScope();
      pending = flags;
      code.end();
    }
    code.get(saved);
    code.set(target);
    goToTarget(dispatch, () => { commitHeld(rest, host); });
    code.release(saved);
  }
  /** Probes an implicit store before anything else of the instruction happens. */
  function storeHost({ store, registers: implicit }: Outcome): number {
    emitter.hold(store!.value);
    for (const value of Object.values(implicit ?? {})) emitter.hold(value);
    emitter.pushAs64(store!.address, false);
    return probe(store!.segment, store!.value.width / 8, true);
  }
  function commitHeld({ store, registers: implicit }: Outcome, host: number | undefined): void {
    for (const value of Object.values(implicit ?? {})) emitter.hold(value);
    if (store) storeBytes(() => { code.get(host!); }, store.value);
    for (const [name, value] of Object.entries(implicit ?? {})) writeRegister(generalRegisters.indexOf(name as GeneralRegister), value);
  }

  function blockBody(number: number, jump: Jump, dispatch: () => void): void {
    const block = blocks[number]!;
    emitted.add(number);
    pending = inherited[number];
    const { instructions, behind } = block;
    const dead = deadFlags(block);
    unpaid = instructions.length;
    for (const [position, each] of instructions.entries()) {
      current = each;
      // A block that runs on into code outside the region leaves before its last instruction.
      if (!translatable(each) || (unpaid === 1 && !each.outcome.branch && behind < 0)) return leave();
      if (each.outcome.branch) return terminator(each, block, jump, dispatch);
      instructionBody(each, dead[position]!);
      unpaid--;
    }
    goTo(behind, jump);
  }

  // ── The function ──

  code.get(RECORD);
  code.load(Op.i32Load, Field.heat);
  code.tee(next);
  code.i32(16);
  code.op(Op.i32ShrU);
  code.set(entryPlace);
  code.get(COUNT);
  code.get(entryPlace);
  code.op(Op.i32LtS);
  code.if();
  code.get(RECORD);
  code.get(COUNT);
  code.get(RECORD);
  code.load(Op.i32Load, Field.plain);
  code.returnCallIndirect(handlerType);
  code.end();
  code.get(COUNT);
  code.get(entryPlace);
  code.op(Op.i32Sub);
  code.set(COUNT);
  code.get(next);
  code.i32(0xffff);
  code.op(Op.i32And);
  code.set(next);
  for (const number of usage.used) {
    code.i32(0);
    code.load(Op.i64Load, placeOfGeneral(number));
    code.set(registerLocal(number));
  }
  code.i32(0);
  code.load(Op.i64Load, placeOf('flagResult'));
  code.set(resultWord);
  code.i32(0);
  code.load(Op.i32Load, placeOf('flagCarries'));
  code.set(carriesWord);
  const exit = code.block();
  emitStructure(code, structure(ordering, entries), next, blockBody);
  code.op(Op.unreachable);
  code.end();
  emitExit();
  return index;
}

/** Adds edges from the head to what nothing else leads to: blocks that only dispatch enters. */
function reachFromHead(ordering: number[][]): void {
  const found = new Set([0]);
  const spread = (): void => { for (const number of found) for (const target of ordering[number]!) found.add(target); };
  spread();
  for (let number = 1; number < ordering.length; number++) {
    if (found.has(number)) continue;
    ordering[0]!.push(number);
    found.add(number);
    spread();
  }
}

/** General registers that a region mentions, and those that it may write. */
function registersOf(blocks: readonly SourceBlock[]): { used: readonly number[]; written: readonly number[] } {
  const used = new Set<number>(), written = new Set<number>(), seen = new Set<Expr>();
  const visit = (node: Expr): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (node.kind === 'register') used.add(generalRegisters.indexOf(node.name));
    else childrenOf(node).forEach(visit);
  };
  for (const { instructions } of blocks) {
    for (const each of instructions) {
      if (!translatable(each)) continue;
      const { instruction, outcome, displace } = each;
      for (const operand of instruction.operands) {
        if (operand.kind === 'register' && operand.file === 'general') used.add(operand.number);
        if (operand.kind === 'memory') for (const number of [operand.base, operand.index]) if (number >= 0) used.add(number);
      }
      rootsOf(outcome).forEach(visit);
      if (displace) visit(displace);
      const mark = (number: number): void => { used.add(number); written.add(number); };
      for (const name of Object.keys(outcome.registers ?? {})) mark(generalRegisters.indexOf(name as GeneralRegister));
      for (const [number, value] of [[0, outcome.result], [1, outcome.second]] as const) {
        const operand = instruction.operands[number];
        if (value && operand?.kind === 'register' && operand.file === 'general') mark(operand.number);
      }
    }
  }
  const ascending = (set: ReadonlySet<number>): number[] => [...set].sort((a, b) => a - b);
  return { used: ascending(used), written: ascending(written) };
}
