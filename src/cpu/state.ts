// The vCPU file: every register of a vCPU, with its name, width and place, stated once. The emitter, the typed views, the
// snapshot codec and the debugger's register map all read this table. One file is active at a fixed place in linear memory;
// the files of the other vCPUs wait outside and are exchanged when a turn ends (`vm/run.ts`).
import { onPrototype } from './accessors.ts';

export type FieldType = 'u8' | 'u16' | 'u32' | 'u64';
/** `state` is architectural: saved, digested, compared. `work` is scratch between the core and TypeScript: never saved. */
export type FieldRole = 'state' | 'work';

const state = (type: FieldType, reset = 0n) => ({ type, role: 'state' as FieldRole, reset });
const work = (type: FieldType) => ({ type, role: 'work' as FieldRole, reset: 0n });
type Field = ReturnType<typeof state>;
const u64 = (reset = 0n) => ({ ...state('u64', reset), type: 'u64' as const });
const u32 = (reset = 0n) => ({ ...state('u32', reset), type: 'u32' as const });
const work64 = () => ({ ...work('u64'), type: 'u64' as const });
const work32 = () => ({ ...work('u32'), type: 'u32' as const });

/** Reset values: APM Vol. 2, table 14-1 (after RESET#). */
export const fields = {
  rax: u64(), rcx: u64(), rdx: u64(), rbx: u64(), rsp: u64(), rbp: u64(), rsi: u64(), rdi: u64(),
  r8: u64(), r9: u64(), r10: u64(), r11: u64(), r12: u64(), r13: u64(), r14: u64(), r15: u64(),
  /** Offset in CS of the current instruction. */
  rip: u64(0xfff0n),
  /** Instructions retired since reset: the clock of everything. */
  icount: u64(),
  /** Lazy arithmetic flags; `cpu/flags.ts` says how they are read. Canonical before anyone outside the core looks. */
  flagResult: u64(1n),
  flagCarries: u32(),
  /** RFLAGS without the six arithmetic flags: bit 1, TF, IF, DF, IOPL, NT, RF, VM, AC, VIF, VIP, ID. */
  rflagsSystem: u32(2n),
  cr0: u32(0x60000010n), cr4: u64(), cr8: u32(), efer: u64(), cr2: u64(), cr3: u64(), xcr0: u64(1n), xss: u64(),
  dr0: u64(), dr1: u64(), dr2: u64(), dr3: u64(), dr6: u64(0xffff0ff0n), dr7: u64(0x400n),
  gdtrBase: u64(), gdtrLimit: u32(0xffffn), idtrBase: u64(), idtrLimit: u32(0xffffn),
  /** PAE page-directory pointers, loaded with CR3 (APM Vol. 2, 5.2.3). */
  pdpte0: u64(), pdpte1: u64(), pdpte2: u64(), pdpte3: u64(),
  star: u64(), lstar: u64(), cstar: u64(), sfmask: u64(), kernelGsBase: u64(), tscAux: u64(),
  sysenterCs: u64(), sysenterEsp: u64(), sysenterEip: u64(),
  pat: u64(0x0007040600070406n), apicBase: u64(0xfee00900n), miscEnable: u64(), debugCtl: u64(),
  /** Added to the instruction count to give the TSC (modulo 2^64). */
  tscOffset: u64(), tscAdjust: u64(),
  vmCr: u64(), vmHsavePa: u64(), smbase: u32(0x30000n), pkru: u32(), mtrrDefType: u64(),
  sCet: u64(), uCet: u64(), pl0Ssp: u64(), pl1Ssp: u64(), pl2Ssp: u64(), pl3Ssp: u64(), interruptSspTable: u64(), ssp: u64(),
  /** Current privilege level 0..3. */
  cpl: u32(),
  /** What the vCPU is doing: see `Activity`. */
  activity: u32(),
  /** Interrupt shadow: 0 none, 1 after STI, 2 after MOV SS or POP SS (`KVM_X86_SHADOW_INT_*` the other way round). */
  interruptShadow: u32(),
  /** 1 from the delivery of an NMI until IRET. */
  nmiBlocked: u32(),
  /** Latched events: bits of `Pending`. */
  pending: u32(),
  /** Vector of the external interrupt that `Pending.interrupt` announces. */
  pendingVector: u32(),
  /** Bits of `Smm`: 0 outside system-management mode. */
  smm: u32(),
  /** 1 while a nested guest runs. */
  guestMode: u32(),
  /** Guest-physical address of the VMCB that VMRUN named. */
  vmcbAddress: u64(),
  /** Global interrupt flag (SVM). */
  gif: u32(1n),
  /** #DB causes that wait for the end of the instruction, in DR6's layout. */
  pendingDebug: u64(),
  /** x87 and SSE control state; the register bodies stand in `areas`. */
  fcw: u32(0x40n), fsw: u32(), ftw: u32(), fop: u32(), fip: u64(), fdp: u64(), fcs: u32(), fds: u32(), mxcsr: u32(0x1f80n),

  // Scratch between WebAssembly and TypeScript. Nothing 64 bits wide crosses the boundary as a parameter.
  /** Linear address of a slow memory access. */
  slowLinear: work64(),
  /** Offset and segment index (for checked segments). */
  slowOffset: work64(), slowSegment: work32(),
  /** Instructions that the engine may still retire: set at entry, exact whenever TypeScript is called and at exit. */
  budget: work32(),
  /** A fault to deliver: vector, error code, and CR2 for #PF. */
  faultVector: work32(), faultErrorCode: work32(), faultAddress: work64(),
  /** RIP after the current instruction, set by the engine before it calls a system instruction. */
  nextRip: work64(),
} satisfies Record<string, Field>;

export type FieldName = keyof typeof fields;
type ValueOf<F extends { type: FieldType }> = F['type'] extends 'u64' ? bigint : number;

/** Segment registers, in `segmentNames` order, then LDTR and TR. */
export const segmentRegisters = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;
export type SegmentRegister = (typeof segmentRegisters)[number];
/** A segment register's place: selector u32 +0, attributes u32 +4, base u64 +8, limit u32 +16. */
export const SEGMENT_SIZE = 24;

export const Activity = { running: 0, halted: 1, waitForSipi: 2, shutdown: 3 } as const;
/** In system-management mode; NMIs were blocked already when the SMI came; it came while a nested guest ran. */
export const Smm = { active: 1, nmiWasBlocked: 2, fromGuest: 4 } as const;
export const Pending = { nmi: 1, smi: 2, init: 4, interrupt: 8 } as const;

/** Larger bodies, byte length of each. ZMM 0..31, x87 0..7 in 16-byte slots (physical), opmasks 0..7; `slowValue` is scratch. */
const areaLengths = {
  /** The control area of the VMCB that VMRUN loaded, in the VMCB's own layout, while a nested guest runs (APM Vol. 2, appendix B). */
  nestedControl: 0x400,
  /** Host state that VMRUN put aside, in the VMCB's state-save layout. */
  hostSave: 0x400,
  /** MSRs that are plain storage: `cpu/msrs.ts` gives the slots. */
  msr: 160 * 8,
  zmm: 32 * 64, x87: 8 * 16, opmask: 8 * 8,
  slowValue: 64,
} as const;

// ── The map of linear memory ──

/** The active vCPU file. */
export const VCPU_FILE = 0x1000;
export const VCPU_FILE_SIZE = 0x2000;
/** Always zero: the "register" of an address without base or index. */
export const ZERO_CELL = VCPU_FILE + VCPU_FILE_SIZE - 16;

/** Four direct-mapped TLBs: an entry is tag u64 (linear page address), addend u32 (host address minus the low 32 bits of the linear one), u32 spare.
 * All-ones is an empty tag. */
export const TLB_ENTRIES = 1024;
export const TLB_ENTRY_SIZE = 16;
/** The place of a linear address (its low 32 bits) in each of them. Two parts of the page number are mixed, so that buffers a power of
 * two apart do not fight for one entry. Engines compute the same in line. */
export const tlbOffset = (low: number): number => (low >>> 8 ^ low >>> 18) & (TLB_ENTRIES - 1) * TLB_ENTRY_SIZE;
const tlbSize = TLB_ENTRIES * TLB_ENTRY_SIZE;
export const TLB = 0x10000;
export const TLB_READ_SUPERVISOR = TLB;
export const TLB_WRITE_SUPERVISOR = TLB + tlbSize;
export const TLB_READ_USER = TLB + 2 * tlbSize;
export const TLB_WRITE_USER = TLB + 3 * tlbSize;
export const TLB_END = TLB + 4 * tlbSize;
/** What `cpu/transfers.ts` remembers. */
export const TRANSFERS = TLB_END;
/** The engine's own tables (jump cache, decoded records) lie from here to RAM. */
export const ENGINE_AREA = 0x40000;
export const ENGINE_AREA_SIZE = 0x1fc0000;
/** Guest RAM begins here: the host address of RAM offset 0. */
export const RAM = 0x2000000;

// ── Places ──

interface Place { readonly offset: number; readonly type: FieldType; readonly role: FieldRole; readonly reset: bigint }

const places = {} as Record<FieldName, Place>;
let offset = VCPU_FILE;
for (const [name, field] of Object.entries(fields)) {
  if (field.type === 'u64') offset = (offset + 7) & ~7;
  places[name as FieldName] = { offset, ...field };
  offset += field.type === 'u64' ? 8 : 4;
}
offset = (offset + 7) & ~7;
const segmentsAt = offset;
offset = (offset + SEGMENT_SIZE * segmentRegisters.length + 63) & ~63;
const areas = {} as Record<keyof typeof areaLengths, { offset: number; length: number }>;
for (const [name, length] of Object.entries(areaLengths)) {
  areas[name as keyof typeof areaLengths] = { offset, length };
  offset += length;
}
if (offset > ZERO_CELL) throw new Error('the vCPU file is too small for its fields');

/** Byte address of a field in linear memory. */
export const placeOf = (name: FieldName): number => places[name].offset;
export const fieldPlaces: Readonly<Record<FieldName, Place>> = places;
/** Byte address of general register `number` (0..15); consecutive registers are 8 bytes apart. */
export const placeOfGeneral = (number: number): number => places.rax.offset + 8 * number;
/** FSW: an exception is pending (ES), and the place of TOP. */
export const FSW_ES = 0x80, FSW_TOP = 0x3800;
/** MXCSR: misaligned operands are allowed (APM Vol. 1, 4.2.2). */
export const MXCSR_MM = 0x20000;
/** The longest vector register, in bytes. */
export const VECTOR_BYTES = 64;
/** Byte address of a register that expressions read and write; 0 for files that only system instructions know. */
export function placeOfRegister(file: string, number: number): number {
  switch (file) {
    case 'general': return placeOfGeneral(number);
    case 'vector': return areas.zmm.offset + 64 * number;
    case 'mmx': return areas.x87.offset + 16 * number;
    default: return 0;
  }
}
/** Byte address of a segment register's record; the layout is at `SEGMENT_SIZE`. */
export const placeOfSegment = (index: number): number => segmentsAt + SEGMENT_SIZE * index;
export const SEGMENT_SELECTOR = 0;
export const SEGMENT_ATTRIBUTES = 4;
export const SEGMENT_BASE = 8;
export const SEGMENT_LIMIT = 16;
export const placeOfArea = (name: keyof typeof areaLengths): number => areas[name].offset;
export const areaPlaces: Readonly<Record<keyof typeof areaLengths, { offset: number; length: number }>> = areas;

/** Segment attributes, as VMCB and KVM keep them: type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11; and bit 16: unusable (null). */
export const Attribute = { accessed: 1, writable: 2, readable: 2, conforming: 4, expandDown: 4, code: 8, notSystem: 0x10, dplShift: 5, present: 0x80, avl: 0x100, long: 0x200, big: 0x400, granularity: 0x800, unusable: 0x10000 } as const;

export interface Segment {
  selector: number;
  attributes: number;
  base: bigint;
  /** In bytes, scaled by the granularity already. */
  limit: number;
}

/** Typed access to the active vCPU file: a property per field (`cpu.rip`, `cpu.cr0`), `cpu.segment[i]` by `segmentRegisters` index. */
export type Cpu = { -readonly [K in FieldName]: ValueOf<(typeof fields)[K]> } & {
  readonly segment: readonly Segment[];
  readonly es: Segment; readonly cs: Segment; readonly ss: Segment; readonly ds: Segment; readonly fs: Segment; readonly gs: Segment;
  readonly ldtr: Segment; readonly tr: Segment;
  /** General register by number, 64 bits. */
  general(number: number): bigint;
  setGeneral(number: number, value: bigint): void;
  /** Views of the whole linear memory, for code that must not make a bigint: `u32[placeOf('rip') >> 2]`. */
  readonly u8: Uint8Array; readonly u16: Uint16Array; readonly u32: Uint32Array; readonly u64: BigUint64Array; readonly view: DataView;
};

/** Binds the table to a linear memory (a plain ArrayBuffer will do in tests). Views follow the buffer; memory never grows afterwards. */
export function bindCpu(buffer: ArrayBuffer): Cpu {
  const u8 = new Uint8Array(buffer), u16 = new Uint16Array(buffer), u32 = new Uint32Array(buffer), u64 = new BigUint64Array(buffer);
  const view = new DataView(buffer);
  const accessors = {}, cpu: Record<string, unknown> = Object.assign(onPrototype(accessors), { u8, u16, u32, u64, view });
  for (const name of Object.keys(fields) as FieldName[]) {
    const { offset, type } = places[name];
    if (type === 'u64') {
      const at = offset >> 3;
      Object.defineProperty(accessors, name, { enumerable: true, get: () => u64[at], set: (value: bigint) => { u64[at] = value; } });
    } else {
      const at = offset >> 2;
      Object.defineProperty(accessors, name, { enumerable: true, get: () => u32[at], set: (value: number) => { u32[at] = value; } });
    }
  }
  const segment = segmentRegisters.map((_, index): Segment => {
    const at = placeOfSegment(index);
    return onPrototype<Segment>({
      get selector() { return u32[(at + SEGMENT_SELECTOR) >> 2]!; },
      set selector(value) { u32[(at + SEGMENT_SELECTOR) >> 2] = value; },
      get attributes() { return u32[(at + SEGMENT_ATTRIBUTES) >> 2]!; },
      set attributes(value) { u32[(at + SEGMENT_ATTRIBUTES) >> 2] = value; },
      get base() { return u64[(at + SEGMENT_BASE) >> 3]!; },
      set base(value) { u64[(at + SEGMENT_BASE) >> 3] = value; },
      get limit() { return u32[(at + SEGMENT_LIMIT) >> 2]!; },
      set limit(value) { u32[(at + SEGMENT_LIMIT) >> 2] = value; },
    });
  });
  cpu['segment'] = segment;
  segmentRegisters.forEach((name, index) => { cpu[name] = segment[index]; });
  const general = places.rax.offset >> 3;
  cpu['general'] = (number: number) => u64[general + number];
  cpu['setGeneral'] = (number: number, value: bigint) => { u64[general + number] = value; };
  return cpu as Cpu;
}

/** Puts every field at its reset value (APM Vol. 2, table 14-1): real mode, CS F000:FFF0. Model-dependent values (RDX, CPUID) are the caller's. */
export function resetCpu(cpu: Cpu): void {
  cpu.u8.fill(0, VCPU_FILE, VCPU_FILE + VCPU_FILE_SIZE);
  for (const place of Object.values(places)) {
    if (place.type === 'u64') cpu.u64[place.offset >> 3] = place.reset;
    else cpu.u32[place.offset >> 2] = Number(place.reset);
  }
  for (const segment of cpu.segment) {
    segment.limit = 0xffff;
    segment.attributes = 0x93;
  }
  cpu.cs.selector = 0xf000;
  cpu.cs.base = 0xffff0000n;
  cpu.cs.attributes = 0x9b;
  cpu.ldtr.attributes = 0x82;
  cpu.tr.attributes = 0x8b;
}
