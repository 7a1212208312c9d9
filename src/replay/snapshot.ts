// Snapshots of a running machine: taking one costs what was written since the last, restoring one needs a fresh machine. The recorder
// takes them, replay and seek restore them.
import { corrupt, JournalError } from '../../journal/error.ts';
import type { Plain } from '../../journal/events.ts';
import { createPageList, createPageTable, isZeroHash, pagesIn } from '../../journal/pages.ts';
import { decodeState, encodeState, resolvePages, type Snapshot } from '../../journal/snapshots.ts';
import type { Journal } from '../../journal/store.ts';
import type { BoardState } from '../board/board.ts';
import type { Machine } from './machine.ts';

export interface TakenSnapshot {
  readonly snapshot: Snapshot;
  /** Pages whose content is new since the last snapshot. The bytes are views of RAM: use them at once. */
  readonly pages: readonly { readonly hash: Uint8Array; readonly bytes: Uint8Array }[];
}

export interface SnapshotTaker {
  /** Pages that the next snapshot would have to look at. */
  dirtyCount(): number;
  take(): TakenSnapshot;
}

/** So many snapshots in a row may build on each other before one lists all pages. */
const CHAIN = 16;

/** Takes the snapshots of one machine, in order. The first must come before the guest runs. */
export function createSnapshotTaker(machine: Machine): SnapshotTaker {
  const { vm, board } = machine;
  const table = createPageTable();
  const dirty = new Set<number>();
  let number = 0, allPages = 0, changedPages = 0;

  const collectDirty = (): void => {
    for (const page of vm.takeDirtyPages()) dirty.add(page);
  };

  /** The list of dirty pages whose content is new, and their content. */
  function changedSince(): { list: Uint8Array; pages: TakenSnapshot['pages'] } {
    collectDirty();
    const list = createPageList(dirty.size);
    const pages: { hash: Uint8Array; bytes: Uint8Array }[] = [];
    for (const page of Uint32Array.from(dirty).sort()) {
      const bytes = vm.ramPage(page), hash = table.update(page, bytes);
      if (hash === undefined) continue;
      list.add(page, hash);
      if (!isZeroHash(hash)) pages.push({ hash, bytes });
    }
    dirty.clear();
    return { list: list.bytes(), pages };
  }

  return {
    dirtyCount() {
      collectDirty();
      return dirty.size;
    },
    take() {
      const { list, pages } = changedSince();
      changedPages += pagesIn(list);
      const complete = number % CHAIN === 0 || changedPages > allPages;
      const all = complete ? table.all() : list;
      if (complete) {
        allPages = pagesIn(all);
        changedPages = 0;
      }
      const record = encodeState({ vcpus: vm.vcpus.map((vcpu) => vcpu.saveState()), vm: vm.saveVmState() as Plain, board: board.saveState() as unknown as Plain });
      const snapshot: Snapshot = { number, icount: machine.icount(), base: complete ? null : number - 1, record, pages: all };
      number++;
      return { snapshot, pages };
    },
  };
}

/** Puts a fresh machine where snapshot `number` was taken. */
export function restoreSnapshot(machine: Machine, journal: Journal, number: number): void {
  const { vm, board, pageCount } = machine, where = `snapshot ${number}`;
  const snapshot = journal.snapshot(number);
  const state = decodeState(snapshot.record, vm.vcpus.length, where);
  checkShape(state.vm, vm.saveVmState() as Plain, `${where}, VM`);
  checkShape(state.board, board.saveState() as unknown as Plain, `${where}, board`);
  const { turn } = state.board as unknown as BoardState;
  if (!vm.vcpus[turn.vcpu]) throw corrupt(`${where}, board.turn`, `there is no vCPU ${turn.vcpu}`);
  try {
    vm.loadVmState(state.vm);
    state.vcpus.forEach((bytes, index) => vm.vcpus[index]!.loadState(bytes));
    board.loadState(state.board as unknown as BoardState);
  } catch (error) {
    throw error instanceof JournalError ? error : corrupt(where, `the machine does not take its state (${error instanceof Error ? error.message : String(error)})`);
  }
  for (const [page, hash] of resolvePages(journal.snapshot, number, pageCount)) {
    if (!isZeroHash(hash)) vm.restoreRamPage(page, journal.page(hash));
  }
  if (machine.icount() !== snapshot.icount) throw corrupt(where, `its vCPUs have retired ${machine.icount()} instructions, its event says ${snapshot.icount}`);
}

/** State from a file must be built like the state of a fresh machine: same names, same types. An empty array of the pattern says nothing
 * about its elements. */
function checkShape(value: Plain, pattern: Plain, where: string): void {
  if (typeOf(value) !== typeOf(pattern)) throw corrupt(where, `${typeOf(value)} where ${typeOf(pattern)} is expected`);
  if (Array.isArray(pattern)) {
    const [first] = pattern as readonly Plain[];
    if (first !== undefined) (value as readonly Plain[]).forEach((each, index) => checkShape(each, first, `${where}[${index}]`));
  } else if (typeOf(pattern) === 'object') {
    const found = value as Record<string, Plain>, expected = pattern as Record<string, Plain>;
    for (const name of Object.keys(expected)) checkShape(found[name] ?? null, expected[name]!, `${where}.${name}`);
  }
}

const typeOf = (value: Plain): string =>
  value === null ? 'null' : Array.isArray(value) ? 'array' : value instanceof Uint8Array ? 'bytes' : typeof value;
