// The mode key: everything about a vCPU that decoded code depends on, as one small integer. Computed by the engine when it starts to run
// and after system instructions; decoded code is filed under it, so a change of mode only changes which code is found.
import { codeSizeOf, CR0, CR4, is64Bit, is8086, stackSizeOf } from './controls.ts';
import type { Instruction } from '../isa/instruction.ts';
import { AC } from './flags.ts';
import { DS, ES, SS, CS, isBig, isExpandDown, isReadable, isWritable } from './segments.ts';
import { Attribute, placeOf, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT, type Cpu } from './state.ts';

/** What a key says. */
export interface Mode {
  readonly key: number;
  readonly codeSize: 16 | 32 | 64;
  readonly stackSize: 16 | 32 | 64;
  /** CPL 3: data accesses are user accesses. */
  readonly user: boolean;
  /** DS, ES and SS have base 0, limit 4 GiB, and can be written; always so in 64-bit mode. */
  readonly flatData: boolean;
  /** CS has base 0, limit 4 GiB and can be read; always so in 64-bit mode. */
  readonly flatCode: boolean;
  /** Misaligned data accesses raise #AC. */
  readonly alignmentCheck: boolean;
  readonly units: Units;
  /** Shadow stacks or branch tracking are on at this level: near transfers are done by `system/guard.ts`. */
  readonly guarded: boolean;
}

/** The control bits that x87, MMX and SSE instructions obey: CR0.EM, CR0.TS, CR4.OSFXSR; and `avx`: protected mode, CR4.OSXSAVE, and SSE and
 * AVX state enabled in XCR0 (APM Vol. 4, 1.2.6). `real`: no instruction with a VEX or XOP prefix is known in real and virtual-8086 mode. */
export interface Units { readonly emulated: boolean; readonly switched: boolean; readonly fxsr: boolean; readonly avx: boolean; readonly real: boolean }

const USER = 0x10, FLAT_DATA = 0x20, FLAT_CODE = 0x40, ALIGNMENT = 0x80, EMULATED = 0x100, SWITCHED = 0x200, FXSR = 0x400, AVX = 0x800, GUARDED = 0x1000, REAL = 0x2000;
const sizeCode = { 16: 0, 32: 1, 64: 2 } as const, sizes = [16, 32, 64, 64] as const;

const CPL_WORD = placeOf('cpl') >> 2, XCR0_WORD = placeOf('xcr0') >> 2, CR0_WORD = placeOf('cr0') >> 2, CR4_WORD = placeOf('cr4') >> 2, FLAGS_WORD = placeOf('rflagsSystem') >> 2;

/** Base 0, limit 4 GiB, usable. */
function spansAll(cpu: Cpu, segment: number): boolean {
  const at = placeOfSegment(segment);
  return (cpu.u32[(at + SEGMENT_BASE) >> 2]! | cpu.u32[(at + SEGMENT_BASE + 4) >> 2]!) === 0
    && cpu.u32[(at + SEGMENT_LIMIT) >> 2] === 0xffffffff
    && (attributes(cpu, segment) & (Attribute.unusable | Attribute.present)) === Attribute.present;
}
/** Code that is not looked at: flat, and readable. */
const isFlatCode = (cpu: Cpu): boolean => spansAll(cpu, CS) && isReadable(attributes(cpu, CS));
/** Flat code of 32 bits; outside long mode. */
export const isFlatCode32 = (cpu: Cpu): boolean => isFlatCode(cpu) && isBig(attributes(cpu, CS));
const attributes = (cpu: Cpu, segment: number): number => cpu.u32[(placeOfSegment(segment) + SEGMENT_ATTRIBUTES) >> 2]!;
function isFlatData(cpu: Cpu, segment: number): boolean {
  return spansAll(cpu, segment) && isWritable(attributes(cpu, segment)) && !isExpandDown(attributes(cpu, segment));
}

const AVX_STATE = 6;
const hasAvx = (cpu: Cpu): boolean => enablesAvx(cpu) && !is8086(cpu);
const enablesAvx = ({ u32 }: Cpu): boolean => (u32[XCR0_WORD]! & AVX_STATE) === AVX_STATE && (u32[CR4_WORD]! & CR4.OSXSAVE) !== 0;

/** What `modeOf` says of the units, for a reader that keeps no modes. */
export const unitsOf = (cpu: Cpu): Units => ({
  emulated: (cpu.u32[CR0_WORD]! & CR0.EM) !== 0, switched: (cpu.u32[CR0_WORD]! & CR0.TS) !== 0,
  fxsr: (cpu.u32[CR4_WORD]! & CR4.OSFXSR) !== 0, avx: hasAvx(cpu), real: is8086(cpu),
});

/** Bits of IA32_U_CET and IA32_S_CET (SDM Vol. 1, 17.1.3; APM Vol. 2, 18.4). */
export const CetBit = { shadowStack: 1, writable: 2, endbranch: 4, legacy: 8, noTrack: 0x10, suppressDisabled: 0x20, suppress: 0x400, tracker: 0x800 } as const;
const U_CET_WORD = placeOf('uCet') >> 2, S_CET_WORD = placeOf('sCet') >> 2;
export const isGuarded = (cpu: Cpu): boolean =>
  (cpu.u32[CR4_WORD]! & CR4.CET) !== 0 && (cpu.u32[cpu.u32[CPL_WORD] === 3 ? U_CET_WORD : S_CET_WORD]! & (CetBit.shadowStack | CetBit.endbranch)) !== 0 && !is8086(cpu);
/** What `guarded` is about. */
const guardedTransfers: ReadonlySet<string> = new Set(['CALL', 'RET', 'ENDBR32', 'ENDBR64']);
export const isGuardedTransfer = ({ mnemonic, operands }: Instruction): boolean =>
  guardedTransfers.has(mnemonic) || (mnemonic === 'JMP' && operands[0]!.kind !== 'relative');

export function modeKey(cpu: Cpu): number {
  const { u32 } = cpu, cr0 = u32[CR0_WORD]!, cr4 = u32[CR4_WORD]!;
  // EM, TS and OSFXSR, moved to their places in the key.
  let key = (cr0 & (CR0.EM | CR0.TS)) << 6 | (cr4 & CR4.OSFXSR) << 1;
  const user = u32[CPL_WORD] === 3;
  if (user) key |= USER;
  if (is64Bit(cpu)) {
    key |= IN_64_BIT;
    if (enablesAvx(cpu)) key |= AVX;
  } else {
    key |= sizeCode[codeSizeOf(cpu)] | sizeCode[stackSizeOf(cpu)] << 2;
    if (isFlatData(cpu, DS) && isFlatData(cpu, ES) && isFlatData(cpu, SS)) key |= FLAT_DATA;
    if (isFlatCode(cpu)) key |= FLAT_CODE;
    if (hasAvx(cpu)) key |= AVX;
    if (is8086(cpu)) key |= REAL;
  }
  if (user && cr0 & CR0.AM && u32[FLAGS_WORD]! & AC) key |= ALIGNMENT;
  if (isGuarded(cpu)) key |= GUARDED;
  return key;
}
const IN_64_BIT = sizeCode[64] | sizeCode[64] << 2 | FLAT_DATA | FLAT_CODE;

const modes: (Mode | undefined)[] = new Array<undefined>(0x4000).fill(undefined);
export function modeOf(key: number): Mode {
  let mode = modes[key];
  if (!mode) {
    mode = {
      key, codeSize: sizes[key & 3]!, stackSize: sizes[key >> 2 & 3]!, user: (key & USER) !== 0,
      flatData: (key & FLAT_DATA) !== 0, flatCode: (key & FLAT_CODE) !== 0, alignmentCheck: (key & ALIGNMENT) !== 0,
      units: { emulated: (key & EMULATED) !== 0, switched: (key & SWITCHED) !== 0, fxsr: (key & FXSR) !== 0, avx: (key & AVX) !== 0, real: (key & REAL) !== 0 },
      guarded: (key & GUARDED) !== 0,
    };
    modes[key] = mode;
  }
  return mode;
}
