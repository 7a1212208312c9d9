// The first question of a migration: could this run have noticed? What the recording asked of its CPU, put to the target; whatever answers
// alike cannot have made a difference.
import type { MachineHeader } from '../../journal/header.ts';
import type { Journal } from '../../journal/store.ts';
import { answerTo, type Answer } from '../model/capabilities.ts';
import { ModelError, resolveModel, type Model } from '../model/models.ts';

/** A vCPU as a migration knows it: the model, and the behaviours that differ from their defaults. */
export interface Side { readonly model: Model; readonly behaviours: Readonly<Record<string, string>> }
export const sideOf = ({ model, behaviours }: Pick<MachineHeader, 'model' | 'behaviours'>): Side => ({ model: resolveModel(model), behaviours });

/** A question that the two sides answer differently. */
export interface Contrast { readonly capability: string; readonly original: Answer; readonly other: Answer }

/** The answer of a side; undefined for a question that this version does not know. */
function answerOf({ model, behaviours }: Side, capability: string): Answer | undefined {
  try {
    return answerTo(model, behaviours, capability);
  } catch (error) {
    if (error instanceof ModelError) return undefined;
    throw error;
  }
}

/** Those of the questions that the two sides answer differently. */
export function contrast(questions: Iterable<string>, original: Side, other: Side): Contrast[] {
  const found: Contrast[] = [];
  for (const capability of questions) {
    const left = answerOf(original, capability), right = answerOf(other, capability);
    if (left !== undefined && right !== undefined && left !== right) found.push({ capability, original: left, other: right });
  }
  return found;
}

/** What the recording asked and the target answers otherwise, with the instruction count of the first time. The recorded answer counts: the
 * engine that recorded may have answered otherwise than this one would. A question that nobody knows any more counts as answered otherwise. */
export function askedOtherwise(journal: Journal, other: Side): (Contrast & { readonly firstIcount: number })[] {
  return journal.footprint().flatMap(({ capability, answer, first }) => {
    const now = answerOf(other, capability);
    return now === answer ? [] : [{ capability, original: answer, other: now ?? 'unknown', firstIcount: first.icount }];
  });
}
