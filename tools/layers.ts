// Who may import whom, as data: LAYOUT.md's table. The layering test reads it; so does a newcomer. A room is a folder of the project;
// an entry may name one file of a room. Change the table only together with what it describes.

/** What a room may import besides itself. */
export interface Room {
  readonly imports: readonly string[];
  /** Packages and Node modules, by name; everything in them is out of bounds elsewhere. */
  readonly packages?: readonly string[];
}

export const rooms: Readonly<Record<string, Room>> = {
  'journal': { imports: [] },
  'src/isa': { imports: [] },
  'src/host': { imports: [], packages: ['node:*'] },
  'src/semantics': { imports: ['src/isa', 'src/cpu'] },
  'src/cpu': { imports: ['src/isa'] },
  'src/model': { imports: ['src/isa'] },
  'src/memory': { imports: ['src/isa', 'src/cpu'] },
  'src/system': {
    imports: ['src/isa', 'src/cpu', 'src/memory', 'src/model', 'src/transitions',
      'src/semantics/x87/number', 'src/semantics/x87/arithmetic', 'src/semantics/x87/convert', 'src/semantics/x87/transcendental', 'src/semantics/x87/halves'],
  },
  'src/transitions': { imports: ['src/isa', 'src/cpu', 'src/memory', 'src/model'] },
  'src/wasm': { imports: ['src/isa', 'src/semantics', 'src/memory', 'src/cpu'] },
  'src/vm': {
    imports: ['journal/events', 'src/isa', 'src/cpu', 'src/memory', 'src/model', 'src/transitions', 'src/wasm', 'src/semantics', 'src/system'],
  },
  'src/kvm': { imports: ['journal/events', 'src/cpu', 'src/memory', 'src/model', 'src/vm'] },
  'src/board': { imports: ['src/kvm'] },
  'src/replay': { imports: ['journal', 'src/cpu', 'src/vm', 'src/kvm', 'src/board'], packages: ['rxjs'] },
  'src/migrate': { imports: ['journal', 'src/model', 'src/kvm', 'src/replay'], packages: ['rxjs'] },
  'src/debug': { imports: ['src/isa', 'src/cpu', 'src/replay'], packages: ['rxjs'] },
  'src/web': { imports: ['src/isa', 'src/replay', 'src/migrate', 'src/host'], packages: ['rxjs'] },
  'src/cli': {
    imports: ['journal', 'src/isa', 'src/cpu', 'src/model', 'src/transitions', 'src/vm', 'src/kvm', 'src/board', 'src/replay', 'src/migrate', 'src/debug', 'src/web', 'src/host'],
    packages: ['rxjs', 'iced-x86'],
  },
};

/** Packages that a single file may import. */
export const packageOfFile: Readonly<Record<string, readonly string[]>> = {
  'journal/store.ts': ['better-sqlite3'],
  'journal/codec.ts': ['msgpackr'],
  // Hashes only.
  'journal/pages.ts': ['node:crypto'],
  'src/vm/evolve.ts': ['immer'],
};

/** Rooms without limits: they stand outside the program. */
export const outside = ['tools', 'tests'];

/** Where the program begins: every other file is reached from one of these by imports, or it is not used. */
export const entries = [/^src\/cli\/main\.ts$/, /^tools\/[^/]+\.ts$/];

/** Files that no entry reaches, each with the reason why it is here. */
export const unreached: Readonly<Record<string, string>> = {
  'src/wasm/webassembly.d.ts': 'declarations that the compiler reads by itself',
};
