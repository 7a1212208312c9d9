import { describe, expect, it } from 'vitest';
import { arithmeticFlags, ZF } from '../../src/cpu/flags.ts';
import { attributesOf, baseOf, limitOf, packDescriptor } from '../../src/cpu/segments.ts';
import { Attribute, RAM } from '../../src/cpu/state.ts';
import { linearOf } from '../../src/system/operand.ts';
import { GuestFault } from '../../src/system/machine.ts';
import { createMachine, Done, fault, faultOf, GDT, LDT, longMode, protectedMode, putDescriptor, realMode, run, Sel, STACK0 } from './machine.ts';
import type { TestMachine } from './machine.ts';

const load = (machine: TestMachine, register: number, selector: number): Done => {
  machine.cpu.rax = BigInt(selector);
  return run(machine, 0x8e, 0xc0 | register << 3);
};
const loadFault = (machine: TestMachine, register: number, selector: number) => {
  machine.cpu.rax = BigInt(selector);
  return faultOf(machine, 0x8e, 0xc0 | register << 3);
};
const zero = (machine: TestMachine): boolean => (arithmeticFlags(machine.cpu) & ZF) !== 0;

it('descriptors pack and parse', () => {
  for (const [base, limit, attributes] of [[0x12345678, 0xfffff, 0x293], [0xff000000, 0xffffffff, 0xc9b], [0, 0xfff, 0x893]] as const) {
    const { low, high } = packDescriptor(base, limit, attributes);
    expect([baseOf(low, high), limitOf(low, high), attributesOf(high)]).toEqual([base, limit, attributes]);
  }
});

describe('MOV to a segment register', () => {
  it('real mode keeps the limit', () => {
    const machine = realMode(createMachine()), { cpu } = machine;
    cpu.ds.limit = 0xffffffff;
    load(machine, 3, 0x1234);
    expect([cpu.ds.base, cpu.ds.limit, cpu.ds.attributes]).toEqual([0x12340n, 0xffffffff, 0x93]);
  });
  it('data: null, beyond the table, execute-only code, a level too low, absent', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    load(machine, 3, 3);
    expect([cpu.ds.selector, cpu.ds.attributes]).toEqual([3, Attribute.unusable]);
    expect(loadFault(machine, 3, 0x83)).toEqual(fault(13, 0x80));
    expect(loadFault(machine, 3, 0x0f)).toEqual(fault(13, 0x0c));
    expect(loadFault(machine, 3, Sel.data)).toEqual(fault(13, Sel.data));
    expect(loadFault(machine, 3, Sel.task)).toEqual(fault(13, Sel.task));
    load(machine, 3, Sel.conforming);
    putDescriptor(machine, GDT, 0x20, 0, 0xfffff, 0xf9, 0xc);
    expect(loadFault(machine, 3, Sel.user32)).toEqual(fault(13, 0x20));
    putDescriptor(machine, GDT, 0x28, 0, 0xfffff, 0x73, 0xc);
    expect(loadFault(machine, 3, Sel.userData)).toEqual(fault(11, 0x28));
  });
  it('SS: level, type, presence, null; then a shadow', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    expect(loadFault(machine, 2, 0)).toEqual(fault(13));
    expect(loadFault(machine, 2, Sel.userData)).toEqual(fault(13, 0x28));
    expect(loadFault(machine, 2, Sel.data | 1)).toEqual(fault(13, Sel.data));
    expect(loadFault(machine, 2, Sel.code32)).toEqual(fault(13, Sel.code32));
    putDescriptor(machine, GDT, 0x10, 0x100, 0xfffff, 0x13, 0xc);
    expect(loadFault(machine, 2, Sel.data)).toEqual(fault(12, Sel.data));
    putDescriptor(machine, GDT, 0x10, 0x100, 0xfffff, 0x92, 0xc);
    expect(load(machine, 2, Sel.data)).toBe(Done.attention);
    expect([cpu.ss.base, cpu.interruptShadow, machine.dword(GDT + 0x14) & 0x100]).toEqual([0x100n, 2, 0x100]);
    const long = longMode(createMachine());
    load(long, 2, 0);
    expect(loadFault(long, 2, 3)).toEqual(fault(13));
    expect(load(long, 3, Sel.data)).toBe(Done.next);
  });
  it('through the LDT', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putDescriptor(machine, GDT, Sel.ldt, LDT, 0xf, 0x82);
    putDescriptor(machine, LDT, 8, 0x5000, 0xfff, 0x93);
    expect(loadFault(machine, 3, 0xc)).toEqual(fault(13, 0xc));
    cpu.rax = BigInt(Sel.ldt);
    run(machine, 0x0f, 0x00, 0xd0);
    expect([cpu.ldtr.base, cpu.ldtr.limit]).toEqual([BigInt(LDT), 15]);
    load(machine, 3, 0xc);
    expect([cpu.ds.base, cpu.ds.limit]).toEqual([0x5000n, 0xfff]);
    expect(loadFault(machine, 3, 0x14)).toEqual(fault(13, 0x14));
  });
  it('POP SS takes the stack pointer with it', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    cpu.rsp = BigInt(STACK0 - 4);
    cpu.view.setUint32(RAM + STACK0 - 4, 0xffff0010, true);
    expect(run(machine, 0x17)).toBe(Done.attention);
    expect([cpu.rsp, cpu.ss.selector]).toEqual([BigInt(STACK0), 0x10]);
    run(machine, 0x0e);
    expect([cpu.rsp, machine.dword(STACK0 - 4)]).toEqual([BigInt(STACK0 - 4), Sel.code32]);
  });
  it('LES, LSS, MOV from Sreg', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    machine.at(0x7000, 0x78, 0x56, 0x34, 0x12, Sel.data, 0);
    cpu.rbx = 0x7000n;
    run(machine, 0xc4, 0x03);
    expect([cpu.rax, cpu.es.selector]).toEqual([0x12345678n, Sel.data]);
    cpu.rcx = 0xffffffffn;
    run(machine, 0x8c, 0xc1);
    expect(cpu.rcx).toBe(BigInt(Sel.data));
    run(machine, 0x66, 0x8c, 0xc8);
    expect(cpu.rax).toBe(0x12340018n);
  });
});

describe('tables', () => {
  it('LGDT and SGDT in 32 and 64 bits', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    machine.at(0x7000, 0x34, 0x12, 0x78, 0x56, 0x34, 0x12);
    cpu.rbx = 0x7000n;
    run(machine, 0x0f, 0x01, 0x13);
    expect([cpu.gdtrBase, cpu.gdtrLimit]).toEqual([0x12345678n, 0x1234]);
    run(machine, 0x66, 0x0f, 0x01, 0x1b);
    expect([cpu.idtrBase, cpu.idtrLimit]).toEqual([0x345678n, 0x1234]);
    const long = longMode(createMachine());
    long.at(0x7000, 0xff, 0x0f, 0, 0, 0, 0, 0, 0x80, 0xff, 0xff);
    long.cpu.rbx = 0x7000n;
    run(long, 0x0f, 0x01, 0x1b);
    expect(long.cpu.idtrBase).toBe(0xffff800000000000n);
    long.at(0x7009, 0x7f);
    expect(faultOf(long, 0x0f, 0x01, 0x13)).toEqual(fault(13));
    long.cpu.rbx = 0x7100n;
    run(long, 0x0f, 0x01, 0x0b);
    expect([long.word(0x7100), long.qword(0x7102)]).toEqual([0xfff, 0xffff800000000000n]);
  });
  it('bases are canonical for the widest paging of the processor', () => {
    const load57 = (model: string) => {
      const machine = longMode(createMachine(model));
      machine.at(0x7000, 0xff, 0, 0, 0, 0, 0, 0, 0, 0x80, 0);
      machine.cpu.rbx = 0x7000n;
      return machine;
    };
    run(load57('EPYC-Genoa'), 0x0f, 0x01, 0x13);
    expect(faultOf(load57('EPYC-Milan'), 0x0f, 0x01, 0x13)).toEqual(fault(13));
  });
  it('LTR marks the TSS busy; UMIP hides it from level 3', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    cpu.rax = BigInt(Sel.task2);
    expect(faultOf(machine, 0x0f, 0x00, 0xd0)).toEqual(fault(13, Sel.task2));
    run(machine, 0x0f, 0x00, 0xd8);
    expect([cpu.tr.selector, cpu.tr.attributes & 0xf, machine.dword(GDT + Sel.task2 + 4) & 0x200]).toEqual([Sel.task2, 11, 0x200]);
    cpu.rax = BigInt(Sel.task2);
    expect(faultOf(machine, 0x0f, 0x00, 0xd8)).toEqual(fault(13, Sel.task2));
    const user = longMode(createMachine(), 3);
    run(user, 0x0f, 0x00, 0xc8);
    expect(user.cpu.rax).toBe(BigInt(Sel.task));
    user.cpu.cr4 |= 0x800n;
    expect(faultOf(user, 0x0f, 0x00, 0xc8)).toEqual(fault(13));
    expect(faultOf(user, 0x0f, 0x01, 0xe0)).toEqual(fault(13));
    expect(faultOf(user, 0x0f, 0x01, 0x13)).toEqual(fault(13));
  });
  it('LAR, LSL, VERR, VERW, ARPL', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    const ask = (selector: number, ...bytes: number[]): boolean => {
      cpu.rax = BigInt(selector);
      cpu.rcx = 0n;
      run(machine, ...bytes);
      return zero(machine);
    };
    expect([ask(Sel.userData, 0x0f, 0x02, 0xc8), cpu.rcx]).toEqual([true, 0xcff300n]);
    expect([ask(Sel.userData, 0x0f, 0x03, 0xc8), cpu.rcx]).toEqual([true, 0xffffffffn]);
    expect([ask(Sel.data, 0x0f, 0x02, 0xc8), cpu.rcx]).toEqual([false, 0n]);
    expect([ask(0, 0x0f, 0x03, 0xc8), ask(0x88, 0x0f, 0x03, 0xc8)]).toEqual([false, false]);
    expect([ask(Sel.userData, 0x0f, 0x00, 0xe0), ask(Sel.userData, 0x0f, 0x00, 0xe8)]).toEqual([true, true]);
    expect([ask(Sel.user32, 0x0f, 0x00, 0xe0), ask(Sel.user32, 0x0f, 0x00, 0xe8), ask(Sel.conforming, 0x0f, 0x00, 0xe0)]).toEqual([true, false, true]);
    cpu.rcx = 0x12n;
    cpu.rax = 3n;
    run(machine, 0x63, 0xc1);
    expect([zero(machine), cpu.rcx]).toEqual([true, 0x13n]);
    expect(faultOf(realMode(createMachine()), 0x0f, 0x02, 0xc8)).toEqual(fault(6));
  });
});

describe('linearOf', () => {
  const vectorOf = (work: () => bigint): bigint | number => {
    try {
      return work();
    } catch (raised) {
      if (raised instanceof GuestFault) return raised.vector;
      throw raised;
    }
  };
  it('64-bit: bases of FS and GS only, canonical, #SS for the stack', () => {
    const { cpu } = longMode(createMachine());
    cpu.ds.base = 0x1000n;
    cpu.fs.base = 0x1000n;
    expect([linearOf(cpu, 3, 8n, 8, false), linearOf(cpu, 4, 8n, 8, true)]).toEqual([8n, 0x1008n]);
    expect([vectorOf(() => linearOf(cpu, 3, 0x800000000000n, 1, false)), vectorOf(() => linearOf(cpu, 2, 0x7fffffffffffn, 2, false))]).toEqual([13, 12]);
    cpu.cr4 |= 0x1000n;
    expect(linearOf(cpu, 3, 0x800000000000n, 1, false)).toBe(0x800000000000n);
  });
  it('legacy: limits, expand-down, types', () => {
    const { cpu } = protectedMode(createMachine());
    Object.assign(cpu.ds, { base: 0xfffff000n, limit: 0xfff, attributes: 0x493 });
    expect([linearOf(cpu, 3, 0xffcn, 4, true), vectorOf(() => linearOf(cpu, 3, 0xffdn, 4, true))]).toEqual([0xfffffffcn, 13]);
    cpu.ds.attributes = 0x497;
    expect([vectorOf(() => linearOf(cpu, 3, 0xfffn, 1, true)), linearOf(cpu, 3, 0x1000n, 1, true), vectorOf(() => linearOf(cpu, 3, 0xffffffffn, 2, true))]).toEqual([13, 0n, 13]);
    cpu.ds.attributes = 0x97;
    expect([linearOf(cpu, 3, 0xffffn, 1, true), vectorOf(() => linearOf(cpu, 3, 0x10000n, 1, true))]).toEqual([0xefffn, 13]);
    cpu.ds.attributes = 0x491;
    expect(vectorOf(() => linearOf(cpu, 3, 0x1000n, 1, true))).toBe(13);
    cpu.ss.attributes = Attribute.unusable;
    expect(vectorOf(() => linearOf(cpu, 2, 0n, 1, false))).toBe(12);
  });
});
