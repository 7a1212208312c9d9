// `npm start`: the shortest way to see what this is. Records the sample guest, replays the journal in the interpreter and in the
// translator, and compares. The journal stays in dist/, ready for `retro`.
import { mkdirSync } from 'node:fs';
import { relative } from 'node:path';
import { openJournal } from '../journal/store.ts';
import { createProgress } from '../src/cli/progress.ts';
import { machineOf, runGuest, type Run } from '../src/cli/record.ts';
import { bytes, duration, grouped, mips, table } from '../src/cli/text.ts';
import { divergenceRows, replayJournal, verdictText, type Replayed } from '../src/cli/verdict.ts';
import { fileSize, removeFile } from '../src/host/files.ts';
import { inProject, root } from './project.ts';
import { parseOptions } from './usage.ts';

/** Most phases of the benchmark guest, nested guests among them, at an eighth of their size. */
const options = ['alu', 'sieve', 'sha256', 'qsort', 'calls', 'repstr', 'strlen', 'fp', 'tlb', 'interp', 'smc', 'smcdata', 'int80', 'pf', 'portio', 'vmrun', 'vmrunnpt', 'shift=3'];
const image = relative(root, inProject('tests/programs/bench/out/bench64.elf')), journal = 'dist/start.journal';
parseOptions('start', { options: {} });
process.chdir(root);
mkdirSync('dist', { recursive: true });
for (const suffix of ['', '-wal', '-shm']) removeFile(journal + suffix);

const say = (text: string): void => void process.stdout.write(text);

async function recordSample(): Promise<Run> {
  say(`\nRecording ${image} ${options.join(' ')}\n\n`);
  const progress = createProgress('recording');
  const run = await runGuest({
    journal, machine: machineOf({ option: () => undefined, all: () => [] }), tier: 'auto', image, arguments: options, serialInput: undefined, until: undefined,
    onOutput(text) {
      progress.clear();
      process.stdout.write(text);
    },
    onProgress: progress.show,
  });
  progress.clear();
  return run;
}

async function replayIn(tier: 'interpreter' | 'translator'): Promise<Replayed> {
  const opened = openJournal(journal), progress = createProgress(`replaying in the ${tier}:`, opened.instructions);
  const replayed = await replayJournal(opened, tier, { onProgress: progress.show });
  progress.clear();
  opened.close();
  return replayed;
}

const run = await recordSample();
const replays = [await replayIn('interpreter'), await replayIn('translator')];
const right = (title: string) => ({ title, right: true });
say(`\n${table([{ title: '' }, right('instructions'), right('time'), right('MIPS'), right('events'), { title: 'digest of the end' }, { title: 'verdict' }], [
  ['recording', grouped(run.instructions), duration(run.ms), mips(run.instructions, run.ms), grouped(run.events), run.state!, ''],
  ...replays.map(({ tier, verdict, ms }) => verdict.kind === 'identical'
    ? [`replay, ${tier}`, grouped(verdict.instructions), duration(ms), mips(verdict.instructions, ms), grouped(verdict.events), run.state!, verdictText(verdict)]
    : [`replay, ${tier}`, '', duration(ms), '', '', '', verdictText(verdict)]),
])}`);
for (const { tier, verdict } of replays) for (const [name, text] of divergenceRows(verdict)) say(`${tier}: ${name}: ${text}\n`);
say(`\nThe journal is ${journal}, ${bytes(fileSize(journal))}. Look into it:\n`
  + `  npm run retro -- info ${journal}\n`
  + `  npm run retro -- events ${journal}\n`
  + `  npm run retro -- replay ${journal} --until 0:1000000 --show\n`);
process.exitCode = replays.every(({ verdict }) => verdict.kind === 'identical') ? 0 : 1;
