// The virtual-machine control block: where every field lies (APM Vol. 2, appendix B), what the bits of the control area mean, and the moves
// between its state-save area and a vCPU, as one table. VMRUN, #VMEXIT, VMLOAD and VMSAVE read it; nothing here decides anything.
import { areaPlaces, fieldPlaces, placeOfArea, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT, SEGMENT_SELECTOR, Attribute, segmentRegisters } from '../../cpu/state.ts';
import type { FieldName, SegmentRegister } from '../../cpu/state.ts';
import { placeOfMsr } from '../../cpu/msrs.ts';
import { wordOf } from '../../cpu/vcpu-state.ts';
import { viewing } from '../outcome.ts';

/** Offsets in the control area, which begins the VMCB. */
export const Control = {
  interceptCr: 0x00, interceptDr: 0x04, interceptExceptions: 0x08, intercept1: 0x0c, intercept2: 0x10, intercept3: 0x14,
  pauseThreshold: 0x3c, pauseCount: 0x3e, iopm: 0x40, msrpm: 0x48, tscOffset: 0x50, asid: 0x58, tlbControl: 0x5c,
  interrupt: 0x60, interruptVector: 0x64, interruptState: 0x68, exitCode: 0x70, exitInfo1: 0x78, exitInfo2: 0x80, exitInterrupt: 0x88, exitInterruptError: 0x8c,
  nestedControl: 0x90, eventInjection: 0xa8, eventError: 0xac, nestedCr3: 0xb0, extensions: 0xb8, clean: 0xc0, nextRip: 0xc8, instructionLength: 0xd0,
} as const;
export const CONTROL_SIZE = 0x400;

/** Offsets in the state-save area, which lies at `SAVE` of the VMCB. */
export const SAVE = 0x400;
export const Save = {
  es: 0x00, cs: 0x10, ss: 0x20, ds: 0x30, fs: 0x40, gs: 0x50, gdtr: 0x60, ldtr: 0x70, idtr: 0x80, tr: 0x90, cpl: 0xcb, efer: 0xd0,
  cr4: 0x148, cr3: 0x150, cr0: 0x158, dr7: 0x160, dr6: 0x168, rflags: 0x170, rip: 0x178, rsp: 0x1d8, sCet: 0x1e0, ssp: 0x1e8, interruptSspTable: 0x1f0, rax: 0x1f8,
  star: 0x200, lstar: 0x208, cstar: 0x210, sfmask: 0x218, kernelGsBase: 0x220, sysenterCs: 0x228, sysenterEsp: 0x230, sysenterEip: 0x238,
  cr2: 0x240, pat: 0x268, debugCtl: 0x270, branchFrom: 0x278, branchTo: 0x280, exceptionFrom: 0x288, exceptionTo: 0x290,
} as const;
/** What is read of a VMCB, and written back: up to the last field. */
export const VMCB_SIZE = SAVE + 0x298;

/** Bits of `Control.interrupt` (V_INTR; APM Vol. 2, 15.21). */
export const VirtualInterrupt = {
  tpr: 0xf, irq: 0x100, gif: 0x200, nmi: 0x800, nmiMask: 0x1000, priority: 0xf0000, priorityShift: 16, ignoreTpr: 0x100000,
  masking: 0x1000000, gifEnable: 0x2000000, nmiEnable: 0x4000000,
} as const;
/** Bits of `Control.interruptState`. */
export const InterruptState = { shadow: 1, flag: 2 } as const;
/** Bits of `Control.nestedControl` and of `Control.extensions`. */
export const NP_ENABLE = 1;
export const Extension = { branchRecords: 1, saveLoad: 2 } as const;

/** EVENTINJ and EXITINTINFO (APM Vol. 2, 15.20). */
export const Event = { vector: 0xff, typeShift: 8, external: 0, nmi: 2, exception: 3, software: 4, hasError: 0x800, valid: 0x80000000 } as const;

/** Bits of the three words of instruction and event intercepts. */
export const Intercept1 = {
  INTR: 0, NMI: 1, SMI: 2, INIT: 3, VINTR: 4, CR0_SEL_WRITE: 5, IDTR_READ: 6, GDTR_READ: 7, LDTR_READ: 8, TR_READ: 9, IDTR_WRITE: 10, GDTR_WRITE: 11,
  LDTR_WRITE: 12, TR_WRITE: 13, RDTSC: 14, RDPMC: 15, PUSHF: 16, POPF: 17, CPUID: 18, RSM: 19, IRET: 20, SWINT: 21, INVD: 22, PAUSE: 23, HLT: 24, INVLPG: 25,
  INVLPGA: 26, IOIO: 27, MSR: 28, TASK_SWITCH: 29, FERR_FREEZE: 30, SHUTDOWN: 31,
} as const;
export const Intercept2 = {
  VMRUN: 0, VMMCALL: 1, VMLOAD: 2, VMSAVE: 3, STGI: 4, CLGI: 5, SKINIT: 6, RDTSCP: 7, ICEBP: 8, WBINVD: 9, MONITOR: 10, MWAIT: 11, MWAIT_CONDITIONAL: 12,
  XSETBV: 13, RDPRU: 14, EFER_WRITE_TRAP: 15,
} as const;
export const Intercept3 = { INVLPGB: 0, INVLPGB_ILLEGAL: 1, INVPCID: 2, MCOMMIT: 3, TLBSYNC: 4 } as const;

/** Exit codes (APM Vol. 2, appendix C). Those of the intercept words follow from the bits. */
export const Exit = {
  CR_READ: 0x00, CR_WRITE: 0x10, DR_READ: 0x20, DR_WRITE: 0x30, EXCEPTION: 0x40, INTERCEPT1: 0x60, INTERCEPT2: 0x80, INTERCEPT3: 0xa0, NPF: 0x400, SW: 0xf0000000, INVALID: -1,
} as const;
const of1 = (bit: number): number => Exit.INTERCEPT1 + bit;
export const exitOf = {
  INTR: of1(Intercept1.INTR), NMI: of1(Intercept1.NMI), SMI: of1(Intercept1.SMI), INIT: of1(Intercept1.INIT), VINTR: of1(Intercept1.VINTR),
  CR0_SEL_WRITE: of1(Intercept1.CR0_SEL_WRITE), IOIO: of1(Intercept1.IOIO), MSR: of1(Intercept1.MSR), TASK_SWITCH: of1(Intercept1.TASK_SWITCH),
  SHUTDOWN: of1(Intercept1.SHUTDOWN), SWINT: of1(Intercept1.SWINT), PAUSE: of1(Intercept1.PAUSE), VMMCALL: 0x81, EFER_WRITE_TRAP: 0x8f,
} as const;

/** The name of an exit code as people write it. */
export function exitName(code: number): string {
  let name = exitNames.get(code);
  if (name === undefined) exitNames.set(code, name = nameOf(code));
  return name;
}
const exitNames = new Map<number, string>();
function nameOf(code: number): string {
  if (code === Exit.INVALID) return 'INVALID';
  if (code === Exit.NPF) return 'NPF';
  if (code === Exit.SW) return 'SW';
  if (code < 0x20) return `CR${code & 15}_${code < 0x10 ? 'READ' : 'WRITE'}`;
  if (code < 0x40) return `DR${code & 15}_${code < 0x30 ? 'READ' : 'WRITE'}`;
  if (code < 0x60) return `EXCP${code - 0x40}`;
  const table = code < 0x80 ? Intercept1 : code < 0xa0 ? Intercept2 : Intercept3;
  const bit = code - (code < 0x80 ? 0x60 : code < 0xa0 ? 0x80 : 0xa0);
  return Object.entries(table).find(([, value]) => value === bit)?.[0] ?? `0x${code.toString(16)}`;
}

// ── Moves between a state-save area and a vCPU ──

/** A field's words: where one lies in a state-save area, and in a vCPU state. There all fields have 64 bits; in a state -1 stands for the
 * half that is not there. */
interface Move { readonly save: number; readonly word: number }

const words = (save: number, word: number, wide: boolean): Move[] => [{ save: save >> 2, word }, { save: (save >> 2) + 1, word: wide ? word + 1 : -1 }];
const move = (save: number, name: FieldName): Move[] => words(save, wordOf(fieldPlaces[name].offset), fieldPlaces[name].type === 'u64');
const segment = (name: SegmentRegister): Move => ({ save: Save[name] >> 2, word: wordOf(placeOfSegment(segmentRegisters.indexOf(name))) });

/** What VMRUN and #VMEXIT move in both worlds; RFLAGS, CPL and the descriptor tables come beside it. */
const worldMoves = [
  move(Save.efer, 'efer'), move(Save.cr4, 'cr4'), move(Save.cr3, 'cr3'), move(Save.cr0, 'cr0'), move(Save.rip, 'rip'), move(Save.rsp, 'rsp'), move(Save.rax, 'rax'),
].flat();
const worldSegments = (['es', 'cs', 'ss', 'ds'] as const).map(segment);
/** What only a guest's area holds. */
const guestMoves = [move(Save.dr7, 'dr7'), move(Save.dr6, 'dr6'), move(Save.cr2, 'cr2')].flat();
/** Shadow stacks of the supervisor levels, where the processor has them (APM Vol. 2, 15.5.1 and 18). */
const shadowMoves = [move(Save.sCet, 'sCet'), move(Save.ssp, 'ssp'), move(Save.interruptSspTable, 'interruptSspTable')].flat();
/** DebugCtl and the branch records, which move where LBR virtualization is enabled (APM Vol. 2, 15.23). */
const branchMoves = [
  ...move(Save.debugCtl, 'debugCtl'),
  ...[Save.branchFrom, Save.branchTo, Save.exceptionFrom, Save.exceptionTo].flatMap((save, index) => words(save, wordOf(placeOfMsr('lastBranch', index) << 3), true)),
];
/** What VMLOAD and VMSAVE move. */
export const loadSaveFields = [
  ['kernelGsBase', Save.kernelGsBase], ['star', Save.star], ['lstar', Save.lstar], ['cstar', Save.cstar], ['sfmask', Save.sfmask],
  ['sysenterCs', Save.sysenterCs], ['sysenterEsp', Save.sysenterEsp], ['sysenterEip', Save.sysenterEip],
] as const;
export const loadSaveSegments = ['fs', 'gs', 'tr', 'ldtr'] as const;

const GDTR_BASE = wordOf(fieldPlaces.gdtrBase.offset), GDTR_LIMIT = wordOf(fieldPlaces.gdtrLimit.offset);
const IDTR_BASE = wordOf(fieldPlaces.idtrBase.offset), IDTR_LIMIT = wordOf(fieldPlaces.idtrLimit.offset);
const CPL = wordOf(fieldPlaces.cpl.offset);
const NULL_SEGMENT = Attribute.unusable;

/** Attributes in a VMCB have twelve bits; a segment that is not present is one that cannot be used. */
export const attributesFromVmcb = (attributes: number): number => (attributes & Attribute.present) !== 0 ? attributes & 0xfff : attributes & 0xfff | NULL_SEGMENT;
export const attributesToVmcb = (attributes: number): number => (attributes & NULL_SEGMENT) !== 0 ? attributes & 0xfff & ~Attribute.present : attributes & 0xfff;

function moveIn(moves: readonly Move[], area: Uint32Array, at: number, state: Uint32Array): void {
  for (let index = 0; index < moves.length; index++) {
    const { save, word } = moves[index]!;
    if (word >= 0) state[word] = area[at + save]!;
  }
}
function moveOut(moves: readonly Move[], state: Readonly<Uint32Array>, area: Uint32Array, at: number): void {
  for (let index = 0; index < moves.length; index++) {
    const { save, word } = moves[index]!;
    area[at + save] = word >= 0 ? state[word]! : 0;
  }
}
function segmentsIn(area: Uint32Array, at: number, state: Uint32Array): void {
  for (let index = 0; index < worldSegments.length; index++) {
    const { save, word } = worldSegments[index]!, first = area[at + save]!;
    state[word + (SEGMENT_SELECTOR >> 2)] = first & 0xffff;
    state[word + (SEGMENT_ATTRIBUTES >> 2)] = attributesFromVmcb(first >>> 16);
    state[word + (SEGMENT_LIMIT >> 2)] = area[at + save + 1]!;
    state[word + (SEGMENT_BASE >> 2)] = area[at + save + 2]!;
    state[word + (SEGMENT_BASE >> 2) + 1] = area[at + save + 3]!;
  }
}
function segmentsOut(state: Readonly<Uint32Array>, area: Uint32Array, at: number): void {
  for (let index = 0; index < worldSegments.length; index++) {
    const { save, word } = worldSegments[index]!;
    area[at + save] = state[word + (SEGMENT_SELECTOR >> 2)]! & 0xffff | attributesToVmcb(state[word + (SEGMENT_ATTRIBUTES >> 2)]!) << 16;
    area[at + save + 1] = state[word + (SEGMENT_LIMIT >> 2)]!;
    area[at + save + 2] = state[word + (SEGMENT_BASE >> 2)]!;
    area[at + save + 3] = state[word + (SEGMENT_BASE >> 2) + 1]!;
  }
}
function tableIn(save: number, base: number, limit: number, area: Uint32Array, at: number, state: Uint32Array): void {
  const first = at + (save >> 2);
  state[limit] = area[first + 1]! & 0xffff;
  state[base] = area[first + 2]!;
  state[base + 1] = area[first + 3]!;
}
function tableOut(save: number, base: number, limit: number, state: Readonly<Uint32Array>, area: Uint32Array, at: number): void {
  const first = at + (save >> 2);
  area[first] = 0;
  area[first + 1] = state[limit]!;
  area[first + 2] = state[base]!;
  area[first + 3] = state[base + 1]!;
}

/** From a state-save area that begins at word `at` of `area` to the words of a state. RFLAGS and CPL are the caller's. */
export function loadWorld(area: Uint32Array, at: number, state: Uint32Array): void {
  moveIn(worldMoves, area, at, state);
  segmentsIn(area, at, state);
  tableIn(Save.gdtr, GDTR_BASE, GDTR_LIMIT, area, at, state);
  tableIn(Save.idtr, IDTR_BASE, IDTR_LIMIT, area, at, state);
}
export function loadGuestOnly(area: Uint32Array, at: number, state: Uint32Array): void {
  moveIn(guestMoves, area, at, state);
}
export function loadShadowStacks(area: Uint32Array, at: number, state: Uint32Array): void {
  moveIn(shadowMoves, area, at, state);
}
export function saveShadowStacks(state: Readonly<Uint32Array>, area: Uint32Array, at: number): void {
  moveOut(shadowMoves, state, area, at);
}
/** Whether all three are 0 on both sides: then nobody can tell whether they move. */
export function hasShadowStacks(area: Readonly<Uint32Array>, at: number, state: Readonly<Uint32Array>): boolean {
  let any = 0;
  for (let index = 0; index < shadowMoves.length; index++) any |= area[at + shadowMoves[index]!.save]! | state[shadowMoves[index]!.word]!;
  return any !== 0;
}
export function loadBranches(area: Uint32Array, at: number, state: Uint32Array): void {
  moveIn(branchMoves, area, at, state);
}
export function saveBranches(state: Readonly<Uint32Array>, area: Uint32Array, at: number): void {
  moveOut(branchMoves, state, area, at);
}
/** The reverse; RFLAGS is the caller's. */
export function saveWorld(state: Readonly<Uint32Array>, area: Uint32Array, at: number): void {
  moveOut(worldMoves, state, area, at);
  segmentsOut(state, area, at);
  tableOut(Save.gdtr, GDTR_BASE, GDTR_LIMIT, state, area, at);
  tableOut(Save.idtr, IDTR_BASE, IDTR_LIMIT, state, area, at);
}
export function saveGuestOnly(state: Readonly<Uint32Array>, area: Uint32Array, at: number): void {
  moveOut(guestMoves, state, area, at);
  const place = at + (Save.cpl >> 2);
  area[place] = area[place]! & 0x00ffffff | state[CPL]! << 24;
}

/** Words of the two nested areas in a state, which lie behind each other, and what both have when nothing is in them. */
export const NESTED_WORD = wordOf(placeOfArea('nestedControl')), HOST_WORD = wordOf(placeOfArea('hostSave'));
const EMPTY_AREAS = new Uint32Array(areaPlaces.nestedControl.length + areaPlaces.hostSave.length >> 2);
export function clearAreas(state: Uint32Array): void {
  state.set(EMPTY_AREAS, NESTED_WORD);
}
const controlOf = viewing((vmcb: Uint32Array) => vmcb.subarray(0, CONTROL_SIZE >> 2));
/** Puts the control area of a VMCB in force. */
export function loadControl(vmcb: Uint32Array, state: Uint32Array): void {
  state.set(controlOf(vmcb), NESTED_WORD);
}
export function moveWide(from: Readonly<Uint32Array>, source: number, to: Uint32Array, target: number): void {
  to[target] = from[source]!;
  to[target + 1] = from[source + 1]!;
}
export const word64 = (words: Readonly<Uint32Array>, at: number): bigint => BigInt(words[at + 1]!) << 32n | BigInt(words[at]!);
/** A field of the control area that is in force, from a state's words. */
export const controlWord = (words: Readonly<Uint32Array>, offset: number): number => words[NESTED_WORD + (offset >> 2)]!;
