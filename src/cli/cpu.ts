// The CPU that a command line asks for: --cpu with a model's name, or --cpu-dump with a file, which becomes a model of its own.
import { readFile } from '../host/files.ts';
import { DEFAULT_MODEL } from '../model/models.ts';
import { specOfDump } from '../model/dump.ts';
import { UsageError } from './arguments.ts';
import type { Input, Option } from './command.ts';

/** A dump of one processor has a few kilobytes, a collection some hundreds. */
const MAX_DUMP_BYTES = 2 ** 24;

export const cpuOption: Option = {
  name: '--cpu', value: 'MODEL', help: `the CPU, with features added and removed: EPYC-Milan,-smep (${DEFAULT_MODEL}; retro models lists them)`,
};
export const dumpOption: Option = {
  name: '--cpu-dump', value: 'FILE', help: 'a CPU from a raw CPUID dump (cpuid -r, InstLatx64, JSON; FILE#NAME in a collection); --cpu then has only changes: --cpu +pks,-smep',
};

/** What the options say, as the name of a model; undefined: nothing. */
export function cpuOf(input: Pick<Input, 'option'>): string | undefined {
  const cpu = input.option('--cpu'), dump = input.option('--cpu-dump');
  if (dump === undefined) return cpu;
  if (cpu !== undefined && !/^[,+-]|^(phys-bits|vendor)=/.test(cpu)) throw new UsageError(`--cpu ${cpu} and --cpu-dump both name a CPU.`, 'Leave one away; with --cpu-dump, --cpu can only change features: --cpu +pks,-smep.');
  const [, path = dump, part] = /^(.*?)(?:#([^#/\\]+))?$/s.exec(dump) ?? [];
  const text = new TextDecoder().decode(readFile(path, MAX_DUMP_BYTES));
  const spec = specOfDump(text, part ?? path.replace(/^.*[/\\]/, '').replace(/\.[^.]*$/, ''), part);
  return cpu === undefined ? spec : `${spec},${cpu.replace(/^,/, '')}`;
}
