// The fixed part of the engine in WebAssembly: how a chain of handlers is entered and left, the slow paths of memory accesses, and the
// handlers that stand for no instruction. One instance; handlers and translated regions import its functions. Called by `index.ts`.
import { Access, Stop } from '../cpu/engine.ts';
import { placeOf } from '../cpu/state.ts';
import { I32, I64, Module, Op, type Code, type ValueType } from './encode.ts';
import { Cell, Field, RECORD_SIZE } from './layout.ts';

/** What a chain returns besides `Stop`: RIP and budget are exact, find the code there. */
export const LOOKUP = 16;
/** The same, but the mode may have changed too. */
export const MOVED = 17;

/** Handlers that stand for no instruction, at the beginning of the table. */
export const Slot = {
  /** A record whose code was overwritten. */
  stale: 0,
  /** On to the instruction pointer in the record, through the jump cache. */
  goto: 1,
  /** On to the record in `taken`. */
  follow: 2,
  /** On to the instruction pointer in the record, which lies in this page and has not been decoded yet. */
  link: 3,
  /** Bytes that are no instruction: the vector is in the first `place`. */
  undecodable: 4,
  /** An instruction that TypeScript does. */
  system: 5,
  /** The jump cache has no entry; RIP is set. */
  miss: 6,
  first: 7,
} as const;

/** Parameters and results of the core's functions; a handler is (record, count) to reason. */
type Signature = readonly [readonly ValueType[], readonly ValueType[]];
export const HANDLER: Signature = [[I32, I32], [I32]];
export const typeOf = (module: Module, [parameters, results]: Signature): number => module.type(parameters, results);
const signatures = {
  leave: [[I32, I32, I32], [I32]], failed: [[I32, I32], [I32]], raise: [[I32, I32, I32], [I32]],
  readSlow: [[I32, I32, I64, I32], [I32]], writeSlow: [[I32, I32, I64, I32], [I32]],
  readChecked: [[I32, I32, I64, I32, I32], [I32]], writeChecked: [[I32, I32, I64, I32, I32], [I32]],
  relook: [[I64, I32, I32], [I32]], lookup: [[I64, I32], [I32]], isTarget: [[I64], [I32]],
} as const satisfies Record<string, Signature>;
export type CoreFunction = keyof typeof signatures;
/** Function indexes of the core's functions in a module that imported them. */
export type Core = Readonly<Record<CoreFunction, number>>;

/** Imports memory, table and the core's functions into a module of handlers. Call it first. */
export function importCore(module: Module): Core {
  module.importMemory('core', 'memory');
  module.importTable('core', 'table');
  const core = {} as Record<CoreFunction, number>;
  for (const name of Object.keys(signatures) as CoreFunction[]) {
    core[name] = module.importFunction('core', name, typeOf(module, signatures[name]));
  }
  return core;
}

/** What the core asks TypeScript. All addresses and counts are in linear memory already. */
export interface Outside {
  readSlow(access: number): number;
  writeSlow(access: number): number;
  failure(): number;
  /** Does the system instruction of a record: -1 to go on behind it, the record to go on with, or a reason to leave. */
  system(record: number): number;
  /** Decodes the target of a `link` record: the record to go on with. */
  link(record: number): number;
  /** Whether a branch may go to `cpu.nextRip`. */
  isTarget(): number;
}

export interface CoreExports extends Readonly<Record<CoreFunction, CallableFunction>> {
  enter(record: number, count: number): number;
}

/** Leaves the table with its first slots filled. */
export function instantiateCore(memory: WebAssembly.Memory, table: WebAssembly.Table, outside: Outside): CoreExports {
  const module = new Module();
  module.importMemory('core', 'memory');
  module.importTable('core', 'table');
  const unary = module.type([I32], [I32]), nullary = module.type([], [I32]);
  const imported = {
    readSlow: module.importFunction('outside', 'readSlow', unary), writeSlow: module.importFunction('outside', 'writeSlow', unary),
    failure: module.importFunction('outside', 'failure', nullary), system: module.importFunction('outside', 'system', unary),
    link: module.importFunction('outside', 'link', unary), isTarget: module.importFunction('outside', 'isTarget', nullary),
  };
  const own = {} as Record<CoreFunction, number>;
  const define = (name: CoreFunction, write: (code: Code) => void) => {
    const { code, index } = module.function(typeOf(module, signatures[name]));
    write(code);
    module.export(name, index);
    own[name] = index;
  };
  const handlerType = typeOf(module, HANDLER);

  define('leave', (code) => {
    setRip(code);
    setBudget(code, 1);
    code.get(2);
  });
  define('failed', (code) => {
    giveBack(code);
    code.call(imported.failure);
    code.call(own.leave);
  });
  define('raise', (code) => {
    setField(code, 'faultVector', () => { code.get(2); });
    setField(code, 'faultErrorCode', () => { code.i32(0); });
    giveBack(code);
    code.i32(Stop.fault);
    code.call(own.leave);
  });
  for (const [name, outer] of [['readSlow', imported.readSlow], ['writeSlow', imported.writeSlow]] as const) {
    define(name, (code) => {
      setRip(code);
      setBudget(code, 1);
      code.i32(0);
      code.get(2);
      code.store(Op.i64Store, placeOf('slowLinear'));
      code.get(3);
      code.call(outer);
    });
  }
  for (const [name, outer] of [['readChecked', imported.readSlow], ['writeChecked', imported.writeSlow]] as const) {
    define(name, (code) => {
      setRip(code);
      setBudget(code, 1);
      code.i32(0);
      code.get(2);
      code.store(Op.i64Store, placeOf('slowOffset'));
      setField(code, 'slowSegment', () => { code.get(3); });
      code.get(4);
      code.i32(Access.checkSegment);
      code.op(Op.i32Or);
      code.call(outer);
    });
  }
  define('relook', (code) => {
    code.i32(0);
    code.get(0);
    code.store(Op.i64Store, placeOf('rip'));
    setBudget(code, 1);
    // Written.relook is 2, Written.attention 3.
    code.i32(Stop.attention);
    code.i32(LOOKUP);
    code.get(2);
    code.i32(3);
    code.op(Op.i32Eq);
    code.op(Op.select);
  });
  define('lookup', (code) => {
    code.i32(0);
    code.get(0);
    code.store(Op.i64Store, placeOf('rip'));
    setBudget(code, 1);
    code.i32(LOOKUP);
  });
  define('isTarget', (code) => {
    code.i32(0);
    code.get(0);
    code.store(Op.i64Store, placeOf('nextRip'));
    code.call(imported.isTarget);
  });

  const handlers: number[] = [];
  const handler = (slot: number, write: (code: Code) => void) => {
    const { code, index } = module.function(handlerType);
    write(code);
    handlers[slot] = index;
  };
  handler(Slot.stale, (code) => {
    code.get(0);
    code.get(1);
    code.i32(LOOKUP);
    code.returnCall(own.leave);
  });
  handler(Slot.goto, (code) => {
    const target = code.local(I64), entry = code.local(I32);
    code.get(0);
    code.load(Op.i64Load, Field.rip);
    code.set(target);
    pushJumpHit(code, target, entry);
    code.if();
    dispatchTo(code, handlerType, () => {
      code.get(entry);
      code.load(Op.i32Load, 8);
    });
    code.end();
    code.get(target);
    code.get(1);
    code.returnCall(own.lookup);
  });
  handler(Slot.follow, (code) => {
    dispatchTo(code, handlerType, () => {
      code.get(0);
      code.load(Op.i32Load, Field.taken);
    });
  });
  handler(Slot.link, (code) => {
    setRip(code);
    setBudget(code, 1);
    dispatchTo(code, handlerType, () => {
      code.get(0);
      code.call(imported.link);
    });
  });
  handler(Slot.undecodable, (code) => {
    emitCount(code, own);
    code.get(0);
    code.get(1);
    code.get(0);
    code.load(Op.i32Load, Field.place);
    code.returnCall(own.raise);
  });
  handler(Slot.system, (code) => {
    emitCount(code, own);
    const done = code.local(I32);
    setRip(code);
    setBudget(code, 1);
    code.i32(0);
    code.get(RECORD);
    code.load(Op.i64Load, Field.rip);
    code.get(RECORD);
    code.load(Op.i64Load8U, Field.length);
    code.op(Op.i64Add);
    code.store(Op.i64Store, placeOf('nextRip'));
    code.get(0);
    code.call(imported.system);
    code.tee(done);
    code.i32(-1);
    code.op(Op.i32Ne);
    code.if();
    code.get(done);
    code.i32(MOVED);
    code.op(Op.i32LeU);
    code.if();
    code.get(done);
    code.return();
    code.end();
    loadCount(code);
    dispatchTo(code, handlerType, () => { code.get(done); });
    code.end();
    loadCount(code);
    dispatchNext(code, handlerType);
  });
  handler(Slot.miss, (code) => {
    setBudget(code, 1);
    code.i32(LOOKUP);
  });

  const { code, index } = module.function(handlerType);
  code.get(0);
  code.get(1);
  code.get(0);
  code.load(Op.i32Load, Field.handler);
  code.callIndirect(handlerType);
  module.export('enter', index);
  module.element(0, handlers);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { core: { memory, table }, outside: { ...outside } });
  return instance.exports as unknown as CoreExports;
}

// ── Pieces of code; record and count are locals 0 and 1 of every handler ──

export const RECORD = 0, COUNT = 1;

function setField(code: Code, name: Parameters<typeof placeOf>[0], push: () => void): void {
  code.i32(0);
  push();
  code.store(Op.i32Store, placeOf(name));
}
/** RIP from the record. */
function setRip(code: Code): void {
  code.i32(0);
  code.get(RECORD);
  code.load(Op.i64Load, Field.rip);
  code.store(Op.i64Store, placeOf('rip'));
}
function setBudget(code: Code, countLocal: number): void {
  setField(code, 'budget', () => {
    code.get(countLocal);
    code.i32(0);
    code.load(Op.i32Load, Cell.reserve);
    code.op(Op.i32Add);
  });
}
/** Pushes record and the count with this instruction given back. */
function giveBack(code: Code): void {
  code.get(RECORD);
  code.get(COUNT);
  code.i32(1);
  code.op(Op.i32Add);
}
function loadCount(code: Code): void {
  code.i32(0);
  code.load(Op.i32Load, Cell.count);
  code.set(COUNT);
}

/** The beginning of a group: the budget must hold all of it, else its first instruction is done alone. */
export function emitGroupCount(code: Code, handlerType: number, instructions: number): void {
  code.get(COUNT);
  code.i32(instructions);
  code.op(Op.i32LtU);
  code.if();
  code.get(RECORD);
  code.get(COUNT);
  code.get(RECORD);
  code.load(Op.i32Load, Field.plain);
  code.returnCallIndirect(handlerType);
  code.end();
  code.get(COUNT);
  code.i32(instructions);
  code.op(Op.i32Sub);
  code.set(COUNT);
}

/** The beginning of every instruction: it counts, or stops because the budget is used up. */
export function emitCount(code: Code, core: Pick<Core, 'leave'>): void {
  code.get(COUNT);
  code.i32(1);
  code.op(Op.i32Sub);
  code.tee(COUNT);
  code.i32(0);
  code.op(Op.i32LtS);
  code.if();
  code.get(RECORD);
  code.i32(0);
  code.i32(Stop.budget);
  code.returnCall(core.leave);
  code.end();
}

/** Where in a group of instructions a piece of code stands: a handler for one instruction is a group of one. */
export interface Position {
  /** Bytes from the record of the group to that of this instruction. */
  readonly skip: number;
  /** Instructions of the group behind this one: they are counted already. */
  readonly behind: number;
}
export const ALONE: Position = { skip: 0, behind: 0 };

/** The address of this instruction's record. */
export function pushRecord(code: Code, { skip }: Position): void {
  code.get(RECORD);
  if (skip === 0) return;
  code.i32(skip);
  code.op(Op.i32Add);
}
/** The count with this instruction taken off, and nothing behind it. */
export function pushCount(code: Code, { behind }: Position): void {
  code.get(COUNT);
  if (behind === 0) return;
  code.i32(behind);
  code.op(Op.i32Add);
}

/** On to the record that follows. */
export function dispatchNext(code: Code, handlerType: number, position = ALONE): void {
  pushRecord(code, { ...position, skip: position.skip + RECORD_SIZE });
  pushCount(code, position);
  code.get(RECORD);
  code.load(Op.i32Load, position.skip + RECORD_SIZE + Field.handler);
  code.returnCallIndirect(handlerType);
}

/** On to a record whose address `push` leaves on the stack. */
export function dispatchTo(code: Code, handlerType: number, push: () => void, position = ALONE): void {
  push();
  code.tee(RECORD);
  pushCount(code, position);
  code.get(RECORD);
  code.load(Op.i32Load, Field.handler);
  code.returnCallIndirect(handlerType);
}

/** Leaves the truth on the stack whether the jump cache knows the target; `entry` is then the entry's address, its record 8 behind. */
export function pushJumpHit(code: Code, target: number, entry: number): void {
  code.get(target);
  code.op(Op.i32WrapI64);
  code.tee(entry);
  code.get(entry);
  code.i32(7);
  code.op(Op.i32ShrU);
  code.op(Op.i32Xor);
  code.i32(4);
  code.op(Op.i32Shl);
  code.i32(0xfff0);
  code.op(Op.i32And);
  code.i32(0);
  code.load(Op.i32Load, Cell.jumpCache);
  code.op(Op.i32Add);
  code.tee(entry);
  code.load(Op.i64Load);
  code.get(target);
  code.op(Op.i64Eq);
}
/** The same place, computed in TypeScript. */
export const jumpEntryOffset = (low: number): number => ((low ^ low >>> 7) << 4) & 0xfff0;
