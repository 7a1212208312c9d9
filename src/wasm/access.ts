// A memory access in WebAssembly: one probe of the TLB in line, everything else through the slow paths of the core. Used by the
// interpreter's handlers; it does not know which instruction it works for.
import { Access } from '../cpu/engine.ts';
import { placeOfArea, placeOfSegment, SEGMENT_BASE, TLB_ENTRIES, TLB_READ_SUPERVISOR, TLB_READ_USER, TLB_WRITE_SUPERVISOR, TLB_WRITE_USER } from '../cpu/state.ts';
import type { Mode } from '../cpu/mode.ts';
import { pushCount, pushRecord, RECORD, type Core, type Position } from './core.ts';
import { I64, Op, type Code } from './encode.ts';
import type { Segmentation } from './shapes.ts';
import { Cell, Field } from './layout.ts';

/** Where an access goes: all locals are set already. */
export interface Target {
  /** i64: offset in the segment, zero-extended. */
  readonly offset: number;
  /** i64: linear address; the same local as `offset` when the segment is flat. */
  readonly linear: number;
  readonly segment: number;
  readonly segmentation: Segmentation;
  readonly bytes: number;
  /** Bits of the access code that ask for an aligned address. */
  readonly alignment: number;
  readonly mode: Mode;
  /** Bits 15:8 of the access code stand in the record; else the access is to the stack or not. */
  readonly stack: boolean | 'record';
  readonly position: Position;
}

/** As much of it as the probe looks at. */
export type Probed = Pick<Target, 'offset' | 'linear' | 'segment' | 'segmentation' | 'bytes' | 'alignment'> & { readonly mode: Pick<Mode, 'user' | 'alignmentCheck'> };

const SLOW_VALUE = placeOfArea('slowValue');

/** Sets up the linear address of an offset (a local of type i64). */
export function locate(code: Code, temporary: (type: typeof I64) => number, offset: number, segment: number, kind: Segmentation): number {
  if (kind === 'flat' || kind === 'code') return offset;
  const linear = temporary(I64);
  code.get(offset);
  code.i32(0);
  code.load(Op.i64Load, placeOfSegment(segment) + SEGMENT_BASE);
  code.op(Op.i64Add);
  if (kind === 'checked') {
    code.i64(0xffffffffn);
    code.op(Op.i64And);
  }
  code.set(linear);
  return linear;
}

/** Leaves on the stack whether the TLB settles the access; `entry` (i32) is then the entry's address. */
export function pushHit(code: Code, target: Probed, write: boolean, entry: number): void {
  const { mode, bytes, linear } = target;
  // No code segment can be written in protected mode.
  if (write && target.segmentation === 'code') return code.i32(0);
  const tlb = tlbOf(mode, write);
  code.get(linear);
  code.i64Small(8);
  code.op(Op.i64ShrU);
  code.op(Op.i32WrapI64);
  code.tee(entry);
  code.get(entry);
  code.i32(10);
  code.op(Op.i32ShrU);
  code.op(Op.i32Xor);
  code.i32((TLB_ENTRIES - 1) * 16);
  code.op(Op.i32And);
  code.tee(entry);
  code.load(Op.i64Load, tlb);
  code.get(linear);
  if (mode.alignmentCheck || target.alignment !== 0) {
    // A misaligned address has low bits that no tag has.
    code.i64Small(-0x1000 | (bytes - 1));
  } else {
    if (bytes > 1) {
      code.i64Small(bytes - 1);
      code.op(Op.i64Add);
    }
    code.i64Small(-0x1000);
  }
  code.op(Op.i64And);
  code.op(Op.i64Eq);
  if (target.segmentation !== 'checked') return;
  code.get(target.offset);
  code.i64Small(bytes);
  code.op(Op.i64Add);
  code.i32(0);
  code.load(Op.i64Load, (write ? Cell.writeEnd : Cell.readEnd) + 8 * target.segment);
  code.op(Op.i64LeU);
  code.op(Op.i32And);
}
const tlbOf = (mode: Pick<Mode, 'user'>, write: boolean): number =>
  write ? (mode.user ? TLB_WRITE_USER : TLB_WRITE_SUPERVISOR) : mode.user ? TLB_READ_USER : TLB_READ_SUPERVISOR;

/** The host address, after a hit. */
export function pushHost(code: Code, target: Probed, write: boolean, entry: number): void {
  code.get(entry);
  code.load(Op.i32Load, tlbOf(target.mode, write) + 8);
  code.get(target.linear);
  code.op(Op.i32WrapI64);
  code.op(Op.i32Add);
}

/** Calls a slow path: the host address of the bytes, or how the write ended; 0 has left the handler already. */
function pushSlow(code: Code, core: Core, target: Target, access: number): void {
  const write = (access & Access.write) !== 0;
  const linear = target.mode.codeSize === 64;
  pushRecord(code, target.position);
  pushCount(code, target.position);
  code.get(linear ? target.linear : target.offset);
  if (!linear) code.i32(target.segment);
  code.i32(access | target.bytes | target.alignment | (target.stack === true ? Access.stack : 0));
  if (target.stack === 'record') {
    code.get(RECORD);
    code.load(Op.i32Load8U, target.position.skip + Field.access);
    code.i32(8);
    code.op(Op.i32Shl);
    code.op(Op.i32Or);
  }
  code.call(linear ? (write ? core.writeSlow : core.readSlow) : write ? core.writeChecked : core.readChecked);
}
function leaveIfZero(code: Code, core: Core, { position }: Target, local: number): void {
  code.get(local);
  code.op(Op.i32Eqz);
  code.if();
  pushRecord(code, position);
  pushCount(code, position);
  code.returnCall(core.failed);
  code.end();
}

/** Leaves the host address of bytes to be read in `host` (i32). */
export function emitRead(code: Code, core: Core, target: Target, entry: number, host: number): void {
  pushHit(code, target, false, entry);
  code.if();
  pushHost(code, target, false, entry);
  code.set(host);
  code.else();
  pushSlow(code, core, target, 0);
  code.set(host);
  leaveIfZero(code, core, target, host);
  code.end();
}

/** Raises what a write would raise, and nothing else. */
export function emitProbe(code: Code, core: Core, target: Target, scratch: number): void {
  pushSlow(code, core, target, Access.write | Access.probe);
  code.set(scratch);
  leaveIfZero(code, core, target, scratch);
}

/** For bytes that are read and then written: `host` is where to read them, `writable` the same, or 0 when the write must go the slow way. */
export function emitReadForWrite(code: Code, core: Core, target: Target, entry: number, host: number, writable: number): void {
  pushHit(code, target, true, entry);
  code.if();
  pushHost(code, target, true, entry);
  code.tee(host);
  code.set(writable);
  code.else();
  // What a write would raise comes first.
  emitProbe(code, core, target, host);
  pushSlow(code, core, target, 0);
  code.set(host);
  leaveIfZero(code, core, target, host);
  code.i32(0);
  code.set(writable);
  code.end();
}

/** Stores: `pushValue` leaves the value (for 128 bits, each half). `afterSlow` must leave the handler; `written` (i32) says how it ended.
 * `writable` is the local of `emitReadForWrite`, or undefined when nothing was probed yet. */
export function emitWrite(
  code: Code, core: Core, target: Target, entry: number, writable: number | undefined, written: number,
  storeValue: (pushAddress: () => void, offset: number) => void, afterSlow: () => void,
): void {
  if (writable === undefined) pushHit(code, target, true, entry);
  else code.get(writable);
  code.if();
  storeValue(() => {
    if (writable === undefined) pushHost(code, target, true, entry);
    else code.get(writable);
  }, 0);
  code.else();
  storeValue(() => { code.i32(0); }, SLOW_VALUE);
  pushSlow(code, core, target, Access.write);
  code.set(written);
  leaveIfZero(code, core, target, written);
  afterSlow();
  code.end();
}
