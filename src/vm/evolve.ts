// The state of a VM that is neither RAM nor a vCPU file: memory slots, which vCPUs exist, the random generator, the A20 gate. A plain tree,
// replaced by `evolve` and never changed in place; what differs between two of them is what an event did. The only file that uses immer.
import { produce } from 'immer';
import type { Slot } from '../memory/ram.ts';

export interface VmState {
  readonly slots: readonly Slot[];
  /** Ids of the vCPUs, in the order of their creation. */
  readonly vcpus: readonly number[];
  /** A counter-based generator: value n is a function of seed and n. */
  readonly random: { readonly seed: bigint; readonly drawn: number };
  /** Absent while the A20 gate is open. */
  readonly a20Closed?: true;
}

export type VmEvent =
  | { readonly kind: 'MemoryRegionSet'; readonly region: Slot }
  | { readonly kind: 'VcpuCreated'; readonly id: number }
  | { readonly kind: 'RandomDrawn' }
  | { readonly kind: 'A20Opened' | 'A20Closed' };

export const initialState = (seed: bigint): VmState => ({ slots: [], vcpus: [], random: { seed: BigInt.asUintN(64, seed), drawn: 0 } });

/** The state after an event. Never fails: what may happen was decided before. */
export const evolve = produce((state: { slots: Slot[]; vcpus: number[]; random: { seed: bigint; drawn: number }; a20Closed?: true }, event: VmEvent) => {
  switch (event.kind) {
    case 'MemoryRegionSet':
      state.slots = state.slots.filter(({ slot }) => slot !== event.region.slot);
      if (event.region.size > 0) state.slots.push(event.region);
      break;
    case 'VcpuCreated':
      state.vcpus.push(event.id);
      break;
    case 'RandomDrawn':
      state.random.drawn++;
      break;
    case 'A20Opened':
      delete state.a20Closed;
      break;
    case 'A20Closed':
      state.a20Closed = true;
      break;
    default:
      event satisfies never;
  }
}) as (state: VmState, event: VmEvent) => VmState;

const GOLDEN = 0x9e3779b97f4a7c15n;

/** Value `drawn` of the generator (splitmix64: Steele, Lea, Flood 2014). */
export function randomValue({ seed, drawn }: VmState['random']): bigint {
  let value = BigInt.asUintN(64, seed + GOLDEN * BigInt(drawn + 1));
  value = BigInt.asUintN(64, (value ^ value >> 30n) * 0xbf58476d1ce4e5b9n);
  value = BigInt.asUintN(64, (value ^ value >> 27n) * 0x94d049bb133111ebn);
  return value ^ value >> 31n;
}
