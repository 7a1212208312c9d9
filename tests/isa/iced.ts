// One comparison with iced-x86: decode the same bytes with both and say in words where they differ. Called by the property test and by
// the script that runs millions of cases (`tools/compare-decoder.ts`).
import { createRequire } from 'node:module';
import type * as IcedModule from 'iced-x86';
import type { CodeSize, Instruction, Operand } from '../../src/isa/instruction.ts';
import { decode } from '../../src/isa/decode.ts';
import { registerName } from '../../src/isa/registers.ts';
import { rows } from '../../src/isa/rows.ts';

export const iced = createRequire(import.meta.url)('iced-x86') as typeof IcedModule;
const { Code, ConditionCode, Decoder, DecoderOptions, Mnemonic, OpKind, Register } = iced;

type NumericEnum = Readonly<Record<string, string | number>>;
const namesOf = (table: object): readonly string[] =>
  Object.entries(table as NumericEnum).reduce<string[]>((list, [name, value]) => { if (typeof value === 'number') list[value] ??= name; return list; }, []);
const mnemonicNames = namesOf(Mnemonic), codeNames = namesOf(Code);
const registerNames = namesOf(Register).map(name => name.toLowerCase().replace(/^(r\d+)l$/, '$1b').replace(/^st(\d)$/, 'st($1)'));

/** Ours, where the assembler has a name per width or a second name. */
const renamed: Readonly<Record<string, string>> = {
  CBW: 'CBW', CWDE: 'CBW', CDQE: 'CBW', CWD: 'CWD', CDQ: 'CWD', CQO: 'CWD', SAL: 'SHL', XLATB: 'XLAT',
  PUSHA: 'PUSHA', PUSHAD: 'PUSHA', POPA: 'POPA', POPAD: 'POPA', PUSHFD: 'PUSHF', PUSHFQ: 'PUSHF', POPFD: 'POPF', POPFQ: 'POPF',
  IRETD: 'IRET', IRETQ: 'IRET', JECXZ: 'JCXZ', JRCXZ: 'JCXZ', SYSRETQ: 'SYSRET', SYSEXITQ: 'SYSEXIT', SYSRETD: 'SYSRET',
  INSB: 'INS', INSW: 'INS', INSD: 'INS', OUTSB: 'OUTS', OUTSW: 'OUTS', OUTSD: 'OUTS',
  RDSSPD: 'RDSSP', RDSSPQ: 'RDSSP', INCSSPD: 'INCSSP', INCSSPQ: 'INCSSP', WRSSD: 'WRSS', WRSSQ: 'WRSS', WRUSSD: 'WRUSS', WRUSSQ: 'WRUSS',
  RESERVEDNOP: 'NOP', PREFETCHRESERVED: 'NOP', PREFETCHRESERVED_M8: 'NOP', ENDBR32: 'ENDBR32', RETF: 'RETF', WAIT: 'FWAIT',
  FXSAVE64: 'FXSAVE', FXRSTOR64: 'FXRSTOR', XSAVE64: 'XSAVE', XRSTOR64: 'XRSTOR', XSAVEOPT64: 'XSAVEOPT', XSAVEC64: 'XSAVEC',
  XSAVES64: 'XSAVES', XRSTORS64: 'XRSTORS', GETSECQ: 'GETSEC', PCMPESTRI64: 'PCMPESTRI', PCMPESTRM64: 'PCMPESTRM', VPCMPESTRI64: 'VPCMPESTRI', VPCMPESTRM64: 'VPCMPESTRM',
};
for (const name of ['MOVS', 'CMPS', 'STOS', 'LODS', 'SCAS']) for (const suffix of 'BWDQ') (renamed as Record<string, string>)[name + suffix] = name;

/** Our name for iced's instruction. */
function expectedMnemonic(instruction: IcedModule.Instruction): string {
  const code = codeNames[instruction.code]!;
  const name = mnemonicNames[instruction.mnemonic]!.toUpperCase();
  if (instruction.conditionCode !== ConditionCode.None && !/^(LOOP|JR?E?CXZ|FCMOV)/.test(name)) {
    if (/^CMP.*XADD$/.test(name)) return 'CMPCCXADD';
    if (name.startsWith('CMOV')) return 'CMOVCC';
    if (name.startsWith('SET')) return 'SETCC';
    if (/^J/.test(name)) return 'JCC';
  }
  // MOVSD and CMPSD are also SSE2 instructions.
  if (/^(Movsd|Cmpsd)_xmm/.test(code)) return name;
  if (name === 'MOV' && /Sreg/.test(code)) return 'MOVSREG';
  if (name === 'MOV' && /_cr/.test(code)) return 'MOVCR';
  if (name === 'MOV' && /_dr/.test(code)) return 'MOVDR';
  if (/^(Pushw|Pushd|Pushq|Push|Popw|Popd|Popq|Pop)_?(ES|CS|SS|DS|FS|GS)$/.test(code)) return name.slice(0, name.startsWith('PUSH') ? 4 : 3) + 'SREG';
  if (/^(Jmp|Call)_(ptr|m16\d\d$)/.test(code)) return name + 'F';
  return renamed[name] ?? name;
}

const generalName = (number: number, width: number): string =>
  number < 0 ? '' : registerName({ kind: 'register', file: 'general', number, high: false, width });

const hexOf = (value: bigint): string => value.toString(16);

/** An operand of iced's, in the words of `ourOperand`. */
function icedOperand(instruction: IcedModule.Instruction, index: number): string {
  const kind = instruction.opKind(index);
  const segment = (): string => segmentWord(registerNames[instruction.memorySegment]!);
  switch (kind) {
    case OpKind.Register: return registerNames[instruction.opRegister(index)]!;
    case OpKind.NearBranch16: case OpKind.NearBranch32: case OpKind.NearBranch64: {
      const width = kind === OpKind.NearBranch16 ? 16 : kind === OpKind.NearBranch32 ? 32 : 64;
      return `to ${hexOf(BigInt.asUintN(width, instruction.nearBranchTarget))}`;
    }
    case OpKind.FarBranch16: return `far ${instruction.farBranchSelector.toString(16)}:${instruction.farBranch16.toString(16)}`;
    case OpKind.FarBranch32: return `far ${instruction.farBranchSelector.toString(16)}:${instruction.farBranch32.toString(16)}`;
    case OpKind.MemorySegSI: case OpKind.MemorySegESI: case OpKind.MemorySegRSI: return `[${segment()}:si]`;
    case OpKind.MemorySegDI: case OpKind.MemorySegEDI: case OpKind.MemorySegRDI: return `[${segment()}:di]`;
    case OpKind.MemoryESDI: case OpKind.MemoryESEDI: case OpKind.MemoryESRDI: return `[${segmentWord('es')}:di]`;
    case OpKind.Memory: {
      const base = instruction.memoryBase, name = registerNames[base]!;
      const indexName = instruction.memoryIndex === Register.None || instruction.memoryIndex === Register.AL ? '' : registerNames[instruction.memoryIndex]!.replace(/^[xyz]mm/, 'vector');
      const baseName = base === Register.None || base === Register.RIP || base === Register.EIP ? '' : name;
      return `[${segment()}:${baseName}+${indexName}*${indexName ? instruction.memoryIndexScale : 1}+${hexOf(BigInt.asUintN(wantedAddressWidth, instruction.memoryDisplacement))}]`;
    }
    default: return hexOf(BigInt.asUintN(wantedImmediateWidth, instruction.immediate(index)));
  }
}

/** What iced does not cut to size is cut to ours. */
let wantedAddressWidth = 64, wantedImmediateWidth = 64, wantedMode: CodeSize = 64;
/** In 64-bit mode iced keeps the name of an override that has no effect. */
const segmentWord = (name: string): string => wantedMode === 64 && name !== 'fs' && name !== 'gs' ? 'flat' : name;

/** One of our operands in words that both can speak. */
function ourOperand(instruction: Instruction, operand: Operand): string {
  switch (operand.kind) {
    case 'register':
      return registerName(operand);
    case 'immediate': return hexOf(operand.value);
    case 'relative': return `to ${hexOf(BigInt.asUintN(operand.width, BigInt(instruction.length) + operand.displacement))}`;
    case 'far': return `far ${operand.selector.toString(16)}:${hexOf(operand.offset)}`;
    case 'memory': {
      if (instruction.rep !== 'none' || stringNames.has(instruction.mnemonic) && operand.base >= 6 && instruction.operands.length === 2
        && !instruction.operands.some(other => other.kind === 'register' && other.file === 'vector')) return `[${segmentWord(operand.segment)}:${operand.base === 6 ? 'si' : 'di'}]`;
      let displacement = operand.displacement;
      if (instruction.mnemonic === 'POP' && operand.base === 4) displacement -= BigInt(instruction.operandSize >> 3);
      if (operand.ripRelative) displacement += BigInt(instruction.length);
      const index = gathers.test(instruction.mnemonic) ? `vector${operand.index}` : generalName(operand.index, instruction.addressSize);
      return `[${segmentWord(operand.segment)}:${generalName(operand.base, instruction.addressSize)}+${index}*${1 << operand.scaleShift}+${hexOf(BigInt.asUintN(instruction.addressSize, displacement))}]`;
    }
  }
}
const gathers = /^V(P?GATHER|P?SCATTER)/;
const stringNames = new Set(['MOVS', 'CMPS', 'STOS', 'LODS', 'SCAS', 'INS', 'OUTS']);

/** iced names the whole register where ours has the width of the access: there only the number is compared. */
const normal = (text: string, mnemonic: string): string => {
  const vector = /^[xyz]mm(\d+)$/.exec(text);
  if (vector) return `vector${vector[1]}`;
  return wholeRegisterNamed.has(mnemonic) ? registerNumbers.get(text) ?? text : text;
};
const wholeRegisterNamed = new Set(['MOVSREG', 'LAR', 'LSL', 'LLDT', 'LTR', 'VERR', 'VERW', 'LMSW', 'ARPL', 'LKGS']);
const registerNumbers = new Map([16, 32, 64].flatMap(width => Array.from({ length: 16 }, (_, number) => [generalName(number, width), `general${number}`] as const)));

export interface Difference { readonly what: string; readonly bytes: string; readonly ours: string; readonly theirs: string }

const ourMnemonics = new Set(rows.map(row => row[0]));
const always = (): boolean => true;

/** Decodes cells of `stride` bytes in one buffer with both; keeps iced's objects between cases, because making them is slow. */
export function compareCells(bytes: Uint8Array, stride: number, mode: CodeSize, report: (difference: Difference, code: string) => void): { cases: number; valid: number; withoutRow: Map<string, number> } {
  const decoder = new Decoder(mode, bytes, DecoderOptions.AMD);
  const instruction = new iced.Instruction();
  let valid = 0, cases = 0;
  /** Mnemonics of iced's for which we have no row at all. */
  const withoutRow = new Map<string, number>();
  for (let at = 0; at + stride <= bytes.length; at += stride) {
    decoder.position = at;
    decoder.ip = 0n;
    decoder.decodeOut(instruction);
    const ours = decode(bytes, at, bytes.length, mode, always);
    cases++;
    if (instruction.code !== Code.INVALID) valid++;
    const difference = compareOne(instruction, ours, () => Buffer.from(bytes.subarray(at, at + 16)).toString('hex'));
    if (difference === 'no row') {
      const name = expectedMnemonic(instruction);
      withoutRow.set(name, (withoutRow.get(name) ?? 0) + 1);
    }
    else if (difference) report(difference, codeNames[instruction.code]!);
  }
  instruction.free();
  decoder.free();
  return { cases, valid, withoutRow };
}

function compareOne(instruction: IcedModule.Instruction, ours: ReturnType<typeof decode>, bytes: () => string): Difference | 'no row' | undefined {
  const invalid = instruction.code === Code.INVALID;
  if (ours.mnemonic === '') {
    if (invalid) return undefined;
    const name = expectedMnemonic(instruction);
    if (!ourMnemonics.has(name)) return 'no row';
    return { what: 'we refuse', bytes: bytes(), ours: (ours as { why: string }).why, theirs: name };
  }
  const decoded = ours as Instruction;
  if (invalid) return { what: 'we accept', bytes: bytes(), ours: decoded.mnemonic, theirs: 'invalid' };
  const name = expectedMnemonic(instruction);
  // With REX.B it is XCHG r8, rAX (SDM Vol. 2B, "PAUSE"; Zen 4, native vectors); iced says PAUSE.
  if (instruction.code === Code.Pause && decoded.mnemonic === 'XCHG') return undefined;
  if (name !== decoded.mnemonic) return { what: 'mnemonic', bytes: bytes(), ours: decoded.mnemonic, theirs: name };
  if (instruction.length !== decoded.length) return { what: 'length', bytes: bytes(), ours: `${name} ${decoded.length}`, theirs: String(instruction.length) };
  if (decoded.lock !== instruction.hasLockPrefix) return { what: 'lock', bytes: bytes(), ours: name, theirs: '' };
  if (decoded.condition >= 0 && decoded.condition !== icedCondition(instruction)) return { what: 'condition', bytes: bytes(), ours: String(decoded.condition), theirs: String(icedCondition(instruction)) };
  return compareOperands(instruction, decoded, bytes);
}

/** iced numbers conditions O NO B AE E NE BE A S NS P NP L GE LE G from 1 on. */
const icedCondition = (instruction: IcedModule.Instruction): number => instruction.conditionCode - 1;

/** Operands that iced shows and we imply, or the other way round; each with the reason. */
const operandsDiffer: Readonly<Record<string, string>> = {
  XLAT: 'ours names AL, and memory without the index AL', MONITOR: 'iced names the implied registers', MONITORX: 'the same', MWAIT: 'the same',
  MWAITX: 'the same', VMRUN: 'the same', VMLOAD: 'the same', VMSAVE: 'the same', INVLPGA: 'the same', CLZERO: 'the same', SKINIT: 'the same',
  MASKMOVQ: 'iced writes the implied address as a string operand', MASKMOVDQU: 'the same', VMASKMOVDQU: 'the same',
  XBEGIN: 'iced does not cut the target to the operand size',
};

const impliesXmm0 = new Set(['PBLENDVB', 'BLENDVPS', 'BLENDVPD', 'SHA256RNDS2']);
const writesXmm0 = new Set(['PCMPESTRM', 'PCMPISTRM', 'VPCMPESTRM', 'VPCMPISTRM']);

function compareOperands(instruction: IcedModule.Instruction, decoded: Instruction, bytes: () => string): Difference | undefined {
  if (operandsDiffer[decoded.mnemonic]) return undefined;
  wantedAddressWidth = decoded.addressSize;
  wantedMode = decoded.codeSize;
  // The second operand of a reserved NOP is nothing that anybody reads.
  const count = decoded.mnemonic === 'NOP' ? decoded.operands.length : instruction.opCount;
  const theirs = Array.from({ length: count }, (_, index) => {
    const mine = decoded.operands[index];
    wantedImmediateWidth = mine?.kind === 'immediate' ? mine.width : 64;
    return normal(icedOperand(instruction, index), decoded.mnemonic);
  });
  const ours = decoded.operands.map(operand => normal(ourOperand(decoded, operand), decoded.mnemonic));
  // XMM0 is implied in iced and explicit in ours: of the SSE4.1 blends and SHA256RNDS2, where the manuals name it, and as the destination of
  // PCMPxSTRM, where they do not.
  if (ours.length === theirs.length + 1 && impliesXmm0.has(decoded.mnemonic)) ours.pop();
  if (ours.length === theirs.length + 1 && writesXmm0.has(decoded.mnemonic)) ours.shift();
  if (ours.join(', ') === theirs.join(', ')) return undefined;
  return { what: 'operands', bytes: bytes(), ours: `${decoded.mnemonic} ${ours.join(', ')}`, theirs: theirs.join(', ') };
}

// ── Random bytes ──

/** xorshift32: the same cases for the same seed, for ever. */
export function randomSource(seed: number): () => number {
  let state = seed | 0 || 1;
  return () => {
    state ^= state << 13; state ^= state >>> 17; state ^= state << 5;
    return state >>> 0;
  };
}

const prefixBytes = [0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0xf0, 0xf2, 0xf3, 0xf2, 0xf3];

/** Fills cells of 16 bytes with random bytes whose start leans towards prefixes and the larger opcode maps. Bytes after the opcode are uniform. */
export function fillCells(bytes: Uint8Array, next: () => number, kinds: readonly string[] = ['plain', '0f', '0f38', '0f3a', 'vex', 'raw']): void {
  for (let k = 0; k < bytes.length; k++) bytes[k] = next() >>> 11;
  for (let cell = 0; cell + 16 <= bytes.length; cell += 16) {
    const kind = kinds[next() % kinds.length]!;
    if (kind === 'raw') continue;
    let at = cell;
    for (let prefixes = next() % 8 < 4 ? 0 : next() % 3; prefixes > 0; prefixes--) bytes[at++] = prefixBytes[next() % prefixBytes.length]!;
    if (next() % 3 === 0) bytes[at++] = 0x40 | next() & 15;
    if (kind === '0f') bytes[at] = 0x0f;
    else if (kind === '0f38') { bytes[at] = 0x0f; bytes[at + 1] = 0x38; }
    else if (kind === '0f3a') { bytes[at] = 0x0f; bytes[at + 1] = 0x3a; }
    else if (kind === 'vex') fillVex(bytes, at, next);
    else if (kind === 'evex') fillEvex(bytes, at, next);
    else if (kind === 'xop') { bytes[at] = 0x8f; bytes[at + 1] = 0xe8 + next() % 3 ^ (next() & 0xe0); }
  }
}

function fillVex(bytes: Uint8Array, at: number, next: () => number): void {
  const free = next() & 1;
  if (next() % 3 === 0) {
    bytes[at] = 0xc5;
    if (free) bytes[at + 1]! |= 0x78;
    return;
  }
  bytes[at] = 0xc4;
  bytes[at + 1] = (next() & 0xe0) | (1 + next() % 3);
  if (free) bytes[at + 2]! |= 0x78;
}

function fillEvex(bytes: Uint8Array, at: number, next: () => number): void {
  bytes[at] = 0x62;
  bytes[at + 1] = (next() & 0xf0) | [1, 2, 3, 1, 2, 3, 5, 6][next() & 7]!;
  bytes[at + 2]! |= 4 | (next() & 1 ? 0x78 : 0);
  if (next() & 1) bytes[at + 3]! |= 8;
}
