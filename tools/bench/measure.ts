// Runs a program and says how much CPU it took, helper threads included: on a shared machine CPU seconds repeat, wall seconds do not.
// Node does not tell what a child used, bash does.
import { spawnSync } from 'node:child_process';

export interface Measured {
  readonly cpuSeconds: number;
  readonly wallSeconds: number;
  readonly output: string;
  readonly errors: string;
  readonly status: number | null;
}

export function measure(command: readonly string[], options: { timeoutMs?: number; cwd?: string } = {}): Measured {
  const began = performance.now();
  const { stdout, stderr, status } = spawnSync('bash', ['-c', 'TIMEFORMAT=$\'\\ncpu %3U %3S\'; time "$@"', 'bash', ...command],
    { encoding: 'latin1', timeout: options.timeoutMs ?? 600_000, cwd: options.cwd, stdio: ['ignore', 'pipe', 'pipe'], maxBuffer: 2 ** 28 });
  const wallSeconds = (performance.now() - began) / 1000;
  const report = /\ncpu ([\d.]+) ([\d.]+)\n*$/.exec(stderr);
  const cpuSeconds = report ? Number(report[1]) + Number(report[2]) : NaN;
  return { cpuSeconds, wallSeconds, output: stdout, errors: report ? stderr.slice(0, report.index) : stderr, status };
}

export function median(values: readonly number[]): number {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length === 0 ? NaN : sorted.length % 2 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export const geometricMean = (values: readonly number[]): number =>
  values.length === 0 ? NaN : Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
