// Shutdown (APM Vol. 2, 8.2.9): the processor stops and only RESET, INIT or NMI would end it. `vm/run.ts` calls this where a third fault or an
// illegal state at RSM comes to that; whether a hypervisor intercepts it is asked before.
import { Activity } from '../cpu/state.ts';
import type { VcpuState } from '../cpu/vcpu-state.ts';
import type { TransitionOutcome } from './outcome.ts';

export type ShutdownCause = 'triple fault' | 'RSM';

export function shutDown(before: VcpuState, { cause }: { readonly cause: ShutdownCause }): TransitionOutcome {
  return { after: before.with({ activity: Activity.shutdown }), writes: [], checks: [], stop: 'shutdown', detail: { rip: before.rip, cause } };
}
