// Translations are never stale, written pages are known, code that is written runs as written, and a state that was put away goes on alike.
import { describe, expect, test } from 'vitest';
import { assemble, createGuest, ENTRY, enterProtectedMode, enterRealMode, realModeGuest, run, set, tiers, word } from './guest.ts';
import type { Listing } from './guest.ts';
import type { Tier, Vcpu, Vm } from '../../src/kvm/api.ts';

const DIRECTORY = 0x20000, TABLE = 0x21000;
const P = 1, W = 2, U = 4, A = 0x20, D = 0x40;

/** 32-bit paging, the first 1 MiB mapped to itself. */
function pagedGuest(tier: Tier, listing: Listing): { vm: Vm; vcpu: Vcpu } {
  const vm = createGuest(tier), vcpu = vm.vcpus[0]!;
  vm.writeMemory(ENTRY, assemble(listing));
  const table = new Uint32Array(1024);
  for (let page = 0; page < 256; page++) table[page] = page << 12 | P | W | U;
  vm.writeMemory(TABLE, new Uint8Array(table.buffer));
  vm.writeMemory(DIRECTORY, Uint8Array.of(TABLE & 0xff | P | W | U, TABLE >> 8 & 0xff, TABLE >> 16, 0));
  enterProtectedMode(vcpu, { cr0: 0x80010011n, cr3: BigInt(DIRECTORY) });
  return { vm, vcpu };
}
const entryOf = (vm: Vm, page: number): number => new DataView(vm.readMemory(TABLE + 4 * page, 4).buffer).getUint32(0, true);

describe.each(tiers)('in the %s', (tier) => {
  test('a changed table entry is obeyed without INVLPG', () => {
    const { vm, vcpu } = pagedGuest(tier, [
      ['a1 00 00 03 00', 'mov eax,[0x30000]'], ['c7 05 c0 10 02 00 07 10 03 00', 'mov dword [0x210c0],0x31007'], ['8b 1d 00 00 03 00', 'mov ebx,[0x30000]'], ['f4', 'hlt'],
    ]);
    vm.writeMemory(0x30000, Uint8Array.of(1));
    vm.writeMemory(0x31000, Uint8Array.of(2));
    expect(run(vcpu).reason).toBe('Hlt');
    expect([vcpu.getRegs().rax, vcpu.getRegs().rbx]).toEqual([1n, 2n]);
  });

  test('A and D that the guest clears are set again by the next access', () => {
    const { vm, vcpu } = pagedGuest(tier, [
      ['a3 00 00 03 00', 'mov [0x30000],eax'], ['c7 05 c0 10 02 00 07 00 03 00', 'mov dword [0x210c0],0x30007'], ['a1 00 00 03 00', 'mov eax,[0x30000]'],
      ['90', 'nop'], ['a3 00 00 03 00', 'mov [0x30000],eax'], ['f4', 'hlt'],
    ]);
    vcpu.run(1n);
    expect(entryOf(vm, 0x30) & (A | D)).toBe(A | D);
    vcpu.run(2n);
    expect(entryOf(vm, 0x30) & (A | D)).toBe(0);
    vcpu.run(4n);
    expect(entryOf(vm, 0x30) & (A | D)).toBe(A);
    run(vcpu);
    expect(entryOf(vm, 0x30) & (A | D)).toBe(A | D);
  });

  test('a table in the directory changes for all its pages, and a write-protected one faults', () => {
    const { vcpu } = pagedGuest(tier, [
      ['a3 00 00 03 00', 'mov [0x30000],eax'], ['c7 05 00 00 02 00 05 10 02 00', 'mov dword [0x20000],0x21005'], ['a3 00 00 03 00', 'mov [0x30000],eax'],
    ]);
    // No IDT: the fault ends in shutdown, with CR2 at the address.
    expect(run(vcpu).reason).toBe('Shutdown');
    expect([vcpu.icount, vcpu.getSregs().cr2]).toEqual([2n, 0x30000n]);
  });

  test('a store across two pages stores nothing when the second one faults', () => {
    const { vm, vcpu } = pagedGuest(tier, [['a3 fe 0f 03 00', 'mov [0x30ffe],eax']]);
    vm.writeMemory(TABLE + 4 * 0x31, Uint8Array.of(0, 0, 0, 0));
    set(vcpu, { rax: 0x11223344n });
    expect([run(vcpu).reason, vcpu.getSregs().cr2, word(vm, 0x30ffe)]).toEqual(['Shutdown', 0x31000n, 0]);
  });

  test('client writes to tables and code are obeyed', () => {
    const { vm, vcpu } = pagedGuest(tier, [['a1 00 00 03 00', 'mov eax,[0x30000]'], ['40', 'inc eax'], ['eb f8', 'jmp 0x1000']]);
    vm.writeMemory(0x31000, Uint8Array.of(0x70));
    vcpu.run(6n);
    vm.writeMemory(TABLE + 4 * 0x30, Uint8Array.of(P | W | U, 0x10, 3, 0));
    vm.writeMemory(ENTRY + 5, assemble([['48', 'dec eax']]));
    vcpu.run(8n);
    expect(vcpu.getRegs().rax).toBe(0x6fn);
  });

  test('code that is written runs as written', () => {
    const { vcpu } = realModeGuest(tier, [
      ['2e fe 06 06 10', 'inc byte cs:[0x1006]'], ['b0 00', 'mov al,0'], ['00 c3', 'add bl,al'], ['49', 'dec cx'], ['75 f4', 'jne 0x1000'], ['f4', 'hlt'],
    ]);
    set(vcpu, { rcx: 10n, rbx: 0n });
    expect([run(vcpu).reason, vcpu.getRegs().rbx]).toEqual(['Hlt', 55n]);
  });

  test('an instruction that overwrites the next one sees it', () => {
    const { vcpu } = realModeGuest(tier, [['c6 06 05 10 43', 'mov byte [0x1005],0x43'], ['90', 'nop'], ['f4', 'hlt']]);
    expect([run(vcpu).reason, vcpu.getRegs().rbx]).toEqual(['Hlt', 1n]);
  });

  test('written pages are listed once, and again after the next write', () => {
    const { vm, vcpu } = realModeGuest(tier, [
      ['a3 00 60', 'mov [0x6000],ax'], ['a3 02 60', 'mov [0x6002],ax'], ['a3 00 70', 'mov [0x7000],ax'], ['a1 00 60', 'mov ax,[0x6000]'], ['f4', 'hlt'],
    ]);
    vm.takeDirtyPages();
    vcpu.run(2n);
    expect([...vm.takeDirtyPages()]).toEqual([6]);
    expect([...vm.takeDirtyPages()]).toEqual([]);
    run(vcpu);
    expect([...vm.takeDirtyPages()]).toEqual([7]);
    set(vcpu, { rip: BigInt(ENTRY) });
    run(vcpu);
    expect([...vm.takeDirtyPages()]).toEqual([6, 7]);
  });

  test('the memory digest depends on content alone', () => {
    const first = createGuest(tier), second = createGuest(tier), empty = second.memoryDigest();
    first.writeMemory(0x5000, Uint8Array.of(1, 2, 3));
    first.writeMemory(0x9000, Uint8Array.of(4));
    const digest = first.memoryDigest();
    second.writeMemory(0x9000, Uint8Array.of(9));
    second.memoryDigest();
    second.writeMemory(0x9000, Uint8Array.of(4));
    second.writeMemory(0x5000, Uint8Array.of(1, 2, 3));
    expect(second.memoryDigest()).toBe(digest);
    second.writeMemory(0x5000, Uint8Array.of(1, 2, 4));
    expect(second.memoryDigest()).not.toBe(digest);
    second.writeMemory(0x5000, new Uint8Array(3));
    second.writeMemory(0x9000, new Uint8Array(1));
    expect(second.memoryDigest()).toBe(empty);
  });

  test('a run stopped anywhere, put away and taken up by another VM ends alike', () => {
    const program: Listing = [
      ['b9 40 00', 'mov cx,0x40'], ['be 00 10', 'mov si,0x1000'], ['bf 00 60', 'mov di,0x6000'], ['f3 a4', 'rep movsb'], ['01 fb', 'add bx,di'],
      ['d1 c3', 'rol bx,1'], ['4d', 'dec bp'], ['75 ec', 'jne 0x1000'], ['f4', 'hlt'],
    ];
    const start = (): { vm: Vm; vcpu: Vcpu } => {
      const guest = realModeGuest(tier, program);
      set(guest.vcpu, { rbp: 3n });
      return guest;
    };
    const whole = start();
    expect(run(whole.vcpu).reason).toBe('Hlt');
    const ends = [whole.vcpu.icount, whole.vcpu.digest(), whole.vm.memoryDigest()];
    for (const stop of [1n, 2n, 4n, 5n, 40n, 67n, 68n, 69n, 71n, 100n, 210n]) {
      const before = start();
      expect([before.vcpu.run(stop).reason, before.vcpu.icount]).toEqual(['Intr', stop]);
      const after = createGuest(tier);
      after.loadVmState(before.vm.saveVmState());
      for (let page = 0; page < 256; page++) after.restoreRamPage(page, before.vm.ramPage(page));
      after.vcpus[0]!.loadState(before.vcpu.saveState());
      for (const { vm, vcpu } of [before, { vm: after, vcpu: after.vcpus[0]! }]) {
        expect(run(vcpu).reason).toBe('Hlt');
        expect([vcpu.icount, vcpu.digest(), vm.memoryDigest()]).toEqual(ends);
      }
    }
  });

  test('vCPUs that take turns give the same result for any length of the turns that ends alike', () => {
    const vm = createGuest(tier, { vcpus: 2 });
    vm.writeMemory(ENTRY, assemble([['f0 ff 06 00 50', 'lock inc word [0x5000]'], ['43', 'inc bx'], ['eb f8', 'jmp 0x1000']]));
    for (const vcpu of vm.vcpus) enterRealMode(vcpu);
    // An application processor waits for SIPI; the board has no APIC, so the test wakes it through the state.
    const asleep = vm.vcpus[1]!;
    expect(asleep.run(10n).reason).toBe('Hlt');
    asleep.loadState(vm.vcpus[0]!.saveState());
    for (let turn = 1n; turn <= 20n; turn++) for (const vcpu of vm.vcpus) expect(vcpu.run(turn * 7n).reason).toBe('Intr');
    expect([vm.vcpus[0]!.icount, vm.vcpus[1]!.icount, word(vm, 0x5000)]).toEqual([140n, 140n, 94]);
    expect(vm.vcpus[0]!.digest()).toBe(vm.vcpus[1]!.digest());
  });

  test('an exit of one vCPU stays open while another runs', () => {
    const vm = createGuest(tier, { vcpus: 2 });
    vm.writeMemory(ENTRY, assemble([['ec', 'in al,dx'], ['f4', 'hlt']]));
    const [first, second] = vm.vcpus as [Vcpu, Vcpu];
    enterRealMode(first);
    second.loadState(first.saveState());
    const exits = [run(first), run(second)] as { data: Uint8Array }[];
    exits[0]!.data[0] = 1;
    exits[1]!.data[0] = 2;
    run(first);
    run(second);
    expect([first.getRegs().rax, second.getRegs().rax]).toEqual([1n, 2n]);
  });
});

test('random numbers come from the seed, and a saved state goes on with the next one', () => {
  const guest = (): Vcpu => {
    const vm = createGuest('reference', { cpu: 'EPYC-Milan,+rdrand' }), vcpu = vm.vcpus[0]!;
    vm.writeMemory(ENTRY, assemble([['66 0f c7 f0', 'rdrand eax'], ['66 0f c7 f3', 'rdrand ebx'], ['f4', 'hlt']]));
    enterRealMode(vcpu);
    return vcpu;
  };
  const first = guest(), second = guest();
  run(first);
  run(second);
  expect(first.digest()).toBe(second.digest());
  expect(first.getRegs().rax).not.toBe(first.getRegs().rbx);
});

test('what a saved state says is checked', () => {
  const vm = createGuest('reference');
  expect(() => { vm.loadVmState({ slots: [{ slot: 0, flags: 0, guestPhysical: 0, size: 1 << 30, ramOffset: 0 }], vcpus: [0], random: { seed: 1n, drawn: 0 }, accesses: [[0, 0]] }); }).toThrow(/EINVAL/);
  expect(() => { vm.loadVmState(undefined); }).toThrow(/EINVAL/);
  expect(() => { vm.vcpus[0]!.loadState(new Uint8Array(10)); }).toThrow(/EINVAL/);
  expect(() => { vm.setUserMemoryRegion({ slot: 1, flags: 0, guestPhysical: 0x1000, size: 0x1000, ramOffset: 0 }); }).toThrow(/EEXIST/);
  expect(() => vm.readMemory(0xf0000, 1)).toThrow(/EFAULT/);
});
