// Journals with damage of every kind: each is refused with a JournalError, or reads as it was. `MUTANTS=100000` asks for more of them,
// `SEED=n` for others.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JournalError } from '../../journal/error.ts';
import { readAll, temporaryFolder, writeSample } from './sample.ts';

const count = Number(process.env['MUTANTS'] ?? 2000), seed = Number(process.env['SEED'] ?? 1);

/** xorshift32: the same mutants for the same seed. */
function generator(state: number): (below: number) => number {
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

const PAGE = 4096;
type Mutation = (bytes: Buffer, random: (below: number) => number) => Buffer;
const mutations: readonly Mutation[] = [
  (bytes, random) => { bytes[random(bytes.length)] = random(256); return bytes; },
  (bytes, random) => { bytes[random(bytes.length)]! ^= 1 << random(8); return bytes; },
  (bytes, random) => { for (let each = random(30); each >= 0; each--) bytes[random(bytes.length)] = random(256); return bytes; },
  // The file's header, and the headers and cell pointers of its pages, are where structure is.
  (bytes, random) => { bytes[random(100)] = random(256); return bytes; },
  (bytes, random) => { bytes[random(bytes.length / PAGE) * PAGE + random(40)] = random(256); return bytes; },
  (bytes, random) => bytes.subarray(0, random(bytes.length)),
  (bytes, random) => { const at = random(bytes.length); return bytes.fill(random(2) * 255, at, Math.min(bytes.length, at + random(64))); },
  (bytes, random) => { bytes.writeInt32BE([0, -1, 0x7fffffff, -0x80000000][random(4)]!, random(bytes.length - 4)); return bytes; },
  // One page takes the place of another.
  (bytes, random) => { const from = random(bytes.length / PAGE) * PAGE; bytes.copyWithin(random(bytes.length / PAGE) * PAGE, from, from + PAGE); return bytes; },
  (bytes, random) => { const from = random(bytes.length), length = random(200); bytes.copyWithin(random(bytes.length), from, from + length); return bytes; },
];

const text = (value: unknown): string => JSON.stringify(value, (_, each: unknown) => typeof each === 'bigint' ? `${each}n` : each);

test(`${count} damaged journals`, { timeout: 60_000 + count * 20 }, () => {
  const folder = temporaryFolder(), whole = join(folder, 'whole'), path = join(folder, 'damaged');
  writeSample(whole, 3);
  const original = readFileSync(whole), events = text(readAll(whole));
  const random = generator(seed);
  let read = 0;
  for (let index = 0; index < count; index++) {
    const damaged = mutations[random(mutations.length)]!(Buffer.from(original), random);
    writeFileSync(path, damaged);
    try {
      const found = text(readAll(path));
      // A file that ends early at a page boundary of the free list, or damage where nothing is, changes nothing.
      if (found !== events) throw new Error(`mutant ${index} of seed ${seed} reads as something else`);
      read++;
    } catch (error) {
      if (!(error instanceof JournalError)) throw new Error(`mutant ${index} of seed ${seed}`, { cause: error });
      if (error.message.length > 600) throw new Error(`mutant ${index} of seed ${seed}: a message of ${error.message.length} characters`, { cause: error });
    }
  }
  expect(read).toBeGreaterThan(0);
  expect(process.memoryUsage().rss).toBeLessThan(2 ** 30);
});
