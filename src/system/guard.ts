// Shadow stacks and indirect-branch tracking (CET): what near and far transfers, events and fast system calls do with SSP and the tracker, and
// the instructions that manage shadow stacks. Near CALL, RET and indirect JMP come here only while one of the two is on at the present level
// (the mode key says so); otherwise nobody pays for them. APM Vol. 2, 18; SDM Vol. 1, 17 and the operation sections of Vol. 2.
//
// Hardware task switches leave the shadow stack alone: TSSs with an SSP are not read.
import type { Instruction, MemoryOperand } from '../isa/instruction.ts';
import { CR0, CR4, cr4Of, is64Bit, isCanonical, isVirtual8086 } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { CF, setArithmeticFlags } from '../cpu/flags.ts';
import { CetBit } from '../cpu/mode.ts';
import { CS, SS } from '../cpu/segments.ts';
import { placeOf, placeOfSegment, SEGMENT_BASE, SEGMENT_LIMIT, type Cpu } from '../cpu/state.ts';
import { GuestFault, type Machine } from './machine.ts';
import {
  generalProtection, invalidOpcode, linearOf, linearOfOperand, operandAt, operandBytes, peek, popped, readLinear, readOperand, retire, setStackPointer,
  stackMaskOf, writeLinear, writeOperand,
} from './operand.ts';
import { requirePrivilege0 } from './segment-load.ts';

const CONTROL_PROTECTION = 21;
/** Error codes of #CP (SDM Vol. 3, 6.15). */
const Cause = { nearReturn: 1, farReturn: 2, endbranch: 3, restore: 4, setBusy: 5 } as const;
const violation = (cause: number): GuestFault => new GuestFault(CONTROL_PROTECTION, cause);
export const endbranchViolation = { vector: CONTROL_PROTECTION, errorCode: Cause.endbranch } as const;

const U_CET_WORD = placeOf('uCet') >> 2, S_CET_WORD = placeOf('sCet') >> 2;
const controlWord = (cpl: number): number => cpl === 3 ? U_CET_WORD : S_CET_WORD;
const isOn = (cpu: Cpu): boolean => (cr4Of(cpu) & CR4.CET) !== 0 && (cpu.cr0 & CR0.PE) !== 0 && !isVirtual8086(cpu);
const has = (cpu: Cpu, cpl: number, bit: number): boolean => isOn(cpu) && (cpu.u32[controlWord(cpl)]! & bit) !== 0;
export const hasShadowStack = (cpu: Cpu, cpl: number): boolean => has(cpu, cpl, CetBit.shadowStack);
const tracksBranches = (cpu: Cpu, cpl: number): boolean => has(cpu, cpl, CetBit.endbranch);

// ── Shadow-stack memory ──

const HIGH = 0xffffffff00000000n, BUSY = 1n;
const isUser = (cpu: Cpu): boolean => cpu.cpl === 3;

function loadShadow(machine: Machine, linear: bigint, size: 4 | 8, user: boolean): bigint {
  const { memory } = machine;
  return memory.readShadow === undefined ? readLinear(machine, linear, 8 * size, !user) : memory.readShadow(linear, size, user);
}
/** Raises what the store would raise. */
function probeShadow(machine: Machine, linear: bigint, size: number, user: boolean): void {
  const { memory } = machine;
  if (memory.probeShadow === undefined) memory.probeWrite(linear, size, !user);
  else memory.probeShadow(linear, size, user);
}
function storeShadow(machine: Machine, linear: bigint, size: 4 | 8, value: bigint, user: boolean): void {
  const { memory } = machine;
  if (memory.writeShadow === undefined) writeLinear(machine, linear, 8 * size, value, !user);
  else memory.writeShadow(linear, size, value, user);
}

/** "In legacy and compatibility mode SSP must be in the low 4 GiB": else #GP(0). */
function checkReach(ssp: bigint, toLong: boolean): bigint {
  if (!toLong && (ssp & HIGH) !== 0n) throw generalProtection();
  return ssp;
}

// ── Near transfers ──

/** Bytes that CALL pushes on the shadow stack, and RET pops. */
const entrySize = (cpu: Cpu): 4 | 8 => is64Bit(cpu) ? 8 : 4;
const CS_LIMIT = placeOfSegment(CS) + SEGMENT_LIMIT >> 2;

function checkNearTarget(cpu: Cpu, target: bigint): bigint {
  if (is64Bit(cpu) ? !isCanonical(cpu, target) : target > BigInt(cpu.u32[CS_LIMIT]!)) throw generalProtection();
  return target;
}

function nearTarget(machine: Machine, instruction: Instruction): bigint {
  const operand = operandAt(instruction, 0);
  return operand.kind === 'relative' ? BigInt.asUintN(operand.width, machine.cpu.nextRip + operand.displacement) : readOperand(machine, instruction, 0);
}

/** CALL. A call of the next instruction, which only asks where it is, leaves the shadow stack alone. */
function callNear(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, operand = operandAt(instruction, 0), size = operandBytes(instruction), entry = entrySize(cpu), user = isUser(cpu);
  const target = nearTarget(machine, instruction);
  const pointer = cpu.rsp - BigInt(size) & stackMaskOf(cpu), at = linearOf(cpu, SS, pointer, size, true);
  machine.memory.probeWrite(at, size);
  checkNearTarget(cpu, target);
  const shadowed = hasShadowStack(cpu, cpu.cpl) && !(operand.kind === 'relative' && operand.displacement === 0n), ssp = cpu.ssp - BigInt(entry);
  if (shadowed) probeShadow(machine, ssp, entry, user);
  writeLinear(machine, at, 8 * size, cpu.nextRip);
  if (shadowed) {
    storeShadow(machine, ssp, entry, cpu.nextRip, user);
    cpu.ssp = ssp;
  }
  setStackPointer(cpu, pointer);
  cpu.rip = target;
  if (operand.kind !== 'relative') waitForEndbranch(cpu, instruction);
  return Done.moved;
}

function returnNear(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, size = operandBytes(instruction), immediate = instruction.operands[0];
  const target = checkNearTarget(cpu, peek(machine, 0, size));
  if (hasShadowStack(cpu, cpu.cpl)) {
    const entry = entrySize(cpu);
    if (loadShadow(machine, cpu.ssp, entry, isUser(cpu)) !== target) throw violation(Cause.nearReturn);
    cpu.ssp += BigInt(entry);
  }
  setStackPointer(cpu, popped(cpu, size + (immediate?.kind === 'immediate' ? Number(immediate.value) : 0)));
  cpu.rip = target;
  return Done.moved;
}

function jumpNear(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  cpu.rip = checkNearTarget(cpu, nearTarget(machine, instruction));
  waitForEndbranch(cpu, instruction);
  return Done.moved;
}

/** ENDBR32, ENDBR64 where they count: the tracker is idle again, and no longer suppressed. */
function endBranch(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  if ((instruction.mnemonic === 'ENDBR64') === is64Bit(cpu) && tracksBranches(cpu, cpu.cpl)) cpu.u32[controlWord(cpu.cpl)]! &= ~(CetBit.tracker | CetBit.suppress);
  retire(cpu);
  return Done.next;
}

/** Instructions that come here only while the mode says so. */
export const guardedInstructions: Readonly<Record<string, (machine: Machine, instruction: Instruction) => Done>> = {
  CALL: callNear, RET: returnNear, JMP: jumpNear, ENDBR32: endBranch, ENDBR64: endBranch,
};

// ── The tracker ──

/** A near indirect branch: the next instruction must be ENDBR, unless the prefix 3E says otherwise and may. */
function waitForEndbranch(cpu: Cpu, { untracked }: Instruction): void {
  const word = controlWord(cpu.cpl), control = cpu.u32[word]!;
  if (!tracksBranches(cpu, cpu.cpl) || (control & CetBit.suppress) !== 0 || (untracked === true && (control & CetBit.noTrack) !== 0)) return;
  cpu.u32[word] = control | CetBit.tracker;
}
/** A far transfer or an event has brought the vCPU to this level. */
export function trackFar(cpu: Cpu): void {
  if (!tracksBranches(cpu, cpu.cpl)) return;
  const word = controlWord(cpu.cpl);
  cpu.u32[word] = (cpu.u32[word]! | CetBit.tracker) & ~CetBit.suppress;
}
/** Whether the next instruction must be ENDBR. */
export const waitsForEndbranch = (cpu: Cpu): boolean =>
  (cr4Of(cpu) & CR4.CET) !== 0 && (cpu.u32[controlWord(cpu.cpl)]! & CetBit.tracker) !== 0 && tracksBranches(cpu, cpu.cpl);

/** Debuggers put INT3 and INT1 where ENDBR was. */
const alwaysAllowed: ReadonlySet<string> = new Set(['INT3', 'INT1']);
const BITMAP_BASE = ~0xfffn;
/** Whether the instruction that follows an indirect branch may be there. Code older than ENDBR has a bit in a bitmap by page. */
export function mayFollowBranch(machine: Machine, instruction: Instruction | undefined): boolean {
  const { cpu } = machine;
  if (instruction !== undefined && (alwaysAllowed.has(instruction.mnemonic) || instruction.mnemonic === (is64Bit(cpu) ? 'ENDBR64' : 'ENDBR32'))) return true;
  const word = controlWord(cpu.cpl), control = isUser(cpu) ? cpu.uCet : cpu.sCet;
  if ((cpu.u32[word]! & CetBit.legacy) === 0) return false;
  const page = linearOfRip(cpu, cpu.rip) >> 12n & 0xfffffffffn;
  if ((machine.memory.read8(BigInt.asUintN(64, (control & BITMAP_BASE) + (page >> 3n))) >> Number(page & 7n) & 1) === 0) return false;
  cpu.u32[word] = cpu.u32[word]! & ~CetBit.tracker | ((cpu.u32[word]! & CetBit.suppressDisabled) === 0 ? CetBit.suppress : 0);
  return true;
}

// ── Far transfers and events ──

/** What is left to do once nothing can fault any more. */
export type Commit = () => void;

const CS_BASE = placeOfSegment(CS) + SEGMENT_BASE >> 3;
export const linearOfRip = (cpu: Cpu, rip: bigint): bigint => BigInt.asUintN(is64Bit(cpu) ? 64 : 32, rip + (is64Bit(cpu) ? 0n : cpu.u64[CS_BASE]!));

/** A far CALL, a call gate or an event takes the vCPU to `newCpl` and returns to `returnRip`: frames, switches and busy tokens are checked
 * and probed. `stackIndex` is the IST of a gate in long mode. Undefined: CET has nothing to do. */
export function prepareEntry(machine: Machine, newCpl: number, returnRip: bigint, toLong: boolean, stackIndex = 0): Commit | undefined {
  const { cpu } = machine;
  if (!isOn(cpu)) return undefined;
  const { cpl, ssp: before } = cpu, changes = newCpl !== cpl, user = newCpl === 3, saves = cpl === 3 && changes && hasShadowStack(cpu, 3);
  const stores: (readonly [linear: bigint, size: 4 | 8, value: bigint])[] = [];
  let ssp = before;
  const push = (size: 4 | 8, value: bigint): void => {
    ssp -= BigInt(size);
    stores.push([ssp, size, value]);
  };
  if (hasShadowStack(cpu, newCpl)) {
    if (changes || stackIndex !== 0) {
      ssp = checkReach(stackIndex === 0 ? innerPointer(cpu, newCpl) : tablePointer(machine, stackIndex), toLong);
      // A token that names its own address and is not busy belongs to a stack that nobody is on.
      if ((ssp & 7n) !== 0n || loadShadow(machine, ssp, 8, user) !== ssp) throw generalProtection();
      stores.push([ssp, 8, ssp | BUSY]);
    } else checkReach(ssp, toLong);
    if (!changes || cpl !== 3) {
      if ((ssp & 4n) !== 0n) push(4, 0n);
      push(8, BigInt(cpu.cs.selector));
      push(8, linearOfRip(cpu, returnRip));
      push(8, before);
    }
    for (const [linear, size] of stores) probeShadow(machine, linear, size, user);
  }
  return () => {
    if (saves) cpu.pl3Ssp = before;
    for (const [linear, size, value] of stores) storeShadow(machine, linear, size, value, user);
    cpu.ssp = ssp;
  };
}
const innerPointer = (cpu: Cpu, cpl: number): bigint => cpl === 0 ? cpu.pl0Ssp : cpl === 1 ? cpu.pl1Ssp : cpu.pl2Ssp;
function tablePointer(machine: Machine, index: number): bigint {
  const at = BigInt.asUintN(64, machine.cpu.interruptSspTable + BigInt(8 * index));
  if (!isCanonical(machine.cpu, at)) throw generalProtection();
  return machine.memory.read64(at, true);
}

/** RETF or IRET goes to `newCpl`, CS `selector` and `target`: the frame on the shadow stack must say the same. */
export function prepareReturn(machine: Machine, newCpl: number, selector: number, targetLinear: bigint, toLong: boolean): Commit | undefined {
  const { cpu } = machine;
  if (!isOn(cpu)) return undefined;
  const { cpl } = cpu, changes = newCpl !== cpl, user = isUser(cpu);
  let ssp = cpu.ssp, freed = -1n;
  if (hasShadowStack(cpu, cpl)) {
    if ((ssp & 7n) !== 0n) throw violation(Cause.farReturn);
    let top = ssp;
    if (newCpl !== 3 || !changes) {
      const [previous, linear, code] = [0n, 8n, 16n].map((at) => loadShadow(machine, ssp + at, 8, user)) as [bigint, bigint, bigint];
      if (code !== BigInt(selector) || linear !== targetLinear || (previous & 3n) !== 0n) throw violation(Cause.farReturn);
      top = ssp + 24n;
      ssp = checkReach(previous, toLong);
    }
    // The stack that is left was switched to: its token is free again.
    if ((changes || (ssp !== top && ssp !== top + 4n)) && loadShadow(machine, top, 8, user) === (top | BUSY)) {
      probeShadow(machine, top, 8, user);
      freed = top;
    }
  }
  if (changes && newCpl === 3 && hasShadowStack(cpu, 3)) ssp = checkReach(cpu.pl3Ssp, toLong);
  return () => {
    if (freed !== -1n) storeShadow(machine, freed, 8, freed, user);
    cpu.ssp = ssp;
  };
}

/** JMP to another code segment: SSP must be within its reach. */
export function checkJump(cpu: Cpu, toLong: boolean): void {
  if (hasShadowStack(cpu, cpu.cpl)) checkReach(cpu.ssp, toLong);
}

/** SYSCALL and SYSENTER, before the level changes: the stack of level 3 is kept, level 0 starts without one. */
export function enterSystemCall(cpu: Cpu): void {
  if (!isOn(cpu)) return;
  if (cpu.cpl === 3 && hasShadowStack(cpu, 3)) cpu.pl3Ssp = cpu.ssp;
  if (hasShadowStack(cpu, 0)) cpu.ssp = 0n;
}
/** SYSRET and SYSEXIT, before anything changes. */
export function leaveSystemCall(cpu: Cpu, toLong: boolean): void {
  if (isOn(cpu) && hasShadowStack(cpu, 3)) cpu.ssp = checkReach(cpu.pl3Ssp, toLong);
}

// ── Managing shadow stacks ──

function requireShadowStack(cpu: Cpu): void {
  if (!hasShadowStack(cpu, cpu.cpl)) throw invalidOpcode();
}
const longBit = (cpu: Cpu): bigint => is64Bit(cpu) ? 1n : 0n;
/** "Previous SSP": what RSTORSSP leaves and SAVEPREVSSP takes. */
const PREVIOUS = 2n;

/** The linear address of a token or an entry, aligned. */
function shadowOperand(machine: Machine, instruction: Instruction, size: number): bigint {
  const linear = linearOfOperand(machine, instruction, operandAt(instruction, 0) as MemoryOperand, size, false);
  if ((linear & BigInt(size - 1)) !== 0n) throw generalProtection();
  return linear;
}

export function incrementSsp(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requireShadowStack(cpu);
  const size = operandAt(instruction, 0).kind === 'register' && instruction.operandSize === 64 ? 8 : 4, count = readOperand(machine, instruction, 0) & 0xffn;
  // The first and the last entry are touched.
  if (count > 0n) {
    loadShadow(machine, cpu.ssp, size, isUser(cpu));
    loadShadow(machine, cpu.ssp + (count - 1n) * BigInt(size), size, isUser(cpu));
  }
  cpu.ssp += count * BigInt(size);
  retire(cpu);
  return Done.next;
}

/** RDSSP does nothing where there is no shadow stack. */
export function readSsp(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, operand = operandAt(instruction, 0);
  if (hasShadowStack(cpu, cpu.cpl) && operand.kind === 'register') writeOperand(machine, instruction, 0, BigInt.asUintN(operand.width, cpu.ssp));
  retire(cpu);
  return Done.next;
}

/** SAVEPREVSSP: a token on the stack that RSTORSSP has left, so that it can be restored; CF says that a hole of 4 bytes is below. */
export function savePrevious(machine: Machine): Done {
  const { cpu } = machine, user = isUser(cpu);
  requireShadowStack(cpu);
  if ((cpu.ssp & 7n) !== 0n) throw generalProtection();
  const token = loadShadow(machine, cpu.ssp, 8, user), hole = cpu.u32[CARRIES]! >>> 31 === 1;
  if (hole && loadShadow(machine, cpu.ssp + 8n, 4, user) !== 0n) throw generalProtection();
  if ((token & PREVIOUS) === 0n) throw generalProtection();
  const old = checkReach(token & ~3n, is64Bit(cpu)), at = (old & ~7n) - 8n;
  probeShadow(machine, at, 8, user);
  if ((old & 4n) !== 0n) {
    probeShadow(machine, old - 4n, 4, user);
    storeShadow(machine, old - 4n, 4, 0n, user);
  }
  storeShadow(machine, at, 8, old | longBit(cpu), user);
  cpu.ssp += hole ? 12n : 8n;
  retire(cpu);
  return Done.next;
}
/** The lazy form of CF (`cpu/flags.ts`). */
const CARRIES = placeOf('flagCarries') >> 2;

/** RSTORSSP: goes to the stack whose restore token is named, and leaves there where it came from. */
export function restoreSsp(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, user = isUser(cpu);
  requireShadowStack(cpu);
  const at = shadowOperand(machine, instruction, 8), token = loadShadow(machine, at, 8, user);
  probeShadow(machine, at, 8, user);
  const target = token & ~1n;
  if ((token & 3n) !== longBit(cpu) || (!is64Bit(cpu) && (token & HIGH) !== 0n) || (target - 8n & ~7n) !== at) throw violation(Cause.restore);
  storeShadow(machine, at, 8, cpu.ssp | longBit(cpu) | PREVIOUS, user);
  cpu.ssp = at;
  setArithmeticFlags(cpu, (token & 4n) !== 0n ? CF : 0);
  retire(cpu);
  return Done.next;
}

/** WRSS: needs WR_SHSTK_EN beside the stack itself. */
export function writeShadow(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  if (!hasShadowStack(cpu, cpu.cpl) || !has(cpu, cpu.cpl, CetBit.writable)) throw invalidOpcode();
  return storeOperand(machine, instruction, isUser(cpu));
}
/** WRUSS: level 0 writes a user's shadow stack. */
export function writeUserShadow(machine: Machine, instruction: Instruction): Done {
  if (!isOn(machine.cpu)) throw invalidOpcode();
  requirePrivilege0(machine.cpu);
  return storeOperand(machine, instruction, true);
}
function storeOperand(machine: Machine, instruction: Instruction, user: boolean): Done {
  const size = instruction.operandSize === 64 ? 8 : 4, at = shadowOperand(machine, instruction, size);
  probeShadow(machine, at, size, user);
  storeShadow(machine, at, size, readOperand(machine, instruction, 1), user);
  retire(machine.cpu);
  return Done.next;
}

/** SETSSBSY and CLRSSBSY, at level 0 with a supervisor shadow stack. */
function requireSupervisorStack(cpu: Cpu): void {
  if (!hasShadowStack(cpu, 0)) throw invalidOpcode();
  requirePrivilege0(cpu);
}
export function setBusy(machine: Machine): Done {
  const { cpu } = machine;
  requireSupervisorStack(cpu);
  const at = cpu.pl0Ssp;
  if ((at & 7n) !== 0n) throw generalProtection();
  probeShadow(machine, at, 8, false);
  if (loadShadow(machine, at, 8, false) !== at) throw violation(Cause.setBusy);
  storeShadow(machine, at, 8, at | BUSY, false);
  cpu.ssp = at;
  retire(cpu);
  return Done.next;
}
/** CF: the token was not a busy one. */
export function clearBusy(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requireSupervisorStack(cpu);
  const at = shadowOperand(machine, instruction, 8);
  probeShadow(machine, at, 8, false);
  const isBusy = loadShadow(machine, at, 8, false) === (at | BUSY);
  if (isBusy) storeShadow(machine, at, 8, at, false);
  cpu.ssp = 0n;
  setArithmeticFlags(cpu, isBusy ? 0 : CF);
  retire(cpu);
  return Done.next;
}
