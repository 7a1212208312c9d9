// The engine's own part of linear memory: cells, jump caches and decoded records, from `ENGINE_AREA` to RAM. All of it is a pure
// cache: nothing here is state of the machine. Read by everything in `wasm/`.
import { ENGINE_AREA, ENGINE_AREA_SIZE } from '../cpu/state.ts';

/** Words that WebAssembly and TypeScript share. */
export const Cell = {
  /** Instructions of `cpu.budget` that the running slice does not hold: `cpu.budget` = count in the parameter + this. */
  reserve: ENGINE_AREA,
  /** The count after a system instruction. */
  count: ENGINE_AREA + 4,
  /** The jump cache of the running context. */
  jumpCache: ENGINE_AREA + 8,
  /** For each data segment (`segmentNames` order): u64, one more than the last readable, then writable, offset; 0 where only the slow
   * path may decide. For modes that are not flat. */
  readEnd: ENGINE_AREA + 0x40,
  writeEnd: ENGINE_AREA + 0x80,
} as const;

/** A jump cache: entries of tag u64 (instruction pointer), record u32, spare u32. */
export const JUMP_CACHES = ENGINE_AREA + 0x10000;
export const JUMP_CACHE_COUNT = 16;
export const JUMP_ENTRIES = 4096;
export const JUMP_ENTRY_SIZE = 16;
/** Place of the record in an entry. */
export const JUMP_ENTRY_RECORD = 8;
export const JUMP_CACHE_SIZE = JUMP_ENTRIES * JUMP_ENTRY_SIZE;

/** Left to the translator. */
export const TRANSLATOR_AREA = JUMP_CACHES + JUMP_CACHE_COUNT * JUMP_CACHE_SIZE;
export const TRANSLATOR_AREA_SIZE = 0x100000;

/** Decoded records. */
export const RECORDS = TRANSLATOR_AREA + TRANSLATOR_AREA_SIZE;
export const RECORDS_END = ENGINE_AREA + ENGINE_AREA_SIZE;
export const RECORD_SIZE = 64;

/** Places in a record. */
export const Field = {
  /** Slot of the handler in the table: what runs. */
  handler: 0,
  /** Slot of the handler of this one instruction, where `handler` is one for several, or a translated region. */
  plain: 4,
  /** Byte addresses of up to three register operands; the fourth of an instruction that does not branch stands in `taken`. */
  place: 8,
  /** The record that a taken branch continues with; that an indirect one continued with the last time. */
  taken: 20,
  /** u64: an immediate, or the target of a direct branch. */
  immediate: 24,
  /** Byte addresses of base and index register. */
  base: 32,
  index: 36,
  /** u64: the displacement, or the whole address when it is constant; the second immediate of an instruction without a memory operand. */
  displacement: 40,
  /** u64: instruction pointer of this instruction. */
  rip: 48,
  /** u8: its length. */
  length: 56,
  /** u8: bits 15:8 of the access code of its memory operand. */
  access: 57,
  /** u32: free for whoever looks for hot code. */
  heat: 60,
} as const;
