// The host's files. Failures become a UserError that names the file and says what to do.
import { existsSync, readFileSync, rmSync, statSync } from 'node:fs';
import { UserError } from './errors.ts';

const advice: Readonly<Record<string, string>> = {
  ENOENT: 'Check the path.',
  EACCES: 'Check the permissions of the file and of its folder.',
  EISDIR: 'Name a file, not a folder.',
};
const problems: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  EACCES: 'access is denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is not a folder',
};

/** The error that the system gave for reading `path`, as the user should see it. */
function worldError(path: string, error: unknown): UserError {
  const code = (error as NodeJS.ErrnoException).code ?? 'EIO';
  return new UserError(code, `Cannot read ${path}: ${problems[code] ?? (error as Error).message}.`, advice[code] ?? 'Check the path.');
}

export function readFile(path: string, maximumBytes = Infinity): Uint8Array {
  let size: number;
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) throw Object.assign(new Error(), { code: 'EISDIR' });
    size = stat.size;
    if (size <= maximumBytes) return readFileSync(path);
  } catch (error) {
    throw worldError(path, error);
  }
  throw new UserError('EFBIG', `${path} has ${size} bytes, more than the ${maximumBytes} that can be used here.`, 'Is it the right file?');
}

export const fileExists = (path: string): boolean => existsSync(path);
export const removeFile = (path: string): void => rmSync(path, { force: true });

/** Bytes of a file, 0 when there is none. */
export const fileSize = (path: string): number => statSync(path, { throwIfNoEntry: false })?.size ?? 0;
