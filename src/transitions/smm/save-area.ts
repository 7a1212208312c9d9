// The SMM state-save area: where every register lies in it, for processors with long mode (APM Vol. 2, table 10-1) and for those without
// (SDM Vol. 3, table 34-1). Both maps are tables that one encoder and one decoder read; offsets are from SMBASE. No vCPU here.
import { segmentRegisters, Attribute, type Segment, type SegmentRegister } from '../../cpu/state.ts';

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

interface DescriptorTable { readonly base: bigint; readonly limit: number }

/** An area as numbers. What a layout has no place for reads as 0. */
export interface SavedState {
  readonly scalars: Readonly<Record<Scalar, bigint>>;
  readonly segments: Readonly<Record<SegmentRegister, Readonly<Segment>>>;
  readonly gdtr: DescriptorTable;
  readonly idtr: DescriptorTable;
}

function put(view: DataView, [offset, size]: Place, value: bigint): void {
  const at = offset - SAVE_AREA;
  switch (size) {
    case 1: return view.setUint8(at, Number(value & 0xffn));
    case 2: return view.setUint16(at, Number(value & 0xffffn), true);
    case 4: return view.setUint32(at, Number(value & 0xffffffffn), true);
    default: return view.setBigUint64(at, value, true);
  }
}

function get(view: DataView, [offset, size]: Place): bigint {
  const at = offset - SAVE_AREA;
  switch (size) {
    case 1: return BigInt(view.getUint8(at));
    case 2: return BigInt(view.getUint16(at, true));
    case 4: return BigInt(view.getUint32(at, true));
    default: return view.getBigUint64(at, true);
  }
}

/** Bits 55:52 and 47:40 of a descriptor where it has them (KVM, QEMU and Bochs agree; the manual does not say). A segment that cannot be
 * used is saved as not present. */
function packAttributes(attributes: number, shift: number): bigint {
  const usable = (attributes & Attribute.unusable) === 0 ? attributes : attributes & ~Attribute.present;
  return BigInt(((usable & 0xff) << 8 | (usable & 0xf00) << 12) >>> shift);
}
function unpackAttributes(value: bigint, shift: number): number {
  const high = Number(value) << shift, attributes = high >>> 8 & 0xff | high >>> 12 & 0xf00;
  return (attributes & Attribute.present) !== 0 ? attributes : attributes | Attribute.unusable;
}

export function encodeSaveArea(layout: SaveLayout, saved: SavedState): Uint8Array {
  const bytes = new Uint8Array(SAVE_AREA_SIZE), view = new DataView(bytes.buffer);
  for (const [name, place] of Object.entries(layout.scalars)) put(view, place, saved.scalars[name as Scalar]);
  for (const name of segmentRegisters) {
    const places = layout.segments[name], { selector, attributes, limit, base } = saved.segments[name];
    put(view, places.selector, BigInt(selector));
    put(view, places.attributes, packAttributes(attributes, layout.attributeShift));
    put(view, places.limit, BigInt(limit));
    put(view, places.base, base);
  }
  for (const table of ['gdtr', 'idtr'] as const) {
    put(view, layout[table].limit, BigInt(saved[table].limit));
    put(view, layout[table].base, saved[table].base);
  }
  return bytes;
}

export function decodeSaveArea(layout: SaveLayout, bytes: Uint8Array): SavedState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const scalars = {} as Record<Scalar, bigint>, segments = {} as Record<SegmentRegister, Segment>;
  for (const name of Object.keys(scalars64) as Scalar[]) {
    const place = layout.scalars[name];
    scalars[name] = place === undefined ? 0n : get(view, place);
  }
  for (const name of segmentRegisters) {
    const places = layout.segments[name];
    segments[name] = {
      selector: Number(get(view, places.selector)) & 0xffff, attributes: unpackAttributes(get(view, places.attributes), layout.attributeShift),
      limit: Number(get(view, places.limit)), base: get(view, places.base),
    };
  }
  const table = ({ limit, base }: TablePlaces): DescriptorTable => ({ limit: Number(get(view, limit)) & 0xffff, base: get(view, base) });
  return { scalars, segments, gdtr: table(layout.gdtr), idtr: table(layout.idtr) };
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
