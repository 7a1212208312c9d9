// Digests: 64 bits over the architectural state of a vCPU, and over RAM by the content of its pages. The same state gives the same digest
// in every tier and on every host. Digests find differences; they are no defence against somebody who makes one on purpose.
import { canonicaliseFlags } from '../cpu/flags.ts';
import { areaPlaces, fieldPlaces, placeOfSegment, SEGMENT_SIZE, segmentRegisters, VCPU_FILE, type Cpu, type FieldName } from '../cpu/state.ts';
import { hostOfPage, PageFlag, type Ram } from '../memory/ram.ts';

/** The parts of the vCPU file that are architectural, as byte ranges: the fields up to the first scratch one, then segments and areas. */
export const stateRanges: readonly (readonly [start: number, end: number])[] = ranges();

function ranges(): [number, number][] {
  const names = Object.keys(fieldPlaces) as FieldName[];
  const firstWork = names.findIndex((name) => fieldPlaces[name].role === 'work');
  if (names.slice(firstWork).some((name) => fieldPlaces[name].role === 'state')) throw new Error('scratch fields stand behind all state fields');
  return [
    [VCPU_FILE, fieldPlaces[names[firstWork]!].offset],
    [placeOfSegment(0), placeOfSegment(0) + SEGMENT_SIZE * segmentRegisters.length],
    ...Object.entries(areaPlaces).filter(([name]) => name !== 'slowValue').map(([, { offset, length }]): [number, number] => [offset, offset + length]),
  ];
}

export const stateLength = stateRanges.reduce((sum, [start, end]) => sum + end - start, 0);

export type Digest = readonly [high: number, low: number];
export const digestText = ([high, low]: Digest): string => ((high >>> 0).toString(16).padStart(8, '0') + (low >>> 0).toString(16).padStart(8, '0'));

// Four lanes that do not wait for each other; the lanes are mixed at the end.
let laneA = 0, laneB = 0, laneC = 0, laneD = 0;
const K1 = 0x9e3779b1, K2 = 0x85ebca77, K3 = 0xc2b2ae3d, K4 = 0x27d4eb2f;

function begin(seed: number): void {
  laneA = seed ^ 0x243f6a88;
  laneB = seed ^ 0x85a308d3;
  laneC = seed ^ 0x13198a2e;
  laneD = seed ^ 0x03707344;
}

/** Words `from` .. `to - 1`; the length need not be a multiple of four. */
function absorb(words: Uint32Array, from: number, to: number): void {
  let a = laneA, b = laneB, c = laneC, d = laneD, at = from;
  for (; at + 3 < to; at += 4) {
    a = Math.imul(a ^ words[at]!, K1);
    b = Math.imul(b ^ words[at + 1]!, K2);
    c = Math.imul(c ^ words[at + 2]!, K3);
    d = Math.imul(d ^ words[at + 3]!, K4);
    // A multiplication carries upwards only: the rotation brings high bits down.
    a = a << 13 | a >>> 19;
    b = b << 15 | b >>> 17;
    c = c << 11 | c >>> 21;
    d = d << 17 | d >>> 15;
  }
  for (; at < to; at++) {
    a = Math.imul(a ^ words[at]!, K3);
    a = a << 13 | a >>> 19;
  }
  laneA = a;
  laneB = b;
  laneC = c;
  laneD = d;
}

function finish(): Digest {
  const high = avalanche(laneA ^ avalanche(laneB + 0x1b873593 ^ avalanche(laneC ^ avalanche(laneD))));
  const low = avalanche(laneD ^ avalanche(laneC + 0x52dce729 ^ avalanche(laneB ^ avalanche(laneA))));
  return [high, low];
}

function avalanche(value: number): number {
  value = Math.imul(value ^ value >>> 16, 0x85ebca6b);
  value = Math.imul(value ^ value >>> 13, 0xc2b2ae35);
  return value ^ value >>> 16;
}

/** Of the active vCPU file. Lazy flags become canonical. */
export function digestVcpu(cpu: Cpu): Digest {
  canonicaliseFlags(cpu);
  begin(0);
  for (const [start, end] of stateRanges) absorb(cpu.u32, start >> 2, end >> 2);
  return finish();
}

export interface MemoryDigest {
  /** Over all of RAM: which page has which content. Pages that were not written since the last call are not read again. */
  take(): Digest;
}

/** RAM is all zero when this is made. The digest is the sum over all pages that are not zero of a mix of page number and content hash: order does not matter, one page can be replaced. */
export function createMemoryDigest(ram: Ram, beforeTake: () => void): MemoryDigest {
  const { flags, u32 } = ram;
  // Two words per page as it counts in the sum; zero pages count nothing.
  const parts = new Uint32Array(2 * ram.pageCount);
  let high = 0, low = 0;
  return {
    take() {
      beforeTake();
      for (let page = ram.nextPage(PageFlag.unhashed, 0); page !== -1; page = ram.nextPage(PageFlag.unhashed, page + 1)) {
        flags[page]! &= ~PageFlag.unhashed;
        const [partHigh, partLow] = isZeroPage(ram, page) ? ZERO : digestPage(u32, page);
        high = high - parts[2 * page]! + partHigh | 0;
        low = low - parts[2 * page + 1]! + partLow | 0;
        parts[2 * page] = partHigh;
        parts[2 * page + 1] = partLow;
      }
      return [high, low];
    },
  };
}

const ZERO: Digest = [0, 0];

function digestPage(words: Uint32Array, page: number): Digest {
  const first = hostOfPage(page) / 4;
  begin(page + 1);
  absorb(words, first, first + 1024);
  return finish();
}

function isZeroPage(ram: Ram, page: number): boolean {
  const first = hostOfPage(page) / 4, { u32 } = ram;
  for (let at = first; at < first + 1024; at += 8) {
    if ((u32[at]! | u32[at + 1]! | u32[at + 2]! | u32[at + 3]! | u32[at + 4]! | u32[at + 5]! | u32[at + 6]! | u32[at + 7]!) !== 0) return false;
  }
  return true;
}
