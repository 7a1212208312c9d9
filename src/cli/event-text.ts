// An event's fields on one line, for tables and messages.
import type { Event } from '../../journal/events.ts';
import { hex } from './text.ts';

const WIDTH = 100;
/** Details that are addresses although they are small enough for a number. */
const addresses: ReadonlySet<string> = new Set(['vmcb', 'smbase']);

export function shown(value: unknown): string {
  if (value instanceof Uint8Array) {
    const text = String.fromCharCode(...value.subarray(0, WIDTH));
    return /^[\x20-\x7e\r\n\t]*$/.test(text) ? JSON.stringify(text) : Array.from(value.subarray(0, WIDTH / 2), (byte) => hex(byte, 2)).join('');
  }
  if (Array.isArray(value)) return value.map(shown).join(' ');
  if (typeof value === 'bigint') return `0x${hex(value)}`;
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value).map(([name, inner]) => `${name}=${typeof inner === 'number' && addresses.has(name) ? `0x${hex(inner)}` : shown(inner)}`).join(' ');
  }
  return String(value);
}

export function fieldsText(event: Event): string {
  const text = Object.entries(event).filter(([name]) => name !== 'kind').map(([name, value]) => name === 'detail' ? shown(value) : `${name}=${shown(value)}`).join(' ');
  return text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text;
}

