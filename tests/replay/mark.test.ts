// A machine that is put back to a mark is the machine that was there: it takes the same steps again, its code included. And one step under the
// magnifying glass leaves the machine as it was.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createKvm } from '../../src/kvm/system.ts';
import { differencesBetween } from '../../src/replay/difference.ts';
import { assemble, digestOf, type Machine } from '../../src/replay/machine.ts';
import { copyMachine, createMark } from '../../src/replay/mark.ts';
import { probe } from '../../src/replay/probe.ts';
import { machine as header } from './recording.ts';

const kvm = createKvm(), config = { ...header, model: 'EPYC-Genoa-v3', ramBytes: 16 << 20 };
function start(name: string, tier: 'interpreter' | 'translator'): Machine {
  const machine = assemble(config, kvm, tier);
  machine.board.loadImage(readFileSync(new URL(`../programs/out/${name}.elf`, import.meta.url)), name);
  return machine;
}

describe.each([['selfmodify', 'interpreter'], ['selfmodify', 'translator'], ['smm', 'translator'], ['inject', 'translator']] as const)('%s in the %s', (name, tier) => {
  test('goes back, and the same way again', () => {
    const machine = start(name, tier), { board } = machine;
    board.run(3000n);
    const mark = createMark(machine), there = digestOf(machine);
    for (const further of [1000n, 5n, 100_000n]) {
      board.run(3000n + further);
      const ahead = digestOf(machine), copy = start(name, 'interpreter');
      mark.back();
      expect(digestOf(machine)).toBe(there);
      board.run(3000n + further);
      expect(digestOf(machine)).toBe(ahead);
      copy.board.run(3000n + further);
      expect(differencesBetween(machine, copy)).toEqual([]);
      mark.back();
    }
  });
});

test('a copy goes on as the machine does, and a probe changes nothing', () => {
  const machine = start('inject', 'interpreter');
  machine.board.run(3684n);
  const before = digestOf(machine), step = probe(machine, config, kvm);
  expect(digestOf(machine)).toBe(before);
  expect(step.transitions.map(({ kind }) => kind)).toEqual(['Vmrun', 'VmExit']);
  expect(step.transitions[0]!.checks!.every(({ passed }) => passed)).toBe(true);
  expect([...step.asked.keys()]).toContain('nsvm.eventinj-vectors');
  const copy = copyMachine(machine, config, kvm, 'translator');
  for (const { board } of [machine, copy]) board.run(5000n);
  expect(digestOf(copy)).toBe(digestOf(machine));
});
