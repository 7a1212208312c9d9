// The page of instruction families is what the tables say.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { supportFile, supportPage } from '../../tools/support.ts';

it('src/semantics/SUPPORT.md is up to date; npm run support writes it', () => {
  expect(readFileSync(supportFile, 'utf8')).toBe(supportPage());
});
