// `retro verify`: replays a journal in the interpreter and in the translator, and compares every event and digest with the recording.
import { openJournal } from '../../journal/store.ts';
import type { Tier } from '../kvm/api.ts';
import { createKvm } from '../kvm/system.ts';
import { verify } from '../replay/verify.ts';
import { breathe, nowMs } from '../host/clock.ts';
import { writeOutput } from '../host/terminal.ts';
import { behaviourOptions, chosenBehaviours } from './behaviour-options.ts';
import { Exit, type Command } from './command.ts';
import { createProgress } from './progress.ts';
import { duration, grouped, json, list, mips, table } from './text.ts';
import { divergenceRows, verdictText, type Replayed } from './verdict.ts';

const tiers: readonly Tier[] = ['interpreter', 'translator'];

export const command: Command = {
  usage: 'JOURNAL [--reference] [--profile NAME] [--behaviour ID=VALUE] [--json]',
  about: 'Replays a journal in both tiers and compares every event and every digest with the recording. Two tiers that agree with one recording agree with each other.',
  options: [
    { name: '--reference', help: 'in the reference engine, too; it is about a thousand times slower' },
    ...behaviourOptions,
    { name: '--json', help: 'print JSON' },
  ],
  operands: [1, 1],
  examples: [
    ['retro verify run.journal', 'Is this run what it was, in both tiers?'],
    ['retro verify run.journal || retro events run.journal', 'For a script: the exit code is the answer.'],
  ],
  exitCodes: [['0', 'identical in every tier'], ['1', 'a tier differed']],
  async run(input) {
    const journal = openJournal(input.operands[0]!), results: Replayed[] = [];
    const wanted = input.has('--reference') ? [...tiers, 'reference' as const] : tiers;
    let began = nowMs(), progress = createProgress(wanted[0]!, journal.instructions);
    try {
      await verify(journal, { kvm: createKvm(), breathe, behaviours: chosenBehaviours(input, journal.header.behaviours) }, wanted).forEach(({ tier, step }) => {
        if (step.kind === 'agreed') return progress.show(step.recorded.at.icount);
        progress.clear();
        results.push({ tier, verdict: step.verdict, ms: nowMs() - began });
        began = nowMs();
        progress = createProgress(wanted[results.length] ?? '', journal.instructions);
      });
    } finally {
      journal.close();
    }
    if (input.has('--json')) writeOutput(json({ journal: journal.path, results }));
    else {
      writeOutput(table([{ title: 'tier' }, { title: 'instructions', right: true }, { title: 'events', right: true }, { title: 'time', right: true }, { title: 'MIPS', right: true }, { title: 'verdict' }],
        results.map(({ tier, verdict, ms }) => verdict.kind === 'identical'
          ? [tier, grouped(verdict.instructions), grouped(verdict.events), duration(ms), mips(verdict.instructions, ms), verdictText(verdict)]
          : [tier, '', '', duration(ms), '', verdictText(verdict)])));
      for (const { tier, verdict } of results) if (verdict.kind === 'diverged') writeOutput(`\n${tier}\n${list(divergenceRows(verdict))}`);
    }
    return results.every(({ verdict }) => verdict.kind === 'identical') ? Exit.success : Exit.no;
  },
};
