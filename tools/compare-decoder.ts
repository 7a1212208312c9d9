// Runs millions of random cases of the decoder against iced-x86 and prints every kind of difference with its count and two examples.
// npx tsx tools/compare-decoder.ts [cases per mode] [seed] [kinds, separated by commas]
import type { CodeSize } from '../src/isa/instruction.ts';
import { compareCells, fillCells, randomSource } from '../tests/isa/iced.ts';
import { naturalOf, wordsOf } from './usage.ts';

const casesPerMode = naturalOf('compare-decoder', 'cases per mode', process.argv[2] ?? '1000000', 1), seed = naturalOf('compare-decoder', 'seed', process.argv[3] ?? '1');
const kinds = process.argv[4] === undefined ? undefined : wordsOf('compare-decoder', 'kinds', process.argv[4], ['plain', '0f', '0f38', '0f3a', 'vex', 'raw']);
const cellsPerBatch = 4096;
for (const mode of [64, 32, 16] as CodeSize[]) {
  const next = randomSource(seed * 3 + mode);
  const bytes = new Uint8Array(cellsPerBatch * 16 + 16);
  const found = new Map<string, { count: number; examples: string[] }>();
  const withoutRow = new Map<string, number>();
  let cases = 0, valid = 0;
  while (cases < casesPerMode) {
    fillCells(bytes, next, kinds);
    const result = compareCells(bytes, 16, mode, (difference, code) => {
      const key = `${difference.what} ${code}${difference.what === 'we accept' ? ` ${difference.ours}` : ''}`;
      const entry = found.get(key) ?? { count: 0, examples: [] };
      entry.count++;
      if (entry.examples.length < 2) entry.examples.push(`${difference.bytes}  ours: ${difference.ours}  theirs: ${difference.theirs}`);
      found.set(key, entry);
    });
    cases += result.cases; valid += result.valid;
    for (const [name, count] of result.withoutRow) withoutRow.set(name, (withoutRow.get(name) ?? 0) + count);
  }
  const total = [...found.values()].reduce((sum, entry) => sum + entry.count, 0);
  console.log(`${mode}-bit: ${cases} cases, ${valid} valid, ${[...withoutRow.values()].reduce((sum, count) => sum + count, 0)} without a row, ${total} differences of ${found.size} kinds`);
  if (withoutRow.size) console.log(`  without a row: ${[...withoutRow].sort((a, b) => b[1] - a[1]).map(([name, count]) => `${name} ${count}`).join(', ')}`);
  for (const [key, { count, examples }] of [...found].sort((a, b) => b[1].count - a[1].count)) console.log(`  ${count}  ${key}\n      ${examples.join('\n      ')}`);
}
