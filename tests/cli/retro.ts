// Runs the command line as a user would. `npm test` has built it and says so; otherwise it runs from the source, which takes longer.
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { inProject, retro as built } from '../../tools/project.ts';

const fromSource = [createRequire(import.meta.url).resolve('tsx/cli'), inProject('src/cli/main.ts')];
const program = process.env['RETROVISOR_BUILT'] === '1' ? [built] : fromSource;

export function retro(...words: string[]): { stdout: string; stderr: string; status: number | null } {
  const { stdout, stderr, status } = spawnSync(process.execPath, [...program, ...words], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: 60_000 });
  return { stdout, stderr, status };
}
