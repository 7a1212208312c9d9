// The invariant that everything rests on: whatever an inline TLB holds is what a walk would find now, with A (and D, to write) set already,
// on a page that needs no closer look; and what it knows of fetches is, too. Random accesses, stores into tables, code and changes of RFLAGS.AC,
// checked against a fresh walker.
import { expect, test } from 'vitest';
import { RAM, TLB, TLB_ENTRIES, TLB_ENTRY_SIZE } from '../../src/cpu/state.ts';
import { createRam, hostOfPage, pageOfEntry, TRACKED, WRITTEN } from '../../src/memory/ram.ts';
import { createTlb } from '../../src/memory/tlb.ts';
import { createWalker, Reason, type PagingContext } from '../../src/memory/walk.ts';

const PAGES = 64;

function sequence(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = Math.imul(state ^ state >>> 15, 0x2c1b3c6d) + 0x6d2b79f5 | 0;
    return ((state ^ state >>> 13) >>> 0) % below;
  };
}

test.each([2, 4])('with %i levels no entry is ever stale', (levels) => {
  const buffer = new ArrayBuffer(RAM + PAGES * 4096), ram = createRam(buffer, PAGES * 4096), tlb = createTlb(ram);
  ram.setSlots([{ slot: 0, flags: 0, guestPhysical: 0, size: PAGES * 4096, ramOffset: 0 }]);
  const wide = levels > 2, size = wide ? 8 : 4, random = sequence(levels);
  const model = { physicalAddressBits: () => 40, pse36: () => true, pdpe1gb: () => true, reservesBit8: () => true };
  let context: PagingContext = {
    levels, root: 1, pdptes: new Uint32Array(8), pse: false, nxe: true, wp: true, smep: true, smap: true, ac: false, pke: false, pkru: 0, pks: false, pkrs: 0, model,
  };
  const setEntry = (page: number, index: number, value: number): void => {
    ram.u32[hostOfPage(page) + index * size >> 2] = value;
  };
  /** Often a table: a page that is written first and walked later. */
  const frame = (): number => random(4) === 0 ? 4 + random(3) : random(PAGES);
  // Tables in pages 1 to 7; two ways down share a table, and pages 1 to 7 are mapped themselves.
  if (wide) {
    setEntry(1, 0, 0x2007);
    setEntry(2, 0, 0x3007);
    for (let index = 0; index < 4; index++) setEntry(3, index, 0x1000 * (4 + index % 3) | 7);
  } else for (let index = 0; index < 4; index++) setEntry(1, index, 0x1000 * (4 + index % 3) | 7);
  for (let table = 4; table < 7; table++) for (let index = 0; index < 16; index++) setEntry(table, index, frame() << 12 | 7 - random(2) * 2 - random(2) * 4);
  const contexts = Array.from({ length: 10 }, (_, number) => ({ key: Uint32Array.of(number), context: { ...context, wp: number % 2 === 0, nxe: number % 3 === 0, smap: number % 4 < 2 } }));
  tlb.setContext(context);

  const span = wide ? 0x200000 : 0x400000;
  const address = (): number => random(4) * span + random(16) * 4096 + random(4096);
  const fresh = createWalker(ram, { entryOfFrame: ram.entryOfFrame, onTable: () => undefined });

  function checkAll(step: number): void {
    fresh.setContext(context);
    for (let table = 0; table < 4; table++) {
      for (let entry = 0; entry < TLB_ENTRIES; entry++) {
        const at = TLB + (table * TLB_ENTRIES + entry) * TLB_ENTRY_SIZE >> 2, low = ram.u32[at]!;
        if (low === 0xffffffff) continue;
        const write = table % 2 === 1, user = table >= 2;
        const code = fresh.walk(low, ram.u32[at + 1]!, Reason.quiet | (user ? Reason.user : 0) | (write ? Reason.write : 0));
        const page = pageOfEntry(ram.entryOfFrame(fresh.frame)), flags = ram.flags[page]!;
        expect({ step, table, low, code, host: (ram.u32[at + 2]! + low) >>> 0 }).toEqual({ step, table, low, code: -1, host: hostOfPage(page) });
        if (write) expect({ step, low, writable: fresh.writable, tracked: flags & TRACKED, written: flags & WRITTEN }).toEqual({ step, low, writable: true, tracked: 0, written: WRITTEN });
      }
    }
    for (let page = 0; page < 64; page++) {
      for (const user of [false, true]) {
        const low = (page >> 4) * span + page % 16 * 4096, known = tlb.probeFetch(low, 0, user);
        if (known === -1) continue;
        const code = fresh.walk(low, 0, Reason.quiet | Reason.fetch | (user ? Reason.user : 0));
        expect({ step, low, user, code, known }).toEqual({ step, low, user, code: -1, known: pageOfEntry(ram.entryOfFrame(fresh.frame)) });
      }
    }
  }

  /** What an engine derives: where code was fetched, by the number of the context. */
  const derived = Array.from({ length: 8 }, () => new Map<number, number>());
  const forgetDerived = (): void => derived.forEach((known) => known.clear());
  function checkDerived(step: number): void {
    fresh.setContext(context);
    for (const [tag, page] of derived[tlb.number()]!) {
      const low = tag & ~4095, user = (tag & 1) !== 0, code = fresh.walk(low, 0, Reason.quiet | Reason.fetch | (user ? Reason.user : 0));
      expect({ step, tag, code, page }).toEqual({ step, tag, code: -1, page: pageOfEntry(ram.entryOfFrame(fresh.frame)) });
    }
  }

  let entered = 0, returned = 0;
  for (let step = 0; step < 20_000; step++) {
    // In every other thousand steps hardly a table is written, so that contexts are there again when they are entered once more.
    const drawn = random(20), calm = step % 2000 >= 1000, choice = calm && drawn >= 14 && drawn < 18 && random(16) !== 0 ? 18 : drawn;
    if (choice < 14) {
      const low = address(), user = random(2) === 1, write = random(2) === 1;
      if (tlb.walker.walk(low, 0, (user ? Reason.user : 0) | (write ? Reason.write : 0)) >= 0) continue;
      tlb.insert(low, 0, pageOfEntry(ram.entryOfFrame(tlb.walker.frame)), false, user, write);
      entered++;
      if (tlb.walker.walk(low, 0, Reason.fetch | (user ? Reason.user : 0)) >= 0) continue;
      const page = pageOfEntry(ram.entryOfFrame(tlb.walker.frame));
      tlb.insertFetch(low, 0, user, page);
      if (random(4) !== 0) continue;
      tlb.markCode(page, 0, 16);
      derived[tlb.number()]!.set(low & ~4095 | (user ? 1 : 0), page);
    } else if (choice < 18) {
      // A store into a table, or beside the entries that are used, sometimes across two of them.
      const page = 1 + random(6), index = random(16), offset = index * size, length = random(8) === 0 ? 2 * size : size;
      const tracked = (ram.flags[page]! & TRACKED) !== 0;
      if (tracked) tlb.beforeTableStore(page, offset, length);
      if (page >= 4) setEntry(page, index, frame() << 12 | 0x67 & random(256) | (random(3) === 0 ? 0 : 1));
      else if (page === (wide ? 3 : 1) && index < 4) setEntry(page, index, 0x1000 * (4 + random(3)) | 7 & (random(2) === 0 ? 5 : 7));
      if (tracked && tlb.afterTableStore()) forgetDerived();
    } else if (choice === 18 && random(calm ? 60 : 6) === 0) {
      tlb.dropAll();
      derived[tlb.number()]!.clear();
    }
    else if (choice === 18 && random(2) === 0) {
      const next = contexts[random(random(4) === 0 ? 10 : 4)]!;
      context = { ...next.context, ac: random(2) === 0 };
      const key = random(8) === 0 ? undefined : next.key, remembered = key === undefined ? undefined : tlb.remembered(key);
      if (remembered !== undefined) expect({ ...remembered, ac: context.ac }).toEqual(context);
      if (!tlb.setContext(remembered ?? context, key)) derived[tlb.number()]!.clear();
      else if (derived[tlb.number()]!.size > 0) returned++;
    }
    else if (choice === 18) tlb.markCode(8 + random(PAGES - 8), random(60) * 64, 16);
    else if (random(4) === 0) {
      context = { ...context, ac: !context.ac };
      tlb.setContextOfAc(context);
    } else if (random(20) === 0) {
      for (let page = 0; page < PAGES; page++) ram.flags[page]! &= ~WRITTEN;
      tlb.dropWrites();
    } else {
      const page = 8 + random(PAGES - 8);
      for (let write = 0; write < 70; write++) tlb.takeCode(page, 0, 4096);
      for (const known of derived) for (const [tag, at] of known) if (at === page) known.delete(tag);
    }
    if (step % 40 === 0) {
      checkAll(step);
      checkDerived(step);
    }
  }
  expect(entered).toBeGreaterThan(2000);
  expect(returned).toBeGreaterThan(100);
});
