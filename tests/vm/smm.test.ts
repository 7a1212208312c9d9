// SMIs in a running VM: when they are taken, what waits for what, that SMRAM is seen only inside, and the way back. Every case is the same
// in every tier.
import { describe, expect, test } from 'vitest';
import { createKvm } from '../../src/kvm/system.ts';
import type { Tier, Vcpu, Vm, VmTransition } from '../../src/kvm/api.ts';
import { assemble, ENTRY, enterRealMode, RAM_BYTES, realModeGuest, run, set, setVector, tiers, word, type Listing } from './guest.ts';

const HANDLER = 0x38000;
const hlt: Listing[number] = ['f4', 'hlt'], rsm: Listing[number] = ['0f aa', 'rsm'], incBx: Listing[number] = ['43', 'inc bx'], sti: Listing[number] = ['fb', 'sti'];
/** Counts at 0x500; DS is flat with base 0. */
const count: Listing[number] = ['ff 06 00 05', 'inc word ptr [0x500]'];
const counting: Listing = [count, rsm];

function guest(tier: Tier, program: Listing, handler: Listing = counting): { vm: Vm; vcpu: Vcpu; seen: VmTransition[] } {
  const { vm, vcpu } = realModeGuest(tier, program);
  vm.writeMemory(HANDLER, assemble(handler));
  const seen: VmTransition[] = [];
  vm.onTransition = (transition) => seen.push(transition);
  return { vm, vcpu, seen };
}
const story = (seen: readonly VmTransition[]): unknown[] => seen.map(({ kind, icount }) => `${kind} ${icount}`);

describe.each(tiers)('in the %s', (tier) => {
  test('an SMI is taken between two instructions, and RSM goes on there', () => {
    const { vm, vcpu, seen } = guest(tier, [incBx, incBx, hlt]);
    vcpu.run(1n);
    vcpu.smi();
    expect(run(vcpu).reason).toBe('Hlt');
    expect([word(vm, 0x500), vcpu.getRegs().rbx, vcpu.icount]).toEqual([1, 2n, 5n]);
    expect(story(seen)).toEqual(['Smi 1', 'Rsm 3']);
    expect(seen.map(({ level, smm }) => [level, smm])).toEqual([[1, false], [1, true]]);
  });

  test('outside system-management mode RSM is undefined', () => {
    const { vm, vcpu } = guest(tier, [rsm]);
    vm.writeMemory(0x3000, assemble([['b8 06 00', 'mov ax,6'], hlt]));
    setVector(vm, 6, 0x3000);
    expect([run(vcpu).reason, vcpu.getRegs().rax]).toEqual(['Hlt', 6n]);
  });

  test('an SMI in the handler waits for RSM, and two are one', () => {
    const { vm, vcpu, seen } = guest(tier, [incBx, hlt]);
    vcpu.smi();
    vcpu.run(1n);
    vcpu.smi();
    vcpu.smi();
    expect(run(vcpu).reason).toBe('Hlt');
    expect([word(vm, 0x500), story(seen)]).toEqual([2, ['Smi 0', 'Rsm 2', 'Smi 2', 'Rsm 4']]);
  });

  test('an NMI waits while the handler runs; IRET in it lets NMIs in', () => {
    // The handler's own interrupt table: the SMI left none.
    const table: Listing[number] = ['0f 01 1e 10 07', 'lidt [0x710]'], note: Listing = [['a1 02 05', 'mov ax,[0x502]'], ['a3 04 05', 'mov [0x504],ax'], rsm];
    const iret: Listing = [['9c', 'pushf'], ['0e', 'push cs'], ['68 0b 80', 'push 0x800b'], ['cf', 'iret']];
    for (const [handler, inside] of [[[table, ...note], 0], [[table, ...iret, ...note], 1]] as const) {
      const { vm, vcpu, seen } = guest(tier, [incBx, hlt], handler);
      vm.writeMemory(0x710, Uint8Array.of(0xff, 3, 0, 0, 0, 0));
      vm.writeMemory(0x3000, assemble([['ff 06 02 05', 'inc word ptr [0x502]'], ['cf', 'iret']]));
      setVector(vm, 2, 0x3000);
      vcpu.smi();
      vcpu.run(1n);
      vcpu.nmi();
      expect(run(vcpu).reason).toBe('Hlt');
      expect([word(vm, 0x502), word(vm, 0x504), seen.length]).toEqual([1, inside, 2]);
    }
  });

  test('an SMI comes before a trap, an NMI and an interrupt that wait as well; they are taken behind RSM', () => {
    const { vm, vcpu, seen } = guest(tier, [sti, incBx, ['9d', 'popf'], incBx, incBx, hlt]);
    // Each handler puts its number behind those of the ones before: 0x600 counts them.
    for (const [vector, at] of [[1, 0x3000], [2, 0x3100], [0x40, 0x3200]] as const) {
      vm.writeMemory(at, assemble([
        ['57', 'push di'], ['8b 3e 00 06', 'mov di,[0x600]'], [`c6 85 02 06 ${vector.toString(16).padStart(2, '0')}`, 'mov byte ptr [di+0x602],vector'],
        ['ff 06 00 06', 'inc word ptr [0x600]'], ['5f', 'pop di'], ['cf', 'iret'],
      ]));
      setVector(vm, vector, at);
    }
    vm.writeMemory(0x8000, Uint8Array.of(2, 3));
    // Behind the first INC that TF traps.
    vcpu.run(4n);
    vcpu.smi();
    vcpu.nmi();
    vcpu.interrupt(0x40);
    vcpu.run(vcpu.icount + 40n);
    expect(story(seen)).toEqual(['Smi 4', 'Rsm 6']);
    // The trap is delivered first, then its handler is interrupted by the NMI before it has begun; INTR waits for IF.
    expect([...vm.readMemory(0x602, 3)]).toEqual([2, 1, 0x40]);
  });

  test('the shadow of STI holds it, or not, as the behaviour says', () => {
    const at = (value: string): unknown => {
      const vm = createKvm().createVm({ cpu: 'EPYC-Milan', behaviours: { 'smm.interrupt-shadow': value }, ramBytes: RAM_BYTES, tier, seed: 7n, quantum: 1000, tscKhz: 1_000_000 });
      vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysical: 0, size: RAM_BYTES, ramOffset: 0 });
      const vcpu = vm.createVcpu(0), seen: VmTransition[] = [];
      vm.onTransition = (transition) => seen.push(transition);
      vm.writeMemory(ENTRY, assemble([sti, incBx, incBx, ['fa', 'cli'], hlt]));
      vm.writeMemory(HANDLER, assemble(counting));
      vm.writeMemory(0x3000, assemble([['89 d9', 'mov cx,bx'], ['cf', 'iret']]));
      setVector(vm, 0x40, 0x3000);
      enterRealMode(vcpu);
      vcpu.run(1n);
      vcpu.smi();
      vcpu.interrupt(0x40);
      run(vcpu);
      // CX says how many instructions the interrupt waited for.
      return [story(seen), vcpu.getRegs().rcx];
    };
    expect(at('held')).toEqual([['Smi 2', 'Rsm 4'], 1n]);
    expect(at('saved')).toEqual([['Smi 1', 'Rsm 3'], 1n]);
    expect(at('lost')).toEqual([['Smi 1', 'Rsm 3'], 0n]);
  });

  test('HLT ends with an SMI and halts again behind RSM, unless the handler says no', () => {
    const { vm, vcpu, seen } = guest(tier, [hlt, incBx, hlt]);
    run(vcpu);
    vcpu.smi();
    expect(vcpu.isRunnable()).toBe(true);
    expect([run(vcpu).reason, word(vm, 0x500), vcpu.getRegs().rbx]).toEqual(['Hlt', 1, 0n]);
    // mov byte ptr cs:[0xfec9],0
    vm.writeMemory(HANDLER, assemble([['2e c6 06 c9 fe 00', 'mov byte ptr cs:[0xfec9],0'], rsm]));
    vcpu.smi();
    expect([run(vcpu).reason, vcpu.getRegs().rbx, seen.map(({ detail }) => detail['halted'])]).toEqual(['Hlt', 1n, [true, true, true, false]]);
  });

  test('an OUT that is answered with an SMI is complete, and executed again when the handler asks for it', () => {
    const again: Listing = [['2e 80 3e c0 fe 12', 'cmp byte ptr cs:[0xfec0],0x12'], ['75 06', 'jne +6'], ['2e c6 06 c8 fe ff', 'mov byte ptr cs:[0xfec8],0xff'], count, rsm];
    const { vm, vcpu, seen } = guest(tier, [['b0 55', 'mov al,0x55'], ['e6 b2', 'out 0xb2,al'], incBx, hlt], again);
    expect(run(vcpu)).toMatchObject({ reason: 'IoOut', port: 0xb2 });
    vcpu.smi();
    expect([run(vcpu).reason, vcpu.getRegs().rip, vcpu.getRegs().rbx]).toEqual(['IoOut', BigInt(ENTRY + 2), 0n]);
    expect(seen[0]!.detail).toMatchObject({ port: 0xb2, input: false, rip: BigInt(ENTRY + 4) });
    expect([run(vcpu).reason, word(vm, 0x500), vcpu.getRegs().rbx]).toEqual(['Hlt', 1, 1n]);
  });

  test('no run ends between an OUT and its SMI, so that a saved state knows which instruction it was', () => {
    const { vcpu, seen } = guest(tier, [['e6 b2', 'out 0xb2,al'], incBx, hlt]);
    run(vcpu);
    vcpu.smi();
    expect([vcpu.run(1n).reason, vcpu.icount, seen.map(({ kind, detail }) => [kind, detail['port']])]).toEqual(['Intr', 1n, [['Smi', 0xb2]]]);
  });

  test('an element of REP INS likewise', () => {
    const keep: Listing = [['66 2e a1 c0 fe', 'mov eax,cs:[0xfec0]'], ['66 a3 00 05', 'mov [0x500],eax'], rsm];
    const { vm, vcpu } = guest(tier, [['b9 02 00', 'mov cx,2'], ['bf 00 20', 'mov di,0x2000'], ['f3 6d', 'rep insw'], hlt], keep);
    set(vcpu, { rdx: 0x170n });
    run(vcpu);
    vcpu.smi();
    expect(run(vcpu).reason).toBe('IoIn');
    expect([word(vm, 0x500), word(vm, 0x502), vcpu.getRegs().rcx]).toEqual([0x2f, 0x170, 1n]);
    expect(run(vcpu).reason).toBe('Hlt');
  });

  test('SMRAM in address space 1 is seen in system-management mode only', () => {
    const { vm, vcpu, seen } = guest(tier, [['a1 00 07', 'mov ax,[0x700]'], incBx, ['8b 0e 00 07', 'mov cx,[0x700]'], hlt]);
    const hidden = 0xf0000;
    // Another page of RAM lies at 0 inside; the rest is what the guest sees.
    vm.setUserMemoryRegion({ slot: 0x10000, flags: 0, guestPhysical: 0, size: 0x1000, ramOffset: hidden });
    vm.setUserMemoryRegion({ slot: 0x10001, flags: 0, guestPhysical: 0x1000, size: 0xef000, ramOffset: 0x1000 });
    vm.writeMemory(0x700, Uint8Array.of(0x11, 0x22));
    vm.writeMemory(HANDLER, assemble([['c7 06 00 07 77 77', 'mov word ptr [0x700],0x7777'], ['8b 16 00 07', 'mov dx,[0x700]'], ['89 16 00 17', 'mov [0x1700],dx'], rsm]));
    vcpu.run(2n);
    vcpu.smi();
    expect(run(vcpu).reason).toBe('Hlt');
    expect([vcpu.getRegs().rax, vcpu.getRegs().rcx, word(vm, 0x700), word(vm, 0x1700), seen.length]).toEqual([0x2211n, 0x2211n, 0x2211, 0x7777, 2]);
    expect([...vm.ramPage(hidden / 0x1000).subarray(0x700, 0x702)]).toEqual([0x77, 0x77]);
  });

  test('slots of the two address spaces may overlap, and there is no third', () => {
    const { vm } = guest(tier, [hlt]);
    const slot = { slot: 0x10000, flags: 0, guestPhysical: 0, size: 0x1000, ramOffset: 0 };
    vm.setUserMemoryRegion(slot);
    expect(() => { vm.setUserMemoryRegion({ ...slot, slot: 0x10001 }); }).toThrow(/EEXIST/);
    expect(() => { vm.setUserMemoryRegion({ ...slot, slot: 0x20000 }); }).toThrow(/EINVAL/);
  });

  test('INIT waits for RSM', () => {
    const vm = createKvm().createVm({ cpu: 'EPYC-Milan', behaviours: {}, ramBytes: RAM_BYTES, tier, seed: 7n, quantum: 1000, tscKhz: 1_000_000 });
    vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysical: 0, size: RAM_BYTES, ramOffset: 0 });
    vm.createIrqchip();
    const vcpu = vm.createVcpu(0), seen: VmTransition[] = [];
    vm.onTransition = (transition) => seen.push(transition);
    vm.writeMemory(ENTRY, assemble([incBx, incBx, hlt]));
    // The handler's segments reach the local APIC: an INIT for itself.
    vm.writeMemory(HANDLER, assemble([['66 67 c7 05 00 03 e0 fe 00 45 00 00', 'mov dword ptr [0xfee00300],0x4500'], incBx, rsm]));
    enterRealMode(vcpu);
    vcpu.smi();
    vcpu.run(4n);
    expect(story(seen)).toEqual(['Smi 0', 'Rsm 3', 'Init 3']);
    expect(seen[2]!.detail).toMatchObject({ rip: BigInt(ENTRY), waits: false });
  });

  test('an illegal state at RSM shuts the vCPU down and says which row', () => {
    const { vcpu, seen } = guest(tier, [incBx, hlt], [['66 2e c7 06 58 ff 10 00 00 80', 'mov dword ptr cs:[0xff58],0x80000010'], rsm]);
    vcpu.smi();
    expect([run(vcpu).reason, run(vcpu).reason]).toEqual(['Shutdown', 'Shutdown']);
    expect(story(seen)).toEqual(['Smi 0', 'Rsm 2', 'shutdown 2']);
    expect([seen[1]!.detail['failed'], seen[2]!.detail['cause']]).toEqual([['cr0.paging-without-protection'], 'RSM']);
  });

  test('a saved state inside the handler goes on elsewhere', () => {
    const { vm, vcpu } = guest(tier, [incBx, incBx, hlt]);
    vcpu.smi();
    vcpu.run(1n);
    const state = vcpu.saveState(), memory = vm.readMemory(0, 0x40000);
    const other = realModeGuest(tier, [hlt]);
    other.vm.writeMemory(0, memory);
    other.vcpu.loadState(state);
    expect([run(other.vcpu).reason, run(vcpu).reason, other.vcpu.digest()]).toEqual(['Hlt', 'Hlt', vcpu.digest()]);
  });
});
