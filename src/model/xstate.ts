// State components of the XSAVE family: which features bring each, how long it is, and where the vendors put it in the standard format.
// `models.ts` makes CPUID leaf 0DH of it; what a component is made of stands in `system/xsave.ts`. APM Vol. 2, 11.5; SDM Vol. 1, 13.1.
import type { FeatureName } from './features.ts';

export interface Component {
  readonly index: number;
  readonly name: string;
  /** Any of these brings the component. */
  readonly features: readonly FeatureName[];
  /** Enabled in IA32_XSS, not in XCR0: only XSAVES and XRSTORS reach it, only in the compacted format. */
  readonly supervisor: boolean;
  readonly length: number;
  /** In the standard format. "XSAVE offsets are the vendor's, not the feature's": seen on Zen 3 to Zen 5, and on Intel's since Skylake. */
  readonly offset: { readonly amd: number; readonly intel: number };
}

const user = (index: number, name: string, features: readonly FeatureName[], length: number, amd: number, intel: number): Component =>
  ({ index, name, features, supervisor: false, length, offset: { amd, intel } });
const supervisor = (index: number, name: string, features: readonly FeatureName[], length: number): Component =>
  ({ index, name, features, supervisor: true, length, offset: { amd: 0, intel: 0 } });

/** Those behind the legacy region, in the order of their numbers. */
export const components: readonly Component[] = [
  user(2, 'AVX', ['avx'], 0x100, 0x240, 0x240),
  user(5, 'opmask', ['avx512f'], 0x40, 0x340, 0x440),
  user(6, 'ZMM_Hi256', ['avx512f'], 0x200, 0x380, 0x480),
  user(7, 'Hi16_ZMM', ['avx512f'], 0x400, 0x580, 0x680),
  user(9, 'PKRU', ['pku'], 8, 0x980, 0xa80),
  supervisor(11, 'CET_U', ['cet-ss', 'cet-ibt'], 0x10),
  supervisor(12, 'CET_S', ['cet-ss'], 0x18),
];

/** The legacy region and the header. */
export const LEGACY_LENGTH = 512, HEADER_LENGTH = 64, EXTENDED = LEGACY_LENGTH + HEADER_LENGTH;
