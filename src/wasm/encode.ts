// WebAssembly as bytes: a module is put together from types, imports, functions and table elements, and becomes one Uint8Array.
// Called by whatever makes code at run time (`interpreter.ts`, `translator.ts`, `helpers.ts`). It knows no x86 and does not
// check types: V8 does that when the module is compiled.

export const I32 = 0x7f, I64 = 0x7e, F32 = 0x7d, F64 = 0x7c, V128 = 0x7b;
export type ValueType = typeof I32 | typeof I64 | typeof F32 | typeof F64 | typeof V128;
/** The type of a block without a value. */
export const VOID = 0x40;

/** One-byte instructions without an immediate, and the memory instructions (which take alignment and offset). */
export const Op = {
  unreachable: 0x00, nop: 0x01, return: 0x0f, drop: 0x1a, select: 0x1b,
  i32Load: 0x28, i64Load: 0x29, f32Load: 0x2a, f64Load: 0x2b,
  i32Load8S: 0x2c, i32Load8U: 0x2d, i32Load16S: 0x2e, i32Load16U: 0x2f,
  i64Load8S: 0x30, i64Load8U: 0x31, i64Load16S: 0x32, i64Load16U: 0x33, i64Load32S: 0x34, i64Load32U: 0x35,
  i32Store: 0x36, i64Store: 0x37, f32Store: 0x38, f64Store: 0x39, i32Store8: 0x3a, i32Store16: 0x3b,
  i64Store8: 0x3c, i64Store16: 0x3d, i64Store32: 0x3e,
  i32Eqz: 0x45, i32Eq: 0x46, i32Ne: 0x47, i32LtS: 0x48, i32LtU: 0x49, i32GtS: 0x4a, i32GtU: 0x4b, i32LeS: 0x4c, i32LeU: 0x4d, i32GeS: 0x4e, i32GeU: 0x4f,
  i64Eqz: 0x50, i64Eq: 0x51, i64Ne: 0x52, i64LtS: 0x53, i64LtU: 0x54, i64GtS: 0x55, i64GtU: 0x56, i64LeS: 0x57, i64LeU: 0x58, i64GeS: 0x59, i64GeU: 0x5a,
  i32Clz: 0x67, i32Ctz: 0x68, i32Popcnt: 0x69, i32Add: 0x6a, i32Sub: 0x6b, i32Mul: 0x6c, i32DivS: 0x6d, i32DivU: 0x6e, i32RemS: 0x6f, i32RemU: 0x70,
  i32And: 0x71, i32Or: 0x72, i32Xor: 0x73, i32Shl: 0x74, i32ShrS: 0x75, i32ShrU: 0x76, i32Rotl: 0x77, i32Rotr: 0x78,
  i64Clz: 0x79, i64Ctz: 0x7a, i64Popcnt: 0x7b, i64Add: 0x7c, i64Sub: 0x7d, i64Mul: 0x7e, i64DivS: 0x7f, i64DivU: 0x80, i64RemS: 0x81, i64RemU: 0x82,
  i64And: 0x83, i64Or: 0x84, i64Xor: 0x85, i64Shl: 0x86, i64ShrS: 0x87, i64ShrU: 0x88, i64Rotl: 0x89, i64Rotr: 0x8a,
  i32WrapI64: 0xa7, i64ExtendI32S: 0xac, i64ExtendI32U: 0xad,
  i32Extend8S: 0xc0, i32Extend16S: 0xc1, i64Extend8S: 0xc2, i64Extend16S: 0xc3, i64Extend32S: 0xc4,
} as const;

/** A body in the making: bytes, locals, and the depth of open blocks. */
export class Code {
  bytes = new Uint8Array(512);
  length = 0;
  /** Open blocks; the function itself is level 0. */
  depth = 0;
  /** Types of the locals behind the parameters. */
  readonly locals: ValueType[] = [];
  readonly type: number;
  private readonly parameterCount: number;
  private readonly free: Partial<Record<ValueType, number[]>> = {};

  constructor(type: number, parameterCount: number) {
    this.type = type;
    this.parameterCount = parameterCount;
  }

  private room(): void {
    const larger = new Uint8Array(this.bytes.length * 2);
    larger.set(this.bytes);
    this.bytes = larger;
  }

  byte(value: number): void {
    if (this.length === this.bytes.length) this.room();
    this.bytes[this.length++] = value;
  }
  unsigned(value: number): void {
    let rest = value >>> 0;
    while (rest > 127) {
      this.byte((rest & 127) | 128);
      rest >>>= 7;
    }
    this.byte(rest);
  }
  private signed(value: number): void {
    let rest = value | 0;
    while (rest < -64 || rest > 63) {
      this.byte((rest & 127) | 128);
      rest >>= 7;
    }
    this.byte(rest & 127);
  }

  op(opcode: number): void { this.byte(opcode); }

  // ── Locals ──

  /** A new local, or one that `release` gave back. */
  local(type: ValueType): number {
    const index = this.free[type]?.pop();
    if (index !== undefined) return index;
    this.locals.push(type);
    return this.parameterCount + this.locals.length - 1;
  }
  release(index: number): void {
    const type = this.locals[index - this.parameterCount]!;
    (this.free[type] ??= []).push(index);
  }
  get(local: number): void { this.byte(0x20); this.unsigned(local); }
  set(local: number): void { this.byte(0x21); this.unsigned(local); }
  tee(local: number): void { this.byte(0x22); this.unsigned(local); }

  // ── Constants ──

  i32(value: number): void { this.byte(0x41); this.signed(value); }
  /** Any bigint: taken modulo 2^64. */
  i64(value: bigint): void {
    this.byte(0x42);
    let rest = BigInt.asIntN(64, value);
    if (rest >= -0x80000000n && rest <= 0x7fffffffn) return this.signed(Number(rest));
    while (rest < -64n || rest > 63n) {
      this.byte(Number(rest & 127n) | 128);
      rest >>= 7n;
    }
    this.byte(Number(rest & 127n));
  }
  /** A 64-bit constant that is a signed 32-bit number. */
  i64Small(value: number): void { this.byte(0x42); this.signed(value); }

  // ── Memory: the address is on the stack; alignment is only a hint, so it is always 1 ──

  load(opcode: number, offset = 0): void { this.byte(opcode); this.byte(0); this.unsigned(offset); }
  /** Address and value are on the stack. */
  store(opcode: number, offset = 0): void { this.byte(opcode); this.byte(0); this.unsigned(offset); }
  memoryCopy(): void { this.byte(0xfc); this.byte(10); this.byte(0); this.byte(0); }
  memoryFill(): void { this.byte(0xfc); this.byte(11); this.byte(0); }

  // ── Control. Openers return their label for `br`. ──

  block(result: ValueType | typeof VOID = VOID): number { this.byte(0x02); this.byte(result); return ++this.depth; }
  loop(result: ValueType | typeof VOID = VOID): number { this.byte(0x03); this.byte(result); return ++this.depth; }
  if(result: ValueType | typeof VOID = VOID): number { this.byte(0x04); this.byte(result); return ++this.depth; }
  else(): void { this.byte(0x05); }
  end(): void { this.byte(0x0b); this.depth--; }
  br(label: number): void { this.byte(0x0c); this.unsigned(this.depth - label); }
  brIf(label: number): void { this.byte(0x0d); this.unsigned(this.depth - label); }
  brTable(labels: readonly number[], otherwise: number): void {
    this.byte(0x0e);
    this.unsigned(labels.length);
    for (const label of labels) this.unsigned(this.depth - label);
    this.unsigned(this.depth - otherwise);
  }
  return(): void { this.byte(0x0f); }
  call(functionIndex: number): void { this.byte(0x10); this.unsigned(functionIndex); }
  callIndirect(type: number, table = 0): void { this.byte(0x11); this.unsigned(type); this.unsigned(table); }
  returnCall(functionIndex: number): void { this.byte(0x12); this.unsigned(functionIndex); }
  returnCallIndirect(type: number, table = 0): void { this.byte(0x13); this.unsigned(type); this.unsigned(table); }

  // ── SIMD: opcode after 0xfd; `bytes` are lane numbers or a 16-byte constant ──

  simd(opcode: number, ...bytes: number[]): void {
    this.byte(0xfd);
    this.unsigned(opcode);
    for (const each of bytes) this.byte(each);
  }
  simdMemory(opcode: number, offset = 0, ...lane: number[]): void {
    this.byte(0xfd);
    this.unsigned(opcode);
    this.byte(0);
    this.unsigned(offset);
    for (const each of lane) this.byte(each);
  }
}

const encoder = new TextEncoder();

/** A module in the making. All imports come before the first function. */
export class Module {
  private readonly types: { key: string; parameters: readonly ValueType[]; results: readonly ValueType[] }[] = [];
  private readonly typeByKey = new Map<string, number>();
  private readonly imports: { module: string; name: string; kind: number; type: number }[] = [];
  private importedFunctions = 0;
  private readonly functions: Code[] = [];
  private readonly exports: { name: string; index: number }[] = [];
  private readonly elements: { offset: number; indexes: readonly number[] }[] = [];

  type(parameters: readonly ValueType[], results: readonly ValueType[]): number {
    const key = `${parameters.join()}>${results.join()}`;
    let index = this.typeByKey.get(key);
    if (index === undefined) {
      index = this.types.push({ key, parameters, results }) - 1;
      this.typeByKey.set(key, index);
    }
    return index;
  }
  importFunction(module: string, name: string, type: number): number {
    if (this.functions.length > 0) throw new Error('an import after a function would move all function indexes');
    this.imports.push({ module, name, kind: 0, type });
    return this.importedFunctions++;
  }
  importTable(module: string, name: string): void { this.imports.push({ module, name, kind: 1, type: 0 }); }
  importMemory(module: string, name: string): void { this.imports.push({ module, name, kind: 2, type: 0 }); }

  /** Opens a function. Several may be open at a time; their order is that of these calls. */
  function(type: number): { readonly code: Code; readonly index: number } {
    const code = new Code(type, this.types[type]!.parameters.length);
    const index = this.importedFunctions + this.functions.push(code) - 1;
    return { code, index };
  }
  export(name: string, functionIndex: number): void { this.exports.push({ name, index: functionIndex }); }
  /** Puts functions into table 0 from `offset` on when the module is instantiated. */
  element(offset: number, functionIndexes: readonly number[]): void { this.elements.push({ offset, indexes: functionIndexes }); }

  finish(): Uint8Array<ArrayBuffer> {
    const out = new Code(0, 0);
    for (const each of [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]) out.byte(each);
    section(out, 1, this.types.length, (into) => {
      for (const { parameters, results } of this.types) {
        into.byte(0x60);
        vector(into, parameters);
        vector(into, results);
      }
    });
    section(out, 2, this.imports.length, (into) => {
      for (const { module, name, kind, type } of this.imports) {
        text(into, module);
        text(into, name);
        into.byte(kind);
        if (kind === 0) into.unsigned(type);
        else {
          if (kind === 1) into.byte(0x70);
          into.byte(0);
          into.unsigned(1);
        }
      }
    });
    section(out, 3, this.functions.length, (into) => { for (const code of this.functions) into.unsigned(code.type); });
    section(out, 7, this.exports.length, (into) => {
      for (const { name, index } of this.exports) {
        text(into, name);
        into.byte(0);
        into.unsigned(index);
      }
    });
    section(out, 9, this.elements.length, (into) => {
      for (const { offset, indexes } of this.elements) {
        into.byte(0);
        into.i32(offset);
        into.byte(0x0b);
        into.unsigned(indexes.length);
        for (const index of indexes) into.unsigned(index);
      }
    });
    section(out, 10, this.functions.length, (into) => { for (const code of this.functions) body(into, code); });
    return out.bytes.slice(0, out.length);
  }
}

function append(into: Code, bytes: Uint8Array, length: number): void {
  while (into.bytes.length < into.length + length) {
    const larger = new Uint8Array(into.bytes.length * 2);
    larger.set(into.bytes);
    into.bytes = larger;
  }
  into.bytes.set(length === bytes.length ? bytes : bytes.subarray(0, length), into.length);
  into.length += length;
}

/** A section with `count` entries; nothing when there are none. */
function section(out: Code, id: number, count: number, write: (into: Code) => void): void {
  if (count === 0) return;
  const content = new Code(0, 0);
  content.unsigned(count);
  write(content);
  out.byte(id);
  out.unsigned(content.length);
  append(out, content.bytes, content.length);
}

function vector(into: Code, values: readonly number[]): void {
  into.unsigned(values.length);
  for (const value of values) into.byte(value);
}

function text(into: Code, value: string): void {
  const bytes = encoder.encode(value);
  into.unsigned(bytes.length);
  append(into, bytes, bytes.length);
}

/** Locals are declared in runs of one type. */
function body(into: Code, code: Code): void {
  const head = new Code(0, 0);
  const { locals } = code;
  let runs = 0;
  for (let k = 0; k < locals.length; k++) if (k === 0 || locals[k] !== locals[k - 1]) runs++;
  head.unsigned(runs);
  for (let k = 0; k < locals.length;) {
    let end = k + 1;
    while (end < locals.length && locals[end] === locals[k]) end++;
    head.unsigned(end - k);
    head.byte(locals[k]!);
    k = end;
  }
  into.unsigned(head.length + code.length + 1);
  append(into, head.bytes, head.length);
  append(into, code.bytes, code.length);
  into.byte(0x0b);
}
