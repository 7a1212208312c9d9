// Instructions that compute nothing. Meanings, called by the three readings through `index.ts`. APM Vol. 3, chapter 3.
import type { MemoryOperand } from '../isa/instruction.ts';
import type { Meaning } from './outcome.ts';
import { address, load } from './expr.ts';

export const nothing: Meaning = () => ({});

/** Flushing a cache line needs the permissions of a read of one byte (APM Vol. 3, "CLFLUSH"), and does nothing here. */
export const flushLine: Meaning = (_operands, { instruction: { addressSize, operands } }) =>
  ({ reads: load(8, (operands[0] as MemoryOperand).segment, address(0, addressSize)) });
