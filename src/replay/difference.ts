// What differs between two machines that stand at the same instruction, in the words of the manuals: registers, memory, devices. What no
// instruction can read is told apart: the guest notices it only by what it leads to. For `retro migrate`.
import type { Plain } from '../../journal/events.ts';
import { PAGE_BYTES } from '../../journal/pages.ts';
import { rflags } from '../cpu/flags.ts';
import { areaPlaces, fieldPlaces, segmentRegisters, type Cpu, type FieldName } from '../cpu/state.ts';
import { readVcpu } from '../vm/vcpu-codec.ts';
import { compareValues } from './compare.ts';
import type { Machine } from './machine.ts';

export interface Difference {
  /** `rax`, `cs.base`, `msr[3]`, `memory 0x8000`, `board.uart.lcr`. */
  readonly name: string;
  /** Null for what belongs to the VM or the board. */
  readonly vcpu: number | null;
  /** Both sides: registers and memory in hexadecimal. */
  readonly a: string;
  readonly b: string;
  /** No instruction reads it. */
  readonly hidden: boolean;
}

/** State of a vCPU that no instruction reads; the instruction count is read as the TSC. */
const hiddenFields: ReadonlySet<string> = new Set<FieldName | keyof typeof areaPlaces>([
  'icount', 'activity', 'interruptShadow', 'nmiBlocked', 'pending', 'pendingVector', 'vmcbAddress', 'gif', 'pendingDebug', 'pdpte0', 'pdpte1', 'pdpte2', 'pdpte3',
  'nestedControl', 'hostSave',
]);
/** Parts of the VM's state that no instruction reads: the time that sleep took is read as the TSC, the generator as RDRAND. */
const hiddenParts: ReadonlySet<string> = new Set(['slept', 'random']);

/** The lazy form of RFLAGS, which is shown as one register. */
const flagFields: ReadonlySet<string> = new Set<FieldName>(['flagResult', 'flagCarries', 'rflagsSystem']);
/** Areas that hold several registers, and the length of one. */
const registerBytes: Readonly<Record<string, number>> = { zmm: 64, x87: 16, opmask: 8, msr: 8, nestedControl: 4, hostSave: 8 };

const hex = (value: number | bigint): string => `0x${value.toString(16)}`;
const bytesText = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');

function compareVcpus(vcpu: number, a: Cpu, b: Cpu, found: Difference[]): void {
  const note = (name: string, left: string, right: string, hidden = false): void => {
    if (left !== right) found.push({ name, vcpu, a: left, b: right, hidden });
  };
  note('rflags', hex(rflags(a)), hex(rflags(b)));
  for (const name of Object.keys(fieldPlaces) as FieldName[]) {
    if (fieldPlaces[name].role === 'state' && !flagFields.has(name)) note(name, hex(a[name]), hex(b[name]), hiddenFields.has(name));
  }
  for (const name of segmentRegisters) {
    for (const part of ['selector', 'base', 'limit', 'attributes'] as const) note(`${name}.${part}`, hex(a[name][part]), hex(b[name][part]));
  }
  for (const [area, { offset, length }] of Object.entries(areaPlaces)) {
    const step = registerBytes[area];
    // An area without registers is scratch.
    if (step === undefined) continue;
    for (let at = 0; at < length; at += step) {
      const part = ({ u8 }: Cpu): Uint8Array => u8.subarray(offset + at, offset + at + step);
      if (Buffer.compare(part(a), part(b)) !== 0) note(`${area}[${step > 8 || area === 'msr' ? at / step : hex(at)}]`, bytesText(part(a)), bytesText(part(b)), hiddenFields.has(area));
    }
  }
}

/** Differences of two plain values, by path. */
function comparePlain(name: string, a: unknown, b: unknown, hidden: ReadonlySet<string>, found: Difference[]): void {
  for (const key of new Set([...Object.keys(a as object), ...Object.keys(b as object)])) {
    const left = ((a as Record<string, Plain>)[key]) ?? null, right = ((b as Record<string, Plain>)[key]) ?? null, paths: string[] = [];
    compareValues(key, left, right, paths);
    for (const path of paths) found.push({ name: `${name}.${path}`, vcpu: null, a: textAt(left, path), b: textAt(right, path), hidden: hidden.has(key) });
  }
}

/** The value at the end of a path such as `lapics[0].registers[3]`, whose first word has been followed. */
function textAt(value: Plain, path: string): string {
  let at: unknown = value;
  for (const [, name, index] of path.replace(/^[^.[]+/, '').matchAll(/\.([^.[]+)|\[(\d+)\]/g)) at = (at as Record<string, unknown> | undefined)?.[name ?? Number(index)];
  return at instanceof Uint8Array ? bytesText(at.subarray(0, 16)) : typeof at === 'object' && at !== null ? '…' : String(at);
}

interface Slot { readonly slot: number; readonly guestPhysical: number; readonly size: number; readonly ramOffset: number }

/** Where the guest finds a byte of RAM; what only system-management mode sees is said to be SMRAM. */
function nameOfRam({ vm }: Machine, offset: number): string {
  const { slots } = vm.saveVmState() as { slots: readonly Slot[] };
  const slot = slots.filter(({ ramOffset, size }) => offset >= ramOffset && offset < ramOffset + size).sort((x, y) => x.slot - y.slot)[0];
  return slot === undefined ? `RAM offset ${hex(offset)}` : `${slot.slot >>> 16 === 0 ? 'memory' : 'SMRAM'} ${hex(slot.guestPhysical + offset - slot.ramOffset)}`;
}

/** Bytes that are shown of a place, and places that are named: a difference in a table may be everywhere. */
const SHOWN_BYTES = 16, SHOWN_PLACES = 16;

function compareMemory(a: Machine, b: Machine, found: Difference[]): void {
  if (a.vm.memoryDigest() === b.vm.memoryDigest()) return;
  let places = 0;
  for (let page = 0; page < a.pageCount && places < SHOWN_PLACES; page++) {
    const left = a.vm.ramPage(page), right = b.vm.ramPage(page);
    if (Buffer.compare(left, right) === 0) continue;
    for (let at = 0; at < PAGE_BYTES && places < SHOWN_PLACES; at++) {
      if (left[at] === right[at]) continue;
      let end = at;
      while (end < PAGE_BYTES && end < at + SHOWN_BYTES && left[end] !== right[end]) end++;
      found.push({ name: nameOfRam(a, page * PAGE_BYTES + at), vcpu: null, a: bytesText(left.subarray(at, end)), b: bytesText(right.subarray(at, end)), hidden: false });
      places++;
      at = end;
    }
  }
}

/** Everything that differs; registers come first. */
export function differencesBetween(a: Machine, b: Machine): Difference[] {
  const found: Difference[] = [];
  a.vm.vcpus.forEach((vcpu, index) => {
    const left = vcpu.saveState(), right = b.vm.vcpus[index]!.saveState();
    if (Buffer.compare(left, right) !== 0) compareVcpus(vcpu.id, readVcpu(left), readVcpu(right), found);
  });
  compareMemory(a, b, found);
  comparePlain('vm', a.vm.saveVmState(), b.vm.saveVmState(), hiddenParts, found);
  comparePlain('board', a.board.saveState(), b.board.saveState(), new Set(), found);
  return found;
}
