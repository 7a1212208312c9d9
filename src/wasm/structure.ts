// From a control-flow graph to WebAssembly's nested blocks and loops. Loops of the graph become WebAssembly loops, every other jump goes
// forward out of a block, and only what fits neither (an entry into the middle of a loop, an irreducible edge) takes a `br_table`.
// Called by `translator.ts`; it knows no x86: nodes are numbers.
import { Op, type Code } from './encode.ts';

/** A block, or a loop whose first item is its header. */
export type Item = { readonly block: number } | Loop;
export interface Loop {
  readonly header: number;
  readonly items: readonly Item[];
  /** Some jump enters past the header, so the loop begins with a dispatch on the local `next`. */
  dispatches: boolean;
}

const headOf = (item: Item): number => ('block' in item ? item.block : item.header);
const blocksOf = (item: Item): readonly number[] => ('block' in item ? [item.block] : item.items.flatMap(blocksOf));

/** Nodes in reverse postorder from node 0; unreachable ones follow. */
function reversePostorder(successors: readonly (readonly number[])[], fromHead: ReadonlySet<number>): number[] {
  const seen = new Uint8Array(successors.length);
  const order: number[] = [];
  const visit = (start: number): void => {
    const path: { node: number; next: number }[] = [{ node: start, next: 0 }];
    seen[start] = 1;
    while (path.length > 0) {
      const top = path[path.length - 1]!;
      const target = successors[top.node]![top.next++];
      if (target === undefined) {
        order.push(top.node);
        path.pop();
      } else if (!seen[target]) {
        seen[target] = 1;
        path.push({ node: target, next: 0 });
      }
    }
  };
  // Later roots are visited first so that, reversed, node 0 leads.
  for (let node = successors.length - 1; node > 0; node--) if (!fromHead.has(node) && !seen[node]) visit(node);
  visit(0);
  return order.reverse();
}

function reachable(successors: readonly (readonly number[])[]): ReadonlySet<number> {
  const found = new Set([0]);
  for (const node of found) for (const target of successors[node]!) found.add(target);
  return found;
}

/** Immediate dominators by the iterative method of Cooper, Harvey and Kennedy; `rank` is the position in reverse postorder. */
function dominators(
  order: readonly number[], rank: readonly number[], predecessors: readonly (readonly number[])[], fromHead: ReadonlySet<number>,
): number[] {
  const dominator = new Array<number>(order.length).fill(-1);
  dominator[order[0]!] = order[0]!;
  const meet = (left: number, right: number): number => {
    let a = left, b = right;
    while (a !== b) {
      while (rank[a]! > rank[b]!) a = dominator[a]!;
      while (rank[b]! > rank[a]!) b = dominator[b]!;
    }
    return a;
  };
  for (let changed = true; changed;) {
    changed = false;
    for (const node of order.slice(1)) {
      // What only dispatch reaches hangs below the head.
      const known = fromHead.has(node) ? predecessors[node]!.filter((each) => dominator[each] !== -1) : [];
      const found = known.length > 0 ? known.reduce(meet) : order[0]!;
      if (dominator[node] !== found) {
        dominator[node] = found;
        changed = true;
      }
    }
  }
  return dominator;
}

/**
 * Orders the blocks of a region and nests its loops. Node 0 is the head; `entries` are the nodes that the outer dispatch may jump to.
 */
export function structure(successors: readonly (readonly number[])[], entries: readonly number[]): readonly Item[] {
  const count = successors.length;
  const fromHead = reachable(successors);
  const order = reversePostorder(successors, fromHead);
  const rank = new Array<number>(count);
  order.forEach((node, position) => { rank[node] = position; });
  const predecessors: number[][] = successors.map(() => []);
  successors.forEach((targets, node) => { for (const target of targets) predecessors[target]!.push(node); });
  const dominator = dominators(order, rank, predecessors, fromHead);
  const dominates = (above: number, node: number): boolean => {
    for (let each = node; ; each = dominator[each]!) {
      if (each === above) return true;
      if (each === dominator[each]) return false;
    }
  };

  // Natural loops, one per header.
  const bodies = new Map<number, Set<number>>();
  for (let node = 0; node < count; node++) {
    for (const header of successors[node]!) {
      if (!dominates(header, node)) continue;
      const body = bodies.get(header) ?? new Set([header]);
      bodies.set(header, body);
      const work = [node];
      for (let each = work.pop(); each !== undefined; each = work.pop()) {
        if (body.has(each)) continue;
        body.add(each);
        work.push(...predecessors[each]!);
      }
    }
  }

  const headers = [...bodies.keys()].sort((a, b) => bodies.get(a)!.size - bodies.get(b)!.size);
  const nest = (members: ReadonlySet<number>, inside: number): Item[] => {
    const inner = headers.filter((header) => header !== inside && members.has(header));
    // The largest loops that lie wholly within these members, and not within each other.
    const direct = inner.filter((header) => !inner.some((other) => other !== header && bodies.get(other)!.has(header)));
    const covered = new Set(direct.flatMap((header) => [...bodies.get(header)!]));
    const items: Item[] = direct.map((header) => ({ header, items: nest(bodies.get(header)!, header), dispatches: false }));
    for (const node of members) if (!covered.has(node)) items.push({ block: node });
    return items.sort((a, b) => rank[headOf(a)]! - rank[headOf(b)]!);
  };
  const items = nest(new Set(order), -1);
  markDispatches(items, successors, entries);
  return items;
}

/** Marks every loop that some jump enters elsewhere than at its header. */
function markDispatches(items: readonly Item[], successors: readonly (readonly number[])[], entries: readonly number[]): void {
  for (const item of items) {
    if ('block' in item) continue;
    const members = item.items.flatMap(blocksOf);
    const inside = new Set(members);
    const place = placesOf(item.items);
    item.dispatches = entries.some((entry) => entry !== item.header && inside.has(entry))
      || successors.some((targets, node) => targets.some((target) => target !== item.header && inside.has(target)
        && (!inside.has(node) || place.get(target)! < place.get(node)!)));
    markDispatches(item.items, successors, entries);
  }
}

const placesOf = (items: readonly Item[]): ReadonlyMap<number, number> =>
  new Map(items.flatMap((item, position) => blocksOf(item).map((block): [number, number] => [block, position])));

interface Frame {
  readonly place: ReadonlyMap<number, number>;
  readonly items: readonly Item[];
  /** Label of each item not yet begun. */
  readonly labels: number[];
  current: number;
  /** The loop that repeats this sequence. */
  readonly again: number;
  readonly loop: Loop | undefined;
}

/** Jumps to a block of the region from the code being emitted. */
export type Jump = (target: number) => void;

/**
 * Emits the region: an outer loop that dispatches on the local `next`, then every block through `emitBlock`, which must end in jumps or leave.
 * `dispatch` emits a jump to the block whose number is in `next`, one of the entries.
 */
export function emitStructure(
  code: Code, items: readonly Item[], next: number, emitBlock: (block: number, jump: Jump, dispatch: () => void) => void,
): void {
  const frames: Frame[] = [];
  const blockCount = Math.max(...items.flatMap(blocksOf)) + 1;

  /** Where to branch to for a block, and whether what is there looks at `next`. */
  const way = (target: number): { label: number; looks: boolean } => {
    for (let depth = frames.length - 1; depth >= 0; depth--) {
      const { place, items: siblings, labels, current, again, loop } = frames[depth]!;
      const position = place.get(target);
      if (position === undefined) continue;
      const item = siblings[position]!;
      if (position > current) return { label: labels[position]!, looks: !('block' in item) && item.dispatches };
      return { label: again, looks: loop === undefined || loop.dispatches };
    }
    throw new Error(`block ${target} is not in the region`);
  };
  const jump: Jump = (target) => {
    const { label, looks } = way(target);
    if (looks) {
      code.i32(target);
      code.set(next);
    }
    code.br(label);
  };
  /** Entries are reached wherever they are; a block that is no entry is never in `next`. */
  const dispatch = (): void => {
    code.get(next);
    const labels = Array.from({ length: blockCount }, (_, block) => way(block).label);
    code.brTable(labels, labels[0]!);
  };

  const sequence = (siblings: readonly Item[], loop: Loop | undefined): void => {
    const again = code.loop();
    const place = placesOf(siblings);
    const labels = new Array<number>(siblings.length).fill(0);
    for (let position = siblings.length - 1; position >= 0; position--) labels[position] = code.block();
    const table = (): void => {
      code.get(next);
      const count = Math.max(...place.keys()) + 1;
      code.brTable(Array.from({ length: count }, (_, block) => labels[place.get(block) ?? 0]!), labels[0]!);
    };
    if (loop === undefined) table();
    else if (loop.dispatches) {
      code.get(next);
      code.i32(loop.header);
      code.op(Op.i32Ne);
      code.if();
      table();
      code.end();
      code.br(labels[0]!);
    }
    const frame: Frame = { place, items: siblings, labels, current: 0, again, loop };
    frames.push(frame);
    siblings.forEach((item, position) => {
      code.end();
      frame.current = position;
      if ('block' in item) emitBlock(item.block, jump, dispatch);
      else sequence(item.items, item);
    });
    frames.pop();
    code.op(Op.unreachable);
    code.end();
  };
  sequence(items, undefined);
}
