// The table of vectors, the double-fault rule, and the proof that a vector or a feature cannot be added without deciding their relation.
import { describe, expect, it } from 'vitest';
import type { Row } from '../../src/model/features.ts';
import { combineFaults, featuresOfVector, vectorRows, type OfFeatures, type OfVectors, type Same } from '../../src/model/vectors.ts';

describe('exception vectors', () => {
  it('push an error code where the manuals say so', () => {
    const numbers = Array.from({ length: 32 }, (_, number) => number);
    expect(numbers.filter((number) => vectorRows[number]!.errorCode)).toEqual([8, 10, 11, 12, 13, 14, 17, 21, 29, 30]);
    expect(numbers.filter((number) => vectorRows[number]!.origin === 'reserved')).toEqual([9, 15, 22, 23, 24, 25, 26, 27, 31]);
    expect(featuresOfVector(21)).toEqual(['cet-ss', 'cet-ibt']);
  });
  it('combine by class (SDM Vol. 3A, table 6-5)', () => {
    const [de, db, pf, gp, df, external] = [0, 1, 14, 13, 8, 80];
    expect(combineFaults(de, gp)).toBe('double-fault');
    expect(combineFaults(gp, pf)).toBe('serial');
    expect(combineFaults(pf, gp)).toBe('double-fault');
    expect(combineFaults(pf, pf)).toBe('double-fault');
    expect(combineFaults(db, gp)).toBe('serial');
    expect(combineFaults(gp, db)).toBe('serial');
    expect(combineFaults(external, pf)).toBe('serial');
    expect(combineFaults(df, gp)).toBe('shutdown');
    expect(combineFaults(df, pf)).toBe('shutdown');
    expect(combineFaults(df, db)).toBe('serial');
  });
});

// Type tests: each line must not compile; the type checker complains when one does.
// @ts-expect-error a feature without a decision on its vectors
export const withoutVectors: Row = [0x7, 0, 'ecx', 3, 'full', 'something'];
// @ts-expect-error a feature without a decision on its support
export const withoutSupport: Row = [0x7, 0, 'ecx', 3, [], 'something'];
// @ts-expect-error a feature that introduces a vector which the table of vectors calls reserved
export const reservedVector: Row = [0x7, 0, 'ecx', 3, [22], 'full', 'something'];
// @ts-expect-error a vector said to come from a feature, which no feature introduces
export const orphanVector: Same<OfFeatures, OfVectors | 22> = true;
// @ts-expect-error a feature that introduces a vector which is not said to come from one
export const orphanFeature: Same<OfFeatures | 22, OfVectors> = true;
