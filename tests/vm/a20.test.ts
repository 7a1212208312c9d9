// The A20 gate of a VM: who sees it and who does not, that it counts from the next instruction on, and that a state which was put away goes
// on alike. What guests see of it is `programs/a20.S`.
import { describe, expect, test } from 'vitest';
import { createKvm } from '../../src/kvm/system.ts';
import type { Tier, Vcpu, Vm } from '../../src/kvm/api.ts';
import { assemble, ENTRY, enterProtectedMode, run, set, tiers, type Listing } from './guest.ts';

const MIB = 1 << 20, HANDLER = 0x38000, VM_CR = 0xc0010114, DIS_A20M = 4n;
const EVEN = 0x20_1000, ODD = EVEN + MIB;
const hlt: Listing[number] = ['f4', 'hlt'], readEax: Listing[number] = ['a1 00 10 30 00', 'mov eax,[0x301000]'], readEbx: Listing[number] = ['8b 1d 00 10 30 00', 'mov ebx,[0x301000]'];

/** 4 MiB, with 1 in an even MiB and 2 above it, in an odd one. */
function guest(tier: Tier, listing: Listing, vcpus = 1): { vm: Vm; vcpu: Vcpu } {
  const vm = createKvm().createVm({ cpu: 'EPYC-Milan', behaviours: {}, ramBytes: 4 * MIB, tier, seed: 7n, quantum: 1000, tscKhz: 1_000_000 });
  vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysical: 0, size: 4 * MIB, ramOffset: 0 });
  for (let id = 0; id < vcpus; id++) vm.createVcpu(id);
  vm.writeMemory(EVEN, Uint8Array.of(1));
  vm.writeMemory(ODD, Uint8Array.of(2));
  vm.writeMemory(ENTRY, assemble(listing));
  const vcpu = vm.vcpus[0]!;
  enterProtectedMode(vcpu);
  return { vm, vcpu };
}

describe.each([...tiers, 'translator'] as const)('in the %s', (tier) => {
  test('it is open at first, and counts from the next instruction on', () => {
    const { vm, vcpu } = guest(tier, [readEax, readEbx, readEax, hlt]);
    expect(vm.isA20Open()).toBe(true);
    vcpu.run(1n);
    vm.setA20(false);
    vcpu.run(2n);
    vm.setA20(true);
    expect([run(vcpu).reason, vcpu.getRegs().rax, vcpu.getRegs().rbx]).toEqual(['Hlt', 2n, 1n]);
  });

  test('user space reads and writes behind it, and finds where a vCPU gets', () => {
    const { vm, vcpu } = guest(tier, [readEax, ['c7 05 00 10 30 00 05 00 00 00', 'mov dword [0x301000],5'], hlt]);
    vm.setA20(false);
    expect(vm.readMemory(ODD, 1)[0]).toBe(2);
    expect([vcpu.translate(BigInt(ODD)), vcpu.translate(0xfed00000n)]).toEqual([EVEN, 0xfec00000]);
    vm.writeMemory(EVEN, Uint8Array.of(9));
    vm.takeDirtyPages();
    run(vcpu);
    expect([vcpu.getRegs().rax, vm.readMemory(EVEN, 1)[0], vm.readMemory(ODD, 1)[0], ...vm.takeDirtyPages()]).toEqual([9n, 5, 2, EVEN / 4096]);
  });

  test('devices see masked addresses', () => {
    const { vm, vcpu } = guest(tier, [['a1 00 10 d0 d0', 'mov eax,[0xd0d01000]'], hlt]);
    vm.setA20(false);
    expect(run(vcpu)).toMatchObject({ reason: 'MmioRead', address: 0xd0c01000 });
  });

  test('all vCPUs share it', () => {
    const { vm, vcpu } = guest(tier, [readEax, ['eb f9', 'jmp 0x1000']], 2), second = vm.vcpus[1]!;
    second.loadState(vcpu.saveState());
    for (const [turn, open] of [[2n, true], [4n, false], [6n, true]] as const) {
      vm.setA20(open);
      for (const each of [vcpu, second]) {
        each.run(turn);
        expect(each.getRegs().rax).toBe(open ? 2n : 1n);
      }
    }
  });

  test('system-management mode is beyond it, and so is the save area', () => {
    const { vm, vcpu } = guest(tier, [readEbx, hlt]);
    const handler: Listing = [['67 66 a1 00 10 30 00', 'mov eax,[0x301000]'], ['66 a3 00 05', 'mov [0x500],eax'], ['0f aa', 'rsm']];
    vm.writeMemory(HANDLER, assemble(handler));
    vm.setA20(false);
    vcpu.smi();
    expect([run(vcpu).reason, vm.readMemory(0x500, 1)[0], vcpu.getRegs().rbx]).toEqual(['Hlt', 2, 1n]);
  });
  test('a save area in an odd MiB is used as it is', () => {
    const { vm, vcpu } = guest(tier, [readEbx, hlt]);
    vm.writeMemory(HANDLER, assemble([['2e 66 c7 06 00 ff 00 00 10 00', 'mov dword cs:[0xff00],0x100000'], ['0f aa', 'rsm']]));
    vm.writeMemory(0x108000, assemble([['0f aa', 'rsm']]));
    vm.setA20(false);
    vcpu.smi();
    vcpu.run(2n);
    vcpu.smi();
    expect([run(vcpu).reason, vcpu.getRegs().rbx]).toEqual(['Hlt', 1n]);
    expect(vm.readMemory(0x10fef8, 8)).not.toEqual(new Uint8Array(8));
    expect(vm.readMemory(0xfef8, 8)).toEqual(new Uint8Array(8));
  });

  test('VM_CR.DIS_A20M takes a vCPU out of its reach', () => {
    const { vm, vcpu } = guest(tier, [readEax, ['89 c3', 'mov ebx,eax'], ['b8 04 00 00 00', 'mov eax,4'], ['0f 30', 'wrmsr'], readEax, hlt]);
    set(vcpu, { rcx: BigInt(VM_CR), rdx: 0n });
    vm.setA20(false);
    expect([run(vcpu).reason, vcpu.getRegs().rbx, vcpu.getRegs().rax]).toEqual(['Hlt', 1n, 2n]);
    expect(vcpu.translate(BigInt(ODD))).toBe(ODD);
    vcpu.setMsr(VM_CR, 0n);
    expect(vcpu.translate(BigInt(ODD))).toBe(EVEN);
    vcpu.setMsr(VM_CR, DIS_A20M);
    expect(vcpu.translate(BigInt(ODD))).toBe(ODD);
  });

  test('VMCBs are where it lets the vCPU get', () => {
    const { vm, vcpu } = guest(tier, [['0f 01 da', 'vmload eax'], hlt]);
    // The selector of FS in the save area.
    vm.writeMemory(EVEN + 0x440, Uint8Array.of(0x11));
    vm.writeMemory(ODD + 0x440, Uint8Array.of(0x22));
    vcpu.setSregs({ ...vcpu.getSregs(), efer: 0x1000n });
    set(vcpu, { rax: BigInt(ODD) });
    vm.setA20(false);
    expect([run(vcpu).reason, vcpu.getSregs().fs.selector]).toEqual(['Hlt', 0x11]);
  });

  test('a state that was put away while it was closed goes on alike', () => {
    const listing: Listing = [readEax, readEbx, hlt], { vm, vcpu } = guest(tier, listing);
    const open = vm.saveVmState();
    vm.setA20(false);
    vcpu.run(1n);
    const state = structuredClone(vm.saveVmState());
    expect(state).toEqual({ ...open as object, a20Closed: true });
    const other = guest(tier, listing);
    other.vcpu.loadState(vcpu.saveState());
    other.vm.loadVmState(state);
    expect([other.vm.isA20Open(), run(other.vcpu).reason, other.vcpu.getRegs().rbx]).toEqual([false, 'Hlt', 1n]);
    expect(() => { vm.loadVmState({ ...open as object, a20Closed: 1 }); }).toThrow(/EINVAL/);
    vm.loadVmState(open);
    expect([vm.isA20Open(), run(vcpu).reason, vcpu.getRegs().rbx]).toEqual([true, 'Hlt', 2n]);
    expect(vm.saveVmState()).not.toHaveProperty('a20Closed');
  });
});
