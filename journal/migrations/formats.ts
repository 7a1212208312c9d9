// Every format version there ever was, oldest first. A reader opens all of them; only the newest is written.
import { version1 } from './version-1.ts';

/** An event's columns before they are checked. */
export interface StoredColumns { readonly kind: string; readonly payload: Uint8Array }

export interface Format {
  readonly version: number;
  /** The oldest format version that a reader must know to read files of this one. */
  readonly oldestReader: number;
  /** The statements that make an empty journal. */
  readonly schema: readonly string[];
  /** From an event of this version to the same event of the next; absent in the newest, and where nothing changed. */
  readonly upcast?: (event: StoredColumns) => StoredColumns;
}

export const formats: readonly Format[] = [version1];
export const newest: Format = formats.at(-1)!;

/** The way from an event of `version` to one of the newest, or undefined when there is nothing to do. */
export function upcastFrom(version: number): ((event: StoredColumns) => StoredColumns) | undefined {
  const steps = formats.filter((format) => format.version >= version).flatMap(({ upcast }) => upcast ?? []);
  return steps.length === 0 ? undefined : (event) => steps.reduce((value, step) => step(value), event);
}
