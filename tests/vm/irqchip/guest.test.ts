// Guests that sleep, are woken by timers and start each other: the same in every tier, and wherever the run is interrupted.
import { describe, expect, test } from 'vitest';
import type { Tier, Vm } from '../../../src/kvm/api.ts';
import { createKvm } from '../../../src/kvm/system.ts';
import { assemble, ENTRY, enterProtectedMode, enterRealMode, setVector, word, type Listing } from '../guest.ts';

const tiers: readonly Tier[] = ['reference', 'interpreter', 'translator'];

function guest(tier: Tier, vcpus: number): Vm {
  const vm = createKvm().createVm({ cpu: 'EPYC-Milan', behaviours: {}, ramBytes: 1 << 20, tier, seed: 7n, quantum: 1000, tscKhz: 1_000_000 });
  vm.setUserMemoryRegion({ slot: 0, flags: 0, guestPhysical: 0, size: 1 << 20, ramOffset: 0 });
  vm.createIrqchip();
  for (let id = 0; id < vcpus; id++) vm.createVcpu(id);
  return vm;
}

/** The 8254 interrupts every 1000 of its clocks; the handler counts, ends the interrupt and goes back to sleep. */
const ticking: Listing = [
  ['b0 34', 'mov al,0x34'], ['e6 43', 'out 0x43,al'], ['b0 e8', 'mov al,0xe8'], ['e6 40', 'out 0x40,al'], ['b0 03', 'mov al,3'], ['e6 40', 'out 0x40,al'],
  ['fb', 'sti'], ['f4', 'hlt'], ['eb fd', 'jmp hlt'],
];
const handler: Listing = [['ff 06 00 05', 'inc word [0x500]'], ['b0 20', 'mov al,0x20'], ['e6 20', 'out 0x20,al'], ['cf', 'iret']];
const HANDLER = 0x2000;

function tickingGuest(tier: Tier): Vm {
  const vm = guest(tier, 1);
  vm.writeMemory(ENTRY, assemble(ticking));
  vm.writeMemory(HANDLER, assemble(handler));
  setVector(vm, 8, HANDLER);
  enterRealMode(vm.vcpus[0]!);
  return vm;
}

/** Runs to an instruction count, and lets time pass whenever the guest sleeps. */
function runTo(vm: Vm, until: bigint): void {
  const vcpu = vm.vcpus[0]!;
  while (vcpu.icount < until) {
    if (!vcpu.isRunnable() && !vm.idle()) throw new Error('nothing will ever wake the guest');
    vcpu.run(until);
  }
}

describe.each(tiers)('in the %s', (tier) => {
  test('a timer wakes who sleeps, when it is due', () => {
    const vm = tickingGuest(tier);
    // Eight instructions to HLT, six from one HLT to the next.
    runTo(vm, 8n + 6n * 20n);
    expect(word(vm, 0x500)).toBe(20);
    // 1000 clocks of the 8254 are 838095.1 ns.
    expect(vm.getClock()).toBeGreaterThan(20 * 838_095);
    expect(vm.getClock()).toBeLessThan(20 * 838_096 + 20_000);
  });

  test('where a run is interrupted does not matter', () => {
    const whole = tickingGuest(tier), parts = tickingGuest('interpreter');
    runTo(whole, 200n);
    for (let at = 7n; at < 200n; at += 7n) runTo(parts, at);
    runTo(parts, 200n);
    expect([parts.vcpus[0]!.digest(), parts.getClock()]).toEqual([whole.vcpus[0]!.digest(), whole.getClock()]);
    expect(parts.saveVmState()).toEqual(whole.saveVmState());
  });

  test('its controllers go through save and load', () => {
    const first = tickingGuest(tier), second = tickingGuest(tier);
    runTo(first, 50n);
    second.loadVmState(first.saveVmState());
    second.vcpus[0]!.loadState(first.vcpus[0]!.saveState());
    second.writeMemory(0, first.readMemory(0, 1 << 20));
    for (const vm of [first, second]) runTo(vm, 100n);
    expect([second.vcpus[0]!.digest(), second.getClock(), second.memoryDigest()]).toEqual([first.vcpus[0]!.digest(), first.getClock(), first.memoryDigest()]);
  });

  test('INIT and a start-up message start another processor', () => {
    const vm = guest(tier, 2), [first, second] = vm.vcpus;
    vm.writeMemory(ENTRY, assemble([
      ['c7 05 00 03 e0 fe 00 45 0c 00', 'mov dword [0xfee00300],0xc4500'], ['c7 05 00 03 e0 fe 08 46 0c 00', 'mov dword [0xfee00300],0xc4608'], ['f4', 'hlt'],
    ]));
    vm.writeMemory(0x8000, assemble([['c6 06 00 05 42', 'mov byte [0x500],0x42'], ['f4', 'hlt']]));
    enterProtectedMode(first!);
    expect([first!.isRunnable(), second!.isRunnable()]).toEqual([true, false]);
    expect(first!.run(10n).reason).toBe('Hlt');
    expect(second!.isRunnable()).toBe(true);
    expect(second!.run(10n).reason).toBe('Hlt');
    // CS is 0800h, DS is 0.
    expect([word(vm, 0x500) & 0xff, second!.getRegs().rip, second!.getSregs().cs.selector]).toEqual([0x42, 6n, 0x800]);
    expect(vm.idle()).toBe(false);
  });
});
