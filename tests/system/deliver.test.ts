import { describe, expect, it } from 'vitest';
import { rflags, IF, RF, TF, VM, NT } from '../../src/cpu/flags.ts';
import { deliverException, deliverInterrupt } from '../../src/system/deliver.ts';
import {
  CODE, createMachine, Done, fault, faultOf, longMode, protectedMode, putDescriptor, putGate, realMode, run, Sel, STACK0, STACK3, TSS, virtual8086, IDT, GDT,
} from './machine.ts';
import { RAM } from '../../src/cpu/state.ts';

describe.each([['with host addresses', true], ['through the slow path', false]])('long mode, %s', (_, fast) => {
  it('pushes SS, RSP, RFLAGS, CS, RIP on a stack aligned to 16 bytes, and clears IF for an interrupt gate', () => {
    const machine = longMode(createMachine('EPYC-Milan', fast)), { cpu } = machine;
    putGate(machine, 0x20, Sel.code64, 0x9000, 0x8e, true);
    cpu.rsp = 0x1fef8n;
    cpu.rflagsSystem = 0x202 | TF;
    expect(deliverInterrupt(machine, 0x20, 'external')).toBe('delivered');
    expect(cpu.rip).toBe(0x9000n);
    expect(cpu.rsp).toBe(0x1fef0n - 40n);
    expect([0, 8, 16, 24, 32].map((at) => machine.qword(0x1fef0 - 40 + at))).toEqual([BigInt(CODE), 8n, BigInt(rflags(cpu) | IF | TF), 0x1fef8n, 0x10n]);
    expect(cpu.rflagsSystem & (IF | TF)).toBe(0);
    expect(cpu.cs.attributes).toBe(0xa9b);
    expect(cpu.ss.selector).toBe(0x10);
  });

  it('goes to an inner level with a null SS and the stack of the TSS', () => {
    const machine = longMode(createMachine('EPYC-Milan', fast), 3), { cpu } = machine;
    putGate(machine, 14, Sel.code64, 0x9000, 0x8f, true);
    cpu.rflagsSystem = 0x202;
    expect(deliverException(machine, 14, 6, 0x123456n)).toBe('delivered');
    expect(cpu.cr2).toBe(0x123456n);
    expect(cpu.cpl).toBe(0);
    expect(cpu.ss.selector).toBe(0);
    expect(cpu.rsp).toBe(BigInt(STACK0 - 48));
    expect([0, 8, 16, 24, 32, 40].map((at) => machine.qword(STACK0 - 48 + at))).toEqual([6n, BigInt(CODE), 0x33n, BigInt(0x202 | RF) | BigInt(rflags(cpu) & 0x8d5), BigInt(STACK3), 0x2bn]);
    expect(cpu.rflagsSystem & IF).toBe(IF);
  });

  it('uses IST whatever the level, and leaves SS alone without a change of level', () => {
    const machine = longMode(createMachine('EPYC-Milan', fast)), { cpu } = machine;
    putGate(machine, 2, Sel.code64, 0x9000, 0x8e, true, 1);
    deliverInterrupt(machine, 2, 'nmi');
    expect(cpu.rsp).toBe(0x28000n - 40n);
    expect(cpu.ss.selector).toBe(0x10);
    expect(cpu.nmiBlocked).toBe(1);
  });

  it('INT n and IRET come back to the next instruction', () => {
    const machine = longMode(createMachine('EPYC-Milan', fast), 3), { cpu } = machine;
    putGate(machine, 0x80, Sel.code64, 0x9000, 0xee, true);
    cpu.rflagsSystem = 0x3202;
    expect(run(machine, 0xcd, 0x80)).toBe(Done.moved);
    expect(cpu.cpl).toBe(0);
    expect(run(machine, 0x48, 0xcf)).toBe(Done.moved);
    expect([cpu.rip, cpu.cpl, cpu.rsp, cpu.cs.selector, cpu.ss.selector, cpu.rflagsSystem]).toEqual([BigInt(CODE + 2), 3, BigInt(STACK3), 0x33, 0x2b, 0x3202]);
    expect(cpu.cs.attributes).toBe(0xafb);
    expect(cpu.ss.attributes).toBe(0xcf3);
  });

  it('a gate that is not allowed, absent, of no type, beyond the limit', () => {
    const machine = longMode(createMachine('EPYC-Milan', fast), 3), { cpu } = machine;
    putGate(machine, 0x20, Sel.code64, 0x9000, 0x8e, true);
    putGate(machine, 0x21, Sel.code64, 0x9000, 0x6e, true);
    putGate(machine, 0x22, Sel.code64, 0x9000, 0xe5, true);
    putGate(machine, 0x23, Sel.code32, 0x9000, 0xee, true);
    putGate(machine, 0x24, 0, 0x9000, 0xee, true);
    putGate(machine, 0x25, 0x78, 0x9000, 0xee, true);
    putGate(machine, 0x26, Sel.data, 0x9000, 0xee, true);
    expect(faultOf(machine, 0xcd, 0x20)).toEqual(fault(13, 0x20 * 8 + 2));
    expect(faultOf(machine, 0xcd, 0x21)).toEqual(fault(11, 0x21 * 8 + 2));
    expect(faultOf(machine, 0xcd, 0x22)).toEqual(fault(13, 0x22 * 8 + 2));
    expect(faultOf(machine, 0xcd, 0x23)).toEqual(fault(13, Sel.code32));
    expect(faultOf(machine, 0xcd, 0x24)).toEqual(fault(13));
    expect(faultOf(machine, 0xcd, 0x25)).toEqual(fault(13, 0x78));
    expect(faultOf(machine, 0xcd, 0x26)).toEqual(fault(13, Sel.data));
    cpu.idtrLimit = 0x20 * 16 - 1;
    expect(faultOf(machine, 0xcd, 0x20)).toEqual(fault(13, 0x20 * 8 + 2));
  });

  it('a stack that cannot be written reports the push that fails first', () => {
    const machine = longMode(createMachine('EPYC-Milan', fast), 3), { cpu } = machine;
    putGate(machine, 0x80, Sel.code64, 0x9000, 0xee, true);
    cpu.view.setBigUint64(RAM + TSS + 4, 0x24010n, true);
    machine.missing.add(0x23);
    expect(faultOf(machine, 0xcd, 0x80)).toEqual(fault(14, 2, 0x23ff8n));
    cpu.view.setBigUint64(RAM + TSS + 4, 0x0008000000000000n, true);
    expect(faultOf(machine, 0xcd, 0x80)).toEqual(fault(12));
    cpu.tr.limit = 0xa;
    expect(faultOf(machine, 0xcd, 0x80)).toEqual(fault(10, 0x40));
  });
});

describe('double and triple faults', () => {
  it('a missing handler of a contributory exception is a double fault, with error code 0', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    putGate(machine, 8, Sel.code64, 0x9000, 0x8e, true);
    expect(deliverException(machine, 13, 0x50, 0n)).toBe('delivered');
    expect(cpu.rip).toBe(0x9000n);
    expect(machine.qword(Number(cpu.rsp))).toBe(0n);
  });
  it('a missing handler of a benign exception is a #GP with EXT and IDT', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    putGate(machine, 13, Sel.code64, 0x9000, 0x8e, true);
    expect(deliverException(machine, 6, 0, 0n)).toBe('delivered');
    expect(machine.qword(Number(cpu.rsp))).toBe(BigInt(6 * 8 + 3));
  });
  it('a page fault on the way to a #GP is serial; on the way to a #PF it is a double fault', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    putGate(machine, 8, Sel.code64, 0x9800, 0x8e, true, 1);
    putGate(machine, 13, Sel.code64, 0x9000, 0x8e, true);
    putGate(machine, 14, Sel.code64, 0x9400, 0x8e, true, 1);
    cpu.rsp = 0x25000n;
    machine.missing.add(0x24);
    deliverException(machine, 13, 0, 0n);
    expect([cpu.rip, cpu.cr2, machine.qword(Number(cpu.rsp))]).toEqual([0x9400n, 0x24ff8n, 2n]);
    putGate(machine, 14, Sel.code64, 0x9400, 0x8e, true);
    cpu.rsp = 0x25000n;
    deliverException(machine, 14, 0, 0x777n);
    expect([cpu.rip, cpu.cr2]).toEqual([0x9800n, 0x24ff8n]);
  });
  it('no handler at all is shutdown, and nothing has moved', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    const { rsp } = cpu;
    expect(deliverException(machine, 13, 0, 0n)).toBe('shutdown');
    expect([cpu.rip, cpu.rsp]).toEqual([BigInt(CODE), rsp]);
    cpu.idtrLimit = 0;
    expect(deliverInterrupt(machine, 0x20, 'external')).toBe('shutdown');
  });
});

describe('legacy protected mode', () => {
  it('a 32-bit gate at the same level', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putGate(machine, 13, Sel.code32, 0x9000, 0x8e, false);
    cpu.rflagsSystem = 0x4202;
    deliverException(machine, 13, 0x18, 0n);
    const sp = STACK0 - 0x100 - 16;
    expect(cpu.rsp).toBe(BigInt(sp));
    expect([0, 4, 8, 12].map((at) => machine.dword(sp + at) & ~0x8d5)).toEqual([0x18 & ~0x8d5, CODE, Sel.code32 & ~0x8d5, (0x4202 | RF)]);
    expect(cpu.rflagsSystem & (IF | NT)).toBe(0);
  });
  it('a 16-bit trap gate to an inner level', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    putGate(machine, 0x30, Sel.code32, 0x9000, 0xe7, false);
    cpu.rflagsSystem = 0x202;
    run(machine, 0xcd, 0x30);
    expect([0, 2, 4, 6, 8].map((at) => machine.word(STACK0 - 10 + at) & (at === 4 ? 0x202 : 0xffff))).toEqual([CODE + 2, 0x23, 0x202, STACK3 & 0xffff, 0x2b]);
    expect([cpu.cpl, cpu.ss.selector, cpu.rsp, cpu.rflagsSystem & IF]).toEqual([0, 0x10, BigInt(STACK0 - 10), IF]);
  });
  it('a bad inner stack: null #TS(0), wrong level #TS(selector), absent #SS(selector), TSS too short #TS(TSS)', () => {
    const machine = protectedMode(createMachine(), 3), { view, tr } = machine.cpu;
    putGate(machine, 0x30, Sel.code32, 0x9000, 0xee, false);
    view.setUint16(RAM + TSS + 8, 0, true);
    expect(faultOf(machine, 0xcd, 0x30)).toEqual(fault(10, 0));
    view.setUint16(RAM + TSS + 8, 0x28, true);
    expect(faultOf(machine, 0xcd, 0x30)).toEqual(fault(10, 0x28));
    view.setUint16(RAM + TSS + 8, 0x10, true);
    putDescriptor(machine, GDT, 0x10, 0, 0xfffff, 0x13, 0xc);
    expect(faultOf(machine, 0xcd, 0x30)).toEqual(fault(12, 0x10));
    putDescriptor(machine, GDT, 0x10, 0, 0x10, 0x93, 4);
    expect(faultOf(machine, 0xcd, 0x30)).toEqual(fault(12, 0x10));
    tr.limit = 8;
    expect(faultOf(machine, 0xcd, 0x30)).toEqual(fault(10, 0x40));
  });
  it('conforming code keeps the level', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    putGate(machine, 0x30, Sel.conforming, 0x9000, 0xee, false);
    run(machine, 0xcd, 0x30);
    expect([cpu.cpl, cpu.cs.selector, cpu.rsp]).toEqual([3, Sel.conforming | 3, BigInt(STACK3 - 12)]);
  });
});

describe('real mode', () => {
  it('pushes FLAGS, CS, IP and clears IF and TF', () => {
    const machine = realMode(createMachine()), { cpu } = machine;
    cpu.idtrBase = BigInt(IDT);
    machine.at(IDT + 4 * 0x21, 0x34, 0x12, 0x00, 0x09);
    cpu.rflagsSystem = 0x302;
    run(machine, 0xcd, 0x21);
    expect([cpu.rip, cpu.cs.selector, cpu.cs.base, cpu.rsp]).toEqual([0x1234n, 0x900, 0x9000n, 0xffan]);
    expect([machine.word(0x20ffa), machine.word(0x20ffc), machine.word(0x20ffe) & 0x700]).toEqual([2, 0x800, 0x300]);
    expect(cpu.rflagsSystem).toBe(2);
    expect(run(machine, 0xcf)).toBe(Done.attention);
    expect([cpu.rip, cpu.cs.selector, cpu.rsp, cpu.rflagsSystem]).toEqual([2n, 0x800, 0x1000n, 0x302]);
  });
  it('a table too short is #GP, then a double fault, then shutdown', () => {
    const machine = realMode(createMachine());
    machine.cpu.idtrLimit = 0x83;
    expect(faultOf(machine, 0xcd, 0x21)).toEqual(fault(13));
    machine.cpu.idtrLimit = 3;
    expect(deliverException(machine, 6, 0, 0n)).toBe('shutdown');
  });
  it('a stack at 1 wraps into #SS', () => {
    const machine = realMode(createMachine());
    machine.cpu.idtrBase = BigInt(IDT);
    machine.cpu.rsp = 1n;
    expect(faultOf(machine, 0xcd, 0x21)).toEqual(fault(12));
  });
});

describe('virtual-8086 mode', () => {
  it('an exception leaves through the IDT with the data segments pushed and null, and IRET comes back', () => {
    const machine = virtual8086(createMachine(), 0), { cpu } = machine;
    putGate(machine, 13, Sel.code32, 0x9000, 0x8e, false);
    deliverException(machine, 13, 0, 0n);
    const sp = STACK0 - 40;
    expect(cpu.rsp).toBe(BigInt(sp));
    expect([0, 4, 8].map((at) => machine.dword(sp + at))).toEqual([0, 0, 0x800]);
    expect(machine.dword(sp + 12) & (VM | RF | IF)).toBe(VM | RF | IF);
    expect([16, 20, 24, 28, 32, 36].map((at) => machine.dword(sp + at))).toEqual([0x1000, 0x3000, 0x1111, 0x2222, 0x3333, 0x4444]);
    expect([cpu.cpl, cpu.rflagsSystem & VM, cpu.ds.selector, cpu.ds.attributes]).toEqual([0, 0, 0, 0x10000]);
    cpu.rsp += 4n;
    run(machine, 0xcf);
    expect([cpu.cpl, cpu.cs.base, cpu.ss.selector, cpu.gs.base, cpu.rsp, cpu.rip]).toEqual([3, 0x8000n, 0x3000, 0x44440n, 0x1000n, 0n]);
    expect(cpu.rflagsSystem & (VM | IF)).toBe(VM | IF);
  });
  it('INT n needs IOPL 3 without VME', () => {
    const machine = virtual8086(createMachine(), 0);
    putGate(machine, 0x21, Sel.code32, 0x9000, 0xee, false);
    expect(faultOf(machine, 0xcd, 0x21)).toEqual(fault(13));
    machine.cpu.rflagsSystem |= 0x3000;
    run(machine, 0xcd, 0x21);
    expect(machine.cpu.cpl).toBe(0);
  });
  it('VME redirects INT n to the 8086 handler; below IOPL 3 IF stands for VIF', () => {
    const machine = virtual8086(createMachine(), 0), { cpu } = machine;
    cpu.cr4 = 1n;
    cpu.rflagsSystem |= 0x80000;
    machine.at(TSS + 102, 0x88, 0x00);
    machine.at(4 * 0x21, 0x34, 0x12, 0x00, 0x09);
    run(machine, 0xcd, 0x21);
    expect([cpu.rip, cpu.cs.selector, cpu.cpl]).toEqual([0x1234n, 0x900, 3]);
    expect(machine.word(0x30ffe) & 0x3200).toBe(0x3200);
    expect(cpu.rflagsSystem & (0x80000 | IF)).toBe(IF);
    run(machine, 0xcf);
    expect([cpu.rip, cpu.rflagsSystem & (0x80000 | IF | 0x3000)]).toEqual([2n, 0x80000 | IF]);
    machine.at(TSS + 0x88 - 32 + 4, 2);
    expect(faultOf(machine, 0xcd, 0x21)).toEqual(fault(13));
  });
});
