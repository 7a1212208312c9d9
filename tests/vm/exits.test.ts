// Exits to user space and back: what the client sees, when instructions retire, and that every access of an instruction is asked for once.
import { describe, expect, test } from 'vitest';
import { assemble, createGuest, ENTRY, enterProtectedMode, realModeGuest, run, set, tiers, word } from './guest.ts';
import type { VcpuExit } from '../../src/kvm/api.ts';

const shown = (exit: VcpuExit): unknown => 'data' in exit && exit.data instanceof Uint8Array ? { ...exit, data: [...exit.data] } : exit;

describe.each(tiers)('in the %s', (tier) => {
  test('IN and OUT leave before they retire, and go on with the answer', () => {
    const { vcpu } = realModeGuest(tier, [
      ['b0 41', 'mov al,0x41'], ['e6 80', 'out 0x80,al'], ['ed', 'in ax,dx'], ['66 ef', 'out dx,eax'], ['ec', 'in al,dx'], ['43', 'inc bx'], ['f4', 'hlt'],
    ]);
    set(vcpu, { rdx: 0xffff_0123n, rax: 0x1111_2222_3333_4444n });
    expect(shown(run(vcpu))).toEqual({ reason: 'IoOut', port: 0x80, size: 1, data: [0x41] });
    expect([vcpu.icount, vcpu.getRegs().rip]).toEqual([1n, 0x1002n]);
    const input = run(vcpu);
    expect(shown(input)).toEqual({ reason: 'IoIn', port: 0x123, size: 2, data: [0, 0] });
    expect(vcpu.icount).toBe(2n);
    (input as { data: Uint8Array }).data.set([0xcd, 0xab]);
    expect(shown(run(vcpu))).toEqual({ reason: 'IoOut', port: 0x123, size: 4, data: [0xcd, 0xab, 0x33, 0x33] });
    expect(vcpu.getRegs().rax).toBe(0x1111_2222_3333_abcdn);
    (run(vcpu) as { data: Uint8Array }).data[0] = 0x99;
    expect(run(vcpu).reason).toBe('Hlt');
    expect([vcpu.getRegs().rax, vcpu.icount]).toEqual([0x1111_2222_3333_ab99n, 7n]);
  });

  test('a stop at the count of an open exit keeps the exit open', () => {
    const { vcpu } = realModeGuest(tier, [['90', 'nop'], ['ec', 'in al,dx'], ['f4', 'hlt']]);
    const exit = run(vcpu) as { data: Uint8Array };
    exit.data[0] = 5;
    expect(vcpu.run(1n).reason).toBe('Intr');
    expect(vcpu.run(2n).reason).toBe('Intr');
    expect(vcpu.getRegs().rax & 0xffn).toBe(5n);
  });

  test('a client may change the mode while an exit is open', () => {
    // In 16 bits: mov ax,0xf41; hlt. In 32 bits the immediate takes the HLT in.
    const { vcpu } = realModeGuest(tier, [['ec', 'in al,dx'], ['b8 41 0f f4 90', 'mov eax,0x90f40f41'], ['90', 'nop'], ['f4', 'hlt']]);
    run(vcpu);
    const { rip } = vcpu.getRegs();
    enterProtectedMode(vcpu);
    set(vcpu, { rip });
    expect(run(vcpu).reason).toBe('Hlt');
    expect([vcpu.getRegs().rax, vcpu.icount]).toEqual([0x90f4_0f41n, 4n]);
  });

  test('REP INS asks for one element at a time', () => {
    const { vm, vcpu } = realModeGuest(tier, [['b9 03 00', 'mov cx,3'], ['bf 00 20', 'mov di,0x2000'], ['f3 6c', 'rep insb'], ['f4', 'hlt']]);
    set(vcpu, { rdx: 0x511n });
    for (let element = 0; element < 3; element++) {
      const exit = run(vcpu);
      expect([shown(exit), vcpu.icount]).toEqual([{ reason: 'IoIn', port: 0x511, size: 1, data: [0] }, BigInt(2 + element)]);
      (exit as { data: Uint8Array }).data[0] = 0x61 + element;
    }
    expect([run(vcpu).reason, vcpu.icount]).toEqual(['Hlt', 6n]);
    expect([...vm.readMemory(0x2000, 4)]).toEqual([0x61, 0x62, 0x63, 0]);
  });

  test('device memory is read and written through exits, each access once', () => {
    const { vcpu } = realModeGuest(tier, [['66 8b 07', 'mov eax,[bx]'], ['ff 07', 'inc word ptr [bx]'], ['f4', 'hlt']]);
    const sregs = vcpu.getSregs();
    vcpu.setSregs({ ...sregs, ds: { ...sregs.ds, base: 0xf0000n, selector: 0xf000 } });
    set(vcpu, { rbx: 0x10n });
    const read = run(vcpu);
    expect(shown(read)).toEqual({ reason: 'MmioRead', address: 0xf0010, data: [0, 0, 0, 0] });
    (read as { data: Uint8Array }).data.set([1, 2, 3, 4]);
    const again = run(vcpu);
    expect([shown(again), vcpu.getRegs().rax, vcpu.icount]).toEqual([{ reason: 'MmioRead', address: 0xf0010, data: [0, 0] }, 0x04030201n, 1n]);
    (again as { data: Uint8Array }).data.set([0xff, 0x00]);
    expect(shown(run(vcpu))).toEqual({ reason: 'MmioWrite', address: 0xf0010, data: [0x00, 0x01] });
    expect(vcpu.icount).toBe(1n);
    expect([run(vcpu).reason, vcpu.icount]).toEqual(['Hlt', 3n]);
  });

  test('an access across the end of RAM is split, and nothing is stored before the device has answered', () => {
    const { vm, vcpu } = realModeGuest(tier, [['66 89 07', 'mov [bx],eax'], ['66 8b 17', 'mov edx,[bx]'], ['f4', 'hlt']]);
    const sregs = vcpu.getSregs();
    vcpu.setSregs({ ...sregs, ds: { ...sregs.ds, base: 0xe0800n, selector: 0xe080 } });
    set(vcpu, { rbx: 0xf7fen, rax: 0x44332211n });
    expect(shown(run(vcpu))).toEqual({ reason: 'MmioWrite', address: 0xf0000, data: [0x33, 0x44] });
    expect(word(vm, 0xefffe)).toBe(0);
    const read = run(vcpu);
    expect(shown(read)).toEqual({ reason: 'MmioRead', address: 0xf0000, data: [0, 0] });
    expect(word(vm, 0xefffe)).toBe(0x2211);
    (read as { data: Uint8Array }).data.set([0x77, 0x88]);
    expect(run(vcpu).reason).toBe('Hlt');
    expect(vcpu.getRegs().rdx).toBe(0x88772211n);
  });

  test('MOVS from device to device is two exits and one instruction', () => {
    const { vcpu } = realModeGuest(tier, [['a5', 'movsw'], ['f4', 'hlt']]);
    const sregs = vcpu.getSregs();
    vcpu.setSregs({ ...sregs, ds: { ...sregs.ds, base: 0xf0000n }, es: { ...sregs.es, base: 0xf0000n } });
    set(vcpu, { rsi: 0x100n, rdi: 0x200n });
    const read = run(vcpu);
    expect(shown(read)).toEqual({ reason: 'MmioRead', address: 0xf0100, data: [0, 0] });
    (read as { data: Uint8Array }).data.set([9, 8]);
    expect([shown(run(vcpu)), vcpu.icount]).toEqual([{ reason: 'MmioWrite', address: 0xf0200, data: [9, 8] }, 0n]);
    expect([run(vcpu).reason, vcpu.icount]).toEqual(['Hlt', 2n]);
  });

  test('a slot that is read-only reads as RAM and writes as a device', () => {
    const vm = createGuest(tier), vcpu = vm.vcpus[0]!;
    vm.setUserMemoryRegion({ slot: 1, flags: 2, guestPhysical: 0x100000, size: 0x1000, ramOffset: 0xff000 });
    vm.writeMemory(0x100000, Uint8Array.of(0x5a));
    vm.writeMemory(ENTRY, assemble([['a0 00 00 10 00', 'mov al,[0x100000]'], ['a2 01 00 10 00', 'mov [0x100001],al'], ['f4', 'hlt']]));
    enterProtectedMode(vcpu);
    expect(shown(run(vcpu))).toEqual({ reason: 'MmioWrite', address: 0x100001, data: [0x5a] });
    expect(run(vcpu).reason).toBe('Hlt');
    expect([...vm.readMemory(0x100000, 2)]).toEqual([0x5a, 0]);
  });

  test('a triple fault is a shutdown, reported as a transition, and it lasts', () => {
    const vm = createGuest(tier), vcpu = vm.vcpus[0]!, seen: unknown[] = [];
    vm.onTransition = ({ vcpu: id, icount, kind }) => seen.push([id, icount, kind]);
    vm.writeMemory(ENTRY, assemble([['90', 'nop'], ['0f 0b', 'ud2']]));
    enterProtectedMode(vcpu, { idt: { base: 0n, limit: 0 } });
    expect([run(vcpu).reason, run(vcpu).reason, vcpu.getRegs().rip, vcpu.icount]).toEqual(['Shutdown', 'Shutdown', 0x1001n, 1n]);
    expect(seen).toEqual([[0, 1n, 'shutdown']]);
  });

  test('what user space answered is in the access digest', () => {
    const digestOf = (answer: number): string => {
      const { vm, vcpu } = realModeGuest(tier, [['ec', 'in al,dx'], ['f4', 'hlt']]);
      (run(vcpu) as { data: Uint8Array }).data[0] = answer;
      run(vcpu);
      return vm.accessDigest();
    };
    expect(digestOf(1)).toBe(digestOf(1));
    expect(digestOf(1)).not.toBe(digestOf(2));
  });
});
