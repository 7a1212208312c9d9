// INIT and the start-up message (APM Vol. 2, 14.1.3, table 14-1 and 16.5): how a vCPU begins anew. `vm/run.ts` calls these when the event is
// taken; that SMM and GIF hold INIT back is decided there.
import { CR0 } from '../cpu/controls.ts';
import { Activity, fieldPlaces, segmentRegisters, type FieldName } from '../cpu/state.ts';
import { resetVcpu, type Changes, type VcpuState } from '../cpu/vcpu-state.ts';
import type { TransitionOutcome } from './outcome.ts';

/** "INIT does not modify" these; CD and NW of CR0 keep their values too, and MSRs, vector and x87 registers are no part of the value. */
const kept: ReadonlySet<FieldName> = new Set<FieldName>([
  'icount', 'xcr0', 'xss', 'star', 'lstar', 'cstar', 'sfmask', 'kernelGsBase', 'tscAux', 'sysenterCs', 'sysenterEsp', 'sysenterEip', 'pat', 'apicBase', 'miscEnable',
  'tscOffset', 'tscAdjust', 'vmCr', 'vmHsavePa', 'smbase', 'pkru', 'mtrrDefType', 'sCet', 'uCet', 'pl0Ssp', 'pl1Ssp', 'pl2Ssp', 'pl3Ssp', 'interruptSspTable',
  'fcw', 'fsw', 'ftw', 'fop', 'fip', 'fdp', 'fcs', 'fds', 'mxcsr',
]);
const KEPT_OF_CR0 = CR0.CD | CR0.NW;

const reset = resetVcpu();
const fresh = Object.fromEntries([
  ...(Object.keys(fieldPlaces) as FieldName[]).filter((name) => fieldPlaces[name].role === 'state' && !kept.has(name)),
  ...segmentRegisters, 'nestedControl', 'hostSave',
].map((name) => [name, reset[name as keyof Changes]])) as Changes;

export interface Init {
  /** What EDX holds then: family, model and stepping. */
  readonly signature: number;
  /** All but the first processor wait for a start-up message. */
  readonly isFirst: boolean;
}

export function initialise(before: VcpuState, { signature, isFirst }: Init): TransitionOutcome {
  const after = before.with({
    ...fresh, cr0: before.cr0 & KEPT_OF_CR0 | CR0.ET, rdx: BigInt(signature), activity: isFirst ? Activity.running : Activity.waitForSipi,
  });
  return { after, writes: [], checks: [], flush: 'all', detail: { rip: before.rip, waits: !isFirst } };
}

/** The vCPU begins at the page that the message names. */
export function startUp(before: VcpuState, { vector }: { readonly vector: number }): TransitionOutcome {
  const after = before.with({ cs: { ...before.cs, selector: vector << 8, base: BigInt(vector << 12) }, rip: 0n, activity: Activity.running });
  return { after, writes: [], checks: [], flush: 'all', detail: { vector } };
}
