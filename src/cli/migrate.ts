// `retro migrate`: would the guest of a recording have noticed another CPU, or another hypervisor? The verdict, and where and why it is so.
import { openJournal, type Journal } from '../../journal/store.ts';
import { formatPosition } from '../../journal/position.ts';
import type { MachineHeader } from '../../journal/header.ts';
import { createKvm } from '../kvm/system.ts';
import type { Tier } from '../kvm/api.ts';
import { resolveModel, shortSpec } from '../model/models.ts';
import type { EventDifference } from '../migrate/lockstep.ts';
import { migrate, type Doing, type FirstDifference, type MigrationVerdict } from '../migrate/migrate.ts';
import type { Difference } from '../replay/difference.ts';
import type { Happened } from '../replay/compare.ts';
import { breathe } from '../host/clock.ts';
import { UserError } from '../host/errors.ts';
import { onInterrupt } from '../host/signals.ts';
import { writeError, writeOutput } from '../host/terminal.ts';
import { UsageError } from './arguments.ts';
import { behaviourOptions, chosenBehaviours } from './behaviour-options.ts';
import { Exit, type Command, type Input } from './command.ts';
import { cpuOf } from './cpu.ts';
import { fieldsText } from './event-text.ts';
import { createProgress } from './progress.ts';
import { checkText, contrastText, deliveryText, instructionText, placeText, sourcesOf, transitionText } from './reasons.ts';
import { grouped, json, list } from './text.ts';

type Row = readonly [string, string];

/** Where the run goes: a model of its own, or the recorded one with changes (`-smep`). */
function targetOf({ header }: Journal, input: Input): MachineHeader {
  const dump = input.option('--to-dump'), to = cpuOf({ option: (name) => name === '--cpu' ? input.option('--to') : dump });
  const behaviours = chosenBehaviours(input, header.behaviours);
  if (to === undefined && input.option('--profile') === undefined && input.all('--behaviour').length === 0) {
    throw new UsageError('retro migrate needs to know where to.', 'Add --to MODEL, --profile NAME or --behaviour ID=VALUE.');
  }
  const model = to === undefined ? header.model : /^[,+-]|^(phys-bits|vendor)=/.test(to) ? `${header.model},${to.replace(/^,/, '')}` : to;
  resolveModel(model);
  return { ...header, model, behaviours };
}

// ── Texts ──

/** Differences that are shown; --json has all. */
const SHOWN = 12;
const differenceRow = ({ name, vcpu, a, b }: Difference, several: boolean): Row => [`  ${several && vcpu !== null ? `vCPU ${vcpu} ` : ''}${name}`, `${a} | ${b}`];

function doingText({ deliveries, transitions, stop }: Doing): string {
  const parts = [...deliveries.map(deliveryText), ...transitions.map(transitionText), ...stop === undefined ? [] : [`the run ends: ${stop}`]];
  return parts.length === 0 ? 'executes' : parts.join('; ');
}
const happenedText = (happened: Happened | null): string =>
  happened === null ? 'nothing' : `${happened.event.kind} at instruction ${grouped(happened.at.icount)} ${fieldsText(happened.event)}`.trimEnd();

async function differenceRows(first: FirstDifference, hidden: FirstDifference | undefined): Promise<Row[]> {
  const { position, icount, place, original, other, checks, because, event } = first;
  const reasons = because.length > 0 ? because : hidden?.because ?? [];
  const isBefore = because.length === 0 && reasons.length > 0;
  return [
    ['position', `${formatPosition(position)} (instruction ${grouped(icount)}, vCPU ${place.vcpu})`],
    ['instruction', `${await instructionText(place)}, ${placeText(place)}`],
    ['recorded', doingText(original)],
    ['target', doingText(other)],
    ...checks.flatMap(({ id, original: left, other: right }): Row[] =>
      [['check', `${id}: ${resultText(left)} | ${resultText(right)}`], ['', checkText(id)]]),
    ...reasons.flatMap((each, index): Row[] => [[index === 0 ? 'because' : '', `${contrastText(each)}${isBefore && index === 0 ? ` (at ${formatPosition(hidden!.position)})` : ''}`],
      ...sourcesOf(each).map((source): Row => ['', `  ${source}`])]),
    ...event === undefined || isOfStep(event, first) ? [] : [['leads to', `recorded ${happenedText(event.original)}`], ['', `target   ${happenedText(event.other)}`]] as const,
  ];
}
/** The event is one that the instruction itself brings about: it has been told. */
const isOfStep = ({ original, other }: EventDifference, { icount, original: left, other: right }: FirstDifference): boolean =>
  [[original, left], [other, right]].every(([happened, doing]) =>
    happened === null || ((happened as Happened).at.icount <= icount + 1 && (doing as Doing).transitions.some(({ kind }) => kind === (happened as Happened).event.kind)));
const resultText = (passed: boolean | undefined): string => passed === undefined ? 'not made' : passed ? 'passed' : 'failed';

function differingRows({ differences }: FirstDifference, several: boolean, hidden: boolean): Row[] {
  const chosen = differences.filter((each) => each.hidden === hidden), more = chosen.length - SHOWN;
  return [...chosen.slice(0, SHOWN).map((each) => differenceRow(each, several)), ...more > 0 ? [[`  and ${more} more`, '--json has all']] as const : []];
}

function behindText(first: FirstDifference, several: boolean): string {
  const read = differingRows(first, several, false), hidden = differingRows(first, several, true);
  return `${read.length === 0 ? '' : `\nbehind it, recorded | target\n${list(read)}`}${read.length > 0 || hidden.length === 0 ? ''
    : `\nbehind it, recorded | target, in state that no instruction reads\n${list(hidden)}`}`;
}

async function hiddenText(hidden: FirstDifference, several: boolean): Promise<string> {
  return `\nstate that no instruction reads differs from ${formatPosition(hidden.position)} on, recorded | target\n${
    list([...differingRows(hidden, several, true), ['  at', await instructionText(hidden.place)],
      ...hidden.because.map((each): Row => ['  because', contrastText(each)])])}`;
}

async function show(verdict: MigrationVerdict, journal: Journal, target: MachineHeader): Promise<void> {
  const several = journal.header.cpuCount > 1;
  const behaviours = (of: Readonly<Record<string, string>>): string => Object.entries(of).map(([id, value]) => ` ${id}=${value}`).join('');
  const sides: Row[] = [['recorded', `${shortSpec(journal.header.model)}${behaviours(journal.header.behaviours)}`], ['target', `${shortSpec(target.model)}${behaviours(target.behaviours)}`]];
  if (verdict.verdict === 'broken') return;
  if (verdict.verdict === 'identical') {
    const { by, asked, otherwise, hidden, cut } = verdict;
    const how = by === 'footprint' ? `the run asked ${grouped(asked)} things of its CPU, and the target answers all of them alike; nothing was replayed`
      : `${otherwise.length} of ${grouped(asked)} answers differ, and made no difference in ${grouped(journal.instructions)} instructions`;
    writeOutput(list([['verdict', `identical by ${by}${cut ? ', as far as was recorded' : ''}`], ['', how], ...sides]));
    if (otherwise.length > 0) writeOutput(`\nanswered otherwise, recorded | target\n${list(otherwise.slice(0, SHOWN).map((each): Row => ['  ', contrastText(each)]))}`);
    if (hidden) writeOutput(await hiddenText(hidden, several));
    return;
  }
  const { first, hidden, seen } = verdict;
  writeOutput(list([['verdict', 'diverged'], ...await differenceRows(first, seen === undefined ? hidden : undefined)]));
  writeOutput(behindText(first, several));
  if (seen === 'never') writeOutput('\nNothing that an instruction can read differs up to the end of the recording.\n');
  else if (seen !== undefined) writeOutput(`\nthe guest itself can tell\n${list(await differenceRows(seen, hidden))}${behindText(seen, several)}`);
  if (hidden && seen === undefined) writeOutput(await hiddenText(hidden, several));
  writeOutput(`\n${list([['recorded', sides[0]![1]], ['target', sides[1]![1]], ['look', `retro explain ${journal.path} ${formatPosition(first.position)}`]])}`);
}

async function run(input: Input): Promise<number> {
  const journal = openJournal(input.operands[0]!), tier = (input.option('--tier') ?? 'auto') as Tier;
  const progress = createProgress('comparing', journal.instructions);
  let interrupted = false;
  const release = onInterrupt(() => { interrupted = true; });
  try {
    const target = targetOf(journal, input);
    const verdict = await migrate(journal, target, {
      kvm: createKvm(), tier, onProgress: progress.show,
      breathe() {
        if (interrupted) throw new UserError('EINTR', 'The migration was interrupted.', 'Nothing was changed.');
        return breathe();
      },
    });
    progress.clear();
    if (input.has('--json')) writeOutput(json({ journal: journal.path, target: { model: target.model, behaviours: target.behaviours }, ...verdict }));
    else await show(verdict, journal, target);
    if (verdict.outdated.length > 0 && !input.has('--json')) {
      writeError(`retro: This version answers ${verdict.outdated.length} of the run’s questions otherwise for the recorded CPU itself (${verdict.outdated.slice(0, 3).map(({ capability }) => capability).join(', ')}); record the guest again for a verdict without that doubt.\n`);
    }
    if (verdict.verdict === 'broken') {
      throw new UserError('EBROKEN', `${journal.path} does not replay with this version: event ${verdict.seq} comes out otherwise.`, '“retro verify” shows how; record the guest again.');
    }
    return verdict.verdict === 'identical' ? Exit.success : Exit.no;
  } finally {
    release();
    progress.clear();
    journal.close();
  }
}

export const command: Command = {
  usage: 'JOURNAL [--to MODEL[,+feature,-feature]] [--profile NAME] [--behaviour ID=VALUE…] [--json]',
  about: 'Tells whether the guest of a recording would have noticed another CPU, or another hypervisor. What the run asked of its CPU is put to the target: if every answer is the same, the verdict is identical by footprint, without a replay. Otherwise both are run side by side with the recorded inputs, and the first difference is shown: the instruction, what each side does, the consistency check and the capability that decided. The first difference may be a CPUID instruction that reads another value.',
  options: [
    { name: '--to', value: 'MODEL', help: 'the other CPU; beginning with + or -, the recorded one with changes: --to -smep,+la57' },
    { name: '--to-dump', value: 'FILE', help: 'the other CPU from a raw CPUID dump, as record --cpu-dump takes it' },
    ...behaviourOptions,
    { name: '--tier', value: 'TIER', choices: ['auto', 'interpreter', 'translator', 'reference'], help: 'how instructions are run; the result is the same' },
    { name: '--json', help: 'print JSON' },
  ],
  operands: [1, 1],
  examples: [
    ['retro migrate run.journal --to EPYC-Milan', 'Could this run have gone on, on a Milan?'],
    ['retro migrate run.journal --to -shstk', 'The same CPU without shadow stacks.'],
    ['retro migrate run.journal --profile kvm-6.1', 'The same CPU under the KVM of Linux 6.1.'],
    ['retro migrate run.journal --behaviour nsvm.vmrun-failure-gif=kept', 'Would this one patch be visible to this guest?'],
  ],
  exitCodes: [['0', 'identical, by footprint or by replay'], ['1', 'diverged'], ['3', 'the journal or the target cannot be used']],
  run,
};
