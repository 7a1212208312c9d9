// A vCPU as an immutable value: a private copy of the architectural part of the vCPU file, with a typed getter per field.
// Transitions take one and return another; `vm/run.ts` makes it from the file and applies it to the file. A copy costs a fraction
// of a microsecond because the vector registers, which no transition touches, stay behind.
import { bindCpu, resetCpu, VCPU_FILE, VCPU_FILE_SIZE, areaPlaces, fieldPlaces, placeOfSegment, segmentRegisters, SEGMENT_ATTRIBUTES, SEGMENT_BASE, SEGMENT_LIMIT, SEGMENT_SELECTOR } from './state.ts';
import type { Cpu, FieldName, Segment, SegmentRegister } from './state.ts';

/** The copied part: fields, segments and the nested areas lie before the vector registers. */
const LENGTH = areaPlaces.zmm.offset - VCPU_FILE;
const NESTED = areaPlaces.nestedControl.offset - VCPU_FILE, HOST = areaPlaces.hostSave.offset - VCPU_FILE;
const NESTED_LENGTH = areaPlaces.nestedControl.length, HOST_LENGTH = areaPlaces.hostSave.length;

type FieldValues = { readonly [K in FieldName]: Cpu[K] };
type SegmentValues = { readonly [K in SegmentRegister]: Readonly<Segment> };
/** What `with` takes: fields, whole segments, and the two nested areas. */
export type Changes = Partial<FieldValues & SegmentValues & { nestedControl: Uint8Array; hostSave: Uint8Array }>;

export interface VcpuState extends FieldValues, SegmentValues {
  /** Views of this value; they must not be written. */
  readonly nestedControl: Readonly<Uint8Array>;
  readonly hostSave: Readonly<Uint8Array>;
  /** The same state with some fields replaced; this value is untouched. */
  with(changes: Changes): VcpuState;
  /** The same state, to be written by whoever asked for it, until it is given away: for handlers that change much. */
  copy(): VcpuState & Draft;
  /** The fields and areas as words, for tables that name their places with `wordOf`. */
  readonly words: Readonly<Uint32Array>;
}

/** A copy that is being written. */
export type Draft = { -readonly [K in FieldName]: Cpu[K] } & { [K in SegmentRegister]: Readonly<Segment> } & {
  readonly nestedControl: Uint8Array;
  readonly hostSave: Uint8Array;
  readonly words: Uint32Array;
};

/** The index in `words` of a place in the vCPU file. */
export const wordOf = (place: number): number => place - VCPU_FILE >> 2;

// Small buffers are dear to allocate, so values are carved out of slabs; a slab lives as long as one of its values.
const VALUES_PER_SLAB = 64;
interface Slab {
  readonly u8: Uint8Array; readonly u32: Uint32Array; readonly u64: BigUint64Array;
  /** Views of one value, made when they are asked for. */
  readonly bytes: (Uint8Array | undefined)[]; readonly words: (Uint32Array | undefined)[];
  used: number;
}
let slab = newSlab();

function newSlab(): Slab {
  const buffer = new ArrayBuffer(LENGTH * VALUES_PER_SLAB);
  return { u8: new Uint8Array(buffer), u32: new Uint32Array(buffer), u64: new BigUint64Array(buffer), bytes: [], words: [], used: 0 };
}

/** Calls `work`, which keeps none of the states that it makes: their room is used again. A world switch makes several of them, and a guest
 * may make a hundred thousand world switches a second. */
export function lendStates<Result>(work: () => Result): Result {
  if (slab.used > VALUES_PER_SLAB / 2) slab = newSlab();
  const before = slab, { used } = slab;
  try {
    return work();
  } finally {
    slab = before;
    slab.used = used;
  }
}

class State {
  readonly slab: Slab;
  readonly number: number;
  readonly base: number;
  constructor(slab: Slab, number: number, base: number) {
    this.slab = slab;
    this.number = number;
    this.base = base;
  }
  get nestedControl(): Uint8Array {
    return this.slab.u8.subarray(this.base + NESTED, this.base + NESTED + NESTED_LENGTH);
  }
  get hostSave(): Uint8Array {
    return this.slab.u8.subarray(this.base + HOST, this.base + HOST + HOST_LENGTH);
  }
  get words(): Uint32Array {
    const { slab: { words, u32 }, number, base } = this;
    return words[number] ??= u32.subarray(base >> 2, base + LENGTH >> 2);
  }
  get bytes(): Uint8Array {
    const { slab: { bytes, u8 }, number, base } = this;
    return bytes[number] ??= u8.subarray(base, base + LENGTH);
  }
  copy(): State {
    const next = newState();
    next.bytes.set(this.bytes);
    return next;
  }
  with(changes: Changes): VcpuState {
    const next = this.copy();
    const { u8, u32, u64 } = next.slab;
    for (const key in changes) {
      const value = changes[key as keyof Changes];
      const place = fieldPlaces[key as FieldName];
      if (place !== undefined) {
        const at = next.base + place.offset - VCPU_FILE;
        if (place.type === 'u64') u64[at >> 3] = value as bigint;
        else u32[at >> 2] = value as number;
      } else if (key === 'nestedControl') u8.set(value as Uint8Array, next.base + NESTED);
      else if (key === 'hostSave') u8.set(value as Uint8Array, next.base + HOST);
      else putSegment(next, segmentRegisters.indexOf(key as SegmentRegister), value as Segment);
    }
    return next as unknown as VcpuState;
  }
}

function newState(): State {
  if (slab.used === VALUES_PER_SLAB) slab = newSlab();
  const number = slab.used++;
  return new State(slab, number, number * LENGTH);
}

for (const [name, { offset, type }] of Object.entries(fieldPlaces)) {
  const at = (offset - VCPU_FILE) >> (type === 'u64' ? 3 : 2);
  Object.defineProperty(State.prototype, name, type === 'u64'
    ? {
      get(this: State) { return this.slab.u64[(this.base >> 3) + at]; },
      set(this: State, value: bigint) { this.slab.u64[(this.base >> 3) + at] = value; },
    }
    : {
      get(this: State) { return this.slab.u32[(this.base >> 2) + at]; },
      set(this: State, value: number) { this.slab.u32[(this.base >> 2) + at] = value; },
    });
}
segmentRegisters.forEach((name, index) => {
  const at = placeOfSegment(index) - VCPU_FILE;
  Object.defineProperty(State.prototype, name, {
    get(this: State): Segment {
      const { u32, u64 } = this.slab;
      return {
        selector: u32[(this.base + at + SEGMENT_SELECTOR) >> 2],
        attributes: u32[(this.base + at + SEGMENT_ATTRIBUTES) >> 2],
        base: u64[(this.base + at + SEGMENT_BASE) >> 3],
        limit: u32[(this.base + at + SEGMENT_LIMIT) >> 2],
      };
    },
    set(this: State, value: Segment) { putSegment(this, index, value); },
  });
});

function putSegment(state: State, index: number, segment: Segment): void {
  const at = state.base + placeOfSegment(index) - VCPU_FILE;
  const { u32, u64 } = state.slab;
  u32[(at + SEGMENT_SELECTOR) >> 2] = segment.selector;
  u32[(at + SEGMENT_ATTRIBUTES) >> 2] = segment.attributes;
  u64[(at + SEGMENT_BASE) >> 3] = segment.base;
  u32[(at + SEGMENT_LIMIT) >> 2] = segment.limit;
}

/** A vCPU after RESET (APM Vol. 2, table 14-1). */
export function resetVcpu(): VcpuState {
  const cpu = bindCpu(new ArrayBuffer(VCPU_FILE + VCPU_FILE_SIZE));
  resetCpu(cpu);
  return captureVcpu(cpu);
}

/** The active vCPU file as a value. */
export const captureVcpu = (cpu: Cpu): VcpuState => borrowVcpu(cpu).with({});

/** The active vCPU file itself, for whoever reads it as a value and is done before anything writes to it: nothing is copied. */
export function borrowVcpu({ u8, u32, u64 }: Cpu): VcpuState {
  const bytes = u8.subarray(VCPU_FILE, VCPU_FILE + LENGTH), words = u32.subarray(VCPU_FILE >> 2, VCPU_FILE + LENGTH >> 2);
  return new State({ u8, u32, u64, bytes: [bytes], words: [words], used: 1 }, 0, VCPU_FILE) as unknown as VcpuState;
}

/** Writes a value back to the active vCPU file, which is `file`. */
export function applyVcpu(file: VcpuState, state: VcpuState): void {
  (file as unknown as State).bytes.set((state as unknown as State).bytes);
}
