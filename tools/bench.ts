// `npm run bench`: the phases of the benchmark guest in each tier and in every peer that is installed, in one run on one machine.
// Each figure is the CPU time of a whole process less that of a run without a phase, the median of the repetitions. Options below.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { list, table, type Column } from '../src/cli/text.ts';
import { geometricMean, measure, median, type Measured } from './bench/measure.ts';
import { findPeers } from './bench/peers.ts';
import { allPhases, checksums, cliffs, computePhases, type Phase } from './bench/phases.ts';
import { inProject, retro } from './project.ts';
import { naturalOf, parseOptions, wordsOf } from './usage.ts';

const help = `npm run bench -- [options]

  --phases LIST   phases, separated by commas (default: all that the engine can run: ${allPhases.join(',')})
  --shift N       divide every count by 2^N (default 0; the ratios are about full size)
  --tiers LIST    interpreter,translator,auto,reference (default interpreter,translator)
  --peers LIST    qemu,qemu-icount,bochs,v86 or none (default qemu,bochs,v86, those that are installed)
  --repeat N      repetitions, the median counts (default 3)
  --bits 32|64    which image (default 64; v86 always runs the 32-bit one)
  --recording     measure the cost of recording and of replaying, too
  --json FILE     write everything as JSON
`;

const { values } = parseOptions('bench', {
  options: {
    phases: { type: 'string' }, shift: { type: 'string', default: '0' }, tiers: { type: 'string', default: 'interpreter,translator' },
    peers: { type: 'string', default: 'qemu,bochs,v86' }, repeat: { type: 'string', default: '3' }, bits: { type: 'string', default: '64' },
    recording: { type: 'boolean', default: false }, json: { type: 'string' }, help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}

const tierNames = wordsOf('bench', '--tiers', values.tiers, ['interpreter', 'translator', 'auto', 'reference']);
const peerNames = wordsOf('bench', '--peers', values.peers, ['qemu', 'qemu-icount', 'bochs', 'v86']);
const phases = (values.phases === undefined ? allPhases : wordsOf('bench', '--phases', values.phases, allPhases)) as readonly Phase[];
const shift = naturalOf('bench', '--shift', values.shift), repeat = naturalOf('bench', '--repeat', values.repeat, 1);
wordsOf('bench', '--bits', values.bits, ['32', '64']);
const imageOf = (bits: string | number): string => inProject(`tests/programs/bench/out/bench${bits}.elf`);
const workFolder = mkdtempSync(join(tmpdir(), 'retrovisor-bench-'));
process.on('exit', () => rmSync(workFolder, { recursive: true, force: true }));
process.on('SIGINT', () => process.exit(130));

/** A way to run the guest with options; `baseline` is what a run without a phase takes. */
interface Runner { readonly name: string; readonly bits: string; run(options: string): Measured & { instructions?: number } }

function ourRunner(name: string, ...flags: string[]): Runner {
  return {
    name, bits: values.bits,
    run(options) {
      const journal = join(workFolder, `${name}.journal`);
      rmSync(journal, { force: true });
      const keep = flags.includes('--no-journal') ? [] : ['-o', journal];
      const measured = measure([process.execPath, retro, 'record', '--json', '--memory', '256M', ...keep, ...flags, imageOf(values.bits), ...options.split(' ')]);
      if (measured.status !== 0) return measured;
      const { output, instructions } = JSON.parse(measured.output) as { output: string; instructions: string };
      return { ...measured, output, instructions: Number(instructions) };
    },
  };
}
const tiers = tierNames.map((tier) => ourRunner(tier, '--tier', tier));
const peers: Runner[] = findPeers(peerNames, workFolder).map((peer) => ({
  name: peer.name, bits: peer.longMode ? values.bits : '32',
  run: (options) => peer.run(imageOf(peer.longMode ? values.bits : 32), options),
}));
const runners = [...tiers, ...peers];

const progress = (text: string): void => {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
};

type Samples = Map<string, Map<string, number[]>>;
const cpuSeconds: Samples = new Map(), instructions = new Map<string, number>(), problems: string[] = [];
function note(samples: Samples, runner: string, what: string, value: number): void {
  const row = samples.get(runner) ?? samples.set(runner, new Map()).get(runner)!;
  row.set(what, [...row.get(what) ?? [], value]);
}

/** Runs one phase once and keeps the figure, unless the guest did not get through or has the wrong sum. */
function runPhase(runner: Runner, phase: Phase): void {
  progress(`${runner.name}: ${phase}`);
  const measured = runner.run(shift === 0 ? phase : `${phase} shift=${shift}`);
  const sum = new RegExp(`^${phase} done checksum=([0-9a-f]{8})`, 'm').exec(measured.output)?.[1];
  if (sum === undefined) {
    const said = `${measured.output.trim().split('\n').at(-1) ?? ''} ${measured.errors.trim().split('\n').at(-1) ?? ''}`.trim();
    if (!measured.output.includes(`${phase} skip`)) problems.push(`${runner.name}: ${phase} did not finish: ${said}`);
    return;
  }
  if (shift === 0 && sum !== checksums[phase]) problems.push(`${runner.name}: ${phase} has checksum ${sum}, not ${checksums[phase]}`);
  note(cpuSeconds, runner.name, phase, measured.cpuSeconds);
  if (measured.instructions !== undefined) instructions.set(phase, measured.instructions);
}

const startWall: Samples = new Map();
for (let round = 0; round < repeat; round++) {
  for (const runner of runners) {
    progress(`${runner.name}: start`);
    const measured = runner.run('list');
    note(cpuSeconds, runner.name, 'list', measured.cpuSeconds);
    note(startWall, runner.name, 'list', measured.wallSeconds);
  }
  for (const phase of phases) for (const runner of runners) runPhase(runner, phase);
}
progress('');

const startOf = (runner: string): number => median(cpuSeconds.get(runner)?.get('list') ?? []);
/** CPU seconds of a phase, or NaN. */
function secondsOf(runner: string, phase: string): number {
  return Math.max(0.001, median(cpuSeconds.get(runner)?.get(phase) ?? []) - startOf(runner));
}
const shown = (value: number, digits: number): string => Number.isFinite(value) ? value.toFixed(digits) : '-';
const right = (...titles: string[]): Column[] => titles.map((title) => ({ title, right: true }));

const done = phases.filter((phase) => runners.some(({ name }) => Number.isFinite(secondsOf(name, phase))));
const minstr = (phase: Phase): number => (instructions.get(phase) ?? NaN) / 1e6;
process.stdout.write(`${cpus()[0]?.model ?? 'unknown processor'}, Node ${process.version}, ${values.bits}-bit image, shift ${shift}, median of ${repeat}\n\nCPU seconds\n`);
process.stdout.write(table([{ title: 'phase' }, ...right('Minstr', ...runners.map(({ name }) => name), ...tiers.map(({ name }) => `MIPS ${name}`))],
  [...done.map((phase) => [phase, shown(minstr(phase), 0), ...runners.map(({ name }) => shown(secondsOf(name, phase), 3)),
    ...tiers.map(({ name }) => shown(minstr(phase) / secondsOf(name, phase), 0))]),
  ['start', '', ...runners.map(({ name }) => shown(startOf(name), 3))]]));

/** How many times faster we are: the peer's time over ours. */
const ratio = (tier: string, peer: string, phase: string): number => secondsOf(peer, phase) / secondsOf(tier, phase);
const pairs = peers.flatMap(({ name: peer }) => tiers.map(({ name: tier }) => ({ tier, peer })));
const inMean = done.filter((phase) => computePhases.includes(phase));
const means = pairs.map(({ tier, peer }) => geometricMean(inMean.map((phase) => ratio(tier, peer, phase)).filter(Number.isFinite)));
if (pairs.length > 0) {
  process.stdout.write(`\nSpeed against peers (1 is as fast, 2 twice as fast)\n${table([{ title: 'phase' }, ...right(...pairs.map(({ tier, peer }) => `${tier}/${peer}`))],
    [...done.map((phase) => [phase, ...pairs.map(({ tier, peer }) => shown(ratio(tier, peer, phase), 2))]),
      [`geometric mean (${inMean.length} of ${computePhases.length})`, ...means.map((mean) => shown(mean, 2))]])}`);
}

const cliffRows = done.flatMap((phase) => {
  const cliff = cliffs[phase];
  if (!cliff) return [];
  const figure = (runner: string): number => {
    const count = cliff.count / 2 ** shift, seconds = secondsOf(runner, phase);
    return cliff.unit === 'µs' ? seconds / count * 1e6 : count / seconds / 1e9;
  };
  return [{ ...cliff, phase, figures: Object.fromEntries(runners.map(({ name }) => [name, figure(name)])) }];
});
if (cliffRows.length > 0) {
  process.stdout.write(`\nCliffs\n${table([{ title: 'operation' }, { title: 'bound' }, ...right(...runners.map(({ name }) => name))],
    cliffRows.map(({ what, unit, bound, figures }) => [what, `${unit === 'µs' ? 'at most' : 'at least'} ${bound} ${unit}`, ...runners.map(({ name }) => shown(figures[name]!, 3))]))}`);
}

/** The same run with a journal, without one, and replayed, in turns. */
function measureRecording() {
  const phasesToRecord = inMean.length > 0 ? inMean : done;
  return tiers.flatMap(({ name }) => {
    const recording = ourRunner(name, '--tier', name), plain = ourRunner(name, '--tier', name, '--no-journal');
    return phasesToRecord.map((phase) => {
      const options = shift === 0 ? phase : `${phase} shift=${shift}`;
      const times: Record<'recording' | 'plain' | 'replaying', number[]> = { recording: [], plain: [], replaying: [] };
      for (let round = 0; round < repeat; round++) {
        progress(`${name}: ${phase}, with and without a journal, and replayed`);
        times.recording.push(recording.run(options).cpuSeconds);
        const replayed = measure([process.execPath, retro, 'replay', '-q', '--tier', name, join(workFolder, `${name}.journal`)]);
        if (replayed.status !== 0) problems.push(`${name}: ${phase} does not replay: ${replayed.errors.trim()}`);
        times.replaying.push(replayed.cpuSeconds);
        times.plain.push(plain.run(options).cpuSeconds);
      }
      return { tier: name, phase, recording: median(times.recording), plain: median(times.plain), replaying: median(times.replaying) };
    });
  });
}
const recordingRows = values.recording ? measureRecording() : [];
progress('');
if (recordingRows.length > 0) {
  const percent = (value: number): string => `${shown((value - 1) * 100, 1)} %`;
  process.stdout.write(`\nCost of recording (whole process, CPU seconds)\n${table([{ title: 'tier' }, { title: 'phase' }, ...right('recording', 'not recording', 'cost', 'replaying', 'over recording')],
    recordingRows.map(({ tier, phase, recording, plain, replaying }) =>
      [tier, phase, shown(recording, 3), shown(plain, 3), percent(recording / plain), shown(replaying, 3), percent(replaying / recording)]))}`);
}
process.stdout.write(`\nFrom start to exit of a guest that does nothing (wall seconds)\n${list(runners.map(({ name }) => [name, shown(median(startWall.get(name)?.get('list') ?? []), 3)]))}`);
if (problems.length > 0) process.stdout.write(`\nProblems\n${[...new Set(problems)].map((problem) => `  ${problem}\n`).join('')}`);

if (values.json) {
  writeFileSync(values.json, `${JSON.stringify({
    processor: cpus()[0]?.model, node: process.version, bits: values.bits, shift, repeat,
    phases: done.map((phase) => ({ phase, instructions: instructions.get(phase), cpuSeconds: Object.fromEntries(runners.map(({ name }) => [name, secondsOf(name, phase)])) })),
    start: Object.fromEntries(runners.map(({ name }) => [name, { cpuSeconds: startOf(name), wallSeconds: median(startWall.get(name)?.get('list') ?? []) }])),
    geometricMeans: pairs.map((pair, index) => ({ ...pair, phases: inMean, mean: means[index] })),
    cliffs: cliffRows, recording: recordingRows, problems: [...new Set(problems)],
  }, null, 2)}\n`);
}
process.exitCode = problems.length > 0 ? 1 : 0;
