// From a fresh clone to a running program: installs the dependencies when they are missing or stale, compiles, then runs what was
// asked for. Plain JavaScript with nothing but Node, because it runs before anything is installed. `npm start`, `npm test` and friends call it.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);

/** What `node tools/setup.mjs NAME` runs once the project is built; further arguments are passed on. */
const programs = {
  start: ['dist/tools/start.js'],
  test: ['dist/tools/test.js'],
  bench: ['dist/tools/bench.js'],
  vectors: ['dist/tools/vectors.js'],
  'kvm-unit-tests': ['dist/tools/kvm-unit-tests.js'],
  support: ['dist/tools/support.js'],
  retro: ['dist/src/cli/main.js'],
};

function fail(message, code = 1) {
  process.stderr.write(`retrovisor: ${message}\n`);
  process.exit(code);
}

function run(command, args, what, environment = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', shell: process.platform === 'win32', env: { ...process.env, ...environment } });
  if (error || status !== 0) fail(`${what} failed${error ? `: ${error.message}` : ''}. See the messages above.`);
}

/** The first package of the lock file that node_modules lacks or has in another version; undefined when all is as locked. */
function stalePackage() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'));
  for (const [place, { version, optional }] of Object.entries(packages)) {
    if (place === '') continue;
    const manifest = join(root, place, 'package.json');
    if (!optional && !(existsSync(manifest) && JSON.parse(readFileSync(manifest, 'utf8')).version === version)) return place;
  }
  return undefined;
}

/** SQLite is compiled for one version of Node; another Node than the one that installed it cannot load it. */
function databaseLoads() {
  const { status } = spawnSync(process.execPath, ['-e', 'new (require("better-sqlite3"))(":memory:").close()'], { cwd: root, stdio: 'ignore' });
  return status === 0;
}

/** For the C++ compiler, where it is one that knows -include. */
const compilerFlags = process.platform === 'win32' ? {} : { CXXFLAGS: `${process.env.CXXFLAGS ?? ''} -include "${join(root, 'tools/object-wrap.h')}"` };

function install() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) fail(`Node ${process.versions.node} is too old; install Node 20.19 or later.`);
  if (stalePackage() !== undefined) {
    process.stdout.write('Installing dependencies (npm ci) …\n');
    run('npm', ['ci', '--no-audit', '--no-fund'], 'npm ci', compilerFlags);
  }
  if (!databaseLoads()) {
    process.stdout.write('Compiling SQLite for this version of Node (npm rebuild better-sqlite3) …\n');
    run('npm', ['rebuild', 'better-sqlite3'], 'npm rebuild better-sqlite3', compilerFlags);
    if (!databaseLoads()) fail('better-sqlite3 does not load. A C++ compiler, make and python3 are needed to compile it; install them and run this again.');
  }
}

/** Times of the last change of everything that is compiled. */
function* changeTimes(place) {
  const stat = statSync(join(root, place));
  if (!stat.isDirectory()) yield stat.mtimeMs;
  else for (const name of readdirSync(join(root, place))) yield* changeTimes(`${place}/${name}`);
}

const stamp = join(root, 'dist/.built');
function isBuilt() {
  const built = statSync(stamp, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  for (const place of ['src', 'journal', 'tools', 'tsconfig.json', 'package-lock.json']) {
    for (const time of changeTimes(place)) if (time > built) return false;
  }
  return true;
}

/** Compiles everything into dist/; then the command line once more, as a few large files: loading hundreds of small ones takes longer
 * than all the rest of a short recording. */
async function build() {
  rmSync(stamp, { force: true });
  const compiler = join(relative(root, require.resolve('typescript/package.json')), '..', 'bin', 'tsc');
  run(process.execPath, [compiler, '-p', 'tools/tsconfig.build.json'], 'The compilation');
  rmSync(join(root, 'dist/src/cli/chunks'), { recursive: true, force: true });
  const { build: bundle } = await import('esbuild');
  await bundle({
    absWorkingDir: root, entryPoints: ['src/cli/main.ts'], outdir: 'dist/src/cli', chunkNames: 'chunks/[name]-[hash]', logLevel: 'warning',
    bundle: true, splitting: true, platform: 'node', format: 'esm', target: 'node20', external: ['better-sqlite3', 'iced-x86'],
  });
  writeFileSync(stamp, '');
}

const [name = '', ...args] = process.argv.slice(2);
if (name !== 'install' && name !== 'build' && !Object.hasOwn(programs, name)) {
  fail(`there is no "${name}" to run; try one of: install, build, ${Object.keys(programs).join(', ')}.`, 2);
}
install();
if (name !== 'install' && !isBuilt()) await build();
if (Object.hasOwn(programs, name)) {
  const { status, signal } = spawnSync(process.execPath, [...programs[name], ...args], { cwd: root, stdio: 'inherit' });
  process.exit(signal ? 1 : status ?? 1);
}
