// INIT, the start-up message and shutdown as pure functions (APM Vol. 2, table 14-1 and 14.1.3).
import { expect, test } from 'vitest';
import { flagFields, rflagsOf } from '../../src/cpu/flags.ts';
import { Activity } from '../../src/cpu/state.ts';
import { resetVcpu } from '../../src/cpu/vcpu-state.ts';
import { initialise, startUp } from '../../src/transitions/init.ts';
import { shutDown } from '../../src/transitions/shutdown.ts';

const busy = resetVcpu().with({
  rax: 1n, rdx: 2n, rip: 0x1234n, ...flagFields(0x246), cr0: 0xe0000011, cr3: 0x1000n, cr4: 0x20n, efer: 0x500n, cr2: 5n, dr0: 6n, dr7: 0x401n, cpl: 3, nmiBlocked: 1, interruptShadow: 1,
  icount: 77n, star: 8n, lstar: 9n, pat: 10n, apicBase: 0xfee00d00n, tscOffset: 11n, smbase: 0xa0000, vmHsavePa: 0x5000n, mxcsr: 0x1fa0, xcr0: 7n,
  cs: { selector: 0x33, base: 1n, limit: 2, attributes: 0xafb }, guestMode: 1, nestedControl: new Uint8Array(0x400).fill(1), gdtrBase: 12n, activity: Activity.halted,
});

test('INIT resets the processor and keeps what the manual says', () => {
  const { after } = initialise(busy, { signature: 0xa00f11, isFirst: true }), fresh = resetVcpu();
  expect([after.rax, after.rdx, after.rip, rflagsOf(after), after.cr3, after.cr4, after.efer, after.cr2, after.dr0, after.dr7, after.cpl])
    .toEqual([0n, 0xa00f11n, 0xfff0n, 2, 0n, 0n, 0n, 0n, 0n, 0x400n, 0]);
  expect([after.cs, after.gdtrBase, after.nmiBlocked, after.interruptShadow, after.guestMode, after.nestedControl[0], after.activity])
    .toEqual([fresh.cs, 0n, 0, 0, 0, 0, Activity.running]);
  expect([after.icount, after.star, after.lstar, after.pat, after.apicBase, after.tscOffset, after.smbase, after.vmHsavePa, after.mxcsr, after.xcr0])
    .toEqual([77n, 8n, 9n, 10n, 0xfee00d00n, 11n, 0xa0000, 0x5000n, 0x1fa0, 7n]);
});

test('INIT keeps CD and NW, and sets ET alone beside them', () => {
  expect(initialise(busy, { signature: 0, isFirst: true }).after.cr0 >>> 0).toBe(0x60000010);
  expect(initialise(busy.with({ cr0: 0x80050033 }), { signature: 0, isFirst: true }).after.cr0).toBe(0x10);
});

test('all but the first processor wait for a start-up message, which says where they begin', () => {
  const waiting = initialise(busy, { signature: 0, isFirst: false }).after;
  expect(waiting.activity).toBe(Activity.waitForSipi);
  const { after } = startUp(waiting, { vector: 0x9a });
  expect([after.activity, after.cs.selector, after.cs.base, after.cs.limit, after.rip]).toEqual([Activity.running, 0x9a00, 0x9a000n, 0xffff, 0n]);
});

test('shutdown changes nothing but what the processor does', () => {
  const { after, stop, detail } = shutDown(busy, { cause: 'triple fault' });
  expect([after.activity, after.rip, after.cs, stop, detail]).toEqual([Activity.shutdown, busy.rip, busy.cs, 'shutdown', { rip: busy.rip, cause: 'triple fault' }]);
});
