// Names of the control-register and EFER bits, which CPUID feature gates each, and the modes that they add up to. Facts only:
// who may set which bit when is decided by the rows in `transitions/controls.ts`. No memory, no capability door.
import { VM } from './flags.ts';
import { placeOf, placeOfSegment, SEGMENT_ATTRIBUTES, Attribute, type Cpu } from './state.ts';
import { CS, SS } from './segments.ts';

/** CR0 (APM Vol. 2, 3.1.1). */
export const CR0 = {
  PE: 1, MP: 2, EM: 4, TS: 8, ET: 0x10, NE: 0x20, WP: 0x10000, AM: 0x40000, NW: 0x20000000, CD: 0x40000000, PG: 0x80000000,
} as const;
/** Bits of CR0 that exist; the others of the low half are ignored on a write and read as 0. */
export const CR0_DEFINED = 0xe005003f;

/** CR4 (APM Vol. 2, 3.1.3; SDM Vol. 3, 2.5), all below bit 32. */
export const CR4 = {
  VME: 1, PVI: 2, TSD: 4, DE: 8, PSE: 0x10, PAE: 0x20, MCE: 0x40, PGE: 0x80, PCE: 0x100, OSFXSR: 0x200, OSXMMEXCPT: 0x400,
  UMIP: 0x800, LA57: 0x1000, VMXE: 0x2000, SMXE: 0x4000, FSGSBASE: 0x10000, PCIDE: 0x20000, OSXSAVE: 0x40000,
  SMEP: 0x100000, SMAP: 0x200000, PKE: 0x400000, CET: 0x800000, PKS: 0x1000000, UINTR: 0x2000000, LAM_SUP: 0x10000000,
} as const;
export type Cr4Bit = keyof typeof CR4;
/** The features of which one must be present for a CR4 bit to be writable; an empty list: always. SMXE and UINTR wait for their issue. */
export const cr4Features: readonly (readonly [Cr4Bit, readonly string[]])[] = [
  ['VME', ['vme']], ['PVI', ['vme']], ['TSD', ['tsc']], ['DE', ['de']], ['PSE', ['pse']], ['PAE', ['pae']], ['MCE', ['mce']], ['PGE', ['pge']],
  ['PCE', []], ['OSFXSR', []], ['OSXMMEXCPT', []], ['UMIP', ['umip']], ['LA57', ['la57']], ['VMXE', ['vmx']],
  ['FSGSBASE', ['fsgsbase']], ['PCIDE', ['pcid']], ['OSXSAVE', ['xsave']], ['SMEP', ['smep']], ['SMAP', ['smap']],
  ['PKE', ['pku']], ['CET', ['cet-ss', 'cet-ibt']], ['PKS', ['pks']], ['LAM_SUP', ['lam']],
];

/** CR3: user pointers carry metadata in bits 62:57, or 62:48 (SDM Vol. 3, 4.4). */
export const CR3_LAM_U57 = 1n << 61n, CR3_LAM_U48 = 1n << 62n;

/** EFER (APM Vol. 2, 3.1.7), all below bit 32. */
export const EFER = {
  SCE: 1, LME: 0x100, LMA: 0x400, NXE: 0x800, SVME: 0x1000, LMSLE: 0x2000, FFXSR: 0x4000, TCE: 0x8000, AIBRSE: 0x200000,
} as const;
export type EferBit = keyof typeof EFER;
/** Likewise for EFER. LMSLE, which no CPUID bit announces and which Zen 3 and later do not have, is reserved in every model. */
export const eferFeatures: readonly (readonly [EferBit, readonly string[]])[] = [
  ['SCE', ['syscall', 'lm']], ['LME', ['lm']], ['LMA', ['lm']], ['NXE', ['nx']], ['SVME', ['svm']], ['FFXSR', ['fxsr-opt']], ['TCE', ['tce']], ['AIBRSE', ['auto-ibrs']],
];

/** DR6 and DR7 (APM Vol. 2, 13.1.1). */
export const DR6 = { B0: 1, B1: 2, B2: 4, B3: 8, BLD: 0x800, BD: 0x2000, BS: 0x4000, BT: 0x8000, RTM: 0x10000 } as const;
/** What reads as 1 in DR6; a write of a set cause bit adds it. */
export const DR6_FIXED = 0xffff0ff0;
export const DR7 = { LE: 0x100, GE: 0x200, GD: 0x2000 } as const;
export const DR7_FIXED = 0x400;
/** Bits of DR7 that a write can change. */
export const DR7_WRITABLE = 0xffff23ff;

/** Bits of XCR0 (APM Vol. 2, 11.5.2). */
export const XCR0 = { x87: 1n, sse: 2n, avx: 4n, bndreg: 8n, bndcsr: 0x10n, opmask: 0x20n, zmmHigh: 0x40n, zmmUpper: 0x80n, pkru: 0x200n, tileConfig: 0x20000n, tileData: 0x40000n } as const;

const CR0_WORD = placeOf('cr0') >> 2;
const CR4_WORD = placeOf('cr4') >> 2;
const EFER_WORD = placeOf('efer') >> 2;
const FLAGS_WORD = placeOf('rflagsSystem') >> 2;
const CS_ATTRIBUTES = placeOfSegment(CS) + SEGMENT_ATTRIBUTES >> 2;
const SS_ATTRIBUTES = placeOfSegment(SS) + SEGMENT_ATTRIBUTES >> 2;

/** The low halves: every defined bit of CR4 and EFER is in them. */
export const cr4Of = (cpu: Cpu): number => cpu.u32[CR4_WORD]!;
export const eferOf = (cpu: Cpu): number => cpu.u32[EFER_WORD]!;
export const isProtected = (cpu: Cpu): boolean => (cpu.u32[CR0_WORD]! & CR0.PE) !== 0;
export const isVirtual8086 = (cpu: Cpu): boolean => (cpu.u32[FLAGS_WORD]! & VM) !== 0;
/** Real or virtual-8086: segments are selectors times 16. */
export const is8086 = (cpu: Cpu): boolean => !isProtected(cpu) || isVirtual8086(cpu);
export const isLongMode = (cpu: Cpu): boolean => (cpu.u32[EFER_WORD]! & EFER.LMA) !== 0;
/** Long mode and CS.L: 64-bit mode proper. */
export const is64Bit = (cpu: Cpu): boolean => isLongMode(cpu) && (cpu.u32[CS_ATTRIBUTES]! & Attribute.long) !== 0;
export const codeSizeOf = (cpu: Cpu): 16 | 32 | 64 => is64Bit(cpu) ? 64 : cpu.u32[CS_ATTRIBUTES]! & Attribute.big ? 32 : 16;
/** Width of the stack pointer. */
export const stackSizeOf = (cpu: Cpu): 16 | 32 | 64 => is64Bit(cpu) ? 64 : cpu.u32[SS_ATTRIBUTES]! & Attribute.big ? 32 : 16;

// ── Linear-address masking (SDM Vol. 3, 4.4): of data accesses in 64-bit mode; the words are high halves ──

const CR3_HIGH = (placeOf('cr3') >> 2) + 1, U57 = 0x20000000, U48 = 0x40000000, BITS_62_57 = 0x7e000000, BITS_62_48 = 0x7fff0000;
/** Whether any pointers may carry metadata. */
const masksAddresses = (cpu: Cpu): boolean => (cpu.u32[CR4_WORD]! & CR4.LAM_SUP) !== 0 || (cpu.u32[CR3_HIGH]! & (U57 | U48)) !== 0;
/** The high half without metadata: bits that repeat bit 63. What is not canonical then never is. */
export function untaggedHigh(cpu: Cpu, high: number): number {
  if (!masksAddresses(cpu)) return high;
  if (high >>> 31 === 1) return (cpu.u32[CR4_WORD]! & CR4.LAM_SUP) === 0 ? high : (high | (cpu.u32[CR4_WORD]! & CR4.LA57 ? BITS_62_57 : BITS_62_48)) >>> 0;
  const mode = cpu.u32[CR3_HIGH]!;
  return (mode & U57) !== 0 ? high & ~BITS_62_57 : (mode & U48) !== 0 ? high & ~BITS_62_48 : high;
}
export function untagged(cpu: Cpu, linear: bigint): bigint {
  if (!masksAddresses(cpu)) return linear;
  return BigInt(untaggedHigh(cpu, Number(linear >> 32n))) << 32n | linear & 0xffffffffn;
}

/** Whether a linear address is canonical for the paging mode (48 bits, or 57 with CR4.LA57). */
export const isCanonical = (cpu: Cpu, linear: bigint): boolean => isCanonicalFor(linear, cr4Of(cpu) & CR4.LA57 ? 57 : 48);
export const isCanonicalFor = (linear: bigint, bits: number): boolean => BigInt.asUintN(64, BigInt.asIntN(bits, linear)) === linear;
/** The same for the high half alone: bits 31:15 (or 31:24) are all equal. */
export const isCanonicalHigh = (cpu: Cpu, high: number): boolean => {
  const sign = high >> (cr4Of(cpu) & CR4.LA57 ? 24 : 15);
  return sign === 0 || sign === -1;
};
