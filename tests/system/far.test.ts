import { describe, expect, it } from 'vitest';
import { IF, IOPL, NT, TF } from '../../src/cpu/flags.ts';
import { Attribute, RAM } from '../../src/cpu/state.ts';
import {
  CODE, createMachine, Done, fault, faultOf, GDT, longMode, protectedMode, putDescriptor, realMode, run, Sel, STACK0, STACK3, TSS, virtual8086,
} from './machine.ts';
import type { TestMachine } from './machine.ts';

function callGate(machine: TestMachine, selector: number, target: number, offset: number, access: number, count = 0, offsetHigh?: number): void {
  const at = RAM + GDT + (selector & ~7), { view } = machine.cpu;
  view.setUint32(at, (target << 16 | offset & 0xffff) >>> 0, true);
  view.setUint32(at + 4, (offset & 0xffff0000 | access << 8 | count) >>> 0, true);
  if (offsetHigh !== undefined) {
    view.setUint32(at + 8, offsetHigh, true);
    view.setUint32(at + 12, 0, true);
  }
}
const push = (machine: TestMachine, size: 2 | 4 | 8, ...values: (number | bigint)[]): void => {
  const { cpu } = machine, base = Number(cpu.ss.base) * (size === 8 ? 0 : 1);
  for (const value of values) {
    cpu.rsp -= BigInt(size);
    const at = RAM + base + Number(cpu.rsp);
    if (size === 8) cpu.view.setBigUint64(at, BigInt(value), true);
    else if (size === 4) cpu.view.setUint32(at, Number(value), true);
    else cpu.view.setUint16(at, Number(value), true);
  }
};

describe('JMP and CALL far', () => {
  it('real mode: base is 16 times the selector, the limit stays', () => {
    const machine = realMode(createMachine()), { cpu } = machine;
    run(machine, 0xea, 0x34, 0x12, 0x00, 0x10);
    expect([cpu.rip, cpu.cs.selector, cpu.cs.base, cpu.cs.limit]).toEqual([0x1234n, 0x1000, 0x10000n, 0xffff]);
    run(machine, 0x9a, 0x00, 0x01, 0x00, 0x09);
    expect([cpu.rip, cpu.cs.base, cpu.rsp, machine.word(0x20ffc), machine.word(0x20ffe)]).toEqual([0x100n, 0x9000n, 0xffcn, 0x1239, 0x1000]);
    run(machine, 0xca, 4, 0);
    expect([cpu.rip, cpu.cs.base, cpu.rsp]).toEqual([0x1239n, 0x10000n, 0x1004n]);
    expect(faultOf(machine, 0x66, 0xea, 0, 0, 1, 0, 0, 0x10)).toEqual(fault(13));
  });
  it('into protected code after CR0.PE, and from compatibility to 64-bit mode', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    run(machine, 0xea, 0, 0x90, 0, 0, Sel.code16, 0);
    expect([cpu.cs.selector, cpu.cs.limit, cpu.cs.attributes, cpu.rip]).toEqual([Sel.code16, 0xffff, 0x9b, 0x9000n]);
    const long = longMode(createMachine());
    long.cpu.cs.attributes = 0xc9b;
    run(long, 0xea, 0, 0x90, 0, 0, Sel.code64, 0);
    expect([long.cpu.cs.attributes, long.cpu.rip]).toEqual([0xa9b, 0x9000n]);
  });
  it('checks: null, limit, type, level, presence, offset', () => {
    const machine = protectedMode(createMachine(), 3);
    const jump = (selector: number) => faultOf(machine, 0xea, 0, 0x90, 0, 0, selector, 0);
    expect(jump(0)).toEqual(fault(13));
    expect(jump(0x80)).toEqual(fault(13, 0x80));
    expect(jump(Sel.data)).toEqual(fault(13, Sel.data));
    expect(jump(Sel.code32)).toEqual(fault(13, Sel.code32));
    putDescriptor(machine, GDT, 0x20, 0, 0xfffff, 0x7b, 0xc);
    expect(jump(Sel.user32)).toEqual(fault(11, 0x20));
    putDescriptor(machine, GDT, 0x20, 0, 0xfff, 0xfb, 4);
    expect(jump(Sel.user32)).toEqual(fault(13));
    run(machine, 0xea, 0, 0x90, 0, 0, Sel.conforming, 0);
    expect([machine.cpu.cs.selector, machine.cpu.cpl]).toEqual([Sel.conforming | 3, 3]);
  });
  it('sets the accessed bit', () => {
    const machine = protectedMode(createMachine());
    putDescriptor(machine, GDT, 0x18, 0, 0xfffff, 0x9a, 0xc);
    run(machine, 0xea, 0, 0x90, 0, 0, Sel.code32, 0);
    expect(machine.dword(GDT + 0x1c) & 0x100).toBe(0x100);
  });
  it('a call gate to an inner level copies parameters; RETF comes back and takes them off', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    callGate(machine, Sel.gate, Sel.code32, 0x9000, 0xec, 2);
    push(machine, 4, 0x11111111, 0x22222222);
    cpu.ds.selector = 0x10;
    cpu.ds.attributes = 0xc93;
    run(machine, 0x9a, 0, 0, 0, 0, Sel.gate | 3, 0);
    expect([cpu.rip, cpu.cpl, cpu.cs.selector, cpu.ss.selector, cpu.rsp]).toEqual([0x9000n, 0, Sel.code32, 0x10, BigInt(STACK0 - 24)]);
    expect([0, 4, 8, 12, 16, 20].map((at) => machine.dword(STACK0 - 24 + at))).toEqual([CODE + 7, 0x23, 0x22222222, 0x11111111, STACK3 - 8, 0x2b]);
    run(machine, 0xca, 8, 0);
    expect([cpu.rip, cpu.cpl, cpu.cs.selector, cpu.ss.selector, cpu.rsp]).toEqual([BigInt(CODE + 7), 3, 0x23, 0x2b, BigInt(STACK3)]);
    expect(cpu.ds.attributes & Attribute.unusable).toBe(Attribute.unusable);
  });
  it('a 64-bit call gate pushes eight bytes each and a null SS', () => {
    const machine = longMode(createMachine(), 3), { cpu } = machine;
    callGate(machine, Sel.gate, Sel.code64, 0x9000, 0xec, 0, 0);
    machine.at(0x7000, 0, 0, 0, 0, Sel.gate | 3, 0);
    cpu.rbx = 0x7000n;
    run(machine, 0xff, 0x1b);
    expect([cpu.rip, cpu.cpl, cpu.ss.selector, cpu.rsp]).toEqual([0x9000n, 0, 0, BigInt(STACK0 - 32)]);
    expect([0, 8, 16, 24].map((at) => machine.qword(STACK0 - 32 + at))).toEqual([BigInt(CODE + 2), 0x33n, BigInt(STACK3), 0x2bn]);
    run(machine, 0x48, 0xcb);
    expect([cpu.rip, cpu.cpl, cpu.ss.selector, cpu.rsp]).toEqual([BigInt(CODE + 2), 3, 0x2b, BigInt(STACK3)]);
  });
  it('gate checks', () => {
    const machine = protectedMode(createMachine(), 3);
    const call = () => faultOf(machine, 0x9a, 0, 0, 0, 0, Sel.gate | 3, 0);
    callGate(machine, Sel.gate, Sel.code32, 0x9000, 0x8c);
    expect(call()).toEqual(fault(13, Sel.gate));
    callGate(machine, Sel.gate, Sel.code32, 0x9000, 0x6c);
    expect(call()).toEqual(fault(11, Sel.gate));
    callGate(machine, Sel.gate, 0, 0x9000, 0xec);
    expect(call()).toEqual(fault(13));
    callGate(machine, Sel.gate, Sel.data, 0x9000, 0xec);
    expect(call()).toEqual(fault(13, Sel.data));
    callGate(machine, Sel.gate, Sel.code32, 0x9000, 0xec);
    expect(faultOf(machine, 0xea, 0, 0, 0, 0, Sel.gate | 3, 0)).toEqual(fault(13, Sel.code32));
    callGate(machine, Sel.gate, Sel.code32, 0x9000, 0xee);
    expect(call()).toEqual(fault(13, Sel.gate));
  });
});

describe('IRET', () => {
  it('flags: IOPL only at level 0, IF only up to IOPL', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    push(machine, 4, 0x3202 | 0x200000, 0x23, 0x9000);
    run(machine, 0xcf);
    expect(cpu.rflagsSystem & (IF | IOPL | 0x200000)).toBe(0x200000);
    const kernel = protectedMode(createMachine());
    push(kernel, 4, 0x3202, Sel.code32, 0x9000);
    run(kernel, 0xcf);
    expect(kernel.cpu.rflagsSystem & (IF | IOPL)).toBe(IF | IOPL);
  });
  it('TF asks for attention', () => {
    const machine = longMode(createMachine());
    push(machine, 8, 0x10, STACK0, 2 | TF, 8, 0x9000);
    expect(run(machine, 0x48, 0xcf)).toBe(Done.attention);
  });
  it('64-bit: to compatibility mode, to a null SS, and its faults', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    const iret = (ss: number, sp: bigint, cs: number, ip: bigint) => {
      cpu.rsp = BigInt(STACK0 - 0x100);
      push(machine, 8, ss, sp, 2, cs, ip);
    };
    iret(0x2b, 0x30000n, 0x33, 0x0000800000000000n);
    expect(faultOf(machine, 0x48, 0xcf)).toEqual(fault(13));
    iret(0, 0x30000n, 0x33, 0x9000n);
    expect(faultOf(machine, 0x48, 0xcf)).toEqual(fault(13));
    iret(0x10, 0x30000n, 0x33, 0x9000n);
    expect(faultOf(machine, 0x48, 0xcf)).toEqual(fault(13, 0x10));
    iret(0x2b, 0x30000n, 0, 0x9000n);
    expect(faultOf(machine, 0x48, 0xcf)).toEqual(fault(13));
    cpu.rsp = 0x0000800000000000n - 16n;
    expect(faultOf(machine, 0x48, 0xcf)).toEqual(fault(12));
    iret(0, 0x30000n, 8, 0x9000n);
    cpu.nmiBlocked = 1;
    run(machine, 0x48, 0xcf);
    expect([cpu.ss.selector, cpu.ss.attributes & Attribute.unusable, cpu.rsp, cpu.nmiBlocked]).toEqual([0, Attribute.unusable, 0x30000n, 0]);
    iret(0x2b, 0x100030000n, 0x23, 0x9000n);
    run(machine, 0x48, 0xcf);
    expect([cpu.cpl, cpu.cs.attributes, cpu.rsp, cpu.rip]).toEqual([3, 0xcfb, 0x30000n, 0x9000n]);
    cpu.rsp = 0x31000n;
    push(machine, 4, 2, 0x23, 0x9100);
    run(machine, 0xcf);
    expect([cpu.rip, cpu.rsp]).toEqual([0x9100n, 0x31000n]);
  });
  it('a segment that an outer level may not use becomes null, and keeps its base', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    Object.assign(cpu.gs, { selector: 0x10, attributes: 0xc93, base: 0x12345000n });
    push(machine, 8, 0x2b, 0x30000, 2, 0x33, 0x9000);
    run(machine, 0x48, 0xcf);
    expect([cpu.gs.selector, cpu.gs.attributes, cpu.gs.base, cpu.fs.selector]).toEqual([0, Attribute.unusable, 0x12345000n, 0x2b]);
  });
  it('NT in long mode is #GP(0)', () => {
    const machine = longMode(createMachine());
    machine.cpu.rflagsSystem |= NT;
    expect(faultOf(machine, 0x48, 0xcf)).toEqual(fault(13));
  });
  it('a stack of 16 bits keeps the upper half of ESP', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putDescriptor(machine, GDT, 0x28, 0, 0xffff, 0xf3, 0);
    cpu.rsp = BigInt(STACK0 - 0x100);
    push(machine, 4, 0x2b, 0x12345678, 2, 0x23, 0x9000);
    run(machine, 0xcf);
    expect(cpu.rsp).toBe(BigInt(STACK0 & 0xffff0000 | 0x5678) - 0x10000n);
  });
  it('virtual-8086 below IOPL 3 is #GP(0) without VME', () => {
    const machine = virtual8086(createMachine(), 2);
    expect(faultOf(machine, 0xcf)).toEqual(fault(13));
    machine.cpu.cr4 = 1n;
    push(machine, 2, 0x302, 0x800, 0x50);
    expect(faultOf(machine, 0xcf)).toEqual(fault(13));
  });
});

it('a far return to an inner level is #GP(selector)', () => {
  const machine = protectedMode(createMachine(), 3);
  push(machine, 4, Sel.code32, 0x9000);
  expect(faultOf(machine, 0xcb)).toEqual(fault(13, Sel.code32));
});

it('TSS is where the inner stack comes from', () => {
  const machine = protectedMode(createMachine(), 3);
  callGate(machine, Sel.gate, Sel.code32, 0x9000, 0xec);
  machine.cpu.view.setUint16(RAM + TSS + 8, 0x2b, true);
  expect(faultOf(machine, 0x9a, 0, 0, 0, 0, Sel.gate | 3, 0)).toEqual(fault(10, 0x28));
});
