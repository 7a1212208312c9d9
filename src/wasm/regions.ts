// Which code is worth translating, and its life: hot places are found by where slices of the interpreter end, a region is formed from the
// decoded records around such a place, translated, and installed as the handler of its entry records; when the code changes, the
// records get their own handlers back. Called by `index.ts` and by `blocks.ts` when code is dropped.
import type { Instruction } from '../isa/instruction.ts';
import type { Page } from './blocks.ts';
import { importCore, type CoreExports } from './core.ts';
import { Module } from './encode.ts';
import type { Handlers } from './handlers.ts';
import { Field, RECORD_SIZE, TRANSLATOR_AREA, TRANSLATOR_AREA_SIZE } from './layout.ts';
import { shapeOf } from './shapes.ts';
import { canHaveRegions, packEntry, packTarget, relativeTarget, translatable, translateRegion, type SourceBlock, type SourceInstruction } from './translator.ts';

/** Bounds of one region: V8's optimizing compiler is worse than linear in the size of a function. */
const MOST_BLOCKS = 128, MOST_INSTRUCTIONS = 700, LONGEST_BLOCK = 64;
/** A function of so many blocks that calls nothing is made anew for each caller in a region. */
const SMALL_LEAF = 8;
/** A page whose regions were dropped so often keeps to the interpreter: its code changes all the time. */
const MOST_DROPS = 16;

interface Region {
  readonly slot: number;
  readonly page: Page;
  /** Offsets in the page: first and behind the last byte. */
  readonly start: number;
  readonly end: number;
  /** Offsets of the instructions that it executes, or leaves to the interpreter for good. */
  readonly covered: ReadonlySet<number>;
  /** Entry records, with the handlers that they had. */
  readonly entries: readonly { readonly record: number; readonly handler: number }[];
}

/** A block with its place: `shared` when it is not for one caller alone. */
interface FormedBlock extends SourceBlock { readonly offset: number; readonly end: number; readonly shared: boolean }

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
  readonly u16: Uint16Array;
  readonly table: WebAssembly.Table;
  readonly core: CoreExports;
  readonly handlers: Handlers;
  readonly instructionAt: (record: number) => Instruction | undefined;
  /** Offsets in a page that indirect jumps, returns and the like have gone to. */
  readonly targetsIn: (page: Page) => readonly number[];
  /** Samples at one place before it is translated; 0 translates everything that is sampled, and whatever changes again and again. */
  readonly threshold: number;
}

const system = { system: true } as const;

/** Tables of entries by offset in the page, two bytes each; regions beyond the last table share one that stays empty. */
const TARGET_TABLE_SIZE = 0x2000, TARGET_TABLES = TRANSLATOR_AREA_SIZE / TARGET_TABLE_SIZE;
const NO_TABLE = TRANSLATOR_AREA;

export function createRegions({ memory, u32, u16, table, core, handlers, instructionAt, targetsIn, threshold }: RegionParts): Regions {
  const byPage = new Map<Page, Region[]>(), drops = new Map<Page, number>();
  let heat = new Map<Page, Map<number, number>>();
  const freeSlots: number[] = [];
  const tables = new Map<number, number>();
  /** The table of a region's slot: its own for good, as long as there are any. */
  function tableOf(slot: number): number {
    let place = tables.get(slot);
    if (place === undefined) tables.set(slot, place = tables.size + 1 < TARGET_TABLES ? TRANSLATOR_AREA + (tables.size + 1) * TARGET_TABLE_SIZE : NO_TABLE);
    return place;
  }
  let count = 0;

  function sample(page: Page, offset: number): boolean {
    if (!canHaveRegions(page.context.mode) || (threshold > 0 && (drops.get(page) ?? 0) > MOST_DROPS)) return true;
    if (byPage.get(page)?.some(({ covered }) => covered.has(offset))) return true;
    const source = sourceAt(page, offset);
    if (!source || !translatable(source)) return true;
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

  /** The beginning of the straight run of translatable records that an offset lies in: a sample may fall anywhere in a block. */
  function headOf(page: Page, offset: number): number {
    for (let head = offset; ;) {
      const before = page.records.lastIndexOf(page.records[head]! - RECORD_SIZE, head);
      const source = before >= 0 && page.records[before] !== 0 ? sourceAt(page, before) : undefined;
      if (!source || before + source.instruction.length !== head || source.outcome.branch || !translatable(source)) return head;
      head = before;
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
  function form(page: Page, head: number): FormedBlock[] {
    const { mode } = page.context;
    const sources = new Map<number, SourceInstruction>(), leaders = new Set<number>();
    const work = [head];
    let total = 0;
    /** Where indirect jumps and calls of this page lead, as far as is known: not to where a call returns. */
    let jumpTargets: number[] | undefined;
    const findJumpTargets = (): number[] => jumpTargets ??= targetsIn(page).filter((offset) => !isReturnSite(page, offset));
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
          if (source.instruction.operands[0]?.kind === 'relative') work.push(offsetIn(page, relativeTarget(source, mode)));
          else if (source.instruction.mnemonic === 'CALL') work.push(lastTarget(page, source));
          else if (source.instruction.mnemonic !== 'RET') work.push(...findJumpTargets());
          if (source.instruction.mnemonic !== 'JMP' && source.instruction.mnemonic !== 'RET') work.push(behind);
          break;
        }
        offset = behind;
      }
    }
    // Long runs are cut, so that no block needs a large budget.
    for (const leader of leaders) {
      let offset = leader;
      for (let length = 0; length < LONGEST_BLOCK && sources.has(offset) && (length === 0 || !leaders.has(offset)); length++) offset += sources.get(offset)!.instruction.length;
      if (sources.has(offset)) leaders.add(offset);
    }
    return instantiate(page, head, leaders, sources, findJumpTargets);
  }

  /** Makes blocks of leaders: once for each known caller, so that a return in the region is a comparison and a jump. */
  function instantiate(
    page: Page, head: number, leaders: ReadonlySet<number>, sources: ReadonlyMap<number, SourceInstruction>, findJumpTargets: () => readonly number[],
  ): FormedBlock[] {
    const { mode } = page.context;
    const numbers = new Map<string, number>(), work: { leader: number; returns: readonly number[] }[] = [];
    const numberOf = (leader: number, returns: readonly number[]): number => {
      if (!leaders.has(leader) || !sources.has(leader)) return -1;
      const key = `${leader}/${returns.join()}`, known = numbers.get(key);
      if (known !== undefined) return known;
      if (work.length >= MOST_BLOCKS) return returns.length > 0 ? numberOf(leader, []) : -1;
      numbers.set(key, work.length);
      return work.push({ leader, returns }) - 1;
    };
    numberOf(head, []);
    const blocks: FormedBlock[] = [];
    for (const { leader, returns } of work) {
      const instructions: SourceInstruction[] = [];
      let end = leader;
      for (let source = sources.get(end); source; source = sources.get(end)) {
        instructions.push(source);
        end += source.instruction.length;
        if (source.outcome.branch || !translatable(source) || leaders.has(end) || instructions.length === LONGEST_BLOCK) break;
      }
      const last = instructions.at(-1)!, { mnemonic, operands } = last.instruction;
      const callee = (target: number): number => isSmallLeaf(page, target, sources) ? numberOf(target, [end]) : numberOf(target, []);
      const at = (offset: number, block: number) => ({ target: page.start + BigInt(offset), block });
      let taken = -1, behind = -1, expected: SourceBlock['expected'] = [], mayGoTo: readonly number[] = [];
      if (!translatable(last)) numberOf(end, []);
      else if (!last.outcome.branch) behind = numberOf(end, returns);
      else if (operands[0]?.kind === 'relative') {
        const target = offsetIn(page, relativeTarget(last, mode));
        taken = mnemonic === 'CALL' ? callee(target) : numberOf(target, returns);
        if (last.outcome.branch.when) behind = numberOf(end, returns);
      } else if (mnemonic === 'RET') {
        // The caller is one without a known caller of its own, or is given up as such here.
        if (returns.length > 0) expected = [at(returns[0]!, numberOf(returns[0]!, []))];
      } else if (mnemonic === 'CALL') {
        const before = lastTarget(page, last);
        if (before >= 0) expected = [at(before, callee(before))];
      } else mayGoTo = findJumpTargets().map((offset) => numberOf(offset, []));
      if (mnemonic === 'CALL') behind = numberOf(end, []);
      blocks.push({ instructions, taken, behind, expected, mayGoTo, offset: leader, end, shared: returns.length === 0 });
    }
    return blocks;
  }

  /** Whether what begins at an offset comes to its returns within a few blocks and calls nothing. */
  function isSmallLeaf(page: Page, start: number, sources: ReadonlyMap<number, SourceInstruction>): boolean {
    const seen = new Set<number>(), work = [start];
    let transfers = 0;
    for (let offset = work.pop(); offset !== undefined; offset = work.pop()) {
      while (!seen.has(offset)) {
        const source = sources.get(offset);
        if (!source || !translatable(source)) break;
        seen.add(offset);
        const { mnemonic, operands, length } = source.instruction;
        offset += length;
        if (!source.outcome.branch) continue;
        if (mnemonic === 'CALL' || (mnemonic === 'JMP' && operands[0]?.kind !== 'relative') || ++transfers > SMALL_LEAF) return false;
        if (mnemonic === 'RET') break;
        work.push(offsetIn(page, relativeTarget(source, page.context.mode)));
        if (mnemonic === 'JMP') break;
      }
    }
    return true;
  }

  const offsetIn = (page: Page, rip: bigint): number => rip >= page.start && rip < page.start + 0x1000n ? Number(rip - page.start) : -1;

  /** Where an indirect branch went the last time, when that is in its page. */
  function lastTarget(page: Page, { record }: SourceInstruction): number {
    const target = u32[(record + Field.taken) >> 2]!;
    return target === 0 ? -1 : page.records.indexOf(target);
  }

  /** Whether a decoded call ends at an offset. */
  function isReturnSite(page: Page, offset: number): boolean {
    for (let before = Math.max(0, offset - 15); before < offset; before++) {
      const record = page.records[before]!;
      const instruction = record === 0 ? undefined : instructionAt(record);
      if (instruction?.mnemonic === 'CALL' && before + instruction.length === offset) return true;
    }
    return false;
  }

  /** Blocks that are worth an entry: the head, what loops come back to, where calls return, where indirect jumps go, and what follows an
   * instruction that the interpreter does. Anything else would only make loops look where they are entered. */
  function entriesOf(page: Page, blocks: readonly FormedBlock[]): number[] {
    const wanted = new Set([blocks[0]!.offset, ...targetsIn(page)]);
    for (const { instructions, end } of blocks) {
      const last = instructions.at(-1)!;
      if (!translatable(last) || last.instruction.mnemonic === 'CALL') wanted.add(end);
      if (last.instruction.operands[0]?.kind !== 'relative') continue;
      const target = offsetIn(page, relativeTarget(last, page.context.mode));
      if (target < end || last.instruction.mnemonic === 'CALL') wanted.add(target);
    }
    return blocks.flatMap(({ instructions: [first], offset, shared }, number) => (shared && translatable(first!) && wanted.has(offset) ? [number] : []));
  }

  /** Whether there was something to translate. */
  function translate(page: Page, head: number): boolean {
    const blocks = form(page, head);
    if (blocks.length === 0 || !translatable(blocks[0]!.instructions[0]!)) return false;
    const last = Math.max(...blocks.map(({ end }) => end)), first = Math.min(...blocks.map(({ offset }) => offset));
    const covered = new Set(blocks.flatMap(({ instructions }) => instructions.map(({ rip }) => Number(rip - page.start))));
    // An older region that this one contains gives way; entries that belong to another stay with it.
    const others = byPage.get(page) ?? [];
    const contained = others.filter((other) => [...other.covered].every((each) => covered.has(each)));
    contained.forEach(uninstall);
    const rest = others.filter((other) => !contained.includes(other));
    const taken = new Set(rest.flatMap(({ entries }) => entries.map(({ record }) => record)));
    const entries = entriesOf(page, blocks);
    const slot = freeSlots.pop() ?? handlers.allocate();
    const targetTable = tableOf(slot);
    u16.fill(0, targetTable >> 1, (targetTable >> 1) + 0x1000);
    if (targetTable !== NO_TABLE) {
      for (const number of entries) {
        const { instructions } = blocks[number]!;
        u16[(targetTable >> 1) + Number(instructions[0]!.rip - page.start)] = packTarget(number, instructions.length);
      }
    }
    const module = new Module();
    importCore(module);
    const index = translateRegion(module, handlers.functions, page.context.mode, blocks, entries, page.start, targetTable);
    module.element(slot, [index]);
    void new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { core: { ...core, memory, table } });
    const installed = entries.filter((number) => !taken.has(blocks[number]!.instructions[0]!.record)).map((number) => {
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
