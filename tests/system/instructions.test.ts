import { describe, expect, it } from 'vitest';
import { CR4, EFER } from '../../src/cpu/controls.ts';
import { arithmeticFlags, IF, IOPL, TF, VIF, VIP } from '../../src/cpu/flags.ts';
import { Activity, RAM } from '../../src/cpu/state.ts';
import { createMachine, Done, fault, faultOf, longMode, protectedMode, putGate, realMode, run, Sel, STACK0, TSS, virtual8086, CODE } from './machine.ts';

describe('flags', () => {
  it('PUSHF and POPF below IOPL leave IF and IOPL alone', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    cpu.rflagsSystem = 0x10202;
    run(machine, 0x9c);
    const sp = Number(cpu.rsp);
    expect(machine.dword(sp) & 0x3f200).toBe(0x200);
    cpu.view.setUint32(RAM + sp, 0x3c0400, true);
    expect(run(machine, 0x9d)).toBe(Done.moved);
    expect(cpu.rflagsSystem & 0x3ff700).toBe(0x240600);
  });
  it('POPF with TF, or letting a waiting interrupt in, asks for attention', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    cpu.rsp -= 8n;
    cpu.view.setBigUint64(RAM + Number(cpu.rsp), BigInt(TF | 2), true);
    expect(run(machine, 0x9d)).toBe(Done.attention);
  });
  it('virtual-8086: IOPL 3, VME, neither', () => {
    const machine = virtual8086(createMachine(), 0), { cpu } = machine;
    expect([faultOf(machine, 0x9c), faultOf(machine, 0x9d), faultOf(machine, 0xfa), faultOf(machine, 0xfb)]).toEqual([fault(13), fault(13), fault(13), fault(13)]);
    cpu.cr4 = 1n;
    cpu.rflagsSystem |= VIF;
    run(machine, 0x9c);
    expect(machine.word(0x30ffe) & 0x3200).toBe(0x3200);
    run(machine, 0xfa);
    expect(cpu.rflagsSystem & (VIF | IF)).toBe(IF);
    run(machine, 0x9d);
    expect(cpu.rflagsSystem & (VIF | IF | IOPL)).toBe(VIF | IF);
    cpu.rflagsSystem = cpu.rflagsSystem & ~VIF | VIP;
    expect(faultOf(machine, 0xfb)).toEqual(fault(13));
    expect(faultOf(machine, 0x66, 0x9c)).toEqual(fault(13));
  });
  it('CLI and STI by IOPL and PVI; STI casts a shadow only when it sets IF', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    expect([run(machine, 0xfb), cpu.interruptShadow, cpu.rflagsSystem & IF]).toEqual([Done.attention, 1, IF]);
    cpu.interruptShadow = 0;
    expect([run(machine, 0xfb), cpu.interruptShadow]).toEqual([Done.next, 0]);
    const user = protectedMode(createMachine(), 3);
    expect(faultOf(user, 0xfa)).toEqual(fault(13));
    user.cpu.cr4 = 2n;
    run(user, 0xfb);
    expect(user.cpu.rflagsSystem & (VIF | IF)).toBe(VIF);
  });
});

describe('stack frames', () => {
  it('PUSHA and POPA', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    for (const number of [0, 1, 2, 3, 5, 6, 7]) cpu.setGeneral(number, BigInt(0x100 + number));
    const rsp = cpu.rsp;
    run(machine, 0x60);
    expect([0, 12, 28].map((at) => machine.dword(Number(cpu.rsp) + at))).toEqual([0x107, Number(rsp), 0x100]);
    for (const number of [0, 1, 2, 3, 5, 6, 7]) cpu.setGeneral(number, 0n);
    run(machine, 0x61);
    expect([cpu.rsp, cpu.rax, cpu.rdi, cpu.rbp]).toEqual([rsp, 0x100n, 0x107n, 0x105n]);
  });
  it('ENTER copies the frame pointers of the outer levels', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    cpu.rbp = 0x21000n;
    cpu.view.setBigUint64(RAM + 0x21000 - 8, 0x1111n, true);
    cpu.view.setBigUint64(RAM + 0x21000 - 16, 0x2222n, true);
    const top = Number(cpu.rsp);
    run(machine, 0xc8, 0x20, 0, 3);
    expect([8, 16, 24, 32].map((at) => machine.qword(top - at))).toEqual([0x21000n, 0x1111n, 0x2222n, BigInt(top - 8)]);
    expect([cpu.rbp, cpu.rsp]).toEqual([BigInt(top - 8), BigInt(top - 64)]);
    machine.missing.add(0x1f);
    cpu.rsp = 0x20010n;
    expect(faultOf(machine, 0xc8, 0x20, 0, 0)).toEqual(fault(14, 2, 0x1ffe8n));
  });
  it('BOUND', () => {
    const machine = protectedMode(createMachine()), { cpu } = machine;
    cpu.view.setInt32(RAM + 0x7000, -5, true);
    cpu.view.setInt32(RAM + 0x7004, 5, true);
    cpu.rbx = 0x7000n;
    cpu.rax = 0xfffffffbn;
    expect(run(machine, 0x62, 0x03)).toBe(Done.next);
    cpu.rax = 6n;
    expect(faultOf(machine, 0x62, 0x03)).toEqual(fault(5));
  });
});

describe('ports', () => {
  it('IOPL, the bitmap, and what lies beyond it', () => {
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    machine.ports.set(0x3f8, 0x5a);
    machine.at(TSS + 102, 0x68, 0);
    cpu.rdx = 0x3f8n;
    cpu.rax = 0n;
    run(machine, 0xec);
    expect(cpu.rax).toBe(0x5an);
    machine.at(TSS + 0x68 + 0x7f, 2);
    expect(run(machine, 0xec)).toBe(Done.next);
    expect(faultOf(machine, 0x66, 0xed)).toEqual(fault(13));
    cpu.tr.limit = 0x68 + 0x7f;
    expect(faultOf(machine, 0xec)).toEqual(fault(13));
    cpu.rflagsSystem |= IOPL;
    run(machine, 0xec);
    cpu.rax = 0x12345678n;
    run(machine, 0xe7, 0x80);
    expect(machine.outputs).toEqual([{ port: 0x80, size: 4, value: 0x12345678 }]);
    const v86 = virtual8086(createMachine(), 3);
    v86.at(TSS + 102, 0, 0x20);
    expect(faultOf(v86, 0xe4, 0x80)).toEqual(fault(13));
  });
  it('REP INS and OUTS do one element at a time', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    machine.ports.set(0x10, 0xabcd);
    Object.assign(cpu, { rdx: 0x10n, rcx: 2n, rdi: 0x7000n, rsi: 0x7002n });
    expect([run(machine, 0xf3, 0x66, 0x6d), cpu.rip, cpu.rcx, cpu.rdi]).toEqual([Done.repeat, BigInt(CODE), 1n, 0x7002n]);
    expect([run(machine, 0xf3, 0x66, 0x6d), cpu.rip, cpu.rcx]).toEqual([Done.next, BigInt(CODE + 3), 0n]);
    expect(machine.dword(0x7000)).toBe(0xabcdabcd);
    expect(run(machine, 0xf3, 0x6f)).toBe(Done.next);
    expect(machine.outputs).toEqual([]);
    cpu.rflagsSystem |= 0x400;
    run(machine, 0x6f);
    expect([machine.outputs, cpu.rsi]).toEqual([[{ port: 0x10, size: 4, value: 0xabcd }], 0x6ffen]);
    machine.missing.add(0x7);
    expect(faultOf(machine, 0x6d)).toEqual(fault(14, 2, 0x7004n));
  });
});

describe('fast system calls', () => {
  it('SYSCALL and SYSRET in 64-bit mode', () => {
    const machine = longMode(createMachine(), 3), { cpu } = machine;
    Object.assign(cpu, { star: 0x0023_0008_00000000n, lstar: 0x9000n, sfmask: BigInt(IF), efer: cpu.efer | BigInt(EFER.SCE) });
    cpu.rflagsSystem = 0x202;
    run(machine, 0x0f, 0x05);
    expect([cpu.rip, cpu.rcx, cpu.r11 & 0x3f700n, cpu.cpl, cpu.cs.selector, cpu.cs.attributes, cpu.ss.selector, cpu.rflagsSystem & IF])
      .toEqual([0x9000n, BigInt(CODE + 2), 0x200n, 0, 8, 0xa9b, 0x10, 0]);
    run(machine, 0x48, 0x0f, 0x07);
    expect([cpu.rip, cpu.cpl, cpu.cs.selector, cpu.cs.attributes, cpu.ss.selector, cpu.rflagsSystem & IF]).toEqual([BigInt(CODE + 2), 3, 0x33, 0xafb, 0x2b, IF]);
    cpu.efer &= ~1n;
    expect(faultOf(machine, 0x0f, 0x05)).toEqual(fault(6));
  });
  it('a TF that SYSRET sets traps behind SYSRET', () => {
    const { cpu, ...machine } = longMode(createMachine());
    Object.assign(cpu, { star: 0x0023_0008_00000000n, rcx: 0x9000n, r11: BigInt(TF | 2) });
    expect([run({ cpu, ...machine }, 0x48, 0x0f, 0x07), cpu.pendingDebug]).toEqual([Done.attention, 0x4000n]);
  });
  it('a non-canonical RCX faults in SYSRET on Intel only', () => {
    const intel = longMode(createMachine('Skylake-Server')), amd = longMode(createMachine());
    intel.cpu.rcx = amd.cpu.rcx = 0x800000000000n;
    expect(faultOf(intel, 0x48, 0x0f, 0x07)).toEqual(fault(13));
    run(amd, 0x48, 0x0f, 0x07);
    expect(amd.cpu.rip).toBe(0x800000000000n);
  });
  it('SYSENTER: #UD on AMD in long mode, #GP with a null CS', () => {
    expect(faultOf(longMode(createMachine()), 0x0f, 0x34)).toEqual(fault(6));
    expect(faultOf(longMode(createMachine('Skylake-Server')), 0x0f, 0x34)).toEqual(fault(13));
    const machine = protectedMode(createMachine(), 3), { cpu } = machine;
    Object.assign(cpu, { sysenterCs: 0x18n, sysenterEip: 0x9000n, sysenterEsp: 0x20000n });
    run(machine, 0x0f, 0x34);
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.cs.selector, cpu.ss.selector]).toEqual([0x9000n, 0x20000n, 0, 0x18, 0x20]);
    Object.assign(cpu, { rdx: 0x8000n, rcx: 0x30000n });
    run(machine, 0x0f, 0x35);
    expect([cpu.rip, cpu.rsp, cpu.cpl, cpu.cs.selector, cpu.ss.selector]).toEqual([0x8000n, 0x30000n, 3, 0x2b, 0x33]);
  });
  it('SWAPGS and the base instructions', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    cpu.kernelGsBase = 0x1234n;
    cpu.gs.base = 0x5678n;
    run(machine, 0x0f, 0x01, 0xf8);
    expect([cpu.gs.base, cpu.kernelGsBase]).toEqual([0x1234n, 0x5678n]);
    expect(faultOf(machine, 0xf3, 0x48, 0x0f, 0xae, 0xc8)).toEqual(fault(6));
    cpu.cr4 |= BigInt(CR4.FSGSBASE);
    run(machine, 0xf3, 0x48, 0x0f, 0xae, 0xc8);
    expect(cpu.rax).toBe(0x1234n);
    cpu.rax = 1n << 47n;
    expect(faultOf(machine, 0xf3, 0x48, 0x0f, 0xae, 0xd0)).toEqual(fault(13));
  });
});

it('ICEBP takes the debug causes that were held back with it', () => {
  const machine = longMode(createMachine()), { cpu } = machine;
  putGate(machine, 1, Sel.code64, 0x9000, 0x8e, true);
  Object.assign(cpu, { pendingDebug: 2n, dr7: 0x2400n });
  run(machine, 0xf1);
  expect([cpu.rip, cpu.dr6, cpu.pendingDebug, cpu.dr7]).toEqual([0x9000n, 0xffff0ff2n, 0n, 0x400n]);
});

describe('the processor', () => {
  it('CPUID shows OSXSAVE and the XSAVE size of XCR0', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    const ask = (leaf: bigint, subleaf = 0n): bigint[] => {
      Object.assign(cpu, { rax: leaf, rcx: subleaf });
      run(machine, 0x0f, 0xa2);
      return [cpu.rax, cpu.rbx, cpu.rcx, cpu.rdx];
    };
    expect(ask(1n)[2]! >> 27n & 1n).toBe(0n);
    cpu.cr4 |= BigInt(CR4.OSXSAVE);
    expect(ask(1n)[2]! >> 27n & 1n).toBe(1n);
    const { cpuid } = machine.capability;
    Object.assign(machine.capability, { cpuid: (leaf: number, subleaf: number) => leaf === 1 ? [0, 0, 0, 0x200] : leaf !== 0xd ? cpuid(leaf, subleaf) : [[7, 0, 832, 0], [15, 0, 0, 0], [256, 576, 0, 0]][subleaf] ?? [0, 0, 0, 0] });
    expect(ask(0xdn)[1]).toBe(576n);
    cpu.xcr0 = 7n;
    expect([ask(0xdn)[1], ask(0xdn, 1n)[1]]).toEqual([832n, 832n]);
    expect(ask(1n)[3]! >> 9n & 1n).toBe(1n);
    cpu.apicBase = 0xfee00100n;
    expect(ask(1n)[3]! >> 9n & 1n).toBe(0n);
  });
  it('HLT stops; RDTSC obeys TSD; RDRAND sets only CF', () => {
    const machine = longMode(createMachine()), { cpu } = machine;
    expect([run(machine, 0xf4), cpu.activity, cpu.rip]).toEqual([Done.attention, Activity.halted, BigInt(CODE + 1)]);
    cpu.icount = 0x1_0000_0007n;
    run(machine, 0x0f, 0x31);
    expect([cpu.rax, cpu.rdx]).toEqual([7n, 1n]);
    run(machine, 0x48, 0x0f, 0xc7, 0xf0);
    expect([arithmeticFlags(cpu), cpu.rax]).toEqual([1, 0x0123456789abcdefn * 6364136223846793005n + 1442695040888963407n & 0xffffffffffffffffn]);
    const user = longMode(createMachine(), 3);
    user.cpu.cr4 |= 4n;
    expect([faultOf(user, 0x0f, 0x31), faultOf(user, 0xf4), faultOf(user, 0x0f, 0x33)]).toEqual([fault(13), fault(13), fault(13)]);
  });
  it('UD2 and RSM are undefined', () => {
    const machine = realMode(createMachine());
    expect([faultOf(machine, 0x0f, 0x0b), faultOf(machine, 0x0f, 0xaa)]).toEqual([fault(6), fault(6)]);
  });
  it('INVLPG and INVPCID', () => {
    const machine = longMode(createMachine('EPYC-Milan,+invpcid,+pcid')), { cpu } = machine;
    cpu.rax = BigInt(STACK0);
    run(machine, 0x0f, 0x01, 0x38);
    expect(machine.flushes).toEqual(['page 20000']);
    Object.assign(cpu, { rcx: 2n, rbx: 0x7000n });
    run(machine, 0x66, 0x0f, 0x38, 0x82, 0x0b);
    expect(machine.flushes).toEqual(['page 20000', 'all']);
    cpu.rcx = 4n;
    expect(faultOf(machine, 0x66, 0x0f, 0x38, 0x82, 0x0b)).toEqual(fault(13));
    machine.at(0x7000, 1);
    cpu.rcx = 1n;
    expect(faultOf(machine, 0x66, 0x0f, 0x38, 0x82, 0x0b)).toEqual(fault(13));
  });
});
