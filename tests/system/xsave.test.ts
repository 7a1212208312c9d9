// XSAVE and its family over literal states: formats, init optimization, what XRSTOR refuses, the offsets of the vendors.
import { expect, it } from 'vitest';
import { CR0, CR4 } from '../../src/cpu/controls.ts';
import { placeOfArea, placeOfRegister, RAM } from '../../src/cpu/state.ts';
import { cpuidOf, resolveModel } from '../../src/model/models.ts';
import { createMachine, fault, faultOf, longMode, run, type TestMachine } from './machine.ts';

const AREA = 0x40000, HEADER = AREA + 512, COMPACTED = 1n << 63n;
const XSAVE = [0x0f, 0xae, 0x23], XRSTOR = [0x0f, 0xae, 0x2b], XSAVEOPT = [0x0f, 0xae, 0x33], XSAVEC = [0x0f, 0xc7, 0x23], XSAVES = [0x0f, 0xc7, 0x2b], XRSTORS = [0x0f, 0xc7, 0x1b];
const wide = (bytes: number[]): number[] => [0x48, ...bytes];

/** rBX names the area, EDX:EAX all components; x87 as FNINIT leaves it. */
function machineWith(model = 'EPYC-Milan', cpl = 0): TestMachine {
  const machine = longMode(createMachine(model), cpl), { cpu } = machine;
  cpu.cr4 |= BigInt(CR4.OSXSAVE | CR4.PKE);
  cpu.xcr0 = 0x203n;
  cpu.rbx = BigInt(AREA);
  cpu.rax = cpu.rdx = 0xffffffffn;
  cpu.fcw = 0x37f;
  return machine;
}
const setXmm = ({ cpu }: TestMachine, register: number, value: bigint): void => { cpu.u64[placeOfRegister('vector', register) >> 3] = value; };
const xmm = ({ cpu }: TestMachine, register: number): bigint => cpu.u64[placeOfRegister('vector', register) >> 3]!;

it('XSAVE stores what is asked for and says what is in use; other bits of XSTATE_BV stay', () => {
  const machine = machineWith(), { cpu } = machine;
  setXmm(machine, 15, 0x1122334455667788n);
  cpu.pkru = 0x55555554;
  machine.cpu.view.setBigUint64(RAM + HEADER, 0xf0n, true);
  machine.at(HEADER + 8, 0xee);
  run(machine, ...XSAVE);
  expect(machine.qword(HEADER)).toBe(0xf0n | 0x202n);
  expect(machine.qword(HEADER + 8)).toBe(0xeen);
  expect(machine.qword(AREA + 160 + 15 * 16)).toBe(0x1122334455667788n);
  expect(machine.dword(AREA + 24)).toBe(0x1f80);
  expect(machine.word(AREA)).toBe(0x37f);
  expect(machine.dword(AREA + 0x980)).toBe(0x55555554);
});

it('PKRU stands where the vendor puts it', () => {
  const machine = machineWith('SapphireRapids');
  machine.cpu.pkru = 1;
  run(machine, ...XSAVE);
  expect(machine.dword(AREA + 0xa80)).toBe(1);
});

it('XSAVEOPT leaves initial components out, XSAVEC packs', () => {
  const machine = machineWith(), { cpu } = machine;
  cpu.pkru = 4;
  machine.at(AREA, 0x99);
  machine.at(AREA + 160, 0x99);
  run(machine, ...XSAVEOPT);
  expect([machine.word(AREA), machine.word(AREA + 160), machine.dword(AREA + 24)]).toEqual([0x99, 0x99, 0x1f80]);
  expect(machine.qword(HEADER)).toBe(0x200n);
  run(machine, ...XSAVEC);
  expect(machine.qword(HEADER + 8)).toBe(COMPACTED | 0x203n);
  expect(machine.dword(AREA + 576)).toBe(4);
  cpu.mxcsr = 0x1fa0;
  run(machine, ...XSAVEC);
  expect(machine.qword(HEADER)).toBe(0x202n);
});

it('XRSTOR brings back what was stored and initializes the rest', () => {
  for (const [save, load] of [[XSAVE, XRSTOR], [XSAVEOPT, XRSTOR], [XSAVEC, XRSTOR], [XSAVES, XRSTORS]] as const) {
    const machine = machineWith(), { cpu } = machine;
    cpu.pkru = 8;
    cpu.mxcsr = 0x1f81;
    setXmm(machine, 3, 7n);
    cpu.fip = 0x1234567890abn;
    cpu.fsw = 0x3800;
    cpu.ftw = 0x80;
    cpu.u64[placeOfArea('x87') + 112 >> 3] = 99n;
    run(machine, ...wide(save));
    Object.assign(cpu, { pkru: 0, mxcsr: 0x1f80, fip: 0n, fsw: 0, ftw: 0 });
    cpu.u64[placeOfArea('x87') + 112 >> 3] = 1n;
    setXmm(machine, 3, 0n);
    setXmm(machine, 4, 5n);
    run(machine, ...wide(load));
    expect([cpu.pkru, cpu.mxcsr, cpu.fip, cpu.fsw, cpu.ftw, xmm(machine, 3), xmm(machine, 4)]).toEqual([8, 0x1f81, 0x1234567890abn, 0x3800, 0x80, 7n, 0n]);
    expect(cpu.u64[placeOfArea('x87') + 112 >> 3]).toBe(99n);
    // Nothing present: all initial. Only PKRU chosen: only PKRU.
    machine.cpu.view.setBigUint64(RAM + HEADER, 0n, true);
    cpu.rax = 0x200n;
    run(machine, ...wide(load));
    expect([cpu.pkru, xmm(machine, 3)]).toEqual([0, 7n]);
    cpu.rax = 0xffffffffn;
    run(machine, ...wide(load));
    expect([cpu.fip, cpu.ftw, xmm(machine, 3)]).toEqual([0n, 0, 0n]);
    // MXCSR of the standard format is loaded whatever XSTATE_BV says.
    expect(cpu.mxcsr).toBe(save === XSAVE || save === XSAVEOPT ? 0x1f81 : 0x1f80);
  }
});

it('upper halves stand behind the header, of eight registers outside 64-bit mode; compacted areas have no holes', () => {
  const machine = machineWith('EPYC-Genoa'), { cpu } = machine;
  const upper = (register: number): number => placeOfRegister('vector', register) + 16 >> 3;
  cpu.xcr0 = 0x207n;
  cpu.pkru = 12;
  for (let register = 0; register < 16; register++) cpu.u64[upper(register)] = BigInt(register + 1);
  run(machine, ...XSAVE);
  expect([machine.qword(HEADER), machine.qword(AREA + 0x240), machine.qword(AREA + 0x240 + 15 * 16), machine.dword(AREA + 0x980)]).toEqual([0x204n, 1n, 16n, 12]);
  cpu.rbx = BigInt(AREA + 0x1000);
  run(machine, ...XSAVEC);
  expect([machine.qword(HEADER + 0x1000), machine.qword(AREA + 0x1240), machine.dword(AREA + 0x1340)]).toEqual([0x204n, 1n, 12]);
  cpu.u8.fill(0, placeOfRegister('vector', 0), placeOfRegister('vector', 16));
  run(machine, ...XRSTOR);
  expect([0, 7, 15].map((register) => cpu.u64[upper(register)])).toEqual([1n, 8n, 16n]);
  // In 32-bit code the other eight neither move nor change.
  Object.assign(cpu.cs, { attributes: 0xc9b });
  run(machine, ...XSAVE);
  machine.cpu.view.setBigUint64(RAM + AREA + 0x1000 + 512, 0n, true);
  machine.cpu.view.setBigUint64(RAM + AREA + 0x1000 + 520, 0n, true);
  run(machine, ...XRSTOR);
  expect([0, 7, 8, 15].map((register) => cpu.u64[upper(register)])).toEqual([0n, 0n, 9n, 16n]);
});

it('XSAVES takes the shadow-stack registers, and XRSTORS refuses what WRMSR would', () => {
  const machine = machineWith('EPYC-Genoa,+cet-ss'), { cpu } = machine;
  cpu.xss = 0x1800n;
  Object.assign(cpu, { uCet: 3n, pl3Ssp: 0x7000n, pl0Ssp: 0x8000n, pl2Ssp: 0x9000n });
  run(machine, ...XSAVES);
  expect([machine.qword(HEADER), machine.qword(HEADER + 8)]).toEqual([0x1800n, COMPACTED | 0x1a03n]);
  Object.assign(cpu, { uCet: 0n, pl3Ssp: 0n, pl0Ssp: 0n, pl2Ssp: 0n });
  run(machine, ...XRSTORS);
  expect([cpu.uCet, cpu.pl3Ssp, cpu.pl0Ssp, cpu.pl2Ssp]).toEqual([3n, 0x7000n, 0x8000n, 0x9000n]);
  // PKRU comes first: 8 bytes.
  for (const [at, value] of [[584, 4n], [592, 1n], [600, 2n]] as const) {
    const before = machine.qword(AREA + at);
    machine.cpu.view.setBigUint64(RAM + AREA + at, value, true);
    expect(faultOf(machine, ...XRSTORS)).toEqual(fault(13));
    machine.cpu.view.setBigUint64(RAM + AREA + at, before, true);
  }
});

it('faults: #UD without OSXSAVE, #NM with TS, #GP for alignment, privilege and headers that cannot be', () => {
  const machine = machineWith(), { cpu } = machine;
  const refused = (at: number, value: bigint, compaction: bigint): void => {
    machine.cpu.u8.fill(0, RAM + HEADER, RAM + HEADER + 64);
    machine.cpu.view.setBigUint64(RAM + HEADER + 8, compaction, true);
    machine.cpu.view.setBigUint64(RAM + HEADER + at, value, true);
    expect(faultOf(machine, ...XRSTOR)).toEqual(fault(13));
  };
  refused(0, 4n, 0n);
  refused(8, 1n, 0n);
  refused(16, 1n, 0n);
  refused(0, 2n, COMPACTED | 1n);
  refused(8, COMPACTED | 4n, 0n);
  refused(40, 1n, COMPACTED | 3n);
  machine.cpu.u8.fill(0, RAM + HEADER, RAM + HEADER + 64);
  expect(faultOf(machine, ...XRSTORS)).toEqual(fault(13));
  machine.cpu.view.setUint32(RAM + AREA + 24, 0x10000, true);
  expect(faultOf(machine, ...XRSTOR)).toEqual(fault(13));
  cpu.rbx += 32n;
  expect(faultOf(machine, ...XSAVE)).toEqual(fault(13));
  cpu.cr0 |= CR0.TS;
  expect(faultOf(machine, ...XSAVE)).toEqual(fault(7));
  cpu.cr4 &= ~BigInt(CR4.OSXSAVE);
  expect(faultOf(machine, ...XSAVE)).toEqual(fault(6));
  expect(faultOf(machineWith('EPYC-Milan', 3), ...XSAVES)).toEqual(fault(13));
});

it('a page that is missing leaves the area alone', () => {
  const machine = machineWith(), { cpu } = machine;
  cpu.rbx = 0x40dc0n;
  cpu.pkru = 1;
  machine.missing.add(0x41);
  expect(faultOf(machine, ...XSAVE)).toMatchObject({ vector: 14, errorCode: 2 });
  expect(machine.word(0x40dc0)).toBe(0);
});

it('XGETBV(1) gives what is in use', () => {
  const machine = machineWith(), { cpu } = machine;
  const inUse = (): bigint => {
    cpu.rcx = 1n;
    run(machine, 0x0f, 0x01, 0xd0);
    return cpu.rax;
  };
  expect(inUse()).toBe(0n);
  cpu.pkru = 1;
  cpu.mxcsr = 0;
  cpu.fsw = 1;
  expect(inUse()).toBe(0x203n);
});

it('leaf 0DH holds the components of the claimed features', () => {
  const model = resolveModel('EPYC-Milan,-pku');
  expect(cpuidOf(model, 0xd, 0)[0] & 0x200).toBe(0);
  expect(cpuidOf(model, 0xd, 9)).toEqual([0, 0, 0, 0]);
  expect(cpuidOf(resolveModel('EPYC-Rome,+pku'), 0xd, 9)).toEqual([8, 0x980, 0, 0]);
  expect(cpuidOf(resolveModel('Haswell,+pku'), 0xd, 9)).toEqual([8, 0xa80, 0, 0]);
  expect(cpuidOf(resolveModel('EPYC-Milan,-xsave'), 0xd, 0)).toEqual([0, 0, 0, 0]);
});
