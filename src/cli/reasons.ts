// Why something happened, in words: capabilities, their answers, consistency checks, exceptions, places. `retro explain` and `retro migrate` share it.
import { behaviourRows } from '../model/behaviours.ts';
import type { Answer } from '../model/capabilities.ts';
import { featureAliases, featureRows, msrFeatures, type CpuidRegister } from '../model/features.ts';
import { vectorRows } from '../model/vectors.ts';
import { findCheck } from '../transitions/registry.ts';
import type { VmCheck, VmDelivery, VmTransition } from '../kvm/api.ts';
import type { Contrast } from '../migrate/footprint.ts';
import type { Place } from '../replay/place.ts';
import { disassemble } from './disassemble.ts';
import { shown } from './event-text.ts';
import { hex } from './text.ts';

export const answerText = (answer: Answer): string => answer === true ? 'yes' : answer === false ? 'no' : String(answer);

/** `cet-ss (SHSTK, CPUID 7.0 ECX bit 7)`; other capabilities go by their name. */
export function capabilityText(capability: string): string {
  const row = Object.hasOwn(featureRows, capability) ? featureRows[capability] : undefined;
  const aliases = Object.entries(featureAliases).filter(([, name]) => name === capability).map(([alias]) => alias.toUpperCase());
  if (row) return `${capability} (${[...aliases, `CPUID ${hex(row[0])}.${hex(row[1])} ${row[2].toUpperCase()} bit ${row[3]}`].join(', ')})`;
  if (Object.hasOwn(msrFeatures, capability)) return `${capability} (MSR ${hex(msrFeatures[capability]![0])} bit ${msrFeatures[capability]![1]})`;
  return capability.startsWith('cpuid ') ? `CPUID ${capability.slice(6)}` : capability;
}

export const askedText = (capability: string, answer: Answer): string => `${capability.startsWith('cpuid ') ? `CPUID ${capability.slice(6)}` : capability}=${answerText(answer)}`;

const registers: readonly CpuidRegister[] = ['eax', 'ebx', 'ecx', 'edx'];

/** Which bits of a CPUID row differ: those with a name by it, the rest as a register. */
function cpuidContrast(capability: string, original: string, other: string): string {
  const [leaf = 0, subleaf = 0] = capability.slice(6).split('.').map((digits) => parseInt(digits, 16));
  const left = original.split(' ').map((digits) => parseInt(digits, 16)), right = other.split(' ').map((digits) => parseInt(digits, 16));
  return registers.flatMap((register, at) => {
    const changed = (left[at]! ^ right[at]!) >>> 0;
    if (changed === 0) return [];
    const named = Object.entries(featureRows).filter(([, row]) => row[0] === leaf && row[1] === subleaf && row[2] === register && (changed >>> row[3] & 1) !== 0);
    const known = named.reduce((mask, [, row]) => (mask | 1 << row[3]) >>> 0, 0);
    return [
      ...named.map(([name, row]) => `${register.toUpperCase()} bit ${row[3]} ${name} ${left[at]! >>> row[3] & 1} | ${right[at]! >>> row[3] & 1}`),
      ...(changed & ~known) !== 0 ? [`${register.toUpperCase()} ${hex(left[at]!, 8)} | ${hex(right[at]!, 8)}`] : [],
    ];
  }).join('; ');
}

/** A question that two CPUs answer differently, with both answers: `recorded | target`. */
export function contrastText({ capability, original, other }: Contrast): string {
  if (/^cpuid [0-9a-f]/.test(capability)) return `${capabilityText(capability)}: ${cpuidContrast(capability, String(original), String(other))}`;
  if (capability === 'cpuid *') return 'CPUID: more leaves were asked than are remembered, and the models differ';
  return `${capabilityText(capability)}: ${answerText(original)} | ${answerText(other)}`;
}

/** Where the values of a behaviour come from. */
export const sourcesOf = ({ capability, original, other }: Contrast): string[] => {
  const values = Object.hasOwn(behaviourRows, capability) ? behaviourRows[capability]!.values : {};
  return [original, other].flatMap((value) => {
    const source = values[String(value)];
    return source === undefined ? [] : [`${String(value)}: ${source}`];
  });
};

/** A check in the manual's words, with the place where it says so. */
export function checkText(id: string): string {
  const found = findCheck(id);
  return found === undefined ? id : `${found.what} (${found.reference})`;
}

/** What a check asked, with the answers. */
export const checkReads = ({ asked = [] }: Pick<VmCheck, 'asked'>, answers: ReadonlyMap<string, Answer>): string =>
  [...new Set(asked)].map((name) => answers.has(name) ? `${capabilityText(name)} = ${answerText(answers.get(name)!)}` : capabilityText(name)).join('; ');

/** `raises #GP(0000)`, `takes an NMI`. */
export function deliveryText({ kind, vector, errorCode, address }: VmDelivery): string {
  if (kind !== 'exception') return kind === 'nmi' ? 'takes an NMI' : `takes interrupt 0x${hex(vector)}`;
  const row = vectorRows[vector], name = row === undefined || row.mnemonic === '' ? `exception ${vector}` : row.mnemonic;
  return `raises ${name}${row?.errorCode === true ? `(${hex(errorCode, 4)})` : ''}${vector === 14 ? ` at 0x${hex(address)}` : ''}`;
}

export const transitionText = ({ kind, detail }: Pick<VmTransition, 'kind' | 'detail'>): string => {
  return `${kind === 'shutdown' ? 'TripleFault' : kind} ${shown(detail)}`.trimEnd();
};

export const placeText = ({ level, smm, mode, paging, cpl }: Place): string =>
  [`L${level}${smm ? ' in SMM' : ''}`, `${mode}${mode === '64-bit' || mode === 'compatibility' ? '' : paging ? ' with paging' : ' without paging'}`, `CPL ${cpl}`].join(', ');

/** The instruction at a place: text, bytes, address. */
export async function instructionText({ bytes, codeSize, rip }: Place): Promise<string> {
  const [line] = await disassemble(bytes, codeSize, rip, 1);
  if (line === undefined) return `nothing is mapped at 0x${hex(rip)}`;
  return `${line.text}   (${Array.from(line.bytes, (byte) => hex(byte, 2)).join('')} at 0x${hex(rip)})`;
}
