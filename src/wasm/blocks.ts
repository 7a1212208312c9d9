// Decoded code: from an instruction pointer to records, and back to nothing when the code changes. A block is a run of records in one
// page, filed under the RAM page, the instruction pointer and the mode; branches inside the page are linked, everything else goes
// through a jump cache in linear memory that WebAssembly probes itself. Called by `index.ts`; it executes nothing.
import type { Services, SystemStep } from '../cpu/engine.ts';
import { Access } from '../cpu/engine.ts';
import { onPrototype } from '../cpu/accessors.ts';
import { isGuardedTransfer, modeKey, modeOf, type Mode } from '../cpu/mode.ts';
import { placeOf, placeOfGeneral, placeOfRegister, RAM, ZERO_CELL, type Cpu } from '../cpu/state.ts';
import { legacyTransferOf, longTransferOf } from '../cpu/transfers.ts';
import { unitFault } from '../cpu/units.ts';
import { decode } from '../isa/decode.ts';
import type { HasFeature, Instruction, MemoryOperand, Undecodable } from '../isa/instruction.ts';
import { isSystem, meaningOf } from '../semantics/index.ts';
import { jumpEntryOffset, Slot } from './core.ts';
import type { Handlers } from './handlers.ts';
import { Cell, Field, JUMP_CACHE_COUNT, JUMP_CACHE_SIZE, JUMP_CACHES, RECORDS, RECORDS_END, RECORD_SIZE } from './layout.ts';
import { isConstantAddress, isImplied, shapeOf } from './shapes.ts';

const UD = 6, GP = 13;
const RIP = placeOf('rip') >> 2;
/** Records of a block, and with the stubs that may follow them. */
const LIMIT = 64, ROOM = (2 * LIMIT + 2) * RECORD_SIZE;

/** Code is filed by mode and, where the code segment is not flat, by its base and limit. */
export interface Context {
  readonly mode: Mode;
  readonly csBase: bigint;
  readonly csLimit: number;
  readonly pages: Map<number, Page[]>;
  /** Which jump cache it has in each space, or -1. */
  readonly caches: number[];
}

/** A page of RAM as code, seen at one instruction pointer. */
export interface Page {
  readonly context: Context;
  readonly ramPage: number;
  /** Instruction pointer of the page's first byte. */
  readonly start: bigint;
  readonly startLow: number;
  readonly startHigh: number;
  readonly number: number;
  /** Record of the instruction at each offset, or 0. */
  readonly records: Int32Array;
  blocks: Block[];
  /** Blocks whose code changed, by offset of their first instruction: their records may be used again. */
  readonly dead: Map<number, Block>;
  /** Its code has changed before. */
  changes: boolean;
}

/** Instructions behind each other. `end` may lie in the next page. */
export interface Block {
  readonly page: Page;
  readonly offset: number;
  readonly end: number;
  readonly record: number;
  readonly count: number;
  /** RAM offset of the part in another page, or -1. */
  readonly second: number;
  /** Its code as it was decoded, kept in pages where code has changed before. */
  bytes?: Uint8Array;
  /** While it is dead: handler and plain handler of each record. */
  slots?: readonly number[];
}

export interface Blocks {
  /** Reads the mode from the vCPU file again. */
  enterMode(): Mode;
  readonly mode: Mode;
  /** The record of the instruction at RIP, or -1: it cannot be fetched, the fault is in the vCPU file. With `look`, `foundPage` is set. */
  find(look: boolean): number;
  /** What a `link` record continues with. */
  link(stub: number): number;
  instructionAt(record: number): Instruction;
  /** What the run loop knows of a system instruction. */
  stepAt(record: number): SystemStep;
  flushAddresses(): void;
  enterSpace(space: number, known: boolean): void;
  invalidate(ramOffset: number, length: number): void;
  reset(): void;
  /** Where the last `find` with `look` was: its page, if the record lies in one, and the offset in it. */
  readonly foundPage: Page | undefined;
  readonly foundOffset: number;
  /** Offsets of decoded instructions in a page that the jump cache knows: where indirect jumps, returns and jumps from elsewhere have gone. */
  targetsIn(page: Page): number[];
  /** Told before decoded code goes: bytes of a page, or everything. */
  onDrop?: (page: Page, start: number, end: number) => void;
  onReset?: () => void;
  /** Counts resets: whoever keeps a record across a call must look whether it is still the same. */
  readonly generation: number;
}

export function createBlocks(cpu: Cpu, services: Services, has: HasFeature, handlers: Handlers): Blocks {
  const { u8, u32, u64 } = cpu;
  const contexts = new Map<string | number, Context>();
  /** Jump caches: whose each is, in which space, and the entries in use. */
  const cacheOwners: (Context | undefined)[] = [], cacheSpaces: number[] = [], cacheEntries = Array.from({ length: JUMP_CACHE_COUNT }, (): number[] => []);
  let oldestCache = 0, space = 0, cache = 0;
  let current: Context | undefined, currentKey = -1;
  let pagesByNumber: Page[] = [];
  let foundPage: Page | undefined, foundOffset = 0;
  /** Code pages by RAM page, and blocks that reach into a page from the one before. */
  const codePages = new Map<number, Page[]>(), crossing = new Map<number, Block[]>();
  let instructions: (Instruction | undefined)[] = [], steps: (SystemStep | undefined)[] = [];
  let free = RECORDS, generation = 0;
  /** A record that never holds code: the jump cache had no entry. */
  let missRecord = 0, outsideRecord = 0;

  const word = (record: number, field: number, value: number): void => { u32[(record + field) >> 2] = value; };
  const quad = (record: number, field: number, value: bigint): void => { u64[(record + field) >> 3] = value; };
  const indexOf = (record: number): number => (record - RECORDS) / RECORD_SIZE;

  function newRecord(slot: number, rip = 0n): number {
    const record = free;
    free += RECORD_SIZE;
    u32.fill(0, record >> 2, (record + RECORD_SIZE) >> 2);
    setSlot(record, slot);
    quad(record, Field.rip, rip);
    return record;
  }
  function setSlot(record: number, slot: number): void {
    word(record, Field.handler, slot);
    word(record, Field.plain, slot);
  }

  function reset(): void {
    generation++;
    contexts.clear();
    current = undefined;
    currentKey = -1;
    pagesByNumber = [];
    codePages.clear();
    crossing.clear();
    instructions = [];
    steps = [];
    free = RECORDS;
    missRecord = newRecord(Slot.miss);
    for (let k = 0; k < JUMP_CACHE_COUNT; k++) {
      cacheOwners[k] = undefined;
      flushCache(k);
    }
    outsideRecord = newRecord(Slot.undecodable);
    word(outsideRecord, Field.place, UD);
    enterMode();
  }

  // ── Contexts and jump caches ──

  function enterMode(): Mode {
    const key = modeKey(cpu);
    if (key === currentKey && current!.mode.flatCode) return current!.mode;
    const mode = modeOf(key);
    const csBase = mode.flatCode ? 0n : cpu.cs.base, csLimit = mode.codeSize === 64 || mode.flatCode ? 0xffffffff : cpu.cs.limit;
    currentKey = key;
    const name = mode.flatCode ? key : `${key}/${csBase}/${csLimit}`;
    let context = contexts.get(name);
    if (!context) {
      context = { mode, csBase, csLimit, pages: new Map(), caches: [] };
      contexts.set(name, context);
    }
    current = context;
    useCache(context);
    return mode;
  }

  function useCache(context: Context): void {
    const known = context.caches[space] ?? -1;
    cache = known < 0 ? giveCache(context) : known;
    u32[Cell.jumpCache >> 2] = JUMP_CACHES + cache * JUMP_CACHE_SIZE;
  }

  function giveCache(context: Context): number {
    const number = oldestCache, owner = cacheOwners[number];
    oldestCache = (oldestCache + 1) % JUMP_CACHE_COUNT;
    if (owner) owner.caches[cacheSpaces[number]!] = -1;
    flushCache(number);
    cacheOwners[number] = context;
    cacheSpaces[number] = space;
    return context.caches[space] = number;
  }

  function enterSpace(next: number, known: boolean): void {
    if (!known) for (let number = 0; number < JUMP_CACHE_COUNT; number++) if (cacheSpaces[number] === next) flushCache(number);
    if (next === space) return;
    space = next;
    useCache(current!);
  }

  function flushCache(number: number): void {
    const entries = cacheEntries[number]!;
    if (entries.length === 0) return;
    for (const entry of entries) {
      u32[entry >> 2] = 0;
      u32[(entry + 4) >> 2] = 0;
      u32[(entry + 8) >> 2] = 0;
    }
    entries.length = 0;
  }
  function remember(record: number): void {
    const low = u32[RIP]!, high = u32[RIP + 1]!;
    const entry = JUMP_CACHES + cache * JUMP_CACHE_SIZE + jumpEntryOffset(low);
    if (u32[(entry + 8) >> 2] === 0) cacheEntries[cache]!.push(entry);
    u32[entry >> 2] = low;
    u32[(entry + 4) >> 2] = high;
    u32[(entry + 8) >> 2] = record;
  }

  // ── Finding ──

  function find(look: boolean): number {
    foundPage = undefined;
    if (!look) {
      // What the jump cache knows has been fetched in this mapping and mode.
      const low = u32[RIP]!;
      const entry = JUMP_CACHES + cache * JUMP_CACHE_SIZE + jumpEntryOffset(low) >> 2;
      const record = u32[entry + 2]!;
      if (u32[entry] === low && u32[entry + 1] === u32[RIP + 1] && record !== 0 && u32[(record + Field.handler) >> 2] !== Slot.stale) return record;
    }
    const ram = services.fetch(0);
    if (ram === -1) return -1;
    if (ram === -2) {
      // Outside RAM all bytes read as ones: FF FF is no instruction.
      quad(outsideRecord, Field.rip, cpu.rip);
      return outsideRecord;
    }
    const page = pageAt(ram);
    foundOffset = ram & 0xfff;
    let record = page.records[foundOffset]!;
    if (record === 0) {
      record = decodeBlock(page, foundOffset, true);
      if (record === 0) return find(look);
      if (record < 0) return record;
    }
    if (page.records[foundOffset] === record) foundPage = page;
    remember(record);
    return record;
  }

  function pageAt(ram: number): Page {
    const ramPage = Math.floor(ram / 0x1000), offset = ram % 0x1000;
    const context = current!;
    const low = u32[RIP]!, high = u32[RIP + 1]!;
    const startLow = (low - offset) >>> 0, startHigh = (high - (low < offset ? 1 : 0)) >>> 0;
    let pages = context.pages.get(ramPage);
    if (!pages) context.pages.set(ramPage, pages = []);
    for (const page of pages) if (page.startLow === startLow && page.startHigh === startHigh) return page;
    const page: Page = {
      context, ramPage, startLow, startHigh, start: BigInt(startHigh) << 32n | BigInt(startLow), number: pagesByNumber.length,
      records: new Int32Array(0x1000), blocks: [], dead: new Map(), changes: false,
    };
    pages.push(page);
    pagesByNumber.push(page);
    const all = codePages.get(ramPage);
    if (all) all.push(page);
    else codePages.set(ramPage, [page]);
    return page;
  }

  function link(stub: number): number {
    const page = pagesByNumber[u32[(stub + Field.place + 4) >> 2]!]!;
    const source = u32[(stub + Field.place) >> 2]!;
    const offset = (u32[(stub + Field.rip) >> 2]! - page.startLow) >>> 0;
    let record = page.records[offset]!;
    if (record === 0) {
      record = decodeBlock(page, offset, false);
      // RIP is set: look it up.
      if (record === 0) return missRecord;
      if (record < 0) {
        setSlot(stub, Slot.goto);
        return stub;
      }
    }
    if (source !== 0) word(source, 0, record);
    setSlot(stub, Slot.follow);
    word(stub, Field.taken, record);
    return record;
  }

  // ── Decoding ──

  const truncated = (rip: bigint, context: Context): bigint => context.mode.codeSize === 64 ? BigInt.asUintN(64, rip) : BigInt.asUintN(32, rip);

  /** Decodes from an offset on: the first record; 0 when everything was reset to make room; -1 when there is no instruction that lies in
   * the page (with `mayFetch`, such a one was fetched, and the fault is in the vCPU file). */
  function decodeBlock(page: Page, offset: number, mayFetch: boolean): number {
    if (free + ROOM > RECORDS_END) {
      blocks.reset();
      return 0;
    }
    const revived = revive(page, offset);
    if (revived !== 0) return revived;
    const { context } = page;
    const host = RAM + page.ramPage * 0x1000;
    const found: (Instruction | Undecodable)[] = [];
    let at = offset;
    while (found.length < LIMIT && at < 0x1000) {
      if (at !== offset && page.records[at] !== 0) break;
      const next = decode(u8, host + at, host + 0x1000, context.mode.codeSize, has);
      if (isCut(next) || beyondLimit(page, at + next.length - 1)) {
        if (found.length > 0) break;
        return mayFetch ? decodeCrossing(page, offset) : -1;
      }
      found.push(next);
      at += next.length;
      if (endsBlock(next)) break;
    }
    return place(page, offset, at, found, -1);
  }

  const isCut = (found: Instruction | Undecodable): boolean => found.mnemonic === '' && (found as Undecodable).why === 'more';
  const beyondLimit = ({ context, start }: Page, last: number): boolean => !context.mode.flatCode && truncated(start + BigInt(last), context) > BigInt(context.csLimit);

  /** An instruction that reaches into the next page, or beyond the segment: found through the jump cache only, so that a change of the
   * mapping forgets it. */
  function decodeCrossing(page: Page, offset: number): number {
    const { context } = page;
    const inPage = 0x1000 - offset;
    const bytes = new Uint8Array(16);
    const host = RAM + page.ramPage * 0x1000 + offset;
    bytes.set(u8.subarray(host, host + Math.min(inPage, 15)));
    let second = -1;
    if (inPage < 15) {
      second = services.fetch(inPage);
      if (second === -1) return -1;
      if (second === -2) bytes.fill(0xff, inPage);
      else bytes.set(u8.subarray(RAM + second, RAM + second + 16 - inPage), inPage);
    }
    const found = decode(bytes, 0, 15, context.mode.codeSize, has);
    if (found.length > 1 && services.fetch(found.length - 1) === -1) return -1;
    const known = crossing.get(Math.floor(second / 0x1000))?.find((block) => block.page === page && block.offset === offset && block.second === second);
    if (known) return known.record;
    return place(page, offset, offset + found.length, [found], second);
  }

  /** Puts decoded instructions into records: those of a dead block where they fit, else new ones. */
  function place(page: Page, offset: number, end: number, found: readonly (Instruction | Undecodable)[], second: number): number {
    const own = second < 0 && end <= 0x1000;
    const first = reusable(page, offset, found) ?? free;
    const fresh = first === free;
    if (fresh) free += (found.length + 1) * RECORD_SIZE;
    const block: Block = { page, offset, end, record: first, count: found.length, second };
    let at = offset, record = first;
    for (const each of found) {
      fillRecord(record, page, at, each);
      if (own) page.records[at] = record;
      at += each.length;
      record += RECORD_SIZE;
    }
    // Behind the last one: on to what follows it.
    const last = found[found.length - 1]!;
    if (!neverContinues(last)) fillStub(record, page, at, 0);
    record = first;
    for (const each of found) {
      if (isDirect(each, page)) linkTaken(record, page);
      record += RECORD_SIZE;
    }
    handlers.build();
    if (own) {
      page.blocks.push(block);
      if (page.changes) block.bytes = bytesOf(block);
    } else {
      for (const key of filedUnder(block)) {
        const list = crossing.get(key);
        if (list) list.push(block);
        else crossing.set(key, [block]);
      }
    }
    services.markCode(page.ramPage * 0x1000 + offset, Math.min(end, 0x1000) - offset);
    if (second >= 0) services.markCode(second, end - 0x1000);
    return first;
  }

  const bytesOf = ({ page, offset, end }: Block): Uint8Array => {
    const host = RAM + page.ramPage * 0x1000;
    return u8.slice(host + offset, host + end);
  };

  /** Code that is patched again and again mostly changes a number: a dead block whose instructions still begin where they did gets its
   * records back, and only what changed is decoded. The first record, or 0. */
  function revive(page: Page, offset: number): number {
    const block = page.dead.get(offset);
    if (!block?.bytes || !block.slots || block.second >= 0) return 0;
    const { bytes, slots } = block, { codeSize } = page.context.mode;
    const host = RAM + page.ramPage * 0x1000 + offset;
    const changed: [number, number, Instruction][] = [];
    for (let k = 0, at = 0; k < block.count; k++) {
      const record = block.record + k * RECORD_SIZE;
      const before = instructions[indexOf(record)];
      // Another block may have taken the place.
      if (!before || page.records[offset + at] !== 0) return 0;
      const behind = at + before.length;
      let same = at;
      while (same < behind && bytes[same] === u8[host + same]) same++;
      if (same < behind) {
        const now = decode(u8, host + at, host + 0x1000 - offset, codeSize, has);
        if (now.mnemonic !== before.mnemonic || now.length !== before.length) return 0;
        changed.push([record, offset + at, now as Instruction]);
      }
      at = behind;
    }
    let alike = true;
    for (const [record, at, now] of changed) {
      fillRecord(record, page, at, now);
      if (isDirect(now, page)) linkTaken(record, page);
      alike &&= u32[(record + Field.plain) >> 2] === slots[2 * (record - block.record) / RECORD_SIZE + 1];
    }
    for (let k = 0, at = offset; k < block.count; k++) {
      const record = block.record + k * RECORD_SIZE, handler = slots[2 * k]!, plain = slots[2 * k + 1]!;
      if (u32[(record + Field.plain) >> 2] === Slot.stale) setSlot(record, plain);
      if (alike && handlers.isGroup(handler)) word(record, Field.handler, handler);
      page.records[at] = record;
      at += instructions[indexOf(record)]!.length;
    }
    handlers.build();
    page.dead.delete(offset);
    page.blocks.push(block);
    block.bytes = bytesOf(block);
    services.markCode(page.ramPage * 0x1000 + offset, block.end - offset);
    return block.record;
  }

  /** RAM pages whose change concerns a block that is not in its page's list. */
  const filedUnder = ({ page, second }: Block): ReadonlySet<number> => new Set([page.ramPage, second < 0 ? page.ramPage : Math.floor(second / 0x1000)]);

  function reusable(page: Page, offset: number, found: readonly { length: number }[]): number | undefined {
    const dead = page.dead.get(offset);
    if (!dead) return undefined;
    page.dead.delete(offset);
    if (dead.count !== found.length) return undefined;
    let rip = page.start + BigInt(offset), record = dead.record;
    // Whoever is linked to a record in the middle expects the instruction pointer that it had.
    for (const each of found) {
      if (u64[(record + Field.rip) >> 3] !== truncated(rip, page.context)) return undefined;
      rip += BigInt(each.length);
      record += RECORD_SIZE;
    }
    return dead.record;
  }

  function fillRecord(record: number, page: Page, offset: number, found: Instruction | Undecodable): void {
    const { context } = page;
    const { mode } = context;
    const rip = truncated(page.start + BigInt(offset), context);
    const next = truncated(rip + BigInt(found.length), context);
    u32.fill(0, record >> 2, (record + RECORD_SIZE) >> 2);
    quad(record, Field.rip, rip);
    u8[record + Field.length] = found.length;
    instructions[indexOf(record)] = undefined;
    if (found.mnemonic === '') {
      setSlot(record, Slot.undecodable);
      return word(record, Field.place, (found as Undecodable).why === 'long' ? GP : UD);
    }
    const instruction = found as Instruction;
    instructions[indexOf(record)] = instruction;
    const unusable = meaningOf(instruction.mnemonic) ? unitFault(instruction, mode.units) : 0;
    if (unusable !== 0) {
      setSlot(record, Slot.undecodable);
      return word(record, Field.place, unusable);
    }
    if (isSystem(instruction.mnemonic) || (mode.guarded && isGuardedTransfer(instruction))) {
      steps[indexOf(record)] = services.prepare(instruction);
      return fillSystem(record, instruction, mode);
    }
    const direct = instruction.operands[0]?.kind === 'relative' ? isValidTarget(context, targetOf(instruction, next)) : true;
    const hasRelative = instruction.operands[0]?.kind === 'relative';
    const shape = shapeOf(instruction, mode, hasRelative && direct);
    if (!shape) {
      setSlot(record, Slot.undecodable);
      return word(record, Field.place, UD);
    }
    setSlot(record, handlers.slotOf(shape));
    fillOperands(record, instruction, next);
  }

  /** Below level 3, INT n and IRET first look at what is remembered, in 64-bit code and in flat 32-bit code; and INVLPG is nothing. */
  function fillSystem(record: number, { mnemonic, operands: [operand], operandSize }: Instruction, mode: Mode): void {
    const { codeSize, stackSize, flatData, flatCode, units } = mode;
    const isLong = codeSize === 64 && !mode.user, isLegacy = codeSize === 32 && stackSize === 32 && flatData && flatCode && !mode.user && !units.real;
    if (!isLong && !isLegacy) return setSlot(record, Slot.system);
    if (mnemonic === 'INVLPG') return setSlot(record, handlers.transferSlot('invlpg'));
    if (mnemonic === 'INT' && operand?.kind === 'immediate') {
      word(record, Field.place, (isLong ? longTransferOf : legacyTransferOf)(Number(operand.value)));
      return setSlot(record, handlers.transferSlot(isLong ? 'interrupt' : 'legacyInterrupt'));
    }
    if (mnemonic === 'IRET' && operandSize === codeSize) return setSlot(record, handlers.transferSlot(isLong ? 'return' : 'legacyReturn'));
    setSlot(record, Slot.system);
  }

  function fillOperands(record: number, instruction: Instruction, next: bigint): void {
    const implied = isImplied(instruction);
    let immediates = 0;
    instruction.operands.forEach((operand, index) => {
      switch (operand.kind) {
        case 'register':
          if (index < 4) word(record, Field.place + 4 * index, placeOfRegister(operand.file, operand.number) + (operand.high ? 1 : 0));
          break;
        case 'immediate':
          quad(record, immediates++ === 0 ? Field.immediate : Field.displacement, operand.value);
          break;
        case 'relative':
          quad(record, Field.immediate, targetOf(instruction, next));
          break;
        case 'memory':
          if (!implied) fillMemory(record, operand, instruction, next);
          break;
        case 'far': break;
      }
    });
  }

  function fillMemory(record: number, operand: MemoryOperand, instruction: Instruction, next: bigint): void {
    word(record, Field.base, operand.base >= 0 ? placeOfGeneral(operand.base) : ZERO_CELL);
    word(record, Field.index, operand.index >= 0 ? placeOfGeneral(operand.index) : ZERO_CELL);
    const constant = isConstantAddress(operand)
      ? BigInt.asUintN(instruction.addressSize, operand.displacement + (operand.ripRelative ? next : 0n)) : operand.displacement;
    quad(record, Field.displacement, constant);
    u8[record + Field.access] = operand.segment === 'ss' ? Access.stack >> 8 : 0;
  }

  // ── Links ──

  const targetOf = (instruction: Instruction, next: bigint): bigint => {
    const operand = instruction.operands[0]!;
    return operand.kind === 'relative' ? BigInt.asUintN(operand.width, next + operand.displacement) : 0n;
  };
  const isDirect = (found: Instruction | Undecodable, page: Page): boolean =>
    found.mnemonic !== '' && (found as Instruction).operands[0]?.kind === 'relative' && !isSystem(found.mnemonic)
    && !(page.context.mode.guarded && isGuardedTransfer(found as Instruction));
  /** Whether a target is valid whatever the state is: canonical in 48 bits, or inside the segment. */
  const isValidTarget = (context: Context, target: bigint): boolean =>
    context.mode.codeSize === 64 ? BigInt.asUintN(64, BigInt.asIntN(48, target)) === target : target <= BigInt(context.csLimit);

  /** A record behind others that leads on to an offset in the page, or elsewhere; `source` is the word to patch once it is known. */
  function fillStub(record: number, page: Page, offset: number, source: number): void {
    const target = truncated(page.start + BigInt(offset), page.context);
    u32.fill(0, record >> 2, (record + RECORD_SIZE) >> 2);
    quad(record, Field.rip, target);
    if (offset < 0 || offset >= 0x1000) return setSlot(record, Slot.goto);
    const known = page.records[offset]!;
    if (known !== 0) {
      setSlot(record, Slot.follow);
      return word(record, Field.taken, known);
    }
    setSlot(record, Slot.link);
    word(record, Field.place, source);
    word(record, Field.place + 4, page.number);
  }

  function linkTaken(record: number, page: Page): void {
    const target = u64[(record + Field.immediate) >> 3]!;
    const offset = Number(BigInt.asIntN(64, target - page.start));
    const known = offset >= 0 && offset < 0x1000 ? page.records[offset]! : 0;
    if (known !== 0) return word(record, Field.taken, known);
    const stub = free;
    free += RECORD_SIZE;
    fillStub(stub, page, offset, record + Field.taken);
    quad(stub, Field.rip, target);
    word(record, Field.taken, stub);
  }

  // ── Forgetting ──

  function kill(block: Block): void {
    const { page } = block;
    const slots: number[] = [];
    for (let k = 0, record = block.record; k < block.count; k++, record += RECORD_SIZE) {
      slots.push(u32[(record + Field.handler) >> 2]!, u32[(record + Field.plain) >> 2]!);
      setSlot(record, Slot.stale);
      const offset = Number(BigInt.asUintN(32, u64[(record + Field.rip) >> 3]! - page.start));
      if (page.records[offset] === record) page.records[offset] = 0;
    }
    block.slots = slots;
    page.changes = true;
    page.dead.set(block.offset, block);
  }

  function invalidate(ramOffset: number, length: number): void {
    const from = Math.floor(ramOffset / 64) * 64, to = Math.ceil((ramOffset + length) / 64) * 64;
    for (let ramPage = Math.floor(from / 0x1000); ramPage * 0x1000 < to; ramPage++) {
      const start = from - ramPage * 0x1000, end = to - ramPage * 0x1000;
      for (const page of codePages.get(ramPage) ?? []) {
        const touched = page.blocks.filter((block) => block.offset < end && block.end > start);
        if (touched.length === 0) continue;
        blocks.onDrop?.(page, start, end);
        page.blocks = page.blocks.filter((block) => block.offset >= end || block.end <= start);
        touched.forEach(kill);
      }
      for (const block of crossing.get(ramPage) ?? []) {
        const inFirst = block.page.ramPage === ramPage && block.offset < end && 0x1000 > start;
        const inSecond = block.second >= 0 && block.second < to && block.second + 16 > from;
        if (!inFirst && !inSecond) continue;
        blocks.onDrop?.(block.page, block.offset, 0x1000);
        kill(block);
        for (const key of filedUnder(block)) crossing.set(key, crossing.get(key)!.filter((each) => each !== block));
      }
    }
  }

  function targetsIn(page: Page): number[] {
    const found = new Set<number>();
    for (const number of page.context.caches) {
      for (const entry of cacheEntries[number] ?? []) {
        const offset = (u32[entry >> 2]! - page.startLow) >>> 0;
        if (offset < 0x1000 && u32[(entry + 4) >> 2] === page.startHigh && page.records[offset] !== 0) found.add(offset);
      }
    }
    return [...found].sort((a, b) => a - b);
  }

  const blocks = onPrototype<Blocks>({
    enterMode, enterSpace, find, link, invalidate, targetsIn,
    get foundPage() { return foundPage; },
    get foundOffset() { return foundOffset; },
    reset() {
      blocks.onReset?.();
      reset();
    },
    get mode() { return current!.mode; },
    get generation() { return generation; },
    instructionAt: (record) => instructions[indexOf(record)]!,
    stepAt: (record) => steps[indexOf(record)]!,
    flushAddresses() {
      for (let k = 0; k < JUMP_CACHE_COUNT; k++) flushCache(k);
    },
  });
  // An empty entry is all zeros: it leads the instruction pointer 0, and no other, to a stale record at address 0.
  u32.fill(0, 0, RECORD_SIZE >> 2);
  u32.fill(0, JUMP_CACHES >> 2, (JUMP_CACHES + JUMP_CACHE_COUNT * JUMP_CACHE_SIZE) >> 2);
  reset();
  return blocks;
}

const movesAlways: ReadonlySet<string> = new Set([
  'JMPF', 'CALLF', 'RETF', 'IRET', 'INT1', 'INT3', 'INT', 'SYSCALL', 'SYSRET', 'SYSENTER', 'SYSEXIT', 'UD0', 'UD1', 'UD2', 'RSM', 'VMRUN',
]);

/** Nothing behind it is ever reached from it. */
function neverContinues(found: Instruction | Undecodable): boolean {
  return found.mnemonic === '' || found.mnemonic === 'JMP' || found.mnemonic === 'RET' || found.mnemonic === 'CALL' || movesAlways.has(found.mnemonic);
}
/** Decoding stops behind it. */
const endsBlock = neverContinues;
