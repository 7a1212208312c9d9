// From `EPYC-Genoa-v3,+cet-ss,-la57,phys-bits=46` to a CPU: its CPUID rows and its features, after what the user added and removed
// and after what the engine has no meaning for. Called by `capabilities.ts` once per VM and by the command that lists models.
// It decides nothing while a guest runs.
import { aliases } from './cpus/aliases.ts';
import { amd } from './cpus/amd.ts';
import { intel } from './cpus/intel.ts';
import { others } from './cpus/others.ts';
import { featureAliases, featureRows, msrFeatures, requirements, support, type CpuidRegister, type FeatureName } from './features.ts';
import { components, EXTENDED } from './xstate.ts';

/** The wish for a CPU cannot be met; `advice` says what to write instead. */
export class ModelError extends Error {
  readonly code: 'unknown-model' | 'unknown-feature' | 'unknown-behaviour' | 'malformed';
  readonly advice: string;
  constructor(code: ModelError['code'], message: string, advice: string) {
    super(message);
    this.name = 'ModelError';
    this.code = code;
    this.advice = advice;
  }
}

export const vendors = ['AuthenticAMD', 'GenuineIntel', 'HygonGenuine', 'CentaurHauls', '  Shanghai  '] as const;
export type Vendor = (typeof vendors)[number];
/** EAX, EBX, ECX, EDX. */
export type CpuidRow = readonly [number, number, number, number];

export interface Model {
  /** The name after aliases: `EPYC-v1`. */
  readonly name: string;
  readonly vendor: Vendor;
  readonly brand: string;
  /** By leaf, then by sub-leaf. Only rows that are not all zeros. */
  readonly rows: ReadonlyMap<number, ReadonlyMap<number, CpuidRow>>;
  readonly maxBasicLeaf: number;
  readonly maxExtendedLeaf: number;
  /** What the core works with: `has()`. */
  readonly present: ReadonlySet<string>;
  /** What CPUID shows. */
  readonly claimed: ReadonlySet<string>;
  /** Features of the model, or asked for, that CPUID does not show, and why. */
  readonly masked: readonly { readonly feature: string; readonly asked: boolean; readonly present: boolean; readonly why: string }[];
}

export const DEFAULT_MODEL = 'EPYC-Genoa-v3';

const registerIndex: Readonly<Record<CpuidRegister, number>> = { eax: 0, ebx: 1, ecx: 2, edx: 3 };

/** Leaves whose answer depends on ECX (APM Vol. 3, appendix E; SDM Vol. 2, "CPUID"). */
const indexedLeaves = new Set([0x4, 0x7, 0xb, 0xd, 0xf, 0x10, 0x12, 0x14, 0x17, 0x18, 0x1a, 0x1b, 0x1d, 0x1e, 0x1f, 0x20, 0x23, 0x24, 0x27, 0x28, 0x29,
  0x8000001d, 0x80000020, 0x80000026]);
export const isIndexed = (leaf: number): boolean => indexedLeaves.has(leaf);

/** A leaf that is zero without this feature: its numbers describe the feature. */
const leafOwner: Readonly<Record<number, FeatureName>> = {
  0xd: 'xsave', 0x12: 'sgx', 0x14: 'intel-pt', 0x1d: 'amx-tile', 0x1e: 'amx-tile', 0x24: 'avx10', 0x29: 'apxf',
  0x8000000a: 'svm', 0x8000001c: 'lwp', 0x8000001d: 'topoext', 0x8000001e: 'topoext', 0x80000022: 'perfmon-v2', 0xc0000001: 'xstore',
};

/** AMD repeats these bits of 1.EDX in 80000001.EDX. (So does Hygon, but not in QEMU's models of it.) */
const REPEATED_EDX = 0x0183f3ff;
/** Leaf 24 has its version number beside feature bits, which must stay. */
const MIXED_LEAF = 0x24;
export const isAmd = (vendor: Vendor): boolean => vendor === 'AuthenticAMD' || vendor === 'HygonGenuine';

const textOf = (name: string): string | undefined => {
  for (const group of [amd, intel, others]) if (Object.hasOwn(group, name)) return group[name];
  return undefined;
};
const versioned = (name: string): string => {
  if (Object.hasOwn(aliases, name)) return aliases[name]!;
  return textOf(name) === undefined && textOf(`${name}-v1`) !== undefined ? `${name}-v1` : name;
};

/** Names of all models in a fixed order, each with its aliases. */
export function listModels(): { name: string; vendor: Vendor; brand: string; aliases: string[]; deprecated: boolean }[] {
  return [amd, intel, others].flatMap((group) => Object.entries(group).map(([name, text]) => {
    const { vendor, brand, deprecated } = parseHead(text);
    const own = Object.keys(aliases).filter((alias) => aliases[alias] === name);
    if (name.endsWith('-v1')) own.unshift(name.slice(0, -3));
    return { name, vendor, brand, aliases: own, deprecated };
  }));
}

function parseHead(text: string) {
  const line = text.split('\n', 1)[0]!;
  const [head = '', brand = ''] = line.split(' brand=');
  // All vendors have twelve letters, some of them blanks.
  const vendor = head.slice(0, 12), words = head.slice(13).split(' ');
  const values = new Map(words.map((word) => word.split('=') as [string, string | undefined]));
  const [maxBasic = 0, maxExtended = 0, maxCentaur = 0] = (values.get('max') ?? '').split(/[,/]/).map((digits) => parseInt(digits, 16));
  const msrs = new Map<number, bigint>();
  for (const [word, index] of [['msr10a', 0x10a], ['msrcf', 0xcf]] as const) {
    const value = values.get(word);
    if (value !== undefined) msrs.set(index, BigInt(`0x${value}`));
  }
  return { vendor: vendor as Vendor, brand, maxBasic, maxExtended, maxCentaur, msrs, deprecated: values.has('deprecated') };
}

type Rows = Map<number, Map<number, [number, number, number, number]>>;

function rowAt(rows: Rows, leaf: number, subleaf: number): [number, number, number, number] {
  let leaves = rows.get(leaf);
  if (!leaves) rows.set(leaf, (leaves = new Map()));
  let row = leaves.get(subleaf);
  if (!row) leaves.set(subleaf, (row = [0, 0, 0, 0]));
  return row;
}

function parseRows(text: string): Rows {
  const rows: Rows = new Map();
  for (const line of text.split('\n').slice(1)) {
    const [place = '', ...values] = line.split(' ');
    const [leaf = '', subleaf = '0'] = place.split('.');
    const row = rowAt(rows, parseInt(leaf, 16), parseInt(subleaf, 16));
    values.forEach((digits, index) => { row[index] = parseInt(digits, 16); });
  }
  return rows;
}

/** Twelve letters as EBX, EDX, ECX: the order of leaf 0. */
function vendorRow(maximum: number, vendor: string): [number, number, number, number] {
  const word = (at: number): number => [0, 1, 2, 3].reduce((sum, index) => sum + vendor.charCodeAt(at + index) * 2 ** (8 * index), 0);
  return [maximum, word(0), word(8), word(4)];
}

function addNames(rows: Rows, head: ReturnType<typeof parseHead>, vendor: Vendor): void {
  rows.set(0, new Map([[0, vendorRow(head.maxBasic, vendor)]]));
  if (head.maxExtended === 0) return;
  // Intel leaves the name out of 80000000; AMD and its kin repeat it.
  rows.set(0x80000000, new Map([[0, isAmd(vendor) ? vendorRow(head.maxExtended, vendor) : [head.maxExtended, 0, 0, 0]]]));
  for (let index = 0; index < 12; index++) {
    const word = [0, 1, 2, 3].reduce((sum, at) => sum + (head.brand.charCodeAt(4 * index + at) || 0) * 2 ** (8 * at), 0);
    rowAt(rows, 0x80000002 + (index >> 2), 0)[index & 3] = word;
  }
  if (head.maxCentaur) rows.set(0xc0000000, new Map([[0, [head.maxCentaur, 0, 0, 0]]]));
}

/** Features whose bit is set in the rows or in the feature MSRs. */
function featuresOf(rows: Rows, msrs: ReadonlyMap<number, bigint>): Set<string> {
  const found = new Set<string>();
  for (const [name, [leaf, subleaf, register, bit]] of Object.entries(featureRows)) {
    const value = rows.get(leaf)?.get(subleaf)?.[registerIndex[register]] ?? 0;
    if ((value >>> bit) & 1) found.add(name);
  }
  for (const [name, [msr, bit]] of Object.entries(msrFeatures)) if (((msrs.get(msr) ?? 0n) >> BigInt(bit)) & 1n) found.add(name);
  return found;
}

interface Wish { readonly name: string; readonly text: string | undefined; readonly on: Set<string>; readonly off: Set<string>; readonly physicalBits?: number; readonly vendor?: Vendor }

/** The parts of a spec: a name, or a label and a whole model in braces (`dump.ts`); then the changes. */
function splitSpec(spec: string): { name: string; text: string | undefined; changes: string } {
  const own = /^([^{},]*)\{([^{}]*)\}(?:,|$)/.exec(spec);
  if (own) return { name: own[1]!.trim(), text: checkedText(own[2]!), changes: spec.slice(own[0].length) };
  const comma = spec.indexOf(',');
  return { name: (comma < 0 ? spec : spec.slice(0, comma)).trim(), text: undefined, changes: comma < 0 ? '' : spec.slice(comma + 1) };
}

/** A spec as people read it: without the rows of a model of its own. */
export const shortSpec = (spec: string): string => spec.replace(/\{[^{}]*\}/, '');

/** The text of a model that came with a spec, perhaps from a stranger's journal, in the form of the tables. */
function checkedText(text: string): string {
  const [head = '', ...lines] = text.split(';');
  const named = vendors.find((vendor) => head.startsWith(`${vendor} max=`));
  const wrong = named === undefined ? head : lines.find((line) => !/^[0-9a-f]{1,8}(\.[0-9a-f]{1,8})?( [0-9a-f]{1,8}){4}$/.test(line));
  if (wrong !== undefined) {
    throw new ModelError('malformed', `“${wrong.slice(0, 60)}” is no part of a CPU model.`, `A model of its own begins with ${vendors.map((known) => known.trim()).join(', ')}, and has rows of four registers.`);
  }
  return [head, ...lines].join('\n');
}

/** Splits `NAME,+feature,-feature,feature=on,phys-bits=N,vendor=V`. */
function parseWish(spec: string): Wish {
  const { name, text, changes } = splitSpec(spec), words = changes.split(',').map((word) => word.trim()).filter((word, index) => index > 0 || word !== '');
  const on = new Set<string>(), off = new Set<string>();
  let physicalBits: number | undefined, vendor: Vendor | undefined;
  const want = (written: string, yes: boolean): void => {
    const feature = featureNamed(written);
    (yes ? on : off).add(feature);
    (yes ? off : on).delete(feature);
  };
  for (const word of words) {
    const [key = '', value] = word.split('=');
    if (word.startsWith('+') || word.startsWith('-')) want(word.slice(1), word.startsWith('+'));
    else if (key === 'phys-bits') physicalBits = physicalBitsFrom(value ?? '');
    else if (key === 'vendor') vendor = vendorNamed(value ?? '');
    else if (value === 'on' || value === 'off') want(key, value === 'on');
    else throw new ModelError('malformed', `“${word}” is not a change of a CPU model.`, `Write +feature, -feature, phys-bits=N or vendor=NAME.`);
  }
  return { name: name === '' ? DEFAULT_MODEL : name, text, on, off, ...(physicalBits && { physicalBits }), ...(vendor && { vendor }) };
}

function physicalBitsFrom(digits: string): number {
  const bits = /^\d+$/.test(digits) ? Number(digits) : 0;
  if (bits < 32 || bits > 52) throw new ModelError('malformed', `phys-bits=${digits} is not a physical address width.`, `Give a number from 32 to 52.`);
  return bits;
}

function vendorNamed(name: string): Vendor {
  const vendor = vendors.find((known) => known.trim() === name.trim());
  if (!vendor) throw new ModelError('malformed', `“${name}” is not a vendor.`, `The vendors are ${vendors.map((known) => known.trim()).join(', ')}.`);
  return vendor;
}

/** A feature by any accepted spelling; an unknown one is an error that names the nearest. */
export function featureNamed(written: string): string {
  const name = written.trim().replaceAll('_', '-').toLowerCase();
  for (const candidate of [written, name]) {
    if (Object.hasOwn(featureRows, candidate) || Object.hasOwn(msrFeatures, candidate)) return candidate;
    if (Object.hasOwn(featureAliases, candidate)) return featureAliases[candidate]!;
  }
  const near = nearest(name, [...Object.keys(featureRows), ...Object.keys(msrFeatures), ...Object.keys(featureAliases)]);
  throw new ModelError('unknown-feature', `There is no CPU feature “${written}”.`, `The nearest names are ${near.join(', ')}.`);
}

/** The three names that need the fewest changes. */
export function nearest(wanted: string, names: readonly string[]): string[] {
  const lower = wanted.toLowerCase().slice(0, 64);
  return names.map((name) => ({ name, distance: editDistance(lower, name.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance || (a.name < b.name ? -1 : 1)).slice(0, 3).map(({ name }) => name);
}

/** Letters to insert, delete, replace or exchange with their neighbour. */
function editDistance(a: string, b: string): number {
  const first = Array.from({ length: b.length + 1 }, (_, index) => index);
  let beforeThat = first, above = first;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const exchanged = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? beforeThat[j - 2]! + 1 : Infinity;
      row.push(Math.min(above[j]! + 1, row[j - 1]! + 1, above[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1), exchanged));
    }
    beforeThat = above;
    above = row;
  }
  return above[b.length]!;
}

/** Decides for every feature of the model whether the core has it and whether CPUID shows it. */
function decide(features: ReadonlySet<string>, asked: ReadonlySet<string>) {
  const present = new Set<string>(), claimed = new Set<string>();
  const masked: Model['masked'][number][] = [];
  for (const name of features) {
    const word = support[featureRows[name]?.[5] ?? msrFeatures[name]![2]];
    if (word.present) present.add(name);
    if (word.claimed) claimed.add(name);
    else masked.push({ feature: name, asked: asked.has(name), present: word.present, why: word.why });
  }
  const without = (set: Set<string>): void => {
    for (let again = true; again;) {
      again = false;
      for (const [name, needed] of requirements) {
        if (!set.has(name) || set.has(needed) || (set === claimed && present.has(needed))) continue;
        set.delete(name);
        if (set === present) {
          claimed.delete(name);
          masked.push({ feature: name, asked: asked.has(name), present: false, why: `it needs ${needed}` });
        }
        again = true;
      }
    }
  };
  without(present);
  without(claimed);
  return { present, claimed, masked };
}

/** Writes the claimed features, and no others, into the words that hold feature bits. */
function writeFeatureBits(rows: Rows, claimed: ReadonlySet<string>, vendor: Vendor): void {
  for (const [name, [leaf, subleaf, register, bit]] of Object.entries(featureRows)) {
    if (!claimed.has(name)) continue;
    const row = rowAt(rows, leaf, subleaf), at = registerIndex[register];
    row[at] = (row[at]! | (1 << bit)) >>> 0;
  }
  const extended = rows.get(0x80000001)?.get(0);
  if (extended && vendor === 'AuthenticAMD') extended[3] = (extended[3] | ((rows.get(1)?.get(0)?.[3] ?? 0) & REPEATED_EDX)) >>> 0;
}

function clearFeatureWords(rows: Rows): void {
  for (const [leaf, subleaf, register, bit] of Object.values(featureRows)) {
    const row = rows.get(leaf)?.get(subleaf), at = registerIndex[register];
    if (row) row[at] = leaf === MIXED_LEAF ? (row[at]! & ~(1 << bit)) >>> 0 : 0;
  }
}

/** Raises the maxima so that the leaves of what was added can be asked for. */
function raiseMaxima(head: ReturnType<typeof parseHead>, rows: Rows, claimed: ReadonlySet<string>, on: ReadonlySet<string>): void {
  for (const name of on) {
    const row = featureRows[name];
    if (!row || !claimed.has(name)) continue;
    const [leaf, subleaf] = row;
    if (leaf < 0x80000000) head.maxBasic = Math.max(head.maxBasic, leaf);
    else if (leaf < 0xc0000000) head.maxExtended = Math.max(head.maxExtended, leaf);
    else head.maxCentaur = Math.max(head.maxCentaur, leaf);
    // 7.0.EAX is the highest sub-leaf of leaf 7.
    if (leaf === 7) rowAt(rows, 7, 0)[0] = Math.max(rowAt(rows, 7, 0)[0], subleaf);
  }
}

const XSTATE_LEAF = 0xd;
/** Leaf 0DH says of the components of the claimed features, and of no others, how long they are and where they stand: as the model has it, or
 * as its vendor has it. EBX of sub-leaves 0 and 1 follows XCR0 and IA32_XSS and is filled in when the guest asks. */
function writeComponents(rows: Rows, claimed: ReadonlySet<string>, vendor: Vendor): void {
  if (!claimed.has('xsave')) return;
  const own = rows.get(XSTATE_LEAF) ?? new Map<number, [number, number, number, number]>();
  const leaves: typeof own = new Map();
  rows.set(XSTATE_LEAF, leaves);
  const first = rowAt(rows, XSTATE_LEAF, 0), second = rowAt(rows, XSTATE_LEAF, 1);
  first[0] = 3;
  first[2] = EXTENDED;
  second[0] = own.get(1)?.[0] ?? 0;
  for (const { index, features, supervisor, length, offset } of components) {
    if (!features.some((feature) => claimed.has(feature)) || (supervisor && !claimed.has('xsaves'))) continue;
    const [size, at] = own.get(index) ?? [length, isAmd(vendor) ? offset.amd : offset.intel];
    leaves.set(index, [size, at, supervisor ? 1 : 0, 0]);
    if (supervisor) second[2] |= 1 << index;
    else {
      first[0] |= 1 << index;
      first[2] = Math.max(first[2], at + size);
    }
  }
}

/** The numbers of leaf 80000008.EAX: physical and linear width. */
function writeWidths(rows: Rows, present: ReadonlySet<string>, physicalBits: number | undefined): void {
  const row = rows.get(0x80000008)?.get(0);
  if (!row) return;
  const linear = present.has('la57') ? 57 : present.has('lm') ? 48 : 0;
  row[0] = ((row[0] & ~0xffff) | (linear << 8) | (physicalBits ?? row[0] & 0xff)) >>> 0;
}

/** Resolves a name with changes into a CPU; an unknown name is an error that names the nearest. */
export function resolveModel(spec: string): Model {
  const wish = parseWish(spec);
  const name = wish.text === undefined ? versioned(wish.name) : wish.name;
  const text = wish.text ?? textOf(name);
  if (text === undefined) {
    const near = nearest(wish.name, listModels().flatMap((model) => [model.name, ...model.aliases]));
    throw new ModelError('unknown-model', `There is no CPU model “${wish.name}”.`, `The nearest names are ${near.join(', ')}; “retro models” lists all.`);
  }
  const head = parseHead(text);
  const vendor = wish.vendor ?? head.vendor;
  const rows = parseRows(text);
  const wanted = featuresOf(rows, head.msrs);
  for (const feature of wish.on) wanted.add(feature);
  for (const feature of wish.off) wanted.delete(feature);
  const { present, claimed, masked } = decide(wanted, wish.on);

  clearFeatureWords(rows);
  raiseMaxima(head, rows, claimed, wish.on);
  addNames(rows, head, vendor);
  writeFeatureBits(rows, claimed, vendor);
  for (const [leaf, owner] of Object.entries(leafOwner)) if (!claimed.has(owner)) rows.delete(Number(leaf));
  writeComponents(rows, claimed, vendor);
  writeWidths(rows, present, wish.physicalBits);
  return { name, vendor, brand: head.brand, rows, maxBasicLeaf: head.maxBasic, maxExtendedLeaf: head.maxExtended, present, claimed, masked };
}

const ZEROS: CpuidRow = [0, 0, 0, 0];

/** What CPUID returns before the fields that depend on the vCPU's state. */
export function cpuidOf(model: Model, leaf: number, subleaf: number): CpuidRow {
  if (isInRange(model, leaf)) {
    const row = model.rows.get(leaf)?.get(indexedLeaves.has(leaf) ? subleaf : 0);
    if (row) return row;
    // A topology level that is not there echoes the sub-leaf (SDM Vol. 2, "CPUID", leaf 0BH).
    return (leaf === 0xb || leaf === 0x1f) && model.rows.has(leaf) ? [0, 0, subleaf & 0xff, 0] : ZEROS;
  }
  // AMD returns zeros for a leaf above the maximum, Intel the highest basic leaf (SDM Vol. 2, "CPUID").
  if (isAmd(model.vendor)) return ZEROS;
  return model.rows.get(model.maxBasicLeaf)?.get(indexedLeaves.has(model.maxBasicLeaf) && indexedLeaves.has(leaf) ? subleaf : 0) ?? ZEROS;
}

function isInRange(model: Model, leaf: number): boolean {
  if (leaf <= model.maxBasicLeaf) return true;
  if (leaf >= 0xc0000000) return leaf <= (model.rows.get(0xc0000000)?.get(0)?.[0] ?? 0);
  return leaf >= 0x80000000 && leaf <= model.maxExtendedLeaf;
}

/** Family, model and stepping as people say them: with the extended fields added (APM Vol. 3, E.3.2). */
function signature(model: Model): { family: number; model: number; stepping: number } {
  const value = cpuidOf(model, 1, 0)[0];
  const base = (value >>> 8) & 15;
  const extended = base === 15 || base === 6 ? ((value >>> 16) & 15) << 4 : 0;
  return { family: base === 15 ? base + ((value >>> 20) & 0xff) : base, model: extended | ((value >>> 4) & 15), stepping: value & 15 };
}

/** Every number that the core may ask for by name. */
export const modelNumbers: Readonly<Record<string, (model: Model) => number>> = {
  'physical-address-bits': (model) => {
    const bits = cpuidOf(model, 0x80000008, 0)[0] & 0xff;
    // Page tables end at 52, whatever a stranger's journal says.
    if (model.maxExtendedLeaf >= 0x80000008 && bits !== 0) return Math.min(Math.max(bits, 32), 52);
    // SDM Vol. 2, "CPUID": 36 where PAE is there, else 32, when the leaf is missing.
    return model.present.has('pae') || model.present.has('pse36') ? 36 : 32;
  },
  'linear-address-bits': (model) => (model.present.has('la57') ? 57 : model.present.has('lm') ? 48 : 32),
  family: (model) => signature(model).family,
  model: (model) => signature(model).model,
  stepping: (model) => signature(model).stepping,
  'asid-count': (model) => cpuidOf(model, 0x8000000a, 0)[1],
  'clflush-bytes': (model) => ((cpuidOf(model, 1, 0)[1] >>> 8) & 0xff) * 8,
  'max-basic-leaf': (model) => model.maxBasicLeaf,
  'max-extended-leaf': (model) => model.maxExtendedLeaf,
};
