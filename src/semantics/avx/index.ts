// Mnemonic to meaning for the VEX encoding: AVX, AVX2, FMA and F16C. What legacy SSE has as well is that meaning, with the sources apart and
// each half of 128 bits by itself. Merged into the one table of `semantics/index.ts`.
import type { Meaning } from '../outcome.ts';
import { convert, fromGeneral } from '../sse/float.ts';
import { sse } from '../sse/index.ts';
import { blendByImmediate, packed, shuffleFour, shuffleHalves } from '../sse/packed.ts';
import { aligned, apart, eachHalf, eachSourceHalf, nothing, scalar, vex } from './combine.ts';
import { addByteProducts, addLongProducts, addWordProducts } from './dot.ts';
import {
  compare, convertToHalf, fromHalfPrecision, fused, fusedLow, fusedScalar, testBits, testSigns, toHalfPrecision, type FusedOrder, type FusedWord,
} from './float.ts';
import {
  broadcast, broadcastHalf, extractHalf, insertHalf, moveHighHalf, moveHighToLow, moveLowHalf, moveLowToHigh, moveMask, moveQuadword, moveScalar,
  permuteDoublewords, permuteHalves, permuteLanes, permuteQuadwords,
} from './move.ts';

type Table = Readonly<Record<string, Meaning>>;
/** The meanings that legacy SSE has under these names, with a V before them; names without a meaning there have none here. */
const named = (names: string, change: (meaning: Meaning) => Meaning): Table =>
  Object.fromEntries(names.trim().split(/\s+/).flatMap((name) => {
    const meaning = sse[name];
    return meaning ? [[`V${name}`, change(meaning)]] : [];
  }));

/** Destination and two sources. */
const threeOperands = named(`
  ADDPS ADDPD SUBPS SUBPD MULPS MULPD DIVPS DIVPD MINPS MINPD MAXPS MAXPD ANDPS ANDPD ANDNPS ANDNPD ORPS ORPD XORPS XORPD
  ADDSUBPS ADDSUBPD HADDPS HADDPD HSUBPS HSUBPD DPPS DPPD INSERTPS SHUFPS UNPCKLPS UNPCKLPD UNPCKHPS UNPCKHPD BLENDVPS BLENDVPD PBLENDVB
  PADDB PADDW PADDD PADDQ PSUBB PSUBW PSUBD PSUBQ PADDSB PADDSW PADDUSB PADDUSW PSUBSB PSUBSW PSUBUSB PSUBUSW PAVGB PAVGW PSADBW
  PMULLW PMULLD PMULHW PMULHUW PMULHRSW PMULUDQ PMULDQ PMADDWD PMADDUBSW PCMPEQB PCMPEQW PCMPEQD PCMPEQQ PCMPGTB PCMPGTW PCMPGTD PCMPGTQ
  PMINSB PMINSW PMINSD PMINUB PMINUW PMINUD PMAXSB PMAXSW PMAXSD PMAXUB PMAXUW PMAXUD PAND PANDN POR PXOR
  PHADDW PHADDD PHADDSW PHSUBW PHSUBD PHSUBSW PSIGNB PSIGNW PSIGND PSHUFB PALIGNR PBLENDW
  PSLLW PSLLD PSLLQ PSRLW PSRLD PSRLQ PSRAW PSRAD PSLLDQ PSRLDQ
  PUNPCKLBW PUNPCKLWD PUNPCKLDQ PUNPCKLQDQ PUNPCKHBW PUNPCKHWD PUNPCKHDQ PUNPCKHQDQ PACKSSWB PACKSSDW PACKUSWB PACKUSDW
  PINSRB PINSRW PINSRD PINSRQ
  AESENC AESENCLAST AESDEC AESDECLAST PCLMULQDQ GF2P8MULB GF2P8AFFINEQB GF2P8AFFINEINVQB`, meaning => vex(apart(eachHalf(meaning))));
/** Each half has bits of the immediate of its own. */
const threeOperandsByBits = {
  ...named('SHUFPD BLENDPD', meaning => vex(apart(eachHalf(meaning, 2)))), ...named('BLENDPS', meaning => vex(apart(eachHalf(meaning, 4)))),
  ...named('MPSADBW', meaning => vex(apart(eachHalf(meaning, 3)))),
};
/** Destination and one source. */
const twoOperands = named(`
  MOVUPS MOVUPD MOVDQU LDDQU MOVSLDUP MOVSHDUP MOVDDUP SQRTPS SQRTPD RCPPS RSQRTPS ROUNDPS ROUNDPD
  CVTDQ2PS CVTPS2DQ CVTTPS2DQ PABSB PABSW PABSD PSHUFD PSHUFHW PSHUFLW
  MOVD CVTSS2SI CVTSD2SI CVTTSS2SI CVTTSD2SI COMISS COMISD UCOMISS UCOMISD PEXTRB PEXTRW PEXTRD PEXTRQ EXTRACTPS PHMINPOSUW
  PCMPESTRM PCMPESTRI PCMPISTRM PCMPISTRI AESIMC AESKEYGENASSIST`, meaning => vex(eachHalf(meaning)));
const alignedMoves = named('MOVAPS MOVAPD MOVDQA MOVNTPS MOVNTPD MOVNTDQ MOVNTDQA', meaning => aligned(vex(meaning)));
const widenings = named(`
  PMOVSXBW PMOVSXBD PMOVSXBQ PMOVSXWD PMOVSXWQ PMOVSXDQ PMOVZXBW PMOVZXBD PMOVZXBQ PMOVZXWD PMOVZXWQ PMOVZXDQ`, meaning => vex(eachSourceHalf(meaning)));
const scalars = {
  ...named('ADDSS SUBSS MULSS DIVSS MINSS MAXSS SQRTSS RCPSS RSQRTSS ROUNDSS', meaning => vex(scalar(meaning, 32))),
  ...named('ADDSD SUBSD MULSD DIVSD MINSD MAXSD SQRTSD ROUNDSD', meaning => vex(scalar(meaning, 64))),
};

/** VPERMILPS, VPERMILPD: each half by a register or by an immediate. */
const permuteInLanes = (lane: 32 | 64): Meaning => {
  const byRegister = apart(eachHalf(permuteLanes(lane)));
  const byImmediate = lane === 32 ? eachHalf(shuffleFour(32)) : eachHalf(([, source], shape) => shuffleHalves([source, source, nothing, nothing], shape), 2);
  return (operands, shape) => (shape.instruction.operands[2]!.kind === 'immediate' ? byImmediate : byRegister)(operands, shape);
};

const own: Table = {
  VMOVSS: moveScalar(32), VMOVSD: moveScalar(64), VMOVLPS: moveLowHalf, VMOVLPD: moveLowHalf, VMOVHPS: moveHighHalf, VMOVHPD: moveHighHalf,
  VMOVQ: moveQuadword, VMOVHLPS: moveHighToLow, VMOVLHPS: moveLowToHigh, VMOVMSKPS: moveMask(32), VMOVMSKPD: moveMask(64), VPMOVMSKB: moveMask(8),
  VCMPPS: apart(eachHalf(compare(32))), VCMPPD: apart(eachHalf(compare(64))), VCMPSS: scalar(compare(32), 32), VCMPSD: scalar(compare(64), 64),
  VPTEST: testBits, VTESTPS: testSigns(32), VTESTPD: testSigns(64),
  VCVTSI2SS: scalar(fromGeneral(32), 32), VCVTSI2SD: scalar(fromGeneral(64), 64),
  VCVTSS2SD: scalar(convert('toDouble', 32, 64), 64), VCVTSD2SS: scalar(convert('toSingle', 64, 32), 32),
  VCVTPS2PD: eachSourceHalf(convert('toDouble', 32, 128)), VCVTDQ2PD: eachSourceHalf(convert('fromSigned32', 64, 128)),
  VCVTPD2PS: convertToHalf('toSingle', 64), VCVTPD2DQ: convertToHalf('toSigned32', 64), VCVTTPD2DQ: convertToHalf('truncateTo32', 64),
  VCVTPH2PS: fromHalfPrecision, VCVTPS2PH: toHalfPrecision,
  VBROADCASTSS: broadcast(32), VBROADCASTSD: broadcast(64), VBROADCASTF128: broadcastHalf, VBROADCASTI128: broadcastHalf,
  VPBROADCASTB: broadcast(8), VPBROADCASTW: broadcast(16), VPBROADCASTD: broadcast(32), VPBROADCASTQ: broadcast(64),
  VINSERTF128: insertHalf, VINSERTI128: insertHalf, VEXTRACTF128: extractHalf, VEXTRACTI128: extractHalf,
  VPERM2F128: permuteHalves, VPERM2I128: permuteHalves, VPERMQ: permuteQuadwords, VPERMPD: permuteQuadwords,
  VPERMD: permuteDoublewords, VPERMPS: permuteDoublewords,
  VPERMILPS: permuteInLanes(32), VPERMILPD: permuteInLanes(64), VPBLENDD: apart(eachHalf(blendByImmediate(32), 4)),
  VPSLLVD: apart(eachHalf(packed('shiftLeft', 32))), VPSLLVQ: apart(eachHalf(packed('shiftLeft', 64))),
  VPSRLVD: apart(eachHalf(packed('shiftRight', 32))), VPSRLVQ: apart(eachHalf(packed('shiftRight', 64))), VPSRAVD: apart(eachHalf(packed('shiftRightSigned', 32))),
  VPDPBUSD: eachHalf(addByteProducts(false)), VPDPBUSDS: eachHalf(addByteProducts(true)),
  VPDPWSSD: eachHalf(addWordProducts(false)), VPDPWSSDS: eachHalf(addWordProducts(true)),
  VPMADD52LUQ: eachHalf(addLongProducts('low')), VPMADD52HUQ: eachHalf(addLongProducts('high')),
};
const fusedWords: readonly (readonly [name: string, word: FusedWord, isScalar: boolean])[] = [
  ['FMADD', 'fusedAdd', true], ['FMSUB', 'fusedSubtract', true], ['FNMADD', 'fusedNegativeAdd', true], ['FNMSUB', 'fusedNegativeSubtract', true],
  ['FMADDSUB', 'fusedAddOdd', false], ['FMSUBADD', 'fusedAddEven', false],
];
/** FMA4 has the factors and what is added behind the destination, and zeros above a scalar. */
const fma4: Table = Object.fromEntries(fusedWords.flatMap(([name, word, isScalar]) => [
  ...([['PS', 32], ['PD', 64]] as const).map(([suffix, format]) => [`V${name}${suffix}`, vex(apart(eachHalf(fused(word, format, '123'))))] as const),
  ...(isScalar ? [['SS', 32], ['SD', 64]] as const : []).map(([suffix, format]) => [`V${name}${suffix}`, vex(apart(fusedLow(word, format)))] as const),
]));
const fma: Table = Object.fromEntries(fusedWords.flatMap(([name, word, isScalar]) => (['132', '213', '231'] as const).flatMap((order: FusedOrder) => [
  ...([['PS', 32], ['PD', 64]] as const).map(([suffix, format]) => [`V${name}${order}${suffix}`, vex(eachHalf(fused(word, format, order)))] as const),
  ...(isScalar ? [['SS', 32], ['SD', 64]] as const : []).map(([suffix, format]) => [`V${name}${order}${suffix}`, vex(fusedScalar(word, format, order))] as const),
])));

export const avx: Table = {
  ...threeOperands, ...threeOperandsByBits, ...twoOperands, ...alignedMoves, ...widenings, ...scalars, ...fma, ...fma4,
  ...Object.fromEntries(Object.entries(own).map(([name, meaning]) => [name, vex(meaning)])),
  VZEROUPPER: () => ({ clears: 'upper' }), VZEROALL: () => ({ clears: 'all' }),
};
