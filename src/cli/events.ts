// `retro events`: the events of a journal, as a table or as a JSON object per line.
import { classOf, isKind, kinds, type Recorded } from '../../journal/events.ts';
import { parsePosition } from '../../journal/position.ts';
import { openJournal } from '../../journal/store.ts';
import { writeOutput } from '../host/terminal.ts';
import { parseInteger, UsageError } from './arguments.ts';
import { Exit, type Command } from './command.ts';
import { fieldsText } from './event-text.ts';
import { jsonLine, table } from './text.ts';

/** Rows of a table are aligned together in groups of this many, so that a long journal begins to print at once. */
const GROUP = 1000;

const row = ({ seq, at, event }: Recorded): string[] =>
  [String(seq), String(at.icount), at.vcpu === null ? '-' : String(at.vcpu), at.level === 0 ? '-' : `L${at.level}${at.smm ? ' SMM' : ''}`, event.kind, fieldsText(event)];
const columns = [{ title: 'event', right: true }, { title: 'instructions', right: true }, { title: 'vCPU', right: true }, { title: 'level' }, { title: 'kind' }, { title: 'detail' }];

/** A comma-separated list of kinds; `input` and `transition` stand for all of their class. */
function wantedKinds(text: string | undefined): ReadonlySet<string> | undefined {
  if (text === undefined) return undefined;
  return new Set(text.split(',').flatMap((name) => {
    if (name === 'input' || name === 'transition') return Object.keys(kinds).filter((kind) => isKind(kind) && classOf(kind) === name);
    if (!isKind(name)) throw new UsageError(`There is no event “${name}”.`, `The kinds are input, transition, ${Object.keys(kinds).join(', ')}.`);
    return name;
  }));
}

export const command: Command = {
  usage: 'JOURNAL [--kind KIND[,KIND…]] [--from POSITION] [--limit N] [--json]',
  about: 'Lists the events of a journal: inputs from outside, and transitions that the core computed. A position is EVENT:INSTRUCTIONS; every event’s own position is its number.',
  options: [
    { name: '--kind', value: 'KIND', help: 'only these kinds, separated by commas; input and transition stand for all of a class' },
    { name: '--from', value: 'POSITION', help: 'begin here' },
    { name: '--limit', value: 'N', help: 'at most so many' },
    { name: '--json', help: 'one JSON object per line' },
  ],
  operands: [1, 1],
  examples: [
    ['retro events run.journal --limit 20', 'How the run began.'],
    ['retro events run.journal --kind SerialOutput', 'What the guest said, and when.'],
    ['retro events run.journal --kind input --json | jq .event', 'Everything that came from outside, for a program.'],
  ],
  run(input) {
    const wanted = wantedKinds(input.option('--kind')), limit = Number(parseInteger('--limit', input.option('--limit') ?? String(2n ** 53n - 1n), 2n ** 53n - 1n));
    const from = parsePosition(input.option('--from') ?? '0').seq;
    const journal = openJournal(input.operands[0]!);
    const asJson = input.has('--json');
    let group: string[][] = [], found = 0;
    const print = (): void => {
      if (group.length > 0) writeOutput(table(columns, group));
      group = [];
    };
    if (limit > 0) for (const stored of journal.stored(from)) {
      if (wanted && !wanted.has(stored.kind)) continue;
      const recorded = { seq: stored.seq, at: stored.at, event: journal.decode(stored) };
      if (asJson) writeOutput(jsonLine(recorded));
      else group.push(row(recorded));
      if (group.length >= GROUP) print();
      if (++found >= limit) break;
    }
    print();
    journal.close();
    return Exit.success;
  },
};
