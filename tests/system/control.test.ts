import { describe, expect, it } from 'vitest';
import { CR0, CR4, EFER } from '../../src/cpu/controls.ts';
import { RAM } from '../../src/cpu/state.ts';
import { Msr } from '../../src/cpu/msrs.ts';
import { brokenCheck } from '../../src/transitions/controls.ts';
import { controlState } from '../../src/system/control.ts';
import { readMsr, writeMsr } from '../../src/system/msrs.ts';
import { GuestFault } from '../../src/system/machine.ts';
import { createMachine, Done, fault, faultOf, longMode, protectedMode, realMode, run } from './machine.ts';
import type { TestMachine } from './machine.ts';

const toControl = (number: number) => [0x0f, 0x22, 0xc0 | number << 3];
function move(machine: TestMachine, number: number, value: bigint | number): Done {
  machine.cpu.rax = BigInt(value);
  return run(machine, ...toControl(number));
}
function moveFault(machine: TestMachine, number: number, value: bigint | number) {
  machine.cpu.rax = BigInt(value);
  return faultOf(machine, ...toControl(number));
}
const wrmsr = (machine: TestMachine, index: number, value: bigint): number => {
  try {
    writeMsr(machine, index, value);
    return -1;
  } catch (raised) {
    if (raised instanceof GuestFault) return raised.vector;
    throw raised;
  }
};

describe('CR0', () => {
  it('into protected mode and long mode, the way kernels go', () => {
    const machine = realMode(createMachine()), { cpu } = machine;
    expect(move(machine, 0, 0x11)).toBe(Done.moved);
    expect(cpu.cr0).toBe(0x11);
    move(machine, 4, CR4.PAE);
    expect(wrmsr(machine, Msr.EFER, BigInt(EFER.LME))).toBe(-1);
    expect(cpu.efer).toBe(BigInt(EFER.LME));
    move(machine, 3, 0x5000);
    move(machine, 0, 0x80000011n);
    expect(cpu.efer).toBe(BigInt(EFER.LME | EFER.LMA));
    expect(wrmsr(machine, Msr.EFER, 0n)).toBe(13);
    expect(moveFault(machine, 4, 0)).toEqual(fault(13));
    expect(moveFault(machine, 4, CR4.PAE | CR4.LA57)).toEqual(fault(13));
    move(machine, 0, 0x11n);
    expect(cpu.efer).toBe(BigInt(EFER.LME));
  });
  it('illegal combinations', () => {
    const machine = realMode(createMachine());
    expect(moveFault(machine, 0, 0x80000000n)).toEqual(fault(13));
    expect(moveFault(machine, 0, 0x20000000n)).toEqual(fault(13));
    move(machine, 0, 0x60000000n);
    expect(machine.cpu.cr0).toBe(0x60000010);
    machine.cpu.efer = BigInt(EFER.LME);
    expect(moveFault(machine, 0, 0x80000001n)).toEqual(fault(13));
    const long = longMode(createMachine());
    expect(moveFault(long, 0, 0x180000011n)).toEqual(fault(13));
    expect(moveFault(long, 0, 0x11n)).toEqual(fault(13));
    long.cpu.cs.attributes = 0xa9b;
    expect(brokenCheck({ before: { ...controlState(long.cpu), cr0: 1n }, after: controlState(long.cpu) }, long.capability)?.id).toBe('cr0.paging-on-in-64-bit-code');
  });
  it('LMSW cannot clear PE; CLTS; SMSW; level 3', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    cpu.rax = 0xen;
    run(machine, 0x0f, 0x01, 0xf0);
    expect(cpu.cr0).toBe(0x1f);
    run(machine, 0x0f, 0x06);
    run(machine, 0x0f, 0x01, 0xe3);
    expect([cpu.cr0, cpu.rbx]).toEqual([0x17, 0x17n]);
    const user = protectedMode(createMachine(), 3);
    expect(moveFault(user, 0, 0x11)).toEqual(fault(13));
    expect(faultOf(user, 0x0f, 0x06)).toEqual(fault(13));
      });
});

describe('CR3, CR4, CR8', () => {
  it('reserved bits of CR3 follow the physical address width; PCIDE and its bit 63', () => {
    const machine = longMode(createMachine('EPYC-Milan,+pcid')), { cpu } = machine;
    const bits = BigInt(machine.capability.number('physical-address-bits'));
    expect(moveFault(machine, 3, 1n << bits)).toEqual(fault(13));
    expect(moveFault(machine, 3, 1n << 63n)).toEqual(fault(13));
    move(machine, 3, 0x5001n);
    expect(moveFault(machine, 4, CR4.PAE | CR4.PCIDE)).toEqual(fault(13));
    move(machine, 3, 0x5000n);
    move(machine, 4, CR4.PAE | CR4.PCIDE);
    move(machine, 3, 1n << 63n | 0x6001n);
    expect(cpu.cr3).toBe(0x6001n);
    expect(moveFault(protectedMode(createMachine('EPYC-Milan,+pcid')), 4, CR4.PCIDE)).toEqual(fault(13));
  });
  it('bits that the model does not have', () => {
    const machine = longMode(createMachine('EPYC-Milan'));
    expect(moveFault(machine, 4, CR4.PAE | CR4.LA57)).toEqual(fault(13));
    expect(moveFault(machine, 4, CR4.PAE | CR4.VMXE)).toEqual(fault(13));
    expect(moveFault(machine, 4, BigInt(CR4.PAE) | 1n << 40n)).toEqual(fault(13));
    move(machine, 4, CR4.PAE | CR4.OSFXSR | CR4.SMEP | CR4.SMAP | CR4.FSGSBASE | CR4.OSXSAVE | CR4.UMIP);
    expect(moveFault(longMode(createMachine('EPYC-Milan,-smep')), 4, CR4.PAE | CR4.SMEP)).toEqual(fault(13));
  });
  it('PAE pointers are loaded with their reserved bits checked', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    cpu.view.setBigUint64(RAM + 0x5000, 0x6001n, true);
    cpu.view.setBigUint64(RAM + 0x5008, 0x7000n | 0x1e6n, true);
    move(machine, 4, CR4.PAE);
    move(machine, 3, 0x5000);
    move(machine, 0, CR0.PE | CR0.ET | CR0.PG);
    expect([cpu.pdpte0, cpu.pdpte1]).toEqual([0x6001n, 0x71e6n]);
    cpu.view.setBigUint64(RAM + 0x5008, 0x7003n, true);
    expect(moveFault(machine, 3, 0x5000)).toEqual(fault(13));
    cpu.view.setBigUint64(RAM + 0x5008, 1n << 60n, true);
    move(machine, 3, 0x5000);
  });
  it('CR8 has four bits', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    cpu.rax = 0x10n;
    expect(faultOf(machine, 0x44, 0x0f, 0x22, 0xc0)).toEqual(fault(13));
    cpu.rax = 9n;
    run(machine, 0x44, 0x0f, 0x22, 0xc0);
    run(machine, 0x44, 0x0f, 0x20, 0xc1);
    expect(cpu.rcx).toBe(9n);
  });
});

describe('debug registers', () => {
  it('fixed bits, aliases, general detect', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    cpu.rax = 0n;
    run(machine, 0x0f, 0x23, 0xf0);
    expect(cpu.dr6).toBe(0xffff0ff0n);
    cpu.rax = 0xffffffffn;
    run(machine, 0x0f, 0x23, 0xe0);
    expect(cpu.dr6).toBe(0xffffefffn);
    cpu.rax = 1n << 32n;
    expect(faultOf(machine, 0x0f, 0x23, 0xf8)).toEqual(fault(13));
    cpu.cr4 |= 8n;
    expect(faultOf(machine, 0x0f, 0x21, 0xe0)).toEqual(fault(6));
    cpu.rax = 0x2000n;
    run(machine, 0x0f, 0x23, 0xf8);
    expect(cpu.dr7).toBe(0x2400n);
    expect(faultOf(machine, 0x0f, 0x21, 0xc0)).toEqual(fault(1, 0, 0x2000n));
  });
});

describe('MSRs', () => {
  it('unknown, of the other maker, without the feature: #GP; at level 3 too', () => {
    const machine = longMode(createMachine());
    expect([wrmsr(machine, 0x12345, 0n), wrmsr(machine, Msr.MISC_ENABLE, 0n), wrmsr(longMode(createMachine('EPYC-Milan,-tsc-adjust')), Msr.TSC_ADJUST, 0n)]).toEqual([13, 13, 13]);
    expect(wrmsr(longMode(createMachine('Skylake-Server')), Msr.HWCR, 0n)).toBe(13);
    const user = longMode(createMachine(), 3);
    user.cpu.rcx = 0x10n;
    expect(faultOf(user, 0x0f, 0x32)).toEqual(fault(13));
    expect(faultOf(user, 0x0f, 0x30)).toEqual(fault(13));
  });
  it('RDMSR and WRMSR carry EDX:EAX', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    cpu.rcx = BigInt(Msr.LSTAR);
    cpu.rax = 0x81000000n;
    cpu.rdx = 0xffffffffn;
    run(machine, 0x0f, 0x30);
    expect(cpu.lstar).toBe(0xffffffff81000000n);
    cpu.rax = cpu.rdx = 0xffffffffffffffffn;
    run(machine, 0x0f, 0x32);
    expect([cpu.rax, cpu.rdx]).toEqual([0x81000000n, 0xffffffffn]);
  });
  it('canonical addresses, memory types, reserved bits', () => {
    const machine = longMode(createMachine());
    const bad: [number, bigint][] = [
      [Msr.LSTAR, 1n << 63n], [Msr.FS_BASE, 1n << 47n], [Msr.PAT, 2n], [Msr.MTRR_DEF_TYPE, 2n], [Msr.MTRR_PHYS_BASE0, 0x100n], [Msr.EFER, 1n << 1n],
      [Msr.APIC_BASE, 1n], [Msr.APIC_BASE, 0xfee00400n], [Msr.MTRR_CAP, 0n], [Msr.MC0_CTL, 1n], [Msr.MC0_CTL + 1, 1n],
    ];
    for (const [index, value] of bad) expect(wrmsr(machine, index, value), index.toString(16)).toBe(13);
    for (const row of [[Msr.PAT, 0x0007040600070406n], [Msr.MTRR_FIX_64K, 0x0606060606060606n], [Msr.KERNEL_GS_BASE, 0xffff800000000000n], [Msr.TSC_AUX, 5n]] as const) {
      expect(wrmsr(machine, row[0], row[1])).toBe(-1);
      expect(readMsr(machine, row[0])).toBe(row[1]);
    }
  });
  it('TSC and TSC_ADJUST move together', () => {
    const machine = longMode(createMachine('Skylake-Server,+tsc-adjust')), { cpu } = machine;
    cpu.icount = 100n;
    writeMsr(machine, Msr.TSC, 1000n);
    expect([readMsr(machine, Msr.TSC), readMsr(machine, Msr.TSC_ADJUST)]).toEqual([1000n, 900n]);
    writeMsr(machine, Msr.TSC_ADJUST, 0n);
    expect(readMsr(machine, Msr.TSC)).toBe(100n);
  });
  it('x2APIC: the state machine, and registers only in that mode', () => {
    const machine = longMode(createMachine('EPYC-Milan', true, ['x2apic']));
    machine.apicRead = (register) => BigInt(register);
    expect(wrmsr(machine, Msr.APIC_BASE, 0xfee00c00n)).toBe(-1);
    expect(readMsr(machine, 0x802)).toBe(0x802n);
    expect(wrmsr(machine, Msr.APIC_BASE, 0xfee00800n)).toBe(13);
    expect(wrmsr(machine, Msr.APIC_BASE, 0xfee00000n)).toBe(-1);
    expect(wrmsr(machine, Msr.APIC_BASE, 0xfee00c00n)).toBe(13);
    expect(() => readMsr(machine, 0x802)).toThrow();
  });
});

describe('XSETBV', () => {
  it('needs OSXSAVE, x87, and AVX with SSE', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    expect(faultOf(machine, 0x0f, 0x01, 0xd1)).toEqual(fault(6));
    cpu.cr4 |= BigInt(CR4.OSXSAVE);
    cpu.rcx = 0n;
    for (const value of [0n, 5n, 0x11n]) {
      cpu.rax = value;
      expect(faultOf(machine, 0x0f, 0x01, 0xd1)).toEqual(fault(13));
    }
    cpu.rax = 1n;
    run(machine, 0x0f, 0x01, 0xd1);
    run(machine, 0x0f, 0x01, 0xd0);
    expect([cpu.rax, cpu.rdx]).toEqual([1n, 0n]);
  });
});
