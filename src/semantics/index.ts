// Mnemonic to meaning: the one table that says for every instruction the decoder knows what it does, that it is done in `system/`, or why
// there is no meaning yet. Called by the three readings, by the run of the native vectors and by tests.
import type { Instruction } from '../isa/instruction.ts';
import type { Expr } from './expr.ts';
import type { Meaning } from './outcome.ts';
import { avx } from './avx/index.ts';
import { adc, adcx, add, adox, cmp, cmpxchg, cmpxchg16b, cmpxchg8b, dec, inc, neg, sbb, sub, xadd, xchg } from './arithmetic.ts';
import {
  andn, bextr, blcfill, blci, blcic, blcmsk, blcs, blsfill, blsi, blsic, blsmsk, blsr, bzhi, pdep, pext, rorx, sarx, shlx, shrx, t1mskc, tzmsk,
} from './bmi.ts';
import { bitDisplacement, bsf, bsr, bswap, bt, btc, btr, bts, crc32, lzcnt, popcnt, tzcnt } from './bits.ts';
import { call, jcc, jcxz, jmp, loop, loope, loopne, ret } from './branch.ts';
import { aaa, aad, aam, aas, daa, das } from './decimal.ts';
import { clc, cld, cmc, lahf, sahf, salc, stc, std } from './flag-control.ts';
import { flushLine, nothing } from './hints.ts';
import { and, not, or, test, xor } from './logic.ts';
import { cbw, cmovcc, cwd, lea, mov, movbe, movsx, movsxd, movzx, setcc, xlat } from './move.ts';
import { div, idiv, imul, mul, mulx } from './multiply.ts';
import { rcl, rcr, rol, ror, sar, shl, shld, shr, shrd } from './shift.ts';
import { sse } from './sse/index.ts';
import { leave, pop, push } from './stack.ts';
import { cmps, lods, movs, scas, stos } from './string.ts';
import { xbegin, xend, xtest } from './transactions.ts';

/** What the bit offset of BT and its relatives adds to the offset of memory operand 0, of the address size; undefined: nothing. It gets the
 * expression of operand 1. Every reading adds it before the access. */
export type Displacement = (offset: Expr, instruction: Instruction) => Expr | undefined;

/** A meaning; or done by `system/`; or nobody does it, and it raises #UD, for the stated reason. */
type Entry = Meaning | { readonly meaning: Meaning; readonly displace: Displacement } | { readonly system: true } | { readonly missing: string };

const byBit = (meaning: Meaning) => ({ meaning, displace: bitDisplacement });
const system = { system: true } as const;
const missing = (reason: string) => ({ missing: reason });
const withFeature = (feature: string) => missing(`no model with ${feature} is offered yet`);

const table: Readonly<Record<string, Entry>> = {
  // Arithmetic and logic.
  ADD: add, ADC: adc, SUB: sub, SBB: sbb, CMP: cmp, INC: inc, DEC: dec, NEG: neg, AND: and, OR: or, XOR: xor, TEST: test, NOT: not,
  ADCX: adcx, ADOX: adox, XADD: xadd, XCHG: xchg, CMPXCHG: cmpxchg, CMPXCHG8B: cmpxchg8b, CMPXCHG16B: cmpxchg16b,
  MUL: mul, IMUL: imul, MULX: mulx, DIV: div, IDIV: idiv,
  SHL: shl, SHR: shr, SAR: sar, ROL: rol, ROR: ror, RCL: rcl, RCR: rcr, SHLD: shld, SHRD: shrd,
  AAA: aaa, AAS: aas, AAM: aam, AAD: aad, DAA: daa, DAS: das,
  // Bits.
  BT: byBit(bt), BTS: byBit(bts), BTR: byBit(btr), BTC: byBit(btc),
  BSF: bsf, BSR: bsr, LZCNT: lzcnt, TZCNT: tzcnt, POPCNT: popcnt, BSWAP: bswap, CRC32: crc32,
  ANDN: andn, BEXTR: bextr, BLSI: blsi, BLSMSK: blsmsk, BLSR: blsr, BZHI: bzhi, PDEP: pdep, PEXT: pext,
  RORX: rorx, SARX: sarx, SHLX: shlx, SHRX: shrx,
  BLCFILL: blcfill, BLCI: blci, BLCIC: blcic, BLCMSK: blcmsk, BLCS: blcs, BLSFILL: blsfill, BLSIC: blsic, T1MSKC: t1mskc, TZMSK: tzmsk,
  // Moves.
  MOV: mov, MOVNTI: mov, MOVDIRI: mov, MOVBE: movbe, MOVZX: movzx, MOVSX: movsx, MOVSXD: movsxd, LEA: lea, CMOVCC: cmovcc, SETCC: setcc,
  CBW: cbw, CWD: cwd, XLAT: xlat,
  MOVS: movs, STOS: stos, LODS: lods, CMPS: cmps, SCAS: scas,
  PUSH: push, POP: pop, LEAVE: leave,
  // Branches.
  JMP: jmp, JCC: jcc, CALL: call, RET: ret, LOOP: loop, LOOPE: loope, LOOPNE: loopne, JCXZ: jcxz,
  XBEGIN: xbegin, XEND: xend, XABORT: nothing, XTEST: xtest,
  // Flags.
  CLC: clc, STC: stc, CMC: cmc, CLD: cld, STD: std, LAHF: lahf, SAHF: sahf, SALC: salc,
  // Hints: one processor after the other, in program order, with caches that nobody can see.
  NOP: nothing, LFENCE: nothing, SFENCE: nothing, MFENCE: nothing, SERIALIZE: nothing, ENDBR32: nothing, ENDBR64: nothing,
  PREFETCH: nothing, PREFETCHW: nothing, PREFETCHWT1: nothing, PREFETCHNTA: nothing, PREFETCHT0: nothing, PREFETCHT1: nothing,
  PREFETCHT2: nothing, PREFETCHIT0: nothing, PREFETCHIT1: nothing, CLDEMOTE: nothing,
  CLFLUSH: flushLine, CLFLUSHOPT: flushLine, CLWB: flushLine,

  // More than one store, privilege, segments, modes, ports, MSRs, time.
  PUSHA: system, POPA: system, PUSHF: system, POPF: system, ENTER: system,
  MOVSREG: system, PUSHSREG: system, POPSREG: system, LES: system, LDS: system, LSS: system, LFS: system, LGS: system,
  SLDT: system, STR: system, LLDT: system, LTR: system, VERR: system, VERW: system, SGDT: system, SIDT: system, LGDT: system, LIDT: system,
  LAR: system, LSL: system, ARPL: system, RDFSBASE: system, RDGSBASE: system, WRFSBASE: system, WRGSBASE: system, SWAPGS: system,
  JMPF: system, CALLF: system, RETF: system, IRET: system, INT1: system, INT3: system, INT: system, INTO: system, BOUND: system,
  UD0: system, UD1: system, UD2: system,
  PAUSE: system, IN: system, OUT: system, INS: system, OUTS: system,
  CLI: system, STI: system, CLAC: system, STAC: system, HLT: system, CPUID: system, RDTSC: system, RDTSCP: system, RDPID: system, RDPMC: system,
  RDPRU: system, RDRAND: system, RDSEED: system, WRMSR: system, RDMSR: system, SYSCALL: system, SYSRET: system, SYSENTER: system, SYSEXIT: system,
  SMSW: system, LMSW: system, CLTS: system, INVD: system, WBNOINVD: system, WBINVD: system, INVLPG: system, INVPCID: system,
  MOVCR: system, MOVDR: system, MONITOR: system, MWAIT: system, MONITORX: system, MWAITX: system, XGETBV: system, XSETBV: system,
  WRMSRNS: system, LKGS: system, UMONITOR: system, UMWAIT: system, TPAUSE: system,
  RDSSP: system, INCSSP: system, CLRSSBSY: system, RSTORSSP: system, SETSSBSY: system, SAVEPREVSSP: system, WRUSS: system, WRSS: system,
  MOVDIR64B: system, CMPCCXADD: system, AADD: system, AAND: system, AOR: system, AXOR: system,
  RDPKRU: system, WRPKRU: system, CLZERO: system, RSM: system,
  VMRUN: system, VMMCALL: system, VMLOAD: system, VMSAVE: system, STGI: system, CLGI: system, INVLPGA: system, SKINIT: system, VMCALL: system,

  // MMX and SSE.
  ...sse,
  ...avx,
  VLDMXCSR: system, VSTMXCSR: system, VMASKMOVDQU: system, VMASKMOVPS: system, VMASKMOVPD: system, VPMASKMOVD: system, VPMASKMOVQ: system,
  VPGATHERDD: system, VPGATHERDQ: system, VPGATHERQD: system, VPGATHERQQ: system,
  VGATHERDPS: system, VGATHERDPD: system, VGATHERQPS: system, VGATHERQPD: system,
  EMMS: system, LDMXCSR: system, STMXCSR: system, FXSAVE: system, FXRSTOR: system, MASKMOVQ: system, MASKMOVDQU: system,
  XSAVE: system, XSAVEOPT: system, XSAVEC: system, XSAVES: system, XRSTOR: system, XRSTORS: system,

  // x87: 80-bit values are computed in TypeScript (`x87/`), bound in `system/x87.ts`.
  FNINIT: system, FNCLEX: system, FNENI: system, FNDISI: system, FNSETPM: system, FNOP: system, FNSTSW: system, FNSTCW: system, FLDCW: system, FWAIT: system,
  FNSTENV: system, FLDENV: system, FNSAVE: system, FRSTOR: system,
  FADD: system, FADDP: system, FIADD: system, FMUL: system, FMULP: system, FIMUL: system, FSUB: system, FSUBP: system, FISUB: system, FSUBR: system,
  FSUBRP: system, FISUBR: system, FDIV: system, FDIVP: system, FIDIV: system, FDIVR: system, FDIVRP: system, FIDIVR: system, FSQRT: system, FCHS: system,
  FABS: system, FRNDINT: system, FSCALE: system, FXTRACT: system, FPREM: system, FPREM1: system, F2XM1: system, FYL2X: system, FYL2XP1: system,
  FPATAN: system, FPTAN: system, FSIN: system, FCOS: system, FSINCOS: system, FCOM: system, FCOMP: system, FCOMPP: system, FICOM: system, FICOMP: system,
  FUCOM: system, FUCOMP: system, FUCOMPP: system, FTST: system, FXAM: system, FCOMI: system, FCOMIP: system, FUCOMI: system, FUCOMIP: system,
  FLD: system, FILD: system, FBLD: system, FST: system, FSTP: system, FIST: system, FISTP: system, FISTTP: system, FBSTP: system, FSTPNCE: system,
  FLD1: system, FLDL2T: system, FLDL2E: system, FLDPI: system, FLDLG2: system, FLDLN2: system, FLDZ: system, FXCH: system, FFREE: system, FFREEP: system,
  FINCSTP: system, FDECSTP: system, FCMOVB: system, FCMOVE: system, FCMOVBE: system, FCMOVU: system, FCMOVNB: system, FCMOVNE: system,
  FCMOVNBE: system, FCMOVNU: system,

  // Known by name only.
  PTWRITE: withFeature('intel-pt'),
  VMGEXIT: withFeature('sev_es'),
  VMLAUNCH: withFeature('vmx'), VMRESUME: withFeature('vmx'), VMXOFF: withFeature('vmx'), VMFUNC: withFeature('vmx'), VMREAD: withFeature('vmx'),
  VMWRITE: withFeature('vmx'), VMPTRLD: withFeature('vmx'), VMCLEAR: withFeature('vmx'), VMXON: withFeature('vmx'), VMPTRST: withFeature('vmx'),
  INVEPT: withFeature('vmx'), INVVPID: withFeature('vmx'),
};

/** The meaning of a mnemonic; undefined when it has none (`whyMissing` says why). Instructions done in `system/` have one that says so. */
export const meaningOf = (mnemonic: string): Meaning | undefined => meanings.get(mnemonic);
export const displacementOf = (mnemonic: string): Displacement | undefined => displacements.get(mnemonic);
export const isSystem = (mnemonic: string): boolean => meanings.get(mnemonic) === systemMeaning;
/** The reason why a mnemonic has no meaning; undefined when it has one. */
export const whyMissing = (mnemonic: string): string | undefined => meanings.has(mnemonic) ? undefined : reasons.get(mnemonic) ?? 'no meaning yet';
export const knownMnemonics = (): readonly string[] => Object.keys(table);

const systemMeaning: Meaning = () => system;
const meanings = new Map<string, Meaning>(), displacements = new Map<string, Displacement>(), reasons = new Map<string, string>();
for (const [mnemonic, entry] of Object.entries(table)) {
  if (typeof entry === 'function') meanings.set(mnemonic, entry);
  else if ('missing' in entry) reasons.set(mnemonic, entry.missing);
  else if ('system' in entry) meanings.set(mnemonic, systemMeaning);
  else {
    meanings.set(mnemonic, entry.meaning);
    displacements.set(mnemonic, entry.displace);
  }
}
