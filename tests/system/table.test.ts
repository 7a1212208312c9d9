import { expect, it } from 'vitest';
import { cr4Features, eferFeatures } from '../../src/cpu/controls.ts';
import { isSystem, knownMnemonics } from '../../src/semantics/index.ts';
import { featureNamed } from '../../src/model/models.ts';
import { changeChecks, controlChecks, xcr0Checks } from '../../src/transitions/controls.ts';
import { systemInstructions } from '../../src/system/index.ts';
import { msrRows } from '../../src/system/msrs.ts';

it('every instruction that a meaning leaves to the system is in the table, and nothing else', () => {
  expect(Object.keys(systemInstructions).sort()).toEqual(knownMnemonics().filter(isSystem).sort());
});

it('every feature that gates an MSR or a control bit exists', () => {
  const names = new Set([...msrRows.flatMap((row) => row.features), ...cr4Features.flatMap(([, features]) => features), ...eferFeatures.flatMap(([, features]) => features)]);
  for (const name of names) expect(() => featureNamed(name), name).not.toThrow();
});

it('indexes of MSRs and ids of checks are unique', () => {
  const indexes = msrRows.map((row) => row.index), ids = [...controlChecks, ...changeChecks, ...xcr0Checks].map((check) => check.id);
  expect(new Set(indexes).size).toBe(indexes.length);
  expect(new Set(ids).size).toBe(ids.length);
});
