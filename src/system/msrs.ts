// Model-specific registers: a row per MSR with the feature that brings it, how it reads and how it writes. RDMSR and WRMSR, and the
// MSR ioctls of the KVM surface, come through `readMsr` and `writeMsr`. An MSR that the model does not have is #GP(0).
import { EFER } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { MC_BANKS, Msr, PERF_COUNTERS, placeOfMsr, VARIABLE_MTRRS } from '../cpu/msrs.ts';
import type { MsrSlot } from '../cpu/msrs.ts';
import { FS, GS } from '../cpu/segments.ts';
import type { Cpu, FieldName } from '../cpu/state.ts';
import { msrFeatures } from '../model/features.ts';
import { pairOf, setPair, writeEfer } from './control.ts';
import { GuestFault } from './machine.ts';
import type { Machine } from './machine.ts';
import { canonicalBase, generalProtection, isCanonicalBase, readRegister, retire } from './operand.ts';
import { requirePrivilege0 } from './segment-load.ts';

export interface MsrRow {
  readonly index: number;
  /** As the manuals call it. */
  readonly name: string;
  /** One of these features must be there; empty: every model has it. */
  readonly features: readonly string[];
  /** Processors of one maker only. */
  readonly vendor?: 'AMD' | 'Intel';
  /** Absent: reading raises #GP(0). */
  readonly read?: (machine: Machine) => bigint;
  /** Absent: writing raises #GP(0). Checks throw before anything changes. */
  readonly write?: (machine: Machine, value: bigint) => void;
  /** The run loop must look before the next instruction. */
  readonly attention?: true;
}

// ── Ways to read and write ──

type Fields64 = { [K in FieldName]: Cpu[K] extends bigint ? K : never }[FieldName];
type Check = (machine: Machine, value: bigint) => void;
type Access = Pick<MsrRow, 'read' | 'write'>;

const refuse = (): never => {
  throw generalProtection();
};
/** #GP(0) for bits outside. */
const only = (mask: bigint): Check => (_, value) => {
  if ((value & ~mask) !== 0n) refuse();
};
const physical = (machine: Machine, low: bigint): bigint => (1n << BigInt(machine.capability.number('physical-address-bits'))) - 1n & ~low;
const canonical: Check = (machine, value) => {
  if (!isCanonicalBase(machine, value)) refuse();
};
const anything: Check = () => undefined;
const both = (...checks: Check[]): Check => (machine, value) => checks.forEach((check) => check(machine, value));

const field = (name: Fields64, check: Check = anything): Access => ({
  read: ({ cpu }) => cpu[name],
  write: (machine, value) => {
    check(machine, value);
    machine.cpu[name] = value;
  },
});
const slot = (name: MsrSlot, index = 0, check: Check = anything): Access => ({
  read: ({ cpu }) => cpu.u64[placeOfMsr(name, index)]!,
  write: (machine, value) => {
    check(machine, value);
    machine.cpu.u64[placeOfMsr(name, index)] = value;
  },
});
const reads = (value: bigint): Access => ({ read: () => value });
const readsIgnoresWrites = (value: bigint): Access => ({ read: () => value, write: () => undefined });

/** Memory types that exist: UC, WC, WT, WP, WB, and UC- in the PAT (APM Vol. 2, 7.7, 7.8). */
const isMtrrType = (type: number): boolean => type < 7 && type !== 2 && type !== 3;
const eachByte = (holds: (byte: number) => boolean): Check => (_, value) => {
  for (let shift = 0n; shift < 64n; shift += 8n) if (!holds(Number(value >> shift & 0xffn))) refuse();
};
const lowByteIsType: Check = (_, value) => {
  if (!isMtrrType(Number(value & 0xffn))) refuse();
};
const physicalBits = (low: bigint): Check => (machine, value) => {
  if ((value & ~physical(machine, low)) !== 0n) refuse();
};

// ── Those with rules of their own ──

const isAmd = (machine: Machine): boolean => machine.capability.vendor === 'AuthenticAMD' || machine.capability.vendor === 'HygonGenuine';

/** A nested guest that is allowed to writes the processor's TSC: its offset only counts when it reads. */
function writeTsc({ cpu }: Machine, delta: bigint): void {
  cpu.tscOffset = BigInt.asUintN(64, cpu.tscOffset + delta);
  cpu.tscAdjust = BigInt.asUintN(64, cpu.tscAdjust + delta);
}

const APIC_ENABLE = 0x800n, APIC_EXTENDED = 0x400n;
/** The state machine of xAPIC and x2APIC (APM Vol. 2, 16.9; SDM Vol. 3, 10.12.5). */
function writeApicBase(machine: Machine, value: bigint): void {
  const { cpu, capability } = machine;
  const allowed = physical(machine, 0xfffn) | APIC_ENABLE | 0x100n | (capability.has('x2apic') ? APIC_EXTENDED : 0n);
  const mode = (base: bigint): number => Number(base >> 10n & 3n);
  const before = mode(cpu.apicBase), after = mode(value);
  if ((value & ~allowed) !== 0n || after === 1 || (before === 3 && after === 2) || (before === 0 && after === 3)) refuse();
  cpu.apicBase = value;
}

/** On Intel non-canonical values are #GP(0); AMD keeps the bits that an address has. */
const sysenterAddress = (name: 'sysenterEsp' | 'sysenterEip'): Access => ({
  read: ({ cpu }) => cpu[name],
  write: (machine, value) => {
    if (!isAmd(machine)) canonical(machine, value);
    machine.cpu[name] = isAmd(machine) ? canonicalBase(machine, value) : value;
  },
});

/** SVME off and SVMDIS, LOCK: APM Vol. 2, 15.30.1. DIS_A20M there changes which memory addresses reach. */
const VM_CR_LOCK = 8n, VM_CR_SVMDIS = 0x10n;
function writeVmCr(machine: Machine, value: bigint): void {
  const { cpu } = machine;
  if ((value & ~0x1fn) !== 0n) refuse();
  const kept = (cpu.vmCr & VM_CR_LOCK) !== 0n ? VM_CR_LOCK | VM_CR_SVMDIS : 0n;
  const next = value & ~kept | cpu.vmCr & kept;
  if ((next & VM_CR_SVMDIS) !== 0n && (cpu.efer & BigInt(EFER.SVME)) !== 0n) refuse();
  cpu.vmCr = next;
  machine.flushTlb(true);
}

/** "When VM_CR.LOCK is 0, writes set the key; when it is 1, a write of the key clears it, unless the key is 0. It always reads as 0" (APM Vol. 2,
 * 15.31.3). */
function writeSvmKey({ cpu }: Machine, value: bigint): void {
  const key = placeOfMsr('svmKey');
  if ((cpu.vmCr & VM_CR_LOCK) === 0n) cpu.u64[key] = value;
  else if (value !== 0n && value === cpu.u64[key]) cpu.vmCr &= ~VM_CR_LOCK;
}

/** IBRS, STIBP, SSBD, IPRED_DIS, RRSBA_DIS, PSFD, DDPD_U, BHI_DIS_S, each with the features that bring it. There is no speculation to control. */
const speculationBits: readonly (readonly [bigint, readonly string[]])[] = [
  [1n, ['spec-ctrl', 'ibrs']], [2n, ['stibp', 'amd-stibp', 'spec-ctrl']], [4n, ['ssbd', 'amd-ssbd']], [0x80n, ['intel-psfd', 'amd-psfd']],
  [0x18n, ['ipred-ctrl']], [0x60n, ['rrsba-ctrl']], [0x100n, ['ddpd-u']], [0x400n, ['bhi-ctrl']],
];
function checkSpeculation({ capability }: Machine, value: bigint): void {
  const allowed = speculationBits.reduce((mask, [bit, features]) => features.some((feature) => capability.has(feature)) ? mask | bit : mask, 0n);
  if ((value & ~allowed) !== 0n) refuse();
}

/** Bits of MSR-based features that the model has (`rdctl-no`, …). */
const featureMsr = (index: number): Access => ({
  read: ({ capability }) => Object.entries(msrFeatures)
    .reduce((value, [name, row]) => row[0] === index && capability.has(name) ? value | 1n << BigInt(row[1]) : value, 0n),
});

const machineCheckControl: Check = (_, value) => {
  if (value !== 0n && value !== 0xffffffffffffffffn) refuse();
};
const HWCR_STATUS_WRITE_ENABLE = 1n << 18n;
/** MCi_STATUS can be cleared; HWCR.McStatusWrEn opens it on AMD processors. */
const machineCheckStatus: Check = (machine, value) => {
  if (value !== 0n && !(isAmd(machine) && (machine.cpu.u64[placeOfMsr('hwcr')]! & HWCR_STATUS_WRITE_ENABLE) !== 0n)) refuse();
};

const canonicalDword = both(canonical, only(~3n));
/** Of U_CET and S_CET: SH_STK_EN and WR_SHSTK_EN; with branch tracking ENDBR_EN, LEG_IW_EN, NO_TRACK_EN, SUPPRESS_DIS, SUPPRESS, TRACKER and the
 * address of the legacy bitmap (SDM Vol. 1, 17.1.3; APM Vol. 2, 18.4). */
const CET_SHADOW_STACK = 3n, CET_BRANCH_TRACKING = ~0x3c3n, CET_TRACKER = 0xc00n;
const cetControl: Check = (machine, value) => {
  const { capability } = machine;
  only((capability.has('cet-ss') ? CET_SHADOW_STACK : 0n) | (capability.has('cet-ibt') ? CET_BRANCH_TRACKING : 0n))(machine, value);
  if ((value & CET_TRACKER) === CET_TRACKER) refuse();
  canonical(machine, value & ~0xfffn);
};
/** What MSR writes and XRSTORS ask of the values of CET. */
export const checkCet = { control: cetControl, pointer: canonicalDword } as const;

const xssSupported = ({ capability }: Machine): bigint => {
  const [, , low, high] = capability.cpuid(0xd, 1);
  return BigInt(high >>> 0) << 32n | BigInt(low >>> 0);
};

// ── The table ──

const row = (index: number, name: string, features: readonly string[], access: Access, more: Partial<MsrRow> = {}): MsrRow => ({ index, name, features, ...access, ...more });
const AMD = { vendor: 'AMD' } as const, INTEL = { vendor: 'Intel' } as const;
const range = <T>(count: number, make: (index: number) => T): T[] => Array.from({ length: count }, (_, index) => make(index));
const segmentBase = (segment: number): Access => ({
  read: ({ cpu }) => cpu.segment[segment]!.base,
  write: (machine, value) => {
    canonical(machine, value);
    machine.cpu.segment[segment]!.base = value;
  },
});
const shadowStack = ['cet-ss', 'cet-ibt'];
const speculation = ['spec-ctrl', 'ibrs', 'stibp', 'amd-stibp', 'ssbd', 'amd-ssbd'];

export const msrRows: readonly MsrRow[] = [
  row(Msr.TSC, 'TSC', ['tsc'], { read: (machine) => machine.tsc(), write: (machine, value) => writeTsc(machine, value - (machine.hostTsc ?? machine.tsc)()) }, { attention: true }),
  row(Msr.TSC_ADJUST, 'TSC_ADJUST', ['tsc-adjust'], { read: ({ cpu }) => cpu.tscAdjust, write: (machine, value) => writeTsc(machine, value - machine.cpu.tscAdjust) }, { attention: true }),
  row(Msr.TSC_DEADLINE, 'TSC_DEADLINE', ['tsc-deadline'], {
    read: (machine) => machine.apicRead?.(Msr.TSC_DEADLINE) ?? 0n,
    write: (machine, value) => machine.apicWrite?.(Msr.TSC_DEADLINE, value),
  }, { attention: true }),
  row(Msr.APIC_BASE, 'APIC_BASE', ['apic'], { read: ({ cpu }) => cpu.apicBase, write: writeApicBase }, { attention: true }),
  row(Msr.EFER, 'EFER', [], { read: ({ cpu }) => cpu.efer, write: writeEfer }),

  row(Msr.STAR, 'STAR', ['syscall', 'lm'], field('star')),
  row(Msr.LSTAR, 'LSTAR', ['lm'], field('lstar', canonical)),
  row(Msr.CSTAR, 'CSTAR', ['lm'], field('cstar', canonical)),
  row(Msr.SFMASK, 'SFMASK', ['lm'], { read: ({ cpu }) => cpu.sfmask, write: ({ cpu }, value) => { cpu.sfmask = value & 0xffffffffn; } }),
  row(Msr.FS_BASE, 'FS_BASE', ['lm'], segmentBase(FS)),
  row(Msr.GS_BASE, 'GS_BASE', ['lm'], segmentBase(GS)),
  row(Msr.KERNEL_GS_BASE, 'KERNEL_GS_BASE', ['lm'], field('kernelGsBase', canonical)),
  row(Msr.TSC_AUX, 'TSC_AUX', ['rdtscp', 'rdpid'], {
    read: ({ cpu }) => cpu.tscAux,
    write: (machine, value) => {
      // Intel: reserved bits; AMD ignores the upper half.
      if (!isAmd(machine)) only(0xffffffffn)(machine, value);
      machine.cpu.tscAux = value & 0xffffffffn;
    },
  }),
  row(Msr.SYSENTER_CS, 'SYSENTER_CS', ['sep'], { read: ({ cpu }) => cpu.sysenterCs, write: ({ cpu }, value) => { cpu.sysenterCs = value & 0xffffffffn; } }),
  row(Msr.SYSENTER_ESP, 'SYSENTER_ESP', ['sep'], sysenterAddress('sysenterEsp')),
  row(Msr.SYSENTER_EIP, 'SYSENTER_EIP', ['sep'], sysenterAddress('sysenterEip')),

  row(Msr.PAT, 'PAT', ['pat'], field('pat', eachByte((type) => type < 8 && type !== 2 && type !== 3))),
  row(Msr.MTRR_CAP, 'MTRRcap', ['mtrr'], reads(0x500n | BigInt(VARIABLE_MTRRS))),
  row(Msr.MTRR_DEF_TYPE, 'MTRRdefType', ['mtrr'], field('mtrrDefType', both(only(0xcffn), lowByteIsType))),
  ...range(VARIABLE_MTRRS, (pair) => row(Msr.MTRR_PHYS_BASE0 + 2 * pair, `MTRRphysBase${pair}`, ['mtrr'], slot('mtrrVariable', 2 * pair, both(physicalBits(0xf00n), lowByteIsType)))),
  ...range(VARIABLE_MTRRS, (pair) => row(Msr.MTRR_PHYS_BASE0 + 2 * pair + 1, `MTRRphysMask${pair}`, ['mtrr'], slot('mtrrVariable', 2 * pair + 1, physicalBits(0x7ffn)))),
  ...[Msr.MTRR_FIX_64K, Msr.MTRR_FIX_16K_80000, Msr.MTRR_FIX_16K_A0000, ...range(8, (index) => Msr.MTRR_FIX_4K_C0000 + index)]
    .map((index, place) => row(index, `MTRRfix${place}`, ['mtrr'], slot('mtrrFixed', place, eachByte(isMtrrType)))),

  row(Msr.SPEC_CTRL, 'SPEC_CTRL', speculation, slot('specCtrl', 0, checkSpeculation)),
  row(Msr.PRED_CMD, 'PRED_CMD', ['spec-ctrl', 'ibpb'], { write: (machine, value) => only(value > 1n && machine.capability.has('sbpb') ? 0x81n : 1n)(machine, value) }),
  row(Msr.FLUSH_CMD, 'FLUSH_CMD', ['flush-l1d'], { write: only(1n) }),
  row(Msr.VIRT_SPEC_CTRL, 'VIRT_SPEC_CTRL', ['virt-ssbd'], slot('virtSpecCtrl', 0, only(4n))),
  row(Msr.ARCH_CAPABILITIES, 'ARCH_CAPABILITIES', ['arch-capabilities'], featureMsr(Msr.ARCH_CAPABILITIES)),

  row(Msr.MCG_CAP, 'MCG_CAP', ['mca'], reads(0x100n | BigInt(MC_BANKS))),
  row(Msr.MCG_STATUS, 'MCG_STATUS', ['mca'], slot('mcgStatus', 0, only(7n))),
  row(Msr.MCG_CTL, 'MCG_CTL', ['mca'], slot('mcgCtl', 0, machineCheckControl)),
  ...range(4 * MC_BANKS, (index) => row(Msr.MC0_CTL + index, `MC${index >> 2}_${['CTL', 'STATUS', 'ADDR', 'MISC'][index & 3]}`, ['mca'],
    slot('machineCheck', index, [machineCheckControl, machineCheckStatus, anything, anything][index & 3]))),

  row(Msr.DEBUG_CTL, 'DebugCtl', [], field('debugCtl', (machine, value) => only(isAmd(machine) ? 0x3fn : 0x1fc3n)(machine, value)), { attention: true }),
  ...[Msr.LAST_BRANCH_FROM, Msr.LAST_BRANCH_TO, Msr.LAST_INT_FROM, Msr.LAST_INT_TO]
    .map((index, place) => row(index, ['LastBranchFromIP', 'LastBranchToIP', 'LastExceptionFromIP', 'LastExceptionToIP'][place]!, [], slot('lastBranch', place))),

  row(Msr.U_CET, 'U_CET', shadowStack, field('uCet', cetControl)),
  row(Msr.S_CET, 'S_CET', shadowStack, field('sCet', cetControl)),
  row(Msr.PL0_SSP, 'PL0_SSP', ['cet-ss'], field('pl0Ssp', canonicalDword)),
  row(Msr.PL1_SSP, 'PL1_SSP', ['cet-ss'], field('pl1Ssp', canonicalDword)),
  row(Msr.PL2_SSP, 'PL2_SSP', ['cet-ss'], field('pl2Ssp', canonicalDword)),
  row(Msr.PL3_SSP, 'PL3_SSP', ['cet-ss'], field('pl3Ssp', canonicalDword)),
  row(Msr.INT_SSP_TAB, 'INTERRUPT_SSP_TABLE', ['cet-ss'], field('interruptSspTable', canonical)),
  row(Msr.PKRS, 'PKRS', ['pks'], {
    read: ({ cpu }) => cpu.u64[placeOfMsr('pkrs')]!,
    write: (machine, value) => {
      only(0xffffffffn)(machine, value);
      machine.cpu.u64[placeOfMsr('pkrs')] = value;
      machine.flushTlb(true);
    },
  }),
  row(Msr.UMWAIT_CONTROL, 'UMWAIT_CONTROL', ['waitpkg'], slot('umwaitControl', 0, only(0xfffffffdn))),
  row(Msr.XSS, 'XSS', ['xsaves'], field('xss', (machine, value) => only(xssSupported(machine))(machine, value))),

  // AMD. Performance counters hold what is written and do not count.
  ...range(4, (index) => row(Msr.K7_EVNTSEL0 + index, `PERF_CTL${index}`, [], slot('perfControl', index), AMD)),
  ...range(4, (index) => row(Msr.K7_PERFCTR0 + index, `PERF_CTR${index}`, [], slot('perfCounter', index), AMD)),
  ...range(PERF_COUNTERS, (index) => row(Msr.F15H_PERF_CTL0 + 2 * index, `PERF_CTL${index} (core)`, ['perfctr-core'], slot('perfControl', index), AMD)),
  ...range(PERF_COUNTERS, (index) => row(Msr.F15H_PERF_CTL0 + 2 * index + 1, `PERF_CTR${index} (core)`, ['perfctr-core'], slot('perfCounter', index), AMD)),
  row(Msr.UCODE_REVISION, 'PATCH_LEVEL', [], {
    read: (machine) => isAmd(machine) ? 0x01000065n : 0x100000000n,
    write: (machine) => isAmd(machine) ? refuse() : undefined,
  }),
  row(Msr.PATCH_LOADER, 'PATCH_LOADER', [], { write: () => undefined }, AMD),
  row(Msr.SYSCFG, 'SYSCFG', [], slot('syscfg', 0, only(0x0ffc0000n)), AMD),
  row(Msr.HWCR, 'HWCR', [], slot('hwcr', 0, only(0x1ffffffffn)), AMD),
  ...range(4, (index) => row(Msr.IORR_BASE0 + index, `IORR${index}`, [], slot('iorr', index, physicalBits(0x7e7n)), AMD)),
  row(Msr.TOP_MEM, 'TOP_MEM', [], slot('topMem', 0, physicalBits(0x7fffffn)), AMD),
  row(Msr.TOP_MEM2, 'TOM2', [], slot('topMem', 1, physicalBits(0x7fffffn)), AMD),
  row(Msr.NB_CFG, 'NB_CFG', [], slot('nbCfg'), AMD),
  row(Msr.INT_PENDING, 'INT_PENDING', [], slot('intPending'), AMD),
  row(Msr.MMIO_CONF, 'MMIO_CFG_BASE', [], slot('mmioConf'), AMD),
  row(Msr.PSTATE_LIMIT, 'PSTATE_LIMIT', [], reads(0n), AMD),
  row(Msr.PSTATE_CONTROL, 'PSTATE_CTL', [], slot('pstateControl', 0, only(7n)), AMD),
  row(Msr.PSTATE_STATUS, 'PSTATE_STAT', [], reads(0n), AMD),
  row(Msr.SMBASE, 'SMBASE', [], { read: ({ cpu }) => BigInt(cpu.smbase) }, AMD),
  row(Msr.SMM_ADDR, 'SMM_ADDR', [], slot('smmAddress', 0), AMD),
  row(Msr.SMM_MASK, 'SMM_MASK', [], slot('smmAddress', 1), AMD),
  row(Msr.VM_CR, 'VM_CR', ['svm'], { read: ({ cpu }) => cpu.vmCr, write: writeVmCr }, AMD),
  row(Msr.IGNNE, 'IGNNE', ['svm'], slot('ignoreNumericError', 0, only(1n)), AMD),
  row(Msr.SVM_KEY, 'SVM_KEY', ['svm-lock'], { read: () => 0n, write: writeSvmKey }, AMD),
  row(Msr.VM_HSAVE_PA, 'VM_HSAVE_PA', ['svm'], field('vmHsavePa', physicalBits(0xfffn)), AMD),
  row(Msr.TSC_RATIO, 'TSC_RATIO', ['tsc-scale'], {
    // Kept as the difference from its reset value, 1.0.
    read: ({ cpu }) => cpu.u64[placeOfMsr('tscRatio')]! ^ 1n << 32n,
    write: (machine, value) => {
      only(0xffffffffffn)(machine, value);
      machine.cpu.u64[placeOfMsr('tscRatio')] = value ^ 1n << 32n;
    },
  }, AMD),
  row(Msr.OSVW_ID_LENGTH, 'OSVW_ID_LENGTH', ['osvw'], slot('osvw', 0), AMD),
  row(Msr.OSVW_STATUS, 'OSVW_STATUS', ['osvw'], slot('osvw', 1), AMD),
  ...range(4, (index) => row(Msr.LS_CFG + index, ['LS_CFG', 'IC_CFG', 'DC_CFG', 'BU_CFG'][index]!, [], slot('coreConfig', index), AMD)),
  row(Msr.DE_CFG, 'DE_CFG', [], slot('deCfg'), AMD),
  row(Msr.BU_CFG2, 'BU_CFG2', [], slot('buCfg2'), AMD),

  // Intel.
  row(Msr.PLATFORM_ID, 'PLATFORM_ID', [], reads(0n), INTEL),
  row(Msr.EBL_CR_POWERON, 'EBL_CR_POWERON', [], slot('eblCr'), INTEL),
  row(Msr.FEATURE_CONTROL, 'FEATURE_CONTROL', ['vmx', 'smx', 'sgxlc'], slot('featureControl', 0, ({ cpu }, value) => {
    if ((cpu.u64[placeOfMsr('featureControl')]! & 1n) !== 0n || (value & ~0x17ff07n) !== 0n) refuse();
  }), INTEL),
  row(Msr.UCODE_UPDATE, 'UCODE_UPDATE', [], { write: () => undefined }, INTEL),
  row(Msr.FSB_FREQUENCY, 'FSB_FREQ', [], reads(3n), INTEL),
  row(Msr.PLATFORM_INFO, 'PLATFORM_INFO', [], reads(0n), INTEL),
  row(Msr.BBL_CR_CTL3, 'BBL_CR_CTL3', [], readsIgnoresWrites(0xbe702111n), INTEL),
  row(Msr.MISC_FEATURES_ENABLES, 'MISC_FEATURES_ENABLES', [], slot('miscFeatures', 0, only(0n)), INTEL),
  row(Msr.PERF_STATUS, 'PERF_STATUS', [], reads(0x100000001000n), INTEL),
  row(Msr.PERF_CTL, 'PERF_CTL', [], slot('perfCtl'), INTEL),
  row(Msr.CLOCK_MODULATION, 'CLOCK_MODULATION', ['acpi'], slot('clockModulation'), INTEL),
  row(Msr.THERM_INTERRUPT, 'THERM_INTERRUPT', ['acpi'], slot('thermInterrupt'), INTEL),
  row(Msr.THERM_STATUS, 'THERM_STATUS', ['acpi'], reads(0n), INTEL),
  row(Msr.MISC_ENABLE, 'MISC_ENABLE', [], field('miscEnable'), INTEL),
];

const byIndex = new Map(msrRows.map((entry) => [entry.index, entry]));

/** The row of an MSR that the model has. */
function find(machine: Machine, index: number): MsrRow | undefined {
  const found = byIndex.get(index);
  if (found === undefined) return index >= Msr.X2APIC && index < Msr.X2APIC + 0x100 ? x2apicRow(machine, index) : undefined;
  if (found.vendor !== undefined && (found.vendor === 'AMD') !== isAmd(machine)) return undefined;
  return found.features.length === 0 || found.features.some((feature) => machine.capability.has(feature)) ? found : undefined;
}

/** The x2APIC range exists while the local APIC is in that mode. The APIC is asked by MSR number. */
function x2apicRow({ cpu, apicRead }: Machine, index: number): MsrRow | undefined {
  if (apicRead === undefined || (cpu.apicBase & (APIC_ENABLE | APIC_EXTENDED)) !== (APIC_ENABLE | APIC_EXTENDED)) return undefined;
  return { index, name: 'x2APIC', features: [], attention: true, read: (machine) => machine.apicRead!(index), write: (machine, value) => machine.apicWrite!(index, value) };
}

/** The value of an MSR; throws #GP(0) where there is none. */
export function readMsr(machine: Machine, index: number): bigint {
  const entry = find(machine, index);
  if (entry?.read === undefined) throw generalProtection();
  return entry.read(machine);
}
export function writeMsr(machine: Machine, index: number, value: bigint): MsrRow {
  const entry = find(machine, index);
  if (entry?.write === undefined) throw generalProtection();
  entry.write(machine, value);
  return entry;
}

// ── RDMSR, WRMSR ──

const isIgnored = (machine: Machine, index: number, fault: unknown): boolean =>
  fault instanceof GuestFault && find(machine, index) === undefined && machine.capability.behaviour('msr.unknown') === 'ignore';

export function readMsrInstruction(machine: Machine): Done {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  const index = Number(readRegister(cpu, 1, 32));
  let value = 0n;
  try {
    value = readMsr(machine, index);
  } catch (fault) {
    if (!isIgnored(machine, index, fault)) throw fault;
  }
  setPair(cpu, value);
  retire(cpu);
  return Done.next;
}

export function writeMsrInstruction(machine: Machine): Done {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  const index = Number(readRegister(cpu, 1, 32));
  let done: Done = Done.moved;
  try {
    if (writeMsr(machine, index, pairOf(cpu)).attention) done = Done.attention;
  } catch (fault) {
    if (!isIgnored(machine, index, fault)) throw fault;
  }
  retire(cpu);
  return done;
}
