// `retro explain`: what happened at a position, in a few lines: the event or the instruction, the checks that it passed and failed with the
// manual's places, and the capabilities that decided.
import { classOf, type Recorded } from '../../journal/events.ts';
import { formatPosition, parsePosition, type Position } from '../../journal/position.ts';
import { openJournal, type Journal } from '../../journal/store.ts';
import { createKvm } from '../kvm/system.ts';
import type { Tier, VmCheck, VmTransition } from '../kvm/api.ts';
import type { Answer } from '../model/capabilities.ts';
import { differencesBetween, type Difference } from '../replay/difference.ts';
import { belongsToNext, placeOf, positionBefore } from '../replay/place.ts';
import { probe, type Probe } from '../replay/probe.ts';
import { seek } from '../replay/seek.ts';
import { findCheck } from '../transitions/registry.ts';
import { writeOutput } from '../host/terminal.ts';
import { Exit, type Command, type Input } from './command.ts';
import { fieldsText } from './event-text.ts';
import { askedText, checkReads, checkText, deliveryText, instructionText, placeText, transitionText } from './reasons.ts';
import { grouped, json, list, wrap } from './text.ts';

type Row = readonly [string, string];
const WIDTH = 110;

/** What is explained: the place, the step that the machine makes there, and which of its changes of world is the event in question. */
interface Explanation {
  readonly event: Recorded | undefined;
  readonly position: Position;
  readonly icount: number;
  readonly step: Probe;
  readonly place: ReturnType<typeof placeOf>;
  /** What is otherwise behind the step. */
  readonly changes: readonly Difference[];
  /** The change of world that the event is; absent for other events and for instructions. */
  readonly transition: VmTransition | undefined;
}

/** Events that the VM reports as changes of world; the others are the board's. */
const isReported = (kind: string): boolean => belongsToNext.has(kind) && !['DebugExit', 'Halted', 'Shutdown', 'Failed', 'Ended'].includes(kind);

/** How many changes of world at the same count come before an event. */
function indexAtCount(journal: Journal, { seq, at }: Recorded): number {
  let index = 0;
  for (let before = seq - 1; before >= 0; before--) {
    const each = journal.event(before);
    if (each.at.icount !== at.icount) break;
    if (isReported(each.event.kind)) index++;
  }
  return index;
}

/** The machine before the instruction at a count, and the step that it makes there. */
function stepAt(journal: Journal, position: Position, tier: Tier): Omit<Explanation, 'event' | 'transition'> {
  const kvm = createKvm(), { machine, position: normal } = seek(journal, position, { kvm, tier }), step = probe(machine, journal.header, kvm);
  const changes = differencesBetween(machine, step.after).filter(({ hidden }) => !hidden);
  return { position: normal, icount: machine.icount(), step, place: placeOf(machine, step.after.board.saveState().turn.vcpu), changes };
}

/** A change of world: it came with the instruction before its count (VMRUN, RSM), or at its count, before anything retired (an SMI, an intercept). */
function explainTransition(journal: Journal, event: Recorded, tier: Tier): Explanation {
  const { icount } = event.at, index = indexAtCount(journal, event);
  const ofCount = ({ step }: { readonly step: Probe }): VmTransition[] => step.transitions.filter(({ at }) => at.icount === icount);
  const before = icount === 0 ? undefined : stepAt(journal, positionBefore(journal, icount - 1), tier), earlier = before === undefined ? [] : ofCount(before);
  if (before !== undefined && index < earlier.length) return { ...before, event, transition: earlier[index] };
  const at = stepAt(journal, positionBefore(journal, icount), tier);
  return { ...at, event, transition: ofCount(at)[index - earlier.length] };
}

function explain(journal: Journal, wanted: Position, tier: Tier): Explanation {
  const event = wanted.icount === 0 ? journal.event(wanted.seq) : undefined;
  if (event !== undefined && isReported(event.event.kind)) return explainTransition(journal, event, tier);
  // What ends a run is explained by the last instruction: HLT has retired then.
  const icount = event?.event.kind === 'Halted' ? event.at.icount - 1 : event?.at.icount;
  const position = event !== undefined && belongsToNext.has(event.event.kind) ? positionBefore(journal, Math.max(0, icount!)) : wanted;
  return { ...stepAt(journal, position, tier), event, transition: undefined };
}

// ── Texts ──

function checkRows(checks: readonly VmCheck[], answers: ReadonlyMap<string, Answer>): Row[] {
  const failed = checks.filter(({ passed }) => !passed), passed = checks.filter((check) => check.passed);
  const rows: Row[] = failed.flatMap((check): Row[] => {
    const reads = checkReads(check, answers);
    return [['failed', check.id], ...wrapped(checkText(check.id)), ...reads === '' ? [] : wrapped(`It asked: ${reads}.`)];
  });
  if (passed.length === 0) return rows;
  const byReference = new Map<string, string[]>();
  for (const { id } of passed) {
    const reference = findCheck(id)?.reference ?? '';
    byReference.set(reference, [...byReference.get(reference) ?? [], id]);
  }
  const list = [...byReference].map(([reference, ids]) => `${ids.join(', ')}${reference === '' ? '' : ` (${reference})`}`).join('; ');
  return [...rows, ['passed', `${passed.length} checks`], ...wrapped(list)];
}
const wrapped = (text: string): Row[] => wrap(text, WIDTH).split('\n').map((line): Row => ['', `  ${line}`]);

const askedRows = (answers: ReadonlyMap<string, Answer>): Row[] =>
  answers.size === 0 ? [] : wrap([...answers].map(([name, answer]) => askedText(name, answer)).join('; '), WIDTH).split('\n').map((line, index): Row => [index === 0 ? 'asked' : '', line]);

/** Changes that are shown; --json has all. */
const SHOWN = 6;
const changeText = ({ name, a, b }: Difference): string => `${name} ${a} to ${b}`;

/** What the instruction does, when the position names no change of world. */
function stepRows({ asked, transitions, deliveries, stop }: Probe, changes: readonly Difference[]): Row[] {
  const more = changes.length > SHOWN ? [`and ${changes.length - SHOWN} more`] : [];
  return [
    ...deliveries.flatMap((delivery): Row[] => {
      const { check } = delivery;
      return [['then', deliveryText(delivery)], ...check === undefined ? [] : [['failed', check] as const, ...wrapped(checkText(check))]];
    }),
    ...transitions.flatMap((transition): Row[] => [['then', transitionText(transition)], ...checkRows(transition.checks ?? [], asked)]),
    ...stop.kind === 'reached' ? [] : [['then', `the run ends: ${stop.kind}`] as const],
    ...askedRows(asked),
    ...changes.length === 0 ? [] : [['changes', [...changes.slice(0, SHOWN).map(changeText), ...more].join('; ')] as const],
  ];
}

async function rowsOf({ event, position, icount, step, place, transition, changes }: Explanation): Promise<Row[]> {
  const rows: Row[] = [['position', `${formatPosition(position)} (instruction ${grouped(icount)}, vCPU ${place.vcpu})`]];
  if (event !== undefined) rows.push([classOf(event.event.kind), `event ${event.seq}, ${event.event.kind} ${fieldsText(event.event)}`.trimEnd()]);
  const isOfInstruction = event === undefined || belongsToNext.has(event.event.kind);
  rows.push([isOfInstruction ? 'instruction' : 'next', await instructionText(place)], ['mode', placeText(place)]);
  if (transition === undefined) return [...rows, ...isOfInstruction ? stepRows(step, changes) : []];
  return [...rows, ...checkRows(transition.checks ?? [], new Map([...step.askedLater, ...step.asked])), ...askedRows(step.asked)];
}

async function run(input: Input): Promise<number> {
  const journal = openJournal(input.operands[0]!);
  try {
    const explanation = explain(journal, parsePosition(input.operands[1]!), (input.option('--tier') ?? 'auto') as Tier);
    if (!input.has('--json')) writeOutput(list(await rowsOf(explanation)));
    else {
      const { event, position, icount, place, transition, changes, step: { asked, transitions, deliveries, stop } } = explanation;
      const described = (checks: readonly VmCheck[] = []) => checks.map((check) => ({ ...check, ...findCheck(check.id) }));
      writeOutput(json({
        journal: journal.path, position: formatPosition(position), instructions: icount, event, place, instruction: await instructionText(place),
        checks: described(transition?.checks), asked, deliveries, transitions: transitions.map((each) => ({ ...each, checks: described(each.checks) })), stop: stop.kind, changes,
      }));
    }
    return Exit.success;
  } finally {
    journal.close();
  }
}

export const command: Command = {
  usage: 'JOURNAL POSITION [--json]',
  about: 'Explains what happened at a position. For an event (12): the event, the instruction that brought it about, the consistency checks that it passed and failed, each with its place in the manual, and the capabilities of the CPU that decided. For a place between two events (12:4000): the instruction there, its mode, the exception that it raises and what it asks of the CPU.',
  options: [
    { name: '--tier', value: 'TIER', choices: ['auto', 'interpreter', 'translator', 'reference'], help: 'how instructions are run up to there' },
    { name: '--json', help: 'print JSON' },
  ],
  operands: [2, 2],
  examples: [
    ['retro explain run.journal 12', 'Event 12, for example a VMRUN that failed: which check, and why.'],
    ['retro explain run.journal 12:4000', 'The instruction 4000 instructions after event 12.'],
  ],
  run,
};
