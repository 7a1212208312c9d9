// What a command of `retro` is: a name, options as data, and a function. The parser and the help text both read this, so a
// command never parses or documents anything itself.

export interface Option {
  /** With the dashes: `--cpu`. */
  readonly name: string;
  /** One-letter form: `-o`. */
  readonly short?: string;
  /** What stands for the value in the help text; without it the option is a switch. */
  readonly value?: string;
  /** It may be given again, and every value counts; otherwise the last one does. */
  readonly repeats?: true;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  readonly help: string;
}

export interface Command {
  /** After `retro NAME`: `[options] IMAGE [argument…]`. */
  readonly usage: string;
  /** One paragraph. */
  readonly about: string;
  readonly options: readonly Option[];
  /** Number of operands: least and most. */
  readonly operands: readonly [number, number];
  /** Everything after the first operand belongs to the guest, dashes and all. */
  readonly operandsEndOptions?: true;
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Exit codes that mean something of this command's own. */
  readonly exitCodes?: readonly (readonly [code: string, meaning: string])[];
  /** Returns the exit code. */
  run(input: Input): number | Promise<number>;
}

export interface Input {
  readonly operands: readonly string[];
  /** The value of an option, or undefined. */
  option(name: string): string | undefined;
  /** Every value of an option that may be given again. */
  all(name: string): readonly string[];
  /** Whether a switch was given. */
  has(name: string): boolean;
}

/** The command's exit codes; each command's help adds its own. */
export const Exit = { success: 0, no: 1, usage: 2, world: 3, bug: 70 } as const;
export const exitCodes: readonly (readonly [code: string, meaning: string])[] = [
  ['0', 'success'],
  ['1', 'the answer is no: a replay differed from its recording'],
  ['2', 'the command line is wrong'],
  ['3', 'a file, a journal or an image cannot be used'],
  ['70', 'a mistake of retro itself; please report it'],
];
