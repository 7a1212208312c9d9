// The table of functions: which slot holds the handler of which shape, and the batches in which handlers are built. Called by `blocks.ts`
// while it decodes, and by `index.ts`.
import { importCore, Slot, type Core, type CoreExports } from './core.ts';
import { Module } from './encode.ts';
import type { Functions } from './emit.ts';
import { createFunctions } from './functions.ts';
import { emitGroup, emitHandler } from './interpreter.ts';
import type { Shape } from './shapes.ts';
import { emitTransfer } from './transfers.ts';

export interface Handlers {
  /** The slot of a shape's handler; it can be called after the next `build`. */
  slotOf(shape: Shape): number;
  /** The slot of a shape that has a handler; undefined if it has none. */
  plainSlot(shape: Shape): number | undefined;
  /** The slot of a function for instructions of these shapes, one behind the other; likewise after the next `build`. */
  groupSlot(shapes: readonly Shape[]): number;
  isGroup(slot: number): boolean;
  /** Builds what was asked for since the last time, in one module. */
  build(): void;
  /** A free slot, for functions of others. */
  allocate(): number;
  /** Handlers that stand before that of system instructions; likewise after the next `build`. */
  transferSlot(kind: keyof typeof emitTransfer): number;
  readonly functions: Functions;
  readonly count: number;
}

export function createHandlers(memory: WebAssembly.Memory, table: WebAssembly.Table, core: CoreExports): Handlers {
  const slots = new Map<Shape, number>();
  const groups = new Map<string, number>(), groupSlots = new Set<number>();
  const transfers = new Map<string, number>();
  let waiting: { readonly slot: number; readonly emit: (module: Module, imported: Core) => number }[] = [], free: number = Slot.first;
  const allocate = (): number => {
    if (free === table.length) table.grow(table.length);
    return free++;
  };
  const functions = createFunctions(table, memory, allocate);
  return {
    allocate, functions,
    get count() { return slots.size; },
    slotOf(shape) {
      let slot = slots.get(shape);
      if (slot === undefined) {
        slot = allocate();
        slots.set(shape, slot);
        waiting.push({ slot, emit: (module, imported) => emitHandler(module, imported, functions, shape) });
      }
      return slot;
    },
    isGroup: (slot) => groupSlots.has(slot),
    plainSlot: (shape) => slots.get(shape),
    groupSlot(shapes) {
      const key = shapes.map((shape) => slots.get(shape)!).join();
      let slot = groups.get(key);
      if (slot === undefined) {
        slot = allocate();
        groups.set(key, slot);
        groupSlots.add(slot);
        waiting.push({ slot, emit: (module, imported) => emitGroup(module, imported, functions, shapes) });
      }
      return slot;
    },
    transferSlot(kind) {
      let slot = transfers.get(kind);
      if (slot === undefined) {
        slot = allocate();
        transfers.set(kind, slot);
        waiting.push({ slot, emit: (module, imported) => emitTransfer[kind](module, imported, functions) });
      }
      return slot;
    },
    build() {
      if (waiting.length === 0) return;
      const module = new Module();
      const imported = importCore(module);
      for (const { slot, emit } of waiting) module.element(slot, [emit(module, imported)]);
      waiting = [];
      void new WebAssembly.Instance(new WebAssembly.Module(module.finish()), { core: { ...core, memory, table } });
    },
  };
}
