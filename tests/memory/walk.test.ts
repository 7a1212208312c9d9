// The walker against the manual's definition, written once more in bigint without any cache: random tables, random modes, every reason.
import { expect, test } from 'vitest';
import { RAM } from '../../src/cpu/state.ts';
import { createRam, hostOfPage, type Ram } from '../../src/memory/ram.ts';
import { createTlb } from '../../src/memory/tlb.ts';
import { Reason, type PagingContext } from '../../src/memory/walk.ts';

const PAGES = 64;
const BITS = 40;

function randomFrom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = state + 0x6d2b79f5 | 0;
    let value = Math.imul(state ^ state >>> 15, 1 | state);
    value = value + Math.imul(value ^ value >>> 7, 61 | value) ^ value;
    return ((value ^ value >>> 14) >>> 0) % below;
  };
}

const bit = (value: bigint, index: number): boolean => (value >> BigInt(index) & 1n) === 1n;

/** APM Vol. 2, 5.2 to 5.6, step by step. Returns the error code, or the physical address and what a write would find. */
function model(ram: Ram, context: PagingContext, linear: bigint, reason: number): { fault: number } | { physical: bigint } {
  const view = new DataView(ram.u8.buffer);
  const write = (reason & 2) !== 0, user = (reason & 4) !== 0, fetch = (reason & 16) !== 0, implicit = (reason & 0x100) !== 0, shadow = (reason & 0x40) !== 0;
  const { levels } = context;
  if (levels === 0) return { physical: linear };
  const wide = levels > 2, size = wide ? 8 : 4;
  const code = (reason & 0x46) | (fetch && (context.smep || (context.nxe && wide)) ? 16 : 0);
  const read = (table: bigint, index: bigint): { at: number; entry: bigint } => {
    const entry = ram.entryOfFrame(Number(table >> 12n));
    if (entry === 0) return { at: -1, entry: wide ? 0xffffffffffffffffn : 0xffffffffn };
    const at = hostOfPage((entry & 0x7fffffff) - 1) + Number(index) * size;
    return { at, entry: wide ? view.getBigUint64(at, true) : BigInt(view.getUint32(at, true)) };
  };
  const put = (at: number, entry: bigint): void => {
    if (at < 0) return;
    if (wide) view.setBigUint64(at, entry, true);
    else view.setUint32(at, Number(entry), true);
  };
  const reserved = (low: number, high: number, entry: bigint): boolean => low <= high && (entry >> BigInt(low) & (1n << BigInt(high - low + 1)) - 1n) !== 0n;
  const address = wide ? (1n << 52n) - 4096n : 0xfffff000n;
  let table = BigInt(context.root) << 12n, level = levels, above = true, r = true, u = true, nx = false;
  if (levels === 3) {
    const index = Number(linear >> 30n & 3n), pointer = BigInt(context.pdptes[2 * index]!) | BigInt(context.pdptes[2 * index + 1]!) << 32n;
    if (!bit(pointer, 0)) return { fault: code };
    table = pointer & address;
    level = 2;
  }
  for (;;) {
    const shift = wide ? 12 + 9 * (level - 1) : 12 + 10 * (level - 1), mask = wide ? 511n : 1023n;
    const { at, entry } = read(table, linear >> BigInt(shift) & mask);
    if (!bit(entry, 0)) return { fault: code };
    const large = bit(entry, 7) && (wide ? level === 2 || (level === 3 && context.model.pdpe1gb()) : level === 2 && context.pse);
    const leaf = level === 1 || large;
    let bad = wide && (reserved(BITS, 51, entry) || (!context.nxe && bit(entry, 63)) || (levels === 3 && reserved(52, 62, entry)));
    if (wide && level >= 3 && !leaf) bad ||= bit(entry, 7);
    if (wide && level >= 4) bad ||= context.model.reservesBit8() && bit(entry, 8);
    if (large) bad ||= wide ? reserved(13, level === 2 ? 20 : 29, entry) : context.model.pse36() ? reserved(21, 21, entry) : reserved(13, 21, entry);
    if (bad) return { fault: code | 9 };
    above = r;
    r &&= bit(entry, 1);
    u &&= bit(entry, 2);
    nx ||= wide && bit(entry, 63);
    if (!leaf) {
      put(at, entry | 0x20n);
      table = entry & address;
      level--;
      continue;
    }
    const mayWrite = user ? r : r || !context.wp;
    let allowed: boolean;
    if (shadow) allowed = above && !bit(entry, 1) && bit(entry, 6) && u === user;
    else if (user) allowed = u && (!write || r) && !(fetch && nx);
    else if (fetch) allowed = !nx && !(context.smep && u);
    else allowed = (!write || mayWrite) && !(context.smap && u && (implicit || !context.ac));
    const deny = context.pke && u && !fetch ? context.pkru >>> 2 * Number(entry >> 59n & 15n) & 3 : 0;
    const refused = (deny & 1) !== 0 || ((deny & 2) !== 0 && write && (user || context.wp));
    if (!allowed || refused) return { fault: code | 1 | (refused ? 0x20 : 0) };
    put(at, entry | 0x20n | (write ? 0x40n : 0n));
    const within = (1n << BigInt(shift)) - 1n;
    let base = entry & address & ~within;
    if (large && !wide) base = entry & 0xffc00000n | (entry >> 13n & 0xffn) << 32n;
    return { physical: base | linear & within };
  }
}

const contextOf = (random: (below: number) => number, levels: number): PagingContext => {
  const flip = (): boolean => random(2) === 1;
  const pse36 = flip(), pdpe1gb = flip(), reservesBit8 = flip();
  return {
    levels, root: 1 + random(3), pdptes: Uint32Array.from({ length: 8 }, (_, index) => index % 2 === 0 ? random(8) << 12 | (random(5) === 0 ? 0 : 1) : 0),
    pse: flip(), nxe: flip(), wp: flip(), smep: flip(), smap: flip(), ac: flip(), pke: levels > 3 && random(3) === 0, pkru: random(0x10000),
    pks: false, pkrs: 0, model: { physicalAddressBits: () => BITS, pse36: () => pse36, pdpe1gb: () => pdpe1gb, reservesBit8: () => reservesBit8 },
  };
};

/** Tables lie in the first pages; entries lead to them often, and rarely to nothing. */
function randomEntry(random: (below: number) => number, wide: boolean): bigint {
  let entry = BigInt(random(12)) << 12n | BigInt(random(0x200) & 0xff) | (random(12) === 0 ? 0n : 7n);
  if (random(3) !== 0) entry &= ~0x80n;
  if (random(6) === 0) entry |= 1n << BigInt(random(wide ? 64 : 32));
  if (wide && random(8) === 0) entry |= BigInt(random(16)) << 59n;
  if (random(10) === 0) entry &= ~6n | BigInt(random(4)) << 1n;
  return entry;
}

test.each([2, 3, 4, 5])('walks of %i levels give the faults, addresses, A and D bits of the manual', (levels) => {
  const buffer = new ArrayBuffer(RAM + PAGES * 4096);
  const ram = createRam(buffer, PAGES * 4096), other = createRam(new ArrayBuffer(RAM + PAGES * 4096), PAGES * 4096);
  for (const each of [ram, other]) each.setSlots([{ slot: 0, flags: 0, guestPhysical: 0, size: PAGES * 4096, ramOffset: 0 }]);
  for (let seed = 1; seed <= 60; seed++) {
    const random = randomFrom(seed * 7919 + levels), wide = levels > 2;
    for (let page = 0; page < 12; page++) {
      for (let index = 0; index < (wide ? 512 : 1024); index++) {
        // Few different indexes are used below, so only they matter.
        const entry = randomEntry(random, wide);
        const at = hostOfPage(page) + index * (wide ? 8 : 4);
        if (wide) ram.u64[at >> 3] = entry;
        else ram.u32[at >> 2] = Number(entry & 0xffffffffn);
      }
    }
    other.u8.set(ram.u8.subarray(RAM));
    other.u8.copyWithin(RAM, 0, PAGES * 4096);
    const tlb = createTlb(ram), context = contextOf(random, levels);
    tlb.setContext(context);
    for (let step = 0; step < 300; step++) {
      let linear = 0n;
      for (let level = 0; level < 5; level++) linear |= BigInt(random(4)) << BigInt(12 + (wide ? 9 : 10) * level);
      linear = BigInt.asUintN(levels <= 3 ? 32 : 64, levels <= 3 ? linear : BigInt.asIntN(levels === 5 ? 57 : 48, linear)) | BigInt(random(4096));
      const reason = [0, 2, 4, 6, 0x10, 0x14, 0x100, 0x102, 0x40, 0x42, 0x44, 0x46][random(12)]!;
      const code = tlb.walker.walk(Number(linear & 0xffffffffn), Number(linear >> 32n), reason);
      const expected = model(other, context, linear, reason);
      const found = code >= 0 ? { fault: code } : { physical: BigInt(tlb.walker.frame) << 12n | linear & 0xfffn };
      expect({ seed, step, linear, reason, ...found }).toEqual({ seed, step, linear, reason, ...expected });
    }
    expect(Buffer.compare(Buffer.from(buffer, RAM, 12 * 4096), Buffer.from(other.u8.buffer as ArrayBuffer, RAM, 12 * 4096))).toBe(0);
  }
});

test('a quiet walk leaves the tables alone', () => {
  const ram = createRam(new ArrayBuffer(RAM + PAGES * 4096), PAGES * 4096);
  ram.setSlots([{ slot: 0, flags: 0, guestPhysical: 0, size: PAGES * 4096, ramOffset: 0 }]);
  const tlb = createTlb(ram);
  tlb.setContext({ ...contextOf(() => 0, 2), root: 1 });
  ram.u32[hostOfPage(1) >> 2] = 0x2007;
  ram.u32[(hostOfPage(2) >> 2) + 5] = 0x9007;
  expect(tlb.walker.walk(0x5123, 0, Reason.write | Reason.quiet)).toBe(-1);
  expect(tlb.walker.frame).toBe(9);
  expect([ram.u32[hostOfPage(1) >> 2], ram.u32[(hostOfPage(2) >> 2) + 5]]).toEqual([0x2007, 0x9007]);
  expect(ram.nextPage(0xff, 0)).toBe(-1);
});
