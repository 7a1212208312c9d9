// Runs one multiboot image in v86 until the benchmark says that it is done, and prints what the guest wrote to COM1.
// node tools/bench/v86.mjs V86-PACKAGE IMAGE OPTIONS; tools/bench/peers.ts starts it.
import { readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [library, image, options] = process.argv.slice(2);
const { V86 } = await import(pathToFileURL(join(library, 'build/libv86.mjs')).href);
const bytes = readFileSync(image);
const emulator = new V86({
  wasm_path: join(library, 'build/v86.wasm'),
  memory_size: 512 << 20,
  multiboot: { buffer: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length) },
  cmdline: options,
  autostart: true,
  disable_keyboard: true,
  disable_mouse: true,
  disable_speaker: true,
});
let text = '';
emulator.add_listener('serial0-output-byte', (byte) => {
  text += String.fromCharCode(byte);
  if (!text.endsWith('BENCH end\n')) return;
  writeSync(1, text);
  process.exit(0);
});
