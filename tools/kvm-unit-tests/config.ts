// `unittests.cfg` of kvm-unit-tests: a section per entry with the image, the number of processors, what the test gets on its command
// line and QEMU's parameters. From these comes what our own board needs for the same run.

export interface Entry {
  readonly name: string;
  readonly file: string;
  readonly arch: string | undefined;
  readonly cpuCount: number;
  readonly arguments: string;
  readonly qemuParameters: string;
  readonly groups: readonly string[];
  /** Seconds. */
  readonly timeout: number;
}

/** Seconds that run_tests.sh gives an entry that does not say. */
const DEFAULT_TIMEOUT = 90;
/** A command in backquotes is the date, which must not differ from run to run: the beginning of the year 2000. */
const DATE = '946684800';

export function parseConfig(text: string): Entry[] {
  const entries: { name: string; values: Record<string, string> }[] = [];
  // A value in triple quotes goes over several lines.
  const lines = text.replace(/"""([\s\S]*?)"""/g, (_, inside: string) => inside.split(/\s+/).filter((word) => word !== '').join(' ')).split('\n');
  for (const line of lines) {
    const section = /^\s*\[(.+)\]/.exec(line), pair = /^\s*([a-z_]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (section) entries.push({ name: section[1]!, values: {} });
    else if (pair && entries.length > 0) entries.at(-1)!.values[pair[1]!] = pair[2]!;
  }
  return entries.map(({ name, values }) => ({
    name, file: values['file'] ?? `${name}.flat`, arch: values['arch'], cpuCount: Number(values['smp']?.split(',')[0] ?? 1) || 1,
    arguments: unquote(values['test_args'] ?? ''), qemuParameters: values['qemu_params'] ?? values['extra_params'] ?? '',
    groups: (values['groups'] ?? '').split(/\s+/).filter((group) => group !== ''), timeout: Number(values['timeout'] ?? DEFAULT_TIMEOUT) || DEFAULT_TIMEOUT,
  }));
}

const unquote = (text: string): string => text.replace(/^(["'])(.*)\1$/, '$2').replace(/`[^`]*`/g, DATE);

/** QEMU's models that are no processor, as the nearest of ours. `max`: everything that the engine has, with either maker. */
const QEMU_MODELS: Readonly<Record<string, { AMD: string; Intel: string }>> = {
  max: { AMD: 'EPYC-Genoa-v3,+pks,+umip,+tsc-adjust', Intel: 'SapphireRapids,+tsc-adjust' },
  host: { AMD: 'EPYC-Genoa', Intel: 'SapphireRapids' },
};
/** Words of -cpu that are about QEMU or the host and not about the processor. */
const NOT_OURS = /^(migratable=.*|hv_.*|enforce|check)$/;
/** `host-phys-bits`: as wide as the processor itself, an EPYC Genoa; QEMU's model of it has 40 bits. */
const HOST_ADDRESS_BITS = 'phys-bits=52';
const DEFAULT_CPU = 'qemu64';

/**
 * Entries that need another processor than their -cpu says, and why. QEMU's emulation takes what any maker's processor takes.
 */
const OTHER_CPU: Readonly<Record<string, string>> = {
  // `rex64 ljmp *m` with a 64-bit offset is Intel's; on AMD processors REX.W does nothing there (APM Vol. 3, "JMP (Far)").
  emulator: 'qemu64,vendor=GenuineIntel',
  // Branch tracking was never on AMD processors.
  cet: 'host,vendor=GenuineIntel,+cet-ss,+cet-ibt',
  lam: 'max,vendor=GenuineIntel,+lam',
};

/** The model, as `--cpu` takes it. */
export function modelOf(entry: Entry): string {
  const asked = OTHER_CPU[entry.name] ?? /-cpu\s+(\S+)/.exec(entry.qemuParameters)?.[1] ?? DEFAULT_CPU;
  const [name = DEFAULT_CPU, ...words] = asked.split(',').filter((word) => !NOT_OURS.test(word))
    .flatMap((word) => word === 'host-phys-bits' ? [HOST_ADDRESS_BITS] : word === 'host-phys-bits=off' ? [] : [word]);
  const kind = QEMU_MODELS[name];
  if (kind === undefined) return [name, ...words].join(',');
  const intel = words.includes('vendor=GenuineIntel');
  return [intel ? kind.Intel : kind.AMD, ...words.filter((word) => !word.startsWith('vendor='))].join(',');
}

const MEGABYTE = 2 ** 20;
/** QEMU's default. */
const DEFAULT_MEMORY = 128 * MEGABYTE;
/** Linear memory ends at 4 GiB, and holds more than RAM. */
const MOST_MEMORY = 3584 * MEGABYTE;

export function ramOf({ qemuParameters }: Entry): number {
  const found = /(?:^|\s)-m\s+(\d+)([gGmM]?)/.exec(qemuParameters);
  if (!found) return DEFAULT_MEMORY;
  return Math.min(Number(found[1]) * (found[2]?.toLowerCase() === 'g' ? 1024 : 1) * MEGABYTE, MOST_MEMORY);
}

/** What an entry needs that this engine does not have: the reason to skip it. */
export function missing(entry: Entry, folderArch: string): string | undefined {
  if (entry.arch !== undefined && entry.arch !== folderArch) return `${entry.arch} only`;
  if (/\+vmx|\bvmx\b/.test(entry.qemuParameters)) return 'VMX is not there yet';
  if (/hv_passthrough|hyperv/.test(entry.qemuParameters)) return 'no Hyper-V interface';
  if (/iommu/.test(entry.qemuParameters)) return 'no IOMMU';
  if (entry.name.startsWith('pmu')) return 'performance counters do not count';
  if (entry.name === 's3') return 'needs firmware that resumes';
  if (entry.name === 'vmware_backdoors') return 'no VMware interface';
  return undefined;
}
