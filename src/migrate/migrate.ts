// Would the guest have noticed another CPU, or another hypervisor? First by footprint: when every question of the run is answered alike,
// nothing else could have mattered. Otherwise both are run in lockstep, and the first difference is told with what decided it.
import type { MachineHeader } from '../../journal/header.ts';
import type { Position } from '../../journal/position.ts';
import type { Journal } from '../../journal/store.ts';
import type { Kvm, Tier, VmCheck, VmDelivery, VmTransition } from '../kvm/api.ts';
import { behaviourRows } from '../model/behaviours.ts';
import { differencesBetween, type Difference } from '../replay/difference.ts';
import { placeOf, positionBefore, type Place } from '../replay/place.ts';
import { probe, type Answer, type Probe } from '../replay/probe.ts';
import { firstSnapshot } from '../replay/replay.ts';
import { askedOtherwise, contrast, sideOf, type Contrast, type Side } from './footprint.ts';
import { runInLockstep, type EventDifference, type Pair, type Parting } from './lockstep.ts';

export interface MigrateOptions {
  readonly kvm: Kvm;
  readonly tier: Tier;
  readonly breathe: () => Promise<void>;
  readonly onProgress: (instructions: number) => void;
}

/** What one side does at the place where they part. */
export interface Doing {
  readonly transitions: readonly VmTransition[];
  readonly deliveries: readonly VmDelivery[];
  /** Why it does not go on, when it does not. */
  readonly stop: string | undefined;
  readonly asked: ReadonlyMap<string, Answer>;
}

/** A consistency check that came out differently, or that only one side made. */
export interface CheckContrast { readonly id: string; readonly original: boolean | undefined; readonly other: boolean | undefined; readonly asked: readonly string[] }

export interface FirstDifference {
  readonly position: Position;
  readonly icount: number;
  readonly place: Place;
  readonly differences: readonly Difference[];
  readonly event: EventDifference | undefined;
  readonly original: Doing;
  readonly other: Doing;
  readonly checks: readonly CheckContrast[];
  /** The answers that made the difference. Empty when it was made before, in hidden state. */
  readonly because: readonly Contrast[];
}

export type MigrationVerdict = {
  /** Questions that this version answers otherwise for the recorded CPU itself: another version has recorded. */
  readonly outdated: readonly Contrast[];
} & (
  | {
    readonly verdict: 'identical';
    readonly by: 'footprint' | 'replay';
    /** Questions of the recording. */
    readonly asked: number;
    /** Those that the target answers otherwise: none of them mattered. */
    readonly otherwise: readonly Contrast[];
    /** Where state differed that no instruction reads: the guest could not tell. */
    readonly hidden: FirstDifference | undefined;
    /** The recording was cut: nothing is known beyond its last event. */
    readonly cut: boolean;
  }
  | {
    readonly verdict: 'diverged';
    readonly first: FirstDifference;
    /** Where state last began to differ that no instruction reads, before the guest could tell. */
    readonly hidden: FirstDifference | undefined;
    /** The first difference is in a change of world and in state that no instruction reads: where the guest itself can tell, if it ever can. */
    readonly seen: FirstDifference | 'never' | undefined;
    readonly otherwise: readonly Contrast[];
  }
  /** This engine does not replay the recording itself; `seq` is the first event that comes out otherwise. */
  | { readonly verdict: 'broken'; readonly seq: number }
);

/** Replays nothing when the footprint suffices. */
export async function migrate(journal: Journal, target: MachineHeader, options: MigrateOptions): Promise<MigrationVerdict> {
  firstSnapshot(journal);
  const original = sideOf(journal.header), other = sideOf(target), footprint = journal.footprint();
  const otherwise = askedOtherwise(journal, other), outdated = askedOtherwise(journal, original), cut = !journal.complete;
  if (otherwise.length === 0 && footprint.length > 0) return { outdated, verdict: 'identical', by: 'footprint', asked: footprint.length, otherwise, hidden: undefined, cut };

  const firstIcount = Math.min(...otherwise.map((each) => each.firstIcount), Number.MAX_SAFE_INTEGER);
  const snapshot = journal.snapshots().filter(({ icount }) => icount <= firstIcount).at(-1)!;
  const hidden: FirstDifference[] = [];
  let seen: FirstDifference | undefined;
  const describe = (parting: Parting, pair: Pair): FirstDifference => describeParting(journal, target, options.kvm, original, other, parting, pair);
  const result = await runInLockstep(journal, { ...options, target, snapshot, watched: new Set(otherwise.map(({ capability }) => capability)) },
    (parting, pair) => { hidden.push(describe(parting, pair)); }, (parting, pair) => { seen = describe(parting, pair); });
  if (result.kind === 'broken') return { outdated, verdict: 'broken', seq: result.seq };
  // A change of world that comes out otherwise counts, although only its hypervisor's hypervisor may know.
  const told = hidden.find(({ event }) => event !== undefined);
  if (told !== undefined) return { outdated, verdict: 'diverged', first: told, hidden: hidden.at(-1), seen: seen ?? 'never', otherwise };
  if (seen === undefined) return { outdated, verdict: 'identical', by: 'replay', asked: footprint.length, otherwise, hidden: hidden[0], cut };
  return { outdated, verdict: 'diverged', first: seen, hidden: hidden.at(-1), seen: undefined, otherwise };
}

function describeParting(journal: Journal, target: MachineHeader, kvm: Kvm, original: Side, other: Side, parting: Parting, pair: Pair): FirstDifference {
  const left = probe(pair.original, journal.header, kvm), right = probe(pair.other, target, kvm);
  const asked = contrast(new Set([left, right].flatMap((each) => [...each.asked.keys(), ...each.askedLater.keys()])), original, other);
  const because = deciding(asked, left, (header) => probe(pair.original, header, kvm), journal.header);
  const { turn } = left.after.board.saveState();
  return {
    position: positionBefore(journal, parting.icount), icount: parting.icount, place: placeOf(pair.original, turn.vcpu),
    differences: parting.differences, event: parting.event, original: doingOf(left), other: doingOf(right), checks: contrastChecks(left, right), because,
  };
}

/** The recorded machine with this one answer of the target; undefined where an answer is no choice of its own. */
function withAnswer({ capability, other }: Contrast, header: MachineHeader): MachineHeader | undefined {
  if (Object.hasOwn(behaviourRows, capability)) return { ...header, behaviours: { ...header.behaviours, [capability]: String(other) } };
  return typeof other === 'boolean' ? { ...header, model: `${header.model},${other ? '+' : '-'}${capability}` } : undefined;
}

/** Those answers of which one alone makes the recorded machine take another step: each is tried. Where none does, all may have decided together. */
function deciding(asked: readonly Contrast[], step: Probe, probeWith: (header: MachineHeader) => Probe, header: MachineHeader): readonly Contrast[] {
  if (asked.length < 2) return asked;
  const alone = asked.filter((each) => {
    const changed = withAnswer(each, header);
    return changed !== undefined && differencesBetween(step.after, probeWith(changed).after).length > 0;
  });
  if (alone.length > 0) return alone;
  const others = asked.filter((each) => withAnswer(each, header) === undefined);
  return others.length > 0 ? others : asked;
}

const doingOf = ({ transitions, deliveries, stop, asked }: Probe): Doing =>
  ({ transitions, deliveries, asked, stop: stop.kind === 'reached' ? undefined : stop.kind });

/** Checks of changes of world, and those that raised an exception. */
function resultsOf({ transitions, deliveries }: Probe): Map<string, VmCheck> {
  const raised = deliveries.flatMap(({ check }) => check === undefined ? [] : [{ id: check, passed: false }]);
  return new Map([...transitions.flatMap(({ checks }) => checks ?? []), ...raised].map((check) => [check.id, check]));
}

function contrastChecks(original: Probe, other: Probe): CheckContrast[] {
  const left = resultsOf(original), right = resultsOf(other);
  return [...new Set([...left.keys(), ...right.keys()])].flatMap((id) => {
    const a = left.get(id), b = right.get(id);
    // A check that only one side made counts when it failed.
    if (a?.passed === b?.passed || (a?.passed ?? true) === (b?.passed ?? true)) return [];
    return [{ id, original: a?.passed, other: b?.passed, asked: [...new Set([...a?.asked ?? [], ...b?.asked ?? []])] }];
  });
}
