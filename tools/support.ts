// npm run support: writes src/semantics/SUPPORT.md, the page of instruction families, from the tables: encodings, meanings, features. A test
// compares the file with what the tables say, so the page can be trusted.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { absent } from '../src/isa/opcodes/absent.ts';
import type { Row } from '../src/isa/opcodes/row.ts';
import { rowGroups } from '../src/isa/rows.ts';
import { featureRows, support } from '../src/model/features.ts';
import { featureNamed } from '../src/model/models.ts';
import { whyMissing } from '../src/semantics/index.ts';
import { parseOptions } from './usage.ts';

export const supportFile = fileURLToPath(new URL('../src/semantics/SUPPORT.md', import.meta.url));

/** What people call the families; those that are not named here go by their CPUID feature. */
const titles: Readonly<Record<string, string>> = {
  arithmetic: 'arithmetic, logic, comparisons', bcd: 'decimal arithmetic', bits: 'bit operations', branch: 'near and far transfers, software interrupts',
  hints: 'NOP, prefetches', io: 'ports', move: 'moves, conditional and extending', multiply: 'multiplication and division', segment: 'segments and descriptor tables',
  shift: 'shifts and rotates', stack: 'stack', string: 'string instructions', system: 'flags, control registers, processor control', virtualization: 'virtualization',
  fpu: 'x87', abm: 'LZCNT', adx: 'multi-precision addition (ADX)', aes: 'AES-NI', 'aes avx': 'AES-NI, VEX', 'gfni avx': 'GFNI, VEX', cmov: 'conditional moves, and those of x87',
  'cet-ss': 'shadow stacks', 'cet-ibt': 'ENDBR', fma: 'FMA3', pni: 'SSE3', 'sha-ni': 'SHA', pku: 'protection keys', xsave: 'XSAVE, XRSTOR, XCR0', mmxext: 'AMD’s extensions of MMX',
  'pclmulqdq avx': 'PCLMULQDQ, VEX', 'f16c avx': 'half-precision conversions', 'vaes avx': 'AES, 256 bits', 'vpclmulqdq avx': 'PCLMULQDQ, 256 bits', 'vaes avx512f': 'AES, EVEX', 'vpclmulqdq avx512f': 'PCLMULQDQ, EVEX', 'gfni avx512f': 'GFNI, EVEX',
};

type Level = 'supported' | 'partly' | 'not';
interface Family { readonly name: string; readonly feature: string; readonly mnemonics: Set<string>; encodings: number }

/** The features that a row needs, by their names in `features.ts`: with EVEX always AVX-512. */
function featuresOf([, opcode, , notes = '']: Row): string[] {
  const named = notes.split(' ').filter((note) => note.startsWith('+')).map((note) => featureNamed(note.slice(1)));
  return opcode.startsWith('EVEX.') && !named.some((name) => name.startsWith('avx512')) ? [...named, 'avx512f'] : named;
}

function families(): Family[] {
  const found = new Map<string, Family>();
  for (const [group, rows] of Object.entries(rowGroups)) {
    for (const row of rows as readonly Row[]) {
      const features = featuresOf(row), key = features.join(' ') || group;
      let family = found.get(key);
      if (!family) found.set(key, family = { name: titles[key] ?? features.join(', '), feature: features.join(', '), mnemonics: new Set(), encodings: 0 });
      family.mnemonics.add(row[0]);
      family.encodings++;
    }
  }
  return [...found.values()];
}

/** How far a family goes, and what is missing or why. */
function levelOf({ feature, mnemonics }: Family): { level: Level; why: string } {
  const words = feature === '' ? [] : feature.split(', ').map((name) => ({ name, word: featureRows[name]![5], ...support[featureRows[name]![5]] }));
  const masked = words.find(({ present }) => !present);
  if (masked) return { level: 'not', why: masked.why };
  const missing = [...mnemonics].filter((mnemonic) => whyMissing(mnemonic) !== undefined), unclaimed = words.find(({ claimed }) => !claimed);
  if (missing.length === mnemonics.size) return { level: 'not', why: whyMissing(missing[0]!)! };
  if (missing.length > 0) return { level: 'partly', why: `missing: ${missing.map((mnemonic) => `${mnemonic} (${whyMissing(mnemonic)})`).join(', ')}` };
  return unclaimed ? { level: 'partly', why: unclaimed.why } : { level: 'supported', why: words.find(({ word, why }) => word !== 'hint' && why !== '')?.why ?? '' };
}

/** At most so many mnemonics are named: the rows of the opcode tables say the rest. */
const NAMED = 12;
const listed = (mnemonics: ReadonlySet<string>): string =>
  [...mnemonics].slice(0, NAMED).join(' ') + (mnemonics.size > NAMED ? ` … (${mnemonics.size})` : '');
const line = (...cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;

/** The page. */
export function supportPage(): string {
  const all = families().map((family) => ({ ...family, ...levelOf(family) }));
  const count = (level: Level): number => all.filter((family) => family.level === level).length;
  const used = new Set(all.flatMap(({ feature }) => feature === '' ? [] : feature.split(', ')));
  const others = Object.entries(featureRows).map(([name, row]) => ({ name, ...support[row[5]] })).filter(({ name, claimed }) => !claimed && !used.has(name));
  const reasons = new Map<string, string[]>();
  for (const { name, why } of others) reasons.set(why, [...reasons.get(why) ?? [], name]);
  return [
    '# Instruction families',
    '',
    `Made by \`npm run support\` from the opcode rows, the meanings and the feature table; a test keeps it so. ${all.length} families: ${count('supported')} supported, ${count('partly')} partly, ${count('not')} not.`,
    'An instruction whose feature the model lacks does not exist: it is #UD, or the older instruction that its bytes were before.',
    'CPUID shows what is supported and nothing else; `retro models --cpu NAME` says it for one model.',
    '',
    line('family', 'CPUID feature', 'support', 'encodings', 'mnemonics', 'what is missing, why, or what to know'),
    line('---', '---', '---', '---:', '---', '---'),
    ...all.map(({ name, feature, level, encodings, mnemonics, why }) => line(name, feature, level, String(encodings), listed(mnemonics), why)),
    '',
    '## Instructions without a row',
    '',
    'The decoder does not know these at all: #UD.',
    '',
    ...absent.map(({ mnemonics, reason }) => `- \`${mnemonics.source.replace(/^\^\(|\)\$$/g, '')}\`: ${reason}`),
    '',
    '## Features without instructions of their own that CPUID leaves out',
    '',
    ...[...reasons].map(([why, names]) => `- ${why}: ${names.join(', ')}`),
    '',
  ].join('\n');
}

if (process.argv[1] !== undefined && /support\.[jt]s$/.test(process.argv[1])) {
  parseOptions('support', { options: {} });
  writeFileSync(supportFile.replace('/dist/', '/'), supportPage());
}
