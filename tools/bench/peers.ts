// The programs that we compare ourselves with, each as "run this multiboot image with these options": QEMU, Bochs and v86, wherever
// they are installed. `npm run bench` calls it.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { inProject } from '../project.ts';
import { bootFloppy } from './floppy.ts';
import { measure, type Measured } from './measure.ts';

export interface Peer {
  readonly name: string;
  readonly version: string;
  /** Runs `image` with `options` on its command line; `output` is what the guest wrote to COM1. */
  run(image: string, options: string): Measured;
  /** Whether it can run 64-bit code. */
  readonly longMode: boolean;
}

/** What `command` says about itself, or undefined when it is not installed. */
function describe(command: string, ...args: string[]): string | undefined {
  const { stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', timeout: 10_000 });
  return error ? undefined : `${stdout}${stderr}`;
}

function qemu(name: string, extra: readonly string[]): Peer | undefined {
  const version = describe('qemu-system-x86_64', '--version');
  if (version === undefined) return undefined;
  return {
    name, version: /version (\S+)/.exec(version)?.[1] ?? '?', longMode: true,
    run: (image, options) => measure(['qemu-system-x86_64', '-accel', 'tcg', ...extra, '-m', '512', '-display', 'none', '-serial', 'stdio', '-monitor', 'none',
      '-no-reboot', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel', image, '-append', options]),
  };
}

const firstOf = (...paths: string[]): string | undefined => paths.find((path) => existsSync(path));

/** Bochs has no loader of its own: it boots a floppy whose boot sector does what a multiboot loader does. A build without `nogui`
 * has the VNC display, which needs no client; one with the debugger is told to continue. */
function bochs(folder: string): Peer | undefined {
  const help = describe('bochs', '--help');
  const bios = firstOf('/usr/share/bochs/BIOS-bochs-latest', '/usr/share/seabios/bios.bin');
  const vga = firstOf('/usr/share/bochs/VGABIOS-lgpl-latest', '/usr/share/vgabios/vgabios.bin', '/usr/share/seabios/vgabios-stdvga.bin');
  if (help === undefined || bios === undefined || vga === undefined) return undefined;
  const place = (name: string): string => join(folder, name);
  const configure = (display: string): void => writeFileSync(place('bochsrc'), [
    `display_library: ${display}`, `romimage: file=${bios}`, `vgaromimage: file=${vga}`, 'megs: 512', 'boot: floppy',
    `floppya: 1_44=${place('floppy.img')}, status=inserted`, `com1: enabled=1, mode=file, dev=${place('com1.out')}`,
    'sound: driver=dummy, waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy', 'clock: sync=none, time0=1',
    'cpu: model=ryzen, count=1, ips=100000000', `log: ${place('log')}`, '',
  ].join('\n'));
  const debuggerCommands = help.includes('-rc filename') ? ['-rc', place('commands')] : [];
  return {
    name: 'bochs', version: /Emulator (\S+)/.exec(help)?.[1] ?? '?', longMode: true,
    run(image, options) {
      mkdirSync(folder, { recursive: true });
      rmSync(place('com1.out'), { force: true });
      writeFileSync(place('commands'), 'c\n');
      writeFileSync(place('floppy.img'), bootFloppy(readFileSync(image), options));
      for (const display of ['nogui', 'rfb, options="timeout=0"']) {
        configure(display);
        const measured = measure(['bochs', '-q', '-f', place('bochsrc'), ...debuggerCommands]);
        if (!measured.errors.includes(`display library 'nogui' not available`)) {
          return { ...measured, output: existsSync(place('com1.out')) ? readFileSync(place('com1.out'), 'latin1') : '' };
        }
      }
      throw new Error('Bochs has neither the nogui nor the rfb display.');
    },
  };
}

/** v86 knows no 64-bit mode: it runs the 32-bit image. */
function v86(): Peer | undefined {
  let library: string;
  try {
    library = createRequire(inProject('package.json')).resolve('v86/package.json');
  } catch {
    return undefined;
  }
  const { version } = JSON.parse(readFileSync(library, 'utf8')) as { version: string };
  return {
    name: 'v86', version, longMode: false,
    run: (image, options) => measure([process.execPath, inProject('tools/bench/v86.mjs'), join(library, '..'), image, options]),
  };
}

/** All that are installed, or those of `names`. */
export function findPeers(names: readonly string[], folder: string): Peer[] {
  const makers: Readonly<Record<string, () => Peer | undefined>> = {
    'qemu': () => qemu('qemu', ['-cpu', 'max']),
    'qemu-icount': () => qemu('qemu-icount', ['-cpu', 'max', '-icount', 'shift=0,sleep=off']),
    'bochs': () => bochs(folder),
    'v86': v86,
  };
  return names.flatMap((name) => {
    if (!Object.hasOwn(makers, name)) throw new Error(`There is no peer "${name}"; the peers are ${Object.keys(makers).join(', ')}.`);
    return makers[name]!() ?? [];
  });
}
