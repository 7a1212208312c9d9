// Bytes to one `Instruction`. Called when code is found for the first time (`wasm/blocks.ts`), by tests and by the disassembly; it depends
// on nothing but the bytes, the code size and the CPUID features it asks for. It must not know what an instruction does.
import type {
  CodeSize, FarOperand, HasFeature, ImmediateOperand, Instruction, MemoryOperand, Operand, RegisterOperand, SegmentName, Undecodable,
} from './instruction.ts';
import { segmentNames } from './instruction.ts';
import type { OperandForm, Size } from './operands.ts';
import { generalOperand, registerOperand } from './registers.ts';
import {
  openReader, readByte, readDoubleword, readEvex, readPrefixes, readVex, readWord, vectorEncoding, type Prefixes, type Reader,
} from './prefixes.ts';
import { atLeast256, LegacyMap, Mandatory } from './notation.ts';
import { lookUp, SizeRule, type Form, type Slot } from './tables.ts';

/** Everything known about the instruction while its operands are read. */
interface Decoding {
  readonly reader: Reader;
  readonly prefixes: Prefixes;
  readonly codeSize: CodeSize;
  readonly addressSize: 16 | 32 | 64;
  operandSize: 16 | 32 | 64;
  readonly opcode: number;
  modrm: number;
  /** The parts of a memory operand, read once, right after ModRM. */
  base: number; index: number; scaleShift: number; displacement: number; ripRelative: boolean;
  /** The segment that the addressing form itself chooses. */
  defaultSegment: SegmentName;
  /** Some operand names a register that does not exist. */
  invalid: boolean;
}

/** Decodes the instruction at `bytes[start]`; `end` is where the bytes at hand end. */
export function decode(bytes: Uint8Array, start: number, end: number, codeSize: CodeSize, has: HasFeature): Instruction | Undecodable {
  const reader = openReader(bytes, start, end);
  const prefixes = readPrefixes(reader, codeSize);
  let opcode = readByte(reader);
  const encoding = vectorEncoding(reader, opcode, codeSize);
  if (encoding === 'evex') readEvex(reader, prefixes, codeSize);
  else if (encoding !== 'legacy') readVex(reader, prefixes, opcode, codeSize);
  else if (opcode === 0x0f) opcode = readEscape(reader, prefixes);
  if (encoding !== 'legacy') opcode = readByte(reader);
  if (reader.failure) return undecodable(reader.failure, reader, start);

  const decoding: Decoding = {
    reader, prefixes, codeSize, opcode, modrm: 0, operandSize: 32,
    addressSize: codeSize === 64 ? (prefixes.addressSize ? 32 : 64) : (codeSize === 16) === prefixes.addressSize ? 32 : 16,
    base: -1, index: -1, scaleShift: 0, displacement: 0, ripRelative: false, defaultSegment: 'ds', invalid: false,
  };
  const suffixed = encoding === 'legacy' && prefixes.map === LegacyMap.x0F0F;
  if (suffixed) opcode = readSuffix(decoding);
  const slot = lookUp(encoding, prefixes.map, opcode);
  if (!slot || prefixes.invalid) return undecodable(reader.failure || 'ud', reader, start);
  if (slot.modrm && !suffixed) decoding.modrm = readByte(reader);
  if (reader.failure) return undecodable(reader.failure, reader, start);
  const modrm = decoding.modrm;
  const form = choose(slot, prefixes, modrm, codeSize, has);
  if (!form) return undecodable('ud', reader, start);

  // With rounding in the instruction the length is 512 bits.
  if (prefixes.broadcast && modrm >= 0xc0) prefixes.vectorLength = 2;
  decoding.operandSize = operandSizeOf(form.sizeRule, prefixes, codeSize);
  if (slot.modrm && modrm < 0xc0 && !form.anyMod && !suffixed) readAddress(decoding, form.vectorIndex, encoding === 'evex' ? displacementScale(decoding, form) : 1);
  const operands: Operand[] = [];
  for (const operand of form.operands) operands.push(readOperand(decoding, operand, form));
  if (form.vectorIndex && !gathersApart(decoding, operands)) decoding.invalid = true;
  if (form.evex.distinct && !destinationApart(operands)) decoding.invalid = true;
  // Zeroing is for registers only.
  if (prefixes.zeroing && operands[0]!.kind === 'memory') decoding.invalid = true;
  // The 15-byte limit and the end of the mapped code come before #UD of a known encoding: the bytes are fetched first.
  if (reader.failure) return undecodable(reader.failure, reader, start);
  if (decoding.invalid || (prefixes.lock && !allowsLock(form, operands, has))) return undecodable('ud', reader, start);
  const instruction: Instruction = {
    mnemonic: form.mnemonic, length: reader.at - start, codeSize, operandSize: decoding.operandSize, addressSize: decoding.addressSize,
    operands, condition: form.conditional ? opcode & 15 : -1, lock: prefixes.lock && form.lock,
    rep: !form.string || !prefixes.repeat ? 'none' : prefixes.repeat === 0xf3 ? 'rep' : 'repne', feature: form.feature,
  };
  if (prefixes.overridesData && (form.mnemonic === 'JMP' || form.mnemonic === 'CALL')) return { ...instruction, untracked: true };
  const isX87 = encoding === 'legacy' && prefixes.map === LegacyMap.oneByte && (opcode & 0xf8) === 0xd8;
  return isX87 ? { ...instruction, fop: (opcode & 7) << 8 | modrm } : instruction;
}

const undecodable = (why: Undecodable['why'], reader: Reader, start: number): Undecodable => ({ mnemonic: '', why, length: reader.at - start });

/** The byte after 0F, or after 0F 38, 0F 3A: sets the map. After 0F 0F the opcode comes last: see `readSuffix`. */
function readEscape(reader: Reader, prefixes: Prefixes): number {
  const opcode = readByte(reader);
  prefixes.map = opcode === 0x38 ? LegacyMap.x0F38 : opcode === 0x3a ? LegacyMap.x0F3A : opcode === 0x0f ? LegacyMap.x0F0F : LegacyMap.x0F;
  return prefixes.map === LegacyMap.x0F38 || prefixes.map === LegacyMap.x0F3A ? readByte(reader) : opcode;
}

/** 3DNow!: ModRM and the address come before the opcode. */
function readSuffix(decoding: Decoding): number {
  decoding.modrm = readByte(decoding.reader);
  if (decoding.modrm < 0xc0) readAddress(decoding, false, 1);
  return readByte(decoding.reader);
}

/** The first row of the slot that fits and that this processor has. */
function choose(slot: Slot, prefixes: Prefixes, modrm: number, codeSize: CodeSize, has: HasFeature): Form | undefined {
  const forms = slot.forms[slot.modrm ? ((modrm >> 3) & 7) + (modrm >= 0xc0 ? 8 : 0) : 0]!;
  for (const form of forms) {
    if (form.mode !== 0 && (form.mode === 64) !== (codeSize === 64)) continue;
    if (form.mandatory !== Mandatory.any && !prefixFits(form.mandatory, prefixes)) continue;
    if (form.rm >= 0 && form.rm !== (modrm & 7)) continue;
    if (form.w >= 0 && (form.w === 1) !== prefixes.w) continue;
    if (form.withoutB && prefixes.b || form.without66 && prefixes.operandSize) continue;
    if (prefixes.encoding !== 'legacy' && !vectorFits(form, prefixes)) continue;
    if (prefixes.encoding === 'evex' && !evexFits(form, prefixes, modrm >= 0xc0, has)) continue;
    if ((form.feature === '' || has(form.feature)) && (form.secondFeature === '' || has(form.secondFeature))) return form;
  }
  return undefined;
}

function prefixFits(mandatory: number, prefixes: Prefixes): boolean {
  if (prefixes.encoding !== 'legacy') return impliedMandatory[prefixes.implied] === mandatory;
  switch (mandatory) {
    case Mandatory.none: return !prefixes.operandSize && prefixes.repeat === 0;
    case Mandatory.x66: return prefixes.operandSize && prefixes.repeat === 0;
    case Mandatory.xF3: return prefixes.repeat === 0xf3;
    case Mandatory.xF2: return prefixes.repeat === 0xf2;
    default: return prefixes.repeat === 0;
  }
}
const impliedMandatory = [Mandatory.none, Mandatory.x66, Mandatory.xF3, Mandatory.xF2] as const;

function vectorFits(form: Form, prefixes: Prefixes): boolean {
  if (form.vectorLength >= 0 && form.vectorLength !== prefixes.vectorLength && prefixes.encoding !== 'evex') return false;
  // A register that is not an operand must be encoded as 1111. V' of EVEX may belong to a vector index.
  return form.usesVvvv || (form.vectorIndex ? prefixes.vvvv & 15 : prefixes.vvvv) === 0;
}

/** What EVEX says about masks, broadcast, rounding and length, against what the row allows (SDM Vol. 2, 2.7.11). */
function evexFits(form: Form, prefixes: Prefixes, inRegister: boolean, has: HasFeature): boolean {
  const { masking, needsMask, broadcast, control, sized } = form.evex;
  if (prefixes.mask ? masking === 'none' : needsMask) return false;
  if (prefixes.zeroing && (masking !== 'zero' || prefixes.mask === 0)) return false;
  let length = prefixes.vectorLength;
  if (prefixes.broadcast) {
    if (inRegister ? control === '' : broadcast === 0) return false;
    // L'L is then the rounding mode: the length is 512.
    if (inRegister) length = 2;
  }
  if (form.vectorLength === atLeast256 ? length === 0 : form.vectorLength >= 0 && form.vectorLength !== length) return false;
  // Every EVEX encoding is AVX-512's, whatever else it needs (VAES, GFNI).
  return length < 3 && has('avx512f') && (!sized || length === 2 || has('avx512vl'));
}

function operandSizeOf(rule: number, prefixes: Prefixes, codeSize: CodeSize): 16 | 32 | 64 {
  if (codeSize === 64) {
    if (prefixes.w || rule === SizeRule.always64) return 64;
    if (rule === SizeRule.default64) return prefixes.operandSize ? 16 : 64;
    return prefixes.operandSize && rule === SizeRule.plain ? 16 : 32;
  }
  if (rule === SizeRule.wide || prefixes.encoding !== 'legacy') return 32;
  return (codeSize === 16) === prefixes.operandSize ? 32 : 16;
}

/** LOCK: on the read-modify-write forms with a memory destination; and as REX.R for CR0 where 32-bit code can reach CR8 by it
 * (APM Vol. 3, "MOV CRn": AltMovCr8). */
function allowsLock(form: Form, operands: readonly Operand[], has: HasFeature): boolean {
  if (form.lock) return operands[0]!.kind === 'memory';
  if (form.mnemonic !== 'MOVCR' || !has('cr8legacy')) return false;
  const at = operands.findIndex(operand => operand.kind === 'register' && operand.file === 'control');
  const control = operands[at] as RegisterOperand;
  if (control.number !== 0) return false;
  (operands as Operand[])[at] = registerOperand('control', 8, control.width);
  return true;
}

/** Destination, index and mask of a gather must be three registers (APM Vol. 4, "VGATHERDPD"); the mask of EVEX is of another kind. */
function gathersApart(decoding: Decoding, operands: readonly Operand[]): boolean {
  const first = operands[0]!;
  if (first.kind !== 'register') return true;
  const destination = first.number;
  if (operands.length < 3) return destination !== decoding.index;
  const mask = (operands[2] as RegisterOperand).number;
  return destination !== mask && destination !== decoding.index && mask !== decoding.index;
}

/** The complex multiplications of FP16 write their destination before they have read the sources: those must be others. */
function destinationApart(operands: readonly Operand[]): boolean {
  const destination = (operands[0] as RegisterOperand).number;
  return !operands.some((operand, index) => index > 0 && operand.kind === 'register' && operand.number === destination);
}

// ── Addresses ──

/** Base and index of the eight 16-bit forms (APM Vol. 3, table A-34). */
const bases16 = [3, 3, 5, 5, 6, 7, 5, 3] as const;
const indexes16 = [6, 7, 6, 7, -1, -1, -1, -1] as const;

/** EVEX counts an 8-bit displacement in units of what it accesses (SDM Vol. 2, 2.7.5). */
function displacementScale(decoding: Decoding, form: Form): number {
  const width = decoding.prefixes.broadcast ? form.evex.broadcast : form.evex.scale || (form.rmOperand ? widthOf(form.rmOperand.size, decoding) : 8);
  return width >> 3 || 1;
}

function readAddress(decoding: Decoding, vectorIndex: boolean, scale: number): void {
  const { reader, prefixes, modrm } = decoding;
  const mod = modrm >> 6, rm = modrm & 7;
  // A vector index is in the SIB byte, so there must be one.
  if (vectorIndex && (rm !== 4 || decoding.addressSize === 16)) decoding.invalid = true;
  if (decoding.addressSize === 16) {
    if (mod === 0 && rm === 6) {
      decoding.displacement = readWord(reader) << 16 >> 16;
      return;
    }
    decoding.base = bases16[rm]!;
    decoding.index = indexes16[rm]!;
    if (decoding.base === 5) decoding.defaultSegment = 'ss';
    if (mod === 2) decoding.displacement = readWord(reader) << 16 >> 16;
  } else {
    let base = rm;
    if (rm === 4) {
      const sib = readByte(reader);
      const index = ((sib >> 3) & 7) | prefixes.x | (vectorIndex ? prefixes.vvvv & 16 : 0);
      // An index of 100 with X clear is none: RSP cannot be an index.
      if (index !== 4 || vectorIndex) { decoding.index = index; decoding.scaleShift = sib >> 6; }
      base = sib & 7;
    }
    if (mod === 0 && base === 5) {
      decoding.displacement = readDoubleword(reader);
      decoding.ripRelative = rm === 5 && decoding.codeSize === 64;
      return;
    }
    decoding.base = base | prefixes.b;
    if (decoding.base === 4 || decoding.base === 5) decoding.defaultSegment = 'ss';
    if (mod === 2) decoding.displacement = readDoubleword(reader);
  }
  if (mod === 1) decoding.displacement = (readByte(reader) << 24 >> 24) * scale;
}

function memory(decoding: Decoding, width: number, form: Form): MemoryOperand {
  let displacement = decoding.displacement;
  // POP computes the address of its destination after it has incremented the stack pointer (APM Vol. 3, "POP").
  if (form.mnemonic === 'POP' && decoding.base === 4) displacement += decoding.operandSize >> 3;
  return {
    kind: 'memory', segment: decoding.prefixes.segment || decoding.defaultSegment, base: decoding.base, index: decoding.index,
    scaleShift: decoding.scaleShift, displacement: BigInt(displacement), ripRelative: decoding.ripRelative, width,
  };
}

const implied = (segment: SegmentName, base: number, width: number): MemoryOperand =>
  ({ kind: 'memory', segment, base, index: -1, scaleShift: 0, displacement: 0n, ripRelative: false, width });

// ── Operands ──

function widthOf(size: Size, decoding: Decoding): number {
  if (size.address) return decoding.addressSize;
  if (size.vector) return (128 << decoding.prefixes.vectorLength) >> size.shift;
  return size.widths[decoding.operandSize === 16 ? 0 : decoding.operandSize === 32 ? 1 : 2];
}

const immediate = (value: bigint, width: number): ImmediateOperand => ({ kind: 'immediate', value, width });
/** One-byte immediates are shared: by the width that they are extended to, and the byte. */
const byteImmediates: Readonly<Record<number, readonly ImmediateOperand[]>> = Object.fromEntries([8, 16, 32, 64].map(width =>
  [width, Array.from({ length: 256 }, (_, byte) => Object.freeze(immediate(BigInt.asUintN(width, BigInt(byte << 24 >> 24)), width)))]));

/** Unsigned 64 bits from two signed halves. */
const join = (low: number, high: number): bigint => BigInt(high >>> 0) << 32n | BigInt(low >>> 0);

function readImmediate(reader: Reader, size: Size, width: number, zeroExtends32: boolean): ImmediateOperand {
  if (width === 8 || size.signedByte) return byteImmediates[width]![readByte(reader)]!;
  if (width === 16) return immediate(BigInt(readWord(reader)), 16);
  const low = readDoubleword(reader);
  if (zeroExtends32) return immediate(BigInt(low >>> 0), width);
  return immediate(join(low, readDoubleword(reader)), width);
}

function readRelative(decoding: Decoding, size: Size): Operand {
  const { reader, operandSize } = decoding;
  const bits = widthOf(size, decoding);
  const displacement = bits === 8 ? readByte(reader) << 24 >> 24 : bits === 16 ? readWord(reader) << 16 >> 16 : readDoubleword(reader);
  return { kind: 'relative', displacement: BigInt(displacement), width: operandSize };
}

function readFar(decoding: Decoding): FarOperand {
  const { reader, operandSize } = decoding;
  const offset = operandSize === 16 ? readWord(reader) : readDoubleword(reader) >>> 0;
  return { kind: 'far', offset: BigInt(offset), selector: readWord(reader), width: operandSize };
}

/** The offset of A0..A3 is as wide as an address. */
function readOffset(decoding: Decoding, width: number): MemoryOperand {
  const { reader, addressSize, prefixes } = decoding;
  let displacement: bigint;
  if (addressSize === 16) displacement = BigInt(readWord(reader) << 16 >> 16);
  else {
    const low = readDoubleword(reader);
    displacement = addressSize === 32 ? BigInt(low) : BigInt.asIntN(64, join(low, readDoubleword(reader)));
  }
  return { kind: 'memory', segment: prefixes.segment || 'ds', base: -1, index: -1, scaleShift: 0, displacement, ripRelative: false, width };
}

/** CR1, CR5..7 and CR9..15 do not exist (APM Vol. 3, "MOV CRn"). */
const existingControls = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 8;

function readOperand(decoding: Decoding, operand: OperandForm, form: Form): Operand {
  const { prefixes, modrm } = decoding;
  const inRegister = modrm >= 0xc0 || form.anyMod;
  const reg = ((modrm >> 3) & 7) | prefixes.r, rm = (modrm & 7) | prefixes.b;
  switch (operand.addressing) {
    case 'E': case 'R':
      return inRegister ? generalOperand(rm, widthOf(operand.registerSize, decoding), prefixes.rex)
        : memory(decoding, widthOf(operand.size, decoding), form);
    case 'G':
      if (reg > 15) decoding.invalid = true;
      return generalOperand(reg & 15, widthOf(operand.size, decoding), prefixes.rex);
    case 'M': return memory(decoding, widthOf(operand.size, decoding), form);
    case 'I': {
      const width = widthOf(operand.size, decoding);
      // Iz of a 64-bit operation is 32 bits, sign-extended.
      if (operand.size.widths[2] === 32 && operand.size.widths[0] === 16 && decoding.operandSize === 64) {
        return immediate(BigInt.asUintN(64, BigInt(readDoubleword(decoding.reader))), 64);
      }
      return readImmediate(decoding.reader, operand.size, width, width === 32);
    }
    case 'Z': return generalOperand((decoding.opcode & 7) | prefixes.b, widthOf(operand.size, decoding), prefixes.rex);
    case 'general': return generalOperand(operand.number, widthOf(operand.size, decoding), true);
    case 'J': return readRelative(decoding, operand.size);
    case 'X': return implied(prefixes.segment || 'ds', operand.number, widthOf(operand.size, decoding));
    case 'Y': return implied('es', 7, widthOf(operand.size, decoding));
    case 'one': return byteImmediates[8]![1]!;
    case 'O': return readOffset(decoding, widthOf(operand.size, decoding));
    case 'A': return readFar(decoding);
    case 'S': {
      const number = reg & 7;
      // CS cannot be loaded by MOV.
      if (number >= segmentNames.length || (number === 1 && form.operands[0] === operand)) decoding.invalid = true;
      return registerOperand('segment', number, 16);
    }
    case 'segment': return registerOperand('segment', operand.number, 16);
    case 'C':
      if (!(existingControls >> reg & 1)) decoding.invalid = true;
      return registerOperand('control', reg, decoding.codeSize === 64 ? 64 : 32);
    case 'D':
      if (reg > 7) decoding.invalid = true;
      return registerOperand('debug', reg, decoding.codeSize === 64 ? 64 : 32);
    case 'translate': return implied(prefixes.segment || 'ds', 3, 8);
    case 'B': return generalOperand(prefixes.vvvv & (decoding.codeSize === 64 ? 15 : 7), widthOf(operand.size, decoding), true);
    default: return readVectorOperand(decoding, operand, form, inRegister, reg, rm);
  }
}

/** Registers beyond the general ones: x87, MMX, vectors, masks. */
function readVectorOperand(decoding: Decoding, operand: OperandForm, form: Form, inRegister: boolean, reg: number, rm: number): Operand {
  const { prefixes, codeSize } = decoding;
  const vectorMask = codeSize === 64 ? 31 : 7;
  const width = widthOf(operand.size, decoding);
  switch (operand.addressing) {
    case 'V': return registerOperand('vector', reg, width);
    case 'W': case 'U':
      return inRegister ? registerOperand('vector', rm | (prefixes.encoding === 'evex' ? prefixes.x << 1 : 0), widthOf(operand.registerSize, decoding))
        : memory(decoding, prefixes.broadcast ? form.evex.broadcast : width, form);
    case 'H': return registerOperand('vector', prefixes.vvvv & vectorMask, width);
    case 'L': return registerOperand('vector', readByte(decoding.reader) >> 4 & (codeSize === 64 ? 15 : 7), width);
    case 'nibble': return byteImmediates[8]![decoding.reader.bytes[decoding.reader.at - 1]! & 15]!;
    case 'vector': return registerOperand('vector', operand.number, width);
    case 'P': return registerOperand('mmx', reg & 7, width);
    case 'Q': case 'N':
      return inRegister ? registerOperand('mmx', rm & 7, widthOf(operand.registerSize, decoding)) : memory(decoding, width, form);
    case 'stack': return registerOperand('x87', operand.number < 0 ? rm & 7 : operand.number, 80);
    case 'K': return placed(decoding, 'mask', operand, form, inRegister, width);
    case 'T': return placed(decoding, 'bound', operand, form, inRegister, width);
    default: throw new Error(`operand ${operand.addressing}: nothing reads it`);
  }
}

/** Mask and bound registers say in the row where they stand: `g` reg, `h` vvvv, `e` rm or memory, `r` rm. */
function placed(decoding: Decoding, file: 'mask' | 'bound', operand: OperandForm, form: Form, inRegister: boolean, width: number): Operand {
  const { modrm, prefixes } = decoding;
  const place = String.fromCharCode(operand.number);
  if (place === 'e' && !inRegister) return memory(decoding, width, form);
  const number = place === 'g' ? ((modrm >> 3) & 7) | prefixes.r : place === 'h' ? prefixes.vvvv & (decoding.codeSize === 64 ? 31 : 7) : (modrm & 7) | (file === 'bound' ? prefixes.b : 0);
  if (number > (file === 'mask' ? 7 : 3)) decoding.invalid = true;
  return registerOperand(file, number & 7, width);
}
