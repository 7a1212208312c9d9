// Which code is worth translating, and its life: hot places are found by where slices of the interpreter end, a region is formed from the
// decoded records around such a place, translated, and installed as the handler of its entry records; when the code changes, the
// records get their own handlers back. Called by `index.ts` and by `blocks.ts` when code is dropped.
import type { Instruction } from '../isa/instruction.ts';
import type { Page } from './blocks.ts';
import { importCore, type CoreExports } from './core.ts';
import { Module } from './encode.ts';
import type { Handlers } from './handlers.ts';
import { Field } from './layout.ts';
import { shapeOf } from './shapes.ts';
import { canHaveRegions, packEntry, relativeTarget, translatable, translateRegion, type SourceBlock, type SourceInstruction } from './translator.ts';

/** Bounds of one region: V8's optimizing compiler is worse than linear in the size of a function. */
const MOST_BLOCKS = 96, MOST_INSTRUCTIONS = 700, LONGEST_BLOCK = 64;
/** A page whose regions were dropped so often keeps to the interpreter: its code changes all the time. */
const MOST_DROPS = 16;

interface Region {
  readonly slot: number;
  readonly page: Page;
  /** Offsets in the page: first and behind the last byte. */
  readonly start: number;
  readonly end: number;
  /** Offsets of the instructions that it executes. */
  readonly covered: ReadonlySet<number>;
  /** Entry records, with the handlers that they had. */
  readonly entries: readonly { readonly record: number; readonly handler: number }[];
}

export interface Regions {
  /** A slice ended at `offset` of `page`: perhaps translate what is there. False: look again soon, there is something to gain. */
  sample(page: Page, offset: number): boolean;
  /** Bytes `start` to `end` of a page change. */
  drop(page: Page, start: number, end: number): void;
  reset(): void;
  readonly count: number;
}

export interface RegionParts {
  readonly memory: WebAssembly.Memory;
  readonly u32: Uint32Array;
  readonly table: WebAssembly.Table;
  readonly core: CoreExports;
  readonly handlers: Handlers;
  readonly instructionAt: (record: number) => Instruction | undefined;
  /** Samples at one place before it is translated; 0 translates everything that is sampled, and whatever changes again and again. */
  readonly threshold: number;
}

const system = { system: true } as const;

export function createRegions({ memory, u32, table, core, handlers, instructionAt, threshold }: RegionParts): Regions {
  const byPage = new Map<Page, Region[]>(), drops = new Map<Page, number>();
  let heat = new Map<Page, Map<number, number>>();
  const freeSlots: number[] = [];
  let count = 0;

  function sample(page: Page, offset: number): boolean {
    if (!canHaveRegions(page.context.mode) || (threshold > 0 && (drops.get(page) ?? 0) > MOST_DROPS)) return true;
    if (byPage.get(page)?.some(({ covered }) => covered.has(offset))) return true;
    let places = heat.get(page);
    if (!places) heat.set(page, places = new Map());
    const granule = offset >> 5;
    const seen = (places.get(granule) ?? 0) + 1;
    places.set(granule, seen);
    if (seen < 0) return true;
    if (seen < threshold) return false;
    places.set(granule, -8 * threshold);
    return !translate(page, headOf(page, offset));
  }

  /** The beginning of the straight run of records that an offset lies in: a sample may fall anywhere in a block. */
  function headOf(page: Page, offset: number): number {
    let record = page.records[offset]!;
    for (let head = offset; ;) {
      const before = page.records.lastIndexOf(record - 64, head);
      const instruction = before >= 0 && record > 64 ? instructionAt(record - 64) : undefined;
      if (!instruction || before + instruction.length !== head || instruction.operands[0]?.kind === 'relative') return head;
      head = before;
      record -= 64;
    }
  }

  function sourceAt(page: Page, offset: number): SourceInstruction | undefined {
    const record = page.records[offset]!;
    if (record === 0) return undefined;
    const instruction = instructionAt(record);
    const rip = page.start + BigInt(offset), handler = u32[(record + Field.plain) >> 2]!;
    if (!instruction) return undefined;
    const relative = instruction.operands[0]?.kind === 'relative';
    const { mode } = page.context;
    const next = rip + BigInt(instruction.length);
    const target = relative ? BigInt.asUintN(64, next + (instruction.operands[0] as { displacement: bigint }).displacement) : 0n;
    // A target in this page is as valid as the page.
    const direct = relative && target >= page.start && target < page.start + 0x1000n;
    const shape = shapeOf(instruction, mode, relative && direct);
    const outcome = shape?.outcome ?? system;
    return { instruction, rip, record, handler, outcome, direct, displace: shape?.displacement };
  }

  /** Basic blocks of decoded code that the head reaches inside the page. */
  function form(page: Page, head: number): SourceBlock[] {
    const { mode } = page.context;
    const offsetOf = (rip: bigint): number => {
      const offset = rip - page.start;
      return offset >= 0n && offset < 0x1000n ? Number(offset) : -1;
    };
    const sources = new Map<number, SourceInstruction>(), leaders = new Set<number>();
    const work = [head];
    let total = 0;
    for (let leader = work.shift(); leader !== undefined; leader = work.shift()) {
      if (leader < 0 || leaders.has(leader) || leaders.size >= MOST_BLOCKS || page.records[leader] === 0) continue;
      leaders.add(leader);
      for (let offset = leader; offset < 0x1000 && total < MOST_INSTRUCTIONS; ) {
        if (sources.has(offset)) break;
        const source = sourceAt(page, offset);
        if (!source) break;
        sources.set(offset, source);
        total++;
        const behind = offset + source.instruction.length;
        if (!translatable(source)) {
          // The interpreter does it; what follows may be entered again.
          work.push(behind);
          break;
        }
        if (source.outcome.branch) {
          if (source.instruction.operands[0]?.kind === 'relative') work.push(offsetOf(relativeTarget(source, mode)));
          if (source.instruction.mnemonic !== 'JMP' && source.instruction.mnemonic !== 'RET') work.push(behind);
          break;
        }
        offset = behind;
      }
    }
    const blocks: SourceBlock[] = [];
    for (const leader of leaders) {
      const instructions: SourceInstruction[] = [];
      let offset = leader;
      for (let source = sources.get(offset); source; source = sources.get(offset)) {
        instructions.push(source);
        offset += source.instruction.length;
        if (source.outcome.branch || !translatable(source) || leaders.has(offset)) break;
        if (instructions.length === LONGEST_BLOCK) {
          if (sources.has(offset)) leaders.add(offset);
          break;
        }
      }
      if (instructions.length > 0) blocks.push({ instructions, end: page.start + BigInt(offset) });
    }
    return blocks;
  }

  /** Whether there was something to translate. */
  function translate(page: Page, head: number): boolean {
    const blocks = form(page, head);
    if (blocks.length === 0 || !translatable(blocks[0]!.instructions[0]!)) return false;
    const offset = (block: SourceBlock): number => Number(block.instructions[0]!.rip - page.start);
    const last = Math.max(...blocks.map(({ end }) => Number(end - page.start)));
    const first = Math.min(...blocks.map(offset));
    const covered = new Set(blocks.flatMap(({ instructions }) => instructions.filter(translatable).map(({ rip }) => Number(rip - page.start))));
    // An older region that this one contains gives way; entries that belong to another stay with it.
    const others = byPage.get(page) ?? [];
    const contained = others.filter((other) => [...other.covered].every((each) => covered.has(each)));
    contained.forEach(uninstall);
    const rest = others.filter((other) => !contained.includes(other));
    const taken = new Set(rest.flatMap(({ entries }) => entries.map(({ record }) => record)));
    const entries = blocks.flatMap(({ instructions: [head] }, number) => (translatable(head!) && !taken.has(head!.record) ? [number] : []));
    const slot = freeSlots.pop() ?? handlers.allocate();
    const module = new Module();
    importCore(module);
    const index = translateRegion(module, handlers.functions, page.context.mode, blocks, entries, slot);
    module.element(slot, [index]);
    void new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { core: { ...core, memory, table } });
    const installed = entries.map((number) => {
      const { instructions } = blocks[number]!;
      const { record } = instructions[0]!;
      const handler = u32[(record + Field.handler) >> 2]!;
      u32[(record + Field.heat) >> 2] = packEntry(number, instructions.length);
      u32[(record + Field.handler) >> 2] = slot;
      return { record, handler };
    });
    byPage.set(page, [...rest, { slot, page, start: first, end: last, covered, entries: installed }]);
    count++;
    return true;
  }

  /** Gives the entry records their handlers back. */
  function uninstall({ slot, entries }: Region): void {
    for (const { record, handler } of entries) {
      if (u32[(record + Field.handler) >> 2] === slot) u32[(record + Field.handler) >> 2] = handler;
    }
    freeSlots.push(slot);
  }

  function drop(page: Page, start: number, end: number): void {
    const list = byPage.get(page);
    if (!list) return;
    const gone = list.filter((region) => region.start < end && region.end > start);
    if (gone.length === 0) return;
    gone.forEach(uninstall);
    drops.set(page, (drops.get(page) ?? 0) + 1);
    byPage.set(page, list.filter((region) => !gone.includes(region)));
  }

  return {
    sample, drop,
    get count() { return count; },
    reset() {
      for (const list of byPage.values()) for (const { slot } of list) freeSlots.push(slot);
      byPage.clear();
      drops.clear();
      heat = new Map();
    },
  };
}
