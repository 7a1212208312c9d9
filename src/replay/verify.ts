// Verifying: a journal is read to its end, and replayed in one tier after the other, and every digest must be the recorded one in each. Two
// tiers that agree with the same recording agree with each other.
import { concat, defer, EMPTY, map, type Observable } from 'rxjs';
import type { Journal } from '../../journal/store.ts';
import type { Tier } from '../kvm/api.ts';
import { replay, type ReplayOptions, type ReplayStep } from './replay.ts';

/** A step of the replay in a tier; each tier's last step is its verdict. */
export interface VerifyStep { readonly tier: Tier; readonly step: ReplayStep }

export const verify = (journal: Journal, options: Omit<ReplayOptions, 'tier'>, tiers: readonly Tier[] = ['interpreter', 'translator']): Observable<VerifyStep> =>
  concat(readThrough(journal), ...tiers.map((tier) => replay(journal, { ...options, tier }).pipe(map((step) => ({ tier, step })))));

/** A replay reads no payload that agrees: damage to one shows here. */
const readThrough = (journal: Journal): Observable<never> => defer(() => {
  for (const stored of journal.stored()) void stored;
  return EMPTY;
});
