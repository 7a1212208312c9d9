// The SMM state-save area: where every register lies in it, for processors with long mode (APM Vol. 2, table 10-1) and for those without
// (SDM Vol. 3, table 34-1). Both maps are tables that one way in and one way out read; offsets are from SMBASE. SMI and RSM call this; it decides nothing.
import {
  Attribute, fieldPlaces, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT, SEGMENT_SELECTOR, segmentRegisters, type FieldName, type SegmentRegister,
} from '../../cpu/state.ts';
import { wordOf } from '../../cpu/vcpu-state.ts';

/** The area is the last 512 bytes of the 64 KiB at SMBASE; the handler begins at SMBASE + 8000h. */
export const SAVE_AREA = 0xfe00;
export const SAVE_AREA_SIZE = 0x200;
export const HANDLER_OFFSET = 0x8000n;

type Size = 1 | 2 | 4 | 8;
type Place = readonly [offset: number, size: Size];

const general64 = (index: number): Place => [0xfff8 - 8 * index, 8];
const general32 = (index: number): Place => [0xffd0 + 4 * index, 4];

/** Everything in an area that is one number. */
const scalars64 = {
  ioRestartRip: [0xfea0, 8], ioRestartRcx: [0xfea8, 8], ioRestartRsi: [0xfeb0, 8], ioRestartRdi: [0xfeb8, 8],
  /** What I/O instruction the SMI came with: `ioTrapOf`. */
  ioTrap: [0xfec0, 4],
  /** FFh when RSM is to execute the I/O instruction again. */
  ioRestart: [0xfec8, 1],
  /** 1 when the SMI ended a HLT; RSM halts again while it is set. */
  autoHalt: [0xfec9, 1],
  /** `KVM_X86_SHADOW_INT_*`, where KVM keeps it (struct kvm_smram_state_64). */
  interruptShadow: [0xfecb, 1],
  efer: [0xfed0, 8],
  /** SVM: a guest was running; its VMCB; its virtual-interrupt control. */
  svmGuest: [0xfed8, 8], svmVmcb: [0xfee0, 8], svmVirtualInterrupt: [0xfee8, 8],
  /** Reserved in the manual. Traps that waited behind the last instruction, in DR6's layout. */
  pendingDebug: [0xfef0, 4],
  revision: [0xfefc, 4], smbase: [0xff00, 4],
  ssp: [0xff18, 8],
  svmGuestPat: [0xff20, 8], svmHostEfer: [0xff28, 8], svmHostCr4: [0xff30, 8], svmNestedCr3: [0xff38, 8], svmHostCr0: [0xff40, 8],
  cr4: [0xff48, 8], cr3: [0xff50, 8], cr0: [0xff58, 8], dr7: [0xff60, 8], dr6: [0xff68, 8], rflags: [0xff70, 8], rip: [0xff78, 8],
  r15: general64(15), r14: general64(14), r13: general64(13), r12: general64(12), r11: general64(11), r10: general64(10), r9: general64(9), r8: general64(8),
  rdi: general64(7), rsi: general64(6), rbp: general64(5), rsp: general64(4), rbx: general64(3), rdx: general64(2), rcx: general64(1), rax: general64(0),
} as const satisfies Record<string, Place>;

export type Scalar = keyof typeof scalars64;

/** Offsets below FF00h and between FF04h and FFA4h are reserved in the manual: they hold what KVM and Bochs put there (struct
 * kvm_smram_state_32). CR4 has no other place. */
const scalars32: Partial<Record<Scalar, Place>> = {
  smbase: [0xfef8, 4], revision: [0xfefc, 4], ioRestart: [0xff00, 2], autoHalt: [0xff02, 2],
  ioRestartRdi: [0xff04, 4], ioRestartRcx: [0xff08, 4], ioRestartRsi: [0xff0c, 4], ioRestartRip: [0xff10, 4],
  cr4: [0xff14, 4], interruptShadow: [0xff1a, 1], pendingDebug: [0xff20, 4], ioTrap: [0xffa4, 4], dr7: [0xffc8, 4], dr6: [0xffcc, 4],
  rax: general32(0), rcx: general32(1), rdx: general32(2), rbx: general32(3), rsp: general32(4), rbp: general32(5), rsi: general32(6), rdi: general32(7),
  rip: [0xfff0, 4], rflags: [0xfff4, 4], cr3: [0xfff8, 4], cr0: [0xfffc, 4],
};

interface SegmentPlaces {
  readonly selector: Place;
  readonly limit: Place;
  readonly base: Place;
  /** The second word of a descriptor without base and limit; `attributeShift` bits of it are not stored. */
  readonly attributes: Place;
}
interface TablePlaces { readonly limit: Place; readonly base: Place }

const segment64 = (at: number): SegmentPlaces => ({ selector: [at, 2], attributes: [at + 2, 2], limit: [at + 4, 4], base: [at + 8, 8] });
const segment32 = (selector: number, at: number): SegmentPlaces => ({ selector: [selector, 4], attributes: [at, 4], limit: [at + 4, 4], base: [at + 8, 4] });

export interface SaveLayout {
  readonly name: 'AMD64' | 'legacy';
  /** SMM revision identifier: the map in bits 15:0, I/O restart in bit 16, SMBASE relocation in bit 17 (APM Vol. 2, 10.2.4). */
  readonly revision: number;
  readonly scalars: Readonly<Partial<Record<Scalar, Place>>>;
  readonly attributeShift: 0 | 8;
  readonly segments: Readonly<Record<SegmentRegister, SegmentPlaces>>;
  readonly gdtr: TablePlaces;
  readonly idtr: TablePlaces;
}

export const RELOCATION = 0x20000, IO_RESTART = 0x10000;

export const amd64Layout: SaveLayout = {
  name: 'AMD64', revision: RELOCATION | 0x64, scalars: scalars64, attributeShift: 8,
  segments: {
    es: segment64(0xfe00), cs: segment64(0xfe10), ss: segment64(0xfe20), ds: segment64(0xfe30), fs: segment64(0xfe40), gs: segment64(0xfe50),
    ldtr: segment64(0xfe70), tr: segment64(0xfe90),
  },
  gdtr: { limit: [0xfe64, 4], base: [0xfe68, 8] },
  idtr: { limit: [0xfe84, 4], base: [0xfe88, 8] },
};

export const legacyLayout: SaveLayout = {
  name: 'legacy', revision: RELOCATION, scalars: scalars32, attributeShift: 0,
  segments: {
    es: segment32(0xffa8, 0xff84), cs: segment32(0xffac, 0xff90), ss: segment32(0xffb0, 0xff9c),
    ds: segment32(0xffb4, 0xff2c), fs: segment32(0xffb8, 0xff38), gs: segment32(0xffbc, 0xff44),
    ldtr: segment32(0xffc0, 0xff78), tr: segment32(0xffc4, 0xff5c),
  },
  gdtr: { limit: [0xff70, 4], base: [0xff74, 4] },
  idtr: { limit: [0xff54, 4], base: [0xff58, 4] },
};

// ── Fields of an area ──

/** The bytes of an area; offsets of places are from `SAVE_AREA` there. */
export interface SaveArea { readonly u8: Uint8Array; readonly u16: Uint16Array; readonly u32: Uint32Array }
export function areaOf(bytes: Uint8Array): SaveArea {
  const { buffer, byteOffset, length } = bytes;
  return { u8: bytes, u16: new Uint16Array(buffer, byteOffset, length >> 1), u32: new Uint32Array(buffer, byteOffset, length >> 2) };
}

function put({ u8, u16, u32 }: SaveArea, [offset, size]: Place, low: number, high = 0): void {
  const at = offset - SAVE_AREA;
  if (size === 1) u8[at] = low;
  else if (size === 2) u16[at >> 1] = low;
  else u32[at >> 2] = low;
  if (size === 8) u32[(at >> 2) + 1] = high;
}
/** The low 32 bits of a field. */
function get({ u8, u16, u32 }: SaveArea, [offset, size]: Place): number {
  const at = offset - SAVE_AREA;
  return size === 1 ? u8[at]! : size === 2 ? u16[at >> 1]! : u32[at >> 2]!;
}
const getHigh = ({ u32 }: SaveArea, [offset, size]: Place): number => size === 8 ? u32[(offset - SAVE_AREA >> 2) + 1]! : 0;

/** What a layout has no place for is not stored, and reads as 0. */
export function putScalar(area: SaveArea, { scalars }: SaveLayout, name: Scalar, low: number, high = 0): void {
  const place = scalars[name];
  if (place !== undefined) put(area, place, low, high);
}
export function putWide(area: SaveArea, layout: SaveLayout, name: Scalar, value: bigint): void {
  putScalar(area, layout, name, Number(value & 0xffffffffn), Number(value >> 32n));
}
/** The low 32 bits. */
export function scalarOf(area: SaveArea, { scalars }: SaveLayout, name: Scalar): number {
  const place = scalars[name];
  return place === undefined ? 0 : get(area, place);
}
export function highOf(area: SaveArea, { scalars }: SaveLayout, name: Scalar): number {
  const place = scalars[name];
  return place === undefined ? 0 : getHigh(area, place);
}
export const wideOf = (area: SaveArea, layout: SaveLayout, name: Scalar): bigint => BigInt(highOf(area, layout, name)) << 32n | BigInt(scalarOf(area, layout, name));

/** Attributes as the vCPU has them. */
export const attributesOf = (area: SaveArea, layout: SaveLayout, name: SegmentRegister): number =>
  unpackAttributes(get(area, layout.segments[name].attributes), layout.attributeShift);

/** Bits 55:52 and 47:40 of a descriptor where it has them (KVM, QEMU and Bochs agree; the manual does not say). A segment that cannot be
 * used is saved as not present. */
function packAttributes(attributes: number, shift: number): number {
  const usable = (attributes & Attribute.unusable) === 0 ? attributes : attributes & ~Attribute.present;
  return ((usable & 0xff) << 8 | (usable & 0xf00) << 12) >>> shift;
}
function unpackAttributes(value: number, shift: number): number {
  const high = value << shift, attributes = high >>> 8 & 0xff | high >>> 12 & 0xf00;
  return (attributes & Attribute.present) !== 0 ? attributes : attributes | Attribute.unusable;
}

// ── Registers that an area and a vCPU hold alike ──

/** Some of them RSM corrects afterwards: `resume.ts`. */
const registers = [
  'rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi', 'r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15', 'rip', 'cr0', 'cr3', 'cr4', 'efer', 'dr6', 'dr7', 'ssp',
  'pendingDebug', 'smbase',
] as const satisfies readonly (Scalar & FieldName)[];
/** A register: its first word in the area, or -1 where the layout has no place for it, and in a state; whether there is a second one. */
interface Move { readonly at: number; readonly wide: boolean; readonly word: number; readonly wideWord: boolean }
function movesOf(scalars: SaveLayout['scalars']): readonly Move[] {
  return registers.map((name) => {
    const [offset, size] = scalars[name] ?? [SAVE_AREA - 4, 4], { offset: place, type } = fieldPlaces[name];
    return { at: offset - SAVE_AREA >> 2, wide: size === 8, word: wordOf(place), wideWord: type === 'u64' };
  });
}
const moves = { AMD64: movesOf(scalars64), legacy: movesOf(scalars32) };
const segments = segmentRegisters.map((name, index) => ({ name, word: wordOf(placeOfSegment(index)) }));
const tables = (['gdtr', 'idtr'] as const).map((name) => ({ name, base: wordOf(fieldPlaces[`${name}Base`].offset), limit: wordOf(fieldPlaces[`${name}Limit`].offset) }));
const SELECTOR = SEGMENT_SELECTOR >> 2, ATTRIBUTES = SEGMENT_ATTRIBUTES >> 2, BASE = SEGMENT_BASE >> 2, LIMIT = SEGMENT_LIMIT >> 2;

/** From the words of a state to an area. */
export function saveRegisters(layout: SaveLayout, state: Readonly<Uint32Array>, area: SaveArea): void {
  for (const { at, wide, word, wideWord } of moves[layout.name]) {
    if (at < 0) continue;
    area.u32[at] = state[word]!;
    if (wide) area.u32[at + 1] = wideWord ? state[word + 1]! : 0;
  }
  for (const { name, word } of segments) {
    const { selector, attributes, limit, base } = layout.segments[name];
    put(area, selector, state[word + SELECTOR]!);
    put(area, attributes, packAttributes(state[word + ATTRIBUTES]!, layout.attributeShift));
    put(area, limit, state[word + LIMIT]!);
    put(area, base, state[word + BASE]!, state[word + BASE + 1]!);
  }
  for (const { name, base, limit } of tables) {
    put(area, layout[name].limit, state[limit]!);
    put(area, layout[name].base, state[base]!, state[base + 1]!);
  }
}

/** The reverse. */
export function loadRegisters(layout: SaveLayout, area: SaveArea, state: Uint32Array): void {
  for (const { at, wide, word, wideWord } of moves[layout.name]) {
    state[word] = at < 0 ? 0 : area.u32[at]!;
    if (wideWord) state[word + 1] = wide ? area.u32[at + 1]! : 0;
  }
  for (const { name, word } of segments) {
    const { selector, limit, base } = layout.segments[name];
    state[word + SELECTOR] = get(area, selector) & 0xffff;
    state[word + ATTRIBUTES] = attributesOf(area, layout, name);
    state[word + LIMIT] = get(area, limit);
    state[word + BASE] = get(area, base);
    state[word + BASE + 1] = getHigh(area, base);
  }
  for (const { name, base, limit } of tables) {
    state[limit] = get(area, layout[name].limit) & 0xffff;
    state[base] = get(area, layout[name].base);
    state[base + 1] = getHigh(area, layout[name].base);
  }
}

/** An I/O instruction that an SMI came with: the chipset answered its access with the SMI. */
export interface IoInstruction {
  readonly port: number;
  readonly size: 1 | 2 | 4;
  readonly isInput: boolean;
  readonly isString: boolean;
  readonly isRepeated: boolean;
  /** What they were before it. */
  readonly rip: bigint;
  readonly rcx: bigint;
  readonly rsi: bigint;
  readonly rdi: bigint;
}

/** The I/O trap dword (APM Vol. 2, 10.2.4): port in 31:16, size in 6:4, REP 3, string 2, valid 1, input 0. */
export const ioTrapOf = ({ port, size, isInput, isString, isRepeated }: IoInstruction): number =>
  (port << 16 | (size === 1 ? 0x10 : size === 2 ? 0x20 : 0x40) | (isRepeated ? 8 : 0) | (isString ? 4 : 0) | 2 | (isInput ? 1 : 0)) >>> 0;
