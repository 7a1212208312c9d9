// The options `--behaviour` and `--profile`, which several commands take: what they are called, and which behaviours they choose.
import { behaviourRows, profiles, withoutDefaults } from '../model/behaviours.ts';
import { checkedBehaviours } from '../model/capabilities.ts';
import { ModelError, nearest } from '../model/models.ts';
import { UsageError } from './arguments.ts';
import type { Input, Option } from './command.ts';

export const behaviourOptions: readonly Option[] = [
  { name: '--profile', value: 'NAME', help: `the behaviours of a hypervisor: ${Object.keys(profiles).join(', ')} (retro behaviours explains them)` },
  { name: '--behaviour', value: 'ID=VALUE', repeats: true, help: 'one behaviour, on top of the profile; may be given again' },
];

/** A profile by name; an unknown one is an error that names all. */
export function profileNamed(name: string): Readonly<Record<string, string>> {
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined;
  if (!found) throw new ModelError('unknown-behaviour', `There is no profile “${name}”.`, `The profiles are ${Object.keys(profiles).join(', ')}.`);
  return found.values;
}

/** A behaviour's row; an unknown id is an error that names the nearest. */
export function behaviourNamed(id: string) {
  const found = Object.hasOwn(behaviourRows, id) ? behaviourRows[id] : undefined;
  if (!found) throw new ModelError('unknown-behaviour', `There is no behaviour “${id}”.`, `The nearest names are ${nearest(id, Object.keys(behaviourRows)).join(', ')}; “retro behaviours” lists all.`);
  return found;
}

/** The behaviours that the options choose, those that differ from their defaults: a profile replaces `base`, single ones come on top. */
export function chosenBehaviours(input: Pick<Input, 'option' | 'all'>, base: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> {
  const profile = input.option('--profile');
  const single = input.all('--behaviour').map((word) => {
    const at = word.indexOf('=');
    if (at <= 0) throw new UsageError(`--behaviour cannot be "${word}".`, 'Write --behaviour ID=VALUE, for example --behaviour nsvm.vmrun-failure-gif=kept.');
    return [word.slice(0, at), word.slice(at + 1)] as const;
  });
  return withoutDefaults(checkedBehaviours({ ...profile === undefined ? base : profileNamed(profile), ...Object.fromEntries(single) }));
}
