// npm run vectors -- DIR: runs a folder of native vectors in the readings of the instruction set and prints what agrees, by family. The exit
// code is 0 when every case that was run agrees in every reading that was run, 1 when one differs, 2 when the command line is wrong.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { grouped, table, type Column } from '../src/cli/text.ts';
import { createCapabilities } from '../src/model/capabilities.ts';
import { createBench, readForms, readingNames, runCase, type Bench, type Case, type Form, type Reading } from './native-vectors.ts';
import { parseOptions, refuse } from './usage.ts';

const usage = `npm run vectors -- DIR [options]

Runs every FAMILY.jsonl.gz in DIR, in all three readings of the instruction set.

  --family NAMES   only these families, separated by commas
  --reading NAMES  only these readings: reference, interpreter, translator
  --mode NUMBERS   only these code sizes: 64, 32, 16
  --cpu MODEL      processor model (default EPYC-Genoa, which the vectors were taken from)
  --all            every differing form, not only the first of each family
  --json           the result as JSON
`;

/** A fresh engine after so many forms: V8 gives every module that imports a table a copy of its own of that table. */
const FORMS_PER_BENCH = 64;

interface Tally {
  agreed: number; excluded: number; differing: number; reasons: Record<string, number>; examples: Record<string, string>;
  /** Cases that ran in translated code; the others are left to the interpreter (16-bit code, REP, system instructions, …). */
  translated: number;
}
interface Family { readonly name: string; cases: number; readonly tallies: Record<string, Tally> }

const fail = (message: string): never => refuse('vectors', message);

const { values, positionals } = parseOptions('vectors', {
  allowPositionals: true,
  options: {
    family: { type: 'string' }, reading: { type: 'string' }, mode: { type: 'string' }, cpu: { type: 'string', default: 'EPYC-Genoa' },
    all: { type: 'boolean', default: false }, json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(usage);
  process.exit(0);
}
const folder = positionals[0] ?? fail('Name the folder that holds the vectors; --help shows what else it takes.');
if (positionals.length > 1) fail(`One folder at a time, not "${positionals[1]}" as well.`);
if (!existsSync(folder)) fail(`There is no folder ${folder}; check the path.`);
const chosen = (text: string | undefined, all: readonly string[], what: string): readonly string[] => {
  const names = text?.split(',') ?? all;
  for (const name of names) if (!all.includes(name)) fail(`There is no ${what} ${name}; there are ${all.join(', ')}.`);
  return names;
};
const suffix = '.jsonl.gz';
const names = chosen(values.family, readdirSync(folder).filter(name => name.endsWith(suffix)).map(name => name.slice(0, -suffix.length)).sort(), 'family');
if (names.length === 0) fail(`${folder} holds no file that ends in ${suffix}; name a folder of vectors.`);
const modes = chosen(values.mode, ['64', '32', '16'], 'mode').map(Number);

const chosenReadings = chosen(values.reading, readingNames, 'reading') as readonly Reading[];
const open = (reading: Reading): Bench => createBench(reading, createCapabilities(values.cpu));

const families = names.map(runFamily);
const differing = families.some(({ tallies }) => Object.values(tallies).some(tally => tally.differing > 0));
if (values.json) process.stdout.write(`${JSON.stringify({ agrees: !differing, readings: chosenReadings, families }, undefined, 1)}\n`);
else print();
process.exitCode = differing ? 1 : 0;

function runFamily(name: string): Family {
  const family: Family = { name, cases: 0, tallies: {} };
  const benches = new Map<Reading, Bench>();
  for (const reading of chosenReadings) family.tallies[reading] = { agreed: 0, excluded: 0, differing: 0, reasons: {}, examples: {}, translated: 0 };
  let forms = 0;
  for (const form of readForms(join(folder, name + suffix))) {
    if (!modes.includes(form.mode)) continue;
    if (forms++ % FORMS_PER_BENCH === 0) for (const reading of chosenReadings) benches.set(reading, open(reading));
    family.cases += form.cases.length;
    for (const test of form.cases) for (const [reading, bench] of benches) count(family.tallies[reading]!, bench, form, test);
  }
  return family;
}

function count(tally: Tally, bench: Bench, form: Form, test: Case): void {
  const regions = bench.engine.regionCount;
  const { excluded, differs } = attempt(bench, form, test);
  if (bench.engine.regionCount !== regions) tally.translated++;
  if (excluded !== undefined) {
    tally.excluded++;
    tally.reasons[excluded] = (tally.reasons[excluded] ?? 0) + 1;
  } else if (differs.length === 0) tally.agreed++;
  else {
    tally.differing++;
    tally.examples[`${form.code} ${form.mode}`] ??= `${test.b} ${JSON.stringify(test.i)}: ${differs.join('; ')}`;
  }
}

/** A reading that breaks on a case differs there. */
function attempt(bench: Bench, form: Form, test: Case): ReturnType<typeof runCase> {
  try {
    return runCase(bench, form, test);
  } catch (error) {
    return { differs: [`broke: ${(error as Error).message}`] };
  }
}

function print(): void {
  const columns: Column[] = [{ title: 'family' }, { title: 'cases', right: true }, { title: 'excluded', right: true },
    ...chosenReadings.flatMap((reading): Column[] => [{ title: reading, right: true }, { title: 'differ', right: true }])];
  const sum = (of: (family: Family) => number): number => families.reduce((total, family) => total + of(family), 0);
  const row = (name: string, of: (pick: (family: Family) => number) => number): string[] => [
    name, grouped(of(family => family.cases)), grouped(of(family => Math.max(...chosenReadings.map(reading => family.tallies[reading]!.excluded)))),
    ...chosenReadings.flatMap(reading => [grouped(of(family => family.tallies[reading]!.agreed)), grouped(of(family => family.tallies[reading]!.differing))]),
  ];
  process.stdout.write(table(columns, [...families.map(family => row(family.name, pick => pick(family))), row('all', sum)]));
  const translated = sum(family => family.tallies['translator']?.translated ?? 0);
  if (chosenReadings.includes('translator')) process.stdout.write(`\n${grouped(translated)} cases ran in translated code; the translator leaves the rest to the interpreter.\n`);
  printReasons();
  for (const reading of chosenReadings) printExamples(reading);
}

function printReasons(): void {
  const rows = families.flatMap(({ name, tallies }) =>
    Object.entries(tallies[chosenReadings[0]!]!.reasons).map(([reason, cases]) => [name, grouped(cases), reason]));
  if (rows.length > 0) process.stdout.write(`\n${table([{ title: 'excluded' }, { title: 'cases', right: true }, { title: 'because' }], rows)}`);
}

function printExamples(reading: string): void {
  for (const { name, tallies } of families) {
    const examples = Object.entries(tallies[reading]!.examples);
    if (examples.length === 0) continue;
    process.stdout.write(`\n${reading} differs in ${name}: ${examples.length} forms\n`);
    for (const [form, example] of values.all ? examples : examples.slice(0, 1)) process.stdout.write(`  ${form} ${example}\n`);
  }
}
