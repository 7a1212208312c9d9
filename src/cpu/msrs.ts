// MSR numbers by the names that the manuals use, and the places of those that are plain storage and have no field of their own in the
// vCPU file. What reading and writing one means stands in `system/msrs.ts`.
import { areaPlaces } from './state.ts';

/** APM Vol. 2, appendix A; SDM Vol. 4. */
export const Msr = {
  TSC: 0x10, PLATFORM_ID: 0x17, APIC_BASE: 0x1b, EBL_CR_POWERON: 0x2a, FEATURE_CONTROL: 0x3a, TSC_ADJUST: 0x3b, SPEC_CTRL: 0x48, PRED_CMD: 0x49,
  UCODE_UPDATE: 0x79, UCODE_REVISION: 0x8b, FSB_FREQUENCY: 0xcd, PLATFORM_INFO: 0xce, MTRR_CAP: 0xfe, ARCH_CAPABILITIES: 0x10a, FLUSH_CMD: 0x10b,
  BBL_CR_CTL3: 0x11e, MISC_FEATURES_ENABLES: 0x140, SYSENTER_CS: 0x174, SYSENTER_ESP: 0x175, SYSENTER_EIP: 0x176, MCG_CAP: 0x179, MCG_STATUS: 0x17a, MCG_CTL: 0x17b,
  PERF_STATUS: 0x198, PERF_CTL: 0x199, CLOCK_MODULATION: 0x19a, THERM_INTERRUPT: 0x19b, THERM_STATUS: 0x19c, MISC_ENABLE: 0x1a0,
  DEBUG_CTL: 0x1d9, LAST_BRANCH_FROM: 0x1db, LAST_BRANCH_TO: 0x1dc, LAST_INT_FROM: 0x1dd, LAST_INT_TO: 0x1de,
  MTRR_PHYS_BASE0: 0x200, MTRR_FIX_64K: 0x250, MTRR_FIX_16K_80000: 0x258, MTRR_FIX_16K_A0000: 0x259, MTRR_FIX_4K_C0000: 0x268, PAT: 0x277, MTRR_DEF_TYPE: 0x2ff,
  MC0_CTL: 0x400, U_CET: 0x6a0, S_CET: 0x6a2, PL0_SSP: 0x6a4, PL1_SSP: 0x6a5, PL2_SSP: 0x6a6, PL3_SSP: 0x6a7, INT_SSP_TAB: 0x6a8, PKRS: 0x6e1, UMWAIT_CONTROL: 0xe1, TSC_DEADLINE: 0x6e0, X2APIC: 0x800, XSS: 0xda0,
  EFER: 0xc0000080, STAR: 0xc0000081, LSTAR: 0xc0000082, CSTAR: 0xc0000083, SFMASK: 0xc0000084,
  FS_BASE: 0xc0000100, GS_BASE: 0xc0000101, KERNEL_GS_BASE: 0xc0000102, TSC_AUX: 0xc0000103, TSC_RATIO: 0xc0000104, VIRT_SPEC_CTRL: 0xc000011f,
  K7_EVNTSEL0: 0xc0010000, K7_PERFCTR0: 0xc0010004, SYSCFG: 0xc0010010, HWCR: 0xc0010015, IORR_BASE0: 0xc0010016, TOP_MEM: 0xc001001a, TOP_MEM2: 0xc001001d,
  NB_CFG: 0xc001001f, PATCH_LOADER: 0xc0010020, INT_PENDING: 0xc0010055, MMIO_CONF: 0xc0010058, PSTATE_LIMIT: 0xc0010061, PSTATE_CONTROL: 0xc0010062, PSTATE_STATUS: 0xc0010063,
  SMBASE: 0xc0010111, SMM_ADDR: 0xc0010112, SMM_MASK: 0xc0010113, VM_CR: 0xc0010114, IGNNE: 0xc0010115, VM_HSAVE_PA: 0xc0010117, SVM_KEY: 0xc0010118, OSVW_ID_LENGTH: 0xc0010140, OSVW_STATUS: 0xc0010141,
  F15H_PERF_CTL0: 0xc0010200, LS_CFG: 0xc0011020, IC_CFG: 0xc0011021, DC_CFG: 0xc0011022, BU_CFG: 0xc0011023, DE_CFG: 0xc0011029, BU_CFG2: 0xc001102a,
} as const;

/** Machine-check banks that the model shows. */
export const MC_BANKS = 10;
export const VARIABLE_MTRRS = 8;
export const PERF_COUNTERS = 6;

/** Storage in the vCPU file's `msr` area: name and count of consecutive 64-bit slots, all zero after reset. */
const slotCounts = {
  featureControl: 1, specCtrl: 1, mcgStatus: 1, mcgCtl: 1, miscFeatures: 1, virtSpecCtrl: 1,
  lastBranch: 4, mtrrVariable: 2 * VARIABLE_MTRRS, mtrrFixed: 11, machineCheck: 4 * MC_BANKS,
  tscRatio: 1, perfControl: PERF_COUNTERS, perfCounter: PERF_COUNTERS,
  syscfg: 1, hwcr: 1, iorr: 4, topMem: 2, nbCfg: 1, mmioConf: 1, intPending: 1, smmAddress: 2, pstateControl: 1,
  osvw: 2, coreConfig: 4, deCfg: 1, buCfg2: 1, perfCtl: 1, clockModulation: 1, thermInterrupt: 1, eblCr: 1,
  pkrs: 1, umwaitControl: 1,
  svmKey: 1, ignoreNumericError: 1,
} as const;
export type MsrSlot = keyof typeof slotCounts;

const slots = {} as Record<MsrSlot, number>;
let next = areaPlaces.msr.offset >> 3;
for (const [name, count] of Object.entries(slotCounts)) {
  slots[name as MsrSlot] = next;
  next += count;
}
if (next << 3 > areaPlaces.msr.offset + areaPlaces.msr.length) throw new Error('the MSR area is too small for its slots');

/** Index into `cpu.u64` of a slot. */
export const placeOfMsr = (slot: MsrSlot, index = 0): number => slots[slot] + index;
