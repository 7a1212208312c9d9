// The sample guest, stopped at many places and run in every tier, ends in one and the same state: when the run loop comes back, and what
// runs the instructions, cannot be seen.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createBoard } from '../../src/board/board.ts';
import { createKvm } from '../../src/kvm/system.ts';
import type { Tier } from '../../src/kvm/api.ts';

function runGuest(bits: 32 | 64, line: string, tier: Tier, distance: (stop: number) => number): unknown {
  const vm = createKvm().createVm({ cpu: 'EPYC-Milan', behaviours: {}, ramBytes: 192 << 20, tier, seed: 1n, quantum: 1000, tscKhz: 1_000_000 });
  let output = '';
  const board = createBoard(vm, { cpuCount: 1, quantum: 1000, onOutput: (byte) => { output += String.fromCharCode(byte); } });
  board.loadImage(readFileSync(new URL(`../programs/bench/out/bench${bits}.elf`, import.meta.url)), `bench ${line}`);
  let stop = board.run(BigInt(distance(0)));
  for (let count = 1; stop.kind === 'reached'; count++) stop = board.run(board.icount() + BigInt(distance(count)));
  return { stop, output, icount: board.icount(), vcpu: vm.vcpus[0]!.digest(), memory: vm.memoryDigest(), accesses: vm.accessDigest(), board: board.digest() };
}

const whole = (): number => 2 ** 40;
/** Distances that look random and are always the same. */
const upTo = (most: number) => (stop: number): number => 1 + (Math.imul(stop + 1, 0x9e3779b1) >>> 8) % most;

test.each([32, 64] as const)('the %i-bit sample guest does not notice where it is stopped', (bits) => {
  const line = 'shift=15 int80 pf portio smc smcdata repstr alu';
  const expected = runGuest(bits, line, 'interpreter', whole);
  expect(expected).toMatchObject({ stop: { kind: 'exited' } });
  for (const most of [5000, 61]) expect(runGuest(bits, line, 'interpreter', upTo(most))).toEqual(expected);
});

test.each([32, 64] as const)('the %i-bit sample guest ends alike in every tier', (bits) => {
  const line = 'shift=15 int80 pf portio smc repstr';
  const expected = runGuest(bits, line, 'reference', whole);
  for (const tier of ['interpreter', 'auto'] as const) expect(runGuest(bits, line, tier, whole)).toEqual(expected);
});
