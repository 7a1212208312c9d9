// SMI and RSM as pure functions: literal states, a literal memory, no engine. What the save area holds, that RSM gives it all back, and
// that every illegal state is caught by the row that names it.
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CR0, CR4, EFER } from '../../src/cpu/controls.ts';
import { flagFields, rflagsOf, setRflags, rflags, VM } from '../../src/cpu/flags.ts';
import { Activity, Attribute, bindCpu, Smm, VCPU_FILE, VCPU_FILE_SIZE } from '../../src/cpu/state.ts';
import { applyVcpu, borrowVcpu, captureVcpu, resetVcpu, type VcpuState } from '../../src/cpu/vcpu-state.ts';
import { createCapabilities } from '../../src/model/capabilities.ts';
import { controlChecks } from '../../src/transitions/controls.ts';
import type { Context, ReadonlyMemory, TransitionOutcome } from '../../src/transitions/outcome.ts';
import { stateChecks } from '../../src/transitions/svm/checks.ts';
import { enterSmm } from '../../src/transitions/smm/enter.ts';
import { resumeChecks, resumeFromSmm } from '../../src/transitions/smm/resume.ts';
import { amd64Layout, legacyLayout, SAVE_AREA, type Scalar } from '../../src/transitions/smm/save-area.ts';

const memory = (base: number, bytes: Uint8Array): ReadonlyMemory => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), has = (at: number, length: number) => at >= base && at + length <= base + bytes.length;
  return {
    read32: (at) => has(at, 4) ? view.getUint32(at - base, true) : undefined,
    read64: (at) => has(at, 8) ? view.getBigUint64(at - base, true) : undefined,
    readBytes: (at, length) => has(at, length) ? bytes.slice(at - base, at - base + length) : undefined,
  };
};
const nothing = memory(0, new Uint8Array(0));
const context = (options: { cpu?: string; behaviours?: Record<string, string>; memory?: ReadonlyMemory; outside?: ReadonlyMemory } = {}): Context => ({
  memory: options.memory ?? nothing, capability: createCapabilities(options.cpu ?? 'EPYC-Milan', options.behaviours ?? {}),
  ...(options.outside === undefined ? {} : { outside: options.outside }),
});

const code64 = { selector: 0x10, base: 0n, limit: 0xffffffff, attributes: 0xa9b }, data = { selector: 0x18, base: 0n, limit: 0xffffffff, attributes: 0xc93 };
/** A kernel in 64-bit mode. */
const long = (): VcpuState => resetVcpu().with({
  cr0: (CR0.PG | CR0.PE | CR0.WP | CR0.ET) >>> 0, cr3: 0x1234000n, cr4: BigInt(CR4.PAE | CR4.PGE), efer: BigInt(EFER.LME | EFER.LMA | EFER.SCE),
  rax: 0xa0n, rcx: 0xa1n, rdx: 0xa2n, rbx: 0xa3n, rsp: 0xa4n, rbp: 0xa5n, rsi: 0xa6n, rdi: 0xa7n, r8: 0xa8n, r15: 0xffff_8000_0000_0001n,
  rip: 0xffff_ffff_8000_1000n, ...flagFields(0x10246), cs: code64, ss: data, ds: { ...data, attributes: Attribute.unusable, selector: 0 },
  gs: { ...data, base: 0xffff_8888_0000_0000n }, gdtrBase: 0xffff_ffff_8100_0000n, gdtrLimit: 0x7f, idtrBase: 0xffff_ffff_8200_0000n, idtrLimit: 0xfff,
  ldtr: { selector: 0, base: 0n, limit: 0xffff, attributes: Attribute.unusable }, dr7: 0x402n, smbase: 0xa0000,
});

const areaOf = (outcome: TransitionOutcome): DataView => {
  const { bytes } = outcome.writes[0]!;
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
};
const word = (area: DataView, offset: number): bigint => area.getBigUint64(offset - SAVE_AREA, true);

/** Enters, lets `handler` change the area, resumes. */
function roundTrip(before: VcpuState, handler: (area: DataView) => void = () => undefined, options: Parameters<typeof context>[0] = {}) {
  const entered = enterSmm(before, {}, context(options)), area = areaOf(entered);
  handler(area);
  const [{ physical, bytes }] = entered.writes as [TransitionOutcome['writes'][number]];
  return { entered, resumed: resumeFromSmm(entered.after, {}, context({ ...options, memory: memory(physical, bytes) })) };
}
const failed = (outcome: TransitionOutcome): string[] => outcome.checks.filter(({ passed }) => !passed).map(({ id }) => id);
/** A state as bytes: what two equal ones agree on. */
function bytesOf(state: VcpuState): Uint8Array {
  const cpu = bindCpu(new ArrayBuffer(VCPU_FILE + VCPU_FILE_SIZE));
  applyVcpu(borrowVcpu(cpu), state);
  return cpu.u8.slice(VCPU_FILE);
}
const setScalar = (name: Scalar, value: bigint, layout = amd64Layout) => (area: DataView): void => {
  const [offset, size] = layout.scalars[name]!;
  if (size === 8) area.setBigUint64(offset - SAVE_AREA, value, true);
  else if (size === 4) area.setUint32(offset - SAVE_AREA, Number(value), true);
  else area.setUint8(offset - SAVE_AREA, Number(value));
};

test('flags of a value are the flags of the vCPU', () => {
  const cpu = bindCpu(new ArrayBuffer(VCPU_FILE + VCPU_FILE_SIZE));
  for (let flags = 0; flags < 0x1000; flags++) {
    setRflags(cpu, flags);
    const state = captureVcpu(cpu);
    expect(rflagsOf(state)).toBe(rflags(cpu));
    const { flagResult, flagCarries, rflagsSystem } = flagFields(flags);
    expect([flagResult, flagCarries, rflagsSystem]).toEqual([state.flagResult, state.flagCarries, state.rflagsSystem]);
  }
});

describe('SMI', () => {
  test('puts every register at its place of the AMD64 save area (APM Vol. 2, table 10-1)', () => {
    const outcome = enterSmm(long(), {}, context()), area = areaOf(outcome);
    expect(outcome.writes[0]).toMatchObject({ physical: 0xafe00, smram: true });
    expect(Object.fromEntries([0xfff8, 0xfff0, 0xffe8, 0xffe0, 0xffd8, 0xffd0, 0xffc8, 0xffc0, 0xffb8, 0xff80, 0xff78, 0xff70, 0xff60, 0xff58, 0xff50, 0xff48, 0xfed0]
      .map((at) => [at.toString(16), word(area, at)]))).toEqual({
      fff8: 0xa0n, fff0: 0xa1n, ffe8: 0xa2n, ffe0: 0xa3n, ffd8: 0xa4n, ffd0: 0xa5n, ffc8: 0xa6n, ffc0: 0xa7n, ffb8: 0xa8n, ff80: 0xffff_8000_0000_0001n,
      ff78: 0xffff_ffff_8000_1000n, ff70: 0x10246n, ff60: 0x402n, ff58: 0x80010011n, ff50: 0x1234000n, ff48: 0xa0n, fed0: 0x501n,
    });
    expect([area.getUint32(0xfefc - SAVE_AREA, true), area.getUint32(0xff00 - SAVE_AREA, true)]).toEqual([0x30064, 0xa0000]);
    // CS: selector, attributes with G, L at bits 15 and 13, limit; GS base; IDTR.
    expect([area.getUint16(0x10, true), area.getUint16(0x12, true), area.getUint32(0x14, true), word(area, 0xfe58)]).toEqual([0x10, 0xa09b, 0xffffffff, 0xffff_8888_0000_0000n]);
    expect([area.getUint16(0x32, true), area.getUint32(0x84, true), word(area, 0xfe88)]).toEqual([0, 0xfff, 0xffff_ffff_8200_0000n]);
  });

  test('starts the handler in flat real mode with NMIs blocked (APM Vol. 2, table 10-2)', () => {
    const { after } = enterSmm(long(), {}, context());
    expect([after.smm, after.nmiBlocked, after.rip, after.cr0, after.cr3, after.cr4, after.efer, after.dr7, rflagsOf(after), after.cpl])
      .toEqual([Smm.active, 1, 0x8000n, 0x10010, 0x1234000n, 0n, 0n, 0x400n, 2, 0]);
    expect(after.cs).toEqual({ selector: 0xa000, base: 0xa0000n, limit: 0xffffffff, attributes: 0x893 });
    expect(after.ss).toEqual({ selector: 0, base: 0n, limit: 0xffffffff, attributes: 0x893 });
    expect([after.gdtrBase, after.idtrLimit, after.tr]).toEqual([0xffff_ffff_8100_0000n, 0, long().tr]);
  });

  test('uses the old map where the processor has no long mode (SDM Vol. 3, table 34-1)', () => {
    const before = resetVcpu().with({ cr0: 0x11, rax: 0x11111111n, rdi: 0x77777777n, rip: 0x1000n, smbase: 0x30000 });
    const outcome = enterSmm(before, {}, context({ cpu: 'pentium3' })), area = areaOf(outcome);
    const dword = (at: number) => area.getUint32(at - SAVE_AREA, true);
    expect([dword(0xfffc), dword(0xffd0), dword(0xffec), dword(0xfff0), dword(0xfef8), dword(0xfefc), dword(0xff14)])
      .toEqual([0x11, 0x11111111, 0x77777777, 0x1000, 0x30000, 0x30000, 0]);
  });

  test('with an I/O instruction says which (APM Vol. 2, 10.2.4)', () => {
    const io = { port: 0xb2, size: 1, isInput: false, isString: false, isRepeated: false, rip: 0xffen, rcx: 1n, rsi: 2n, rdi: 3n } as const;
    const area = areaOf(enterSmm(long(), { io }, context()));
    expect([area.getUint32(0xc0, true), word(area, 0xfea0), word(area, 0xfea8), word(area, 0xfeb0), word(area, 0xfeb8)]).toEqual([0x00b20012, 0xffen, 1n, 2n, 3n]);
    const kvm = areaOf(enterSmm(long(), { io }, context({ behaviours: { 'smm.io-restart': 'absent' } })));
    expect([kvm.getUint32(0xc0, true), word(kvm, 0xfea0), kvm.getUint32(0xfc, true)]).toEqual([0, 0n, 0x20064]);
  });
});

describe('RSM', () => {
  const flags16 = { ...flagFields(0x3202) };
  const states: Record<string, VcpuState> = {
    'real mode': resetVcpu().with({ rip: 0x1234n, ...flags16 }),
    'protected mode': resetVcpu().with({ cr0: 0x31, cs: { selector: 8, base: 0n, limit: 0xffffffff, attributes: 0xcfb }, ss: { ...data, attributes: 0xcf3 }, cpl: 3 }),
    'virtual-8086 mode': resetVcpu().with({ cr0: 0x31, ...flagFields(VM | 0x202), cpl: 3 }),
    'long mode': long(),
    'long mode, NMIs blocked': long().with({ nmiBlocked: 1 }),
    'HLT': long().with({ activity: Activity.halted }),
    'a trap that waits': long().with({ pendingDebug: 0x4000n }),
  };
  test.each(Object.keys(states))('gives back %s', (name) => {
    const before = states[name]!, { resumed } = roundTrip(before);
    expect(failed(resumed)).toEqual([]);
    expect(bytesOf(resumed.after)).toEqual(bytesOf(before));
  });
  test.each(['real mode', 'protected mode', 'virtual-8086 mode'])('gives back %s through the old map', (name) => {
    const before = states[name]!.with({ cs: { ...states[name]!.cs, base: 0xffff0000n } }), { resumed } = roundTrip(before, undefined, { cpu: 'pentium3' });
    expect(failed(resumed)).toEqual([]);
    expect(bytesOf(resumed.after)).toEqual(bytesOf(before));
  });

  test('loads the page-directory pointers of PAE paging from memory outside SMRAM', () => {
    const before = resetVcpu().with({ cr0: 0x80000011, cr4: BigInt(CR4.PAE), cr3: 0x5020n, pdpte0: 0x1001n, pdpte1: 0x2001n });
    const tables = new Uint8Array(32), view = new DataView(tables.buffer);
    view.setBigUint64(0, 0x7001n, true);
    view.setBigUint64(24, 0x8001n, true);
    const { resumed } = roundTrip(before, undefined, { outside: memory(0x5020, tables) });
    expect([resumed.after.pdpte0, resumed.after.pdpte1, resumed.after.pdpte2, resumed.after.pdpte3]).toEqual([0x7001n, 0n, 0n, 0x8001n]);
    view.setBigUint64(8, 0x3n, true);
    expect(failed(roundTrip(before, undefined, { outside: memory(0x5020, tables) }).resumed)).toEqual(['rsm.page-directory-pointers']);
  });

  test('goes where the handler says: another SMBASE, registers, the I/O instruction or the HLT again', () => {
    const relocated = roundTrip(long(), setScalar('smbase', 0x7f0000n)).resumed.after;
    expect(relocated.smbase).toBe(0x7f0000);
    expect(roundTrip(long(), setScalar('r15', 5n)).resumed.after.r15).toBe(5n);
    const halted = long().with({ activity: Activity.halted });
    expect(roundTrip(halted, setScalar('autoHalt', 0n)).resumed.after.activity).toBe(Activity.running);
    expect(roundTrip(halted, undefined, { behaviours: { 'smm.auto-halt-restart': 'absent' } }).resumed.after.activity).toBe(Activity.running);
    const again = (area: DataView): void => {
      setScalar('ioRestart', 0xffn)(area);
      setScalar('ioRestartRip', 0x777n)(area);
      setScalar('ioRestartRcx', 9n)(area);
    };
    const { after } = roundTrip(long(), again).resumed;
    expect([after.rip, after.rcx]).toEqual([0x777n, 9n]);
    expect(roundTrip(long(), again, { behaviours: { 'smm.io-restart': 'absent' } }).resumed.after.rip).toBe(long().rip);
  });

  test('the shadow of STI is what the behaviour says', () => {
    const before = long().with({ interruptShadow: 1 });
    const shadow = (value: string) => roundTrip(before, undefined, { behaviours: { 'smm.interrupt-shadow': value } }).resumed.after.interruptShadow;
    expect([shadow('saved'), shadow('lost')]).toEqual([1, 0]);
  });

  test('NMIs that IRET let in again are as they were before the SMI', () => {
    const entered = enterSmm(long().with({ nmiBlocked: 1 }), {}, context());
    const { physical, bytes } = entered.writes[0]!;
    expect(resumeFromSmm(entered.after.with({ nmiBlocked: 0 }), {}, context({ memory: memory(physical, bytes) })).after.nmiBlocked).toBe(1);
  });

  const both = (...changes: ((area: DataView) => void)[]) => (area: DataView): void => changes.forEach((change) => change(area));
  const attributes = (value: number) => (area: DataView): void => area.setUint16(0x12, value, true);
  const illegal: readonly [row: string, handler: (area: DataView) => void, expected?: readonly string[]][] = [
    ['cr0.high-bits', setScalar('cr0', 0x1_8001_0011n)],
    ['cr0.not-write-through-without-cache-disable', setScalar('cr0', 0xa0010011n)],
    ['cr0.paging-without-protection', setScalar('cr0', 0x80010010n)],
    ['cr4.reserved', setScalar('cr4', 0x80000020n)],
    ['efer.reserved', setScalar('efer', 0x10501n)],
    ['long.paging-without-pae', setScalar('cr4', 0n)],
    ['cr4.pcide-outside-long-mode', both(setScalar('cr4', BigInt(CR4.PCIDE)), setScalar('efer', 0n))],
    ['cr4.cet-without-write-protect', both(setScalar('cr4', BigInt(CR4.CET | CR4.PAE)), setScalar('cr0', 0x80000011n)), ['cr4.reserved', 'cr4.cet-without-write-protect']],
    ['cr3.reserved', setScalar('cr3', 1n << 60n)],
    ['rsm.code-long-and-big', attributes(0xe09b)],
    ['rsm.virtual-8086-in-long-mode', setScalar('rflags', BigInt(VM | 2))],
    ['rsm.dr6-high-bits', setScalar('dr6', 0x1_ffff_0ff0n)],
    ['rsm.dr7-high-bits', setScalar('dr7', 0x1_0000_0400n)],
  ];
  test.each(illegal)('%s is a shutdown', (row, handler, expected = [row]) => {
    const { resumed } = roundTrip(long(), handler);
    expect(failed(resumed)).toEqual(expected);
    expect(resumed.stop).toBe('shutdown');
    expect(resumed.checks).toHaveLength(resumeChecks.length);
  });
  test('an SMBASE that is not a multiple of 32 KiB is one only on the first processors with SMM', () => {
    const handler = setScalar('smbase', 0x31000n);
    expect(failed(roundTrip(long(), handler).resumed)).toEqual([]);
    expect(failed(roundTrip(long(), handler, { behaviours: { 'smm.smbase-alignment': '32-kib' } }).resumed)).toEqual(['rsm.smbase-misaligned']);
  });
  test('every row of a control register and every row of RSM has its case here', () => {
    const covered = [...illegal.map(([row]) => row), 'rsm.smbase-misaligned', 'rsm.page-directory-pointers', 'rsm.guest-without-svme', 'rsm.guest-vmcb', 'rsm.host-save-area'];
    expect(resumeChecks.map(({ id }) => id).sort()).toEqual([...covered].sort());
    expect(resumeChecks.slice(0, controlChecks.length).map(({ id }) => id)).toEqual(controlChecks.map(({ id }) => id));
  });
  describe('with a nested guest', () => {
    const VMCB = 0x9000;
    /** A control area with something at the virtual interrupt, EVENTINJ, the nested CR3. */
    const vmcb = (): DataView => {
      const view = new DataView(new ArrayBuffer(0x1000));
      // The VMRUN intercept, ASID 1.
      view.setUint32(0x10, 1, true);
      view.setUint32(0x58, 1, true);
      view.setBigUint64(0x60, 0x1111n, true);
      view.setBigUint64(0xa8, 0x80000030n, true);
      view.setBigUint64(0xb0, 0x7000n, true);
      return view;
    };
    const guest = (): VcpuState => {
      const control = new Uint8Array(vmcb().buffer, 0, 0x400).slice(), host = new DataView(new ArrayBuffer(0x400));
      new DataView(control.buffer).setBigUint64(0x60, 0x01000101n, true);
      host.setBigUint64(0xd0, 0x1d01n, true);
      host.setBigUint64(0x148, 0x6f0n, true);
      host.setBigUint64(0x158, 0x80050033n, true);
      return long().with({
        guestMode: 1, vmcbAddress: BigInt(VMCB), nestedControl: control, hostSave: new Uint8Array(host.buffer), pat: 0x0606n, efer: long().efer | BigInt(EFER.SVME),
      });
    };
    const inMemory = (view = vmcb()): { outside: ReadonlyMemory } => ({ outside: memory(VMCB, new Uint8Array(view.buffer)) });

    test('the save area says so, with its VMCB, virtual interrupt, PAT, nested CR3 and the host', () => {
      const outcome = enterSmm(guest(), {}, context()), area = areaOf(outcome);
      expect([0xfed8, 0xfee0, 0xfee8, 0xff20, 0xff28, 0xff30, 0xff38, 0xff40].map((at) => word(area, at)))
        .toEqual([1n, 0x9000n, 0x01000101n, 0x0606n, 0x1d01n, 0x6f0n, 0x7000n, 0x80050033n]);
      expect([outcome.after.guestMode, outcome.after.smm, outcome.detail['fromGuest']]).toEqual([0, Smm.active | Smm.fromGuest, true]);
      expect([0xfed8, 0xfee0, 0xff28].map((at) => word(areaOf(enterSmm(long(), {}, context())), at))).toEqual([0n, 0n, 0n]);
    });
    test('RSM goes back to it under the controls of the VMCB in memory; nothing is injected again', () => {
      const changed = vmcb();
      changed.setUint32(0x0c, 0x40, true);
      const { resumed: { after, detail } } = roundTrip(guest(), undefined, inMemory(changed));
      const control = new DataView(after.nestedControl.buffer, after.nestedControl.byteOffset, 0x400);
      expect([after.guestMode, after.smm, after.vmcbAddress, after.rip, detail['toGuest']]).toEqual([1, 0, 0x9000n, long().rip, true]);
      expect([control.getUint32(0x0c, true), control.getBigUint64(0x60, true), control.getBigUint64(0xa8, true)]).toEqual([0x40, 0x01000101n, 0n]);
      expect(after.hostSave).toEqual(guest().hostSave);
    });
    test.each([
      ['rsm.guest-without-svme', setScalar('efer', 0x501n)], ['rsm.guest-vmcb', setScalar('svmVmcb', 0x9010n)], ['rsm.guest-vmcb', setScalar('svmVmcb', 0x5000_0000n)],
    ] as const)('%s is a shutdown of the host', (row, handler) => {
      const { resumed } = roundTrip(guest(), handler, inMemory());
      expect([failed(resumed), resumed.stop, resumed.after.guestMode, resumed.after.smm]).toEqual([[row], 'shutdown', 0, Smm.active | Smm.fromGuest]);
    });
    test('another illegal state is a shutdown of the guest', () => {
      const { resumed } = roundTrip(guest(), setScalar('cr0', 0x80010010n), inMemory());
      expect([failed(resumed), resumed.stop, resumed.after.guestMode, resumed.after.smm]).toEqual([['cr0.paging-without-protection'], 'shutdown', 1, 0]);
    });
    test('the checks that VMRUN makes of the control area are made again, or not', () => {
      const changed = vmcb();
      changed.setUint32(0x58, 0, true);
      const resume = (behaviours: Record<string, string>) => roundTrip(guest(), undefined, { ...inMemory(changed), behaviours }).resumed;
      expect([failed(resume({})), resume({}).stop, resume({}).after.guestMode]).toEqual([['vmrun.asid-zero'], 'shutdown', 0]);
      expect([resume({ 'smm.rsm-nested-checks': 'none' }).stop, resume({ 'smm.rsm-nested-checks': 'none' }).after.guestMode]).toEqual([undefined, 1]);
    });
    describe('in the way of KVM', () => {
      const kvm = { behaviours: { 'smm.rsm-to-l2': 'kvm' } }, HSAVE = 0xa000;
      /** The VMCB and the page behind it, which is the host save area, with what an outcome has written. */
      const written = (outcome: TransitionOutcome, view = vmcb()): { outside: ReadonlyMemory } => {
        const bytes = new Uint8Array(0x2000);
        bytes.set(new Uint8Array(view.buffer));
        for (const { physical, bytes: part, smram } of outcome.writes) if (smram !== true) bytes.set(part, physical - VMCB);
        return { outside: memory(VMCB, bytes) };
      };
      const before = (): VcpuState => guest().with({ vmHsavePa: BigInt(HSAVE), cr2: 0x77n });
      const enter = () => enterSmm(before(), {}, context({ ...kvm, memory: memory(VMCB, new Uint8Array(0x2000)) }));
      test('the SMI is a #VMEXIT: the VMCB says so, GIF is clear, and the host is at VM_HSAVE_PA', () => {
        const outcome = enter(), { outside } = written(outcome), area = outcome.writes.at(-1)!;
        expect([outside.read64(VMCB + 0x70), outside.read64(VMCB + 0x60), outside.read64(VMCB + 0x400 + 0x240)]).toEqual([0xf0000000n, 0x01000101n, 0x77n]);
        expect([outside.read64(HSAVE + 0x400 + 0xd0), outside.read64(HSAVE + 0x400 + 0x158)]).toEqual([0x1d01n, 0x80050033n]);
        expect([outcome.after.gif, outcome.after.guestMode, outcome.after.smm, outcome.after.rip]).toEqual([0, 0, Smm.active | Smm.fromGuest, 0x8000n]);
        const view = new DataView(area.bytes.buffer);
        expect([0xfed8, 0xfee0, 0xfee8, 0xff20, 0xff28, 0xff30, 0xff38, 0xff40].map((at) => word(view, at))).toEqual([1n, 0x9000n, 0n, 0n, 0n, 0n, 0n, 0n]);
      });
      test('RSM is a VMRUN: host, CR2 and virtual interrupt come from memory', () => {
        const outcome = enter(), { outside } = written(outcome), { physical, bytes } = outcome.writes.at(-1)!;
        const { after } = resumeFromSmm(outcome.after.with({ cr2: 1n }), {}, context({ ...kvm, outside, memory: memory(physical, bytes) }));
        const host = new DataView(after.hostSave.buffer, after.hostSave.byteOffset, 0x400), control = new DataView(after.nestedControl.buffer, after.nestedControl.byteOffset, 0x400);
        expect([after.guestMode, after.smm, after.gif, after.cr2, after.rip, after.rax]).toEqual([1, 0, 1, 0x77n, long().rip, long().rax]);
        expect([host.getBigUint64(0xd0, true), host.getBigUint64(0x158, true), control.getBigUint64(0x60, true)]).toEqual([0x1d01n, 0x80050033n, 0x01000101n]);
      });
      test('without memory at VM_HSAVE_PA RSM is a shutdown', () => {
        const outcome = enter(), { physical, bytes } = outcome.writes.at(-1)!;
        const resumed = resumeFromSmm(outcome.after, {}, context({ ...kvm, outside: memory(VMCB, new Uint8Array(0x1000)), memory: memory(physical, bytes) }));
        expect([failed(resumed), resumed.stop, resumed.after.guestMode]).toEqual([['rsm.host-save-area'], 'shutdown', 0]);
      });
    });
    test('for each check of VMRUN there is a row of RSM, which the README names', () => {
      const text = readFileSync(new URL('../../src/transitions/smm/README.md', import.meta.url), 'utf8');
      const covers = new Map([...text.matchAll(/^\| `(\S+)` \| `(\S+)` \|/gm)].map(([, check, row]) => [check!, row!]));
      expect([...covers.keys()]).toEqual(stateChecks.map(({ id }) => id));
      const rows = new Set(resumeChecks.map(({ id }) => id));
      expect([...covers.values()].filter((id) => !rows.has(id))).toEqual([]);
    });
  });

  test('a save area in a hole reads as ones', () => {
    const entered = enterSmm(long(), {}, context());
    expect(resumeFromSmm(entered.after, {}, context()).stop).toBe('shutdown');
  });
  test('the old map is read by the same rows', () => {
    const { resumed } = roundTrip(resetVcpu(), setScalar('cr0', 0x80000010n, legacyLayout), { cpu: 'pentium3' });
    expect(failed(resumed)).toEqual(['cr0.paging-without-protection']);
  });
});
