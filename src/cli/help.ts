// The help texts, made from the command tables.
import { exitCodes, type Command } from './command.ts';
import { list, wrap } from './text.ts';

const indent = (text: string): string => text.replace(/^(?=.)/gm, '  ');
const section = (title: string, text: string): string => `\n${title}\n${indent(text)}`;

export function commandHelp(name: string, command: Command): string {
  const options = command.options.map(({ name: long, short, value, choices, help }) =>
    [`${short ? `${short}, ` : ''}${long}${value ? ` ${value}` : ''}`, choices ? `${help} (${choices.join(', ')})` : help] as const);
  return `retro ${name} ${command.usage}\n\n${wrap(command.about)}\n`
    + (options.length > 0 ? section('Options', list(options)) : '')
    + section('Examples', command.examples.map(([line, what]) => `${line}\n    ${what}\n`).join(''))
    + (command.exitCodes ? section('Exit codes', list(command.exitCodes)) : '');
}

export function overview(commands: readonly (readonly [name: string, summary: string])[]): string {
  return 'retro COMMAND [options]\n\n'
    + 'Records a whole x86-64 machine, replays it bit for bit, and stands at any instruction of the run.\n'
    + section('Commands', list(commands))
    + section('First steps', list([
      ['retro record -o run.journal kernel.elf', 'run a guest and keep the run'],
      ['retro replay run.journal', 'run it again, exactly'],
      ['retro replay run.journal --until 0:1000 --show', 'stand after 1000 instructions and look around'],
      ['retro verify run.journal', 'replay in both tiers and compare every digest'],
    ]))
    + section('Exit codes', list(exitCodes))
    + '\nretro COMMAND --help explains a command by example.\n';
}
