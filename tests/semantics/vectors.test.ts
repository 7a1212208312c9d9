// The sample of native vectors in every reading: each case agrees in every flag and register, or its instruction has no meaning yet.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { createCapabilities } from '../../src/model/capabilities.ts';
import { createBench, readForms, readingNames, runCase, type Bench } from '../../tools/native-vectors.ts';

const folder = fileURLToPath(new URL('../vectors/', import.meta.url));
const families = readdirSync(folder).filter(name => name.endsWith('.jsonl.gz')).map(name => name.slice(0, -'.jsonl.gz'.length));

/** V8 gives every module that imports a table a copy of its own: a fresh engine now and then. */
const FORMS_PER_BENCH = 64;

describe.each(readingNames)('the %s', reading => {
  const open = (): Bench => createBench(reading, createCapabilities('EPYC-Genoa'));

  it.each(families)('agrees with the processor in %s', family => {
    const differences: string[] = [];
    let bench = open(), forms = 0, agreed = 0;
    for (const form of readForms(`${folder}${family}.jsonl.gz`)) {
      if (++forms % FORMS_PER_BENCH === 0) bench = open();
      for (const test of form.cases) {
        const { excluded, differs } = runCase(bench, form, test);
        if (differs.length > 0) differences.push(`${form.code} ${form.mode} ${test.b}: ${differs.join('; ')}`);
        else if (excluded === undefined) agreed++;
      }
    }
    expect(differences.slice(0, 5)).toEqual([]);
    expect(agreed).toBeGreaterThan(20);
  });
});
