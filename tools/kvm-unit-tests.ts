// `npm run kvm-unit-tests -- FOLDER [NAME…]`: runs built images of kvm-unit-tests on our own board, entry by entry as unittests.cfg says,
// and prints a table; with --qemu the same entries run in QEMU for a second opinion, with --verify every run is recorded and replayed.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../journal/store.ts';
import type { MachineHeader } from '../journal/header.ts';
import { breathe } from '../src/host/clock.ts';
import type { Tier } from '../src/kvm/api.ts';
import { createKvm } from '../src/kvm/system.ts';
import { assemble } from '../src/replay/machine.ts';
import { record } from '../src/replay/record.ts';
import { verify } from '../src/replay/verify.ts';
import { table } from '../src/cli/text.ts';
import { missing, modelOf, parseConfig, ramOf, type Entry } from './kvm-unit-tests/config.ts';
import { naturalOf, parseOptions, refuse, wordsOf } from './usage.ts';

const help = `npm run kvm-unit-tests -- FOLDER [NAME…] [options]

  FOLDER            the folder of the images (x86/*.flat), with unittests.cfg in it
  NAME…             entries or groups; absent: all that are not in the group nodefault
  --tier TIER       auto (default), interpreter, translator, reference
  --timeout N       seconds for every entry; absent: as unittests.cfg says
  --qemu            run each entry in qemu-system-x86_64 (TCG), too
  --verify          record each run, and replay it in the interpreter and in the translator
  --output          print what the guests print
  --json            the table as JSON
`;
const { values, positionals } = parseOptions('kvm-unit-tests', {
  allowPositionals: true,
  options: {
    tier: { type: 'string', default: 'auto' }, timeout: { type: 'string' }, qemu: { type: 'boolean', default: false }, verify: { type: 'boolean', default: false },
    output: { type: 'boolean', default: false }, json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false },
  },
});
const [folder, ...names] = positionals;
if (values.help) {
  process.stdout.write(help);
  process.exit(0);
}
if (folder === undefined) refuse('kvm-unit-tests', 'Name the folder x86 of a built kvm-unit-tests; --help shows what else it takes.');
wordsOf('kvm-unit-tests', '--tier', values.tier, ['auto', 'interpreter', 'translator', 'reference']);
if (values.timeout !== undefined) naturalOf('kvm-unit-tests', '--timeout', values.timeout, 1);
const configuration = [join(folder, 'unittests.cfg'), join(folder, '../x86/unittests.cfg')].find(existsSync);
if (configuration === undefined) refuse('kvm-unit-tests', `There is no unittests.cfg in ${folder}; name the folder x86 of a built kvm-unit-tests.`);

type Word = 'PASS' | 'FAIL' | 'SKIP' | 'TIMEOUT';
interface Result { readonly word: Word; readonly reason: string; readonly subtests: string; readonly seconds: number; readonly instructions: number }

/** Instructions in a turn where there are several processors: short, so that one that spins soon lets the others go on. */
const QUANTUM = 2000;
/** Instructions between two looks at the clock. */
const CHUNK = 1 << 22;
const tier = values.tier as Tier;

const headerOf = (entry: Entry): MachineHeader => ({
  model: modelOf(entry), behaviours: {}, seed: 1n, ramBytes: ramOf(entry), cpuCount: entry.cpuCount, quantum: QUANTUM, tscKhz: 1_000_000,
});
const imageOf = (entry: Entry): string => join(folder, entry.file);
const commandLineOf = (entry: Entry): string => `${entry.file} ${entry.arguments}`.trim();
const secondsOf = (entry: Entry): number => Number(values.timeout ?? entry.timeout);

function runHere(entry: Entry): Result {
  const machine = assemble(headerOf(entry), createKvm(), tier), began = performance.now();
  const bytes: number[] = [];
  machine.onOutput = (byte) => { bytes.push(byte); };
  machine.board.loadImage(readFileSync(imageOf(entry)), commandLineOf(entry));
  const passed = (): number => (performance.now() - began) / 1000;
  let end: { word: Word; reason: string } = { word: 'TIMEOUT', reason: `not done after ${secondsOf(entry)} s` };
  while (passed() < secondsOf(entry)) {
    const stop = machine.board.run(machine.board.icount() + BigInt(CHUNK));
    if (stop.kind === 'reached') continue;
    end = stop.kind === 'exited' ? wordOf(stop.status) : { word: 'FAIL', reason: stop.kind === 'failed' ? `stopped: ${stop.exit.reason}` : stop.kind };
    break;
  }
  const output = Buffer.from(bytes).toString('latin1');
  if (values.output) process.stdout.write(output);
  return finish(end, output, passed(), machine.icount());
}

/** Exit codes of the suite: (code << 1) | 1 with 0 pass, 1 fail, 38 skip, 127 abort. */
function wordOf(status: number): { word: Word; reason: string } {
  if (status === 1) return { word: 'PASS', reason: '' };
  if (status === 77) return { word: 'SKIP', reason: 'the test skips itself' };
  return { word: 'FAIL', reason: status === 3 ? '' : status === 255 ? 'aborted' : `status ${status}` };
}

function subtestsOf(output: string): [passes: number, failures: number, skips: number] {
  const lines = output.split('\n'), count = (word: string): number => lines.filter((line) => line.startsWith(`${word}: `)).length;
  return [count('PASS'), count('FAIL'), count('SKIP')];
}

function finish(end: { word: Word; reason: string }, output: string, seconds: number, instructions: number): Result {
  const [passes, failures, skips] = subtestsOf(output);
  let { word, reason } = end;
  if (word === 'PASS' && passes === 0 && skips > 0) ({ word, reason } = { word: 'SKIP', reason: 'the test skips itself' });
  if (reason === 'the test skips itself') reason = /^SKIP: (.*)$/m.exec(output)?.[1] ?? reason;
  if (word === 'FAIL') reason = reason === '' ? /^FAIL: (.*)$/m.exec(output)?.[1] ?? 'no FAIL line' : `${reason}: ${/^(Unhandled .*)$/m.exec(output)?.[1] ?? ''}`.replace(/: $/, '');
  return { word, reason, subtests: `${passes}/${failures}/${skips}`, seconds, instructions };
}

/** The result and its subtests. QEMU's own errors have the status of a test that passes, but say nothing on the serial line. */
function runInQemu(entry: Entry): string {
  const parameters = entry.qemuParameters.replace(/-enable-kvm/g, '').split(/\s+/).filter((word) => word !== '');
  const memory = parameters.includes('-m') ? [] : ['-m', '128'];
  const { status, error, stdout } = spawnSync('qemu-system-x86_64', [
    '-nodefaults', '-device', 'pc-testdev', '-device', 'isa-debug-exit,iobase=0xf4,iosize=0x4', '-vnc', 'none', '-serial', 'stdio', '-device', 'pci-testdev',
    '-machine', 'accel=tcg', '-kernel', imageOf(entry), '-smp', String(entry.cpuCount), ...memory, ...parameters, '-append', entry.arguments,
  ], { timeout: secondsOf(entry) * 1000, killSignal: 'SIGKILL', stdio: ['ignore', 'pipe', 'ignore'], encoding: 'latin1', maxBuffer: 2 ** 28 });
  if ((error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return 'not installed';
  const [passes, failures, skips] = subtestsOf(stdout), counts = ` ${passes}/${failures}/${skips}`;
  if (status === null) return `TIMEOUT${counts}`;
  if (stdout === '') return 'refuses';
  return `${wordOf(status).word === 'PASS' && passes === 0 && skips > 0 ? 'SKIP' : wordOf(status).word}${counts}`;
}

const scratch = mkdtempSync(join(tmpdir(), 'retrovisor-kvm-unit-tests-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));

/** Records as many instructions as the run had, and replays them. */
async function verified(entry: Entry, instructions: number): Promise<string> {
  const path = join(scratch, `${entry.name}.journal`);
  await record({
    kvm: createKvm(), tier, path, machine: headerOf(entry), kernel: { name: entry.file, bytes: readFileSync(imageOf(entry)) }, commandLine: commandLineOf(entry),
    created: 'now', engine: 'kvm-unit-tests', breathe, until: instructions + 1,
  }).forEach(() => undefined);
  const journal = openJournal(path);
  const verdicts: string[] = [];
  try {
    await verify(journal, { kvm: createKvm(), breathe }).forEach(({ tier: which, step }) => {
      if (step.kind === 'verdict') verdicts.push(step.verdict.kind === 'identical' ? 'identical' : `${which} diverged at event ${step.verdict.divergence.seq}`);
    });
  } finally {
    journal.close();
    rmSync(path, { force: true });
  }
  return verdicts.every((verdict) => verdict === 'identical') ? 'identical' : verdicts.join('; ');
}

const folderArch = existsSync(join(folder, 'cmpxchg8b.flat')) ? 'i386' : 'x86_64';
const entries = parseConfig(readFileSync(configuration, 'utf8'))
  .filter(({ name, groups }) => names.length === 0 ? !groups.includes('nodefault') : names.includes(name) || groups.some((group) => names.includes(group)));
if (entries.length === 0) {
  process.stderr.write(`unittests.cfg has no entry or group named ${names.join(', ')}.\n`);
  process.exit(2);
}

interface Row extends Result { readonly name: string; readonly qemu: string; readonly replay: string }
const rows: Row[] = [];
for (const entry of entries) {
  const reason = missing(entry, folderArch) ?? (existsSync(imageOf(entry)) ? undefined : `there is no ${entry.file}`);
  let result: Result = { word: 'SKIP', reason: reason ?? '', subtests: '', seconds: 0, instructions: 0 };
  if (process.stderr.isTTY) process.stderr.write(`${entry.name} …\n`);
  if (reason === undefined) {
    try {
      result = runHere(entry);
    } catch (error) {
      result = { ...result, word: 'FAIL', reason: error instanceof Error ? error.message : String(error) };
    }
  }
  const done = result.word !== 'TIMEOUT' && result.instructions > 0;
  rows.push({
    ...result, name: entry.name, qemu: values.qemu && reason === undefined ? runInQemu(entry) : '',
    replay: values.verify && done ? await verified(entry, result.instructions).catch((error: unknown) => error instanceof Error ? error.message : String(error)) : '',
  });
}

if (values.json) process.stdout.write(`${JSON.stringify(rows, undefined, 2)}\n`);
else {
  process.stdout.write(table(
    [{ title: 'entry' }, { title: 'result' }, { title: 'pass/fail/skip', right: true }, { title: 's', right: true }, ...values.qemu ? [{ title: 'QEMU' }] : [],
      ...values.verify ? [{ title: 'replay' }] : [], { title: 'reason' }],
    rows.map(({ name, word, subtests, seconds, qemu, replay, reason }) =>
      [name, word, subtests, seconds === 0 ? '' : seconds.toFixed(1), ...values.qemu ? [qemu] : [], ...values.verify ? [replay] : [], reason]),
  ));
  const number = (word: Word): number => rows.filter((row) => row.word === word).length;
  process.stdout.write(`\n${rows.length} entries: ${number('PASS')} pass, ${number('FAIL')} fail, ${number('TIMEOUT')} time out, ${number('SKIP')} are skipped.\n`);
}
process.exitCode = rows.some(({ word, replay }) => word === 'FAIL' || word === 'TIMEOUT' || (replay !== '' && replay !== 'identical')) ? 1 : 0;
