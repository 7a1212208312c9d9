// Every intercept is asked for somewhere, or says why not; a new one without that decision does not compile, nor a vector without its
// decision about EVENTINJ.
import { expect, test } from 'vitest';
import type { VectorNumber } from '../../src/model/vectors.ts';
import { interceptRows, interceptSources } from '../../src/system/intercepts.ts';
import { injectable } from '../../src/transitions/svm/checks.ts';
import { Control, Intercept1, Intercept2, Intercept3 } from '../../src/transitions/svm/vmcb.ts';

const { RDPRU: _, ...withoutOne } = interceptSources;
// @ts-expect-error an intercept without a decision
withoutOne satisfies Record<keyof typeof Intercept1 | keyof typeof Intercept2 | keyof typeof Intercept3, string>;
const { 21: __, ...withoutControlProtection } = injectable;
// @ts-expect-error an exception vector without a decision about EVENTINJ
withoutControlProtection satisfies Record<VectorNumber, string>;

/** Those that depend on more than a mnemonic. */
const ELSEWHERE = ['CR0_SEL_WRITE', 'MSR', 'PAUSE', 'MWAIT_CONDITIONAL'];

test('every intercept of an instruction has its row', () => {
  const words = [[Control.intercept1, Intercept1], [Control.intercept2, Intercept2], [Control.intercept3, Intercept3]] as const;
  const named = Object.values(interceptRows).map(({ word, bit }) => Object.entries(words.find(([at]) => at === word)![1]).find(([, value]) => value === bit)?.[0]);
  const wanted = Object.entries(interceptSources).filter(([, source]) => source === 'instruction').map(([name]) => name);
  expect([...new Set([...named, ...ELSEWHERE])].sort()).toEqual(wanted.sort());
});
