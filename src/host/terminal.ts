// Standard input, output and error. Output is written at once and in full, so that a guest's last words are not lost when the
// process ends, and a closed pipe (`retro events | head`) ends the program quietly.
import { readFileSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';

const STDIN = 0, STDOUT = 1, STDERR = 2;

/** Writes everything, waiting where a pipe is full. */
function writeAll(descriptor: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EPIPE') process.exit(0);
      if (code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

const encoder = new TextEncoder();
const bytesOf = (content: string | Uint8Array): Uint8Array => typeof content === 'string' ? encoder.encode(content) : content;
export const writeOutput = (content: string | Uint8Array): void => writeAll(STDOUT, bytesOf(content));
export const writeError = (content: string): void => writeAll(STDERR, bytesOf(content));

export const errorIsTerminal = (): boolean => isatty(STDERR);

/** All of standard input. */
export const readInput = (): Uint8Array => readFileSync(STDIN);
