// Feeds damaged guest images to the loader and runs what it accepts: node dist/tools/fuzz-images.js [--cases N] [--seed N]. Each case must end
// in a clear error or in a run of bounded length, and never in a crash, a hang, an exception of our own, or memory above a bound.
// Cases depend on the seed and their number only, so that any of them can be repeated alone (--first N --cases 1).
import { readFileSync } from 'node:fs';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { createKvm } from '../src/kvm/system.ts';
import type { Tier } from '../src/kvm/api.ts';
import { assemble, type Machine } from '../src/replay/machine.ts';
import { DEFAULT_MODEL } from '../src/model/models.ts';
import { inProject } from './project.ts';
import { naturalOf, parseOptions, wordsOf } from './usage.ts';

const images = ['tests/programs/bench/out/bench64.elf', 'tests/programs/bench/out/bench32.elf', 'tests/programs/out/exceptions.elf'];
const RAM_BYTES = 16 << 20, INSTRUCTIONS = 3000n;
/** A machine is used for so many cases, then replaced: what one case leaves behind must not matter, but may not hide either. */
const CASES_PER_MACHINE = 500;
const HANG_SECONDS = 30, MAX_RESIDENT_BYTES = 1 << 30;

interface Share { readonly first: number; readonly cases: number; readonly seed: number; readonly tier: Tier; readonly at: SharedArrayBuffer }

/** SplitMix32: numbers from a seed. */
function createRandom(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x9e3779b9) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 16), 0x21f0aaad);
    value = Math.imul(value ^ (value >>> 15), 0x735a2d97);
    return ((value ^ (value >>> 15)) >>> 0) % below;
  };
}

const interesting = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x100000, 0x7fffffff, 0x80000000, 0xfffff000, 0xffffffff];
const HEADER_BYTES = 256;

/** A few changes, most of them in the headers; sometimes a cut, sometimes noise in the code. */
function mutate(original: Uint8Array, random: (below: number) => number): Uint8Array {
  let image = Uint8Array.from(original);
  const view = new DataView(image.buffer);
  for (let count = 1 + random(6); count > 0; count--) {
    const at = random(random(3) === 0 ? image.length - 4 : HEADER_BYTES);
    switch (random(4)) {
      case 0: image[at] = random(256); break;
      case 1: image[at]! ^= 1 << random(8); break;
      case 2: view.setUint32(at & ~3, interesting[random(interesting.length)]!, true); break;
      default: for (let index = 0; index < 16; index++) image[at + index] = random(256);
    }
  }
  if (random(10) === 0) image = image.subarray(0, random(image.length));
  return image;
}

const header = { model: DEFAULT_MODEL, behaviours: {}, ramBytes: RAM_BYTES, seed: 1n, quantum: 1000, tscKhz: 1_000_000, cpuCount: 1 };

/** A machine that can be put back to where it began. */
function createSubject(tier: Tier) {
  const machine = assemble(header, createKvm(), tier), { vm, board } = machine;
  const vcpu = vm.vcpus[0]!.saveState(), vmState = vm.saveVmState(), boardState = board.saveState(), zeros = new Uint8Array(4096);
  vm.takeDirtyPages();
  return {
    machine,
    reset() {
      for (const page of vm.takeDirtyPages()) vm.restoreRamPage(page, zeros);
      vm.takeDirtyPages();
      vm.vcpus[0]!.loadState(vcpu);
      vm.loadVmState(vmState);
      board.loadState(boardState);
    },
  };
}

/** What a case came to: `refused` by the loader, or how the run ended. */
function runCase({ board }: Machine, image: Uint8Array, options: string): string {
  try {
    board.loadImage(image, options);
  } catch (error) {
    if ((error as Error).name === 'ImageError') return 'refused';
    throw error;
  }
  return board.run(INSTRUCTIONS).kind;
}

function work({ first, cases, seed, tier, at }: Share): void {
  const current = new Int32Array(at), originals = images.map((name) => readFileSync(inProject(name))), ends: Record<string, number> = {};
  let subject = createSubject(tier);
  for (let index = 0; index < cases; index++) {
    Atomics.store(current, 0, first + index);
    const random = createRandom(seed * 0x10001 + first + index), image = mutate(originals[random(originals.length)]!, random);
    if (index % CASES_PER_MACHINE === CASES_PER_MACHINE - 1) subject = createSubject(tier);
    const end = runCase(subject.machine, image, 'x alu shift=15');
    ends[end] = (ends[end] ?? 0) + 1;
    subject.reset();
  }
  parentPort!.postMessage(ends);
}

/** Runs a share in a thread that is watched from outside. */
function start(share: Share): Promise<Record<string, number>> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL(import.meta.url), { workerData: share, execArgv: process.execArgv }), current = new Int32Array(share.at);
    let last = -1, ends: Record<string, number> | undefined;
    const fail = (what: string): void => {
      clearInterval(watch);
      void worker.terminate();
      reject(new Error(`case ${Atomics.load(current, 0)} (seed ${share.seed}, ${share.tier}): ${what}`));
    };
    const watch = setInterval(() => {
      const now = Atomics.load(current, 0);
      if (now === last) fail(`no end after ${HANG_SECONDS} seconds`);
      if (process.memoryUsage.rss() > MAX_RESIDENT_BYTES) fail(`more than ${MAX_RESIDENT_BYTES >> 20} MiB of memory are in use`);
      last = now;
    }, HANG_SECONDS * 1000);
    worker.on('message', (message: Record<string, number>) => { ends = message; });
    worker.on('error', (error: Error) => fail(error.stack ?? String(error)));
    worker.on('exit', (code) => {
      clearInterval(watch);
      if (ends) resolve(ends);
      else fail(`the thread ended with code ${code}`);
    });
  });
}

async function main(): Promise<void> {
  const { values } = parseOptions('fuzz-images', {
    options: {
      cases: { type: 'string', default: '100000' }, seed: { type: 'string', default: '1' }, first: { type: 'string', default: '0' },
      tier: { type: 'string', default: 'interpreter' }, threads: { type: 'string', default: '2' }, help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return void process.stdout.write('node dist/tools/fuzz-images.js [--cases N] [--seed N] [--first N] [--tier TIER] [--threads N]\n');
  const number = (option: 'cases' | 'seed' | 'first' | 'threads', least: number): number => naturalOf('fuzz-images', `--${option}`, values[option], least);
  wordsOf('fuzz-images', '--tier', values.tier, ['interpreter', 'translator', 'auto', 'reference']);
  const cases = number('cases', 1), threads = Math.min(number('threads', 1), cases), seed = number('seed', 0), firstCase = number('first', 0), began = performance.now();
  const shares = Array.from({ length: threads }, (_, index): Share => {
    const first = Math.floor(cases * index / threads);
    return { first: firstCase + first, cases: Math.floor(cases * (index + 1) / threads) - first, seed, tier: values.tier as Tier, at: new SharedArrayBuffer(4) };
  });
  const total: Record<string, number> = {};
  for (const ends of await Promise.all(shares.map(start))) for (const [end, count] of Object.entries(ends)) total[end] = (total[end] ?? 0) + count;
  process.stdout.write(`${cases} images, seed ${seed}, ${values.tier}: ${Object.entries(total).sort().map(([end, count]) => `${count} ${end}`).join(', ')}; `
    + `${((performance.now() - began) / 1000).toFixed(1)} s, ${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB at most\n`);
}

if (isMainThread) await main();
else work(workerData as Share);
