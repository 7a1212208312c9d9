// Segment descriptors as two 32-bit words, and their attributes in the layout of `Attribute`. Pure; used by everything in
// `system/`, by the board's loaders and by the debugger. It must not read memory or a vCPU.
import { Attribute } from './state.ts';

/** Types of system descriptors (S = 0), as in a legacy descriptor (APM Vol. 2, table 4-5; long mode knows ldt, tss32, callGate32, interruptGate32, trapGate32). */
export const SystemType = {
  tss16: 1, ldt: 2, tss16Busy: 3, callGate16: 4, taskGate: 5, interruptGate16: 6, trapGate16: 7,
  tss32: 9, tss32Busy: 11, callGate32: 12, interruptGate32: 14, trapGate32: 15,
} as const;

/** `segmentRegisters` indexes. */
export const ES = 0, CS = 1, SS = 2, DS = 3, FS = 4, GS = 5, LDTR = 6, TR = 7;

/** Descriptor-table words of an 8-byte descriptor. */
export interface Descriptor { readonly low: number; readonly high: number }

/** Bits of `Descriptor.high`. */
export const DescriptorHigh = { accessed: 0x100, busy: 0x200, big: 0x400000, long: 0x200000, granularity: 0x800000 } as const;

export const baseOf = (low: number, high: number): number => (low >>> 16 | (high & 0xff) << 16 | high & 0xff000000) >>> 0;
/** In bytes, scaled. */
export const limitOf = (low: number, high: number): number => {
  const raw = low & 0xffff | high & 0xf0000;
  return high & DescriptorHigh.granularity ? (raw << 12 | 0xfff) >>> 0 : raw;
};
/** In the layout of `Attribute`, without `unusable`. */
export const attributesOf = (high: number): number => high >>> 8 & 0xff | high >>> 12 & 0xf00;

/** The descriptor of a base, a limit in bytes and attributes; the limit must be one that the granularity can say. */
export function packDescriptor(base: number, limit: number, attributes: number): Descriptor {
  const raw = attributes & Attribute.granularity ? limit >>> 12 : limit;
  return {
    low: (base << 16 | raw & 0xffff) >>> 0,
    high: (base & 0xff000000 | base >>> 16 & 0xff | raw & 0xf0000 | (attributes & 0xff) << 8 | (attributes & 0xf00) << 12) >>> 0,
  };
}

export const privilegeOf = (attributes: number): number => attributes >>> 5 & 3;
export const typeOf = (attributes: number): number => attributes & 0xf;
export const isPresent = (attributes: number): boolean => (attributes & Attribute.present) !== 0;
/** TSS, LDT and gates. */
export const isSystem = (attributes: number): boolean => (attributes & Attribute.notSystem) === 0;
export const isCode = (attributes: number): boolean => (attributes & 0x18) === 0x18;
export const isData = (attributes: number): boolean => (attributes & 0x18) === 0x10;
export const isConforming = (attributes: number): boolean => (attributes & 0x1c) === 0x1c;
export const isReadable = (attributes: number): boolean => isData(attributes) || (attributes & 0x1a) === 0x1a;
export const isWritable = (attributes: number): boolean => (attributes & 0x1a) === 0x12;
export const isExpandDown = (attributes: number): boolean => (attributes & 0x1c) === 0x14;
export const isLongCode = (attributes: number): boolean => (attributes & Attribute.long) !== 0;
export const isBig = (attributes: number): boolean => (attributes & Attribute.big) !== 0;
export const isNullSelector = (selector: number): boolean => (selector & 0xfffc) === 0;
