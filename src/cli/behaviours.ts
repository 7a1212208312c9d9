// `retro behaviours`: the choices where hardware, or versions of KVM, differ; one of them with the source of each value; or what a profile chooses.
import { behaviourRows, profiles, profilesWith } from '../model/behaviours.ts';
import { writeOutput } from '../host/terminal.ts';
import { behaviourNamed, profileNamed } from './behaviour-options.ts';
import { UsageError } from './arguments.ts';
import { Exit, type Command } from './command.ts';
import { json, list, table, wrap } from './text.ts';

/** A behaviour as data: what `--json` prints, and what the texts are made from. */
const described = (id: string) => {
  const { sentence, default: usual, values } = behaviourNamed(id);
  return {
    id, sentence, default: usual,
    values: Object.entries(values).map(([value, source]) => ({ value, source, profiles: profilesWith(id, value) })),
  };
};

const paragraph = (text: string, indent: number): string => wrap(text, 110 - indent).replace(/^/gm, ' '.repeat(indent));

function showOne(id: string): void {
  const { sentence, values, default: usual } = described(id);
  writeOutput(`${id}\n${paragraph(sentence, 2)}\n`);
  for (const { value, source, profiles: names } of values) {
    writeOutput(`\n  ${value}${value === usual ? ' (default)' : ''}\n${paragraph(source, 4)}\n`);
    writeOutput(names.length > 0 ? `    profiles: ${names.join(', ')}\n` : '    in no profile\n');
  }
  writeOutput(`\n--behaviour ${id}=VALUE chooses one when a guest is recorded, replayed or migrated.\n`);
}

function showAll(): void {
  const rows = Object.entries(behaviourRows).map(([id, { default: usual, values }]) => [id, usual, Object.keys(values).filter((value) => value !== usual).join(', ')]);
  writeOutput(table([{ title: 'behaviour' }, { title: 'default' }, { title: 'other values' }], rows));
  writeOutput(`\nprofiles\n${list(Object.entries(profiles).map(([name, { sentence, values }]) => [`  ${name}`, `${sentence} ${Object.keys(values).length} other than the defaults.`]))}`);
  writeOutput(`\n${rows.length} behaviours. “retro behaviours ID” explains one with the sources of its values, “--profile NAME” shows what a profile chooses.\n`);
}

/** Every behaviour with its value in a profile, what differs from the default first. */
function showProfile(name: string): void {
  const values = profileNamed(name);
  const of = (differs: boolean) => Object.entries(behaviourRows).filter(([id, { default: usual }]) => ((values[id] ?? usual) !== usual) === differs);
  writeOutput(`${name}\n${paragraph(profiles[name]!.sentence, 2)}\n`);
  const different = of(true), same = of(false);
  writeOutput(different.length > 0 ? `\nother than the defaults (${different.length})\n` : '\nEvery behaviour has its default.\n');
  for (const [id, row] of different) writeOutput(`\n  ${id}=${values[id]!}\n${paragraph(row.values[values[id]!]!, 4)}\n`);
  if (different.length > 0 && same.length > 0) writeOutput(`\ndefaults (${same.length})\n${list(same.map(([id, { default: usual }]) => [`  ${id}`, usual]))}`);
}

export const command: Command = {
  usage: '[ID] [--profile NAME] [--json]',
  about: 'Lists the behaviours: named choices where processors, or versions of KVM, differ, each value with the manual, patch or version that it comes from. A profile is a set of choices, those of one hypervisor.',
  options: [
    { name: '--profile', value: 'NAME', help: `what this profile chooses: ${Object.keys(profiles).join(', ')}` },
    { name: '--json', help: 'print JSON' },
  ],
  operands: [0, 1],
  examples: [
    ['retro behaviours', 'All of them, and the profiles.'],
    ['retro behaviours nsvm.eventinj-vectors', 'One, with the source of each of its values.'],
    ['retro behaviours --profile kvm-6.1', 'What KVM of Linux 6.1 does otherwise, and how we know.'],
  ],
  run(input) {
    const [id] = input.operands, profile = input.option('--profile');
    if (id !== undefined && profile !== undefined) throw new UsageError('A behaviour and a profile cannot both be shown.', 'Name one of them.');
    if (input.has('--json')) {
      const rows = (id === undefined ? Object.keys(behaviourRows) : [id]).map(described);
      const values = profile === undefined ? undefined : profileNamed(profile);
      writeOutput(json(values === undefined ? { behaviours: rows, ...id === undefined && { profiles } }
        : { profile, ...profiles[profile!]!, behaviours: rows.map((row) => ({ ...row, value: values[row.id] ?? row.default })) }));
    } else if (id !== undefined) showOne(id);
    else if (profile !== undefined) showProfile(profile);
    else showAll();
    return Exit.success;
  },
};
