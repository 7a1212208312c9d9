// Transfers through a gate and back that have been made before, once something that they rest on is another: the engines must do what the
// reference does, which remembers nothing. A guest makes some, changes one or two things that are drawn at random, before the next
// transfer or in the handler, and makes them again. It does so itself: whatever comes from outside makes the engines look anew.
import { describe, expect, test } from 'vitest';
import type { Tier, Vcpu } from '../../src/kvm/api.ts';
import { createGuest, ENTRY } from './guest.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 1000);
const HANDLER = 0x1100, UD_HANDLER = 0x1180, FAULT = 0x1200, IDT = 0x5000, GDT = 0x6000, POINTER = 0x7000, FLAG = 0x7100, TABLES = 0x2000, STACK = 0x8f00;
const VECTOR = 0x40, UD = 6, LIMIT = 120n;
/** CODE and DATA, and another pair of the same. */
const CODE = 8, DATA = 0x10;
const USED_FROM = 0x1000, USED_BYTES = 0x9000;

function xorshift(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** Code that changes something; in a handler, something that its return rests on. */
function disturbance(long: boolean, inHandler: boolean, random: (below: number) => number): number[] {
  const word = (value: number): number[] => [value & 0xff, value >>> 8 & 0xff, value >>> 16 & 0xff, value >>> 24];
  const at = (address: number, digit: number): number[] => [long ? 4 | digit << 3 : 5 | digit << 3, ...(long ? [0x25] : []), ...word(address)];
  const flip = (address: number, bytes: number): number[] => [0x80, ...at(address + random(bytes), 6), 1 << random(8)];
  const gateBytes = long ? 16 : 8;
  switch (random(10)) {
    case 0: return flip(IDT + VECTOR * gateBytes, gateBytes);
    case 1: return flip(IDT + UD * gateBytes, gateBytes);
    case 2: return flip(GDT + CODE, 8);
    case 3: return flip(GDT + DATA, 8);
    // xor byte ptr [rsp+n], bit
    case 4: return [0x80, 0x74, 0x24, random(long ? 40 : 12), 1 << random(8)];
    // pushf; xor dword ptr [rsp], flags; popf
    case 5: case 6: return [0x9c, 0x81, 0x34, 0x24, ...word([0x100, 0x200, 0x400, 0x4000, 0x10000, 0x40000, 0x3000, 0x200000, 0x8d5][random(9)]!), 0x9d];
    // mov esp, …
    case 7: return inHandler ? [0x80, 0x74, 0x24, random(long ? 40 : 12), 1 << random(8)] : [0xbc, ...word([0x8ff8, 0x9004, 0x901f, 0x8f01, 0xfffff8, 0x8f08][random(6)]!)];
    case 8: {
      // mov byte ptr [POINTER], limit; lgdt or lidt [POINTER]
      const table = random(2), base = (table === 0 ? GDT : IDT) + [0, 0, 8, 0x1000][random(4)]!, limit = [7, 0xf, 0x17, 0x67, 0x407, 0x41f][random(6)]!;
      const store = (address: number, value: number): number[] => [0xc7, ...at(address, 0), ...word(value)];
      return [...store(POINTER, limit), ...store(POINTER + 2, base), ...store(POINTER + 6, 0), 0x0f, 0x01, ...at(POINTER, 2 + table)];
    }
    default: return [
      // mov eax, cr4; xor eax, bit; mov cr4, eax
      [0x0f, 0x20, 0xe0, 0x35, ...word([4, 8, 0x80, 0x100, 0x200][random(5)]!), 0x0f, 0x22, 0xe0],
      // mov eax, …; mov dr7, eax
      [0xb8, ...word([0x400, 0x402, 0xd0402, 0x700][random(4)]!), 0x0f, 0x23, 0xf8],
      // mov eax, selector; mov ss, eax
      [0xb8, ...word([DATA + 0x10, DATA, CODE][random(3)]!), 0x8e, 0xd0],
      // invlpg [0]
      [0x0f, 0x01, ...at(0, 7)],
    ][random(4)]!;
  }
}

/** Memory from `USED_FROM` on: code, page tables, gates and descriptors. */
function memoryOf(long: boolean, random: (below: number) => number): Uint8Array {
  const bytes = new Uint8Array(USED_BYTES), view = new DataView(bytes.buffer), at = (address: number): number => address - USED_FROM;
  const put64 = (address: number, value: bigint): void => { view.setBigUint64(at(address), value, true); };
  const put = (address: number, ...code: number[]): void => { bytes.set(code, at(address)); };
  const absolute = long ? [0x25, 0, FLAG >> 8, 0, 0] : [0, FLAG >> 8, 0, 0], form = long ? 4 : 5, iret = long ? [0x48, 0xcf] : [0xcf];
  const changes = Array.from({ length: 1 + random(2) }, () => random(2) === 0), transfers = [0xcd, VECTOR, 0xcd, VECTOR, 0x0f, 0x0b];
  const outside = changes.filter((inHandler) => !inHandler).flatMap(() => disturbance(long, false, random));
  const inside = changes.filter((inHandler) => inHandler).flatMap(() => disturbance(long, true, random));
  // Three transfers; mov byte ptr [FLAG], 1; what is changed; three transfers, twice; hlt.
  put(ENTRY, ...transfers, 0xc6, form, ...absolute, 1, ...outside, ...transfers, ...transfers, 0xf4);
  // cmp byte ptr [FLAG], 0; je past what is changed; iret. The first change lasts.
  put(HANDLER, 0x80, form | 0x38, ...absolute, 0, 0x74, inside.length + 1, 0x90, ...inside, ...iret);
  // add [rsp], 2: past UD2.
  put(UD_HANDLER, ...(long ? [0x48] : []), 0x83, 0x04, 0x24, 2, ...iret);
  put(FAULT, 0xf4);
  put64(TABLES, BigInt(TABLES + 0x1003));
  put64(TABLES + 0x1000, BigInt(TABLES + 0x2003));
  put64(TABLES + 0x2000, 0xe3n);
  for (let vector = 0; vector < 0x42; vector++) {
    const target = vector === UD ? UD_HANDLER : vector >= VECTOR ? HANDLER : FAULT;
    put64(IDT + vector * (long ? 16 : 8), BigInt(target | CODE << 16) | (vector === VECTOR ? 0x8en : 0x8fn) << 40n);
  }
  for (const pair of [0, 0x10]) {
    put64(GDT + CODE + pair, long ? 0x00af9b000000ffffn : 0x00cf9b000000ffffn);
    put64(GDT + DATA + pair, 0x00cf93000000ffffn);
  }
  return bytes;
}

function enter(vcpu: Vcpu, long: boolean): void {
  const sregs = vcpu.getSregs();
  const flat = { base: 0n, limit: 0xffffffff, present: 1, dpl: 0, s: 1, g: 1, avl: 0, unusable: 0, l: 0, db: 1, type: 3, selector: DATA };
  vcpu.setSregs({
    ...sregs, cs: { ...flat, type: 11, selector: CODE, l: long ? 1 : 0, db: long ? 0 : 1 }, ds: flat, es: flat, fs: flat, gs: flat, ss: flat,
    gdt: { base: BigInt(GDT), limit: 0x27 }, idt: { base: BigInt(IDT), limit: 0x41f }, cr0: long ? 0x80010011n : 0x11n,
    cr3: BigInt(TABLES), cr4: long ? 0x20n : 0n, efer: long ? 0x500n : 0n,
  });
  vcpu.setRegs({ ...vcpu.getRegs(), rip: BigInt(ENTRY), rsp: BigInt(STACK), rflags: 0x202n });
}

describe.each([['64-bit', true], ['32-bit', false]] as const)('in %s code', (_, long) => {
  test('what has changed is noticed', () => {
    const guests = (['reference', 'interpreter', 'translator'] as const satisfies readonly Tier[]).map((tier) => createGuest(tier));
    for (const { vcpus: [vcpu] } of guests) enter(vcpu!, long);
    const first = guests[0]!.vcpus[0]!.saveState(), outcomes = new Set<string>();
    for (let round = 1; round <= ROUNDS; round++) {
      const memory = memoryOf(long, xorshift(Math.imul(round, 0x9e3779b1)));
      const [reference, ...others] = guests.map((vm) => {
        const vcpu = vm.vcpus[0]!;
        vm.writeMemory(USED_FROM, memory);
        vcpu.loadState(first);
        const { reason } = vcpu.run(LIMIT);
        return { reason, state: Buffer.from(vcpu.saveState()).toString('hex'), memory: Buffer.from(vm.readMemory(0, 0xa000)).toString('hex') };
      });
      for (const other of others) expect(other, `round ${round}`).toEqual(reference);
      outcomes.add(reference!.reason);
    }
    expect([...outcomes]).toEqual(expect.arrayContaining(['Hlt', 'Intr', 'Shutdown']));
  });
});
