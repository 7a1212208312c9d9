// Mnemonic to meaning for MMX and SSE. Merged into the one table of `semantics/index.ts`.
import type { Meaning } from '../outcome.ts';
import { assistKey, decrypt, decryptLast, encrypt, encryptLast, unmixKey } from './aes.ts';
import {
  approximate, arithmetic, compare, compareFlags, convert, convertLow, dotProduct, fromGeneral, horizontal as horizontalFloat, root, round, toGeneral,
} from './float.ts';
import { affineBytes, affineInverses, multiplyBytes, multiplyWithoutCarries } from './galois.ts';
import { duplicate, move, moveHighHalf, moveHighToLow, moveLow, moveLowHalf, moveMask, moveScalar } from './move.ts';
import {
  absolute, alignRight, applySign, bitAnd, bitAndNot, bitOr, bitXor, blendByImmediate, blendByRegister, extractField, extractLane,
  horizontal, insertField, insertLane, insertSingle,
  interleave, leastWord, pack, packed, productsOfBytes, shift, shiftBytes, shuffleBytes, shuffleFour, shuffleHalves, shufflePairs,
  sumOfDistances, sumsOfDistances, testBits, widen,
} from './packed.ts';
import { sha1Message1, sha1Message2, sha1NextE, sha1Rounds, sha256Message1, sha256Message2, sha256Rounds } from './sha.ts';
import { compareToIndex, compareToMask } from './text.ts';

/** These take memory operands of 128 bits at any address. */
const unaligned: Readonly<Record<string, Meaning>> = {
  MOVUPS: move, MOVUPD: move, MOVDQU: move, LDDQU: move,
  PCMPESTRI: compareToIndex(true), PCMPISTRI: compareToIndex(false), PCMPESTRM: compareToMask(true), PCMPISTRM: compareToMask(false),
  // The SDM wants these aligned; this processor does not (Zen 4, native vectors).
  SHA1RNDS4: sha1Rounds, SHA1NEXTE: sha1NextE, SHA1MSG1: sha1Message1, SHA1MSG2: sha1Message2,
  SHA256RNDS2: sha256Rounds, SHA256MSG1: sha256Message1, SHA256MSG2: sha256Message2,
};

const aligned: Readonly<Record<string, Meaning>> = {
  // Moves.
  MOVAPS: move, MOVAPD: move, MOVDQA: move, MOVNTPS: move, MOVNTPD: move, MOVNTDQ: move, MOVNTDQA: move, MOVNTQ: move,
  MOVNTSS: move, MOVNTSD: move,
  MOVD: moveLow, MOVQ: moveLow, MOVQ2DQ: moveLow, MOVDQ2Q: moveLow, MOVSS: moveScalar, MOVSD: moveScalar,
  MOVLPS: moveLowHalf, MOVLPD: moveLowHalf, MOVHPS: moveHighHalf, MOVHPD: moveHighHalf, MOVLHPS: moveHighHalf, MOVHLPS: moveHighToLow,
  MOVSLDUP: duplicate(32, 0, 0, 2, 2), MOVSHDUP: duplicate(32, 1, 1, 3, 3), MOVDDUP: duplicate(64, 0, 0),
  MOVMSKPS: moveMask(32), MOVMSKPD: moveMask(64), PMOVMSKB: moveMask(8),
  // Floating point.
  ADDPS: arithmetic('add', 32), ADDSS: arithmetic('add', 32), ADDPD: arithmetic('add', 64), ADDSD: arithmetic('add', 64),
  SUBPS: arithmetic('subtract', 32), SUBSS: arithmetic('subtract', 32), SUBPD: arithmetic('subtract', 64), SUBSD: arithmetic('subtract', 64),
  MULPS: arithmetic('multiply', 32), MULSS: arithmetic('multiply', 32), MULPD: arithmetic('multiply', 64), MULSD: arithmetic('multiply', 64),
  DIVPS: arithmetic('divide', 32), DIVSS: arithmetic('divide', 32), DIVPD: arithmetic('divide', 64), DIVSD: arithmetic('divide', 64),
  MINPS: arithmetic('minimum', 32), MINSS: arithmetic('minimum', 32), MINPD: arithmetic('minimum', 64), MINSD: arithmetic('minimum', 64),
  MAXPS: arithmetic('maximum', 32), MAXSS: arithmetic('maximum', 32), MAXPD: arithmetic('maximum', 64), MAXSD: arithmetic('maximum', 64),
  SQRTPS: root(32), SQRTSS: root(32), SQRTPD: root(64), SQRTSD: root(64),
  RCPPS: approximate('reciprocal'), RCPSS: approximate('reciprocal'), RSQRTPS: approximate('reciprocalRoot'), RSQRTSS: approximate('reciprocalRoot'),
  CMPPS: compare(32), CMPSS: compare(32), CMPPD: compare(64), CMPSD: compare(64),
  COMISS: compareFlags('order', 32), COMISD: compareFlags('order', 64), UCOMISS: compareFlags('orderQuiet', 32), UCOMISD: compareFlags('orderQuiet', 64),
  CVTSI2SS: fromGeneral(32), CVTSI2SD: fromGeneral(64), CVTSS2SI: toGeneral('toSigned', 32), CVTSD2SI: toGeneral('toSigned', 64),
  CVTTSS2SI: toGeneral('truncateTo', 32), CVTTSD2SI: toGeneral('truncateTo', 64),
  CVTSS2SD: convert('toDouble', 32, 64), CVTSD2SS: convert('toSingle', 64, 32), CVTPS2PD: convert('toDouble', 32, 128), CVTPD2PS: convert('toSingle', 64, 64, true),
  CVTDQ2PS: convert('fromSigned32', 32), CVTDQ2PD: convert('fromSigned32', 64, 128), CVTPS2DQ: convert('toSigned32', 32), CVTTPS2DQ: convert('truncateTo32', 32),
  CVTPD2DQ: convert('toSigned32', 64, 64, true), CVTTPD2DQ: convert('truncateTo32', 64, 64, true),
  CVTPI2PS: convertLow('fromSigned32', 32, 64), CVTPI2PD: convertLow('fromSigned32', 64, 128), CVTPS2PI: convertLow('toSigned32', 32, 64),
  CVTTPS2PI: convertLow('truncateTo32', 32, 64), CVTPD2PI: convert('toSigned32', 64, 64), CVTTPD2PI: convert('truncateTo32', 64, 64),
  ADDSUBPS: arithmetic('addSubtract', 32), ADDSUBPD: arithmetic('addSubtract', 64),
  HADDPS: horizontalFloat('add', 32), HADDPD: horizontalFloat('add', 64), HSUBPS: horizontalFloat('subtract', 32), HSUBPD: horizontalFloat('subtract', 64),
  DPPS: dotProduct(32), DPPD: dotProduct(64),
  ROUNDPS: round(32), ROUNDSS: round(32), ROUNDPD: round(64), ROUNDSD: round(64),
  // Logic.
  PAND: bitAnd, PANDN: bitAndNot, POR: bitOr, PXOR: bitXor, ANDPS: bitAnd, ANDNPS: bitAndNot, ORPS: bitOr, XORPS: bitXor,
  ANDPD: bitAnd, ANDNPD: bitAndNot, ORPD: bitOr, XORPD: bitXor, PTEST: testBits,
  // Sums, products, comparisons.
  PADDB: packed('plus', 8), PADDW: packed('plus', 16), PADDD: packed('plus', 32), PADDQ: packed('plus', 64),
  PSUBB: packed('minus', 8), PSUBW: packed('minus', 16), PSUBD: packed('minus', 32), PSUBQ: packed('minus', 64),
  PADDSB: packed('plusSaturated', 8), PADDSW: packed('plusSaturated', 16), PADDUSB: packed('plusSaturatedUnsigned', 8), PADDUSW: packed('plusSaturatedUnsigned', 16),
  PSUBSB: packed('minusSaturated', 8), PSUBSW: packed('minusSaturated', 16), PSUBUSB: packed('minusSaturatedUnsigned', 8), PSUBUSW: packed('minusSaturatedUnsigned', 16),
  PAVGB: packed('averageUnsigned', 8), PAVGW: packed('averageUnsigned', 16), PSADBW: sumOfDistances, MPSADBW: sumsOfDistances,
  PMULLW: packed('times', 16), PMULLD: packed('times', 32), PMULHW: packed('timesHigh', 16), PMULHUW: packed('timesHighUnsigned', 16),
  PMULHRSW: packed('timesHighRounded', 16), PMULUDQ: packed('timesLowUnsigned', 64), PMULDQ: packed('timesLow', 64), PMADDWD: packed('pairProducts', 32),
  PMADDUBSW: productsOfBytes,
  PCMPEQB: packed('equal', 8), PCMPEQW: packed('equal', 16), PCMPEQD: packed('equal', 32), PCMPEQQ: packed('equal', 64),
  PCMPGTB: packed('greater', 8), PCMPGTW: packed('greater', 16), PCMPGTD: packed('greater', 32), PCMPGTQ: packed('greater', 64),
  PMINSB: packed('minimum', 8), PMINSW: packed('minimum', 16), PMINSD: packed('minimum', 32),
  PMINUB: packed('minimumUnsigned', 8), PMINUW: packed('minimumUnsigned', 16), PMINUD: packed('minimumUnsigned', 32),
  PMAXSB: packed('maximum', 8), PMAXSW: packed('maximum', 16), PMAXSD: packed('maximum', 32),
  PMAXUB: packed('maximumUnsigned', 8), PMAXUW: packed('maximumUnsigned', 16), PMAXUD: packed('maximumUnsigned', 32),
  PHMINPOSUW: leastWord,
  PHADDW: horizontal('plus', 16), PHADDD: horizontal('plus', 32), PHADDSW: horizontal('plusSaturated', 16),
  PHSUBW: horizontal('minus', 16), PHSUBD: horizontal('minus', 32), PHSUBSW: horizontal('minusSaturated', 16),
  PABSB: absolute(8), PABSW: absolute(16), PABSD: absolute(32), PSIGNB: applySign(8), PSIGNW: applySign(16), PSIGND: applySign(32),
  // Shifts.
  PSLLW: shift('shiftLeft', 16), PSLLD: shift('shiftLeft', 32), PSLLQ: shift('shiftLeft', 64),
  PSRLW: shift('shiftRight', 16), PSRLD: shift('shiftRight', 32), PSRLQ: shift('shiftRight', 64),
  PSRAW: shift('shiftRightSigned', 16), PSRAD: shift('shiftRightSigned', 32),
  PSLLDQ: shiftBytes(1), PSRLDQ: shiftBytes(-1), PALIGNR: alignRight,
  // Lanes to other places.
  PUNPCKLBW: interleave(8, 'low'), PUNPCKLWD: interleave(16, 'low'), PUNPCKLDQ: interleave(32, 'low'), PUNPCKLQDQ: interleave(64, 'low'),
  PUNPCKHBW: interleave(8, 'high'), PUNPCKHWD: interleave(16, 'high'), PUNPCKHDQ: interleave(32, 'high'), PUNPCKHQDQ: interleave(64, 'high'),
  UNPCKLPS: interleave(32, 'low'), UNPCKHPS: interleave(32, 'high'), UNPCKLPD: interleave(64, 'low'), UNPCKHPD: interleave(64, 'high'),
  PACKSSWB: pack(16, true), PACKSSDW: pack(32, true), PACKUSWB: pack(16, false), PACKUSDW: pack(32, false),
  PSHUFD: shuffleFour(32), PSHUFW: shuffleFour(16), PSHUFLW: shuffleFour(16, 'high'), PSHUFHW: shuffleFour(16, 'low'), PSHUFB: shuffleBytes,
  SHUFPS: shufflePairs, SHUFPD: shuffleHalves,
  PINSRB: insertLane(8), PINSRW: insertLane(16), PINSRD: insertLane(32), PINSRQ: insertLane(64),
  PEXTRB: extractLane(8), PEXTRW: extractLane(16), PEXTRD: extractLane(32), PEXTRQ: extractLane(64), EXTRACTPS: extractLane(32),
  INSERTPS: insertSingle, EXTRQ: extractField, INSERTQ: insertField,
  PMOVSXBW: widen(8, 16, true), PMOVSXBD: widen(8, 32, true), PMOVSXBQ: widen(8, 64, true), PMOVSXWD: widen(16, 32, true),
  PMOVSXWQ: widen(16, 64, true), PMOVSXDQ: widen(32, 64, true), PMOVZXBW: widen(8, 16, false), PMOVZXBD: widen(8, 32, false),
  PMOVZXBQ: widen(8, 64, false), PMOVZXWD: widen(16, 32, false), PMOVZXWQ: widen(16, 64, false), PMOVZXDQ: widen(32, 64, false),
  PBLENDVB: blendByRegister(8), BLENDVPS: blendByRegister(32), BLENDVPD: blendByRegister(64),
  PBLENDW: blendByImmediate(16), BLENDPS: blendByImmediate(32), BLENDPD: blendByImmediate(64),
  // Ciphers, digests, and fields of characteristic 2.
  AESENC: encrypt, AESENCLAST: encryptLast, AESDEC: decrypt, AESDECLAST: decryptLast, AESIMC: unmixKey, AESKEYGENASSIST: assistKey,
  PCLMULQDQ: multiplyWithoutCarries, GF2P8MULB: multiplyBytes, GF2P8AFFINEQB: affineBytes, GF2P8AFFINEINVQB: affineInverses,
};

/** APM Vol. 1, 4.3.2: legacy instructions raise #GP for a misaligned operand of 128 bits; but for moves of whole aligned registers,
 * MXCSR.MM frees them of that. */
const strict: ReadonlySet<string> = new Set(['MOVAPS', 'MOVAPD', 'MOVDQA', 'MOVNTPS', 'MOVNTPD', 'MOVNTDQ', 'MOVNTDQA']);
const withAlignment = (name: string, meaning: Meaning): Meaning => (operands, shape) =>
  ({ ...meaning(operands, shape), aligned: strict.has(name) ? true : 'lenient' });

export const sse: Readonly<Record<string, Meaning>> = {
  ...unaligned, ...Object.fromEntries(Object.entries(aligned).map(([name, meaning]) => [name, withAlignment(name, meaning)])),
};
