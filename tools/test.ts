// Runs every test (`npm test`): vitest's own report, then one plain line that a machine can read. Further arguments go to vitest.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { inProject, root } from './project.ts';

const vitest = join(dirname(createRequire(import.meta.url).resolve('vitest/package.json')), 'vitest.mjs');
const report = inProject('dist/test-report.json');
rmSync(report, { force: true });
const { status } = spawnSync(process.execPath, [vitest, 'run', '--config', 'tools/vitest.config.ts',
  '--reporter=default', '--reporter=json', `--outputFile.json=${report}`, ...process.argv.slice(2)],
{ cwd: root, stdio: 'inherit', env: { ...process.env, RETROVISOR_BUILT: '1' } });

function count(): { numPassedTests: number; numFailedTests: number } {
  try {
    return JSON.parse(readFileSync(report, 'utf8')) as ReturnType<typeof count>;
  } catch {
    return { numPassedTests: 0, numFailedTests: 0 };
  }
}
const { numPassedTests: passed, numFailedTests: failed } = count();
// A file that does not load has no tests to count, yet vitest fails: it counts as one.
const unloaded = status !== 0 && failed === 0 ? 1 : 0;
process.stdout.write(`\n${passed} passed, ${failed + unloaded} failed\n`);
process.exit(status ?? 1);
