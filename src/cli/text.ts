// How numbers and tables look: everything that `retro` prints for people passes here. Numbers are grouped the same way on every host.

/** 1234567 -> "1,234,567". */
export const grouped = (value: number | bigint): string => value.toString().replace(/\B(?=(\d{3})+$)/g, ',');

/** Bytes with a binary unit: "12.3 KiB". */
export function bytes(count: number): string {
  const names = ['bytes', 'KiB', 'MiB', 'GiB'];
  let unit = 0, value = count;
  for (; value >= 1024 && unit < names.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${names[unit]}`;
}

/** A duration: "1.23 s", "45.6 ms". */
export const duration = (ms: number): string => ms >= 1000 ? `${(ms / 1000).toFixed(2)} s` : `${ms.toFixed(ms < 10 ? 2 : 1)} ms`;

/** Millions of instructions a second; "-" when there is nothing to divide. */
export const mips = (instructions: number | bigint, ms: number): string => ms > 0 ? (Number(instructions) / ms / 1000).toFixed(0) : '-';

export const hex = (value: number | bigint, digits = 0): string => value.toString(16).padStart(digits, '0');

export interface Column { readonly title: string; readonly right?: boolean }

/** A table with aligned columns and a rule under the titles. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...rows.map((row) => (row[at] ?? '').length)));
  const line = (cells: readonly string[]): string => columns
    .map(({ right }, at) => right ? (cells[at] ?? '').padStart(widths[at]!) : (cells[at] ?? '').padEnd(widths[at]!)).join('  ').trimEnd();
  return [line(columns.map(({ title }) => title)), widths.map((width) => '─'.repeat(width)).join('  '), ...rows.map(line)]
    .map((text) => `${text}\n`).join('');
}

/** Names on the left, values on the right. */
export function list(rows: readonly (readonly [name: string, value: string])[]): string {
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`.trimEnd() + '\n').join('');
}

function plain(this: Readonly<Record<string, unknown>>, key: string): unknown {
  const value = this[key];
  if (typeof value === 'bigint') return value.toString();
  if (value instanceof Uint8Array) return Array.from(value, (byte) => hex(byte, 2)).join('');
  return value instanceof Map ? Object.fromEntries(value as Map<string, unknown>) : value;
}

/** JSON with bigints as decimal strings and bytes as hexadecimal, over several lines. */
export const json = (value: unknown): string => `${JSON.stringify(value, plain, 2)}\n`;
/** The same on one line: a row of a longer output. */
export const jsonLine = (value: unknown): string => `${JSON.stringify(value, plain)}\n`;

/** Wraps a paragraph at `width`. */
export function wrap(text: string, width = 100): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line].join('\n');
}
