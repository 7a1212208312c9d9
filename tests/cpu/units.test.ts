// What lets an instruction of the vector units execute: the mode key and the reference say the same of every combination of control bits.
import { describe, expect, it } from 'vitest';
import { CR0, CR4 } from '../../src/cpu/controls.ts';
import { modeKey, modeOf, unitsOf } from '../../src/cpu/mode.ts';
import { bindCpu, RAM, resetCpu } from '../../src/cpu/state.ts';
import { unitFault } from '../../src/cpu/units.ts';
import { decode } from '../../src/isa/decode.ts';
import type { Instruction } from '../../src/isa/instruction.ts';

const UD = 6, NM = 7, OS = BigInt(CR4.OSFXSR | CR4.OSXSAVE);
const cpu = bindCpu(new ArrayBuffer(RAM));
function units(cr0: number, cr4: bigint, xcr0: bigint, vm = false) {
  resetCpu(cpu);
  cpu.cr0 = cr0;
  cpu.cr4 = cr4;
  cpu.xcr0 = xcr0;
  if (vm) cpu.rflagsSystem |= 0x20000;
  const found = modeOf(modeKey(cpu)).units;
  expect(found).toEqual(unitsOf(cpu));
  return found;
}
const instruction = (...bytes: number[]): Instruction => decode(Uint8Array.from(bytes), 0, bytes.length, 32, () => true) as Instruction;
const instructions = {
  addps: instruction(0x0f, 0x58, 0xc1), vaddps: instruction(0xc5, 0xec, 0x58, 0xd9), vzeroupper: instruction(0xc5, 0xf8, 0x77),
  paddb: instruction(0x0f, 0xfc, 0xc1), andn: instruction(0xc4, 0xe2, 0x60, 0xf2, 0xc8), popcnt: instruction(0xf3, 0x0f, 0xb8, 0xc0),
};

describe('an instruction of the vector units', () => {
  it.each([
    ['with everything enabled', units(CR0.PE, OS, 7n), {}],
    ['without CR4.OSFXSR', units(CR0.PE, BigInt(CR4.OSXSAVE), 7n), { addps: UD }],
    ['without CR4.OSXSAVE', units(CR0.PE, BigInt(CR4.OSFXSR), 7n), { vaddps: UD, vzeroupper: UD }],
    ['without AVX state', units(CR0.PE, OS, 3n), { vaddps: UD, vzeroupper: UD }],
    ['with CR0.EM', units(CR0.PE | CR0.EM, OS, 7n), { addps: UD, paddb: UD }],
    ['with CR0.TS', units(CR0.PE | CR0.TS, OS, 7n), { addps: NM, vaddps: NM, vzeroupper: NM, paddb: NM }],
    ['in real mode', units(0, OS, 7n), { vaddps: UD, vzeroupper: UD, andn: UD }],
    ['in virtual-8086 mode', units(CR0.PE, OS, 7n, true), { vaddps: UD, vzeroupper: UD, andn: UD }],
  ] as const)('%s', (_, found, faults) => {
    const all = Object.entries(instructions).map(([name, each]) => [name, unitFault(each, found)] as const);
    expect(Object.fromEntries(all.filter(([, vector]) => vector !== 0))).toEqual(faults);
  });
});
