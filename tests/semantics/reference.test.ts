// What the reference engine promises beyond the meaning of single instructions: counting, stopping and restarting, faults that commit
// nothing, and the rules of the registers. The machine is the one of the native vectors.
import { describe, expect, it } from 'vitest';
import { Stop } from '../../src/cpu/engine.ts';
import { rflags, setRflags } from '../../src/cpu/flags.ts';
import type { CodeSize } from '../../src/isa/instruction.ts';
import { createCapabilities } from '../../src/model/capabilities.ts';
import { createReference } from '../../src/semantics/reference.ts';
import { createFlatMachine, Vector } from '../../tools/flat-machine.ts';

const CODE = 0x10000000n, DATA = 0x10010000n, CONSTANTS = 0x10014000n;

/** Code at the start of the code region, in the mode; RIP stands there. */
function machineWith(hex: string, mode: CodeSize = 64, at = 0) {
  const machine = createFlatMachine(createCapabilities('EPYC-Genoa'));
  const engine = createReference(machine), { cpu } = machine;
  machine.enter(mode);
  setRflags(cpu, 2);
  const base = mode === 16 ? 0n : CODE;
  machine.bytesOf('code').set(Buffer.from(hex.replaceAll(' ', ''), 'hex'), at);
  cpu.rip = base + BigInt(at);
  cpu.rsp = mode === 16 ? 0x9000n : DATA + 0x1000n;
  const run = (budget: number): Stop => {
    cpu.budget = budget;
    return engine.run();
  };
  return { machine, cpu, run, base };
}

describe('counting', () => {
  it('stops exactly where the budget ends, and goes on from there', () => {
    const { cpu, run, base } = machineWith('ffc0 ffc0 ffc0 ffc0');
    cpu.rax = 0n;
    expect([run(3), cpu.rax, cpu.rip, cpu.budget]).toEqual([Stop.budget, 3n, base + 6n, 0]);
    expect([run(1), cpu.rax]).toEqual([Stop.budget, 4n]);
  });

  it('counts each element of a repeated string instruction, and one for a count of 0', () => {
    const { machine, cpu, run, base } = machineWith('f3aa 90');
    cpu.rcx = 5n; cpu.rdi = DATA; cpu.rax = 0x77n;
    expect([run(3), cpu.rcx, cpu.rdi, cpu.rip]).toEqual([Stop.budget, 2n, DATA + 3n, base]);
    expect([run(2), cpu.rcx, cpu.rip]).toEqual([Stop.budget, 0n, base + 2n]);
    expect([...machine.bytesOf('data').subarray(0, 6)]).toEqual([0x77, 0x77, 0x77, 0x77, 0x77, 0]);
    cpu.rip = base;
    expect([run(1), cpu.rip, cpu.rdi]).toEqual([Stop.budget, base + 2n, DATA + 5n]);
  });

  it('gives the budget back when an instruction faults', () => {
    const { cpu, run, base } = machineWith('90 8b00');
    cpu.rax = 0n;
    expect([run(5), cpu.budget, cpu.rip, cpu.faultVector]).toEqual([Stop.fault, 4, base + 1n, Vector.pf]);
  });
});

describe('a repeated string instruction', () => {
  it('keeps the elements before a fault and can be restarted', () => {
    const { cpu, run, base } = machineWith('f3aa');
    cpu.rcx = 8n; cpu.rdi = DATA + 0x1ffcn; cpu.rax = 1n;
    expect([run(100), cpu.budget, cpu.rcx, cpu.rdi, cpu.rip]).toEqual([Stop.fault, 96, 4n, DATA + 0x2000n, base]);
    expect(cpu.faultAddress).toBe(DATA + 0x2000n);
    cpu.rdi = DATA;
    expect([run(4), cpu.rcx, cpu.rip]).toEqual([Stop.budget, 0n, base + 2n]);
  });

  it('compares until ZF says stop', () => {
    const { machine, cpu, run, base } = machineWith('f2ae');
    machine.bytesOf('data').set(Buffer.from('hello\0'));
    cpu.rcx = 0xffffn; cpu.rdi = DATA; cpu.rax = 0n;
    expect([run(6), cpu.rip, cpu.rdi, cpu.rcx]).toEqual([Stop.budget, base + 2n, DATA + 6n, 0xffffn - 6n]);
  });

  it('counts in the width of the address size', () => {
    const { cpu, run } = machineWith('67f3aa');
    cpu.rcx = 0x1234_0000_0002n; cpu.rdi = 0x5678_0000_0000n | DATA;
    expect([run(2), cpu.rcx, cpu.rdi]).toEqual([Stop.budget, 0n, DATA + 2n]);
  });
});

describe('faults', () => {
  it('commit nothing: a push whose target is in a page that cannot be written', () => {
    const { cpu, run } = machineWith('ff30');
    cpu.rax = DATA; cpu.rsp = CONSTANTS + 8n;
    expect([run(1), cpu.rsp, cpu.faultVector, cpu.faultErrorCode, cpu.faultAddress]).toEqual([Stop.fault, CONSTANTS + 8n, Vector.pf, 7, CONSTANTS]);
  });

  it('of a destination that is read and written are those of a write', () => {
    const { cpu, run } = machineWith('0108');
    cpu.rax = CONSTANTS;
    expect([run(1), cpu.faultErrorCode]).toEqual([Stop.fault, 7]);
    cpu.rax = 0x1000n;
    expect([run(1), cpu.faultErrorCode]).toEqual([Stop.fault, 6]);
  });

  it('of a divided page name its first byte', () => {
    const { cpu, run } = machineWith('488b00');
    cpu.rax = DATA + 0x1ffdn;
    expect([run(1), cpu.faultAddress]).toEqual([Stop.fault, DATA + 0x2000n]);
  });

  it('are #SS for non-canonical stack addresses and #GP for others', () => {
    const { cpu, run } = machineWith('488b4500 488b00');
    cpu.rbp = 0x8000_0000_0000n; cpu.rax = 0x8000_0000_0000n;
    expect([run(1), cpu.faultVector]).toEqual([Stop.fault, Vector.ss]);
    cpu.rip += 4n;
    expect([run(1), cpu.faultVector]).toEqual([Stop.fault, Vector.gp]);
  });

  it('come from the segment limit in 16-bit code', () => {
    const { cpu, run } = machineWith('8b07', 16);
    cpu.rbx = 0xffffn;
    expect([run(1), cpu.faultVector, cpu.faultErrorCode]).toEqual([Stop.fault, Vector.gp, 0]);
  });

  it('end an instruction of more than 15 bytes with #GP, and unknown bytes with #UD', () => {
    const long = machineWith(`${'66'.repeat(15)}90`);
    expect([long.run(1), long.cpu.faultVector]).toEqual([Stop.fault, Vector.gp]);
    const unknown = machineWith('0f0b');
    expect([unknown.run(1), unknown.cpu.faultVector]).toEqual([Stop.fault, Vector.ud]);
  });

  it('of the fetch name the first byte of the missing page', () => {
    const { cpu, run } = machineWith('b8 01', 64, 0x1ffe);
    expect([run(1), cpu.faultVector, cpu.faultAddress, cpu.faultErrorCode]).toEqual([Stop.fault, Vector.pf, CODE + 0x2000n, 20]);
  });
});

describe('code', () => {
  it('may cross a page', () => {
    const { cpu, run } = machineWith('b8 78563412', 64, 0xffd);
    expect([run(1), cpu.rax]).toEqual([Stop.budget, 0x12345678n]);
  });

  it('may not reach beyond the limit of its segment', () => {
    const { cpu, run } = machineWith('b8 7856', 16, 0x100);
    cpu.cs.limit = 0x101;
    expect([run(1), cpu.faultVector]).toEqual([Stop.fault, Vector.gp]);
    cpu.cs.limit = 0x102;
    expect(run(1)).toBe(Stop.budget);
  });

  it('in 16-bit mode does not wrap its instruction pointer', () => {
    const { cpu, run } = machineWith('90', 16);
    cpu.cs.base = CODE - 0xffffn;
    cpu.rip = 0xffffn;
    expect([run(1), cpu.rip]).toEqual([Stop.budget, 0x10000n]);
    expect([run(1), cpu.faultVector]).toEqual([Stop.fault, Vector.gp]);
  });

  it('branches only to canonical addresses', () => {
    const { cpu, run, base } = machineWith('ffe0');
    cpu.rax = 0x8000_0000_0000n;
    expect([run(1), cpu.rip, cpu.faultVector]).toEqual([Stop.fault, base, Vector.gp]);
  });
});

describe('registers', () => {
  it('are zero-extended from 32 bits and merged from 16 and 8', () => {
    const { cpu, run } = machineWith('b801000000 66b80200 b003 b404');
    cpu.rax = -1n;
    run(1);
    expect(cpu.rax).toBe(1n);
    cpu.rax = -1n;
    run(3);
    expect(cpu.rax).toBe(0xffff_ffff_ffff_0403n);
  });

  it('of 32 bits are zero-extended by a CMOV that does not move and by a shift of 0', () => {
    const { cpu, run } = machineWith('0f44c1 d3e0');
    cpu.rax = -1n; cpu.rcx = 0n;
    run(1);
    expect(cpu.rax).toBe(0xffff_ffffn);
    cpu.rax = -1n;
    run(1);
    expect([cpu.rax, rflags(cpu)]).toEqual([0xffff_ffffn, 2]);
  });

  it('take POP rSP and PUSH rSP as the manual says', () => {
    const { cpu, run } = machineWith('54 5c');
    run(1);
    expect(cpu.rsp).toBe(DATA + 0xff8n);
    run(1);
    expect(cpu.rsp).toBe(DATA + 0x1000n);
  });
});
