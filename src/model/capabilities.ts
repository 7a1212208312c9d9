// The one door through which the core asks what the vCPU can do. Every answer is remembered with the position where it
// first mattered: that memory is the footprint of a run.
import { behaviourRows } from './behaviours.ts';
import { cpuidOf, featureNamed, isIndexed, ModelError, modelNumbers, nearest, resolveModel, type CpuidRow, type Model, type Vendor } from './models.ts';

/** A yes/no question: a CPUID feature by its QEMU name (`smep`, `la57`, `svm`). */
export type Answer = boolean | number | string;

export interface Capabilities {
  /** Whether the model has the CPUID feature. Remembered. */
  has(feature: string): boolean;
  /** A number of the model: `physical-address-bits`, `linear-address-bits`, `asid-count`, … Remembered. */
  number(name: string): number;
  /** The value of a named behaviour. Remembered. */
  behaviour(id: string): string;
  /** CPUID as the guest sees it for this state: raw rows with the dynamic fields filled in by the caller. Remembered by leaf. */
  cpuid(leaf: number, subleaf: number): readonly [number, number, number, number];
  /** CPUID 1.EAX, what RDX holds after RESET. Not remembered: a run begins with a snapshot of that state. */
  readonly signature: number;
  readonly vendor: 'AuthenticAMD' | 'GenuineIntel' | 'HygonGenuine' | 'CentaurHauls' | '  Shanghai  ';
  /** Told of every question, also of one that was asked before. Set only to explain or to compare: it costs. */
  onAsk?: ((capability: string, answer: Answer) => void) | undefined;
  /** What has been asked so far. */
  footprint(): ReadonlyMap<string, { readonly answer: Answer; readonly firstIcount: bigint }>;
}

/** A guest may ask CPUID four thousand million questions. Beyond this many different ones the footprint holds one that stands for all. */
const CPUID_QUESTIONS = 4096;
const EVERY_LEAF = 'cpuid *';

/**
 * Opens the door for one VM. `spec` is a model with changes (`EPYC-Milan,+cet-ss,-la57`), `behaviours` the values that differ
 * from their defaults, `icount` the position to remember. Throws `ModelError` when a name is unknown.
 */
export function createCapabilities(spec: string, behaviours: Readonly<Record<string, string>> = {}, icount: () => bigint = () => 0n): Capabilities {
  const model = resolveModel(spec);
  const chosen = checkedBehaviours(behaviours);
  const asked = new Map<string, { answer: Answer; firstIcount: bigint }>();
  const remember = (capability: string, answer: Answer): void => {
    if (!asked.has(capability)) asked.set(capability, { answer, firstIcount: icount() });
  };
  // Each question has its own cache, so that asking again is one look-up.
  const yes = new Map<string, boolean>(), numbers = new Map<string, number>(), values = new Map<string, string>();
  const leaves = new Map<number, Map<number, CpuidRow>>();
  let vendorAsked = false, cpuidQuestions = 0;

  // On a prototype V8 compiles an accessor into its callers; an object that has its own is a hash table.
  const door = Object.create({
    onAsk: undefined,
    signature: cpuidOf(model, 1, 0)[0],
    get vendor(): Vendor {
      if (!vendorAsked) {
        vendorAsked = true;
        remember('vendor', model.vendor);
      }
      if (door.onAsk !== undefined) door.onAsk('vendor', model.vendor);
      return model.vendor;
    },
    has(feature) {
      const known = yes.get(feature);
      if (door.onAsk !== undefined) door.onAsk(featureNamed(feature), model.present.has(featureNamed(feature)));
      if (known !== undefined) return known;
      const name = featureNamed(feature);
      const answer = model.present.has(name);
      yes.set(feature, answer);
      remember(name, answer);
      return answer;
    },
    number(name) {
      const known = numbers.get(name);
      if (door.onAsk !== undefined) door.onAsk(name, numberOf(model, name));
      if (known !== undefined) return known;
      const answer = numberOf(model, name);
      numbers.set(name, answer);
      remember(name, answer);
      return answer;
    },
    behaviour(id) {
      const known = values.get(id);
      if (known !== undefined && door.onAsk === undefined) return known;
      const row = Object.hasOwn(behaviourRows, id) ? behaviourRows[id] : undefined;
      if (!row) throw new Error(`no behaviour “${id}” is declared in model/behaviours.ts`);
      const answer = chosen[id] ?? row.default;
      values.set(id, answer);
      if (door.onAsk !== undefined) door.onAsk(id, answer);
      remember(id, answer);
      return answer;
    },
    cpuid(leaf, subleaf) {
      const index = isIndexed(leaf) ? subleaf : 0;
      const known = leaves.get(leaf)?.get(index);
      if (door.onAsk !== undefined) door.onAsk(cpuidName(leaf, index), cpuidText(cpuidOf(model, leaf, index)));
      if (known) return known;
      const row = cpuidOf(model, leaf, index);
      if (cpuidQuestions < CPUID_QUESTIONS) {
        cpuidQuestions++;
        let rows = leaves.get(leaf);
        if (!rows) leaves.set(leaf, (rows = new Map()));
        rows.set(index, row);
        remember(cpuidName(leaf, index), cpuidText(row));
      } else {
        if (!asked.has(EVERY_LEAF)) remember(EVERY_LEAF, everyLeaf(model));
      }
      return row;
    },
    footprint: () => asked,
  } satisfies Capabilities) as Capabilities;
  return door;
}

const cpuidName = (leaf: number, subleaf: number): string => `cpuid ${leaf.toString(16)}${isIndexed(leaf) ? `.${subleaf.toString(16)}` : ''}`;
const cpuidText = (row: CpuidRow): string => row.map((value) => value.toString(16).padStart(8, '0')).join(' ');

/** All rows of a model as one text: two models with the same text answer every CPUID question alike. */
function everyLeaf(model: Model): string {
  const lines: string[] = [`${model.vendor} ${model.maxBasicLeaf.toString(16)} ${model.maxExtendedLeaf.toString(16)}`];
  for (const leaf of [...model.rows.keys()].sort((a, b) => a - b)) {
    const rows = model.rows.get(leaf)!;
    for (const subleaf of [...rows.keys()].sort((a, b) => a - b)) lines.push(`${cpuidName(leaf, subleaf)} ${cpuidText(rows.get(subleaf)!)}`);
  }
  return lines.join('\n');
}

function numberOf(model: Model, name: string): number {
  const ask = Object.hasOwn(modelNumbers, name) ? modelNumbers[name] : undefined;
  if (!ask) throw new Error(`no number “${name}” is declared in model/models.ts`);
  return ask(model);
}

/** A copy of the choices; one that no behaviour has is an error that says which there are. */
export function checkedBehaviours(wanted: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [id, value] of Object.entries(wanted)) {
    if (!Object.hasOwn(behaviourRows, id)) {
      const near = nearest(id, Object.keys(behaviourRows));
      throw new ModelError('unknown-behaviour', `There is no behaviour “${id}”.`, `The nearest names are ${near.join(', ')}.`);
    }
    const values = Object.keys(behaviourRows[id]!.values);
    if (!values.includes(value)) {
      throw new ModelError('unknown-behaviour', `The behaviour ${id} has no value “${value}”.`, `Its values are ${values.join(', ')}.`);
    }
  }
  return { ...wanted };
}

/** What a model with behaviours answers to a question of a footprint: how a migration is judged without replaying it. */
export function answerTo(model: Model, behaviours: Readonly<Record<string, string>>, capability: string): Answer {
  if (capability === 'vendor') return model.vendor;
  if (capability === EVERY_LEAF) return everyLeaf(model);
  if (capability.startsWith('cpuid ')) {
    const [leaf = '0', subleaf = '0'] = capability.slice(6).split('.');
    return cpuidText(cpuidOf(model, parseInt(leaf, 16), parseInt(subleaf, 16)));
  }
  if (Object.hasOwn(modelNumbers, capability)) return numberOf(model, capability);
  if (Object.hasOwn(behaviourRows, capability)) return behaviours[capability] ?? behaviourRows[capability]!.default;
  return model.present.has(featureNamed(capability));
}
