// The system instructions: mnemonic to function. `vm/run.ts` asks `systemInstruction` for every instruction whose meaning says `system`. A
// function throws GuestFault before anything is committed; when it returns, RIP is where execution goes on.
import type { Instruction } from '../isa/instruction.ts';
import type { Done } from '../cpu/engine.ts';
import { DS, ES, FS, GS, SS } from '../cpu/segments.ts';
import type { Machine } from './machine.ts';
import {
  clearTaskSwitched, getExtendedControl, invalidateCaches, invalidateContext, invalidatePage, loadStatusWord, moveControl, moveDebug, readProtectionKeys,
  setAlignmentCheck, setExtendedControl, storeStatusWord, writeProtectionKeys,
} from './control.ts';
import { callFar, jumpFar, returnFar, returnFromInterrupt } from './far.ts';
import {
  readFsBase, readGsBase, swapGs, systemCall, systemEnter, systemExit, systemReturn, writeFsBase, writeGsBase,
} from './fast-calls.ts';
import {
  breakpointInterrupt, checkBounds, clearInterruptFlag, debugInterrupt, overflowInterrupt, popFlags, pushFlags, setInterruptFlag, softwareInterrupt,
} from './flags.ts';
import { enterFrame, popAllRegisters, pushAllRegisters } from './frame.ts';
import {
  clearBusy, guardedInstructions, incrementSsp, readSsp, restoreSsp, savePrevious, setBusy, writeShadow, writeUserShadow,
} from './guard.ts';
import { hypercall } from './hypercall.ts';
import { readMsrInstruction, writeMsrInstruction } from './msrs.ts';
import { input, inputString, output, outputString } from './ports.ts';
import {
  halt, identify, monitor, monitorWait, pause, readPerformanceCounter, readProcessorId, readProcessorRegister, readRandom,
  readTimeStamp, readTimeStampAndProcessor, undefinedInstruction, userMonitor, userWait,
} from './processor.ts';
import {
  adjustRequestedPrivilege, loadAccessRights, loadFarPointer, loadLdt, loadSegmentLimit, loadTableRegister, loadTask, loadKernelGs, moveFromSegment, moveToSegment,
  popSegment, pushSegment, storeLdt, storeTableRegister, storeTask, verifyRead, verifyWrite,
} from './segment-load.ts';
import { gather, moveMasked } from './masked.ts';
import { operandAt } from './operand.ts';
import { callHypervisor, invalidateGuestPage, loadState, saveState, setGlobalInterrupts } from './svm.ts';
import {
  clearExceptions, doNothing, initialiseX87, loadControl, loadEnvironment, restoreAll, saveAll, storeControl, storeEnvironment, storeStatus, waitForExceptions,
} from './x87-state.ts';
import { x87Instructions } from './x87.ts';
import { clearLine, combine, compareAndAdd, moveLine } from './unit-access.ts';
import { emptyMmx, loadMxcsr, restoreExtended, saveExtended, storeMasked, storeMxcsr } from './vector.ts';
import { restore, saveCompacted, saveOptimized, saveStandard } from './xsave.ts';

export type SystemInstruction = (machine: Machine, instruction: Instruction) => Done;

const moveSegment: SystemInstruction = (machine, instruction) => {
  const destination = operandAt(instruction, 0);
  return destination.kind === 'register' && destination.file === 'segment' ? moveToSegment(machine, instruction) : moveFromSegment(machine, instruction);
};

export const systemInstructions: Readonly<Record<string, SystemInstruction>> = {
  // Segments and descriptor tables
  MOVSREG: moveSegment, PUSHSREG: pushSegment, POPSREG: popSegment,
  LDS: loadFarPointer(DS), LES: loadFarPointer(ES), LFS: loadFarPointer(FS), LGS: loadFarPointer(GS), LSS: loadFarPointer(SS),
  SLDT: storeLdt, STR: storeTask, LLDT: loadLdt, LTR: loadTask, VERR: verifyRead, VERW: verifyWrite,
  SGDT: storeTableRegister('gdtr'), SIDT: storeTableRegister('idtr'), LGDT: loadTableRegister('gdtr'), LIDT: loadTableRegister('idtr'),
  LAR: loadAccessRights, LSL: loadSegmentLimit, ARPL: adjustRequestedPrivilege,
  RDFSBASE: readFsBase, RDGSBASE: readGsBase, WRFSBASE: writeFsBase, WRGSBASE: writeGsBase, SWAPGS: swapGs, LKGS: loadKernelGs,

  // Far transfers
  JMPF: jumpFar, CALLF: callFar, RETF: returnFar, IRET: returnFromInterrupt,
  INT: softwareInterrupt, INT3: breakpointInterrupt, INTO: overflowInterrupt, INT1: debugInterrupt, BOUND: checkBounds,
  SYSCALL: systemCall, SYSRET: systemReturn, SYSENTER: systemEnter, SYSEXIT: systemExit,

  // Flags and stack
  PUSHF: pushFlags, POPF: popFlags, CLI: clearInterruptFlag, STI: setInterruptFlag, STAC: setAlignmentCheck(true), CLAC: setAlignmentCheck(false),
  PUSHA: pushAllRegisters, POPA: popAllRegisters, ENTER: enterFrame,

  // Control
  MOVCR: moveControl, MOVDR: moveDebug, LMSW: loadStatusWord, SMSW: storeStatusWord, CLTS: clearTaskSwitched,
  XGETBV: getExtendedControl, XSETBV: setExtendedControl, RDPKRU: readProtectionKeys, WRPKRU: writeProtectionKeys,
  INVLPG: invalidatePage, INVPCID: invalidateContext, INVD: invalidateCaches, WBINVD: invalidateCaches, WBNOINVD: invalidateCaches,
  RDMSR: readMsrInstruction, WRMSR: writeMsrInstruction, WRMSRNS: writeMsrInstruction,

  // Processor
  CPUID: identify, RDTSC: readTimeStamp, RDTSCP: readTimeStampAndProcessor, RDPMC: readPerformanceCounter, RDPID: readProcessorId, RDPRU: readProcessorRegister,
  RDRAND: readRandom, RDSEED: readRandom, HLT: halt, PAUSE: pause, MONITOR: monitor, MWAIT: monitorWait, MONITORX: monitor, MWAITX: monitorWait,
  UMONITOR: userMonitor, UMWAIT: userWait, TPAUSE: userWait,

  // Shadow stacks
  INCSSP: incrementSsp, RDSSP: readSsp, SAVEPREVSSP: savePrevious, RSTORSSP: restoreSsp, WRSS: writeShadow, WRUSS: writeUserShadow, SETSSBSY: setBusy,
  CLRSSBSY: clearBusy,

  // Memory as one unit
  CLZERO: clearLine, MOVDIR64B: moveLine, CMPCCXADD: compareAndAdd, AADD: combine((left, right) => left + right), AAND: combine((left, right) => left & right),
  AOR: combine((left, right) => left | right), AXOR: combine((left, right) => left ^ right),

  // Vectors
  VLDMXCSR: loadMxcsr, VSTMXCSR: storeMxcsr, VMASKMOVDQU: storeMasked,
  VMASKMOVPS: moveMasked(32), VMASKMOVPD: moveMasked(64), VPMASKMOVD: moveMasked(32), VPMASKMOVQ: moveMasked(64),
  VPGATHERDD: gather(32, 32), VPGATHERDQ: gather(32, 64), VPGATHERQD: gather(64, 32), VPGATHERQQ: gather(64, 64),
  VGATHERDPS: gather(32, 32), VGATHERDPD: gather(32, 64), VGATHERQPS: gather(64, 32), VGATHERQPD: gather(64, 64),
  EMMS: emptyMmx, LDMXCSR: loadMxcsr, STMXCSR: storeMxcsr, FXSAVE: saveExtended, FXRSTOR: restoreExtended, MASKMOVQ: storeMasked, MASKMOVDQU: storeMasked,
  XSAVE: saveStandard, XSAVEOPT: saveOptimized, XSAVEC: saveCompacted, XSAVES: saveCompacted, XRSTOR: restore, XRSTORS: restore,

  // x87
  FNINIT: initialiseX87, FNCLEX: clearExceptions, FNENI: doNothing(false), FNDISI: doNothing(false), FNSETPM: doNothing(false), FNOP: doNothing(true),
  FNSTSW: storeStatus, FNSTCW: storeControl, FLDCW: loadControl, FWAIT: waitForExceptions,
  FNSTENV: storeEnvironment, FLDENV: loadEnvironment, FNSAVE: saveAll, FRSTOR: restoreAll,
  ...x87Instructions,

  // Ports
  IN: input, OUT: output, INS: inputString, OUTS: outputString,

  // Virtual machines; VMRUN itself is done by the run loop
  VMLOAD: loadState, VMSAVE: saveState, STGI: setGlobalInterrupts(true), CLGI: setGlobalInterrupts(false), INVLPGA: invalidateGuestPage,
  VMMCALL: callHypervisor, VMCALL: hypercall,

  // Always undefined, or done by the run loop where they exist: RSM in system-management mode, VMRUN
  UD0: undefinedInstruction, UD1: undefinedInstruction, UD2: undefinedInstruction, RSM: undefinedInstruction, SKINIT: undefinedInstruction,
  VMRUN: undefinedInstruction,
};

/** The function that does a system instruction; `cpu.nextRip` is behind it. */
export function systemInstruction({ mnemonic }: Instruction): SystemInstruction {
  const execute = systemInstructions[mnemonic] ?? guardedInstructions[mnemonic];
  if (execute === undefined) throw new Error(`${mnemonic} is not a system instruction`);
  return execute;
}
export const executeSystem: SystemInstruction = (machine, instruction) => systemInstruction(instruction)(machine, instruction);
