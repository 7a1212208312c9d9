// `retro models`: the CPU models that --cpu takes, or everything that one of them has, with what the engine leaves out and why.
import { writeOutput } from '../host/terminal.ts';
import { featureRows, support } from '../model/features.ts';
import { DEFAULT_MODEL, listModels, modelNumbers, resolveModel } from '../model/models.ts';
import { Exit, type Command } from './command.ts';
import { cpuOf, cpuOption, dumpOption } from './cpu.ts';
import { hex, json, list, table, wrap } from './text.ts';

function showAll(asJson: boolean): void {
  const models = listModels();
  if (asJson) return writeOutput(json(models));
  writeOutput(table([{ title: 'model' }, { title: 'vendor' }, { title: 'aliases' }, { title: 'brand' }],
    models.map(({ name, vendor, aliases, brand }) => [name, vendor.trim(), aliases.join(' '), brand])));
  writeOutput(`\n${models.length} models; ${DEFAULT_MODEL} when --cpu is not given. “retro models --cpu NAME” shows one.\n`);
}

function showOne(spec: string, asJson: boolean): void {
  const model = resolveModel(spec);
  const numbers = Object.entries(modelNumbers).map(([name, number]) => [name, String(number(model))] as const);
  const claimed = [...model.claimed].sort();
  const masked = [...model.masked].sort((a, b) => (a.feature < b.feature ? -1 : 1));
  const remarks = claimed.flatMap((feature) => {
    const word = featureRows[feature]?.[5], why = word === undefined || word === 'hint' ? '' : support[word].why;
    return why === '' ? [] : [{ feature, why }];
  });
  const cpuid = [...model.rows].flatMap(([leaf, subleaves]) => [...subleaves].map(([subleaf, row]) => ({ leaf, subleaf, row }))).sort((a, b) => a.leaf - b.leaf || a.subleaf - b.subleaf);
  if (asJson) {
    return writeOutput(json({ name: model.name, vendor: model.vendor, brand: model.brand, numbers: Object.fromEntries(numbers), features: claimed, remarks, left_out: masked, cpuid }));
  }
  writeOutput(list([['model', model.name], ['vendor', model.vendor.trim()], ['brand', model.brand], ...numbers]));
  writeOutput(`\nfeatures (${claimed.length})\n${wrap(claimed.join(' ')).replace(/^/gm, '  ')}\n`);
  if (remarks.length > 0) {
    writeOutput(`\nin CPUID, but\n${table([{ title: 'feature' }, { title: 'what to know' }], remarks.map(({ feature, why }) => [feature, why])).replace(/^(?=.)/gm, '  ')}`);
  }
  if (masked.length > 0) {
    writeOutput(`\nleft out of CPUID (${masked.length})\n${table([{ title: 'feature' }, { title: 'why' }], masked.map(({ feature, why }) => [feature, why])).replace(/^(?=.)/gm, '  ')}`);
  }
  writeOutput(`\nCPUID\n${table([{ title: 'leaf' }, { title: 'subleaf', right: true }, ...['eax', 'ebx', 'ecx', 'edx'].map((title) => ({ title }))],
    cpuid.map(({ leaf, subleaf, row }) => [hex(leaf, 8), hex(subleaf), ...row.map((word) => hex(word, 8))])).replace(/^(?=.)/gm, '  ')}`);
}

export const command: Command = {
  usage: '[--cpu MODEL[,+feature,-feature] | --cpu-dump FILE] [--json]',
  about: 'Lists the CPU models, or shows one: its features, what the engine leaves out of CPUID and why, its numbers and its CPUID rows.',
  options: [
    { ...cpuOption, help: 'show this model, with features added (+) and removed (-)' }, dumpOption,
    { name: '--json', help: 'print JSON' },
  ],
  operands: [0, 0],
  examples: [
    ['retro models', 'All models and their aliases.'],
    ['retro models --cpu EPYC-Milan,-smep', 'A Milan without SMEP, as a guest would find it.'],
    ['retro models --cpu EPYC-Genoa --json', 'The same as data.'],
    ['retro models --cpu-dump cpuid.txt --cpu +cet-ss', 'A processor by what cpuid -r printed on it, with shadow stacks.'],
  ],
  run(input) {
    const spec = cpuOf(input);
    if (spec === undefined) showAll(input.has('--json'));
    else showOne(spec, input.has('--json'));
    return Exit.success;
  },
};
