#!/usr/bin/env node
// The command line, `retro`: finds the command in the table, reads its arguments, runs it, and turns what goes wrong into one
// sentence and an exit code. A command's file, and all that it imports, is loaded only when that command runs.
import { writeError, writeOutput } from '../host/terminal.ts';
import { parseArguments, UsageError } from './arguments.ts';
import { Exit, type Command } from './command.ts';
import { commandHelp, overview } from './help.ts';
import { VERSION } from './version.ts';

const commands: Readonly<Record<string, { readonly summary: string; load(): Promise<{ readonly command: Command }> }>> = {
  record: { summary: 'run a guest image and keep the run in a journal', load: () => import('./record.ts') },
  replay: { summary: 'run a journal again, to its end or to any position', load: () => import('./replay.ts') },
  verify: { summary: 'replay a journal in both tiers and compare every digest', load: () => import('./verify.ts') },
  migrate: { summary: 'would the guest have noticed another CPU or hypervisor? where, and why', load: () => import('./migrate.ts') },
  explain: { summary: 'what happened at a position: event, checks, capabilities', load: () => import('./explain.ts') },
  info: { summary: 'what a journal holds: machine, run, size', load: () => import('./info.ts') },
  events: { summary: 'the events of a journal', load: () => import('./events.ts') },
  behaviours: { summary: 'where processors and versions of KVM differ, with sources; profiles', load: () => import('./behaviours.ts') },
  models: { summary: 'the CPU models, or what one of them has', load: () => import('./models.ts') },
};
const names = Object.keys(commands);

async function loadCommand(name: string): Promise<Command> {
  const found = Object.hasOwn(commands, name) ? commands[name] : undefined;
  if (!found) throw new UsageError(`retro has no command "${name}".`, `Its commands are ${names.join(', ')}.`);
  return (await found.load()).command;
}

async function run(words: readonly string[]): Promise<number> {
  const [first = 'help', ...rest] = words;
  if (first === '--version') {
    writeOutput(`retrovisor ${VERSION}\n`);
    return Exit.success;
  }
  if (first === 'help' || first === '--help' || first === '-h') {
    const [name] = rest;
    writeOutput(name === undefined ? overview(names.map((each) => [each, commands[each]!.summary])) : commandHelp(name, await loadCommand(name)));
    return Exit.success;
  }
  const command = await loadCommand(first);
  const guestsOwn = command.operandsEndOptions ? rest.findIndex((word) => !word.startsWith('-')) : -1;
  const own = guestsOwn < 0 ? rest : rest.slice(0, guestsOwn);
  if (own.includes('--help') || own.includes('-h')) {
    writeOutput(commandHelp(first, command));
    return Exit.success;
  }
  return command.run(parseArguments(first, command, rest));
}

/** Errors whose message is meant for the user, by class name: each says what is wrong and what to do next. An Errno comes from the VM,
 * which was asked for a machine that cannot be. */
const worldErrors = new Set(['UserError', 'ModelError', 'JournalError', 'ImageError', 'Errno']);

function report(error: unknown): number {
  if (error instanceof Error && worldErrors.has(error.name)) {
    const advice = 'advice' in error ? ` ${String(error.advice)}` : error.name === 'Errno' ? '. Ask for another machine, or use another journal.' : '';
    writeError(`retro: ${error.message}${advice}\n`);
    return error instanceof UsageError ? Exit.usage : Exit.world;
  }
  writeError(`retro: a mistake of our own, please report it.\n${error instanceof Error ? error.stack : String(error)}\n`);
  return Exit.bug;
}

process.exitCode = await run(process.argv.slice(2)).catch(report);
