// `retro record`: builds a machine, runs an image in it and keeps the run. The guest's serial output goes to standard output, what is
// said about the run to standard error. `npm start` records with `runGuest`, too.
import { of, Subject, type Observable } from 'rxjs';
import type { EventOf } from '../../journal/events.ts';
import type { MachineHeader } from '../../journal/header.ts';
import { createKvm } from '../kvm/system.ts';
import type { Tier } from '../kvm/api.ts';
import { DEFAULT_MODEL } from '../model/models.ts';
import { assemble } from '../replay/machine.ts';
import type { HostInput } from '../replay/live.ts';
import { record } from '../replay/record.ts';
import { breathe, nowMs, timestamp } from '../host/clock.ts';
import { fileExists, fileSize, readFile, removeFile } from '../host/files.ts';
import { drawSeed } from '../host/random.ts';
import { onInterrupt } from '../host/signals.ts';
import { readInput, writeError, writeOutput } from '../host/terminal.ts';
import { parseInteger, parseSize, UsageError } from './arguments.ts';
import { behaviourOptions, chosenBehaviours } from './behaviour-options.ts';
import { Exit, type Command, type Input } from './command.ts';
import { cpuOf, cpuOption, dumpOption } from './cpu.ts';
import { createProgress } from './progress.ts';
import { bytes, duration, grouped, json, list, mips } from './text.ts';
import { VERSION } from './version.ts';

/** How a run ended: the reasons of the journal's last event. */
type End = Pick<EventOf<'Ended'>, 'reason' | 'status'>;

export interface Run {
  readonly journal: string | undefined;
  readonly end: End;
  readonly instructions: number;
  readonly events: number;
  readonly ms: number;
  /** Of everything at the end; absent when nothing was recorded. */
  readonly state: string | undefined;
}

export interface GuestOptions {
  readonly journal: string | undefined;
  readonly machine: MachineHeader;
  readonly tier: Tier;
  readonly image: string;
  readonly arguments: readonly string[];
  readonly serialInput: Uint8Array | undefined;
  readonly until: number | undefined;
  readonly onOutput: (bytes: Uint8Array) => void;
  readonly onProgress: (instructions: number) => void;
}

/** An image of more than this cannot be meant. */
const MAX_IMAGE_BYTES = 2 ** 30;

/** Runs a guest to its end, or until the user interrupts it. */
export async function runGuest(options: GuestOptions): Promise<Run> {
  const kernel = { name: options.image, bytes: readFile(options.image, MAX_IMAGE_BYTES) };
  const commandLine = [options.image, ...options.arguments].join(' ');
  return options.journal === undefined ? runOnly(options, kernel.bytes, commandLine) : runRecorded(options, options.journal, kernel, commandLine);
}

async function runRecorded(options: GuestOptions, path: string, kernel: { name: string; bytes: Uint8Array }, commandLine: string): Promise<Run> {
  const { machine, tier, serialInput, until } = options;
  const inputs: Observable<HostInput> | undefined = serialInput && of({ input: { kind: 'SerialInput', bytes: serialInput }, vcpu: null });
  const stop = new Subject<void>(), release = onInterrupt(() => stop.next()), began = nowMs();
  let run: Run | undefined;
  await record({
    kvm: createKvm(), tier, path, machine, kernel, commandLine, created: timestamp(), engine: VERSION, breathe, stop,
    ...inputs && { inputs }, ...until !== undefined && { until },
  }).forEach(({ seq, at, event }) => {
    if (event.kind === 'SerialOutput') options.onOutput(event.bytes);
    else if (event.kind === 'Ended') run = { journal: path, end: event, instructions: at.icount, events: seq + 1, ms: nowMs() - began, state: event.state };
    else options.onProgress(at.icount);
  }).finally(release);
  return run!;
}

/** Instructions between two looks at what the user wants. */
const CHUNK = 1 << 24;

/** The same run without a journal, and so without checkpoints, digests and snapshots. */
async function runOnly({ machine: header, tier, serialInput, until, onOutput, onProgress }: GuestOptions, image: Uint8Array, commandLine: string): Promise<Run> {
  const machine = assemble(header, createKvm(), tier);
  let stopped = false;
  const release = onInterrupt(() => { stopped = true; }), began = nowMs();
  machine.onOutput = (byte) => onOutput(Uint8Array.of(byte));
  machine.board.loadImage(image, commandLine);
  if (serialInput) machine.board.receive(serialInput);
  const ended = (reason: string, status: number | null = null): Run =>
    ({ journal: undefined, end: { reason, status }, instructions: machine.icount(), events: 0, ms: nowMs() - began, state: undefined });
  try {
    for (;;) {
      if (stopped || machine.icount() >= (until ?? Infinity)) return ended('stopped');
      const stop = machine.board.run(BigInt(Math.min(machine.icount() + CHUNK, until ?? Infinity)));
      if (stop.kind !== 'reached') return ended(stop.kind, stop.kind === 'exited' ? stop.status : null);
      onProgress(machine.icount());
      await breathe();
    }
  } finally {
    release();
  }
}

/** TSC frequency that the guest is told, and the length of a turn. */
const TSC_KHZ = 1_000_000, QUANTUM = 100_000;

/** The machine that the options ask for. */
export const machineOf = (input: Pick<Input, 'option' | 'all'>): MachineHeader => ({
  model: cpuOf(input) ?? DEFAULT_MODEL,
  behaviours: chosenBehaviours(input),
  seed: input.option('--seed') === undefined ? drawSeed() : parseInteger('--seed', input.option('--seed')!),
  ramBytes: parseSize('--memory', input.option('--memory') ?? '256M'),
  cpuCount: 1, quantum: QUANTUM, tscKhz: TSC_KHZ,
});

/** Where the journal goes: as asked, or beside the user under the image's name. */
function journalPath(input: Input): string | undefined {
  if (input.has('--no-journal')) return undefined;
  const path = input.option('--output') ?? `${input.operands[0]!.replace(/^.*[/\\]/, '').replace(/\.[^.]*$/, '')}.journal`;
  if (input.has('--force')) for (const suffix of ['', '-wal', '-shm']) removeFile(path + suffix);
  else if (fileExists(path)) throw new UsageError(`There is a file ${path} already.`, 'Add --force to replace it, or name another one with -o.');
  return path;
}

function serialInput(input: Input): Uint8Array | undefined {
  const text = input.option('--input'), file = input.option('--input-file');
  if (text !== undefined && file !== undefined) throw new UsageError('--input and --input-file cannot both be given.', 'Choose one of them.');
  if (text !== undefined) return new TextEncoder().encode(text);
  return file === undefined ? undefined : file === '-' ? readInput() : readFile(file, 1 << 20);
}

const endText = ({ reason, status }: End): string => ({
  exited: `the guest exited with status ${status}`, halted: 'the guest halted for good', shutdown: 'triple fault', stopped: 'stopped',
}[reason] ?? 'the core gave up; retro events shows why');

/** The command's exit code when the guest's is wanted: what it wrote to the debug-exit port says, or that it did not end so. */
const exitCodeOf = ({ reason, status }: End): number => status !== null ? status & 0xff : reason === 'halted' ? Exit.success : Exit.no;

async function run(input: Input): Promise<number> {
  const asJson = input.has('--json'), journal = journalPath(input), tier = (input.option('--tier') ?? 'auto') as Tier;
  const until = input.option('--until-instructions');
  const progress = createProgress(journal === undefined ? 'running' : 'recording');
  const output: Uint8Array[] = [];
  const result = await runGuest({
    journal, machine: machineOf(input), tier, image: input.operands[0]!, arguments: input.operands.slice(1), serialInput: serialInput(input),
    until: until === undefined ? undefined : Number(parseInteger('--until-instructions', until, 2n ** 53n - 1n)),
    onOutput(text) {
      if (asJson) return void output.push(text);
      progress.clear();
      writeOutput(text);
    },
    onProgress: progress.show,
  });
  progress.clear();
  const { end, instructions, events, ms, state } = result, size = journal === undefined ? 0 : fileSize(journal);
  if (asJson) writeOutput(json({ ...result, tier, journalBytes: size, output: Buffer.concat(output).toString('latin1') }));
  else if (!input.has('--quiet')) {
    writeError(list([
      ['end', endText(end)],
      ['instructions', `${grouped(instructions)} in ${duration(ms)}, ${mips(instructions, ms)} MIPS`],
      ...(journal === undefined ? [] : [['journal', `${journal}, ${bytes(size)}, ${grouped(events)} events`], ['digest', state!]] as const),
    ]));
  }
  return input.option('--exit-status') === 'guest' ? exitCodeOf(end) : end.reason === 'failed' ? Exit.no : Exit.success;
}

export const command: Command = {
  usage: '[options] IMAGE [argument…]',
  about: 'Runs a guest and keeps the run in a journal, from which it can be replayed bit for bit. IMAGE is a multiboot v1 kernel (ELF32); the arguments become its command line. What the guest writes to COM1 goes to standard output. Control-C ends the recording in good order.',
  options: [
    { name: '--output', short: '-o', value: 'JOURNAL', help: 'the journal; IMAGE’s name with .journal when not given' },
    { name: '--force', short: '-f', help: 'replace a journal of that name' },
    { name: '--no-journal', help: 'only run: nothing is kept' },
    cpuOption, dumpOption,
    ...behaviourOptions,
    { name: '--memory', short: '-m', value: 'SIZE', help: 'RAM: 64M, 1G (256M)' },
    { name: '--input', value: 'TEXT', help: 'what arrives on the serial port' },
    { name: '--input-file', value: 'FILE', help: 'the same from a file; - is standard input' },
    { name: '--tier', value: 'TIER', choices: ['auto', 'interpreter', 'translator', 'reference'], help: 'how instructions are run; never visible to the guest' },
    { name: '--seed', value: 'N', help: 'seed of RDRAND and RDSEED; drawn at random when not given, and kept in the journal' },
    { name: '--until-instructions', value: 'N', help: 'stop after so many instructions' },
    { name: '--exit-status', value: 'WHOSE', choices: ['guest', 'retro'], help: 'whose status becomes the exit code' },
    { name: '--quiet', short: '-q', help: 'say nothing about the run' },
    { name: '--json', help: 'print the run, its output included, as JSON' },
  ],
  operands: [1, Infinity],
  operandsEndOptions: true,
  examples: [
    ['retro record -o run.journal tests/programs/bench/out/bench64.elf sieve shift=4', 'Record the sample guest’s sieve at a sixteenth of its size.'],
    ['retro record --cpu EPYC-Milan,-smap --memory 64M --input "help\\n" kernel.elf', 'Another CPU, less memory, and a line typed into the serial port.'],
    ['retro record --exit-status guest -q test.elf && echo passed', 'A test guest in a script: its debug-exit status is the exit code.'],
  ],
  exitCodes: [['0', 'recorded'], ['1', 'the core gave up; with --exit-status guest also a triple fault'], ['N', 'with --exit-status guest: the guest’s status']],
  run,
};
