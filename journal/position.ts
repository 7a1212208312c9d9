// A position is `seq:icount`: an event, and the instructions retired after it. People see and type it; everything that stands
// somewhere in a run speaks of it.
import { JournalError } from './error.ts';

export interface Position {
  /** The last event that has happened. */
  readonly seq: number;
  /** Instructions retired since, by all vCPUs together. */
  readonly icount: number;
}

export const formatPosition = ({ seq, icount }: Position): string => `${seq}:${icount}`;

/** Reads `seq:icount`, or `seq` alone. */
export function parsePosition(text: string): Position {
  const match = /^(\d{1,16})(?::(\d{1,16}))?$/.exec(text);
  const seq = Number(match?.[1]), icount = Number(match?.[2] ?? 0);
  if (!Number.isSafeInteger(seq) || !Number.isSafeInteger(icount)) {
    throw new JournalError('no-such-position', `“${text}” is not a position. Write it as EVENT:INSTRUCTIONS, for example 12:0 or 12:4000.`);
  }
  return { seq, icount };
}

/** Negative when `a` is before `b`. Both must be in normal form: behind the last event that their instruction count reaches. */
export const comparePositions = (a: Position, b: Position): number => a.seq - b.seq || a.icount - b.icount;
