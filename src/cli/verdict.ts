// Running a journal again, and how the result is told. `retro replay`, `retro verify` and `npm start` share it.
import type { Journal } from '../../journal/store.ts';
import { createKvm } from '../kvm/system.ts';
import type { Tier } from '../kvm/api.ts';
import type { Happened } from '../replay/compare.ts';
import { replay, type Verdict } from '../replay/replay.ts';
import { breathe, nowMs } from '../host/clock.ts';
import { onInterrupt } from '../host/signals.ts';
import { UserError } from '../host/errors.ts';
import { fieldsText } from './event-text.ts';
import { grouped } from './text.ts';

export interface Replayed { readonly tier: Tier; readonly verdict: Verdict; readonly ms: number }

export interface ReplayHooks {
  onOutput?(bytes: Uint8Array): void;
  onProgress?(instructions: number): void;
}

/** Replays a journal from its beginning. */
export async function replayJournal(journal: Journal, tier: Tier, hooks: ReplayHooks, behaviours = journal.header.behaviours): Promise<Replayed> {
  const began = nowMs();
  let verdict: Verdict | undefined, interrupted = false;
  const release = onInterrupt(() => { interrupted = true; });
  const pause = (): Promise<void> => {
    if (interrupted) throw new UserError('EINTR', 'The replay was interrupted.', 'Nothing was changed.');
    return breathe();
  };
  await replay(journal, { kvm: createKvm(), tier, behaviours, breathe: pause }).forEach((step) => {
    if (step.kind === 'verdict') {
      verdict = step.verdict;
      return;
    }
    const { at, event } = step.recorded;
    hooks.onProgress?.(at.icount);
    if (event.kind === 'SerialOutput') hooks.onOutput?.(event.bytes);
  }).finally(release);
  return { tier, verdict: verdict!, ms: nowMs() - began };
}

const side = (happened: Happened | null): string => happened === null ? 'nothing'
  : `${happened.event.kind} at instruction ${grouped(happened.at.icount)}${happened.at.vcpu === null ? '' : ` on vCPU ${happened.at.vcpu}`} ${fieldsText(happened.event)}`.trimEnd();

/** The verdict in a few words. */
export const verdictText = (verdict: Verdict): string => verdict.kind === 'identical' ? (verdict.cut ? 'identical, as far as was recorded' : 'identical') : 'diverged';

/** Where and how a replay differed: names and values. */
export function divergenceRows(verdict: Verdict): (readonly [string, string])[] {
  if (verdict.kind === 'identical') return [];
  const { seq, recorded, replayed, differences } = verdict.divergence;
  return [['first difference', `event ${seq}: ${differences.join(', ')}`], ['recorded', side(recorded)], ['replayed', side(replayed)]];
}
