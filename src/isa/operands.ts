// The manual's operand notation (APM Vol. 3, A.1; SDM Vol. 2D, A.2): `Ev`, `Gv`, `Ib`, `Mp`, `Jz`. A row of an opcode table names
// its operands in it; `parseOperand` turns a name, once at load, into the form that `decode.ts` reads. No bytes are read here.

/** Where an operand comes from. One letter as in the manuals, and a few words for fixed operands. */
export type Addressing =
  | 'A' | 'B' | 'C' | 'D' | 'E' | 'G' | 'H' | 'I' | 'J' | 'K' | 'L' | 'M' | 'N' | 'O' | 'P' | 'Q' | 'R' | 'S' | 'T' | 'U' | 'V' | 'W' | 'X' | 'Y' | 'Z'
  | 'general' | 'segment' | 'one' | 'translate' | 'stack' | 'vector' | 'nibble';

/** How the addressing letters are read:
 * A far pointer in the instruction · B general register in VEX.vvvv · C control register in reg · D debug register in reg ·
 * E general register or memory in rm · G general register in reg · H vector register in VEX.vvvv · I immediate · J relative target ·
 * K mask register (Kg in reg, Kh in vvvv, Ke in rm or memory, Kr in rm) · L vector register in immediate bits 7:4 · M memory only ·
 * N MMX register in rm · O memory offset without ModRM · P MMX register in reg · Q MMX register or memory · R general register in rm ·
 * S segment register in reg · T bound register (Tg in reg, Te in rm or memory) · U vector register in rm · V vector register in reg ·
 * W vector register or memory · X DS:[rSI] · Y ES:[rDI] · Z general register in the low three bits of the opcode. */
const letters = 'ABCDEGHIJKLMNOPQRSTUVWXYZ';

/** Widths in bits for an effective operand size of 16, 32 and 64; `vector` widths follow VEX.L instead and are shifted right by `shift`. */
export interface Size {
  readonly widths: readonly [number, number, number];
  readonly vector: boolean;
  readonly shift: number;
  /** An immediate of one byte that is sign-extended to the width (Ibs). */
  readonly signedByte: boolean;
  /** As wide as an address. */
  readonly address: boolean;
}

const same = (width: number): Size => ({ widths: [width, width, width], vector: false, shift: 0, signedByte: false, address: false });
const by = (...widths: [number, number, number]): Size => ({ widths, vector: false, shift: 0, signedByte: false, address: false });
const byVector = (shift: number): Size => ({ widths: [0, 0, 0], vector: true, shift, signedByte: false, address: false });

/** The size letters. Where the two manuals differ the SDM's are used; those marked own are ours. */
const sizes: Readonly<Record<string, Size>> = {
  '': same(0),
  b: same(8), w: same(16), d: same(32), q: same(64), t: same(80), dq: same(128), qq: same(256), o: same(512),
  v: by(16, 32, 64), z: by(16, 32, 32), y: by(32, 32, 64),
  /** Far pointer. AMD has no 16:64 pointers in memory: REX.W is ignored (APM Vol. 3, "CALL (Far)"). */
  p: by(32, 48, 48),
  /** Pseudo-descriptor of LGDT and friends. */
  s: by(48, 48, 80),
  /** The two bounds of BOUND. */
  a: by(32, 64, 64),
  /** A whole vector, half, a quarter, an eighth of it (own: x2, x4, x8). */
  x: byVector(0), x2: byVector(1), x4: byVector(2), x8: byVector(3),
  ss: same(32), sd: same(64),
  /** As wide as an address (own): UMONITOR. */
  addr: { ...same(0), address: true },
  bs: { widths: [16, 32, 64], vector: false, shift: 0, signedByte: true, address: false },
  /** x87 and state-saving areas (own): environment, whole x87 state, FXSAVE area. */
  env: by(112, 224, 224), state: by(752, 864, 864), fx: same(4096),
};

export interface OperandForm {
  readonly addressing: Addressing;
  /** Size of the memory operand, and of everything that is not a register. */
  readonly size: Size;
  /** Size of the register operand: differs from `size` in forms such as `Rv/Mw`. */
  readonly registerSize: Size;
  /** Number of a fixed register. */
  readonly number: number;
  /** For E, Q, W and M: what of mod is allowed. */
  readonly allowsRegister: boolean;
  readonly allowsMemory: boolean;
}

const sizeOf = (name: string, notation: string): Size => {
  const size = sizes[name];
  if (!size) throw new Error(`operand ${notation}: no size is called '${name}'`);
  return size;
};
const form = (addressing: Addressing, size: Size, more: Partial<OperandForm> = {}): OperandForm =>
  ({ addressing, size, registerSize: size, number: 0, allowsRegister: true, allowsMemory: true, ...more });
const fixed = (size: string, number: number): OperandForm => form('general', sizeOf(size, size), { number });

/** Operands that the opcode implies. */
const fixedForms: Readonly<Record<string, OperandForm>> = {
  AL: fixed('b', 0), AX: fixed('w', 0), rAX: fixed('v', 0), zAX: fixed('z', 0), CL: fixed('b', 1), DX: fixed('w', 2),
  ES: form('segment', same(16), { number: 0 }), CS: form('segment', same(16), { number: 1 }),
  SS: form('segment', same(16), { number: 2 }), DS: form('segment', same(16), { number: 3 }),
  FS: form('segment', same(16), { number: 4 }), GS: form('segment', same(16), { number: 5 }),
  '1': form('one', same(8)),
  /** The table of XLAT: the offset in rBX without the zero-extended AL, which its meaning adds. */
  'BX+AL': form('translate', same(8)),
  ST0: form('stack', same(80), { number: 0 }), XMM0: form('vector', same(128), { number: 0 }),
  /** Where MASKMOVQ and MASKMOVDQU store: DS:[rDI], the segment can be overridden. */
  DIq: form('X', same(64), { number: 7 }), DIdq: form('X', same(128), { number: 7 }),
  /** The low half of the byte whose high half is an L operand. */
  I4: form('nibble', same(8)),
  /** ST(i) in the low three bits of ModRM. */
  STi: form('stack', same(80), { number: -1 }),
};

const cache = new Map<string, OperandForm>();

/** Reads one operand of a row. `Rv/Mw`: a register of size v or memory of size w. */
export function parseOperand(notation: string): OperandForm {
  let parsed = fixedForms[notation] ?? cache.get(notation);
  if (!parsed) cache.set(notation, parsed = parse(notation));
  return parsed;
}

/** The letter that takes both a register and memory, for the letter of the register half. */
const eitherOf: Readonly<Record<string, Addressing>> = { R: 'E', U: 'W', N: 'Q' };

function parse(notation: string): OperandForm {
  const [first, second] = notation.split('/') as [string, string | undefined];
  if (second !== undefined) {
    const either = eitherOf[first[0]!];
    if (!either || second[0] !== 'M') throw new Error(`operand ${notation}: unknown`);
    return form(either, sizeOf(second.slice(1), notation), { registerSize: sizeOf(first.slice(1), notation) });
  }
  const letter = notation[0]!;
  if (!letters.includes(letter)) throw new Error(`operand ${notation}: unknown`);
  if (letter === 'K' || letter === 'T') {
    const place = notation[1]!;
    const size = sizeOf(notation.slice(2), notation);
    return form(letter as Addressing, size, { number: place.charCodeAt(0), allowsRegister: true, allowsMemory: place === 'e' });
  }
  const size = sizeOf(notation.slice(1), notation);
  if (letter === 'X') return form('X', size, { number: 6 });
  const registerOnly = 'RNU'.includes(letter), memoryOnly = letter === 'M';
  return form(letter as Addressing, size, { allowsRegister: !memoryOnly, allowsMemory: !registerOnly });
}

/** Whether the operand stands in ModRM.rm, so that its form decides which values of mod are valid. */
export const usesRm = (operand: OperandForm): boolean =>
  'EMQWRNU'.includes(operand.addressing) || ((operand.addressing === 'K' || operand.addressing === 'T') && 're'.includes(String.fromCharCode(operand.number)));
