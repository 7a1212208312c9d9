// Restricted transactional memory. A processor may abort any transaction at any time (SDM Vol. 1, 16.3.8); here each one aborts as it begins, with
// no cause in EAX and no hint to try again, so nothing else ever runs in a transaction. Lock elision (XACQUIRE, XRELEASE) likewise never starts.
import type { Meaning } from './outcome.ts';
import { constant } from './expr.ts';

const GP = 13;
const no = constant(1, 0), yes = constant(1, 1);

/** XBEGIN goes on where its operand says: the code for transactions that failed. */
export const xbegin: Meaning = ([target]) => ({ registers: { rax: constant(32, 0) }, branch: { target } });
/** Outside a transaction. */
export const xend: Meaning = () => ({ fault: { when: yes, vector: GP } });
/** ZF: not in a transaction. */
export const xtest: Meaning = () => ({ flags: { cf: no, pf: no, af: no, zf: yes, sf: no, of: no } });
