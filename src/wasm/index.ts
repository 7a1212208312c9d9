// The engine that runs decoded records: creates the WebAssembly parts, finds code and enters it, and answers what the handlers ask.
// Called by `vm/run.ts` through `Engine`. Which tier runs is decided here and can be seen by nobody.
import { onPrototype } from '../cpu/accessors.ts';
import { Done, Stop, type Engine, type Services } from '../cpu/engine.ts';
import { is64Bit, isCanonical } from '../cpu/controls.ts';
import type { Mode } from '../cpu/mode.ts';
import { ES, FS, GS, isExpandDown, isReadable, isWritable } from '../cpu/segments.ts';
import { Attribute, placeOf, placeOfSegment, SEGMENT_ATTRIBUTES, SEGMENT_LIMIT, type Cpu } from '../cpu/state.ts';
import type { HasFeature } from '../isa/instruction.ts';
import { createBlocks, type Page } from './blocks.ts';
import { instantiateCore, LOOKUP, MOVED } from './core.ts';
import { createGroups } from './groups.ts';
import { createHandlers } from './handlers.ts';
import { Cell } from './layout.ts';
import { createRegions } from './regions.ts';
import { instantiateRedelivery, type Redeliver } from './transfers.ts';

export type EngineKind = 'interpreter' | 'translator' | 'auto';

export interface EngineParts {
  readonly memory: WebAssembly.Memory;
  readonly cpu: Cpu;
  readonly services: Services;
  readonly has: HasFeature;
  /** Translate code before it runs for the first time: for tests. */
  readonly eager?: boolean;
}

/** Instructions between two looks at where time is spent: few while there is something to translate, more when there is not. */
const SHORTEST_SLICE = { interpreter: 0x4000, translator: 300, auto: 0x4000 } as const, LONGEST_SLICE = 0x100000;
/** Looks that find the same place before it is translated. */
const THRESHOLD = { interpreter: 2, translator: 1, auto: 2 } as const;
const TABLE_SIZE = 1024;

export function createEngine(kind: EngineKind, { memory, cpu, services, has, eager = false }: EngineParts): Engine & { readonly regionCount: number } {
  const { u32 } = cpu;
  const budgetWord = placeOf('budget') >> 2, reserveWord = Cell.reserve >> 2, countWord = Cell.count >> 2;
  const nextRipHigh = (placeOf('nextRip') + 4) >> 2;
  const table = new WebAssembly.Table({ element: 'anyfunc', initial: TABLE_SIZE });
  const core = instantiateCore(memory, table, {
    readSlow: (access) => services.readSlow(access),
    writeSlow: (access) => services.writeSlow(access),
    failure: () => services.failure,
    link: (record) => blocks.link(record),
    isTarget: () => (isTarget(cpu) ? 1 : 0),
    system(record) {
      const { generation } = blocks;
      if (blocks.mode.codeSize !== 64) u32[nextRipHigh] = 0;
      const done = services.system(blocks.stepAt(record));
      switch (done) {
        case Done.next: case Done.repeat:
          if (blocks.generation !== generation) return MOVED;
          if (!blocks.mode.flatData || !blocks.mode.flatCode) setSegmentEnds(cpu, blocks.mode);
          setCount();
          return done === Done.next ? -1 : record;
        case Done.moved: return eager ? MOVED : goOn();
        case Done.attention: return Stop.attention;
        case Done.fault:
          u32[budgetWord]!++;
          return Stop.fault;
        case Done.userspace:
          u32[budgetWord]!++;
          return Stop.userspace;
      }
    },
  });
  /** The mode or RIP changed: the record there, without leaving WebAssembly. */
  function goOn(): number {
    if (u32[budgetWord] === 0) return Stop.budget;
    enterMode();
    const record = blocks.find(false);
    if (record < 0) return Stop.fault;
    setCount();
    return record;
  }
  function enterMode(): void {
    const mode = blocks.enterMode();
    if (mode.codeSize !== 64) setSegmentEnds(cpu, mode);
  }

  const handlers = createHandlers(memory, table, core);
  // A module's exports are a hash table.
  const { enter } = core;
  const blocks = createBlocks(cpu, services, has, handlers);
  const regions = createRegions({
    memory, u32, u16: cpu.u16, table, core, handlers, threshold: eager ? 0 : THRESHOLD[kind],
    instructionAt: (record) => blocks.instructionAt(record), targetsIn: (page) => blocks.targetsIn(page),
  });
  blocks.onDrop = regions.drop;
  blocks.onReset = regions.reset;
  const groups = createGroups(u32, handlers, eager ? 1 : 2, (record) => blocks.instructionAt(record));
  let redeliver: Redeliver | undefined;
  let slice: number = SHORTEST_SLICE[kind];

  /** Splits the budget into what runs now and what is held back. */
  function setCount(): void {
    const budget = u32[budgetWord]!;
    const count = Math.min(budget, slice);
    u32[reserveWord] = budget - count;
    u32[countWord] = count;
  }

  /** The last slice used up its instructions, in this run or the one before: where it goes on is a sample. */
  let look = eager;

  /** A slice ended here. */
  function lookAt(page: Page, offset: number): void {
    if ((kind === 'interpreter' ? groups : regions).sample(page, offset)) slice = Math.min(2 * slice, Math.max(LONGEST_SLICE, slice));
    else slice = SHORTEST_SLICE[kind];
  }

  return onPrototype<Engine & { readonly regionCount: number }>({
    run(sameMode) {
      if (sameMode !== true) enterMode();
      for (;;) {
        if (u32[budgetWord] === 0) return Stop.budget;
        const record = blocks.find(look);
        if (record < 0) return Stop.fault;
        if (look && blocks.foundPage) lookAt(blocks.foundPage, blocks.foundOffset);
        setCount();
        const reason = enter(record, u32[countWord]!);
        look = eager || reason === Stop.budget;
        if (reason === MOVED) enterMode();
        else if (reason !== LOOKUP && reason !== Stop.budget) return reason as Stop;
      }
    },
    flushAddresses() { blocks.flushAddresses(); },
    enterSpace(space, known) { blocks.enterSpace(space, known); },
    invalidateCode(ramOffset, length) { blocks.invalidate(ramOffset, length); },
    reset() { blocks.reset(); },
    redeliver(entry, flags, errorCode, codeBytes) {
      redeliver ??= instantiateRedelivery(memory);
      return redeliver(entry, flags, errorCode, codeBytes);
    },
    /** Regions translated since the engine was created. */
    get regionCount() { return regions.count; },
  });
}

/** Whether a near branch may go to `nextRip`: canonical in 64-bit mode, inside the code segment elsewhere (APM Vol. 3, "JMP (Near)"). */
function isTarget(cpu: Cpu): boolean {
  const target = cpu.nextRip;
  if (is64Bit(cpu)) return isCanonical(cpu, target);
  return target <= BigInt(cpu.cs.limit);
}

/** One more than the last offset that needs no closer look, for reads and for writes of each segment that is looked at. Runs at every entry
 * outside 64-bit mode, hence on bare words. */
function setSegmentEnds({ u32 }: Cpu, { flatData, flatCode }: Mode): void {
  for (let index = flatData && flatCode ? FS : ES; index <= GS; index++) {
    const segment = placeOfSegment(index), attributes = u32[(segment + SEGMENT_ATTRIBUTES) >> 2]!, limit = u32[(segment + SEGMENT_LIMIT) >> 2]!;
    const usable = (attributes & (Attribute.unusable | Attribute.present)) === Attribute.present && !isExpandDown(attributes);
    putEnd(u32, Cell.readEnd + 8 * index, limit, usable && isReadable(attributes));
    putEnd(u32, Cell.writeEnd + 8 * index, limit, usable && isWritable(attributes));
  }
}
function putEnd(u32: Uint32Array, cell: number, limit: number, allowed: boolean): void {
  u32[cell >> 2] = allowed ? (limit + 1) >>> 0 : 0;
  u32[(cell + 4) >> 2] = allowed && limit === 0xffffffff ? 1 : 0;
}
