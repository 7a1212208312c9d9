// The one door through which the core asks what the vCPU can do. Every answer is remembered with the position where it
// first mattered: that memory is the footprint of a run.

/** A yes/no question: a CPUID feature by its QEMU name (`smep`, `la57`, `svm`). */
export type Answer = boolean | number | string;

export interface Capabilities {
  /** Whether the model has the CPUID feature. Remembered. */
  has(feature: string): boolean;
  /** A number of the model: `physical-address-bits`, `linear-address-bits`, `asid-count`, … Remembered. */
  number(name: string): number;
  /** The value of a named behaviour. Remembered. */
  behaviour(id: string): string;
  /** CPUID as the guest sees it for this state: raw rows with the dynamic fields filled in by the caller. Remembered by leaf. */
  cpuid(leaf: number, subleaf: number): readonly [number, number, number, number];
  readonly vendor: 'AuthenticAMD' | 'GenuineIntel' | 'HygonGenuine' | 'CentaurHauls' | '  Shanghai  ';
  /** What has been asked so far. */
  footprint(): ReadonlyMap<string, { readonly answer: Answer; readonly firstIcount: bigint }>;
}
