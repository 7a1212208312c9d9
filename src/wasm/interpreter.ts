// The second reading: one WebAssembly function for each shape of instruction. Its operands come from a record in linear memory, and it ends
// with a tail call to the handler of the next record. Called by `index.ts`, which builds handlers in batches when instructions of a new
// shape are decoded; nothing here decides which code runs.
import { DF } from '../cpu/flags.ts';
import { placeOf, placeOfGeneral } from '../cpu/state.ts';
import type { MemoryOperand, RegisterOperand, SegmentName } from '../isa/instruction.ts';
import { segmentNames } from '../isa/instruction.ts';
import { generalRegisters, type Expr, type GeneralRegister } from '../semantics/expr.ts';
import { emitProbe, emitRead, emitReadForWrite, emitWrite, locate, type Target } from './access.ts';
import { COUNT, RECORD, HANDLER, dispatchNext, dispatchTo, emitCount, pushJumpHit, typeOf as signatureOf, type Core } from './core.ts';
import { Emitter, Upper, type Binding, type Functions } from './emit.ts';
import { I32, I64, Op, type Code, type Module } from './encode.ts';
import { conditionBefore, flagBefore, lazyFlags, LAZY_CARRIES, LAZY_RESULT } from './lazy-flags.ts';
import { Field } from './layout.ts';
import { isConstantAddress, isImplied, segmentation, type Shape } from './shapes.ts';
import { emitRepeat } from './repeat.ts';
import { Stop } from '../cpu/engine.ts';

/** What the parts of a handler share while it is emitted. */
export interface Handler {
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
}

/** Emits the handler of a shape; the answer is its function index. */
export function emitHandler(module: Module, core: Core, functions: Functions, shape: Shape): number {
  const type = signatureOf(module, HANDLER);
  const { code, index } = module.function(type);
  const handler = openHandler(module, core, functions, shape, code, type);
  emitCount(code, core);
  if (shape.outcome.string && shape.instruction.rep !== 'none') emitRepeat(handler);
  else {
    emitReads(handler);
    emitEffects(handler, (slow) => { leave(handler, slow); });
  }
  return index;
}

function openHandler(module: Module, core: Core, functions: Functions, shape: Shape, code: Code, type: number): Handler {
  const places: number[] = [], targets: Target[] = [];
  const handler = {
    code, core, shape, type, writable: undefined, jump: undefined,
    place(index: number): number {
      if (places[index] === undefined) {
        places[index] = code.local(I32);
        code.get(RECORD);
        code.load(Op.i32Load, Field.place + 4 * index);
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
  pushAddress();
  if (width !== 128) return code.load(loadOp[width as Plain], offset);
  code.load(Op.i64Load, offset);
  pushAddress();
  code.load(Op.i64Load, offset + 8);
}

function bindingOf(handler: Handler): Binding {
  const { code, shape } = handler;
  const operands = shape.instruction.operands;
  return {
    constant: () => undefined,
    upper: (leaf) => (leaf.kind === 'address' || leaf.kind === 'nextIp' ? Upper.unknown : Upper.zero),
    pushOperand(leaf) {
      if (leaf.index === LAZY_RESULT) return loadFrom(code, 64, () => { code.i32(0); }, placeOf('flagResult'));
      if (leaf.index === LAZY_CARRIES) return loadFrom(code, 32, () => { code.i32(0); }, placeOf('flagCarries'));
      if (leaf.index < 0) return loadFrom(code, 32, () => { code.i32(0); }, placeOf('rflagsSystem'));
      const operand = operands[leaf.index]!;
      switch (operand.kind) {
        case 'register': return loadFrom(code, leaf.width, () => { code.get(handler.place(leaf.index)); });
        case 'immediate': return loadFrom(code, leaf.width, () => { code.get(RECORD); }, immediateField(handler, leaf.index));
        case 'relative': return loadFrom(code, leaf.width, () => { code.get(RECORD); }, Field.immediate);
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
      loadFrom(code, leaf.width === 64 ? 64 : 32, () => { code.get(RECORD); }, Field.rip);
      code.get(RECORD);
      code.load(leaf.width === 64 ? Op.i64Load8U : Op.i32Load8U, Field.length);
      code.op(leaf.width === 64 ? Op.i64Add : Op.i32Add);
    },
    pushLoad(leaf, emitter) {
      const { store } = shape.outcome;
      const target = implicitTarget(handler, leaf.segment, leaf.address, leaf.width, emitter);
      pushMemory(handler, target, leaf.width, store !== undefined && store.address === leaf.address && store.segment === leaf.segment);
    },
    flag: (leaf) => flagBefore[leaf.flag],
    condition: (leaf) => conditionBefore[leaf.code]!,
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
  const { code, shape, emitter } = handler;
  const { instruction, mode } = shape;
  const operand = instruction.operands[index] as MemoryOperand;
  const wide = instruction.addressSize === 64;
  const offset = code.local(I64);
  if (isConstantAddress(operand)) {
    code.get(RECORD);
    code.load(Op.i64Load, Field.displacement);
  } else pushOffset(code, operand, wide, isImplied(instruction));
  if (index === 0 && shape.displacement) {
    if (isConstantAddress(operand) && !wide) code.op(Op.i32WrapI64);
    emitter.push(shape.displacement);
    code.op(wide ? Op.i64Add : Op.i32Add);
    if (!wide) narrow(code, instruction.addressSize);
  } else if (!wide && !isConstantAddress(operand)) narrow(code, instruction.addressSize);
  code.set(offset);
  const kind = segmentation(operand.segment, mode), segment = segmentNames.indexOf(operand.segment);
  const linear = locate(code, (type) => code.local(type), offset, segment, kind);
  return { offset, linear, segment, segmentation: kind, bytes: operand.width / 8, mode, stack: isImplied(instruction) ? operand.segment === 'ss' : 'record' };
}

function narrow(code: Code, addressSize: number): void {
  if (addressSize === 16) {
    code.i32(0xffff);
    code.op(Op.i32And);
  }
  code.op(Op.i64ExtendI32U);
}

/** Base + index << scale + displacement, as i64 or, for narrower addresses, i32. */
function pushOffset(code: Code, operand: MemoryOperand, wide: boolean, implied: boolean): void {
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
        code.load(Op.i32Load, Field.base);
      }
      code.load(load, implied ? placeOfGeneral(operand.base) : 0);
    });
  }
  if (operand.index >= 0) {
    part(() => {
      code.get(RECORD);
      code.load(Op.i32Load, Field.index);
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
      code.load(load, Field.displacement);
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
  return { offset, linear, segment, segmentation: kind, bytes: width / 8, mode, stack: segmentName === 'ss' };
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
  const { result, second, registers, store, reads, flags, df, fault, branch } = shape.outcome;
  const lazy = flags && lazyOf(shape);
  const all = [
    shape.displacement, fault?.when, reads, result, second, ...Object.values(registers ?? {}), store?.address, store?.value,
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
function eachRead(root: Expr, visit: (read: Expr) => void, isMemory: (index: number) => boolean, seen = new Set<Expr>()): void {
  if (seen.has(root)) return;
  seen.add(root);
  const inner = (child: Expr) => { eachRead(child, visit, isMemory, seen); };
  switch (root.kind) {
    case 'operand': if (root.index >= 0 && isMemory(root.index)) visit(root); break;
    case 'load': inner(root.address); visit(root); break;
    case 'unary': case 'extend': case 'slice': inner(root.value); break;
    case 'binary': case 'compare': inner(root.left); inner(root.right); break;
    case 'select': inner(root.condition); inner(root.whenTrue); inner(root.whenFalse); break;
    case 'join': inner(root.high); inner(root.low); break;
    case 'call': root.arguments.forEach(inner); break;
    default: break;
  }
}

/** Everything that may fault and comes before the fault of the meaning itself; then that. */
export function emitReads(handler: Handler): void {
  const { code, core, shape, emitter } = handler;
  const { operands } = shape.instruction;
  const roots = rootsOf(shape);
  emitter.begin(roots);
  handler.writable = undefined;
  operands.forEach((operand, index) => {
    if (operand.kind === 'register' && operand.file === 'general') handler.place(index);
  });
  const uses = new Set<number>();
  for (const root of roots) collectMemoryUses(root, uses);
  if (shape.outcome.result && operands[0]?.kind === 'memory') uses.add(0);
  for (const index of uses) handler.target(index);
  const { fault } = shape.outcome;
  const isMemory = (index: number) => operands[index]!.kind === 'memory';
  const seen = new Set<Expr>();
  if (fault) raise(fault);
  for (const root of roots) eachRead(root, (read) => { emitter.hold(read); }, isMemory, seen);

  function raise({ when, vector }: NonNullable<typeof fault>): void {
    eachRead(when, (read) => { emitter.hold(read); }, isMemory, seen);
    emitter.pushTruth(when);
    code.if();
    code.get(RECORD);
    code.get(COUNT);
    code.i32(vector);
    code.returnCall(core.raise);
    code.end();
  }

  function collectMemoryUses(root: Expr, into: Set<number>): void {
    eachLeaf(root, (leaf) => { if (leaf.index >= 0 && operands[leaf.index]?.kind === 'memory') into.add(leaf.index); });
  }
}

function eachLeaf(root: Expr, visit: (leaf: Extract<Expr, { kind: 'operand' | 'address' }>) => void, seen = new Set<Expr>()): void {
  if (seen.has(root)) return;
  seen.add(root);
  const inner = (child: Expr) => { eachLeaf(child, visit, seen); };
  switch (root.kind) {
    case 'operand': case 'address': visit(root); break;
    case 'load': inner(root.address); break;
    case 'unary': case 'extend': case 'slice': inner(root.value); break;
    case 'binary': case 'compare': inner(root.left); inner(root.right); break;
    case 'select': inner(root.condition); inner(root.whenTrue); inner(root.whenFalse); break;
    case 'join': inner(root.high); inner(root.low); break;
    case 'call': root.arguments.forEach(inner); break;
    default: break;
  }
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
  if (value.width !== 128) {
    pushAddress();
    emitter.push(value);
    return code.store(storeOp[value.width as Plain], offset);
  }
  const low = emitter.temporary(I64), high = emitter.temporary(I64);
  emitter.push(value);
  code.set(high);
  code.set(low);
  pushAddress();
  code.get(low);
  code.store(Op.i64Store, offset);
  pushAddress();
  code.get(high);
  code.store(Op.i64Store, offset + 8);
}

/** Flags first: they are computed from registers as they were. All values of registers stand in locals already. */
function commit(handler: Handler): void {
  const { code, shape, emitter } = handler;
  const { result, second, registers, flags, df } = shape.outcome;
  if (flags) {
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
    if ((operands[index] as RegisterOperand).file !== 'general') throw new Error(`${shape.key}: writes a register that is not general`);
    writeRegister(handler, value, () => { code.get(handler.place(index)); }, 0);
  };
  toOperand(1, second);
  toOperand(0, result);
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
  code.get(RECORD);
  code.get(COUNT);
  code.i32(13);
  code.returnCall(core.raise);
  code.end();
  code.i32(0);
  code.end();
  code.set(jump.record);
}

/** Ends the handler: on to the next record or to the branch's target. After a slow store, only if that allows it. */
export function leave(handler: Handler, slow: number | undefined): void {
  const { code, core, shape, type } = handler;
  const { branch } = shape.outcome;
  const relook = (pushRip: () => void) => {
    if (slow === undefined) return;
    code.get(slow);
    code.i32(1);
    code.op(Op.i32GtU);
    code.if();
    pushRip();
    code.get(COUNT);
    code.get(slow);
    code.returnCall(core.relook);
    code.end();
  };
  if (branch?.when) {
    handler.emitter.pushTruth(branch.when);
    code.if();
  }
  if (branch && shape.direct) {
    relook(() => {
      code.get(RECORD);
      code.load(Op.i64Load, Field.immediate);
    });
    dispatchTo(code, type, () => {
      code.get(RECORD);
      code.load(Op.i32Load, Field.taken);
    });
  } else if (branch) {
    const jump = handler.jump!;
    relook(() => { code.get(jump.target); });
    code.get(jump.record);
    code.if();
    dispatchTo(code, type, () => { code.get(jump.record); });
    code.end();
    code.get(jump.target);
    code.get(COUNT);
    code.returnCall(core.lookup);
  }
  if (branch?.when) code.end();
  if (branch && !branch.when) return;
  relook(() => { pushNextRip(handler); });
  dispatchNext(code, type);
}

/** RIP of the next instruction as i64. */
export function pushNextRip({ code, shape }: Handler): void {
  code.get(RECORD);
  code.load(Op.i64Load, Field.rip);
  code.get(RECORD);
  code.load(Op.i64Load8U, Field.length);
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
