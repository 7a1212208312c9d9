// INIT and the start-up message (APM Vol. 2, 14.1.3 and table 14-1; 15.27.8 for the message): how a vCPU begins anew. Called by `run.ts`.
import { Activity, bindCpu, placeOfGeneral, resetCpu, VCPU_FILE, VCPU_FILE_SIZE, areaPlaces, type Cpu, type FieldName } from '../cpu/state.ts';

/** "INIT does not modify" these; CD and NW of CR0 keep their values too. */
const kept = [
  'icount', 'xcr0', 'xss', 'star', 'lstar', 'cstar', 'sfmask', 'kernelGsBase', 'tscAux', 'sysenterCs', 'sysenterEsp', 'sysenterEip', 'pat', 'apicBase', 'miscEnable',
  'tscOffset', 'tscAdjust', 'vmCr', 'vmHsavePa', 'smbase', 'pkru', 'mtrrDefType', 'sCet', 'uCet', 'pl0Ssp', 'pl1Ssp', 'pl2Ssp', 'pl3Ssp', 'interruptSspTable',
  'fcw', 'fsw', 'ftw', 'fop', 'fip', 'fdp', 'fcs', 'fds', 'mxcsr', 'budget',
] as const satisfies readonly FieldName[];
const keptAreas = ['msr', 'zmm', 'x87', 'opmask', 'slowValue'] as const;
const CACHE_BITS = 0x60000000;

/** `signature` is what EDX holds then. All but the first processor wait for a start-up message. */
export function initialise(cpu: Cpu, signature: number, isFirst: boolean): void {
  const before = cpu.u8.slice(0, VCPU_FILE + VCPU_FILE_SIZE), old = bindCpu(before.buffer);
  resetCpu(cpu);
  for (const name of kept) cpu[name] = old[name] as never;
  for (const name of keptAreas) {
    const { offset, length } = areaPlaces[name];
    cpu.u8.set(before.subarray(offset, offset + length), offset);
  }
  cpu.cr0 = old.cr0 & CACHE_BITS | 0x10;
  cpu.u64[placeOfGeneral(2) >> 3] = BigInt(signature);
  cpu.activity = isFirst ? Activity.running : Activity.waitForSipi;
}

export function start(cpu: Cpu, vector: number): void {
  cpu.cs.selector = vector << 8;
  cpu.cs.base = BigInt(vector << 12);
  cpu.rip = 0n;
  cpu.activity = Activity.running;
}
