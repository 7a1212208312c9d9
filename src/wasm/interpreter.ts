// The second reading: one WebAssembly function for each shape of instruction. Its operands come from a record in linear memory, and it ends
// with a tail call to the handler of the next record. Called by `index.ts`, which builds handlers in batches when instructions of a new
// shape are decoded; nothing here decides which code runs.
import { CR4 } from '../cpu/controls.ts';
import { DF } from '../cpu/flags.ts';
import type { Mode } from '../cpu/mode.ts';
import { FSW_ES, FSW_TOP, placeOf, placeOfGeneral, placeOfRegister, VECTOR_BYTES } from '../cpu/state.ts';
import { usesMmx } from '../cpu/units.ts';
import type { MemoryOperand, RegisterOperand, SegmentName } from '../isa/instruction.ts';
import { segmentNames } from '../isa/instruction.ts';
import { alignmentOf, type Outcome } from '../semantics/outcome.ts';
import { childrenOf, generalRegisters, type Expr, type GeneralRegister, type Width } from '../semantics/expr.ts';
import { emitProbe, emitRead, emitReadForWrite, emitWrite, locate, pushHit, type Target } from './access.ts';
import {
  ALONE, HANDLER, RECORD, dispatchNext, dispatchTo, emitCount, emitGroupCount, pushCount, pushJumpHit, pushRecord, typeOf as signatureOf,
  type Core, type Position,
} from './core.ts';
import { Emitter, Simd, typeOf, Upper, type Binding, type Functions } from './emit.ts';
import { I32, I64, Op, type Code, type Module } from './encode.ts';
import { conditionBefore, flagBefore, lazyFlags, LAZY_CARRIES, LAZY_RESULT } from './lazy-flags.ts';
import { Field, RECORD_SIZE } from './layout.ts';
import { comparisonOf, conditionOf, overwritesAll, type PendingFlags } from './pending-flags.ts';
import { isConstantAddress, isImplied, segmentation, type Shape } from './shapes.ts';
import { emitRepeat } from './repeat.ts';
import { Stop } from '../cpu/engine.ts';

/** What the parts of a handler share while it is emitted. */
export interface Handler extends Position {
  readonly code: Code;
  readonly core: Core;
  readonly shape: Shape;
  readonly emitter: Emitter;
  readonly type: number;
  /** Where the bytes of memory operand `index` are. */
  target(index: number): Target;
  /** Local with the byte address of register operand `index`. */
  place(index: number): number;
  /** Local that holds where operand 0, or the implicit store, may be written; see `emitReadForWrite`. */
  writable: number | undefined;
  /** Locals of an indirect branch: its target, and the record there, or 0. */
  jump: { readonly target: number; readonly record: number } | undefined;
  /** What the instructions before it in the group left in locals. */
  readonly known: KnownFlags;
  /** The flags are overwritten in the group before anyone can see them. */
  readonly flagsAreDead: boolean;
}

/** The flags as they are known inside a group: locals instead of the words in memory. */
interface KnownFlags {
  result: number | undefined;
  carries: number | 'zero' | undefined;
  /** They are those of a comparison: two locals, zero-extended, and the width. */
  compared: { readonly left: number; readonly right: number; readonly width: Width } | undefined;
}

/** Emits the handler of a shape; the answer is its function index. */
export function emitHandler(module: Module, core: Core, functions: Functions, shape: Shape): number {
  const type = signatureOf(module, HANDLER);
  const { code, index } = module.function(type);
  const handler = openHandler(module, core, functions, shape, code, type, ALONE, unknownFlags(), false);
  emitCount(code, core);
  if (isRepeated(shape)) emitRepeat(handler);
  else {
    emitReads(handler);
    emitEffects(handler, (slow) => { leave(handler, slow); });
  }
  return index;
}

export const isRepeated = ({ outcome, instruction }: Shape): boolean => outcome.string !== undefined && instruction.rep !== 'none';

/** Whether an instruction may be followed by others in a group: it goes on to the next record, at least if a branch is not taken. */
export const continues = ({ outcome }: Shape): boolean => !outcome.branch || outcome.branch.when !== undefined;

/** Emits one function for instructions whose records stand behind each other; all but the last continue, and none is repeated. */
export function emitGroup(module: Module, core: Core, functions: Functions, shapes: readonly Shape[]): number {
  const type = signatureOf(module, HANDLER);
  const { code, index } = module.function(type);
  emitGroupCount(code, type, shapes.length);
  const known = unknownFlags();
  shapes.forEach((shape, number) => {
    const position = { skip: number * RECORD_SIZE, behind: shapes.length - 1 - number };
    const handler = openHandler(module, core, functions, shape, code, type, position, known, flagsAreDead(shapes, number));
    emitReads(handler);
    emitEffects(handler, (slow) => {
      if (slow !== undefined || position.behind === 0) leave(handler, slow);
      else if (shape.outcome.branch) leaveIfTaken(handler, undefined);
    });
    learnFlags(handler);
  });
  return index;
}

const unknownFlags = (): KnownFlags => ({ result: undefined, carries: undefined, compared: undefined });

/** Whether a later instruction of the group overwrites the flags, and nothing before that can leave or look. */
function flagsAreDead(shapes: readonly Shape[], number: number): boolean {
  for (const later of shapes.slice(number + 1)) {
    if (!isQuiet(later)) return false;
    if (later.outcome.flags) return overwritesAll(later.outcome.flags);
  }
  return false;
}

/** Cannot leave, and reads no flag. */
function isQuiet(shape: Shape): boolean {
  const { operands } = shape.instruction;
  const { branch, store, fault, result, exceptions } = shape.outcome;
  if (branch || store || fault || exceptions || usesMmx(shape.instruction) || (result && operands[0]?.kind === 'memory')) return false;
  let quiet = true;
  const seen = new Set<Expr>();
  const visit = (node: Expr): void => {
    if (seen.has(node)) return;
    seen.add(node);
    if (node.kind === 'load' || node.kind === 'flag' || node.kind === 'condition') quiet = false;
    else if (node.kind === 'operand' && (node.index < 0 || operands[node.index]?.kind === 'memory')) quiet = false;
    else childrenOf(node).forEach(visit);
  };
  rootsOf(shape).forEach(visit);
  return quiet;
}

/** What the next instruction of the group may know of the flags. */
function learnFlags(handler: Handler): void {
  const { code, emitter, known, shape } = handler;
  const { flags } = shape.outcome;
  if (!flags || handler.flagsAreDead) return;
  known.compared = undefined;
  if (flags.when) {
    known.result = undefined;
    known.carries = undefined;
    return;
  }
  const lazy = lazyOf(shape);
  const keep = (value: Expr, type: typeof I32 | typeof I64): number => {
    const local = code.local(type);
    emitter.push(value);
    code.set(local);
    return local;
  };
  if (lazy.result) known.result = keep(lazy.result, I64);
  if (lazy.carries) known.carries = emitter.constant(lazy.carries) === 0n ? 'zero' : keep(lazy.carries, I32);
  const compared = comparisonOf(flags);
  if (!compared || compared.left.width > 64) return;
  const side = (value: Expr): number => {
    const local = code.local(typeOf(value.width));
    emitter.pushZeroExtended(value);
    code.set(local);
    return local;
  };
  known.compared = { left: side(compared.left), right: side(compared.right), width: compared.left.width };
}

/** Operand numbers for the two sides of a comparison that an earlier instruction of the group made. */
const LEFT = -10, RIGHT = -11;
const sides = (width: Width): PendingFlags['comparison'] =>
  ({ left: { kind: 'operand', width, index: LEFT }, right: { kind: 'operand', width, index: RIGHT } });
/** Condition codes that a comparison answers directly: below, equal, below or equal, less, less or equal, and their opposites. */
const answered: ReadonlySet<number> = new Set([2, 3, 4, 5, 6, 7, 12, 13, 14, 15]);
const comparisons = new Map<string, Expr>();
function compareAgain(width: Width, code: number): Expr {
  const key = `${width}/${code}`;
  let found = comparisons.get(key);
  if (!found) comparisons.set(key, found = conditionOf({ flags: {}, comparison: sides(width), locals: [] }, code));
  return found;
}

function openHandler(
  module: Module, core: Core, functions: Functions, shape: Shape, code: Code, type: number, position: Position, known: KnownFlags, flagsAreDead: boolean,
): Handler {
  const places: number[] = [], targets: Target[] = [];
  const handler = {
    ...position, code, core, shape, type, known, flagsAreDead, writable: undefined, jump: undefined,
    place(index: number): number {
      if (places[index] === undefined) {
        places[index] = code.local(I32);
        code.get(RECORD);
        code.load(Op.i32Load, position.skip + Field.place + 4 * index);
        code.set(places[index]);
      }
      return places[index];
    },
    target(index: number): Target { return targets[index] ??= operandTarget(handler as Handler, index); },
  } as { -readonly [K in keyof Handler]: Handler[K] };
  handler.emitter = new Emitter(module, code, bindingOf(handler), functions);
  return handler;
}

// ── Leaves ──

export const loadOp = { 8: Op.i32Load8U, 16: Op.i32Load16U, 32: Op.i32Load, 64: Op.i64Load } as const;
const storeOp = { 8: Op.i32Store8, 16: Op.i32Store16, 32: Op.i32Store, 64: Op.i64Store } as const;
type Plain = 8 | 16 | 32 | 64;

function loadFrom(code: Code, width: number, pushAddress: () => void, offset = 0): void {
  if (width === 256) {
    loadFrom(code, 128, pushAddress, offset);
    return loadFrom(code, 128, pushAddress, offset + 16);
  }
  pushAddress();
  if (width === 128) code.simdMemory(Simd.load, offset);
  else code.load(loadOp[width as Plain], offset);
}

function bindingOf(handler: Handler): Binding {
  const { code, shape, known, skip } = handler;
  const operands = shape.instruction.operands;
  return {
    constant: (leaf) => (leaf.kind === 'operand' && leaf.index === LAZY_CARRIES && known.carries === 'zero' ? 0n : undefined),
    upper: (leaf) => (leaf.kind === 'address' || leaf.kind === 'nextIp' ? Upper.unknown : Upper.zero),
    pushOperand(leaf) {
      if (leaf.index === LEFT || leaf.index === RIGHT) return code.get(leaf.index === LEFT ? known.compared!.left : known.compared!.right);
      if (leaf.index === LAZY_RESULT && known.result !== undefined) return code.get(known.result);
      if (leaf.index === LAZY_CARRIES && typeof known.carries === 'number') return code.get(known.carries);
      if (leaf.index === LAZY_RESULT) return loadFrom(code, 64, () => { code.i32(0); }, placeOf('flagResult'));
      if (leaf.index === LAZY_CARRIES) return loadFrom(code, 32, () => { code.i32(0); }, placeOf('flagCarries'));
      if (leaf.index < 0) return loadFrom(code, 32, () => { code.i32(0); }, placeOf('rflagsSystem'));
      const operand = operands[leaf.index]!;
      switch (operand.kind) {
        case 'register': return loadFrom(code, leaf.width, () => { code.get(handler.place(leaf.index)); });
        case 'immediate': return loadFrom(code, leaf.width, () => { code.get(RECORD); }, skip + immediateField(handler, leaf.index));
        case 'relative': return loadFrom(code, leaf.width, () => { code.get(RECORD); }, skip + Field.immediate);
        case 'memory': return pushMemory(handler, handler.target(leaf.index), leaf.width, leaf.index === 0 && shape.outcome.result !== undefined);
        case 'far': throw new Error('a far pointer has no value');
      }
    },
    pushAddress(leaf) {
      code.get(handler.target(leaf.index).offset);
      if (leaf.width < 64) code.op(Op.i32WrapI64);
    },
    pushRegister: (leaf) => { loadFrom(code, leaf.width, () => { code.i32(0); }, placeOf(leaf.name)); },
    pushNextIp(leaf) {
      loadFrom(code, leaf.width === 64 ? 64 : 32, () => { code.get(RECORD); }, skip + Field.rip);
      code.get(RECORD);
      code.load(leaf.width === 64 ? Op.i64Load8U : Op.i32Load8U, skip + Field.length);
      code.op(leaf.width === 64 ? Op.i64Add : Op.i32Add);
    },
    pushLoad(leaf, emitter) {
      const { store } = shape.outcome;
      const target = implicitTarget(handler, leaf.segment, leaf.address, leaf.width, emitter);
      pushMemory(handler, target, leaf.width, store !== undefined && store.address === leaf.address && store.segment === leaf.segment);
    },
    flag: (leaf) => flagBefore[leaf.flag],
    condition: (leaf) => (known.compared && answered.has(leaf.code) ? compareAgain(known.compared.width, leaf.code) : conditionBefore[leaf.code]!),
  };
}

/** An instruction has at most one immediate, or two without a memory operand (ENTER). */
function immediateField(handler: Handler, index: number): number {
  const first = handler.shape.instruction.operands.findIndex(({ kind }) => kind === 'immediate');
  return index === first ? Field.immediate : Field.displacement;
}

// ── Memory ──

/** The offset of memory operand `index`, in a local of type i64, and where that is. */
function operandTarget(handler: Handler, index: number): Target {
  const { code, shape, emitter, skip } = handler;
  const { instruction, mode } = shape;
  const operand = instruction.operands[index] as MemoryOperand;
  const wide = instruction.addressSize === 64;
  const offset = code.local(I64);
  if (isConstantAddress(operand)) {
    code.get(RECORD);
    code.load(Op.i64Load, skip + Field.displacement);
  } else pushOffset(code, operand, wide, isImplied(instruction), skip);
  if (index === 0 && shape.displacement) {
    if (isConstantAddress(operand) && !wide) code.op(Op.i32WrapI64);
    emitter.push(shape.displacement);
    code.op(wide ? Op.i64Add : Op.i32Add);
    if (!wide) narrow(code, instruction.addressSize);
  } else if (!wide && !isConstantAddress(operand)) narrow(code, instruction.addressSize);
  code.set(offset);
  const kind = segmentation(operand.segment, mode), segment = segmentNames.indexOf(operand.segment);
  const linear = locate(code, (type) => code.local(type), offset, segment, kind);
  return { offset, linear, segment, segmentation: kind, bytes: operand.width / 8, alignment: alignmentOf(shape.outcome, operand), mode, stack: isImplied(instruction) ? operand.segment === 'ss' : 'record', position: handler };
}

function narrow(code: Code, addressSize: number): void {
  if (addressSize === 16) {
    code.i32(0xffff);
    code.op(Op.i32And);
  }
  code.op(Op.i64ExtendI32U);
}

/** Base + index << scale + displacement, as i64 or, for narrower addresses, i32. */
function pushOffset(code: Code, operand: MemoryOperand, wide: boolean, implied: boolean, skip: number): void {
  const load = wide ? Op.i64Load : Op.i32Load, add = wide ? Op.i64Add : Op.i32Add;
  let parts = 0;
  const part = (push: () => void) => {
    push();
    if (parts++ > 0) code.op(add);
  };
  if (operand.base >= 0) {
    part(() => {
      if (implied) code.i32(0);
      else {
        code.get(RECORD);
        code.load(Op.i32Load, skip + Field.base);
      }
      code.load(load, implied ? placeOfGeneral(operand.base) : 0);
    });
  }
  if (operand.index >= 0) {
    part(() => {
      code.get(RECORD);
      code.load(Op.i32Load, skip + Field.index);
      code.load(load);
      if (operand.scaleShift === 0) return;
      if (wide) code.i64Small(operand.scaleShift);
      else code.i32(operand.scaleShift);
      code.op(wide ? Op.i64Shl : Op.i32Shl);
    });
  }
  if (operand.displacement !== 0n) {
    part(() => {
      code.get(RECORD);
      code.load(load, skip + Field.displacement);
    });
  }
}

function implicitTarget(handler: Handler, segmentName: SegmentName, address: Expr, width: number, emitter: Emitter): Target {
  const { code, shape: { mode } } = handler;
  const offset = emitter.temporary(I64);
  emitter.pushAs64(address, false);
  code.set(offset);
  const kind = segmentation(segmentName, mode), segment = segmentNames.indexOf(segmentName);
  const linear = locate(code, (type) => emitter.temporary(type), offset, segment, kind);
  return { offset, linear, segment, segmentation: kind, bytes: width / 8, alignment: 0, mode, stack: segmentName === 'ss', position: handler };
}

/** Reads memory; what is going to be written too is asked for writing at once. */
function pushMemory(handler: Handler, target: Target, width: number, alsoWritten: boolean): void {
  const { code, core, emitter } = handler;
  const host = emitter.temporary(I32), entry = emitter.temporary(I32);
  if (alsoWritten) {
    handler.writable = emitter.temporary(I32);
    emitReadForWrite(code, core, target, entry, host, handler.writable);
  } else emitRead(code, core, target, entry, host);
  loadFrom(code, width, () => { code.get(host); });
}

// ── The order of things: reads, faults, the store, registers and flags, the branch ──

/** All expressions of the outcome. */
function rootsOf(shape: Shape): readonly Expr[] {
  const { result, second, registers, store, reads, flags, df, fault, branch, exceptions } = shape.outcome;
  const lazy = flags && lazyOf(shape);
  const all = [
    shape.displacement, fault?.when, reads, exceptions, result, second, ...Object.values(registers ?? {}), store?.address, store?.value,
    flags?.when, lazy?.result, lazy?.carries, df, branch?.when, shape.direct ? undefined : branch?.target,
  ];
  return all.filter((root) => root !== undefined);
}

const lazies = new WeakMap<Shape, ReturnType<typeof lazyFlags>>();
function lazyOf(shape: Shape): ReturnType<typeof lazyFlags> {
  let lazy = lazies.get(shape);
  if (!lazy) lazies.set(shape, lazy = lazyFlags(shape.outcome.flags!));
  return lazy;
}

/** Visits what memory an expression reads, before what is computed from it. */
export function eachRead(root: Expr, visit: (read: Expr) => void, isMemory: (index: number) => boolean, seen: Set<Expr>): void {
  if (seen.has(root)) return;
  seen.add(root);
  for (const child of childrenOf(root)) eachRead(child, visit, isMemory, seen);
  if (root.kind === 'load' || (root.kind === 'operand' && root.index >= 0 && isMemory(root.index))) visit(root);
}

/** Everything that may fault and comes before the fault of the meaning itself; then that. */
export function emitReads(handler: Handler): void {
  const { code, core, shape, emitter } = handler;
  const { operands } = shape.instruction;
  const roots = rootsOf(shape);
  emitter.begin(roots);
  handler.writable = undefined;
  operands.forEach((operand, index) => {
    if (operand.kind === 'register') handler.place(index);
  });
  const uses = new Set<number>();
  for (const root of roots) collectMemoryUses(root, uses);
  if (shape.outcome.result && operands[0]?.kind === 'memory') uses.add(0);
  for (const index of uses) handler.target(index);
  if (usesMmx(shape.instruction)) {
    code.i32(0);
    code.load(Op.i32Load, placeOf('fsw'));
    code.i32(FSW_ES);
    code.op(Op.i32And);
    code.if();
    pushRecord(code, handler);
    pushCount(code, handler);
    code.i32(MF);
    code.returnCall(core.raise);
    code.end();
  }
  const { fault } = shape.outcome;
  const isMemory = (index: number) => operands[index]!.kind === 'memory';
  const seen = new Set<Expr>();
  if (fault) raise(fault);
  for (const root of roots) eachRead(root, (read) => { emitter.hold(read); }, isMemory, seen);
  if (shape.outcome.exceptions && shape.outcome.result && operands[0]?.kind === 'memory') {
    // What cannot be stored is not computed (Zen 4, native vectors).
    const entry = emitter.temporary(I32);
    pushHit(code, handler.target(0), true, entry);
    code.op(Op.i32Eqz);
    code.if();
    emitProbe(code, core, handler.target(0), entry);
    code.end();
  }
  if (shape.outcome.exceptions) emitExceptions(handler, shape.outcome.exceptions);

  function raise({ when, vector }: NonNullable<typeof fault>): void {
    eachRead(when, (read) => { emitter.hold(read); }, isMemory, seen);
    emitter.pushTruth(when);
    code.if();
    pushRecord(code, handler);
    pushCount(code, handler);
    code.i32(vector);
    code.returnCall(core.raise);
    code.end();
  }

  function collectMemoryUses(root: Expr, into: Set<number>): void {
    eachLeaf(root, (leaf) => { if (leaf.index >= 0 && operands[leaf.index]?.kind === 'memory') into.add(leaf.index); });
  }
}

const XM = 19, UD = 6, MF = 16;
/** Sets the flags of MXCSR, and raises #XM for those that are not masked, before anything else is committed. */
function emitExceptions(handler: Handler, exceptions: Expr): void {
  const { code, core, emitter } = handler;
  const mxcsr = emitter.temporary(I32);
  emitter.hold(exceptions);
  emitter.push(exceptions);
  code.if();
  code.i32(0);
  code.i32(0);
  code.load(Op.i32Load, placeOf('mxcsr'));
  code.tee(mxcsr);
  emitter.push(exceptions);
  code.op(Op.i32Or);
  code.store(Op.i32Store, placeOf('mxcsr'));
  emitter.push(exceptions);
  code.get(mxcsr);
  code.i32(7);
  code.op(Op.i32ShrU);
  code.i32(-1);
  code.op(Op.i32Xor);
  code.op(Op.i32And);
  code.if();
  pushRecord(code, handler);
  pushCount(code, handler);
  code.i32(XM);
  code.i32(UD);
  code.i32(0);
  code.load(Op.i32Load, placeOf('cr4'));
  code.i32(CR4.OSXMMEXCPT);
  code.op(Op.i32And);
  code.op(Op.select);
  code.returnCall(core.raise);
  code.end();
  code.end();
}

function eachLeaf(root: Expr, visit: (leaf: Extract<Expr, { kind: 'operand' | 'address' }>) => void, seen = new Set<Expr>()): void {
  if (seen.has(root)) return;
  seen.add(root);
  if (root.kind === 'operand' || root.kind === 'address') visit(root);
  else for (const child of childrenOf(root)) eachLeaf(child, visit, seen);
}

/** Everything behind the reads. `leaveWith` ends the handler; it gets the local that says how a slow store ended, if there was one. */
export function emitEffects(handler: Handler, leaveWith: (slow: number | undefined) => void): void {
  const { code, core, shape, emitter } = handler;
  const { result, second, registers, store, df, branch } = shape.outcome;
  for (const value of [result, second, ...Object.values(registers ?? {}), df]) if (value) emitter.hold(value);
  const destination = shape.instruction.operands[0];
  const toMemory = result !== undefined && destination?.kind === 'memory';
  const changes = result !== undefined || second !== undefined || registers !== undefined || store !== undefined || shape.outcome.flags !== undefined;
  if (branch?.when && changes) emitter.hold(branch.when);
  if (branch && !shape.direct) checkTarget(handler);
  const value = toMemory ? result : store?.value;
  if (value) {
    emitter.hold(value);
    const target = toMemory ? handler.target(0) : implicitTarget(handler, store!.segment, store!.address, store!.value.width, emitter);
    const written = emitter.temporary(I32), entry = emitter.temporary(I32);
    emitWrite(code, core, target, entry, handler.writable, written, (pushAddress, offset) => {
      storeTo(handler, value, pushAddress, offset);
    }, () => {
      emitter.enterScope();
      commit(handler);
      leaveWith(written);
      emitter.leaveScope();
    });
  }
  commit(handler);
  leaveWith(undefined);
}

function storeTo(handler: Handler, value: Expr, pushAddress: () => void, offset = 0): void {
  const { code, emitter } = handler;
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
  code.store(storeOp[value.width as Plain], offset);
}

/** Flags first: they are computed from registers as they were. All values of registers stand in locals already. */
function commit(handler: Handler): void {
  const { code, shape, emitter } = handler;
  const { result, second, registers, flags, df, clears } = shape.outcome;
  if (flags && !handler.flagsAreDead) {
    const when = flags.when && emitter.constant(flags.when) === undefined ? flags.when : undefined;
    if (when) {
      emitter.pushTruth(when);
      code.if();
      emitter.enterScope();
    }
    const lazy = lazyOf(shape);
    if (lazy.result) emitter.hold(lazy.result);
    if (lazy.carries) emitter.hold(lazy.carries);
    for (const [value, field, opcode] of [[lazy.result, 'flagResult', Op.i64Store], [lazy.carries, 'flagCarries', Op.i32Store]] as const) {
      if (!value) continue;
      code.i32(0);
      emitter.push(value);
      code.store(opcode, placeOf(field));
    }
    if (when) {
      emitter.leaveScope();
      code.end();
    }
  }
  if (df) {
    code.i32(0);
    code.i32(0);
    code.load(Op.i32Load, placeOf('rflagsSystem'));
    code.i32(~DF);
    code.op(Op.i32And);
    emitter.push(df);
    code.i32(10);
    code.op(Op.i32Shl);
    code.op(Op.i32Or);
    code.store(Op.i32Store, placeOf('rflagsSystem'));
  }
  for (const [name, value] of Object.entries(registers ?? {}) as [GeneralRegister, Expr][]) {
    writeRegister(handler, value, () => { code.i32(0); }, placeOfGeneral(generalRegisters.indexOf(name)));
  }
  const { operands } = shape.instruction;
  const toOperand = (index: number, value: Expr | undefined) => {
    if (!value || operands[index]!.kind !== 'register') return;
    const push = () => { code.get(handler.place(index)); };
    if ((operands[index] as RegisterOperand).file === 'general') return writeRegister(handler, value, push, 0);
    storeTo(handler, value, push);
    if (clears === 'aboveResult') clearVector(code, push, value.width / 8);
    if ((operands[index] as RegisterOperand).file !== 'mmx') return;
    // As an x87 register it is a NaN or an infinity then.
    push();
    code.i32(0xffff);
    code.store(Op.i32Store16, 8);
  };
  toOperand(1, second);
  toOperand(0, result);
  if (clears) clearVectors(code, clears, shape.mode);
  if (!usesMmx(shape.instruction)) return;
  code.i32(0);
  code.i32(0);
  code.load(Op.i32Load, placeOf('fsw'));
  code.i32(~FSW_TOP);
  code.op(Op.i32And);
  code.store(Op.i32Store, placeOf('fsw'));
  code.i32(0);
  code.i32(0xff);
  code.store(Op.i32Store, placeOf('ftw'));
}

/** Zeros from `from` to the end of the vector register whose place is pushed. */
export function clearVector(code: Code, pushPlace: () => void, from: number, offset = 0): void {
  for (let at = from; at < VECTOR_BYTES; at += 16) {
    pushPlace();
    code.simd(Simd.constant, ...new Array<number>(16).fill(0));
    code.simdMemory(Simd.store, offset + at);
  }
}
/** VZEROUPPER and VZEROALL. */
export function clearVectors(code: Code, what: NonNullable<Outcome['clears']>, mode: Mode): void {
  if (what === 'aboveResult') return;
  for (let number = 0; number < (mode.codeSize === 64 ? 16 : 8); number++) {
    clearVector(code, () => { code.i32(0); }, what === 'all' ? 0 : 16, placeOfRegister('vector', number));
  }
}

/** A 32-bit value is zero-extended to the whole register. */
function writeRegister(handler: Handler, value: Expr, pushPlace: () => void, offset: number): void {
  const { code, emitter } = handler;
  if (value.width !== 32) return storeTo(handler, value, pushPlace, offset);
  pushPlace();
  emitter.pushAs64(value, false);
  code.store(Op.i64Store, offset);
}

// ── Leaving ──

/** Looks the target up before anything is committed; one that is not known must be asked for. */
function checkTarget(handler: Handler): void {
  const { code, core, shape, emitter } = handler;
  const { target, when } = shape.outcome.branch!;
  const jump = { target: emitter.temporary(I64), record: emitter.temporary(I32) };
  handler.jump = jump;
  const entry = emitter.temporary(I32);
  emitter.pushAs64(target, false);
  code.set(jump.target);
  pushJumpHit(code, jump.target, entry);
  code.if(I32);
  code.get(entry);
  code.load(Op.i32Load, 8);
  code.else();
  // Not known: is it a target at all? Only asked when the branch is taken.
  code.get(jump.target);
  code.call(core.isTarget);
  if (when) {
    emitter.pushTruth(when);
    code.op(Op.i32Eqz);
    code.op(Op.i32Or);
  }
  code.op(Op.i32Eqz);
  code.if();
  // A store that faults comes before (Zen 4, native vectors).
  const { store } = shape.outcome;
  emitter.enterScope();
  if (store) emitProbe(code, core, implicitTarget(handler, store.segment, store.address, store.value.width, emitter), entry);
  emitter.leaveScope();
  pushRecord(code, handler);
  pushCount(code, handler);
  code.i32(13);
  code.returnCall(core.raise);
  code.end();
  code.i32(0);
  code.end();
  code.set(jump.record);
}

/** Ends the handler: on to the next record or to the branch's target. After a slow store, only if that allows it. */
export function leave(handler: Handler, slow: number | undefined): void {
  const { code, shape, type } = handler;
  const { branch } = shape.outcome;
  if (branch) leaveIfTaken(handler, slow);
  if (branch && !branch.when) return;
  relook(handler, slow, () => { pushNextRip(handler); });
  dispatchNext(code, type, handler);
}

function relook({ code, core, ...handler }: Handler, slow: number | undefined, pushRip: () => void): void {
  if (slow === undefined) return;
  code.get(slow);
  code.i32(1);
  code.op(Op.i32GtU);
  code.if();
  pushRip();
  pushCount(code, handler);
  code.get(slow);
  code.returnCall(core.relook);
  code.end();
}

/** On to the branch's target, if the branch is taken. */
function leaveIfTaken(handler: Handler, slow: number | undefined): void {
  const { code, core, shape, type, skip } = handler;
  const branch = shape.outcome.branch!;
  if (branch.when) {
    handler.emitter.pushTruth(branch.when);
    code.if();
  }
  if (shape.direct) {
    relook(handler, slow, () => {
      code.get(RECORD);
      code.load(Op.i64Load, skip + Field.immediate);
    });
    dispatchTo(code, type, () => {
      code.get(RECORD);
      code.load(Op.i32Load, skip + Field.taken);
    }, handler);
  } else {
    const jump = handler.jump!;
    relook(handler, slow, () => { code.get(jump.target); });
    code.get(jump.record);
    code.if();
    // Whoever forms regions wants to know where it went.
    code.get(RECORD);
    code.get(jump.record);
    code.store(Op.i32Store, skip + Field.taken);
    dispatchTo(code, type, () => { code.get(jump.record); }, handler);
    code.end();
    code.get(jump.target);
    pushCount(code, handler);
    code.returnCall(core.lookup);
  }
  if (branch.when) code.end();
}

/** RIP of the next instruction as i64. */
export function pushNextRip({ code, shape, skip }: Handler): void {
  code.get(RECORD);
  code.load(Op.i64Load, skip + Field.rip);
  code.get(RECORD);
  code.load(Op.i64Load8U, skip + Field.length);
  code.op(Op.i64Add);
  if (shape.mode.codeSize === 64) return;
  code.i64(0xffffffffn);
  code.op(Op.i64And);
}

/** Leaves because the budget is used up, RIP staying at this instruction. */
export function leaveAtBudget({ code, core }: Handler): void {
  code.get(RECORD);
  code.i32(0);
  code.i32(Stop.budget);
  code.returnCall(core.leave);
}
