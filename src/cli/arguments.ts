// Reads a command's arguments by its table of options. A mistake is a UserError that says what to write instead.
import { UserError } from '../host/errors.ts';
import type { Command, Input, Option } from './command.ts';

export class UsageError extends UserError {
  constructor(message: string, advice: string) {
    super('EUSAGE', message, advice);
  }
}

function findOption(name: string, command: Command, commandName: string): Option {
  const found = command.options.find((option) => option.name === name || option.short === name);
  if (found) return found;
  throw new UsageError(`retro ${commandName} has no option ${name}.`, `Its options are ${command.options.map((option) => option.name).join(', ')}.`);
}

function checkChoice(option: Option, value: string): string {
  if (option.choices && !option.choices.includes(value)) {
    throw new UsageError(`${option.name} cannot be "${value}".`, `It is one of: ${option.choices.join(', ')}.`);
  }
  return value;
}

export function parseArguments(commandName: string, command: Command, words: readonly string[]): Input {
  const operands: string[] = [], values = new Map<string, string[]>();
  const give = (name: string, value: string): void => { values.set(name, [...values.get(name) ?? [], value]); };
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    if (word === '--') {
      operands.push(...words.slice(at + 1));
      break;
    }
    if (!word.startsWith('-') || word === '-') {
      operands.push(word);
      if (command.operandsEndOptions) {
        operands.push(...words.slice(at + 1));
        break;
      }
      continue;
    }
    const [name, attached] = word.startsWith('--') && word.includes('=')
      ? [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)] : [word, undefined];
    const option = findOption(name, command, commandName);
    if (option.value === undefined) {
      if (attached !== undefined) throw new UsageError(`${option.name} takes no value.`, `Write just ${option.name}.`);
      give(option.name, '');
      continue;
    }
    const value = attached ?? words[++at];
    if (value === undefined) throw new UsageError(`${option.name} needs a value.`, `Write ${option.name} ${option.value}.`);
    give(option.name, checkChoice(option, value));
  }
  const [least, most] = command.operands;
  if (operands.length < least || operands.length > most) {
    throw new UsageError(operands.length < least ? `retro ${commandName} needs more than that.` : `retro ${commandName} takes nothing called "${operands[most]}".`,
      `Write: retro ${commandName} ${command.usage}`);
  }
  return { operands, option: (name) => values.get(name)?.at(-1), all: (name) => values.get(name) ?? [], has: (name) => values.has(name) };
}

const units: Readonly<Record<string, number>> = { '': 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30 };

/** `64M`, `1G`, `4096`: a number of bytes. */
export function parseSize(option: string, text: string): number {
  const match = /^(\d+)([KMG]?)i?B?$/i.exec(text);
  const size = match ? Number(match[1]) * units[match[2]!.toUpperCase()]! : NaN;
  if (!Number.isSafeInteger(size) || size === 0) throw new UsageError(`${option} cannot be "${text}".`, 'Write a size such as 64M or 1G.');
  return size;
}

/** Decimal, or hexadecimal with 0x. */
export function parseInteger(option: string, text: string, maximum = 2n ** 64n - 1n): bigint {
  if (/^(\d+|0x[0-9a-f]+)$/i.test(text)) {
    const value = BigInt(text);
    if (value <= maximum) return value;
  }
  throw new UsageError(`${option} cannot be "${text}".`, `Write a number from 0 to ${maximum}, decimal or 0x….`);
}
