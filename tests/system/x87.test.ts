// x87 over literal states: the pointers by model, the environment of real mode, FFXSR, who may use the unit, and the two ways through an
// instruction side by side.
import { describe, expect, it } from 'vitest';
import { CR0, CR4, EFER } from '../../src/cpu/controls.ts';
import { placeOfArea, placeOfRegister, RAM } from '../../src/cpu/state.ts';
import { createMachine, fault, faultOf, longMode, protectedMode, realMode, run, type TestMachine } from './machine.ts';

const AREA = 0x40000, DATA = 0x41000, FXSAVE = [0x0f, 0xae, 0x03], FXRSTOR = [0x0f, 0xae, 0x0b], FNSTENV = [0xd9, 0x33], FLDENV = [0xd9, 0x23];
const FLD1 = [0xd9, 0xe8], FLDZ = [0xd9, 0xee], FDIVP = [0xde, 0xf9], FLD_SINGLE = [0xd9, 0x06], FDIV_SINGLE = [0xd8, 0x36];

/** rBX names an area, rSI data: the single 1.0, or 0 behind it. The unit is as FNINIT leaves it. */
function prepared(machine: TestMachine): TestMachine {
  const { cpu } = machine;
  cpu.rbx = BigInt(AREA);
  cpu.rsi = BigInt(DATA);
  cpu.fcw = 0x37f;
  cpu.cr4 |= BigInt(CR4.OSFXSR);
  cpu.view.setFloat32(RAM + DATA, 1, true);
  return machine;
}
const long = (model = 'EPYC-Milan'): TestMachine => prepared(longMode(createMachine(model)));

describe('the pointers', () => {
  it('are those of the last instruction that computed, and of its operand', () => {
    const machine = long('Opteron_G1'), { cpu } = machine;
    run(machine, ...FLD_SINGLE);
    run(machine, 0xdb, 0xe2);
    expect([cpu.fop, cpu.fip, cpu.fcs, cpu.fdp, cpu.fds]).toEqual([0x106, 0x8000n, 0x08, BigInt(DATA), 0x2b]);
  });
  it('are kept by Intel processors when an exception is pending; selectors where zero-fcs-fds is not', () => {
    const machine = long('SapphireRapids,+zero-fcs-fds,+fdp-excptn-only'), { cpu } = machine;
    run(machine, ...FLD_SINGLE);
    expect([cpu.fop, cpu.fip, cpu.fcs, cpu.fdp, cpu.fds]).toEqual([0, 0x8000n, 0, 0n, 0]);
    cpu.fcw = 0x37b;
    cpu.rsi += 4n;
    run(machine, ...FDIV_SINGLE);
    expect([cpu.fop, cpu.fip, cpu.fcs, cpu.fdp, cpu.fds]).toEqual([0x036, 0x8002n, 0, BigInt(DATA + 4), 0]);
    const older = long('Haswell');
    older.cpu.miscEnable = 4n;
    run(older, ...FLD_SINGLE);
    expect(older.cpu.fop).toBe(0x106);
  });
  it('are saved and restored without a pending exception only with xsaveerptr, on AMD processors', () => {
    for (const [model, expected] of [['EPYC-Milan', 0x106], ['EPYC-Milan,-xsaveerptr', 0xabcd], ['Haswell', 0]] as const) {
      const machine = long(model);
      machine.at(AREA + 6, 0xcd, 0xab);
      run(machine, ...FLD_SINGLE);
      run(machine, ...FXSAVE);
      expect(machine.word(AREA + 6), model).toBe(expected);
    }
    const machine = long('EPYC-Milan,-xsaveerptr'), { cpu } = machine;
    machine.at(AREA, 0x7b, 0x03, 0x00, 0x00, 0x00, 0x00, 0x23, 0x01);
    cpu.fop = 0x77;
    run(machine, ...FXRSTOR);
    expect(cpu.fop).toBe(0x77);
    machine.at(AREA + 2, 0x04);
    run(machine, ...FXRSTOR);
    expect([cpu.fop, cpu.fsw]).toEqual([0x123, 0x8084]);
  });
});

describe('the environment', () => {
  it('has linear pointers in real mode', () => {
    const machine = prepared(realMode(createMachine('Opteron_G1'))), { cpu } = machine;
    Object.assign(cpu, { rbx: 0x100n, fop: 0x5a1, fcs: 0x1234, fip: 0x567n, fds: 0xf000, fdp: 0xffffn });
    run(machine, 0xd9, 0x37);
    expect([6, 8, 10, 12].map(at => machine.word(0x100 + at))).toEqual([0x28a7, 0x15a1, 0xffff, 0xf000]);
    run(machine, 0x66, 0xd9, 0x37);
    expect([12, 16, 20, 24].map(at => machine.dword(0x100 + at))).toEqual([0xffff28a7, 0x000015a1, 0xffffffff, 0x0000f000]);
    Object.assign(cpu, { fop: 0, fcs: 0, fip: 0n, fds: 0, fdp: 0n });
    run(machine, 0x66, 0xd9, 0x27);
    expect([cpu.fop, cpu.fcs, cpu.fip, cpu.fds, cpu.fdp]).toEqual([0x5a1, 0, 0x128a7n, 0, 0xfffffn]);
  });
  it('brings a pending exception back, and masks all when it is stored', () => {
    const machine = prepared(protectedMode(createMachine())), { cpu } = machine;
    cpu.fcw = 0x37b;
    run(machine, ...FLD1);
    run(machine, ...FLDZ);
    run(machine, ...FDIVP);
    expect([cpu.fsw, cpu.ftw]).toEqual([0xb084, 0xc0]);
    run(machine, ...FNSTENV);
    expect([cpu.fcw, cpu.fsw, machine.dword(AREA + 8)]).toEqual([0x37f, 0x3004, 0xffff1fff]);
    run(machine, ...FLDENV);
    expect([cpu.fcw, cpu.fsw]).toEqual([0x37b, 0xb084]);
    expect(faultOf(machine, ...FLD1)).toEqual(fault(16));
    expect(faultOf(machine, 0x9b)).toEqual(fault(16));
  });
});

it('FFXSR leaves the XMM registers of a 64-bit kernel out, and MXCSR in', () => {
  const machine = long(), { cpu } = machine, at = placeOfRegister('vector', 2) >> 3;
  cpu.efer |= BigInt(EFER.FFXSR);
  cpu.u64[at] = 7n;
  cpu.mxcsr = 0x1fa0;
  run(machine, ...FXSAVE);
  expect([machine.qword(AREA + 160 + 32), machine.dword(AREA + 24)]).toEqual([0n, 0x1fa0]);
  cpu.mxcsr = 0x1f80;
  run(machine, ...FXRSTOR);
  expect([cpu.u64[at], cpu.mxcsr]).toEqual([7n, 0x1fa0]);
  cpu.efer &= ~BigInt(EFER.FFXSR);
  run(machine, ...FXRSTOR);
  expect(cpu.u64[at]).toBe(0n);
});

it('TS and EM keep everybody out, MP keeps FWAIT out', () => {
  const machine = long(), { cpu } = machine;
  for (const [bits, load, wait] of [[CR0.TS, 7, 0], [CR0.TS | CR0.MP, 7, 7], [CR0.EM, 7, 0], [CR0.MP, 0, 0]] as const) {
    cpu.cr0 = (cpu.cr0 & ~(CR0.TS | CR0.EM | CR0.MP) | bits) >>> 0;
    for (const [bytes, vector] of [[FLD1, load], [[0x9b], wait]] as const) {
      if (vector === 0) run(machine, ...bytes);
      else expect(faultOf(machine, ...bytes)).toEqual(fault(vector));
    }
  }
});

it('an instruction does the same with memory at hand and without', () => {
  const programs = [
    [FLD_SINGLE, [0xdc, 0x4e, 0x08], [0xdc, 0x46, 0x10], [0xdb, 0x56, 0x20], [0xdd, 0x5e, 0x28]],
    [[0xdb, 0x46, 0x18], [0xdf, 0x46, 0x1c], FDIVP, [0xd9, 0x56, 0x20], [0xdb, 0x7e, 0x28]],
    [[0xdd, 0x46, 0x08], [0xd9, 0xc0], [0xd9, 0xc9], [0xd8, 0x5e, 0x04], [0xdf, 0xf0], [0xdf, 0x5e, 0x20]],
  ];
  for (const program of programs) {
    const ends = [true, false].map((fast) => {
      const machine = prepared(longMode(createMachine('EPYC-Milan', fast))), { cpu } = machine, { view } = cpu;
      view.setFloat64(RAM + DATA + 8, -3.14159, true);
      view.setFloat64(RAM + DATA + 16, 1e-3, true);
      view.setInt32(RAM + DATA + 24, -77, true);
      view.setInt16(RAM + DATA + 28, 3, true);
      for (const bytes of program) run(machine, ...bytes);
      const x87 = placeOfArea('x87');
      return [cpu.fsw, cpu.ftw, cpu.fop, cpu.fip, cpu.fdp, cpu.rip, [...cpu.u8.slice(x87, x87 + 128)], [...cpu.u8.slice(RAM + DATA, RAM + DATA + 64)]];
    });
    expect(ends[0]).toEqual(ends[1]);
  }
});
