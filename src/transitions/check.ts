// A consistency check is a row, not a branch: what it is called, what it asks, where the manual says so, which capabilities it reads.
// Tables of checks stand beside the transition that makes them; whoever evaluates a table gets every row's answer, so a failed VM entry
// always knows which check failed and why.
import type { Capabilities } from '../model/capabilities.ts';

export interface Check<Subject> {
  /** Stable: `vmrun.cr0.nw-without-cd`. Journals and reports carry it. */
  readonly id: string;
  /** One sentence in the manual's words: what is illegal. */
  readonly what: string;
  /** `APM Vol. 2, 15.5.1`; for a behaviour of a hypervisor, its commit. */
  readonly reference: string;
  /** True when the state is legal. Asks model and behaviours only through `capability`. */
  readonly holds: (subject: Subject, capability: Capabilities) => boolean;
}

export interface CheckResult {
  readonly id: string;
  readonly passed: boolean;
  /** What it asked of the capability door; only when somebody listens there. */
  readonly asked?: readonly string[];
}

/** Evaluates every row, in order. A row after the first failure is evaluated too: the report shows all. */
export function evaluateChecks<Subject>(table: readonly Check<Subject>[], subject: Subject, capability: Capabilities): readonly CheckResult[] {
  return capability.onAsk === undefined ? table.map((check) => ({ id: check.id, passed: check.holds(subject, capability) }))
    : table.map((check) => evaluateHeard(check, subject, capability, capability.onAsk!));
}

/** Evaluates a row and keeps what it asked. */
function evaluateHeard<Subject>(check: Check<Subject>, subject: Subject, capability: Capabilities, heard: NonNullable<Capabilities['onAsk']>): CheckResult {
  const asked: string[] = [];
  capability.onAsk = (name, answer) => {
    asked.push(name);
    heard(name, answer);
  };
  const passed = check.holds(subject, capability);
  capability.onAsk = heard;
  return { id: check.id, passed, asked };
}

let lastResults: readonly CheckResult[] = [], lastHolds = true;
/** Whether none failed. Whoever evaluates the same again gives the same list. */
export function allHold(results: readonly CheckResult[]): boolean {
  if (results !== lastResults) {
    lastResults = results;
    lastHolds = results.every(({ passed }) => passed);
  }
  return lastHolds;
}
