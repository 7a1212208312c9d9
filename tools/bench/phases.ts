// What the phases of the benchmark guest do, in numbers at full size (shift 0): tests/programs/bench has the source. The cliffs say
// how much one operation may cost.

export const allPhases = ['alu', 'sieve', 'sha256', 'qsort', 'calls', 'repstr', 'strlen', 'fp', 'tlb', 'interp', 'smc', 'smcdata',
  'int80', 'pf', 'portio', 'vmrun', 'vmrunnpt', 'l2sieve'] as const;
export type Phase = (typeof allPhases)[number];

/** The geometric mean is taken over these. */
export const computePhases: readonly Phase[] = ['alu', 'sieve', 'sha256', 'qsort', 'calls', 'strlen', 'interp', 'tlb'];

/** Checksums at shift 0, equal in every build of the guest. */
export const checksums: Readonly<Record<Phase, string>> = {
  alu: '1a0204f0', sieve: 'c9497fcc', sha256: 'b0d1b797', qsort: 'a3567d67', calls: '78785521', repstr: 'de90f9b6', strlen: '2124cf5c',
  fp: '1482b81d', tlb: '99feeadf', interp: '50325628', smc: '1f1cc639', smcdata: '8ccb7c59', int80: '15765621', pf: '97de1597',
  portio: '4e872001', vmrun: 'cbd9fa27', vmrunnpt: 'cbd9fa27', l2sieve: '845809ea',
};

export interface Cliff {
  readonly what: string;
  /** Operations at shift 0; or bytes, for a rate. */
  readonly count: number;
  readonly unit: 'µs' | 'GB/s';
  /** At most so many µs, or at least so many GB/s. */
  readonly bound: number;
}

// repstr, four rounds: 16 MiB stored, 16 + 8 MiB moved, and 209,716 small blocks of 23.5 bytes on average.
const repstrBytes = 4 * ((40 << 20) + 209_716 * 23.5);
export const cliffs: Readonly<Partial<Record<Phase, Cliff>>> = {
  repstr: { what: 'rep stos, rep movs', count: repstrBytes, unit: 'GB/s', bound: 1 },
  smcdata: { what: 'data written into a page of running code', count: 1_000_000, unit: 'µs', bound: 1 },
  smc: { what: 'patch code and call it', count: 200_000, unit: 'µs', bound: 5 },
  int80: { what: 'INT and IRET', count: 4_000_000, unit: 'µs', bound: 0.5 },
  pf: { what: 'page fault round trip', count: 600_000, unit: 'µs', bound: 2 },
  portio: { what: 'port access, deterministic device', count: 8_000_000, unit: 'µs', bound: 0.2 },
};
