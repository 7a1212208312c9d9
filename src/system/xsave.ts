// XSAVE and its family: what an area holds, which components take part, and what XRSTOR refuses. Called by the system table. Legacy parts
// are copied by `save-area.ts`; lengths and offsets are those that CPUID leaf 0DH tells the guest. APM Vol. 2, 11.5; SDM Vol. 1, 13.
//
// Choices: a component is in use (XINUSE) exactly when it is not in its initial state, and the init optimization leaves it out then; the
// modified optimization of XSAVEOPT and XSAVES is never made, so what is stored depends on nothing but the state.
import type { Instruction, MemoryOperand } from '../isa/instruction.ts';
import { CR0, CR4, cr4Of } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { placeOf, placeOfArea, placeOfRegister, type Cpu, type FieldName } from '../cpu/state.ts';
import { EXTENDED, LEGACY_LENGTH } from '../model/xstate.ts';
import { pairOf } from './control.ts';
import { GuestFault, type Machine } from './machine.ts';
import { checkCet } from './msrs.ts';
import { generalProtection, invalidOpcode, linearOfOperand, operandAt, retire, Vector } from './operand.ts';
import {
  imageOf, initialX87, isX87Initial, isZero, loadRange, MXCSR_INITIAL, mxcsrOf, mxcsrRange, putMxcsr, putVectors, putX87, storeRanges, takeVectors, takeX87,
  vectorCount, vectorRange, x87Ranges, type Image, type Range,
} from './save-area.ts';
import { requirePrivilege0 } from './segment-load.ts';

const X87 = 1n, SSE = 2n, AVX = 4n, COMPACTED = 1n << 63n;
const PKRU = 9, CET_U = 11, CET_S = 12;
/** XSTATE_BV and XCOMP_BV in the header. */
const STATE_BITS = LEGACY_LENGTH, COMPACTION_BITS = LEGACY_LENGTH + 8;

/** Of a component's bytes, which are where in the vCPU file: offset in the component, place, length. */
type Piece = readonly [at: number, place: number, length: number];
const registers = (count: number, first: number, skip: number, length: number): Piece[] =>
  Array.from({ length: count }, (_, index) => [index * length, placeOfRegister('vector', first + index) + skip, length] as const);
const quadwords = (...names: FieldName[]): Piece[] => names.map((name, index) => [8 * index, placeOf(name), 8] as const);

const pieces: Readonly<Record<number, (cpu: Cpu) => readonly Piece[]>> = {
  2: (cpu) => registers(vectorCount(cpu), 0, 16, 16),
  5: () => [[0, placeOfArea('opmask'), 64]],
  6: (cpu) => registers(vectorCount(cpu), 0, 32, 32),
  7: (cpu) => vectorCount(cpu) === 16 ? registers(16, 16, 0, 64) : [],
  [PKRU]: () => [[0, placeOf('pkru'), 4]],
  [CET_U]: () => quadwords('uCet', 'pl3Ssp'),
  [CET_S]: () => quadwords('pl0Ssp', 'pl1Ssp', 'pl2Ssp'),
};
const numbers = Object.keys(pieces).map(Number);
const has = (set: bigint, component: number): boolean => (set >> BigInt(component) & 1n) !== 0n;

/** XINUSE: the components, as far as they are enabled, that are not in their initial state. */
export function componentsInUse(cpu: Cpu): bigint {
  let used = isX87Initial(cpu) ? 0n : X87;
  for (let register = 0; register < 16 && (used & SSE) === 0n; register++) if (!isZero(cpu, placeOfRegister('vector', register), 16)) used |= SSE;
  for (const component of numbers) {
    if (!has(cpu.xcr0 | cpu.xss, component)) continue;
    if (pieces[component]!(cpu).some(([, place, length]) => !isZero(cpu, place, length))) used |= 1n << BigInt(component);
  }
  return used;
}

/** What XGETBV(1) gives: "XCR0 AND XINUSE"; SSE counts while MXCSR is not as at RESET (SDM Vol. 1, 13.6). */
export const enabledInUse = (cpu: Cpu): bigint => cpu.xcr0 & (componentsInUse(cpu) | (cpu.mxcsr === MXCSR_INITIAL ? 0n : SSE));

/** Where each component behind the header starts, and where the area ends: in the compacted format one behind the other. */
export function layoutOf({ capability }: Machine, components: bigint, compacted: boolean): { readonly offsets: ReadonlyMap<number, number>; readonly length: number } {
  const offsets = new Map<number, number>();
  let end = EXTENDED;
  for (const component of numbers) {
    if (!has(components, component)) continue;
    const [length, offset, flags] = capability.cpuid(0xd, component);
    const start = !compacted ? offset : (flags & 2) !== 0 ? end + 63 & ~63 : end;
    offsets.set(component, start);
    end = compacted ? start + length : Math.max(end, start + length);
  }
  return { offsets, length: end };
}

// ── What all of them ask first ──

function areaOf(machine: Machine, instruction: Instruction, write: boolean): bigint {
  const { cpu } = machine;
  if ((cr4Of(cpu) & CR4.OSXSAVE) === 0) throw invalidOpcode();
  if ((cpu.cr0 & CR0.TS) !== 0) throw new GuestFault(Vector.NM);
  if (isSupervisor(instruction)) requirePrivilege0(cpu);
  const linear = linearOfOperand(machine, instruction, operandAt(instruction, 0) as MemoryOperand, EXTENDED, write);
  if ((linear & 63n) !== 0n) throw generalProtection();
  return linear;
}
const isSupervisor = ({ mnemonic }: Instruction): boolean => mnemonic === 'XSAVES' || mnemonic === 'XRSTORS';
/** The enabled components among which EDX:EAX chooses. */
const enabledFor = (cpu: Cpu, instruction: Instruction): bigint => isSupervisor(instruction) ? cpu.xcr0 | cpu.xss : cpu.xcr0;
const isWide = (instruction: Instruction): boolean => instruction.operandSize === 64;

// ── Saving ──

function save(machine: Machine, instruction: Instruction, compacted: boolean, leavesOutUnused: boolean): Done {
  const { cpu } = machine;
  const area = areaOf(machine, instruction, true), chosen = enabledFor(cpu, instruction) & pairOf(cpu);
  const used = componentsInUse(cpu) & chosen | (compacted && cpu.mxcsr !== MXCSR_INITIAL ? SSE & chosen : 0n);
  const stored = leavesOutUnused ? used : chosen;
  const { offsets, length } = layoutOf(machine, chosen, compacted);
  const image = imageOf(length), ranges: Range[] = [];
  if ((stored & X87) !== 0n) {
    putX87(machine, area, image, isWide(instruction));
    ranges.push(...x87Ranges);
  }
  if ((compacted ? stored & SSE : chosen & (SSE | AVX)) !== 0n) {
    putMxcsr(machine, image);
    ranges.push(mxcsrRange);
  }
  if ((stored & SSE) !== 0n) {
    putVectors(cpu, image, vectorCount(cpu));
    ranges.push(vectorRange(vectorCount(cpu)));
  }
  const before = compacted ? 0n : machine.memory.read64(area + BigInt(STATE_BITS));
  image.view.setBigUint64(STATE_BITS, before & ~chosen | used, true);
  image.view.setBigUint64(COMPACTION_BITS, chosen | COMPACTED, true);
  ranges.push([STATE_BITS, compacted ? COMPACTION_BITS + 8 : COMPACTION_BITS]);
  for (const [component, offset] of offsets) {
    if (!has(stored, component)) continue;
    let end = offset;
    for (const [at, place, size] of pieces[component]!(cpu)) {
      image.bytes.set(cpu.u8.subarray(place, place + size), offset + at);
      end = offset + at + size + 7 & ~7;
    }
    if (end > offset) ranges.push([offset, end]);
  }
  storeRanges(machine, area, image, ranges);
  retire(cpu);
  return Done.next;
}

type SystemInstruction = (machine: Machine, instruction: Instruction) => Done;
export const saveStandard: SystemInstruction = (machine, instruction) => save(machine, instruction, false, false);
export const saveOptimized: SystemInstruction = (machine, instruction) => save(machine, instruction, false, true);
/** XSAVEC and XSAVES. */
export const saveCompacted: SystemInstruction = (machine, instruction) => save(machine, instruction, true, true);

// ── Restoring ──

/** Reads and checks the header: what is to be loaded, and in which format. */
function readHeader(machine: Machine, instruction: Instruction, area: bigint): { readonly present: bigint; readonly compaction: bigint } {
  const { cpu, memory, capability } = machine, word = (at: number): bigint => memory.read64(area + BigInt(LEGACY_LENGTH + at));
  const present = word(0), compaction = word(8), enabled = enabledFor(cpu, instruction);
  const isCompacted = (compaction & COMPACTED) !== 0n;
  if (isSupervisor(instruction) ? !isCompacted : isCompacted && !capability.has('xsavec')) throw generalProtection();
  const contents = isCompacted ? compaction & ~COMPACTED : compaction === 0n ? enabled : -1n;
  // "XCOMP_BV sets a bit that is not enabled", "XSTATE_BV sets a bit that XCOMP_BV does not" (SDM Vol. 1, 13.8 and 13.12).
  if (contents === -1n || (contents & ~enabled) !== 0n || (present & ~contents) !== 0n) throw generalProtection();
  const reserved = isCompacted ? [16, 24, 32, 40, 48, 56] : [16];
  if (reserved.some((at) => word(at) !== 0n)) throw generalProtection();
  return { present, compaction };
}

/** XRSTOR and XRSTORS: everything is read and checked before anything changes. */
export function restore(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  const area = areaOf(machine, instruction, false), chosen = enabledFor(cpu, instruction) & pairOf(cpu);
  const { present, compaction } = readHeader(machine, instruction, area), compacted = compaction !== 0n;
  const loaded = chosen & present, { offsets, length } = layoutOf(machine, compacted ? compaction & ~COMPACTED : chosen, compacted);
  const image = imageOf(length), load = (range: Range): void => loadRange(machine, area, image, range);
  if ((loaded & X87) !== 0n) x87Ranges.forEach(load);
  // In the standard format MXCSR is loaded for SSE and AVX, whatever XSTATE_BV says.
  const takesMxcsr = (compacted ? loaded & SSE : chosen & (SSE | AVX)) !== 0n;
  if (takesMxcsr) load(mxcsrRange);
  if ((loaded & SSE) !== 0n) load(vectorRange(vectorCount(cpu)));
  const extended = [...offsets].filter(([component]) => has(chosen, component)).map(([component, offset]) => ({ component, offset, parts: pieces[component]!(cpu) }));
  for (const { component, offset, parts } of extended) {
    const last = parts.at(-1);
    if (has(loaded, component) && last !== undefined) load([offset, offset + last[0] + last[2] + 7 & ~7]);
  }
  const mxcsr = takesMxcsr ? mxcsrOf(machine, image) : MXCSR_INITIAL;
  checkShadowStacks(machine, image, offsets, loaded);

  if ((chosen & X87) !== 0n) {
    if ((loaded & X87) !== 0n) takeX87(machine, image, isWide(instruction));
    else initialX87(cpu);
  }
  if (takesMxcsr || (chosen & SSE) !== 0n) cpu.mxcsr = mxcsr;
  if ((chosen & SSE) !== 0n) {
    if ((loaded & SSE) === 0n) image.bytes.fill(0, ...vectorRange(vectorCount(cpu)));
    takeVectors(cpu, image, vectorCount(cpu));
  }
  const pkru = cpu.pkru;
  for (const { component, offset, parts } of extended) {
    for (const [at, place, size] of parts) {
      if (has(loaded, component)) cpu.u8.set(image.bytes.subarray(offset + at, offset + at + size), place);
      else cpu.u8.fill(0, place, place + size);
    }
  }
  // Components that the compacted area does not hold are initialized like the others.
  for (const component of numbers) {
    if (has(chosen, component) && !offsets.has(component)) for (const [, place, size] of pieces[component]!(cpu)) cpu.u8.fill(0, place, place + size);
  }
  if (cpu.pkru !== pkru) machine.flushTlb(true);
  retire(cpu);
  return Done.moved;
}

/** What WRMSR would refuse, XRSTORS refuses (SDM Vol. 1, 13.12). */
function checkShadowStacks(machine: Machine, { view }: Image, offsets: ReadonlyMap<number, number>, loaded: bigint): void {
  const word = (component: number, at: number): bigint => view.getBigUint64(offsets.get(component)! + at, true);
  if (has(loaded, CET_U)) {
    checkCet.control(machine, word(CET_U, 0));
    checkCet.pointer(machine, word(CET_U, 8));
  }
  if (has(loaded, CET_S)) for (const at of [0, 8, 16]) checkCet.pointer(machine, word(CET_S, at));
}
