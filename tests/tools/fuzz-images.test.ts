// A thousand damaged images on every test run; tools/fuzz-images.ts does a hundred thousand. It runs built code in threads, so it needs `npm test`.
import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { inProject } from '../../tools/project.ts';

const built = process.env['RETROVISOR_BUILT'] === '1';

test.runIf(built).each(['interpreter', 'translator'])('damaged images are refused or run (%s)', (tier) => {
  const { stdout, stderr, status } = spawnSync(process.execPath, [inProject('dist/tools/fuzz-images.js'), '--cases', '1000', '--seed', '3', '--tier', tier], { encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^1000 images, seed 3, .* refused/);
  expect(status).toBe(0);
});
