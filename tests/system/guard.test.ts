// Shadow stacks and branch tracking over literal states: near and far transfers, events, system calls, tokens.
import { describe, expect, it } from 'vitest';
import { CR4 } from '../../src/cpu/controls.ts';
import { CF, rflags } from '../../src/cpu/flags.ts';
import { CetBit, modeKey, modeOf } from '../../src/cpu/mode.ts';
import { RAM } from '../../src/cpu/state.ts';
import { deliver } from '../../src/system/deliver.ts';
import { mayFollowBranch, waitsForEndbranch } from '../../src/system/guard.ts';
import { CODE, createMachine, fault, faultOf, longMode, protectedMode, putGate, run, Sel, STACK3, type TestMachine } from './machine.ts';

const SHADOW = 0x50000, CP = 21;
const { shadowStack, writable, endbranch, noTrack, tracker, legacy } = CetBit;
const store = (machine: TestMachine, at: number, value: bigint): void => machine.cpu.view.setBigUint64(RAM + at, value, true);

/** Level `cpl` of 64-bit mode with an SSP; shadow stacks (and what else is in `bits`) on at levels 0 and 3. */
function guarded(cpl: number, bits: number = shadowStack): TestMachine {
  const machine = longMode(createMachine('SapphireRapids', true, ['cet-ss', 'cet-ibt']), cpl), { cpu } = machine;
  cpu.cr4 |= BigInt(CR4.CET);
  cpu.uCet = cpu.sCet = BigInt(bits);
  cpu.ssp = BigInt(SHADOW);
  return machine;
}

describe('near transfers', () => {
  it('CALL pushes on both stacks, RET compares', () => {
    const machine = guarded(3), { cpu } = machine;
    run(machine, 0xe8, 0x10, 0, 0, 0);
    expect([cpu.rip, cpu.rsp, cpu.ssp]).toEqual([BigInt(CODE + 0x15), BigInt(STACK3 - 8), BigInt(SHADOW - 8)]);
    expect([machine.qword(STACK3 - 8), machine.qword(SHADOW - 8)]).toEqual([BigInt(CODE + 5), BigInt(CODE + 5)]);
    run(machine, 0xc3);
    expect([cpu.rip, cpu.rsp, cpu.ssp]).toEqual([BigInt(CODE + 5), BigInt(STACK3), BigInt(SHADOW)]);
    run(machine, 0xe8, 0x10, 0, 0, 0);
    store(machine, STACK3 - 8, BigInt(CODE));
    expect(faultOf(machine, 0xc3)).toEqual(fault(CP, 1));
  });
  it('a call of the next instruction leaves the shadow stack alone', () => {
    const machine = guarded(3);
    run(machine, 0xe8, 0, 0, 0, 0);
    expect([machine.cpu.ssp, machine.cpu.rsp]).toEqual([BigInt(SHADOW), BigInt(STACK3 - 8)]);
  });
  it('outside 64-bit mode entries have 4 bytes; RET n releases more', () => {
    const machine = guarded(3), { cpu } = machine;
    protectedMode(machine, 3);
    cpu.cr0 |= 0x10000;
    run(machine, 0xe8, 0x10, 0, 0, 0);
    expect([cpu.ssp, machine.dword(SHADOW - 4)]).toEqual([BigInt(SHADOW - 4), CODE + 5]);
    run(machine, 0xc2, 8, 0);
    expect([cpu.ssp, cpu.rsp]).toEqual([BigInt(SHADOW), BigInt(STACK3 + 8)]);
  });
  it('only a mode that says so guards them', () => {
    const { cpu } = guarded(3);
    expect(modeOf(modeKey(cpu)).guarded).toBe(true);
    cpu.uCet = BigInt(writable);
    expect(modeOf(modeKey(cpu)).guarded).toBe(false);
    cpu.uCet = BigInt(endbranch);
    cpu.cr4 &= ~BigInt(CR4.CET);
    expect(modeOf(modeKey(cpu)).guarded).toBe(false);
  });
});

describe('branch tracking', () => {
  it('waits behind an indirect branch until ENDBR', () => {
    const machine = guarded(3, endbranch), { cpu } = machine;
    cpu.rax = BigInt(CODE + 0x40);
    run(machine, 0xff, 0xe0);
    expect([cpu.rip, waitsForEndbranch(cpu)]).toEqual([BigInt(CODE + 0x40), true]);
    run(machine, 0xf3, 0x0f, 0x1e, 0xfb);
    expect(waitsForEndbranch(cpu)).toBe(true);
    run(machine, 0xf3, 0x0f, 0x1e, 0xfa);
    expect(waitsForEndbranch(cpu)).toBe(false);
    cpu.rax = BigInt(CODE);
    run(machine, 0xff, 0xd0);
    expect(waitsForEndbranch(cpu)).toBe(true);
  });
  it('NOTRACK counts where it is enabled; direct branches and RET never wait', () => {
    const machine = guarded(3, endbranch), { cpu } = machine;
    cpu.rax = BigInt(CODE);
    run(machine, 0x3e, 0xff, 0xe0);
    expect(waitsForEndbranch(cpu)).toBe(true);
    cpu.uCet = BigInt(endbranch | noTrack);
    run(machine, 0x3e, 0xff, 0xe0);
    expect(waitsForEndbranch(cpu)).toBe(false);
    run(machine, 0xe8, 0x10, 0, 0, 0);
    run(machine, 0xc3);
    expect(waitsForEndbranch(cpu)).toBe(false);
  });
  it('a bitmap lets older code be, and suppresses tracking until ENDBR', () => {
    const machine = guarded(3, endbranch | legacy | tracker), { cpu } = machine;
    cpu.uCet |= 0x60000n;
    expect(mayFollowBranch(machine, undefined)).toBe(false);
    machine.at(0x60000 + (CODE >> 15), 1 << (CODE >> 12 & 7));
    expect(mayFollowBranch(machine, undefined)).toBe(true);
    expect(cpu.uCet & BigInt(tracker | CetBit.suppress)).toBe(BigInt(CetBit.suppress));
    run(machine, 0xff, 0xe0);
    expect(waitsForEndbranch(cpu)).toBe(false);
  });
});

describe('far transfers and events', () => {
  it('an event at the same level pushes CS, the linear address and SSP; IRET takes them', () => {
    const machine = guarded(0), { cpu } = machine;
    putGate(machine, 0x40, Sel.code64, 0x9000, 0x8e, true);
    cpu.ssp -= 4n;
    deliver(machine, 0x40, 'external', 0);
    expect([cpu.ssp, machine.dword(SHADOW - 8)]).toEqual([BigInt(SHADOW - 32), 0]);
    expect([0, 8, 16].map((at) => machine.qword(SHADOW - 32 + at))).toEqual([BigInt(SHADOW - 4), BigInt(CODE), BigInt(Sel.code64)]);
    run(machine, 0x48, 0xcf);
    expect([cpu.ssp, cpu.rip]).toEqual([BigInt(SHADOW - 4), BigInt(CODE)]);
  });
  it('from level 3 the token of PL0_SSP becomes busy, and IRET frees it', () => {
    const machine = guarded(3), { cpu } = machine;
    putGate(machine, 0x40, Sel.code64, 0x9000, 0x8e, true);
    cpu.pl0Ssp = 0x51000n;
    store(machine, 0x51000, 0x51000n);
    deliver(machine, 0x40, 'external', 0);
    expect([cpu.cpl, cpu.ssp, cpu.pl3Ssp, machine.qword(0x51000)]).toEqual([0, 0x51000n, BigInt(SHADOW), 0x51001n]);
    run(machine, 0x48, 0xcf);
    expect([cpu.cpl, cpu.ssp, machine.qword(0x51000)]).toEqual([3, BigInt(SHADOW), 0x51000n]);
  });
  it('a token that is busy or names another place is #GP(0)', () => {
    for (const token of [0n, 0x51001n, 0x51008n]) {
      const machine = guarded(3);
      putGate(machine, 0x40, Sel.code64, 0x9000, 0xee, true);
      machine.cpu.pl0Ssp = 0x51000n;
      store(machine, 0x51000, token);
      expect(faultOf(machine, 0xcd, 0x40)).toEqual(fault(13));
    }
  });
  it('an IST takes its shadow stack from the table', () => {
    const machine = guarded(0), { cpu } = machine;
    putGate(machine, 0x40, Sel.code64, 0x9000, 0x8e, true, 1);
    cpu.interruptSspTable = 0x52000n;
    store(machine, 0x52008, 0x53000n);
    store(machine, 0x53000, 0x53000n);
    deliver(machine, 0x40, 'external', 0);
    expect([cpu.ssp, machine.qword(0x53000), machine.qword(0x53000 - 24)]).toEqual([0x53000n - 24n, 0x53001n, BigInt(SHADOW)]);
    run(machine, 0x48, 0xcf);
    expect([cpu.ssp, machine.qword(0x53000)]).toEqual([BigInt(SHADOW), 0x53000n]);
  });
  it('a frame that differs is #CP', () => {
    for (const [at, wrong] of [[8, BigInt(CODE + 1)], [16, 0x1_0008n], [0, 2n]] as const) {
      const machine = guarded(0);
      putGate(machine, 0x40, Sel.code64, 0x9000, 0x8e, true);
      deliver(machine, 0x40, 'external', 0);
      store(machine, SHADOW - 24 + at, wrong);
      expect(faultOf(machine, 0x48, 0xcf)).toEqual(fault(CP, 2));
    }
  });
  it('a far JMP to compatibility mode needs SSP below 4 GiB', () => {
    const machine = guarded(0), { cpu } = machine;
    cpu.rbx = 0x60000n;
    machine.at(0x60000, 0, 0x90, 0, 0, Sel.code32, 0);
    cpu.ssp = 0x1_0000_0000n;
    expect(faultOf(machine, 0xff, 0x2b)).toEqual(fault(13));
    cpu.ssp = BigInt(SHADOW);
    run(machine, 0xff, 0x2b);
    expect([cpu.rip, cpu.cs.selector]).toEqual([0x9000n, Sel.code32]);
  });
  it('SYSCALL keeps SSP in PL3_SSP and tracks, SYSRET brings it back', () => {
    const machine = guarded(3, shadowStack | endbranch), { cpu } = machine;
    cpu.star = 0x0023_0008_0000_0000n;
    cpu.lstar = 0x9000n;
    run(machine, 0x0f, 0x05);
    expect([cpu.pl3Ssp, cpu.ssp, waitsForEndbranch(cpu)]).toEqual([BigInt(SHADOW), 0n, true]);
    run(machine, 0x48, 0x0f, 0x07);
    expect([cpu.cpl, cpu.ssp, waitsForEndbranch(cpu)]).toEqual([3, BigInt(SHADOW), false]);
  });
});

describe('managing shadow stacks', () => {
  const RDSSPQ = [0xf3, 0x48, 0x0f, 0x1e, 0xc8], INCSSPQ = [0xf3, 0x48, 0x0f, 0xae, 0xe8], RSTORSSP = [0xf3, 0x0f, 0x01, 0x2b], SAVEPREVSSP = [0xf3, 0x0f, 0x01, 0xea];
  it('RDSSP reads, or does nothing; INCSSP pops', () => {
    const machine = guarded(3), { cpu } = machine;
    run(machine, ...RDSSPQ);
    expect(cpu.rax).toBe(BigInt(SHADOW));
    cpu.rax = 0x102n;
    run(machine, ...INCSSPQ);
    expect(cpu.ssp).toBe(BigInt(SHADOW + 16));
    cpu.uCet = 0n;
    cpu.rax = 7n;
    run(machine, ...RDSSPQ);
    expect(cpu.rax).toBe(7n);
    expect(faultOf(machine, ...INCSSPQ)).toEqual(fault(6));
  });
  it('RSTORSSP goes to another stack, SAVEPREVSSP leaves a token on the old one', () => {
    const machine = guarded(3), { cpu } = machine;
    cpu.rbx = 0x54ff8n;
    store(machine, 0x54ff8, 0x55001n);
    run(machine, ...RSTORSSP);
    expect([cpu.ssp, machine.qword(0x54ff8), rflags(cpu) & CF]).toEqual([0x54ff8n, BigInt(SHADOW) | 3n, 0]);
    run(machine, ...SAVEPREVSSP);
    expect([cpu.ssp, machine.qword(SHADOW - 8)]).toEqual([0x55000n, BigInt(SHADOW) | 1n]);
    cpu.rbx = BigInt(SHADOW - 8);
    run(machine, ...RSTORSSP);
    expect(cpu.ssp).toBe(BigInt(SHADOW - 8));
    store(machine, 0x54ff8, 0x55000n);
    cpu.rbx = 0x54ff8n;
    expect(faultOf(machine, ...RSTORSSP)).toEqual(fault(CP, 4));
  });
  it('WRSS needs its bit, WRUSS level 0', () => {
    const machine = guarded(3), { cpu } = machine;
    const WRSSQ = [0x48, 0x0f, 0x38, 0xf6, 0x03], WRUSSQ = [0x66, 0x48, 0x0f, 0x38, 0xf5, 0x03];
    cpu.rbx = BigInt(SHADOW - 8);
    cpu.rax = 0x1234n;
    expect(faultOf(machine, ...WRSSQ)).toEqual(fault(6));
    cpu.uCet |= BigInt(writable);
    run(machine, ...WRSSQ);
    expect(machine.qword(SHADOW - 8)).toBe(0x1234n);
    expect(faultOf(machine, ...WRUSSQ)).toEqual(fault(13));
    cpu.rbx += 4n;
    expect(faultOf(machine, ...WRSSQ)).toEqual(fault(13));
  });
  it('SETSSBSY and CLRSSBSY', () => {
    const machine = guarded(0), { cpu } = machine;
    cpu.pl0Ssp = 0x51000n;
    expect(faultOf(machine, 0xf3, 0x0f, 0x01, 0xe8)).toEqual(fault(CP, 5));
    store(machine, 0x51000, 0x51000n);
    run(machine, 0xf3, 0x0f, 0x01, 0xe8);
    expect([cpu.ssp, machine.qword(0x51000)]).toEqual([0x51000n, 0x51001n]);
    cpu.rbx = 0x51000n;
    run(machine, 0xf3, 0x0f, 0xae, 0x33);
    expect([cpu.ssp, machine.qword(0x51000), rflags(cpu) & CF]).toEqual([0n, 0x51000n, 0]);
    run(machine, 0xf3, 0x0f, 0xae, 0x33);
    expect(rflags(cpu) & CF).toBe(CF);
  });
  it('MSRs refuse what the registers cannot hold', () => {
    const machine = guarded(0), { cpu } = machine;
    const refused = (index: number, value: bigint) => {
      cpu.rcx = BigInt(index);
      cpu.rax = value & 0xffffffffn;
      cpu.rdx = value >> 32n;
      return faultOf(machine, 0x0f, 0x30);
    };
    for (const [index, value] of [[0x6a0, 0x40n], [0x6a2, 0xc00n], [0x6a0, 0x8000_0000_0000_0000n], [0x6a4, 1n], [0x6a7, 0x8000_0000_0000_0000n]] as const) {
      expect(refused(index, value), index.toString(16)).toEqual(fault(13));
    }
  });
});
