// VMRUN and #VMEXIT as pure functions: literal states, a literal memory, no engine. Every row of the consistency checks has its case, and the
// whole space of EVENTINJ is held against the rule.
import { describe, expect, test } from 'vitest';
import { CR0, CR4, EFER } from '../../src/cpu/controls.ts';
import { flagFields, rflagsOf } from '../../src/cpu/flags.ts';
import { resetVcpu, type VcpuState } from '../../src/cpu/vcpu-state.ts';
import { createCapabilities, type Capabilities } from '../../src/model/capabilities.ts';
import type { Context, ReadonlyMemory, TransitionOutcome } from '../../src/transitions/outcome.ts';
import { checkEntry, entryOf, vmrunChecks } from '../../src/transitions/svm/checks.ts';
import { enterGuest } from '../../src/transitions/svm/enter.ts';
import { leaveGuest } from '../../src/transitions/svm/exit.ts';
import { Control, SAVE, Save, VMCB_SIZE } from '../../src/transitions/svm/vmcb.ts';

const VMCB = 0x5000, NEXT = 0x1003n;
/** Only `present` of the given features are there, whatever the models have. */
function door(present: readonly string[] = ['svm', 'lm', 'npt', 'nx', 'pae', 'vnmi', 'flushbyasid'], behaviours: Record<string, string> = {}, bits = 48): Capabilities {
  const base = createCapabilities('EPYC-Milan', behaviours);
  return { ...base, behaviour: base.behaviour, number: (name) => name === 'physical-address-bits' ? bits : base.number(name), has: (feature) => present.includes(feature), vendor: 'AuthenticAMD' };
}
const memoryOf = (vmcb: Uint8Array, map = 0x8000): ReadonlyMemory => ({
  read32: (at) => at >= map && at < map + 0x2000 ? 0 : undefined,
  read64: () => 0n,
  readBytes: (at, length) => at === VMCB ? vmcb.slice(0, length) : undefined,
});
const context = (vmcb: Uint8Array, capability = door()): Context => ({ memory: memoryOf(vmcb), capability });

const host = (): VcpuState => resetVcpu().with({
  cr0: (CR0.PG | CR0.PE | CR0.WP | CR0.ET) >>> 0, cr3: 0x1000n, cr4: BigInt(CR4.PAE), efer: BigInt(EFER.LME | EFER.LMA | EFER.SVME),
  rip: 0x1000n, rsp: 0x7000n, rax: BigInt(VMCB), ...flagFields(0x246), cs: { selector: 8, base: 0n, limit: 0xffffffff, attributes: 0xa9b }, gif: 1, dr7: 0x401n,
});
/** A 64-bit guest that VMRUN takes. */
function goodVmcb(change: (view: DataView) => void = () => undefined): Uint8Array {
  const bytes = new Uint8Array(VMCB_SIZE), view = new DataView(bytes.buffer);
  view.setUint32(Control.intercept2, 1, true);
  view.setUint32(Control.asid, 1, true);
  view.setBigUint64(Control.msrpm, 0x8000n, true);
  const save = (at: number, value: bigint): void => view.setBigUint64(SAVE + at, value, true);
  save(Save.cs, 0xffffffff_0a9b_0008n);
  save(Save.efer, BigInt(EFER.SVME | EFER.LME | EFER.LMA));
  save(Save.cr0, 0x80000011n);
  save(Save.cr3, 0x2000n);
  save(Save.cr4, BigInt(CR4.PAE));
  save(Save.dr6, 0xffff0ff0n);
  save(Save.dr7, 0x400n);
  save(Save.rflags, 0x202n);
  save(Save.rip, 0x4000n);
  save(Save.rsp, 0x6000n);
  save(Save.rax, 0x1234n);
  change(view);
  return bytes;
}
const enter = (vmcb: Uint8Array, capability = door(), before = host()): TransitionOutcome => enterGuest(before, { address: VMCB, nextRip: NEXT }, context(vmcb, capability));
const failed = (outcome: TransitionOutcome): string[] => outcome.checks.filter(({ passed }) => !passed).map(({ id }) => id);
const exitCodeOf = (outcome: TransitionOutcome): bigint => {
  const { bytes } = outcome.writes[0]!;
  return new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true);
};
const word64 = (at: number, value: bigint) => (view: DataView): void => view.setBigUint64(at, value, true);
const word32 = (at: number, value: number) => (view: DataView): void => view.setUint32(at, value, true);

describe('VMRUN', () => {
  test('loads the guest, keeps the host, sets GIF', () => {
    const { after, checks } = enter(goodVmcb(), door(), host().with({ gif: 0 }));
    expect(checks.every(({ passed }) => passed)).toBe(true);
    expect([after.rip, after.rsp, after.rax, after.cr3, after.guestMode, after.gif, after.vmcbAddress, rflagsOf(after), after.cs.selector, after.dr7, after.cpl])
      .toEqual([0x4000n, 0x6000n, 0x1234n, 0x2000n, 1, 1, BigInt(VMCB), 0x202, 8, 0x400n, 0]);
  });
  test('and #VMEXIT brings the host back and the guest to the VMCB', () => {
    const before = host(), inside = enter(goodVmcb()).after.with({ rip: 0x4002n, rax: 0x77n, ...flagFields(0x47) });
    const out = leaveGuest(inside, { code: 0x81, info1: 1n, info2: 2n, nextRip: 0x4005n }, context(goodVmcb()));
    expect([out.after.rip, out.after.rsp, out.after.rax, out.after.cr3, out.after.gif, out.after.guestMode, out.after.dr7, rflagsOf(out.after), out.after.cs])
      .toEqual([NEXT, 0x7000n, BigInt(VMCB), 0x1000n, 0, 0, 0x400n, rflagsOf(before), before.cs]);
    const view = new DataView(out.writes[0]!.bytes.buffer);
    const at = (place: number): bigint => view.getBigUint64(place, true);
    expect([at(Control.exitCode), at(Control.exitInfo1), at(Control.exitInfo2), at(Control.nextRip), at(SAVE + Save.rip), at(SAVE + Save.rax), at(SAVE + Save.rflags)])
      .toEqual([0x81n, 1n, 2n, 0x4005n, 0x4002n, 0x77n, 0x47n]);
  });
  test('shadow stacks move where the processor has them', () => {
    const before = host().with({ sCet: 1n, ssp: 0x9000n, interruptSspTable: 0xa000n }), features = ['svm', 'lm', 'nx', 'pae'];
    const vmcb = goodVmcb((view) => [Save.sCet, Save.ssp, Save.interruptSspTable].forEach((at, index) => view.setBigUint64(SAVE + at, BigInt(16 * index + 1), true)));
    for (const [present, inside, outside] of [[[...features, 'cet-ss'], [1n, 17n, 33n], [1n, 0x9000n, 0xa000n]], [features, [1n, 0x9000n, 0xa000n], [2n, 0x8000n, 0xa000n]]] as const) {
      const { after } = enter(vmcb, door(present), before);
      expect([after.sCet, after.ssp, after.interruptSspTable]).toEqual(inside);
      const out = leaveGuest(after.with({ sCet: 2n, ssp: 0x8000n }), { code: 0x81, info1: 0n, info2: 0n, nextRip: 0n }, context(vmcb, door(present)));
      expect([out.after.sCet, out.after.ssp, out.after.interruptSspTable]).toEqual(outside);
      expect(new DataView(out.writes[0]!.bytes.buffer).getBigUint64(SAVE + Save.ssp, true)).toBe(present.length > features.length ? 0x8000n : 17n);
    }
  });
  test('without memory behind the VMCB raises #GP, or user space hears of it', () => {
    const nowhere = { memory: memoryOf(goodVmcb()), capability: door() };
    expect(enterGuest(host(), { address: 0x9000, nextRip: NEXT }, nowhere)).toMatchObject({ fault: { vector: 13 } });
    expect(enterGuest(host(), { address: 0x9000, nextRip: NEXT }, { ...nowhere, capability: door(undefined, { 'nsvm.vmcb-gpa-error': 'emulation-failure' }) }))
      .toMatchObject({ stop: 'internal-error' });
  });
});

const save = (at: number, value: bigint) => word64(SAVE + at, value);
const long = BigInt(EFER.SVME | EFER.LME);
/** A row, and a VMCB that only this row (or these) refuses. */
const illegal: readonly (readonly [string, (view: DataView) => void, { features?: string[]; behaviours?: Record<string, string>; before?: VcpuState }?])[] = [
  ['vmrun.intercept-clear', word32(Control.intercept2, 2)],
  ['vmrun.asid-zero', word32(Control.asid, 0)],
  ['vmrun.iopm-address', word64(Control.iopm, (1n << 48n) - 0x2000n)],
  ['vmrun.msrpm-address', word64(Control.msrpm, (1n << 48n) - 0x1000n)],
  ['vmrun.nested-paging-without-host-paging', word32(Control.nestedControl, 1), { before: host().with({ cr0: 0x11 }) }],
  ['vmrun.nested-paging-absent', word32(Control.nestedControl, 1), { features: ['svm', 'lm', 'pae'], behaviours: { 'nsvm.np-enable-check': 'checked' } }],
  ['vmrun.nested-cr3', (view) => { word32(Control.nestedControl, 1)(view); word64(Control.nestedCr3, 1n << 48n)(view); }],
  ['vmrun.tlb-control', word32(Control.tlbControl, 2)],
  ['vmrun.event.type', word32(Control.eventInjection, 0x80000100)],
  ['vmrun.event.vector', word32(Control.eventInjection, 0x80000302)],
  ['vmrun.virtual-nmi-without-intercept', word32(Control.interrupt, 0x4000000)],
  ['vmrun.efer.svme-clear', save(Save.efer, BigInt(EFER.LME))],
  ['cr0.not-write-through-without-cache-disable', save(Save.cr0, 0xa0000011n)],
  ['cr0.high-bits', save(Save.cr0, 0x180000011n)],
  ['vmrun.cr3.reserved', save(Save.cr3, 1n << 48n)],
  ['cr4.reserved', save(Save.cr4, BigInt(CR4.PAE | CR4.PKE))],
  ['cr4.cet-without-write-protect', save(Save.cr4, BigInt(CR4.PAE | CR4.CET)), { features: ['svm', 'lm', 'pae', 'cet-ss'] }],
  ['vmrun.dr6.high-bits', save(Save.dr6, 1n << 32n)],
  ['vmrun.dr7.high-bits', save(Save.dr7, 1n << 63n)],
  ['efer.reserved', save(Save.efer, long | 1n << 40n)],
  ['vmrun.efer.long-mode-absent', save(Save.cr0, 0x11n), { features: ['svm', 'pae'] }],
  ['long.paging-without-pae', save(Save.cr4, 0n)],
  ['vmrun.long.paging-without-protection', save(Save.cr0, 0x80000010n)],
  ['vmrun.long.code-long-and-big', save(Save.cs, 0xffffffff_0e9b_0008n)],
];

describe('consistency checks', () => {
  for (const [row, change, { features, behaviours, before } = {}] of illegal) test(`${row} is a row of its own`, () => {
    const outcome = enter(goodVmcb(change), door(features, behaviours), before);
    expect(failed(outcome)).toEqual(row === 'vmrun.efer.long-mode-absent' ? ['efer.reserved', row] : [row]);
    expect(exitCodeOf(outcome)).toBe(0xffffffffffffffffn);
    expect([outcome.after.guestMode, outcome.after.gif, outcome.after.rip, outcome.after.cr3]).toEqual([0, 0, NEXT, 0x1000n]);
  });
  test('every row has its case', () => {
    expect(illegal.map(([row]) => row).sort()).toEqual(vmrunChecks.map(({ id }) => id).sort());
  });
  test('GIF stays where KVM before 7.1 kept it', () => {
    expect(enter(goodVmcb(word32(Control.asid, 0)), door(undefined, { 'nsvm.vmrun-failure-gif': 'kept' })).after.gif).toBe(1);
  });
  test('an MSR permissions map in a hole and bad PAE pointers fail late, with a full exit', () => {
    const map = enter(goodVmcb((view) => { word32(Control.intercept1, 1 << 28)(view); word64(Control.msrpm, 0x100000n)(view); }));
    expect([failed(map), map.after.gif, map.after.guestMode]).toEqual([['vmrun.msrpm-unreadable'], 0, 0]);
    const pae = goodVmcb((view) => { save(Save.efer, BigInt(EFER.SVME))(view); });
    const outcome = enterGuest(host(), { address: VMCB, nextRip: NEXT }, { capability: door(), memory: { ...memoryOf(pae), read64: () => 0x3n } });
    expect(failed(outcome)).toEqual(['vmrun.page-directory-pointers']);
  });
  test('what was answered before is answered again only for the same question', () => {
    const capability = door(), words = (vmcb: Uint8Array) => new Uint32Array(vmcb.buffer);
    const first = checkEntry(words(goodVmcb()), true, capability);
    expect(checkEntry(words(goodVmcb()), true, capability)).toBe(first);
    expect(checkEntry(words(goodVmcb(word32(Control.asid, 0))), true, capability)).not.toBe(first);
    expect(checkEntry(words(goodVmcb()), true, capability).every(({ passed }) => passed)).toBe(true);
  });
});

describe('EVENTINJ, 2 x 8 x 256', () => {
  const base = [0, 1, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19, 28, 30];
  const rows = vmrunChecks.filter(({ id }) => id.startsWith('vmrun.event.'));
  const accepts = (event: number, capability: Capabilities, change?: (view: DataView) => void): boolean => {
    const entry = entryOf(new Uint32Array(goodVmcb((view) => { word32(Control.eventInjection, event)(view); change?.(view); }).buffer), true);
    return rows.every((row) => row.holds(entry, capability));
  };
  const features = ['svm', 'lm', 'pae', 'cet-ibt'];
  const models: readonly (readonly [string, string[], readonly number[]])[] = [
    ['neither', features, []], ['SHSTK', [...features, 'cet-ss'], [21]], ['SEV-ES', [...features, 'sev-es'], [29]], ['both', [...features, 'cet-ss', 'sev-es'], [21, 29]],
  ];
  const matrix = (capability: Capabilities, exceptions: ReadonlySet<number>, types: readonly number[]): void => {
    for (let valid = 0; valid < 2; valid++) for (let type = 0; type < 8; type++) for (let vector = 0; vector < 256; vector++) {
      const legal = valid === 0 || (types.includes(type) && (type !== 3 || exceptions.has(vector)));
      if (accepts((valid << 31 | type << 8 | vector) >>> 0, capability) !== legal) expect({ valid, type, vector, legal }).toBe('answered otherwise');
    }
  };
  const types = [0, 2, 3, 4], all = Array.from({ length: 256 }, (_, vector) => vector);
  const only = (behaviour: string) => ({ 'nsvm.eventinj-vectors': behaviour });

  test.each(models)('by the manual: %s of SHSTK and SEV-ES', (_, present, added) => {
    matrix(door(present), new Set([...base, ...added].filter((vector) => vector !== 4 && vector !== 5)), types);
  });
  test('#OF and #BR can be injected outside 64-bit mode', () => {
    for (const vector of [4, 5]) expect(accepts((0x80000300 | vector) >>> 0, door(features), save(Save.cs, 0xffffffff_0c9b_0008n))).toBe(true);
  });
  test.each(models)('by capability, as KVM 7.1: %s', (_, present, added) => {
    matrix(door(present, only('by-capability')), new Set([...base, ...added]), types);
  });
  test('a fixed list does not ask the vCPU', () => matrix(door(features, only('fixed-list')), new Set([...base, 21, 29]), types));
  test('the mask as it was posted takes NMI for an exception and refuses #DB', () => {
    const refused = [1, 9, 15, 20, 22, 23, 24, 25, 26, 27, 31];
    matrix(door(features, only('fixed-list-as-posted')), new Set(all.filter((vector) => vector < 32 && !refused.includes(vector))), types);
  });
  test('KVM before 7.1 looks at nothing', () => matrix(door(features, only('unchecked')), new Set(all), [0, 1, 2, 3, 4, 5, 6, 7]));
});
