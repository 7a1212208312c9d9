// Lint: mistakes that the compiler does not see, and the determinism rule (DESIGN section 2): outside the doors to the world nothing
// reads a clock, randomness, the environment or the file system. `npm run lint` runs it; matters of taste are not here.
import typescript from 'typescript-eslint';

const clocks = 'Time is the instruction count; the wall clock is read only in src/host (DESIGN section 2).';
const chance = 'Randomness comes from the journal\'s seed; only src/host draws a seed (DESIGN section 2).';
const world = 'Only src/host, src/cli, src/web, tools and tests touch the world (LAYOUT.md).';
const order = 'What depends on the locale differs between hosts.';

/** Globals that no deterministic file may name. */
const worldGlobals = [
  ...['performance', 'setTimeout', 'setInterval', 'setImmediate', 'queueMicrotask', 'clearTimeout', 'clearInterval'].map((name) => ({ name, message: clocks })),
  ...['crypto', 'Crypto'].map((name) => ({ name, message: chance })),
  ...['process', 'fetch', 'WebSocket', 'navigator', 'Worker', 'console', 'require', '__dirname', '__filename', 'global', 'globalThis'].map((name) => ({ name, message: world })),
  { name: 'Intl', message: order },
];
const worldProperties = [
  { object: 'Date', property: 'now', message: clocks },
  { object: 'Math', property: 'random', message: chance },
  { object: 'Atomics', property: 'wait', message: clocks },
  { property: 'toLocaleString', message: order },
  { property: 'localeCompare', message: order },
];
const worldSyntax = [
  { selector: 'NewExpression[callee.name="Date"]', message: clocks },
  { selector: 'CallExpression[callee.name="Date"]', message: clocks },
  { selector: 'MetaProperty', message: world },
  { selector: 'ImportExpression', message: 'A dynamic import reads the file system at a time of its own; only the command line loads lazily.' },
];

const deterministic = {
  'no-restricted-globals': ['error', ...worldGlobals],
  'no-restricted-properties': ['error', ...worldProperties],
  'no-restricted-syntax': ['error', ...worldSyntax],
};

export default typescript.config(
  { ignores: ['dist/', 'node_modules/'] },
  ...typescript.configs.recommended,
  {
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      'eqeqeq': 'error',
      'no-var': 'error',
      'prefer-const': ['error', { destructuring: 'all' }],
      'no-self-compare': 'error',
      'no-unreachable-loop': 'error',
      'no-constant-binary-expression': 'error',
      'no-template-curly-in-string': 'error',
      'no-fallthrough': 'error',
      'no-dupe-else-if': 'error',
      'no-promise-executor-return': 'error',
      'no-throw-literal': 'off',
      'require-atomic-updates': 'off',
      '@typescript-eslint/consistent-type-imports': 'error',
      // The compiler reports what is unused (noUnusedLocals, noUnusedParameters).
      '@typescript-eslint/no-unused-vars': 'off',
      // Indexed access after a bound check is clearer with `!` than with a second test.
      '@typescript-eslint/no-non-null-assertion': 'off',
    },
  },
  { files: ['src/**/*.ts', 'journal/**/*.ts'], ignores: ['src/host/**', 'src/cli/**', 'src/web/**'], rules: deterministic },
  // The command line takes the world from src/host too, but may read its own arguments and load commands lazily.
  { files: ['src/cli/**/*.ts'], rules: { ...deterministic, 'no-restricted-globals': ['error', ...worldGlobals.filter(({ name }) => name !== 'process')], 'no-restricted-syntax': 'off' } },
);
