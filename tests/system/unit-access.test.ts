// Instructions that reach memory as one unit, and the small relatives of MWAIT and WRMSR.
import { expect, it } from 'vitest';
import { CF, rflags, SF, ZF } from '../../src/cpu/flags.ts';
import { RAM } from '../../src/cpu/state.ts';
import { createMachine, fault, faultOf, longMode, run } from './machine.ts';

const machineWith = (extra: readonly string[], cpl = 0) => longMode(createMachine('EPYC-Genoa', true, extra), cpl);

it('MOVDIR64B copies 64 bytes to an aligned line', () => {
  const machine = machineWith(['movdir64b']), { cpu } = machine;
  for (let index = 0; index < 64; index++) machine.at(0x40001 + index, index + 1);
  cpu.rax = 0x50040n;
  cpu.rbx = 0x40001n;
  run(machine, 0x66, 0x0f, 0x38, 0xf8, 0x03);
  expect([...cpu.u8.subarray(RAM + 0x50040, RAM + 0x50080)]).toEqual(Array.from({ length: 64 }, (_, index) => index + 1));
  cpu.rax = 0x50048n;
  expect(faultOf(machine, 0x66, 0x0f, 0x38, 0xf8, 0x03)).toEqual(fault(13));
});

it('CMPccXADD adds when the condition of the comparison holds, and gives the old value', () => {
  const machine = machineWith(['cmpccxadd']), { cpu } = machine;
  // cmpbxadd [rbx], eax, ecx: memory below EAX.
  const cmpbxadd = [0xc4, 0xe2, 0x71, 0xe2, 0x03];
  cpu.rbx = 0x40000n;
  cpu.rcx = 10n;
  for (const [memory, compared, after, flags] of [[5, 7, 15, CF | SF], [7, 7, 7, ZF], [9, 7, 9, 0]] as const) {
    cpu.view.setUint32(RAM + 0x40000, memory, true);
    cpu.rax = BigInt(compared);
    run(machine, ...cmpbxadd);
    expect([machine.dword(0x40000), cpu.rax, rflags(cpu) & (CF | SF | ZF)]).toEqual([after, BigInt(memory), flags]);
  }
  cpu.rbx += 2n;
  expect(faultOf(machine, ...cmpbxadd)).toEqual(fault(13));
});

it('AADD and its relatives change memory alone', () => {
  const machine = machineWith(['raoint']), { cpu } = machine;
  cpu.view.setUint32(RAM + 0x40000, 0xf0, true);
  cpu.rbx = 0x40000n;
  cpu.rcx = 0x3cn;
  const after = (...prefix: number[]): number => {
    cpu.view.setUint32(RAM + 0x40000, 0xf0, true);
    run(machine, ...prefix, 0x0f, 0x38, 0xfc, 0x0b);
    return machine.dword(0x40000);
  };
  expect([after(), after(0x66), after(0xf2), after(0xf3)]).toEqual([0x12c, 0x30, 0xfc, 0xcc]);
});

it('UMWAIT and TPAUSE end at once', () => {
  const machine = machineWith(['waitpkg'], 3), { cpu } = machine;
  cpu.rbx = 1n;
  run(machine, 0x66, 0x0f, 0xae, 0xf3);
  expect(rflags(cpu) & 0x8d5).toBe(0);
  cpu.rbx = 2n;
  expect(faultOf(machine, 0xf2, 0x0f, 0xae, 0xf3)).toEqual(fault(13));
});

it('LKGS loads the base that SWAPGS will bring', () => {
  const machine = machineWith(['lkgs']), { cpu } = machine;
  cpu.gs.base = 0x1111n;
  cpu.rax = 0x40n;
  machine.at(0x1028, 0xff, 0xff, 0x78, 0x56, 0x34, 0xf3, 0xcf, 0x12);
  cpu.rax = 0x2bn;
  run(machine, 0xf2, 0x0f, 0x00, 0xf0);
  expect([cpu.gs.base, cpu.kernelGsBase, cpu.gs.selector]).toEqual([0x1111n, 0x12345678n, 0x2b]);
  expect(faultOf(machineWith(['lkgs'], 3), 0xf2, 0x0f, 0x00, 0xf0)).toEqual(fault(13));
});

it('PKRS takes 32 bits', () => {
  const machine = machineWith(['pks']), { cpu } = machine;
  cpu.rcx = 0x6e1n;
  cpu.rax = 0xfffffffcn;
  run(machine, 0x0f, 0x30);
  expect(machine.flushes).toContain('all');
  cpu.rax = 0n;
  run(machine, 0x0f, 0x32);
  expect(cpu.rax).toBe(0xfffffffcn);
  cpu.rdx = 1n;
  expect(faultOf(machine, 0x0f, 0x30)).toEqual(fault(13));
});
