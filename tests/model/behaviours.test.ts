// The registry of behaviours: every row is asked for by the core, every value has a source, and profiles choose values that exist.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { behaviourRows, completeBehaviours, profileOf, profiles, profilesWith, withoutDefaults } from '../../src/model/behaviours.ts';
import { inProject } from '../../tools/project.ts';

const sources = readdirSync(inProject('src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.endsWith('behaviours.ts')).map((name) => readFileSync(join(inProject('src'), name), 'utf8')).join('\n');

describe('a behaviour', () => {
  test.each(Object.keys(behaviourRows))('%s is asked for, and every value has a source', (id) => {
    expect(sources).toContain(`'${id}'`);
    const { values, default: usual, sentence } = behaviourRows[id]!;
    expect(Object.keys(values)).toContain(usual);
    expect(sentence).toMatch(/\.$/);
    for (const source of Object.values(values)) expect(source.length).toBeGreaterThan(20);
  });
});

describe('a profile', () => {
  test.each(Object.keys(profiles))('%s chooses values that exist and differ from the defaults', (name) => {
    const { values } = profiles[name]!;
    for (const [id, value] of Object.entries(values)) expect(Object.keys(behaviourRows[id]?.values ?? {})).toContain(value);
    expect(profileOf(values)).toBe(name);
    expect(profileOf(withoutDefaults(completeBehaviours(values)))).toBe(name);
  });

  test('is known by its values', () => {
    expect(profilesWith('nsvm.vmrun-failure-gif', 'kept')).toEqual(['kvm-6.1', 'kvm-6.15', 'kvm-7.0']);
    expect(profileOf({ 'msr.unknown': 'ignore' })).toBeUndefined();
  });
});
