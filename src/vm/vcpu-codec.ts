// The architectural state of a vCPU as bytes that outlive the state table: every field goes by its name, and what stands at its reset
// value is left out. So a journal can be read by a later version whose table has more fields. Called by `vm.ts`.
//
// A sequence of entries: u8 length of the name, the name in ASCII, u16 length of the value, the value in memory order. Areas lose their
// trailing zeros. Segment registers are entries of `SEGMENT_SIZE` bytes.
import { canonicaliseFlags } from '../cpu/flags.ts';
import { areaPlaces, bindCpu, fieldPlaces, placeOfSegment, SEGMENT_SIZE, segmentRegisters, VCPU_FILE, VCPU_FILE_SIZE, type Cpu } from '../cpu/state.ts';
import { Errno } from './errno.ts';

interface Part {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** The value that an absent entry stands for. */
  readonly reset: bigint;
  /** Trailing zeros may be cut off. */
  readonly area: boolean;
}

/** All architectural state: fields, segments, areas. */
export const stateParts: readonly Part[] = [
  ...Object.entries(fieldPlaces).filter(([, { role }]) => role === 'state')
    .map(([name, { offset, type, reset }]): Part => ({ name, offset, length: type === 'u64' ? 8 : 4, reset, area: false })),
  ...segmentRegisters.map((name, index): Part => ({ name, offset: placeOfSegment(index), length: SEGMENT_SIZE, reset: 0n, area: true })),
  ...Object.entries(areaPlaces).filter(([name]) => name !== 'slowValue')
    .map(([name, { offset, length }]): Part => ({ name, offset, length, reset: 0n, area: true })),
];
const partByName = new Map(stateParts.map((part) => [part.name, part]));

const wordsOf = ({ length }: Part, value: bigint): Uint8Array => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value, true);
  return bytes.subarray(0, length);
};

const isReset = (part: Part, value: Uint8Array): boolean => wordsOf(part, part.reset).every((byte, at) => byte === value[at]);

export function encodeVcpu(cpu: Cpu): Uint8Array {
  canonicaliseFlags(cpu);
  const out: number[] = [];
  for (const part of stateParts) {
    let value = cpu.u8.subarray(part.offset, part.offset + part.length);
    if (part.area) {
      let end = value.length;
      while (end > 0 && value[end - 1] === 0) end--;
      value = value.subarray(0, end);
      if (end === 0) continue;
    } else if (isReset(part, value)) continue;
    out.push(part.name.length);
    for (let at = 0; at < part.name.length; at++) out.push(part.name.charCodeAt(at));
    out.push(value.length & 0xff, value.length >> 8, ...value);
  }
  return Uint8Array.from(out);
}

/** The same bytes as a vCPU file of its own, for whoever compares or shows them. */
export function readVcpu(bytes: Uint8Array): Cpu {
  const cpu = bindCpu(new ArrayBuffer(VCPU_FILE + VCPU_FILE_SIZE));
  decodeVcpu(cpu, bytes);
  return cpu;
}

/** Bytes may come from a stranger's journal: what does not fit is refused before anything is changed. */
export function decodeVcpu(cpu: Cpu, bytes: Uint8Array): void {
  const values = new Map<Part, Uint8Array>();
  for (let at = 0; at < bytes.length;) {
    const nameLength = bytes[at]!;
    const name = String.fromCharCode(...bytes.subarray(at + 1, at + 1 + nameLength));
    const length = bytes[at + 1 + nameLength]! | bytes[at + 2 + nameLength]! << 8;
    const start = at + 3 + nameLength, part = partByName.get(name);
    if (!(start + length <= bytes.length)) throw new Errno('EINVAL', `the vCPU state ends in the middle of an entry at byte ${at}`);
    if (!part) throw new Errno('EINVAL', `the vCPU state has a field ${JSON.stringify(name)} that this version does not know; use a later one`);
    if (part.area ? length > part.length : length !== part.length) throw new Errno('EINVAL', `the vCPU state gives ${name} ${length} bytes, it has ${part.length}`);
    values.set(part, bytes.subarray(start, start + length));
    at = start + length;
  }
  for (const part of stateParts) {
    cpu.u8.fill(0, part.offset, part.offset + part.length);
    cpu.u8.set(values.get(part) ?? (part.area ? new Uint8Array(0) : wordsOf(part, part.reset)), part.offset);
  }
}
