// Indexes into `cpu.u32` of the fields that event delivery and IRET touch: these two must not make a bigint, and the accessors of
// `Cpu` make one for every 64-bit field. Linear memory is little-endian, so a field's high half is the next word.
import { placeOf, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT, SEGMENT_SELECTOR } from '../cpu/state.ts';

const word = (name: Parameters<typeof placeOf>[0]): number => placeOf(name) >> 2;

export const RSP_WORD = word('rsp');
export const RIP_WORD = word('rip');
export const NEXT_RIP_WORD = word('nextRip');
export const FLAGS_WORD = word('rflagsSystem');
export const CPL_WORD = word('cpl');
export const CR4_WORD = word('cr4');
export const IDTR_BASE_WORD = word('idtrBase'), IDTR_LIMIT_WORD = word('idtrLimit');
export const GDTR_BASE_WORD = word('gdtrBase'), GDTR_LIMIT_WORD = word('gdtrLimit');

/** Words of a segment register's record: selector, attributes, base (two words), limit. */
export const selectorWord = (segment: number): number => placeOfSegment(segment) + SEGMENT_SELECTOR >> 2;
export const attributesWord = (segment: number): number => placeOfSegment(segment) + SEGMENT_ATTRIBUTES >> 2;
export const baseWord = (segment: number): number => placeOfSegment(segment) + SEGMENT_BASE >> 2;
export const limitWord = (segment: number): number => placeOfSegment(segment) + SEGMENT_LIMIT >> 2;

/** 64 bits from two halves, for the places that take a bigint. */
export const join = (low: number, high: number): bigint => high === 0 ? BigInt(low) : BigInt(high) << 32n | BigInt(low);
