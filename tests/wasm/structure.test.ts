// Random control-flow graphs, reducible or not, run as WebAssembly and by hand: the same walk.
import { expect, test } from 'vitest';
import { I32, Module, Op } from '../../src/wasm/encode.ts';
import { emitStructure, structure } from '../../src/wasm/structure.ts';

function generator(seed: number): (bound: number) => number {
  let state = seed >>> 0 || 1;
  return (bound) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % bound;
  };
}

interface Graph { readonly successors: readonly (readonly number[])[]; readonly entries: readonly number[] }

function randomGraph(random: (bound: number) => number): Graph {
  const count = 1 + random(12);
  // Every node hangs below an earlier one, so that all are reachable.
  const successors = Array.from({ length: count }, (): number[] => []);
  for (let node = 1; node < count; node++) {
    const room = Array.from({ length: node }, (_, each) => each).filter((each) => successors[each]!.length < 2);
    successors[room[random(room.length)]!]!.push(node);
  }
  for (const targets of successors) {
    const more = random(count);
    if (targets.length === 0 || (targets.length === 1 && random(2) && !targets.includes(more))) targets.push(more);
  }
  const entries = [0, ...Array.from({ length: count }, (_, node) => node).filter((node) => node > 0 && random(4) === 0)];
  return { successors, entries };
}

const mix = (hash: number, block: number): number => (Math.imul(hash, 31) + block) | 0;
/** Which successor a hash chooses, or which entry it dispatches to. */
const dispatches = (hash: number): boolean => (hash & 15) === 0;

function walk({ successors, entries }: Graph, entry: number, steps: number): number {
  let hash = 7, block = entry;
  for (let step = 0; step < steps; step++) {
    hash = mix(hash, block);
    if (dispatches(hash)) block = entries[(hash >>> 8) % entries.length]!;
    else {
      const targets = successors[block]!;
      block = targets.length === 1 || (hash >>> 4 & 1) === 0 ? targets[0]! : targets[1]!;
    }
  }
  return hash;
}

function compile({ successors, entries }: Graph): (entry: number, steps: number) => number {
  const module = new Module();
  const { code, index } = module.function(module.type([I32, I32], [I32]));
  const hash = code.local(I32);
  code.i32(7);
  code.set(hash);
  emitStructure(code, structure(successors, entries), 0, (block, jump, dispatch) => {
    code.get(1);
    code.op(Op.i32Eqz);
    code.if();
    code.get(hash);
    code.return();
    code.end();
    code.get(1);
    code.i32(1);
    code.op(Op.i32Sub);
    code.set(1);
    code.get(hash);
    code.i32(31);
    code.op(Op.i32Mul);
    code.i32(block);
    code.op(Op.i32Add);
    code.set(hash);
    code.get(hash);
    code.i32(15);
    code.op(Op.i32And);
    code.op(Op.i32Eqz);
    code.if();
    entries.forEach((entry, position) => {
      code.get(hash);
      code.i32(8);
      code.op(Op.i32ShrU);
      code.i32(entries.length);
      code.op(Op.i32RemU);
      code.i32(position);
      code.op(Op.i32Eq);
      code.if();
      code.i32(entry);
      code.set(0);
      dispatch();
      code.end();
    });
    code.end();
    const targets = successors[block]!;
    if (targets.length === 2) {
      code.get(hash);
      code.i32(16);
      code.op(Op.i32And);
      code.if();
      jump(targets[1]!);
      code.end();
    }
    jump(targets[0]!);
  });
  code.op(Op.unreachable);
  module.export('run', index);
  const instance = new WebAssembly.Instance(new WebAssembly.Module(module.finish()));
  return instance.exports['run'] as (entry: number, steps: number) => number;
}

test('a region walks its graph as the graph says, from every entry', () => {
  for (let seed = 1; seed <= 600; seed++) {
    const random = generator(seed * 2654435761);
    const graph = randomGraph(random);
    const run = compile(graph);
    for (const entry of graph.entries) {
      const steps = 1 + random(200);
      expect(run(entry, steps), `seed ${seed}, entry ${entry}, ${steps} steps, ${JSON.stringify(graph)}`).toBe(walk(graph, entry, steps));
    }
  }
});
