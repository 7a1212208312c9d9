// An expression as WebAssembly: one emitter per function body, used by the interpreter's handlers and by translated regions. What the
// leaves mean (operands, registers, memory) is the binding's business; this file knows the words of `expr.ts` and nothing of x86.
//
// Values of 1 to 32 bits are i32, 64 bits i64; 128 bits are one v128, or two i64 where that is their nature (products, dividends); 256 bits
// are two v128: operands, and pairs of vectors, which only their halves make use of. The bits of an i32 above a width of
// 8 or 16 may be anything until a consumer needs them (`Upper`); truth values are always 0 or 1.
import { placeOf } from '../cpu/state.ts';
import { childrenOf, constant, type Expr, type FloatExpr, type FloatWord, type Width } from '../semantics/expr.ts';
import { I32, I64, Op, V128, type Code, type Module, type ValueType } from './encode.ts';
import { foldBinary, foldCompare, foldUnary } from './fold.ts';
import { emitFloat, type FloatLocals } from './float.ts';
import { pushSigns, pushVectorNode } from './vector.ts';
import { pushHalf, wideHalves, type Half } from './wide.ts';

/** What is known of the bits above an 8- or 16-bit value in its i32; a set of bits. */
export const Upper = { unknown: 0, zero: 1, sign: 2, both: 3 } as const;
export type Upper = number;

type Leaf<K extends Expr['kind']> = Extract<Expr, { kind: K }>;

/** Vector instructions of WebAssembly that are named in more than one place. */
export const Simd = {
  load: 0x00, store: 0x0b, constant: 0x0c, shuffle: 0x0d, swizzle: 0x0e, splat32: 0x11, splat64: 0x12,
  extract8: 0x16, extract16: 0x19, extract32: 0x1b, replace32: 0x1c, extract64: 0x1d, replace64: 0x1e, equal16: 0x2d,
  not: 0x4d, and: 0x4e, andNot: 0x4f, or: 0x50, xor: 0x51, anyTrue: 0x53, timesRounded16: 0x82,
  timesLowHalf16: 0xbc, timesHighHalf16: 0xbd, timesLowHalf16Unsigned: 0xbe, timesHighHalf16Unsigned: 0xbf,
  timesLowHalf32: 0xdc, timesLowHalf32Unsigned: 0xde,
} as const;

/** What leaves stand for. Operands and loads of 128 bits are one v128, operands of 256 bits two, the lower one first. Every `push…` leaves the value on the stack in the representation above; what it emits may leave the
 * function (a fault) and may use locals of its own. A leaf that is used twice is asked for once. */
export interface Binding {
  /** The value of an operand, an address or `nextIp` when it is known while emitting: immediates, and more in a translator. */
  constant(leaf: Leaf<'operand'> | Leaf<'address'> | Leaf<'nextIp'>): bigint | undefined;
  /** What will be known of the upper bits of a leaf of 8 or 16 bits. Must not emit. */
  upper(leaf: Leaf<'operand'> | Leaf<'address'> | Leaf<'register'> | Leaf<'nextIp'> | Leaf<'load'>): Upper;
  /** Operand `index`, or one of the words that `lazy-flags.ts` numbers below 0. */
  pushOperand(leaf: Leaf<'operand'>): void;
  pushAddress(leaf: Leaf<'address'>): void;
  pushRegister(leaf: Leaf<'register'>): void;
  pushNextIp(leaf: Leaf<'nextIp'>): void;
  /** An implicit memory read. `emitter.push(leaf.address)` gives the offset. */
  pushLoad(leaf: Leaf<'load'>, emitter: Emitter): void;
  /** An expression to emit in the place of a flag or condition leaf; the same node for the same question. */
  flag(leaf: Leaf<'flag'>): Expr;
  condition(leaf: Leaf<'condition'>): Expr;
  /** Leaves where a float word needs its exact reading; where this is absent, it is called. */
  leaveFloat?(): void;
}

/** Named functions, in slots of table 0: JavaScript or WebAssembly, the emitter cannot tell. */
export interface Functions {
  /** The table slot of the function that reads a `call` node: arguments of up to 32 bits are i32, zero-extended, 64 bits i64, 128
   * bits two i64; likewise the result. */
  slot(name: string, argumentWidths: readonly number[], width: number): number;
  /** The table slot of the exact reading of a float word: no parameters, arguments and result in memory (`float.ts`), the exceptions as an i32. */
  floatSlot(word: FloatWord, format: 32 | 64, width: number, argumentWidths: readonly number[]): number;
  /** The table slot of the fast path of a word that has it in a function of its own (`fused.ts`, `half.ts`). */
  shortcutSlot(word: FloatWord, format: 32 | 64, isScalar: boolean): number;
  /** The table slot of the second look at a float word (`float.ts`). */
  secondLookSlot(word: FloatWord, format: 32 | 64): number;
}

interface Entry {
  uses: number;
  /** `null`: not a constant; `undefined`: not asked yet. */
  constant: bigint | null | undefined;
  upper: Upper | undefined;
  maximum: number | undefined;
  /** Where the value is kept, once evaluated: a local, or two halves. */
  local: number;
  halves: readonly [Half, Half] | undefined;
  /** A local of type v128. */
  vector: number;
  /** Two of them: the lower and the upper half of 256 bits. */
  parts: readonly [number, number] | undefined;
  localUpper: Upper;
  /** The scope that the local belongs to. */
  scope: number;
}

const maskOf = (width: number): number => (width === 32 ? -1 : (1 << width) - 1);
export const typeOf = (width: number): ValueType => (width <= 32 ? I32 : I64);

export class Emitter {
  readonly code: Code;
  readonly module: Module;
  readonly functions: Functions;
  private readonly binding: Binding;
  private entries = new Map<Expr, Entry>();
  private temporaries: number[] = [];
  private readonly floats = new Map<Expr, FloatLocals>();
  private scope = 0;
  private scoped: Entry[] = [];

  constructor(module: Module, code: Code, binding: Binding, functions: Functions) {
    this.module = module;
    this.code = code;
    this.binding = binding;
    this.functions = functions;
  }

  /** Starts an instruction: `roots` are all the expressions that will be asked for. Locals of the one before are free again. */
  begin(roots: readonly Expr[]): void {
    this.entries.clear();
    this.floats.clear();
    for (const local of this.temporaries) this.code.release(local);
    this.temporaries.length = 0;
    for (const root of roots) this.count(root);
  }

  /** A local that lives until the next `begin`. */
  temporary(type: ValueType): number {
    const local = this.code.local(type);
    this.temporaries.push(local);
    return local;
  }

  /** What is evaluated between the two is forgotten behind: for code that may not be executed (`if`). */
  enterScope(): void { this.scope++; }
  leaveScope(): void {
    for (const entry of this.scoped) {
      if (entry.scope !== this.scope) continue;
      entry.local = -1;
      entry.halves = undefined;
      entry.vector = -1;
      entry.parts = undefined;
    }
    this.scoped = this.scoped.filter((entry) => entry.scope !== this.scope);
    this.scope--;
  }

  // ── What is known without emitting ──

  private count(node: Expr): void {
    const entry = this.entries.get(node);
    if (entry) {
      entry.uses++;
      return;
    }
    this.entries.set(node, { uses: 1, constant: undefined, upper: undefined, maximum: undefined, local: -1, halves: undefined, vector: -1, parts: undefined, localUpper: 0, scope: 0 });
    this.children(node, (child) => { this.count(child); });
  }

  private children(node: Expr, visit: (child: Expr) => void): void {
    if (node.kind === 'flag') visit(this.binding.flag(node));
    else if (node.kind === 'condition') visit(this.binding.condition(node));
    else childrenOf(node).forEach(visit);
  }

  private entry(node: Expr): Entry {
    let entry = this.entries.get(node);
    if (!entry) {
      this.count(node);
      entry = this.entries.get(node)!;
    }
    return entry;
  }

  /** The value, if the operands' constants decide it. */
  constant(node: Expr): bigint | undefined {
    if (node.kind === 'constant') return node.value;
    const entry = this.entry(node);
    if (entry.constant === undefined) entry.constant = this.fold(node) ?? null;
    return entry.constant ?? undefined;
  }

  private fold(node: Expr): bigint | undefined {
    switch (node.kind) {
      case 'constant': return node.value;
      case 'operand': case 'address': case 'nextIp': {
        const value = this.binding.constant(node);
        return value === undefined ? undefined : BigInt.asUintN(node.width, value);
      }
      case 'flag': return this.constant(this.binding.flag(node));
      case 'condition': return this.constant(this.binding.condition(node));
      case 'unary': {
        const value = this.constant(node.value);
        return value === undefined ? undefined : foldUnary(node.word, node.width, value);
      }
      case 'binary': {
        const right = this.constant(node.right), left = this.constant(node.left);
        if (left !== undefined && right !== undefined) return foldBinary(node.word, node.width, left, right);
        if ((node.word === 'and' || node.word === 'times') && (left === 0n || right === 0n)) return 0n;
        return undefined;
      }
      case 'compare': {
        const left = this.constant(node.left);
        const right = left === undefined ? undefined : this.constant(node.right);
        return right === undefined ? undefined : foldCompare(node.word, node.left.width, left!, right) ? 1n : 0n;
      }
      case 'select': {
        const condition = this.constant(node.condition);
        return condition === undefined ? undefined : this.constant(condition ? node.whenTrue : node.whenFalse);
      }
      case 'extend': {
        const value = this.constant(node.value);
        return value === undefined ? undefined : BigInt.asUintN(node.width, node.signed ? BigInt.asIntN(node.value.width, value) : value);
      }
      case 'slice': {
        const value = this.constant(node.value);
        return value === undefined ? undefined : BigInt.asUintN(node.width, value >> BigInt(node.lowBit));
      }
      case 'join': {
        const high = this.constant(node.high);
        const low = high === undefined ? undefined : this.constant(node.low);
        return low === undefined ? undefined : (high! << BigInt(node.low.width)) | low;
      }
      default: return undefined;
    }
  }

  /** An upper bound of the unsigned value: proves shift counts in range. */
  maximum(node: Expr): number {
    const entry = this.entry(node);
    return entry.maximum ??= this.bound(node);
  }

  private bound(node: Expr): number {
    const value = this.constant(node);
    if (value !== undefined) return Number(value);
    const widest = 2 ** node.width - 1;
    switch (node.kind) {
      case 'extend': return node.signed ? widest : this.maximum(node.value);
      case 'slice': return node.lowBit === 0 ? Math.min(widest, this.maximum(node.value)) : widest;
      case 'select': return Math.max(this.maximum(node.whenTrue), this.maximum(node.whenFalse));
      case 'unary': return node.word === 'popcount' || node.word === 'leadingZeros' || node.word === 'trailingZeros' ? node.width : widest;
      case 'binary':
        switch (node.word) {
          case 'and': return Math.min(this.maximum(node.left), this.maximum(node.right));
          case 'plus': return Math.min(widest, this.maximum(node.left) + this.maximum(node.right));
          case 'shiftRight': case 'divide': return this.maximum(node.left);
          case 'remainder': return Math.min(this.maximum(node.left), Math.max(0, this.maximum(node.right) - 1));
          default: return widest;
        }
      default: return widest;
    }
  }

  /** What a push leaves above 8 or 16 bits, if nothing else normalised it. */
  upper(node: Expr): Upper {
    if (node.width !== 8 && node.width !== 16) return Upper.both;
    const entry = this.entry(node);
    return entry.upper ??= this.predict(node);
  }

  private predict(node: Expr): Upper {
    const value = this.constant(node);
    // Constants are pushed zero-extended.
    if (value !== undefined) return value >> BigInt(node.width - 1) ? Upper.zero : Upper.both;
    switch (node.kind) {
      case 'operand': case 'address': case 'register': case 'nextIp': case 'load': return this.binding.upper(node);
      case 'unary':
        if (node.word === 'popcount' || node.word === 'leadingZeros' || node.word === 'trailingZeros') return Upper.both;
        if (node.word === 'not') return this.upper(node.value) & Upper.sign;
        return Upper.unknown;
      case 'binary': {
        const left = this.upper(node.left), right = this.upper(node.right);
        switch (node.word) {
          case 'and': return (left & right) | ((left | right) & Upper.zero);
          case 'or': case 'xor': return left & right;
          case 'shiftRight': return Upper.zero;
          case 'shiftRightSigned': return Upper.sign;
          case 'divide': case 'remainder': return Upper.zero;
          case 'divideSigned': case 'remainderSigned': return Upper.sign;
          case 'plus': return this.maximum(node.left) + this.maximum(node.right) < 2 ** node.width && (left & right & Upper.zero) ? Upper.zero : Upper.unknown;
          default: return Upper.unknown;
        }
      }
      case 'select': {
        const condition = this.constant(node.condition);
        if (condition !== undefined) return this.upper(condition ? node.whenTrue : node.whenFalse);
        return this.upper(node.whenTrue) & this.upper(node.whenFalse);
      }
      case 'extend': return node.signed ? Upper.sign : node.value.width === node.width ? this.upper(node.value) : Upper.both;
      case 'slice': {
        const top = node.lowBit + node.width;
        if (node.value.width === 16 && top === 16) return this.upper(node.value) & Upper.zero;
        return node.value.width === 32 && top === 32 ? Upper.zero : Upper.unknown;
      }
      case 'call': return Upper.zero;
      default: return Upper.unknown;
    }
  }

  // ── Values on the stack ──

  /** The value, with whatever above its width. */
  push(node: Expr): void {
    if (node.width > 64) throw new Error(`${node.kind} of ${node.width} bits: is it wanted as a vector or as halves?`);
    const value = this.constant(node);
    if (value !== undefined) {
      if (node.width <= 32) this.code.i32(Number(BigInt.asIntN(32, value)));
      else this.code.i64(value);
      return;
    }
    const entry = this.entry(node);
    if (entry.local >= 0) {
      this.code.get(entry.local);
      return;
    }
    this.compute(node);
    if (entry.uses > 1) {
      this.keep(node, entry);
      this.code.tee(entry.local);
    }
  }

  private keep(node: Expr, entry: Entry): void {
    entry.local = this.temporary(typeOf(node.width));
    entry.localUpper = this.upper(node);
    this.note(entry);
  }
  private note(entry: Entry): void {
    entry.scope = this.scope;
    if (this.scope > 0) this.scoped.push(entry);
  }

  /** Evaluates now, so that a later push gives the value of this moment. */
  hold(node: Expr): void {
    if (this.constant(node) !== undefined) return;
    const entry = this.entry(node);
    if (node.width > 128) return this.holdParts(node);
    if (node.width > 64) {
      if (entry.halves || entry.vector >= 0) return;
      if (!this.isVector(node)) {
        this.halves(node);
        return;
      }
      this.computeVector(node);
      return this.keepVector(entry);
    }
    if (entry.local >= 0) return;
    this.compute(node);
    this.keep(node, entry);
    this.code.set(entry.local);
  }

  /** An i32 or i64 with zeros above the width. */
  pushZeroExtended(node: Expr): void { this.pushNormal(node, Upper.zero); }
  /** An i32 or i64 with copies of the sign above the width. */
  pushSignExtended(node: Expr): void { this.pushNormal(node, Upper.sign); }

  private pushNormal(node: Expr, wanted: typeof Upper.zero | typeof Upper.sign): void {
    const value = this.constant(node);
    if (value !== undefined && node.width < 32) {
      this.code.i32(Number(wanted === Upper.zero ? value : BigInt.asIntN(node.width, value)));
      return;
    }
    this.push(node);
    if (node.width === 1 && wanted === Upper.sign) this.signExtendFrom(1);
    if (node.width !== 8 && node.width !== 16) return;
    const entry = this.entry(node);
    const known = entry.local >= 0 ? entry.localUpper : this.upper(node);
    if (known & wanted) return;
    if (wanted === Upper.zero) {
      this.code.i32(maskOf(node.width));
      this.code.op(Op.i32And);
    } else this.signExtendFrom(node.width);
    // The local may be normalised too, unless a consumer relies on what was known of it before.
    if (entry.local >= 0 && entry.scope === this.scope && this.upper(node) === Upper.unknown) {
      this.code.tee(entry.local);
      entry.localUpper = wanted;
    }
  }

  private signExtendFrom(width: number): void {
    const { code } = this;
    if (width === 8) code.op(Op.i32Extend8S);
    else if (width === 16) code.op(Op.i32Extend16S);
    else if (width === 1) {
      code.i32(31);
      code.op(Op.i32Shl);
      code.i32(31);
      code.op(Op.i32ShrS);
    }
  }

  /** A value of up to 64 bits as i64, extended. */
  pushAs64(node: Expr, signed: boolean): void {
    if (node.width === 64) return this.push(node);
    const value = this.constant(node);
    if (value !== undefined) return this.code.i64(signed ? BigInt.asIntN(node.width, value) : value);
    this.pushNormal(node, signed ? Upper.sign : Upper.zero);
    this.code.op(signed ? Op.i64ExtendI32S : Op.i64ExtendI32U);
  }

  /** A truth value for `if`, `br_if` and `select`: an i32 that is not 0 when it holds. */
  pushTruth(node: Expr): void {
    const { code } = this;
    const kept = this.constant(node) !== undefined || this.entry(node).uses > 1;
    if (!kept && node.kind === 'slice' && node.value.width <= 32) {
      this.push(node.value);
      code.i32(1 << node.lowBit);
      code.op(Op.i32And);
    } else if (!kept && node.kind === 'unary' && node.word === 'not') {
      this.pushTruth(node.value);
      code.op(Op.i32Eqz);
    } else if (!kept && node.kind === 'binary' && node.word === 'or') {
      this.pushTruth(node.left);
      this.pushTruth(node.right);
      code.op(Op.i32Or);
    } else if (!kept && (node.kind === 'flag' || node.kind === 'condition')) {
      this.pushTruth(node.kind === 'flag' ? this.binding.flag(node) : this.binding.condition(node));
    } else this.push(node);
  }

  // ── 128 bits ──

  /** Whether the node is a vector by nature: then its halves are taken from the vector, else the vector is made of halves. */
  private isVector(node: Expr): boolean {
    switch (node.kind) {
      case 'operand': case 'load': case 'float': return node.width === 128;
      case 'slice': return node.width === 128 && node.value.width > 128;
      case 'lanes': case 'shiftLanes': case 'shuffle': case 'narrow': return true;
      case 'unary': return node.word === 'not' && this.isVector(node.value);
      case 'binary': return (node.word === 'and' || node.word === 'or' || node.word === 'xor') && (this.isVector(node.left) || this.isVector(node.right));
      case 'select': return this.isVector(node.whenTrue) || this.isVector(node.whenFalse);
      default: return false;
    }
  }

  /** The value as one v128; of 64 bits or less in its low lane, with anything above. */
  pushVector(node: Expr): void {
    const value = this.constant(node);
    if (value !== undefined) {
      const bytes = Array.from({ length: 16 }, (_, at) => Number((value >> BigInt(8 * at)) & 0xffn));
      return this.code.simd(Simd.constant, ...bytes);
    }
    const entry = this.entry(node);
    if (entry.vector >= 0) return this.code.get(entry.vector);
    this.computeVector(node);
    if (entry.uses <= 1) return;
    this.keepVector(entry);
    this.code.get(entry.vector);
  }

  private keepVector(entry: Entry): void {
    entry.vector = this.temporary(V128);
    this.code.set(entry.vector);
    this.note(entry);
  }

  private computeVector(node: Expr): void {
    const { code } = this;
    if (node.width === 128 && !this.entry(node).halves) {
      if (node.kind === 'operand') return this.binding.pushOperand(node);
      if (node.kind === 'load') return this.binding.pushLoad(node, this);
      if (node.kind === 'float') return code.get(this.float(node).result);
    }
    if (node.kind === 'slice' && node.value.width > 128 && node.width === 128) return this.pushPart(node.value, node.lowBit / 128);
    if (this.isVector(node) && !this.entry(node).halves && this.entry(node).local < 0) return pushVectorNode(this, node);
    if (node.width <= 64) {
      this.pushAs64(node, false);
      return code.simd(Simd.splat64);
    }
    // In the low part of zeros, or two halves.
    if (node.kind === 'extend' && !node.signed && node.value.width <= 64) {
      const narrow = node.value.width <= 32;
      code.simd(Simd.constant, ...new Array<number>(16).fill(0));
      this.pushZeroExtended(node.value);
      return code.simd(narrow ? Simd.replace32 : Simd.replace64, 0);
    }
    if (node.kind === 'join' && node.low.width === 64) {
      if (this.isVector(node.low)) this.pushVector(node.low);
      else {
        this.push(node.low);
        code.simd(Simd.splat64);
      }
      this.push(node.high);
      return code.simd(Simd.replace64, 1);
    }
    const [low, high] = this.halves(node);
    pushHalf(code, low);
    code.simd(Simd.splat64);
    pushHalf(code, high);
    code.simd(Simd.replace64, 1);
  }

  // ── 256 bits ──

  /** Half 0 or 1 of a value of 256 bits as one v128. */
  pushPart(node: Expr, part: number): void {
    if (part !== 0 && part !== 1) throw new Error(`half ${part} of ${node.width} bits`);
    const value = this.constant(node);
    if (value !== undefined) return this.pushVector(constant(128, value >> BigInt(128 * part)));
    if (node.kind === 'join') return this.pushVector(part === 0 ? node.low : node.high);
    this.holdParts(node);
    this.code.get(this.entry(node).parts![part]);
  }

  private holdParts(node: Expr): void {
    if (this.constant(node) !== undefined) return;
    if (node.kind === 'join') {
      this.hold(node.low);
      return this.hold(node.high);
    }
    const entry = this.entry(node);
    if (entry.parts) return;
    if (node.kind !== 'operand' || node.width !== 256) throw new Error(`${node.kind} of ${node.width} bits has no WebAssembly reading`);
    this.binding.pushOperand(node);
    entry.parts = [this.temporary(V128), this.temporary(V128)];
    this.code.set(entry.parts[1]);
    this.code.set(entry.parts[0]);
    this.note(entry);
  }

  /** The two halves of a 128-bit value, evaluated into locals (or constants). */
  halves(node: Expr): readonly [Half, Half] {
    if (node.width !== 128) throw new Error(`${node.kind} of ${node.width} bits has no WebAssembly reading`);
    const value = this.constant(node);
    if (value !== undefined) return [BigInt.asUintN(64, value), value >> 64n];
    const entry = this.entry(node);
    if (!entry.halves) {
      entry.halves = entry.vector >= 0 || this.isVector(node) ? this.splitVector(node, entry) : wideHalves(this, node) ?? this.popHalves(node);
      this.note(entry);
    }
    return entry.halves;
  }

  private splitVector(node: Expr, entry: Entry): readonly [Half, Half] {
    if (entry.vector < 0) {
      this.computeVector(node);
      this.keepVector(entry);
    }
    const half = (lane: 0 | 1): number => {
      const local = this.temporary(I64);
      this.code.get(entry.vector);
      this.code.simd(Simd.extract64, lane);
      this.code.set(local);
      return local;
    };
    return [half(0), half(1)];
  }

  private popHalves(node: Expr): readonly [Half, Half] {
    this.leaf(node);
    const low = this.temporary(I64), high = this.temporary(I64);
    this.code.set(high);
    this.code.set(low);
    return [low, high];
  }

  private leaf(node: Expr): void {
    switch (node.kind) {
      case 'operand': this.binding.pushOperand(node); break;
      case 'address': this.binding.pushAddress(node); break;
      case 'register': this.binding.pushRegister(node); break;
      case 'nextIp': this.binding.pushNextIp(node); break;
      case 'load': this.binding.pushLoad(node, this); break;
      case 'call': this.call(node); break;
      default: throw new Error(`${node.kind} of ${node.width} bits has no WebAssembly reading`);
    }
  }

  private compute(node: Expr): void {
    switch (node.kind) {
      case 'unary': this.unary(node); break;
      case 'binary': this.binary(node); break;
      case 'compare': this.compare(node); break;
      case 'select': this.select(node); break;
      case 'extend': this.extend(node); break;
      case 'slice': this.slice(node); break;
      case 'join': this.join(node); break;
      case 'lanes': case 'shiftLanes': case 'shuffle': case 'narrow':
        if (node.width !== 64) unsupported(node.width);
        this.pushVector(node);
        this.code.simd(Simd.extract64, 0);
        break;
      case 'signs': pushSigns(this, node); break;
      case 'float': this.code.get(this.float(node).result); break;
      case 'floatFlags': this.floatFlags(node); break;
      case 'unmasked':
        this.code.i32(0);
        this.code.load(Op.i32Load, placeOf('mxcsr'));
        this.code.i32(7);
        this.code.op(Op.i32ShrU);
        this.code.i32(0x3f);
        this.code.op(Op.i32And);
        this.code.i32(0x3f);
        this.code.op(Op.i32Xor);
        break;
      case 'flag': this.push(this.binding.flag(node)); break;
      case 'condition': this.push(this.binding.condition(node)); break;
      default: this.leaf(node);
    }
  }

  private float(node: FloatExpr): FloatLocals {
    let locals = this.floats.get(node);
    if (!locals) this.floats.set(node, locals = emitFloat(this, node, this.binding.leaveFloat));
    return locals;
  }

  private floatFlags({ value, before }: Leaf<'floatFlags'>): void {
    const { code } = this;
    if (before) {
      this.hold(before);
      code.i32(0);
    }
    code.get(this.float(value).flags);
    if (!before) return;
    this.push(before);
    code.i32(-1);
    code.i32(0);
    code.load(Op.i32Load, placeOf('mxcsr'));
    code.i32(7);
    code.op(Op.i32ShrU);
    code.op(Op.i32Xor);
    code.op(Op.i32And);
    code.op(Op.select);
  }

  private call(node: Leaf<'call'>): void {
    const parameters: ValueType[] = [], widths: number[] = [];
    for (const argument of node.arguments) {
      if (argument.width > 64) for (const half of this.halves(argument)) pushHalf(this.code, half);
      else this.pushZeroExtended(argument);
      widths.push(argument.width);
      parameters.push(...valueTypes(argument.width));
    }
    this.callFunction(node.name, widths, node.width);
  }
  /** Calls a named function whose arguments are on the stack. */
  callFunction(name: string, widths: readonly number[], width: number): void {
    this.code.i32(this.functions.slot(name, widths, width));
    this.code.callIndirect(this.module.type(widths.flatMap(valueTypes), valueTypes(width)));
  }

  private unary(node: Leaf<'unary'>): void {
    const { code } = this;
    const { width, word, value } = node;
    const wide = width === 64;
    switch (word) {
      case 'not':
        this.push(value);
        if (width === 1) return code.op(Op.i32Eqz);
        if (wide) code.i64Small(-1);
        else code.i32(-1);
        return code.op(wide ? Op.i64Xor : Op.i32Xor);
      case 'negate':
        if (width === 1) return this.push(value);
        if (wide) code.i64Small(0);
        else code.i32(0);
        this.push(value);
        return code.op(wide ? Op.i64Sub : Op.i32Sub);
      case 'popcount':
        this.pushZeroExtended(value);
        return code.op(wide ? Op.i64Popcnt : Op.i32Popcnt);
      case 'leadingZeros':
        this.pushZeroExtended(value);
        code.op(wide ? Op.i64Clz : Op.i32Clz);
        if (width < 32) {
          code.i32(32 - width);
          code.op(Op.i32Sub);
        }
        return;
      case 'trailingZeros':
        this.push(value);
        if (width < 32) {
          code.i32(1 << width);
          code.op(Op.i32Or);
        }
        return code.op(wide ? Op.i64Ctz : Op.i32Ctz);
      case 'byteSwap': return this.byteSwap(value);
    }
  }

  private byteSwap(value: Expr): void {
    const { code } = this;
    if (value.width === 8) return this.push(value);
    if (value.width === 16) {
      this.pushZeroExtended(value);
      code.i32(0x10001);
      code.op(Op.i32Mul);
      code.i32(8);
      return code.op(Op.i32ShrU);
    }
    if (value.width === 32) {
      const local = this.temporary(I32);
      this.push(value);
      code.tee(local);
      code.i32(8);
      code.op(Op.i32Rotl);
      code.i32(0x00ff00ff);
      code.op(Op.i32And);
      code.get(local);
      code.i32(8);
      code.op(Op.i32Rotr);
      code.i32(0xff00ff00);
      code.op(Op.i32And);
      return code.op(Op.i32Or);
    }
    this.push(value);
    for (const [bits, mask] of [[8, 0x00ff00ff00ff00ffn], [16, 0x0000ffff0000ffffn]] as const) {
      const local = this.temporary(I64);
      code.tee(local);
      code.i64Small(bits);
      code.op(Op.i64ShrU);
      code.i64(mask);
      code.op(Op.i64And);
      code.get(local);
      code.i64(mask);
      code.op(Op.i64And);
      code.i64Small(bits);
      code.op(Op.i64Shl);
      code.op(Op.i64Or);
    }
    code.i64Small(32);
    code.op(Op.i64Rotl);
  }

  private binary(node: Leaf<'binary'>): void {
    const { left, right, width, word } = node;
    const { code } = this;
    const wide = width === 64;
    switch (word) {
      case 'plus': return this.simple(left, right, wide ? Op.i64Add : Op.i32Add, width);
      case 'minus': return this.simple(left, right, wide ? Op.i64Sub : Op.i32Sub, width);
      case 'times': return this.simple(left, right, wide ? Op.i64Mul : Op.i32Mul, width);
      case 'and': return this.simple(left, right, wide ? Op.i64And : Op.i32And, 0);
      case 'or': return this.simple(left, right, wide ? Op.i64Or : Op.i32Or, 0);
      case 'xor': return this.simple(left, right, wide ? Op.i64Xor : Op.i32Xor, 0);
      case 'shiftLeft': case 'shiftRight': return this.shift(node);
      case 'shiftRightSigned':
        this.pushSignExtended(left);
        this.clampedCount(right);
        return code.op(wide ? Op.i64ShrS : Op.i32ShrS);
      case 'rotateLeft': case 'rotateRight': {
        const leftward = word === 'rotateLeft';
        if (width < 32) {
          // The value repeated: the low bits of a rotated i32 are then those of the rotated small value, for any count.
          this.pushZeroExtended(left);
          code.i32(width === 8 ? 0x01010101 : 0x10001);
          code.op(Op.i32Mul);
        } else this.push(left);
        this.push(right);
        return code.op(wide ? (leftward ? Op.i64Rotl : Op.i64Rotr) : leftward ? Op.i32Rotl : Op.i32Rotr);
      }
      default: return this.divide(node);
    }
  }

  private simple(left: Expr, right: Expr, opcode: number, width: number): void {
    // x + 0, x - 0, x | 0 and x ^ 0 are common with constant operands.
    const neutral = opcode !== Op.i32And && opcode !== Op.i64And && opcode !== Op.i32Mul && opcode !== Op.i64Mul;
    if (neutral && this.constant(right) === 0n) return this.push(left);
    if (neutral && opcode !== Op.i32Sub && opcode !== Op.i64Sub && this.constant(left) === 0n) return this.push(right);
    this.push(left);
    this.push(right);
    this.code.op(opcode);
    if (width === 1) {
      this.code.i32(1);
      this.code.op(Op.i32And);
    }
  }

  private shift(node: Leaf<'binary'>): void {
    const { code } = this;
    const { left, right, width } = node;
    const wide = width === 64, leftward = node.word === 'shiftLeft';
    const opcode = leftward ? (wide ? Op.i64Shl : Op.i32Shl) : wide ? Op.i64ShrU : Op.i32ShrU;
    const inRange = this.maximum(right) < (wide ? 64 : 32);
    if (this.constant(right) === 0n) return leftward ? this.push(left) : this.pushZeroExtended(left);
    if (!inRange) this.hold(right);
    if (leftward) this.push(left);
    else this.pushZeroExtended(left);
    this.pushZeroExtended(right);
    code.op(opcode);
    if (inRange) return;
    if (wide) code.i64Small(0);
    else code.i32(0);
    this.pushZeroExtended(right);
    if (wide) code.i64Small(64);
    else code.i32(32);
    code.op(wide ? Op.i64LtU : Op.i32LtU);
    code.op(Op.select);
  }

  /** A count for an arithmetic shift: what is too large becomes the largest. */
  private clampedCount(count: Expr): void {
    const { code } = this;
    const wide = count.width === 64, limit = wide ? 63 : 31;
    if (this.maximum(count) <= limit) return this.pushZeroExtended(count);
    this.hold(count);
    this.pushZeroExtended(count);
    if (wide) code.i64Small(limit);
    else code.i32(limit);
    this.pushZeroExtended(count);
    if (wide) code.i64Small(limit);
    else code.i32(limit);
    code.op(wide ? Op.i64LtU : Op.i32LtU);
    code.op(Op.select);
  }

  /** Divisions by 0 and overflowing ones give 0; the instructions of WebAssembly would trap. */
  private divide(node: Leaf<'binary'>): void {
    const { code } = this;
    const { left, right, width, word } = node;
    const wide = width === 64, signed = word === 'divideSigned' || word === 'remainderSigned';
    const quotient = word === 'divide' || word === 'divideSigned';
    const opcode = wide
      ? signed ? (quotient ? Op.i64DivS : Op.i64RemS) : quotient ? Op.i64DivU : Op.i64RemU
      : signed ? (quotient ? Op.i32DivS : Op.i32RemS) : quotient ? Op.i32DivU : Op.i32RemU;
    const normal = (value: Expr) => { this.pushNormal(value, signed ? Upper.sign : Upper.zero); };
    const divisor = this.constant(right);
    if (divisor !== undefined && divisor !== 0n && !(signed && BigInt.asIntN(width, divisor) === -1n)) {
      normal(left);
      normal(right);
      return code.op(opcode);
    }
    this.hold(left);
    this.hold(right);
    const bad = this.temporary(I32);
    normal(right);
    code.op(wide ? Op.i64Eqz : Op.i32Eqz);
    if (signed) {
      normal(right);
      if (wide) code.i64Small(-1);
      else code.i32(-1);
      code.op(wide ? Op.i64Eq : Op.i32Eq);
      normal(left);
      if (wide) code.i64(-(1n << 63n));
      else code.i32(-(2 ** (width - 1)));
      code.op(wide ? Op.i64Eq : Op.i32Eq);
      code.op(Op.i32And);
      code.op(Op.i32Or);
    }
    code.set(bad);
    if (wide) code.i64Small(0);
    else code.i32(0);
    normal(left);
    if (wide) code.i64Small(1);
    else code.i32(1);
    normal(right);
    code.get(bad);
    code.op(Op.select);
    code.op(opcode);
    code.get(bad);
    code.op(Op.select);
  }

  private compare(node: Leaf<'compare'>): void {
    const { code } = this;
    const { word, left, right } = node;
    const width = left.width;
    if (width > 64) return this.compareWide(node);
    if (word === 'equal' && this.constant(right) === 0n) {
      this.pushZeroExtended(left);
      return code.op(width === 64 ? Op.i64Eqz : Op.i32Eqz);
    }
    // A sign-extended value compares without sign like the value itself, so only signedness must agree.
    const known = (value: Expr) => (this.constant(value) === undefined ? this.upper(value) : Upper.both);
    const sign = word === 'less' || (known(left) & known(right) & Upper.sign) !== 0;
    const push = (value: Expr) => { this.pushNormal(value, sign && width !== 1 ? Upper.sign : Upper.zero); };
    push(left);
    push(right);
    if (word === 'equal') code.op(width === 64 ? Op.i64Eq : Op.i32Eq);
    else if (word === 'below') code.op(width === 64 ? Op.i64LtU : Op.i32LtU);
    // One bit, signed: 1 means -1.
    else if (width === 1) code.op(Op.i32GtU);
    else code.op(width === 64 ? Op.i64LtS : Op.i32LtS);
  }

  private compareWide(node: Leaf<'compare'>): void {
    const { code } = this;
    if (node.word === 'equal' && (this.isVector(node.left) || this.isVector(node.right))) {
      this.pushVector(node.left);
      if (this.constant(node.right) !== 0n) {
        this.pushVector(node.right);
        code.simd(Simd.xor);
      }
      code.simd(Simd.anyTrue);
      return code.op(Op.i32Eqz);
    }
    const [leftLow, leftHigh] = this.halves(node.left), [rightLow, rightHigh] = this.halves(node.right);
    const pair = (left: Half, right: Half, opcode: number) => {
      pushHalf(code, left);
      pushHalf(code, right);
      code.op(opcode);
    };
    if (node.word === 'equal') {
      pair(leftLow, rightLow, Op.i64Xor);
      pair(leftHigh, rightHigh, Op.i64Xor);
      code.op(Op.i64Or);
      return code.op(Op.i64Eqz);
    }
    pair(leftLow, rightLow, Op.i64LtU);
    pair(leftHigh, rightHigh, node.word === 'below' ? Op.i64LtU : Op.i64LtS);
    pair(leftHigh, rightHigh, Op.i64Eq);
    code.op(Op.select);
  }

  private select(node: Leaf<'select'>): void {
    const condition = this.constant(node.condition);
    if (condition !== undefined) return this.push(condition ? node.whenTrue : node.whenFalse);
    if (this.constant(node.whenTrue) === 1n && this.constant(node.whenFalse) === 0n) {
      this.push(node.condition);
      if (node.width === 64) this.code.op(Op.i64ExtendI32U);
      return;
    }
    this.push(node.whenTrue);
    this.push(node.whenFalse);
    this.pushTruth(node.condition);
    this.code.op(Op.select);
  }

  private extend(node: Leaf<'extend'>): void {
    if (node.width === 64) return this.pushAs64(node.value, node.signed);
    if (node.width > 64) throw new Error(`extension to ${node.width} bits has no WebAssembly reading`);
    this.pushNormal(node.value, node.signed ? Upper.sign : Upper.zero);
  }

  private slice(node: Leaf<'slice'>): void {
    const { code } = this;
    const { value, lowBit, width } = node;
    const top = lowBit + width;
    if (value.width > 64) return this.sliceWide(node);
    // The uppermost bits come out clean only if what is above them is.
    if (value.width < 32 && top === value.width && width === 1) this.pushZeroExtended(value);
    else this.push(value);
    if (value.width === 64) {
      if (lowBit > 0) {
        code.i64Small(lowBit);
        code.op(Op.i64ShrU);
      }
      if (width === 64) return;
      code.op(Op.i32WrapI64);
    } else if (lowBit > 0) {
      code.i32(lowBit);
      code.op(Op.i32ShrU);
    }
    if (width === 1 && top < value.width) {
      code.i32(1);
      code.op(Op.i32And);
    }
  }

  private sliceWide(node: Leaf<'slice'>): void {
    const { code } = this;
    const { lowBit, width } = node;
    if (node.value.width > 128) {
      if (lowBit % width !== 0) throw new Error(`bits ${lowBit} and up of ${node.value.width} have no WebAssembly reading`);
      this.pushPart(node.value, lowBit >> 7);
      return code.simd(width === 64 ? Simd.extract64 : width === 32 ? Simd.extract32 : width === 16 ? Simd.extract16 : Simd.extract8, lowBit % 128 / width);
    }
    if (width > 1 && lowBit % width === 0 && this.isVector(node.value) && !this.entry(node.value).halves) {
      this.pushVector(node.value);
      return code.simd(width === 64 ? Simd.extract64 : width === 32 ? Simd.extract32 : width === 16 ? Simd.extract16 : Simd.extract8, lowBit / width);
    }
    const [low, high] = this.halves(node.value);
    if (lowBit + width <= 64 || lowBit >= 64) {
      pushHalf(code, lowBit < 64 ? low : high);
      if (lowBit % 64 > 0) {
        code.i64Small(lowBit % 64);
        code.op(Op.i64ShrU);
      }
    } else {
      pushHalf(code, low);
      code.i64Small(lowBit);
      code.op(Op.i64ShrU);
      pushHalf(code, high);
      code.i64Small(64 - lowBit);
      code.op(Op.i64Shl);
      code.op(Op.i64Or);
    }
    if (width === 64) return;
    code.op(Op.i32WrapI64);
    if (width === 1) {
      code.i32(1);
      code.op(Op.i32And);
    }
  }

  private join(node: Leaf<'join'>): void {
    const { code } = this;
    const { high, low, width } = node;
    if (width === 64) {
      this.pushAs64(high, false);
      code.i64Small(low.width);
      code.op(Op.i64Shl);
      this.pushAs64(low, false);
      return code.op(Op.i64Or);
    }
    this.push(high);
    code.i32(low.width);
    code.op(Op.i32Shl);
    this.pushZeroExtended(low);
    code.op(Op.i32Or);
  }
}

const valueTypes = (width: number): ValueType[] => (width <= 32 ? [I32] : width === 64 ? [I64] : width === 128 ? [I64, I64] : unsupported(width));
function unsupported(width: Width | number): never { throw new Error(`a value of ${width} bits has no WebAssembly reading`); }
