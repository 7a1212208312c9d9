// Repeated string instructions: the loop over elements, and runs of MOVS and STOS over plain RAM in bulk. Part of the interpreter. Counts,
// faults and interruption points are those of the element-wise definition (APM Vol. 3, 1.2.6).
import { DF } from '../cpu/flags.ts';
import { placeOf, placeOfGeneral } from '../cpu/state.ts';
import { COUNT, RECORD, dispatchNext } from './core.ts';
import { I32, I64, Op, VOID } from './encode.ts';
import { emitEffects, emitReads, leaveAtBudget, pushNextRip, type Handler } from './interpreter.ts';
import { Field } from './layout.ts';
import { pushHit, pushHost, type Target } from './access.ts';
import { locate } from './access.ts';
import { segmentation } from './shapes.ts';
import { segmentNames, type MemoryOperand } from '../isa/instruction.ts';

const RCX = placeOfGeneral(1), RSI = placeOfGeneral(6), RDI = placeOfGeneral(7);

/** One count has been taken for the first element (or for finding rCX 0) already. */
export function emitRepeat(handler: Handler): void {
  const { code, shape, type, core } = handler;
  const { addressSize, rep } = shape.instruction;
  const compares = shape.outcome.string!.comparesFlags;
  const pushCounter = () => {
    code.i32(0);
    code.load(addressSize === 64 ? Op.i64Load : addressSize === 32 ? Op.i64Load32U : Op.i64Load16U, RCX);
  };
  const next = code.block();
  pushCounter();
  code.op(Op.i64Eqz);
  code.brIf(next);
  const again = code.loop();
  emitBulk(handler, pushCounter, next);
  emitReads(handler);
  const finished = code.local(I32);
  emitEffects(handler, (slow) => {
    // rCX counts down with the element.
    code.i32(0);
    pushCounter();
    code.i64Small(1);
    code.op(Op.i64Sub);
    if (addressSize === 32) {
      code.i64(0xffffffffn);
      code.op(Op.i64And);
    }
    code.store(addressSize === 16 ? Op.i64Store16 : Op.i64Store, RCX);
    pushCounter();
    code.op(Op.i64Eqz);
    if (compares) {
      code.i32(0);
      code.load(Op.i64Load, placeOf('flagResult'));
      code.op(Op.i64Eqz);
      if (rep === 'rep') code.op(Op.i32Eqz);
      code.op(Op.i32Or);
    }
    code.set(finished);
    if (slow !== undefined) {
      code.get(slow);
      code.i32(1);
      code.op(Op.i32GtU);
      code.if();
      pushNextRip(handler);
      code.get(RECORD);
      code.load(Op.i64Load, Field.rip);
      code.get(finished);
      code.op(Op.select);
      code.get(COUNT);
      code.get(slow);
      code.returnCall(core.relook);
      code.end();
    }
    code.get(finished);
    code.brIf(next);
    countElement(handler);
    code.br(again);
  });
  code.end();
  code.end();
  dispatchNext(code, type);
}

/** The next element counts as an instruction. */
function countElement(handler: Handler): void {
  const { code } = handler;
  code.get(COUNT);
  code.i32(1);
  code.op(Op.i32Sub);
  code.tee(COUNT);
  code.i32(0);
  code.op(Op.i32LtS);
  code.if();
  leaveAtBudget(handler);
  code.end();
}

/** MOVS and STOS upwards over plain RAM: as many elements at once as rCX, the budget and the pages allow. */
function emitBulk(handler: Handler, pushCounter: () => void, next: number): void {
  const { code, shape } = handler;
  const { mode } = shape;
  const { mnemonic, addressSize, operands } = shape.instruction;
  if ((mnemonic !== 'MOVS' && mnemonic !== 'STOS') || addressSize === 16 || mode.alignmentCheck) return;
  if (operands.some((each) => each.kind === 'memory' && segmentation(each.segment, mode) === 'checked')) return;
  const copies = mnemonic === 'MOVS';
  const size = operands[0]!.width / 8, shift = Math.log2(size);
  const target = code.local(I32), source = code.local(I32), count = code.local(I32);
  const skip = code.block();
  // Downwards, and few elements: one by one.
  code.i32(0);
  code.load(Op.i32Load, placeOf('rflagsSystem'));
  code.i32(DF);
  code.op(Op.i32And);
  code.brIf(skip);
  pushCounter();
  code.i64Small(8);
  code.op(Op.i64LtU);
  code.brIf(skip);
  const room = code.local(I32);
  code.i32(0x1000);
  code.set(room);
  probeBulk(handler, 0, true, RDI, target, room, skip);
  if (copies) probeBulk(handler, 1, false, RSI, source, room, skip);
  // count = min(rCX, budget, room / size)
  code.get(room);
  code.i32(shift);
  code.op(Op.i32ShrU);
  code.set(count);
  const least = (push: () => void) => {
    push();
    code.get(count);
    push();
    code.get(count);
    code.op(Op.i32LtU);
    code.op(Op.select);
    code.set(count);
  };
  least(() => {
    code.get(COUNT);
    code.i32(1);
    code.op(Op.i32Add);
  });
  const counter = code.local(I64);
  pushCounter();
  code.set(counter);
  code.get(counter);
  code.get(count);
  code.op(Op.i64ExtendI32U);
  code.op(Op.i64LtU);
  code.if();
  code.get(counter);
  code.op(Op.i32WrapI64);
  code.set(count);
  code.end();
  code.get(count);
  code.op(Op.i32Eqz);
  code.brIf(skip);
  if (copies) {
    // Bytes copied element by element would be read again when the target lies close above the source.
    code.get(target);
    code.get(source);
    code.op(Op.i32Sub);
    code.i32(1);
    code.op(Op.i32Sub);
    code.get(count);
    code.i32(shift);
    code.op(Op.i32Shl);
    code.i32(1);
    code.op(Op.i32Sub);
    code.op(Op.i32LtU);
    code.brIf(skip);
    code.get(target);
    code.get(source);
    code.get(count);
    code.i32(shift);
    code.op(Op.i32Shl);
    code.memoryCopy();
  } else fill(handler, size, target, count);
  for (const place of copies ? [RDI, RSI] : [RDI]) {
    code.i32(0);
    code.i32(0);
    code.load(Op.i64Load, place);
    code.get(count);
    code.i32(shift);
    code.op(Op.i32Shl);
    code.op(Op.i64ExtendI32U);
    code.op(Op.i64Add);
    if (addressSize === 32) {
      code.i64(0xffffffffn);
      code.op(Op.i64And);
    }
    code.store(Op.i64Store, place);
  }
  code.i32(0);
  code.get(counter);
  code.get(count);
  code.op(Op.i64ExtendI32U);
  code.op(Op.i64Sub);
  code.tee(counter);
  code.store(Op.i64Store, RCX);
  // One of them was counted before.
  code.get(COUNT);
  code.get(count);
  code.op(Op.i32Sub);
  code.i32(1);
  code.op(Op.i32Add);
  code.set(COUNT);
  code.get(counter);
  code.op(Op.i64Eqz);
  code.brIf(next);
  countElement(handler);
  code.end();
}

/** Sets `host` to where the elements of memory operand `index` lie, and lowers `room` to what is left of its page; skips when TLB cannot say. */
function probeBulk(handler: Handler, index: number, write: boolean, pointer: number, host: number, room: number, skip: number): void {
  const { code, shape: { instruction, mode } } = handler;
  const operand = instruction.operands[index] as MemoryOperand;
  const offset = code.local(I64), entry = code.local(I32);
  code.i32(0);
  code.load(instruction.addressSize === 64 ? Op.i64Load : Op.i64Load32U, pointer);
  code.set(offset);
  const kind = segmentation(operand.segment, mode), segment = segmentNames.indexOf(operand.segment);
  const linear = locate(code, (type) => code.local(type), offset, segment, kind);
  const target: Target = { offset, linear, segment, segmentation: kind, bytes: operand.width / 8, alignment: 0, mode, stack: false, position: handler };
  pushHit(code, target, write, entry);
  code.op(Op.i32Eqz);
  code.brIf(skip);
  pushHost(code, target, write, entry);
  code.set(host);
  const left = code.local(I32);
  code.i32(0x1000);
  code.get(linear);
  code.op(Op.i32WrapI64);
  code.i32(0xfff);
  code.op(Op.i32And);
  code.op(Op.i32Sub);
  code.tee(left);
  code.get(room);
  code.get(left);
  code.get(room);
  code.op(Op.i32LtU);
  code.op(Op.select);
  code.set(room);
}

/** Elements of one byte are a fill; wider ones are stored one after the other. */
function fill(handler: Handler, size: number, target: number, count: number): void {
  const { code } = handler;
  const accumulator = placeOfGeneral(0);
  if (size === 1) {
    code.get(target);
    code.i32(0);
    code.load(Op.i32Load8U, accumulator);
    code.get(count);
    return code.memoryFill();
  }
  const value = code.local(I64), end = code.local(I32), at = code.local(I32);
  code.i32(0);
  code.load(Op.i64Load, accumulator);
  code.set(value);
  code.get(target);
  code.tee(at);
  code.get(count);
  code.i32(Math.log2(size));
  code.op(Op.i32Shl);
  code.op(Op.i32Add);
  code.set(end);
  const again = code.loop(VOID);
  code.get(at);
  code.get(value);
  code.store(size === 2 ? Op.i64Store16 : size === 4 ? Op.i64Store32 : Op.i64Store);
  code.get(at);
  code.i32(size);
  code.op(Op.i32Add);
  code.tee(at);
  code.get(end);
  code.op(Op.i32LtU);
  code.brIf(again);
  code.end();
}
