// A vCPU as an immutable value: a private copy of the architectural part of the vCPU file, with a typed getter per field.
// Transitions take one and return another; `vm/run.ts` makes it from the file and applies it to the file. A copy costs a fraction
// of a microsecond because the vector registers, which no transition touches, stay behind.
import { VCPU_FILE, areaPlaces, fieldPlaces, placeOfSegment, segmentRegisters, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT, SEGMENT_SELECTOR } from './state.ts';
import type { Cpu, FieldName, Segment, SegmentRegister } from './state.ts';

/** The copied part: fields and segments lie before the areas. */
const HEAD_LENGTH = Math.min(...Object.values(areaPlaces).map((place) => place.offset)) - VCPU_FILE;
const NESTED = areaPlaces.nestedControl, HOST = areaPlaces.hostSave;

type FieldValues = { readonly [K in FieldName]: Cpu[K] };
type SegmentValues = { readonly [K in SegmentRegister]: Readonly<Segment> };
/** What `with` takes: fields, whole segments, and the two nested areas. */
export type Changes = Partial<FieldValues & SegmentValues & { nestedControl: Uint8Array; hostSave: Uint8Array }>;

export interface VcpuState extends FieldValues, SegmentValues {
  readonly nestedControl: Readonly<Uint8Array>;
  readonly hostSave: Readonly<Uint8Array>;
  /** The same state with some fields replaced; this value is untouched. */
  with(changes: Changes): VcpuState;
}

class State {
  readonly u32: Uint32Array;
  readonly u64: BigUint64Array;
  readonly nestedControl: Uint8Array;
  readonly hostSave: Uint8Array;
  constructor(head: ArrayBuffer, nestedControl: Uint8Array, hostSave: Uint8Array) {
    this.u32 = new Uint32Array(head);
    this.u64 = new BigUint64Array(head);
    this.nestedControl = nestedControl;
    this.hostSave = hostSave;
  }
  with(changes: Changes): VcpuState {
    const { nestedControl = this.nestedControl, hostSave = this.hostSave, ...rest } = changes;
    const next = new State((this.u32.buffer as ArrayBuffer).slice(0), nestedControl as Uint8Array, hostSave as Uint8Array);
    for (const key in rest) {
      const value = (rest as Record<string, unknown>)[key];
      const place = fieldPlaces[key as FieldName];
      if (place === undefined) putSegment(next, segmentRegisters.indexOf(key as SegmentRegister), value as Segment);
      else if (place.type === 'u64') next.u64[(place.offset - VCPU_FILE) >> 3] = value as bigint;
      else next.u32[(place.offset - VCPU_FILE) >> 2] = value as number;
    }
    return next as unknown as VcpuState;
  }
}

for (const [name, { offset, type }] of Object.entries(fieldPlaces)) {
  const at = offset - VCPU_FILE;
  Object.defineProperty(State.prototype, name, type === 'u64'
    ? { get(this: State) { return this.u64[at >> 3]; } }
    : { get(this: State) { return this.u32[at >> 2]; } });
}
segmentRegisters.forEach((name, index) => {
  const at = placeOfSegment(index) - VCPU_FILE;
  Object.defineProperty(State.prototype, name, {
    get(this: State): Segment {
      return {
        selector: this.u32[(at + SEGMENT_SELECTOR) >> 2]!,
        attributes: this.u32[(at + SEGMENT_ATTRIBUTES) >> 2]!,
        base: this.u64[(at + SEGMENT_BASE) >> 3]!,
        limit: this.u32[(at + SEGMENT_LIMIT) >> 2]!,
      };
    },
  });
});

function putSegment(state: State, index: number, segment: Segment): void {
  const at = placeOfSegment(index) - VCPU_FILE;
  state.u32[(at + SEGMENT_SELECTOR) >> 2] = segment.selector;
  state.u32[(at + SEGMENT_ATTRIBUTES) >> 2] = segment.attributes;
  state.u64[(at + SEGMENT_BASE) >> 3] = segment.base;
  state.u32[(at + SEGMENT_LIMIT) >> 2] = segment.limit;
}

/** The active vCPU file as a value. */
export function captureVcpu(cpu: Cpu): VcpuState {
  const buffer = cpu.u8.buffer as ArrayBuffer;
  return new State(
    buffer.slice(VCPU_FILE, VCPU_FILE + HEAD_LENGTH),
    cpu.u8.slice(NESTED.offset, NESTED.offset + NESTED.length),
    cpu.u8.slice(HOST.offset, HOST.offset + HOST.length),
  ) as unknown as VcpuState;
}

/** Writes a value back to the active vCPU file. */
export function applyVcpu(cpu: Cpu, state: VcpuState): void {
  const value = state as unknown as State;
  cpu.u8.set(new Uint8Array(value.u32.buffer), VCPU_FILE);
  cpu.u8.set(value.nestedControl, NESTED.offset);
  cpu.u8.set(value.hostSave, HOST.offset);
}
