// `retro replay`: runs a journal again. To its end, comparing everything with the recording; or to a position, to look around there.
import { parsePosition } from '../../journal/position.ts';
import { openJournal, type Journal } from '../../journal/store.ts';
import { createKvm } from '../kvm/system.ts';
import type { Tier } from '../kvm/api.ts';
import { seek } from '../replay/seek.ts';
import { writeError, writeOutput } from '../host/terminal.ts';
import { UsageError } from './arguments.ts';
import { behaviourOptions, chosenBehaviours } from './behaviour-options.ts';
import { Exit, type Command, type Input } from './command.ts';
import { inspect, parsePlaces, showInspection } from './inspect.ts';
import { createProgress } from './progress.ts';
import { duration, grouped, json, list, mips } from './text.ts';
import { divergenceRows, replayJournal, verdictText } from './verdict.ts';

async function replayAll(journal: Journal, tier: Tier, input: Input): Promise<number> {
  const asJson = input.has('--json'), progress = createProgress('replaying', journal.instructions);
  const { verdict, ms } = await replayJournal(journal, tier, {
    onProgress: progress.show,
    onOutput(text) {
      progress.clear();
      if (!asJson) writeOutput(text);
    },
  }, chosenBehaviours(input, journal.header.behaviours));
  progress.clear();
  if (asJson) writeOutput(json({ journal: journal.path, tier, ms, verdict }));
  else if (!input.has('--quiet')) {
    writeError(list([
      ['verdict', verdictText(verdict)],
      ...divergenceRows(verdict),
      ...verdict.kind === 'diverged' && (input.has('--profile') || input.has('--behaviour')) ? [['look', 'retro migrate, with the same options, names the instruction and what decided']] as const : [],
      ...verdict.kind === 'identical' ? [['instructions', `${grouped(verdict.instructions)} in ${duration(ms)}, ${mips(verdict.instructions, ms)} MIPS`],
        ['events', grouped(verdict.events)]] as const : [],
    ]));
  }
  return verdict.kind === 'identical' ? Exit.success : Exit.no;
}

/** Stands at a position and says what is there. */
async function standAt(journal: Journal, tier: Tier, input: Input): Promise<number> {
  const until = input.option('--until'), last = { seq: journal.length - 1, icount: 0 };
  const standing = seek(journal, until === undefined ? last : parsePosition(until), { kvm: createKvm(), tier, behaviours: chosenBehaviours(input, journal.header.behaviours) });
  const inspection = await inspect(standing, parsePlaces(input.option('--memory-at')), input.has('--show'));
  writeOutput(input.has('--json') ? json(inspection) : showInspection(inspection));
  return Exit.success;
}

export const command: Command = {
  usage: 'JOURNAL [options]',
  about: 'Replays a journal. Without --until: to its end, comparing every event and digest with the recording. With --until: to that position, and what is there. A position is EVENT:INSTRUCTIONS, so many instructions after that event; 0:1000 is a thousand instructions from the start.',
  options: [
    { name: '--tier', value: 'TIER', choices: ['auto', 'interpreter', 'translator', 'reference'], help: 'how instructions are run; the result is the same' },
    { name: '--until', value: 'POSITION', help: 'stand here' },
    { name: '--show', help: 'show the registers and the next instructions' },
    { name: '--memory-at', value: 'ADDRESS[:LENGTH]', help: 'show memory there: a linear address, or a physical one after a p (p0x1000:64); several with commas' },
    ...behaviourOptions,
    { name: '--quiet', short: '-q', help: 'say nothing about the replay but what the guest says' },
    { name: '--json', help: 'print JSON' },
  ],
  operands: [1, 1],
  examples: [
    ['retro replay run.journal', 'The whole run again; the exit code says whether it was identical.'],
    ['retro replay run.journal --until 0:123456 --show', 'The machine after 123,456 instructions.'],
    ['retro replay run.journal --profile kvm-6.1', 'The same inputs on the KVM of Linux 6.1: would the run have been another one? (retro migrate says where and why.)'],
    ['retro replay run.journal --until 12:0 --memory-at 0x100000:64,p0x7000', 'Memory as it was when event 12 happened.'],
  ],
  exitCodes: [['0', 'identical, or the position was reached'], ['1', 'the replay differed from the recording']],
  async run(input) {
    const standing = ['--until', '--show', '--memory-at'].some((name) => input.has(name));
    if (standing && input.has('--quiet')) throw new UsageError('--quiet leaves nothing to show.', 'Leave it away.');
    const journal = openJournal(input.operands[0]!), tier = (input.option('--tier') ?? 'auto') as Tier;
    try {
      return await (standing ? standAt : replayAll)(journal, tier, input);
    } finally {
      journal.close();
    }
  },
};
