// How every tool answers a wrong command line: one sentence, and exit code 2. The tools parse their options with Node's `parseArgs`.
import { parseArgs, type ParseArgsConfig } from 'node:util';

export function refuse(tool: string, sentence: string): never {
  process.stderr.write(`${tool}: ${sentence}\n`);
  process.exit(2);
}

/** `parseArgs`, but a mistake is one sentence that says where to look. */
export function parseOptions<const T extends ParseArgsConfig>(tool: string, config: T): ReturnType<typeof parseArgs<T>> {
  try {
    return parseArgs(config);
  } catch (error) {
    return refuse(tool, `${(error as Error).message.split(/\. /)[0]!.replace(/\.?$/, '')}; ${config.options !== undefined && Object.keys(config.options).length === 0 ? 'it takes no options' : '--help shows what it takes'}.`);
  }
}

/** The words of a list with commas (`none`: no word), each one of `known`. */
export function wordsOf(tool: string, option: string, text: string, known: readonly string[]): string[] {
  const words = text === 'none' ? [] : text.split(',').filter((word) => word !== '');
  for (const word of words) if (!known.includes(word)) refuse(tool, `${option} cannot be "${word}"; it is one of ${known.join(', ')}.`);
  return words;
}

/** A natural number. */
export function naturalOf(tool: string, option: string, text: string, least = 0): number {
  if (!/^\d{1,15}$/.test(text) || Number(text) < least) refuse(tool, `${option} cannot be "${text}"; it is a number from ${least} up.`);
  return Number(text);
}
