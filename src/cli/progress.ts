// How a running machine is shown on the terminal: a line on standard error that says how far and how fast, when that is a terminal.
import { nowMs } from '../host/clock.ts';
import { errorIsTerminal, writeError } from '../host/terminal.ts';
import { grouped, mips } from './text.ts';

export interface Progress {
  /** Shows `instructions`, if the last time was long enough ago. */
  show(instructions: number): void;
  /** Takes the line away, before other text or at the end. */
  clear(): void;
}

const INTERVAL_MS = 150;

/** `total`: how many instructions there will be, when that is known. */
export function createProgress(what: string, total?: number): Progress {
  if (!errorIsTerminal()) return { show: () => {}, clear: () => {} };
  const began = nowMs();
  let last = began, shown = false;
  return {
    show(instructions) {
      const now = nowMs();
      if (now - last < INTERVAL_MS) return;
      last = now;
      shown = true;
      const part = total === undefined || total === 0 ? '' : ` (${Math.floor(instructions / total * 100)} %)`;
      writeError(`\r\x1b[K${what} ${grouped(instructions)} instructions${part}, ${mips(instructions, now - began)} MIPS`);
    },
    clear() {
      if (shown) writeError('\r\x1b[K');
      shown = false;
    },
  };
}
