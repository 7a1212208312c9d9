// Where the project is: the programs in tools run from their source and from dist/, and both read files of the source tree.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findRoot(folder: string): string {
  return existsSync(join(folder, 'package.json')) ? folder : findRoot(dirname(folder));
}

export const root = findRoot(dirname(fileURLToPath(import.meta.url)));
export const inProject = (...path: string[]): string => join(root, ...path);
/** The command line as it was built: what tools run when they measure or test the program from outside. */
export const retro = inProject('dist/src/cli/main.js');
