// What the decoder hands to everybody else: one instruction, its operands resolved to names and numbers.
// Produced by `decode.ts`; read by the three readings of a meaning, by `system/` and by the disassembly.
// Nothing here depends on the state of a vCPU: the same bytes in the same mode are always this value.

/** Default size of the code segment: 16 (real, virtual-8086, D=0), 32 (D=1) or 64 (EFER.LMA and CS.L). */
export type CodeSize = 16 | 32 | 64;

export const segmentNames = ['es', 'cs', 'ss', 'ds', 'fs', 'gs'] as const;
/** Index is the encoding in ModRM.reg (APM Vol. 3, 1.4). */
export type SegmentName = (typeof segmentNames)[number];

export type RegisterFile =
  | 'general' | 'segment' | 'control' | 'debug' | 'x87' | 'mmx' | 'vector' | 'mask' | 'bound';

export interface RegisterOperand {
  readonly kind: 'register';
  readonly file: RegisterFile;
  /** The number as encoded, REX included: general 0 = rAX .. 15. */
  readonly number: number;
  /** AH, CH, DH, BH: then `number` is 0..3 and the operand is bits 15:8. */
  readonly high: boolean;
  /** Width in bits of what is read or written. */
  readonly width: number;
}

export interface MemoryOperand {
  readonly kind: 'memory';
  /** The segment in force: the override, or the default of the addressing form. */
  readonly segment: SegmentName;
  /** General register number, or -1. */
  readonly base: number;
  /** General register number, or -1. */
  readonly index: number;
  /** 0..3: the index is shifted left by this. */
  readonly scaleShift: number;
  /** Signed; relative to the next instruction when `ripRelative`. */
  readonly displacement: bigint;
  readonly ripRelative: boolean;
  /** Width in bits of the access; 0 where only the address counts (LEA, INVLPG, prefetches). */
  readonly width: number;
}

export interface ImmediateOperand {
  readonly kind: 'immediate';
  /** Already extended to `width` as the manual says, as an unsigned number of `width` bits. */
  readonly value: bigint;
  readonly width: number;
}

/** A near branch target: signed distance from the next instruction; `width` is that of the new instruction pointer. */
export interface RelativeOperand {
  readonly kind: 'relative';
  readonly displacement: bigint;
  readonly width: number;
}

/** The direct far pointer of 9A and EA; `width` is that of the offset. */
export interface FarOperand {
  readonly kind: 'far';
  readonly selector: number;
  readonly offset: bigint;
  readonly width: number;
}

export type Operand = RegisterOperand | MemoryOperand | ImmediateOperand | RelativeOperand | FarOperand;

export interface Instruction {
  /** The manual's mnemonic in upper case; string instructions and others with one meaning for all widths have one name
   * (`MOVS`, `IRET`, `PUSHF`), conditional ones carry the condition in `condition` (`JCC`, `SETCC`, `CMOVCC`). */
  readonly mnemonic: string;
  /** Bytes, prefixes included: 1..15. */
  readonly length: number;
  readonly codeSize: CodeSize;
  /** Effective operand size in bits, after prefixes and the defaults of this instruction. */
  readonly operandSize: 16 | 32 | 64;
  /** Effective address size in bits. */
  readonly addressSize: 16 | 32 | 64;
  readonly operands: readonly Operand[];
  /** The condition code 0..15 of JCC, SETCC, CMOVCC; -1 otherwise. */
  readonly condition: number;
  readonly lock: boolean;
  readonly rep: 'none' | 'rep' | 'repne';
  /** CPUID feature (names as in `model/features.ts`) that this encoding needs and that was found present; '' if none. */
  readonly feature: string;
  /** JMP and CALL with the prefix 3E: NOTRACK, where branch tracking knows it. */
  readonly untracked?: true;
  /** x87 only: the low three bits of the opcode and ModRM, as FOP keeps them. */
  readonly fop?: number;
}

/** Why bytes are not an instruction. `more`: the bytes at hand ended first (the fetch of the next page decides). */
export interface Undecodable {
  readonly mnemonic: '';
  /** `ud`: #UD. `long`: more than 15 bytes, #GP(0). `more`: not enough bytes given. */
  readonly why: 'ud' | 'long' | 'more';
  readonly length: number;
}

/** Answers whether the model has a CPUID feature: the capability door, seen from the decoder. */
export type HasFeature = (feature: string) => boolean;
