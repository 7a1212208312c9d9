// Linear-address masking: which pointers may carry metadata, and where they may not.
import { expect, it } from 'vitest';
import { CR4, CR3_LAM_U48, CR3_LAM_U57, untagged } from '../../src/cpu/controls.ts';
import { controlChecks, type ControlState } from '../../src/transitions/controls.ts';
import { createCapabilities } from '../../src/model/capabilities.ts';
import { createMachine, fault, faultOf, longMode, run } from './machine.ts';

const USER = 0x00007fff_00000123n, SUPER = 0xffff8000_00000123n;
const hex = (value: bigint): string => value.toString(16);

it('CR3 decides for user pointers, CR4 for those of the supervisor', () => {
  const { cpu } = longMode(createMachine());
  const seen = (linear: bigint): string => hex(untagged(cpu, linear));
  const tagged57 = USER | 0x7en << 56n, tagged48 = USER | 0x7fffn << 48n, taggedSuper = SUPER & ~(0x7fffn << 48n);
  expect([tagged57, tagged48, taggedSuper].map(seen)).toEqual([tagged57, tagged48, taggedSuper].map(hex));
  cpu.cr3 = CR3_LAM_U57;
  expect([seen(tagged57), seen(tagged48), seen(taggedSuper)]).toEqual([hex(USER), hex(USER | 0x1ffn << 48n), hex(taggedSuper)]);
  cpu.cr3 = CR3_LAM_U48;
  expect([seen(tagged57), seen(tagged48)]).toEqual([hex(USER), hex(USER)]);
  cpu.cr4 |= BigInt(CR4.LAM_SUP);
  expect(seen(taggedSuper)).toBe(hex(SUPER));
  cpu.cr4 |= BigInt(CR4.LA57);
  expect(seen(taggedSuper)).toBe(hex(taggedSuper | 0x7en << 56n));
});

it('a tagged pointer of a system instruction reaches what it points to', () => {
  const machine = longMode(createMachine()), { cpu } = machine, sgdt = [0x0f, 0x01, 0x00];
  cpu.rax = 0x4a00_0000_0004_0000n;
  expect(faultOf(machine, ...sgdt)).toEqual(fault(13));
  cpu.cr3 = CR3_LAM_U48;
  run(machine, ...sgdt);
  expect(machine.word(0x40000)).toBe(0x7f);
});

it('the bits of CR3 need the feature, and are asked for only where they are set', () => {
  const check = controlChecks.find(({ id }) => id === 'cr3.reserved')!;
  const state = (cr3: bigint): ControlState => ({ cr0: 0x80000001n, cr3, cr4: BigInt(CR4.PAE), efer: 0x500n, csLong: true, task16: false });
  const without = createCapabilities('EPYC-Milan'), having = createCapabilities('SapphireRapids,+lam');
  expect(check.holds(state(0x1000n), without)).toBe(true);
  expect(without.footprint().has('lam')).toBe(false);
  expect([CR3_LAM_U48, CR3_LAM_U57, CR3_LAM_U48 | 1n << 60n].map((cr3) => [check.holds(state(cr3), without), check.holds(state(cr3), having)]))
    .toEqual([[false, true], [false, true], [false, false]]);
});
