// The scenarios of VMRUN, EVENTINJ and system-management mode, recorded and migrated: what is said of each, a line per migration, stands in
// `scenarios.txt`. UPDATE=1 writes it anew; the difference is the review.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { FirstDifference, MigrationVerdict } from '../../src/migrate/migrate.ts';
import { deliveryText } from '../../src/cli/reasons.ts';
import { MODEL, recorded, to } from './recorded.ts';

interface Scenario {
  readonly name: string;
  readonly model?: string;
  readonly input?: string;
  /** Other values of behaviours, and other models. */
  readonly behaviours?: readonly string[];
  readonly models?: readonly string[];
}
const vectors = (...values: string[]): string[] => values.map((value) => `nsvm.eventinj-vectors=${value}`);

const scenarios: readonly Scenario[] = [
  { name: 'svm-gif', behaviours: ['nsvm.vmrun-failure-gif=kept', 'nsvm.ncr3-check=unchecked'] },
  { name: 'svm-state', behaviours: ['nsvm.consistency-cs-efer=unchecked'], models: [`${MODEL},+cet-ss`, `${MODEL},-umip`, `${MODEL},-auto-ibrs`, `${MODEL},phys-bits=39`] },
  { name: 'svm-control', behaviours: ['nsvm.ncr3-check=unchecked', 'nsvm.vmcb-gpa-error=emulation-failure'] },
  { name: 'svm-eventinj', behaviours: vectors('by-capability', 'fixed-list', 'fixed-list-as-posted', 'unchecked'), models: [`${MODEL},+cet-ibt`, `${MODEL},+sev-es`] },
  { name: 'svm-eventinj-cp', model: `${MODEL},+cet-ss`, models: [MODEL, `${MODEL},+cet-ibt`], behaviours: vectors('by-capability', 'fixed-list') },
  { name: 'svm-eventinj-de', model: `${MODEL},+cet-ss`, models: [MODEL], behaviours: vectors('by-capability', 'fixed-list', 'fixed-list-as-posted', 'unchecked') },
  { name: 'svm-np', model: `${MODEL},-npt`, behaviours: ['nsvm.np-enable-check=checked'] },
  { name: 'inject', input: 'n!', behaviours: ['nsvm.eventinj-vectors=fixed-list-as-posted', 'nsvm.vmrun-failure-gif=kept'] },
  { name: 'smm', behaviours: ['smm.io-restart=absent', 'smm.auto-halt-restart=absent', 'smm.interrupt-shadow=saved', 'smm.interrupt-shadow=lost', 'smm.smbase-alignment=32-kib'] },
  { name: 'smm-nested', behaviours: ['smm.rsm-to-l2=kvm', 'smm.rsm-nested-checks=none'] },
];

function differenceText({ original, other, checks, because, place }: FirstDifference): string {
  const doing = ({ transitions, deliveries, stop }: FirstDifference['original']): string =>
    [...deliveries.map(deliveryText), ...transitions.map(({ kind, detail }) => [kind, detail['exit'], detail['inject']].filter((word) => word !== undefined).join(' ')), ...stop === undefined ? [] : [stop]].join(', ') || 'executes';
  return [
    `${Array.from(place.bytes.subarray(0, 2), (byte) => byte.toString(16).padStart(2, '0')).join('')} in L${place.level}${place.smm ? ' SMM' : ''}: ${doing(original)} | ${doing(other)}`,
    ...checks.map(({ id, original: left, other: right }) => `${id} ${String(left)} | ${String(right)}`),
    ...because.map(({ capability, original: left, other: right }) => `because ${capability} ${String(left)} | ${String(right)}`),
  ].join('; ');
}

function text(verdict: MigrationVerdict): string {
  if (verdict.verdict === 'broken') return `broken at event ${verdict.seq}`;
  if (verdict.verdict === 'identical') return `identical by ${verdict.by}${verdict.hidden === undefined ? '' : `, hidden: ${verdict.hidden.differences.map(({ name }) => name).join(' ')}`}`;
  const { first, seen } = verdict;
  return `diverged: ${differenceText(first)}${seen === undefined ? '' : seen === 'never' ? '; the guest never sees it' : `; the guest sees ${differenceText(seen)}`}`;
}

test('every migration says what differs first, and what decided', async () => {
  const lines: string[] = [];
  for (const { name, model = MODEL, input = '', behaviours = [], models = [] } of scenarios) {
    const journal = await recorded(input, model, name);
    lines.push(`${name}${input === '' ? '' : ` “${input}”`}${model === MODEL ? '' : ` on ${model.slice(MODEL.length + 1)}`}`);
    for (const other of models) lines.push(`  ${other === MODEL ? 'without' : other.slice(MODEL.length + 1)}: ${text(await to(journal, { model: other }))}`);
    for (const choice of behaviours) lines.push(`  ${choice}: ${text(await to(journal, { behaviours: Object.fromEntries([choice.split('=')]) as Record<string, string> }))}`);
  }
  const found = `${lines.join('\n')}\n`, file = new URL('scenarios.txt', import.meta.url);
  if (process.env['UPDATE'] === '1' || !existsSync(file)) writeFileSync(file, found);
  expect(found).toBe(readFileSync(file, 'utf8'));
}, 120_000);
