// A wrong command line is answered with one sentence and exit code 2, by every tool.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { expect, test } from 'vitest';
import { inProject } from '../../tools/project.ts';

const tsx = createRequire(import.meta.url).resolve('tsx/cli');

test.each([
  [['bench', 'alu'], /^bench: Unexpected argument 'alu'; --help shows/],
  [['bench', '--phases', 'alu,beta'], /^bench: --phases cannot be "beta"; it is one of alu,/],
  [['vectors'], /^vectors: Name the folder/],
  [['kvm-unit-tests', '--frob'], /^kvm-unit-tests: Unknown option '--frob'; --help shows/],
  [['fuzz-images', '--cases', 'many'], /^fuzz-images: --cases cannot be "many"; it is a number from 1 up\./],
  [['start', '--shift', '3'], /^start: Unknown option '--shift'; it takes no options\./],
  [['support', 'page'], /^support: Unexpected argument 'page'; it takes no options\./],
  [['compare-decoder', 'many'], /^compare-decoder: cases per mode cannot be "many"/],
])('%j', ([tool, ...words], sentence) => {
  const { stderr, status } = spawnSync(process.execPath, [tsx, inProject(`tools/${tool}.ts`), ...words], { encoding: 'utf8', timeout: 30_000 });
  expect(stderr).toMatch(sentence);
  expect(stderr.trim().split('\n')).toHaveLength(1);
  expect(status).toBe(2);
}, 40_000);
