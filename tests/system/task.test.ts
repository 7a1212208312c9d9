import { describe, expect, it } from 'vitest';
import { NT, TF, VM } from '../../src/cpu/flags.ts';
import { RAM } from '../../src/cpu/state.ts';
import { deliverException, deliverInterrupt } from '../../src/system/deliver.ts';
import { CODE, createMachine, Done, fault, faultOf, GDT, protectedMode, putDescriptor, run, Sel, STACK0, TSS, TSS2 } from './machine.ts';
import type { TestMachine } from './machine.ts';
import { putGate } from './machine.ts';
import { GuestFault } from '../../src/system/machine.ts';

interface Task { cs?: number; ss?: number; ds?: number; es?: number; fs?: number; gs?: number; ip?: number; flags?: number; sp?: number; ldt?: number; trap?: number }
function putTask(machine: TestMachine, base: number, { cs = Sel.code32, ss = Sel.data, ds = Sel.data, es = Sel.data, fs = 0, gs = 0, ip = 0xa000, flags = 2, sp = 0x25000, ldt = 0, trap = 0 }: Task): void {
  const { view } = machine.cpu, put = (place: number, value: number) => view.setUint32(RAM + base + place, value, true);
  put(0x1c, 0x5000);
  put(0x20, ip);
  put(0x24, flags);
  for (let index = 0; index < 8; index++) put(0x28 + 4 * index, 0x1000 + index);
  put(0x38, sp);
  [es, cs, ss, ds, fs, gs].forEach((selector, index) => put(0x48 + 4 * index, selector));
  put(0x60, ldt);
  put(0x64, trap);
}
const busy = (machine: TestMachine, selector: number): boolean => (machine.dword(GDT + (selector & ~7) + 4) & 0x200) !== 0;

describe('a task switch', () => {
  it('JMP saves the old task, clears its busy bit and loads the new one', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putTask(machine, TSS2, {});
    cpu.rax = 0xdeadbeefn;
    expect(run(machine, 0xea, 0, 0, 0, 0, Sel.task2, 0)).toBe(Done.attention);
    expect([machine.dword(TSS + 0x20), machine.dword(TSS + 0x28), machine.word(TSS + 0x4c), machine.dword(TSS + 0x38)]).toEqual([CODE + 7, 0xdeadbeef, Sel.code32, STACK0 - 0x100]);
    expect([cpu.rip, cpu.rax, cpu.rsp, cpu.rdi, cpu.cs.selector, cpu.ss.selector]).toEqual([0xa000n, 0x1000n, 0x25000n, 0x1007n, Sel.code32, Sel.data]);
    expect([cpu.tr.selector, cpu.tr.base, cpu.tr.attributes & 0xf, cpu.cr0 & 8, cpu.rflagsSystem & NT]).toEqual([Sel.task2, BigInt(TSS2), 11, 8, 0]);
    expect([busy(machine, Sel.task), busy(machine, Sel.task2)]).toEqual([false, true]);
  });
  it('CALL links back and nests; IRET returns and clears NT in the task it leaves', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putTask(machine, TSS2, {});
    run(machine, 0x9a, 0, 0, 0, 0, Sel.task2, 0);
    expect([machine.word(TSS2), cpu.rflagsSystem & NT, busy(machine, Sel.task), busy(machine, Sel.task2)]).toEqual([Sel.task, NT, true, true]);
    run(machine, 0xcf);
    expect([cpu.rip, cpu.tr.selector, cpu.rsp, cpu.rflagsSystem & NT]).toEqual([BigInt(CODE + 7), Sel.task, BigInt(STACK0 - 0x100), 0]);
    expect([busy(machine, Sel.task), busy(machine, Sel.task2), machine.dword(TSS2 + 0x20), machine.dword(TSS2 + 0x24) & NT]).toEqual([true, false, 0xa001, 0]);
  });
  it('a task gate in the IDT pushes the error code on the new stack', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    putTask(machine, TSS2, {});
    putGate(machine, 13, Sel.task2, 0, 0x85, false);
    expect(deliverException(machine, 13, 0x1234, 0n)).toBe('delivered');
    expect([cpu.rip, cpu.cpl, cpu.rsp, machine.dword(0x24ffc), cpu.rflagsSystem & NT]).toEqual([0xa000n, 0, 0x24ffcn, 0x1234, NT]);
    expect([machine.dword(TSS + 0x20), machine.dword(TSS + 0x24) & 0x10000]).toEqual([CODE, 0x10000]);
  });
  it('to a virtual-8086 task', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putTask(machine, TSS2, { cs: 0x900, ss: 0x3000, ds: 0x1234, flags: VM | 0x202, ip: 0x10, sp: 0x500 });
    run(machine, 0xea, 0, 0, 0, 0, Sel.task2, 0);
    expect([cpu.cpl, cpu.cs.base, cpu.ds.base, cpu.ss.limit, cpu.rip]).toEqual([3, 0x9000n, 0x12340n, 0xffff, 0x10n]);
  });
  it('a 16-bit TSS', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine, { view } = cpu;
    putDescriptor(machine, GDT, Sel.task2, TSS2, 0x2b, 0x81);
    [0, 0, 0, 0, 0, 0, 0, 0xa000, 2, 0x11, 0x22, 0x33, 0x44, 0x5000, 0x66, 0x77, 0x88, Sel.data, Sel.code32, Sel.data, Sel.data, 0]
      .forEach((value, index) => view.setUint16(RAM + TSS2 + 2 * index, value, true));
    cpu.rax = 0x12340000n;
    run(machine, 0x9a, 0, 0, 0, 0, Sel.task2, 0);
    expect([cpu.rip, cpu.rax, cpu.rsp & 0xffffn, cpu.tr.attributes & 0xf]).toEqual([0xa000n, 0x12340011n, 0x5000n, 3]);
    run(machine, 0xcf);
    expect([cpu.rip, cpu.rax]).toEqual([BigInt(CODE + 7), 0x12340000n]);
  });
  it('TF and the trap bit ask for attention; local breakpoints go', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putTask(machine, TSS2, { trap: 1, flags: 2 | TF });
    cpu.dr7 = 0x4ffn;
    run(machine, 0xea, 0, 0, 0, 0, Sel.task2, 0);
    expect([cpu.pendingDebug, cpu.dr7, cpu.rflagsSystem & TF]).toEqual([0x8000n, 0x4aan, TF]);
  });
});

describe('faults before the switch', () => {
  it('busy, absent, of no type, too short, of a level too low', () => {
    const machine = protectedMode(createMachine());
    putTask(machine, TSS2, {});
    const jump = (selector: number) => faultOf(machine, 0xea, 0, 0, 0, 0, selector, 0);
    expect(jump(Sel.task)).toEqual(fault(13, Sel.task));
    putDescriptor(machine, GDT, Sel.task2, TSS2, 0x67, 0x09);
    expect(jump(Sel.task2)).toEqual(fault(11, Sel.task2));
    putDescriptor(machine, GDT, Sel.task2, TSS2, 0x66, 0x89);
    expect(jump(Sel.task2)).toEqual(fault(10, Sel.task2));
    expect(jump(Sel.task2 | 3)).toEqual(fault(13, Sel.task2));
  });
  it('IRET with a back link that is no busy TSS is #TS', () => {
    const machine = protectedMode(createMachine());
    machine.cpu.rflagsSystem |= NT;
    machine.cpu.view.setUint16(RAM + TSS, Sel.task2, true);
    expect(faultOf(machine, 0xcf)).toEqual(fault(10, Sel.task2));
  });
});

describe('faults in the new task', () => {
  const switchTo = (task: Task): { vector: number; errorCode: number; machine: TestMachine } => {
    const machine = protectedMode(createMachine());
    putTask(machine, TSS2, task);
    try {
      run(machine, 0xea, 0, 0, 0, 0, Sel.task2, 0);
    } catch (raised) {
      if (raised instanceof GuestFault) return { vector: raised.vector, errorCode: raised.errorCode, machine };
      throw raised;
    }
    throw new Error('no fault');
  };
  it.each([
    ['a null CS', { cs: 0 }, 10, 0], ['a data segment as CS', { cs: Sel.data }, 10, Sel.data], ['a null SS', { ss: 0 }, 10, 0],
    ['SS of another level', { ss: Sel.userData }, 10, 0x28], ['an LDT that is none', { ldt: Sel.data }, 10, Sel.data],
    ['DS beyond the table', { ds: 0x80 }, 10, 0x80], ['EIP beyond the limit', { cs: Sel.code16, ip: 0x10000 }, 13, 0],
  ])('%s', (_, task, vector, errorCode) => {
    const got = switchTo(task);
    expect([got.vector, got.errorCode]).toEqual([vector, errorCode]);
    expect([got.machine.cpu.tr.selector, got.machine.cpu.rax]).toEqual([Sel.task2, 0x1000n]);
  });
  it('is delivered there when an interrupt made the switch', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    putTask(machine, TSS2, { ss: 0 });
    putGate(machine, 0x20, Sel.task2, 0, 0x85, false);
    putTask(machine, 0x4800, { ip: 0xb000, sp: 0x26000 });
    putDescriptor(machine, GDT, Sel.gate, 0x4800, 0x67, 0x89);
    putGate(machine, 10, Sel.gate, 0, 0x85, false);
    expect(deliverInterrupt(machine, 0x20, 'external')).toBe('delivered');
    expect([cpu.rip, cpu.tr.selector, machine.dword(0x25ffc), machine.word(0x4800)]).toEqual([0xb000n, Sel.gate, 1, Sel.task2]);
  });
});

