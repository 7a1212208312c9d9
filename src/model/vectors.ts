// Exception vectors 0..31: mnemonic, class, error code, class for the double-fault rule, and where the vector comes from. Which
// features introduce a vector stands with the features; the two tables must agree or nothing compiles. Read by event delivery and
// by the checks of injected events.
import { featureRows, type features, type IntroducedVector } from './features.ts';

export type VectorClass = 'fault' | 'trap' | 'fault or trap' | 'abort' | 'interrupt' | 'reserved';
/** SDM Vol. 3A, table 6-5; APM Vol. 2, 8.2.9. */
export type DoubleFaultClass = 'benign' | 'contributory' | 'page-fault' | 'double-fault';
/** `base`: every processor has it. `reserved`: none has. `feature`: those with one of the features that name it. */
export type VectorOrigin = 'base' | 'reserved' | 'feature';

interface Vector {
  readonly mnemonic: string;
  readonly class: VectorClass;
  readonly errorCode: boolean;
  readonly doubleFault: DoubleFaultClass;
  readonly origin: VectorOrigin;
}
const vector = <const O extends VectorOrigin>(origin: O, mnemonic: string, kind: VectorClass, errorCode: boolean, doubleFault: DoubleFaultClass) =>
  ({ mnemonic, class: kind, errorCode, doubleFault, origin }) satisfies Vector as Vector & { readonly origin: O };
const reserved = () => vector('reserved', '', 'reserved', false, 'benign');

export const vectors = {
  0: vector('base', '#DE', 'fault', false, 'contributory'),
  1: vector('base', '#DB', 'fault or trap', false, 'benign'),
  2: vector('base', 'NMI', 'interrupt', false, 'benign'),
  3: vector('base', '#BP', 'trap', false, 'benign'),
  4: vector('base', '#OF', 'trap', false, 'benign'),
  5: vector('base', '#BR', 'fault', false, 'benign'),
  6: vector('base', '#UD', 'fault', false, 'benign'),
  7: vector('base', '#NM', 'fault', false, 'benign'),
  8: vector('base', '#DF', 'abort', true, 'double-fault'),
  /** Coprocessor segment overrun on the 386 and before. */
  9: reserved(),
  10: vector('base', '#TS', 'fault', true, 'contributory'),
  11: vector('base', '#NP', 'fault', true, 'contributory'),
  12: vector('base', '#SS', 'fault', true, 'contributory'),
  13: vector('base', '#GP', 'fault', true, 'contributory'),
  14: vector('base', '#PF', 'fault', true, 'page-fault'),
  15: reserved(),
  16: vector('feature', '#MF', 'fault', false, 'benign'),
  17: vector('base', '#AC', 'fault', true, 'benign'),
  18: vector('feature', '#MC', 'abort', false, 'benign'),
  19: vector('feature', '#XF', 'fault', false, 'benign'),
  20: vector('feature', '#VE', 'fault', false, 'page-fault'),
  21: vector('feature', '#CP', 'fault', true, 'contributory'),
  22: reserved(), 23: reserved(), 24: reserved(), 25: reserved(), 26: reserved(), 27: reserved(),
  28: vector('feature', '#HV', 'fault', false, 'benign'),
  /** Benign in KVM and in Bochs; the APM's table does not list it. */
  29: vector('feature', '#VC', 'fault', true, 'benign'),
  /** Contributory in the APM (Vol. 2, table 8-4) and in Bochs, benign in KVM. */
  30: vector('feature', '#SX', 'fault', true, 'contributory'),
  31: reserved(),
} as const satisfies Record<number, Vector>;
export type VectorNumber = keyof typeof vectors;
/** Vectors by number, without the literal types. Absent from 32 up. */
export const vectorRows: Readonly<Record<number, Vector | undefined>> = vectors;

// The two tables agree: a vector is of origin `feature` exactly when some feature introduces it, and every vector that a feature may
// introduce is in the table. A change of one without the other makes one of these types `never`, and `true` does not fit.
export type OfFeatures = (typeof features)[keyof typeof features][4][number];
export type OfVectors = { [N in VectorNumber]: (typeof vectors)[N]['origin'] extends 'feature' ? N : never }[VectorNumber];
export type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : never) : never;
export const everyFeatureVectorIsDecided: Same<OfFeatures, OfVectors> = true;
export const everyIntroducedVectorIsNamed: Same<IntroducedVector, OfVectors> = true;

/** Features that introduce a vector: any one of them is enough. */
export function featuresOfVector(number: number): string[] {
  return Object.entries(featureRows).filter(([, row]) => (row[4] as readonly number[]).includes(number)).map(([name]) => name);
}

/** What happens when `second` is raised while `first` is being delivered (SDM Vol. 3A, table 6-5). */
export function combineFaults(first: number, second: number): 'serial' | 'double-fault' | 'shutdown' {
  const a = vectorRows[first]?.doubleFault ?? 'benign', b = vectorRows[second]?.doubleFault ?? 'benign';
  if (b === 'benign' || a === 'benign') return 'serial';
  if (a === 'double-fault') return 'shutdown';
  if (a === 'page-fault') return 'double-fault';
  return b === 'contributory' || b === 'double-fault' ? 'double-fault' : 'serial';
}
