// Every row of the opcode tables has a meaning, is done by the system code, or says why nobody does it. A family of rows that has no
// meaning yet is named here once, and has to leave this table when it gets its meanings.
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import type { Row } from '../../src/isa/opcodes/row.ts';
import { knownMnemonics } from '../../src/semantics/index.ts';

const folder = new URL('../../src/isa/opcodes/', import.meta.url);

/** File or folder of src/isa/opcodes, and why its rows have no meaning. */
const families: Readonly<Record<string, string>> = {
  'sse/': 'SSE is an issue of its own; CPUID does not claim it',
  'avx/mask.ts': 'opmasks come with AVX-512',
  'avx/xop.ts': 'XOP and LWP are on no model later than 2013',
  'avx512/': 'AVX-512 is an issue of its own; CPUID does not claim it',
  'amd3d.ts': '3DNow! is on no model later than 2010',
  'extensions.ts': 'no model that can be chosen claims these',
};

async function rowsOf(file: string): Promise<readonly Row[]> {
  const module = await import(new URL(file, folder).href) as Record<string, unknown>;
  const isRows = (value: unknown): value is readonly Row[] => Array.isArray(value) && value.every((item) => Array.isArray(item) && typeof item[1] === 'string');
  return Object.values(module).filter(isRows).flat();
}

test('every opcode row has a meaning or a stated reason', async () => {
  const files = (readdirSync(fileURLToPath(folder), { recursive: true }) as string[]).filter((file) => file.endsWith('.ts')).sort();
  const known = new Set(knownMnemonics()), without = new Map<string, number>();
  for (const file of files) {
    const family = Object.keys(families).find((name) => file.startsWith(name)) ?? file;
    const missing = (await rowsOf(file)).filter(([mnemonic]) => !known.has(mnemonic));
    if (missing.length > 0) without.set(family in families ? family : `${family}: ${missing.map(([mnemonic]) => mnemonic).slice(0, 5).join(' ')}`, missing.length);
  }
  expect([...without].filter(([family]) => !(family in families))).toEqual([]);
  expect(Object.keys(families).filter((family) => !without.has(family)), 'these have their meanings now').toEqual([]);
});
