// Random programs show the same state at every stop under the reference and under the other two engines, which group and translate code
// as soon as they have seen it once.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createCapabilities } from '../../src/model/capabilities.ts';
import { createReference } from '../../src/semantics/reference.ts';
import { createEngine } from '../../src/wasm/index.ts';
import { createFlatMachine } from '../../tools/flat-machine.ts';
import { compare, instructionPool, makeProgram, withoutMemory, type Side } from './sequences.ts';

const folder = fileURLToPath(new URL('../vectors/', import.meta.url));
const filesOf = (families: RegExp): string[] => readdirSync(folder).filter((name) => families.test(name)).map((name) => folder + name);
const integers = filesOf(/^(integer|shift|muldiv|bit|bmi|bcd|string|lock|stackbranch)\./), vectors = filesOf(/^(integer|sse|sse2|sse3_4|crypto|avx|avx2|fma)\./);

const open = (kind: 'reference' | 'interpreter' | 'translator'): Side => {
  const machine = createFlatMachine(createCapabilities('EPYC-Genoa'));
  return { machine, engine: kind === 'reference' ? createReference(machine) : createEngine(kind, { ...machine, eager: true }) };
};

describe.each(['interpreter', 'translator'] as const)('the %s', (kind) => {
  it.each([
    [64, 'integers', integers, 60], [32, 'integers', integers, 60], [16, 'integers', integers, 60], [64, 'vectors', vectors, 30], [32, 'vectors', vectors, 20],
  ] as const)('agrees with the reference on random programs of %i-bit code with %s', (mode, _, files, programs) => {
    const left = open('reference'), right = open(kind);
    const { has } = left.machine;
    const pool = instructionPool(files, mode, has), registers = withoutMemory(pool, mode, has);
    for (let seed = 1; seed <= programs; seed++) {
      const difference = compare(left, right, makeProgram(seed, mode, pool, registers), 300);
      expect(difference, `seed ${seed}`).toBeUndefined();
    }
  });
});
