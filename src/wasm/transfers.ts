// Exceptions, INT n and IRET in WebAssembly alone, where `cpu/transfers.ts` remembers what came of the same transfer before and nothing that
// it rested on has changed. Everything else is left to TypeScript. Called by `handlers.ts` and `index.ts`; it decides nothing itself.
import { TF, RF, NT, VM, AC, VIF, VIP } from '../cpu/flags.ts';
import { CS, SS } from '../cpu/segments.ts';
import { placeOf, placeOfSegment, SEGMENT_SELECTOR, SEGMENT_SIZE } from '../cpu/state.ts';
import { LEGACY_RETURN, LONG_RETURN, Transfer, transferRegisters } from '../cpu/transfers.ts';
import { bit, constant, or, shiftLeft, zeroExtend, type Expr } from '../semantics/expr.ts';
import type { Flags } from '../semantics/outcome.ts';
import { pushHit, pushHost, type Probed } from './access.ts';
import { dispatchNext, dispatchTo, emitCount, HANDLER, pushJumpHit, RECORD, COUNT, Slot, typeOf, type Core } from './core.ts';
import { Emitter, type Binding, type Functions } from './emit.ts';
import { I32, I64, Module, Op, type Code } from './encode.ts';
import { flagBefore, lazyFlags, LAZY_CARRIES, LAZY_RESULT } from './lazy-flags.ts';
import { Field, JUMP_ENTRY_RECORD } from './layout.ts';

const RSP = placeOf('rsp'), RIP = placeOf('rip'), FLAGS = placeOf('rflagsSystem'), RESULT = placeOf('flagResult'), CARRIES = placeOf('flagCarries');
/** Where one of these is not 0, or one of these flags is set, the moment is not plain: something is due, is watched or is told of. */
const PLAIN_WORDS = ['cpl', 'pending', 'pendingDebug', 'interruptShadow', 'debugCtl', 'guestMode'] as const;
const SPECIAL_FLAGS = TF | RF | NT | VM | AC | VIF | VIP;
/** DR7 when no breakpoint is armed. */
const NO_BREAKPOINTS = 0x400;
/** What is different in long mode: the words of a gate and the items of a frame, RIP, CS, RFLAGS, and in long mode RSP and SS. */
interface Form {
  readonly gateWords: 1 | 2;
  readonly itemBytes: 4 | 8;
  readonly frameBytes: number;
  readonly returnEntry: number;
  /** Of an item. */
  readonly load: number;
  readonly store: number;
  /** Of 32 bits as an item. */
  readonly load32: number;
}
const LONG: Form = { gateWords: 2, itemBytes: 8, frameBytes: 40, returnEntry: LONG_RETURN, load: Op.i64Load, store: Op.i64Store, load32: Op.i64Load32U };
const LEGACY: Form = { gateWords: 1, itemBytes: 4, frameBytes: 12, returnEntry: LEGACY_RETURN, load: Op.i32Load, store: Op.i32Store, load32: Op.i32Load };
const CODE_BYTES = 8;

/** The six flags at their places in RFLAGS, and back: `image` is then operand 0. */
const at = (flag: Expr, place: number): Expr => shiftLeft(zeroExtend(32, flag), constant(32, place));
const { cf, pf, af, zf, sf, of } = flagBefore;
const packed = [at(cf, 0), at(pf, 2), at(af, 4), at(zf, 6), at(sf, 7), at(of, 11)].reduce((left, right) => or(left, right));
const IMAGE = 0, image: Expr = { kind: 'operand', width: 32, index: IMAGE };
const unpacked = lazyFlags({ cf: bit(image, 0), pf: bit(image, 2), af: bit(image, 4), zf: bit(image, 6), sf: bit(image, 7), of: bit(image, 11) } satisfies Flags);

/** Emits a handler; the answer is its function index. */
type Emit = (module: Module, core: Core, functions: Functions) => number;

/** A handler that leaves the label `slow` for the handler of system instructions. */
function withFallback(module: Module, emit: (code: Code, slow: number, type: number) => void): number {
  const type = typeOf(module, HANDLER), { code, index } = module.function(type);
  const slow = code.block();
  emit(code, slow, type);
  code.end();
  code.get(RECORD);
  code.get(COUNT);
  code.i32(Slot.system);
  code.returnCallIndirect(type);
  return index;
}

// ── Through a gate ──

/** `INT n`: the entry is in the record. */
const emitInterrupt = (form: Form): Emit => (module, core, functions) => withFallback(module, (code, slow, type) => {
  const locals: Locals = { entry: code.local(I32), linear: code.local(I64), tlb: code.local(I32), host: code.local(I32) };
  code.get(RECORD);
  code.load(Op.i32Load, Field.place);
  code.set(locals.entry);
  locateFrame(code, slow, form, locals, form.frameBytes, () => { code.i64Small(form.frameBytes); });
  emitCount(code, core);
  enterHandler(code, form, locals, () => {
    code.get(RECORD);
    code.load(form.load, Field.rip);
    code.get(RECORD);
    code.load(form === LONG ? Op.i64Load8U : Op.i32Load8U, Field.length);
    code.op(form === LONG ? Op.i64Add : Op.i32Add);
  }, () => {
    const emitter = new Emitter(module, code, bindingOf(code, -1), functions);
    emitter.begin([packed]);
    emitter.push(packed);
    code.i32(0);
    code.load(Op.i32Load, FLAGS);
    code.op(Op.i32Or);
  });
  code.get(locals.entry);
  code.load(Op.i64Load, Transfer.target);
  code.set(locals.linear);
  goTo(code, core, type, locals.linear, locals.tlb);
});

/** Parameters of the delivery that TypeScript calls: the entry, the RFLAGS image, the error code, and 8 or, without one, 0. Its result is
 * 1, or 0 when nothing was done. */
export type Redeliver = (entry: number, flags: number, errorCode: number, codeBytes: number) => number;

/** An exception in long mode: RIP is that of the instruction. */
export function instantiateRedelivery(memory: WebAssembly.Memory): Redeliver {
  const module = new Module();
  module.importMemory('core', 'memory');
  const { code, index } = module.function(module.type([I32, I32, I32, I32], [I32]));
  const flags = 1, errorCode = 2, codeBytes = 3;
  const slow = code.block();
  const locals: Locals = { entry: 0, linear: code.local(I64), tlb: code.local(I32), host: code.local(I32) };
  locateFrame(code, slow, LONG, locals, LONG.frameBytes + CODE_BYTES, () => {
    code.i64Small(LONG.frameBytes);
    code.get(codeBytes);
    code.op(Op.i64ExtendI32U);
    code.op(Op.i64Add);
  });
  code.get(locals.host);
  code.get(errorCode);
  code.op(Op.i64ExtendI32U);
  code.store(Op.i64Store);
  code.get(locals.host);
  code.get(codeBytes);
  code.op(Op.i32Add);
  code.set(locals.host);
  enterHandler(code, LONG, locals, () => {
    code.i32(0);
    code.load(Op.i64Load, RIP);
  }, () => { code.get(flags); });
  code.i32(0);
  code.get(locals.entry);
  code.load(Op.i64Load, Transfer.target);
  code.store(Op.i64Store, RIP);
  code.i32(1);
  code.return();
  code.end();
  code.i32(0);
  module.export('redeliver', index);
  return new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { core: { memory } }).exports['redeliver'] as Redeliver;
}

/** Leaves for `slow` unless all is as it was; sets `linear` to the new RSP, for a frame of as many bytes as `pushBytes` says, and `host` to
 * where that is. `room` bytes from there on are in the page. */
function locateFrame(code: Code, slow: number, form: Form, locals: Locals, room: number, pushBytes: () => void): void {
  leaveUnlessPlain(code, slow);
  for (const name of Object.keys(transferRegisters) as (keyof typeof transferRegisters)[]) leaveUnlessSame(code, slow, locals.entry, name);
  leaveUnlessWords(code, slow, locals, Transfer.gateLinear, Transfer.gate, form.gateWords);
  leaveUnlessWords(code, slow, locals, Transfer.codeLinear, Transfer.codeDescriptor, 1);
  code.i32(0);
  code.load(Op.i64Load, RSP);
  if (form === LONG) {
    // "The processor aligns RSP to a 16-byte boundary" (APM Vol. 2, 8.9.3).
    code.i64Small(-16);
    code.op(Op.i64And);
  }
  pushBytes();
  code.op(Op.i64Sub);
  if (form === LEGACY) truncate(code);
  code.set(locals.linear);
  locate(code, slow, locals, room, true);
}
/** An i64 to its lower half. */
function truncate(code: Code): void {
  code.i64(0xffffffffn);
  code.op(Op.i64And);
}

/** Stores the frame at `host`, and loads RSP, CS and RFLAGS. */
function enterHandler(code: Code, form: Form, { entry, linear, host }: Locals, pushReturn: () => void, pushFlags: () => void): void {
  const items = [pushReturn, () => { pushSelector(code, form, CS); }, () => {
    pushFlags();
    if (form === LONG) code.op(Op.i64ExtendI32U);
  }];
  if (form === LONG) {
    items.push(() => {
      code.i32(0);
      code.load(Op.i64Load, RSP);
    }, () => { pushSelector(code, form, SS); });
  }
  items.forEach((push, index) => {
    code.get(host);
    push();
    code.store(form.store, index * form.itemBytes);
  });
  setRsp(code, linear);
  loadSegment(code, entry, Transfer.code, CS);
  code.i32(0);
  code.i32(0);
  code.load(Op.i32Load, FLAGS);
  code.get(entry);
  code.load(Op.i32Load, Transfer.flags);
  code.op(Op.i32And);
  code.store(Op.i32Store, FLAGS);
}

// ── Back ──

/** IRETQ, and IRETD outside long mode, to the same level. */
const emitReturn = (form: Form): Emit => (module, core, functions) => withFallback(module, (code, slow, type) => {
  const entry = code.local(I32), linear = code.local(I64), tlb = code.local(I32), host = code.local(I32), frame = code.local(I32), flags = code.local(I32);
  const locals: Locals = { entry, linear, tlb, host };
  const item = (index: number): number => index * form.itemBytes;
  code.i32(form.returnEntry);
  code.set(entry);
  leaveUnlessPlain(code, slow);
  for (const name of ['gdtrBase', 'gdtrLimit', 'cr4', 'efer'] as const) leaveUnlessSame(code, slow, entry, name);
  code.i32(0);
  code.load(Op.i64Load, RSP);
  code.set(linear);
  locate(code, slow, { ...locals, host: frame }, form.frameBytes, false);
  leaveUnlessSelector(code, slow, frame, item(1), entry, Transfer.codeSelector);
  if (form === LONG) leaveUnlessSelector(code, slow, frame, item(4), entry, Transfer.stackSelector);
  code.get(frame);
  code.load(Op.i32Load, item(2));
  code.tee(flags);
  // RF keeps one instruction from breakpoints, and none is armed.
  code.i32(SPECIAL_FLAGS & ~RF);
  code.op(Op.i32And);
  code.brIf(slow);
  if (form === LONG) leaveUnlessCanonical(code, slow, frame);
  leaveUnlessWords(code, slow, locals, Transfer.codeLinear, Transfer.codeDescriptor, 1);
  if (form === LONG) leaveUnlessWords(code, slow, locals, Transfer.stackLinear, Transfer.stackDescriptor, 1);
  emitCount(code, core);

  loadSegment(code, entry, Transfer.code, CS);
  if (form === LONG) loadSegment(code, entry, Transfer.stack, SS);
  setFlags(code, module, functions, entry, flags);
  code.i32(0);
  code.i32(0);
  code.store(Op.i32Store, placeOf('nmiBlocked'));
  if (form === LONG) {
    code.get(frame);
    code.load(Op.i64Load, item(3));
  } else {
    code.i32(0);
    code.load(Op.i64Load, RSP);
    code.i64Small(form.frameBytes);
    code.op(Op.i64Add);
    truncate(code);
  }
  code.set(linear);
  setRsp(code, linear);
  code.get(frame);
  code.load(form === LONG ? Op.i64Load : Op.i64Load32U);
  code.set(linear);
  goTo(code, core, type, linear, tlb);
});

function leaveUnlessSelector(code: Code, slow: number, frame: number, offset: number, entry: number, place: number): void {
  code.get(frame);
  code.load(Op.i32Load16U, offset);
  code.get(entry);
  code.load(Op.i32Load, place);
  code.op(Op.i32Ne);
  code.brIf(slow);
}
/** Canonical in 48 bits is so in 57. */
function leaveUnlessCanonical(code: Code, slow: number, frame: number): void {
  code.get(frame);
  code.load(Op.i64Load);
  code.i64Small(16);
  code.op(Op.i64Shl);
  code.i64Small(16);
  code.op(Op.i64ShrS);
  code.get(frame);
  code.load(Op.i64Load);
  code.op(Op.i64Ne);
  code.brIf(slow);
}
/** RFLAGS from the image in `flags`, as far as the entry says. */
function setFlags(code: Code, module: Module, functions: Functions, entry: number, flags: number): void {
  const { result, carries } = unpacked, emitter = new Emitter(module, code, bindingOf(code, flags), functions);
  emitter.begin([result!, carries!]);
  code.i32(0);
  emitter.push(result!);
  code.store(Op.i64Store, RESULT);
  code.i32(0);
  emitter.push(carries!);
  code.store(Op.i32Store, CARRIES);
  code.i32(0);
  code.i32(0);
  code.load(Op.i32Load, FLAGS);
  code.get(entry);
  code.load(Op.i32Load, Transfer.flags);
  code.i32(-1);
  code.op(Op.i32Xor);
  code.op(Op.i32And);
  code.get(flags);
  code.get(entry);
  code.load(Op.i32Load, Transfer.flags);
  code.op(Op.i32And);
  code.op(Op.i32Or);
  code.store(Op.i32Store, FLAGS);
}

/** INVLPG: the TLB is coherent with the tables. */
const emitInvalidation: Emit = (module, core) => withFallback(module, (code, slow, type) => {
  leaveUnlessPlain(code, slow);
  emitCount(code, core);
  dispatchNext(code, type);
});

/** What has a handler before that of system instructions. */
export const emitTransfer = {
  interrupt: emitInterrupt(LONG), return: emitReturn(LONG), legacyInterrupt: emitInterrupt(LEGACY), legacyReturn: emitReturn(LEGACY), invlpg: emitInvalidation,
} as const;

// ── Pieces ──

function leaveUnlessPlain(code: Code, slow: number): void {
  code.i32(0);
  code.load(Op.i32Load, FLAGS);
  code.i32(SPECIAL_FLAGS);
  code.op(Op.i32And);
  for (const name of PLAIN_WORDS) {
    code.i32(0);
    code.load(Op.i32Load, placeOf(name));
    code.op(Op.i32Or);
  }
  code.i32(0);
  code.load(Op.i32Load, placeOf('dr7'));
  code.i32(NO_BREAKPOINTS);
  code.op(Op.i32Xor);
  code.op(Op.i32Or);
  code.brIf(slow);
}

function leaveUnlessSame(code: Code, slow: number, entry: number, name: keyof typeof transferRegisters): void {
  const isLong = transferRegisters[name] === 'u64', load = isLong ? Op.i64Load : Op.i32Load;
  code.i32(0);
  code.load(load, placeOf(name));
  code.get(entry);
  code.load(load, Transfer[name]);
  code.op(isLong ? Op.i64Ne : Op.i32Ne);
  code.brIf(slow);
}

/** The entry; a linear address (i64), its TLB entry, and its host address. */
interface Locals { readonly entry: number; readonly linear: number; readonly tlb: number; readonly host: number }
/** Sets `host` for supervisor accesses of `bytes` bytes at `linear`. */
function locate(code: Code, slow: number, { linear, tlb, host }: Locals, bytes: number, write: boolean): void {
  const target: Probed = { offset: linear, linear, segment: SS, segmentation: 'flat', bytes, alignment: 0, mode: SUPERVISOR };
  pushHit(code, target, write, tlb);
  code.op(Op.i32Eqz);
  code.brIf(slow);
  pushHost(code, target, write, tlb);
  code.set(host);
}
const SUPERVISOR = { user: false, alignmentCheck: false } as const;

/** `count` u64 of guest memory that must be what they were. */
function leaveUnlessWords(code: Code, slow: number, locals: Locals, linear: number, words: number, count: number): void {
  code.get(locals.entry);
  code.load(Op.i64Load, linear);
  code.set(locals.linear);
  locate(code, slow, locals, 8 * count, false);
  for (let word = 0; word < count; word++) {
    code.get(locals.host);
    code.load(Op.i64Load, 8 * word);
    code.get(locals.entry);
    code.load(Op.i64Load, words + 8 * word);
    code.op(Op.i64Ne);
    code.brIf(slow);
  }
}

function pushSelector(code: Code, form: Form, segment: number): void {
  code.i32(0);
  code.load(form.load32, placeOfSegment(segment) + SEGMENT_SELECTOR);
}
function setRsp(code: Code, value: number): void {
  code.i32(0);
  code.get(value);
  code.store(Op.i64Store, RSP);
}
function loadSegment(code: Code, entry: number, from: number, segment: number): void {
  for (let offset = 0; offset < SEGMENT_SIZE; offset += 8) {
    code.i32(0);
    code.get(entry);
    code.load(Op.i64Load, from + offset);
    code.store(Op.i64Store, placeOfSegment(segment) + offset);
  }
}

/** On to `target`, through the jump cache. */
function goTo(code: Code, core: Core, type: number, target: number, found: number): void {
  pushJumpHit(code, target, found);
  code.if();
  dispatchTo(code, type, () => {
    code.get(found);
    code.load(Op.i32Load, JUMP_ENTRY_RECORD);
  });
  code.end();
  code.get(target);
  code.get(COUNT);
  code.returnCall(core.lookup);
}

/** The lazy words in the vCPU file, and an RFLAGS image in a local. */
function bindingOf(code: Code, local: number): Binding {
  const none = (): never => { throw new Error('only flags are read here'); };
  return {
    constant: () => undefined, upper: none, pushAddress: none, pushRegister: none, pushNextIp: none, pushLoad: none, flag: none, condition: none,
    pushOperand({ index }) {
      if (index === IMAGE) return code.get(local);
      code.i32(0);
      if (index === LAZY_RESULT) code.load(Op.i64Load, RESULT);
      else if (index === LAZY_CARRIES) code.load(Op.i32Load, CARRIES);
      else none();
    },
  };
}
