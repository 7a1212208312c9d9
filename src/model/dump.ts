// A raw CPUID dump becomes the text of a model, in the form of `cpus/README.md` on one line: `LABEL{head;row;row},+feature`. Such a text is a
// model's name like any other, so a journal's header holds the whole CPU and needs no file again. Called by the command line; reads no file itself.
import { ModelError, isIndexed, type CpuidRow } from './models.ts';

interface Row { readonly leaf: number; readonly subleaf: number; readonly values: CpuidRow }

/** What a guest can be shown of a real processor: leaves that describe what the engine does not have (counters, traces, frequencies,
 * resource control) are left out, whatever their feature bits say. */
const shownLeaves = new Set([0x1, 0x2, 0x4, 0x5, 0x6, 0x7, 0xd, 0x18, 0x19, 0x80000001, 0x80000005, 0x80000006, 0x80000007, 0x80000008, 0x80000019,
  0x8000000a, 0x8000001a, 0x8000001d, 0x80000021, 0xc0000001]);
/** EAX, EBX, ECX, EDX that are kept of a leaf; absent: all. What is cut is about topology (one vCPU here), power and the dump's own state. */
const keptBits: Readonly<Record<number, CpuidRow>> = {
  0x1: [0xffffffff, 0x0000ff00, 0xffffffff, 0xffffffff], 0x4: [0x3ff, 0xffffffff, 0xffffffff, 0xffffffff], 0x6: [0xffffffff, 0, 0, 0],
  0x80000007: [0, 0xffffffff, 0, 0xffffffff], 0x80000008: [0xffffffff, 0xffffffff, 0, 0x00010000], 0x8000001d: [0x3ff, 0xffffffff, 0xffffffff, 0xffffffff],
};
/** Topology of one vCPU, as the other models have it. */
const ONE_VCPU: readonly string[] = ['b.0 0 1 100 0', 'b.1 0 1 201 0'];
const MAX_ROWS = 1024;

const malformed = (message: string, advice: string): ModelError => new ModelError('malformed', message, advice);
const FORMS = 'It can be the output of “cpuid -r”, a text of InstLatx64 or AIDA64 (“CPUID 00000001: …”), or JSON with rows [leaf, sub-leaf, eax, ebx, ecx, edx].';

// ── Reading the dump ──

const fromHex = (digits: string): number => parseInt(digits, 16);

/** Lines of text; only the first logical processor counts, and of a leaf that comes more than once without sub-leaf, the n-th is sub-leaf n. */
function rowsOfText(text: string): Row[] {
  const rows: Row[] = [], counts = new Map<number, number>();
  for (const line of text.split(/\r?\n/)) {
    if (rows.length > 0 && /\bCPU\s*#?\s*[1-9]\d*\b\s*[:\]]/.test(line)) break;
    const cpuid = /0x([0-9a-f]{8})\s+0x([0-9a-f]{1,8}):\s*eax=0x([0-9a-f]{1,8})\s+ebx=0x([0-9a-f]{1,8})\s+ecx=0x([0-9a-f]{1,8})\s+edx=0x([0-9a-f]{1,8})/i.exec(line);
    const latx = /CPUID\s+([0-9a-f]{8}):\s*([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{8})(?:.*\[SL\s+([0-9a-f]{1,8})\])?/i.exec(line);
    const found = cpuid ?? latx;
    if (found === null || rows.length >= MAX_ROWS) continue;
    const leaf = fromHex(found[1]!), before = counts.get(leaf) ?? 0;
    counts.set(leaf, before + 1);
    const subleaf = cpuid !== null ? fromHex(cpuid[2]!) : latx![6] === undefined ? before : fromHex(latx![6]);
    const first = cpuid === null ? 2 : 3;
    rows.push({ leaf, subleaf, values: [0, 1, 2, 3].map((index) => fromHex(found[first + index]!)) as unknown as CpuidRow });
  }
  return rows;
}

const word = (value: unknown): number => typeof value === 'number' ? value : typeof value === 'string' ? Number(/^0x/i.test(value) ? value : `0x${value}`) : NaN;
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> => typeof value === 'object' && value !== null && !Array.isArray(value);

/** JSON: the rows, an object whose `cpuid` they are, or a collection of such in `parts` of which one is named. */
function rowsOfJson(value: unknown, part: string | undefined): Row[] {
  if (isRecord(value) && isRecord(value['parts'])) {
    const { parts } = value, names = Object.keys(parts);
    if (part === undefined || !Object.hasOwn(parts, part)) {
      throw malformed(part === undefined ? 'This dump holds several processors.' : `This dump has no processor “${part}”.`, `Write FILE#NAME with one of: ${names.join(', ')}.`);
    }
    return rowsOfJson(parts[part], undefined);
  }
  const list = isRecord(value) ? value['cpuid'] : value;
  if (!Array.isArray(list)) throw malformed('There are no CPUID rows in this dump.', FORMS);
  return list.slice(0, MAX_ROWS).map((row: unknown) => {
    const numbers = Array.isArray(row) ? row.map(word) : [];
    if (numbers.length !== 6 || !numbers.every((number) => Number.isInteger(number) && number >= 0 && number <= 0xffffffff)) {
      throw malformed(`${JSON.stringify(row).slice(0, 80)} is no row of a CPUID dump.`, FORMS);
    }
    return { leaf: numbers[0]!, subleaf: numbers[1]!, values: numbers.slice(2) as unknown as CpuidRow };
  });
}

function readRows(text: string, part: string | undefined): Row[] {
  if (!/^\s*[[{]/.test(text)) return rowsOfText(text);
  try {
    return rowsOfJson(JSON.parse(text), part);
  } catch (error) {
    if (error instanceof SyntaxError) throw malformed('This dump is not JSON that can be read.', FORMS);
    throw error;
  }
}

// ── Writing the model ──

const letters = (...words: number[]): string => words.map((value) => [0, 8, 16, 24].map((shift) => String.fromCharCode(value >>> shift & 0xff)).join('')).join('');
/** Only what neither ends nor divides a text of a model. */
const plain = (text: string): string => text.replace(/[^\x20-\x7e]|[{};,]/g, ' ').trim();
const hex = (value: number): string => value.toString(16);

/** The spec of a model that is what the dump says, as far as one vCPU can be it. `label` is how people will see it; `part` names one
 * processor of a collection. */
export function specOfDump(text: string, label: string, part?: string): string {
  const rows = readRows(text, part), first = new Map<string, CpuidRow>();
  for (const { leaf, subleaf, values } of rows) {
    const key = `${leaf}.${isIndexed(leaf) ? subleaf : 0}`;
    if (!first.has(key)) first.set(key, values);
  }
  const at = (leaf: number): CpuidRow => first.get(`${leaf}.0`) ?? [0, 0, 0, 0];
  if (!first.has('0.0') || !first.has('1.0')) throw malformed('There are no CPUID leaves 0 and 1 in this dump.', FORMS);
  const [maximum, b, c, d] = at(0), brand = [0x80000002, 0x80000003, 0x80000004].map((leaf) => letters(...at(leaf))).join('');
  const lines = [`${letters(b, d, c)} max=${[maximum, at(0x80000000)[0], at(0xc0000000)[0]].map(hex).join('/')} brand=${plain(brand)}`];
  for (const [key, values] of first) {
    const [leaf, subleaf] = key.split('.').map(Number) as [number, number];
    if (!shownLeaves.has(leaf)) continue;
    const kept = values.map((value, index) => (value & (keptBits[leaf]?.[index] ?? 0xffffffff)) >>> 0);
    if (leaf === 1) kept[1]! |= 0x10000;
    if (kept.some((value) => value !== 0)) lines.push(`${hex(leaf)}${isIndexed(leaf) ? `.${hex(subleaf)}` : ''} ${kept.map(hex).join(' ')}`);
  }
  if (maximum >= 0xb && first.has('11.0')) lines.push(...ONE_VCPU);
  return `${plain(label)}{${lines.join(';')}}`;
}
