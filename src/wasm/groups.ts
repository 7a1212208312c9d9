// The interpreter alone, where it is hot: instructions behind each other are done by one function of the table, which saves the tail calls
// between them. Records keep their operands, counts and faults are those of the single instructions, and functions are shared by all code
// that has the same shapes in the same order. Called by `index.ts` where slices end; the translator does better and does not use it.
import type { Instruction } from '../isa/instruction.ts';
import type { Page } from './blocks.ts';
import type { Handlers } from './handlers.ts';
import { continues, isRepeated } from './interpreter.ts';
import { Field, RECORD_SIZE } from './layout.ts';
import { shapeOf, type Shape } from './shapes.ts';

/** Instructions of one group: the gain of each more is small then, and the code is not. */
const LONGEST = 12;
export interface Groups {
  /** A slice ended at `offset` of `page`. Says whether nothing is left to do there. */
  sample(page: Page, offset: number): boolean;
}

/** `threshold`: looks that find the same place before it is grouped. */
export function createGroups(u32: Uint32Array, handlers: Handlers, threshold: number, instructionAt: (record: number) => Instruction | undefined): Groups {
  const heat = new WeakMap<Page, Map<number, number>>();
  /** Targets of the branches in a page, as long as it has so many blocks: only where groups begin depends on it. */
  const heads = new WeakMap<Page, { readonly blocks: number; readonly targets: ReadonlySet<number> }>();
  const handlerOf = (record: number): number => u32[(record + Field.handler) >> 2]!;
  const plainOf = (record: number): number => u32[(record + Field.plain) >> 2]!;

  function sample(page: Page, offset: number): boolean {
    const head = headOf(page, offset);
    if (handlerOf(page.records[head]!) !== plainOf(page.records[head]!)) return true;
    let places = heat.get(page);
    if (!places) heat.set(page, places = new Map());
    const seen = (places.get(head) ?? 0) + 1;
    places.set(head, seen);
    if (seen < threshold) return false;
    // Once: a place where no group can be made is left alone.
    if (seen === threshold) group(page, head);
    return seen > threshold;
  }

  const isBehind = (page: Page, before: number, offset: number): boolean => {
    const instruction = before >= 0 ? instructionAt(page.records[before]!) : undefined;
    return instruction !== undefined && before + instruction.length === offset && page.records[before] === page.records[offset]! - RECORD_SIZE;
  };

  /** Where control enters the run of records that an offset lies in: a target of a branch of this page, or the first one. */
  function headOf(page: Page, offset: number): number {
    const targets = targetsIn(page);
    for (let head = offset; ;) {
      if (targets.has(head)) return head;
      let before = head - 1;
      while (before >= 0 && head - before <= 15 && (page.records[before] === 0 || !isBehind(page, before, head))) before--;
      if (before < 0 || head - before > 15) return head;
      head = before;
    }
  }

  function targetsIn(page: Page): ReadonlySet<number> {
    const known = heads.get(page);
    if (known?.blocks === page.blocks.length) return known.targets;
    const targets = new Set<number>();
    heads.set(page, { blocks: page.blocks.length, targets });
    page.records.forEach((record, offset) => {
      const instruction = record === 0 ? undefined : instructionAt(record);
      const operand = instruction?.operands[0];
      if (operand?.kind === 'relative') targets.add(offset + instruction!.length + Number(operand.displacement));
    });
    return targets;
  }

  /** Groups from a head on, to the end of its run; other heads in between begin groups of their own, which overlap with those before. */
  function group(page: Page, head: number): void {
    const targets = targetsIn(page);
    const run: { readonly offset: number; readonly record: number; readonly shape: Shape | undefined }[] = [];
    for (let offset = head, record = page.records[head]!; run.length < 64; record += RECORD_SIZE) {
      const instruction = page.records[offset] === record ? instructionAt(record) : undefined;
      if (!instruction) break;
      const relative = instruction.operands[0]?.kind === 'relative';
      const shape = shapeOf(instruction, page.context.mode, relative);
      run.push({ offset, record, shape: shape && !shape.outcome.system && !isRepeated(shape) ? shape : undefined });
      offset += instruction.length;
    }
    const install: [number, number][] = [];
    let next = 0;
    run.forEach(({ offset, record }, at) => {
      if (at !== next && !targets.has(offset)) return;
      const shapes: Shape[] = [];
      while (shapes.length < LONGEST) {
        const shape = run[at + shapes.length]?.shape;
        if (!shape || handlers.plainSlot(shape) !== plainOf(run[at + shapes.length]!.record)) break;
        shapes.push(shape);
        if (!continues(shape)) break;
      }
      if (at === next) next = at + Math.max(1, shapes.length);
      if (shapes.length > 1 && handlerOf(record) === plainOf(record)) install.push([record, handlers.groupSlot(shapes)]);
    });
    handlers.build();
    for (const [record, slot] of install) u32[(record + Field.handler) >> 2] = slot;
  }

  return { sample };
}
