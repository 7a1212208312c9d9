// The A20 gate: bit 20 of what a vCPU puts on the bus, behind all translation, and not of what nested tables translate.
import { expect, test } from 'vitest';
import { RAM } from '../../src/cpu/state.ts';
import { createRam, hostOfPage, NORMAL_SPACE, pageOfEntry, withoutA20, type Ram } from '../../src/memory/ram.ts';
import { createTlb } from '../../src/memory/tlb.ts';
import { createWalker, Reason, type PagingContext } from '../../src/memory/walk.ts';

const MIB = 1 << 20, FRAMES_IN_MIB = 0x100;

/** 4 MiB of RAM from 0, and 2 MiB more from 4 GiB + 1 MiB. */
function fourMiB(): Ram {
  const ram = createRam(new ArrayBuffer(RAM + 6 * MIB), 6 * MIB);
  ram.setSlots([
    { slot: 0, flags: 0, guestPhysical: 0, size: 4 * MIB, ramOffset: 0 }, { slot: 1, flags: 0, guestPhysical: 2 ** 32 + MIB, size: 2 * MIB, ramOffset: 4 * MIB },
  ]);
  return ram;
}

const context: PagingContext = {
  levels: 0, root: 0, pdptes: new Uint32Array(8), pse: true, nxe: true, wp: true, smep: false, smap: false, ac: false, pke: false, pkru: 0, pks: false, pkrs: 0,
  model: { physicalAddressBits: () => 40, pse36: () => true, pdpe1gb: () => true, reservesBit8: () => true },
};
const setEntry = (ram: Ram, address: number, value: number): void => { ram.u32[RAM + address >> 2] = value; };

test('an odd MiB is the even one below it while the gate is closed, also above 4 GiB', () => {
  const ram = fourMiB(), frames = [0, 0xff, 0x100, 0x1ff, 0x200, 0x300, 0xfee00, 0xfff00, 0x1000ff, 0x100100, 0x100200, 0x100300, 2 ** 40 - 1];
  expect(frames.map(withoutA20)).toEqual([0, 0xff, 0, 0xff, 0x200, 0x200, 0xfee00, 0xffe00, 0x1000ff, 0x100000, 0x100200, 0x100200, 2 ** 40 - 0x101]);
  const open = frames.map(ram.entryOfFrame);
  expect(frames.map(ram.frameOnBus)).toEqual(frames);
  ram.maskA20(true);
  expect(frames.map(ram.frameOnBus)).toEqual(frames.map(withoutA20));
  expect(frames.map(ram.entryOfFrame)).toEqual(frames.map((frame) => ram.entryIn(NORMAL_SPACE, withoutA20(frame))));
  expect(frames.map((frame) => ram.entryIn(NORMAL_SPACE, frame))).toEqual(open);
  ram.maskA20(false);
  expect(frames.map(ram.entryOfFrame)).toEqual(open);
});

test('page tables and pages are where the gate lets the walk get', () => {
  const ram = fourMiB(), { walker, setContext } = createTlb(ram);
  const found = (low: number): number => walker.walk(low, 0, Reason.read) === -1 ? walker.frame : -1;
  setContext(context);
  expect([found(0x100000), found(0xfed00000)]).toEqual([0x100, 0xfed00]);
  ram.maskA20(true);
  expect([found(0x100000), found(0xfed00000)]).toEqual([0, 0xfec00]);
  // A directory at 1 MiB and another at 0; tables at 3 MiB and at 2 MiB.
  setEntry(ram, MIB, 3 * MIB | 3);
  setEntry(ram, 3 * MIB, 0x111003);
  setEntry(ram, 0, 3 * MIB | 7);
  setEntry(ram, 2 * MIB, 0x133003);
  const paged = { ...context, levels: 2, root: FRAMES_IN_MIB };
  setContext(paged);
  expect(found(0)).toBe(0x33);
  expect(ram.u32[RAM >> 2]).toBe(3 * MIB | 0x27);
  expect(ram.u32[RAM + MIB >> 2]).toBe(3 * MIB | 3);
  ram.maskA20(false);
  setContext(paged);
  expect(found(0)).toBe(0x111);
  expect([ram.u32[RAM + 3 * MIB >> 2], ram.u32[RAM + 2 * MIB >> 2]]).toEqual([0x111023, 0x133023]);
});

test('what a nested guest takes for physical is translated with bit 20', () => {
  const ram = fourMiB(), inner = createWalker(ram, { entryOfFrame: ram.entryOfFrame, onTable: () => undefined });
  const walker = createWalker(ram, { entryOfFrame: ram.entryOfFrame, onTable: () => undefined }, inner);
  // Nested: 4 KiB pages 0 and 1 MiB of the guest are at 2 MiB + 1000h and 3 MiB + 2000h.
  setEntry(ram, 0x1000, 0x2007);
  setEntry(ram, 0x2000, 0x201007);
  setEntry(ram, 0x2000 + 4 * FRAMES_IN_MIB, 0x302007);
  ram.maskA20(true);
  walker.setContext({ ...context, nested: { ...context, levels: 2, root: 1 } });
  expect([walker.walk(0, 0, Reason.read), walker.frame]).toEqual([-1, 0x201]);
  expect([walker.walk(MIB, 0, Reason.read), walker.frame]).toEqual([-1, 0x202]);
});

test('contexts with the gate open and closed keep their own translations, and a store into a table drops those of both', () => {
  const ram = fourMiB(), tlb = createTlb(ram), table = 0x2000, high = 3;
  setEntry(ram, 0x1000, table | 7);
  setEntry(ram, table, 0x105007);
  const paged = { ...context, levels: 2, root: 1 };
  const enter = (closed: boolean): void => {
    ram.maskA20(closed);
    tlb.setContext(paged, Uint32Array.of(closed ? high : 0));
  };
  const pageAt = (): number => tlb.walker.walk(0, 0, Reason.read) === -1 ? pageOfEntry(ram.entryOfFrame(tlb.walker.frame)) : -1;
  const look = (): number => {
    const host = tlb.probe(0, 0, 4, false, false);
    if (host !== 0) return host;
    tlb.insert(0, 0, pageAt(), false, false, false);
    return 0;
  };
  for (const closed of [false, true]) {
    enter(closed);
    expect(look()).toBe(0);
  }
  for (const closed of [false, true, false]) {
    enter(closed);
    expect(look()).toBe(hostOfPage(closed ? 0x5 : 0x105));
  }
  tlb.beforeTableStore(2, 0, 4);
  setEntry(ram, table, 0x107007);
  tlb.afterTableStore();
  for (const closed of [false, true]) {
    enter(closed);
    expect(look()).toBe(0);
    expect(look()).toBe(hostOfPage(closed ? 0x7 : 0x107));
  }
});
