// The layering test: facts about the program's shape, read from its imports. It holds the table in tools/layers.ts against every
// file, and fails with the file and the import that break it.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { entries, outside, packageOfFile, rooms, unreached } from '../../tools/layers.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

function filesUnder(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    return entry.isDirectory() ? filesUnder(path) : /\.ts$/.test(entry.name) ? [path] : [];
  });
}

const files = ['src', 'journal', 'tools', 'tests'].flatMap(filesUnder).sort();
const program = files.filter((file) => !outside.some((folder) => file.startsWith(`${folder}/`)));

/** What a file imports, as written; type imports and lazy imports count too. */
const importsOf = new Map(files.map((file) =>
  [file, ts.preProcessFile(readFileSync(join(root, file), 'utf8'), true, true).importedFiles.map(({ fileName }) => fileName)]));

const target = (file: string, specifier: string): string => relative(root, join(root, dirname(file), specifier));
const ours = (specifier: string): boolean => specifier.startsWith('.');
const roomOf = (file: string): string => file.startsWith('src/') ? file.split('/').slice(0, 2).join('/') : file.split('/')[0]!;

function mayImport(file: string, imported: string): boolean {
  const from = roomOf(file), to = roomOf(imported);
  return from === to || rooms[from]!.imports.some((entry) => entry === to || `${entry}.ts` === imported);
}

function mayUsePackage(file: string, name: string): boolean {
  const allowed = [...rooms[roomOf(file)]!.packages ?? [], ...packageOfFile[file] ?? []];
  return allowed.some((entry) => entry === name || name.startsWith(`${entry}/`) || (entry === 'node:*' && name.startsWith('node:')));
}

/** Every file that the entries reach by imports. */
function reached(): Set<string> {
  const seen = new Set<string>();
  const queue = files.filter((file) => entries.some((entry) => entry.test(file)));
  for (let file = queue.pop(); file !== undefined; file = queue.pop()) {
    if (seen.has(file)) continue;
    seen.add(file);
    for (const specifier of importsOf.get(file) ?? []) if (ours(specifier)) queue.push(target(file, specifier));
  }
  return seen;
}

describe('layers', () => {
  test('every folder is a room of the table', () => {
    expect([...new Set(program.map(roomOf))].filter((room) => !(room in rooms))).toEqual([]);
  });

  test('imports go only where the table lets them', () => {
    const wrong = program.flatMap((file) => importsOf.get(file)!
      .filter((specifier) => ours(specifier) && !mayImport(file, target(file, specifier)))
      .map((specifier) => `${file} imports ${target(file, specifier)}`));
    expect(wrong).toEqual([]);
  });

  test('packages and Node modules are used only where the table lets them', () => {
    const wrong = program.flatMap((file) => importsOf.get(file)!
      .filter((specifier) => !ours(specifier) && !mayUsePackage(file, specifier))
      .map((specifier) => `${file} imports ${specifier}`));
    expect(wrong).toEqual([]);
  });

  test('rooms import in one direction', () => {
    const above = (room: string, seen = new Set<string>()): Set<string> => {
      for (const entry of rooms[room]!.imports.filter((name) => name in rooms)) {
        if (!seen.has(entry)) { seen.add(entry); above(entry, seen); }
      }
      return seen;
    };
    expect(Object.keys(rooms).filter((room) => above(room).has(room))).toEqual([]);
  });

  test('every file is used, or says why it is here', () => {
    const used = reached();
    expect(program.filter((file) => !used.has(file) && !(file in unreached))).toEqual([]);
    expect(Object.keys(unreached).filter((file) => used.has(file) || !files.includes(file)), 'these are used now').toEqual([]);
  });
});
