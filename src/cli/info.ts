// `retro info`: what a journal holds. Reading every event once also checks the whole chain of digests, so what it prints is intact.
import { openJournal, type Journal } from '../../journal/store.ts';
import { profileOf } from '../model/behaviours.ts';
import { shortSpec } from '../model/models.ts';
import { fileSize } from '../host/files.ts';
import { writeOutput } from '../host/terminal.ts';
import { Exit, type Command } from './command.ts';
import { bytes, grouped, json, list, table } from './text.ts';

interface Summary {
  readonly kinds: Readonly<Record<string, number>>;
  /** Why the run ended, when the last event says so. */
  readonly ended: string | undefined;
  readonly digest: string | undefined;
}

function summarise(journal: Journal): Summary {
  const kinds: Record<string, number> = {};
  let ended: string | undefined;
  for (const stored of journal.stored()) {
    kinds[stored.kind] = (kinds[stored.kind] ?? 0) + 1;
    if (stored.kind !== 'Ended') continue;
    const event = journal.decode(stored);
    if (event.kind === 'Ended') ended = event.status === null ? event.reason : `${event.reason}, status ${event.status}`;
  }
  return { kinds, ended, digest: journal.length > 0 ? journal.digest(journal.length - 1) : undefined };
}

function show(journal: Journal, size: number): void {
  const { header } = journal, { kinds, ended, digest } = summarise(journal);
  const profile = profileOf(header.behaviours), behaviours = Object.entries(header.behaviours).map(([id, value]) => `${id}=${value}`).join(' ');
  writeOutput(list([
    ['journal', `${journal.path}, ${bytes(size)}, format ${journal.format}, engine ${header.engine}`],
    ['recorded', `${header.created}, ${journal.complete ? 'complete' : 'cut short: usable up to its last event'}`],
    ...header.images.map(({ name, role, bytes: length, digest: sha256 }) => [role, `${name}, ${bytes(length)}, SHA-256 ${sha256}`] as const),
    ['command line', header.commandLine],
    ['CPU', `${shortSpec(header.model)}, ${header.cpuCount} vCPU${header.cpuCount === 1 ? '' : `s in turns of ${grouped(header.quantum)} instructions`}, TSC ${grouped(header.tscKhz)} kHz`],
    ...(behaviours === '' ? [] : [['behaviours', profile === undefined ? behaviours : `profile ${profile}: ${behaviours}`] as const]),
    ['memory', bytes(header.ramBytes)],
    ['seed', `0x${header.seed.toString(16)}`],
    ['instructions', grouped(journal.instructions)],
    ['end', ended ?? 'none recorded'],
    ['snapshots', grouped(journal.snapshots().length)],
    ['digest', digest ?? 'none'],
  ]));
  writeOutput(`\n${table([{ title: 'events' }, { title: 'count', right: true }],
    [...Object.entries(kinds).sort(([a], [b]) => (a < b ? -1 : 1)).map(([kind, count]) => [kind, grouped(count)]), ['all', grouped(journal.length)]])}`);
}

function showFootprint(journal: Journal): void {
  writeOutput(table([{ title: 'capability' }, { title: 'answer' }, { title: 'first asked' }],
    journal.footprint().map(({ capability, answer, first }) => [capability, String(answer), `${first.seq}:${first.icount}`])));
}

export const command: Command = {
  usage: 'JOURNAL [--footprint] [--json]',
  about: 'Shows what a journal holds: the machine, the guest, the length of the run, its events by kind. Every event is read and the chain of digests checked.',
  options: [
    { name: '--footprint', help: 'list every question that the run asked of the CPU model and the behaviours' },
    { name: '--json', help: 'print JSON, the footprint and the snapshots included' },
  ],
  operands: [1, 1],
  examples: [
    ['retro info run.journal', 'The machine and the run at a glance.'],
    ['retro info run.journal --footprint', 'What this run depends on: the answers another CPU would have to give alike.'],
  ],
  run(input) {
    const journal = openJournal(input.operands[0]!), size = fileSize(journal.path);
    if (input.has('--json')) {
      writeOutput(json({
        journal: journal.path, bytes: size, format: journal.format, complete: journal.complete, header: journal.header, instructions: journal.instructions,
        events: journal.length, ...summarise(journal), snapshots: journal.snapshots(), footprint: journal.footprint(), bookmarks: journal.bookmarks(),
      }));
    } else if (input.has('--footprint')) showFootprint(journal);
    else show(journal, size);
    journal.close();
    return Exit.success;
  },
};
