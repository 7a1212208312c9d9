// What happens between two instructions: interrupts and their shadows, NMI, single steps, breakpoints, HLT. The counts are instructions
// retired; every case is the same in every tier.
import { describe, expect, test } from 'vitest';
import { assemble, ENTRY, realModeGuest, run, set, setVector, tiers, word, type Listing } from './guest.ts';
import type { Vcpu, Vm } from '../../src/kvm/api.ts';

const HANDLER = 0x3000;
/** Counts at 0x500 and stores the IP that it returns to at 0x502. */
const counting: Listing = [
  ['ff 06 00 05', 'inc word ptr [0x500]'], ['55', 'push bp'], ['89 e5', 'mov bp,sp'], ['50', 'push ax'], ['8b 46 02', 'mov ax,[bp+2]'],
  ['a3 02 05', 'mov [0x502],ax'], ['58', 'pop ax'], ['5d', 'pop bp'], ['cf', 'iret'],
];
const HANDLER_LENGTH = 9n;

function withHandler(vm: Vm, vector: number): void {
  vm.writeMemory(HANDLER, assemble(counting));
  setVector(vm, vector, HANDLER);
}
const seen = (vm: Vm): { count: number; ip: number } => ({ count: word(vm, 0x500), ip: word(vm, 0x502) });
const IF = 0x200n, TF = 0x100n, RF = 0x10000n;

/** What `armed` loads: DR0 with a condition and a length code. */
function arm(vcpu: Vcpu, address: number, condition: number, length: number): void {
  set(vcpu, { rcx: BigInt(address), rdx: BigInt(0x401 | condition << 16 | length << 18) });
}
/** `mov dr0,ecx; mov dr7,edx`: two instructions of 3 bytes. */
const armed: Listing = [['0f 23 c1', 'mov dr0,ecx'], ['0f 23 fa', 'mov dr7,edx']];

describe.each(tiers)('in the %s', (tier) => {
  test('an interrupt waits for IF, and one instruction longer behind STI', () => {
    const { vm, vcpu } = realModeGuest(tier, [['43', 'inc bx'], ['fb', 'sti'], ['43', 'inc bx'], ['43', 'inc bx'], ['f4', 'hlt']]);
    withHandler(vm, 0x40);
    vcpu.interrupt(0x40);
    expect(run(vcpu).reason).toBe('Hlt');
    expect([seen(vm), vcpu.icount]).toEqual([{ count: 1, ip: ENTRY + 3 }, 5n + HANDLER_LENGTH]);
  });

  test('a queued interrupt can be seen in KVM_GET_SREGS, and a second one is refused', () => {
    const { vcpu } = realModeGuest(tier, [['f4', 'hlt']]);
    vcpu.interrupt(0x40);
    expect(vcpu.getSregs().interruptBitmap).toEqual([0n, 1n, 0n, 0n]);
    expect(() => { vcpu.interrupt(0x41); }).toThrow(/EEXIST/);
  });

  test('HLT ends with an interrupt, and returns behind itself', () => {
    const { vm, vcpu } = realModeGuest(tier, [['fb', 'sti'], ['f4', 'hlt'], ['43', 'inc bx'], ['fa', 'cli'], ['f4', 'hlt']]);
    withHandler(vm, 0x41);
    expect([run(vcpu).reason, run(vcpu).reason, vcpu.icount]).toEqual(['Hlt', 'Hlt', 2n]);
    vcpu.interrupt(0x41);
    expect([run(vcpu).reason, seen(vm), vcpu.getRegs().rbx]).toEqual(['Hlt', { count: 1, ip: ENTRY + 2 }, 1n]);
    vcpu.interrupt(0x41);
    expect([run(vcpu).reason, seen(vm).count]).toEqual(['Hlt', 1]);
  });

  test('an NMI ends HLT without IF, and the next one waits for IRET', () => {
    const { vm, vcpu } = realModeGuest(tier, [['f4', 'hlt'], ['43', 'inc bx'], ['f4', 'hlt'], ['f4', 'hlt']]);
    withHandler(vm, 2);
    run(vcpu);
    vcpu.nmi();
    // Stop in the handler: the second NMI arrives while the first is served.
    vcpu.run(vcpu.icount + 2n);
    vcpu.nmi();
    expect([run(vcpu).reason, seen(vm)]).toEqual(['Hlt', { count: 2, ip: ENTRY + 1 }]);
    expect(vcpu.icount).toBe(3n + 2n * HANDLER_LENGTH);
  });

  test('TF traps behind every instruction but MOV SS', () => {
    const { vm, vcpu } = realModeGuest(tier, [['43', 'inc bx'], ['8e d0', 'mov ss,ax'], ['43', 'inc bx'], ['43', 'inc bx'], ['f4', 'hlt']]);
    withHandler(vm, 1);
    set(vcpu, { rflags: 2n | TF });
    vcpu.run(1n);
    expect(seen(vm).count).toBe(0);
    vcpu.run(4n + 3n * HANDLER_LENGTH);
    expect([seen(vm), vcpu.getRegs().rbx, vcpu.getRegs().rip]).toEqual([{ count: 3, ip: ENTRY + 5 }, 3n, BigInt(ENTRY + 5)]);
  });

  test('POPF that sets TF does not trap by itself, and INT clears TF without a trap', () => {
    const { vm, vcpu } = realModeGuest(tier, [['9d', 'popf'], ['90', 'nop'], ['cd 50', 'int 0x50'], ['90', 'nop']]);
    withHandler(vm, 1);
    vm.writeMemory(0x3800, assemble([['b8 77 77', 'mov ax,0x7777'], ['f4', 'hlt']]));
    setVector(vm, 0x50, 0x3800);
    vm.writeMemory(0x8000, Uint8Array.of(0x02, 0x01));
    expect(run(vcpu).reason).toBe('Hlt');
    expect([seen(vm), vcpu.getRegs().rax]).toEqual([{ count: 1, ip: ENTRY + 2 }, 0x7777n]);
  });

  test('a data breakpoint traps behind the access, however it was reached', () => {
    const { vm, vcpu } = realModeGuest(tier, [
      ...armed, ['b8 34 12', 'mov ax,0x1234'], ['a3 00 60', 'mov [0x6000],ax'], ['a3 02 60', 'mov [0x6002],ax'], ['8b 1e 02 60', 'mov bx,[0x6002]'], ['f4', 'hlt'],
    ]);
    withHandler(vm, 1);
    arm(vcpu, 0x6002, 1, 1);
    expect(run(vcpu).reason).toBe('Hlt');
    expect([seen(vm), word(vm, 0x6002)]).toEqual([{ count: 1, ip: ENTRY + 15 }, 0x1234]);
    expect(vcpu.icount).toBe(7n + HANDLER_LENGTH);
  });

  test('REP MOVS over a data breakpoint traps behind the element', () => {
    const { vm, vcpu } = realModeGuest(tier, [
      ...armed, ['be 00 70', 'mov si,0x7000'], ['bf 00 60', 'mov di,0x6000'], ['b9 08 00', 'mov cx,8'], ['f3 a4', 'rep movsb'], ['f4', 'hlt'],
    ]);
    withHandler(vm, 1);
    arm(vcpu, 0x6003, 1, 0);
    expect(run(vcpu).reason).toBe('Hlt');
    expect([seen(vm), vcpu.getRegs().rcx & 0xffffn, vcpu.icount]).toEqual([{ count: 1, ip: ENTRY + 15 }, 0n, 14n + HANDLER_LENGTH]);
  });

  test('an instruction breakpoint faults before the instruction unless RF is set', () => {
    const { vm, vcpu } = realModeGuest(tier, [...armed, ['43', 'inc bx'], ['43', 'inc bx'], ['f4', 'hlt']]);
    // The handler counts and disarms: with RF clear in the image of a 16-bit IRET the breakpoint would hit for ever.
    vm.writeMemory(HANDLER, assemble([['ff 06 00 05', 'inc word ptr [0x500]'], ['31 d2', 'xor dx,dx'], ['0f 23 fa', 'mov dr7,edx'], ['cf', 'iret']]));
    setVector(vm, 1, HANDLER);
    arm(vcpu, ENTRY + 7, 0, 0);
    expect(run(vcpu).reason).toBe('Hlt');
    expect([word(vm, 0x500), vcpu.getRegs().rbx, vcpu.icount]).toEqual([1, 2n, 9n]);
  });

  test('RF skips an instruction breakpoint for one instruction', () => {
    const { vm, vcpu } = realModeGuest(tier, [...armed, ['43', 'inc bx'], ['f4', 'hlt']]);
    withHandler(vm, 1);
    arm(vcpu, ENTRY + 6, 0, 0);
    vcpu.run(2n);
    set(vcpu, { rflags: 2n | RF });
    expect(run(vcpu).reason).toBe('Hlt');
    expect([seen(vm).count, vcpu.getRegs().rbx, vcpu.getRegs().rflags & RF]).toEqual([0, 1n, 0n]);
  });

  test('a breakpoint at a fault is not a trap', () => {
    const { vm, vcpu } = realModeGuest(tier, [...armed, ['a3 00 60', 'mov [0x6000],ax'], ['0f 0b', 'ud2'], ['f4', 'hlt']]);
    withHandler(vm, 1);
    vm.writeMemory(0x3800, assemble([['f4', 'hlt']]));
    setVector(vm, 6, 0x3800);
    arm(vcpu, 0x6004, 1, 0);
    expect([run(vcpu).reason, seen(vm).count]).toEqual(['Hlt', 0]);
  });

  test('an endless loop of faults without an instruction ends with an internal error', () => {
    const { vm, vcpu } = realModeGuest(tier, [['0f 0b', 'ud2']]);
    // Vector 6 leads back to the UD2, and the stack wraps in memory of its own.
    setVector(vm, 6, ENTRY);
    const sregs = vcpu.getSregs();
    vcpu.setSregs({ ...sregs, ss: { ...sregs.ss, base: 0x80000n } });
    expect([vcpu.run(5n).reason, vcpu.icount]).toEqual(['InternalError', 0n]);
  });

  test('IF set by IRET lets the interrupt in at once', () => {
    const { vm, vcpu } = realModeGuest(tier, [['cf', 'iret']]);
    withHandler(vm, 0x42);
    vm.writeMemory(0x8000, Uint8Array.of(0x00, 0x20, 0, 0, 0x02, 0x02));
    vm.writeMemory(0x2000, assemble([['43', 'inc bx'], ['f4', 'hlt']]));
    vcpu.interrupt(0x42);
    expect([run(vcpu).reason, seen(vm), vcpu.getRegs().rflags & IF]).toEqual(['Hlt', { count: 1, ip: 0x2000 }, IF]);
  });
});
