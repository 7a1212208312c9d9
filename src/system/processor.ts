// CPUID, time stamps, random numbers, HLT, PAUSE, MONITOR and their relatives. Called by the system table. CPUID's dynamic fields
// (those that follow control registers and the APIC) are filled in here, over the rows of the model.
import type { Instruction } from '../isa/instruction.ts';
import { CR4, cr4Of, is64Bit } from '../cpu/controls.ts';
import { Done } from '../cpu/engine.ts';
import { CF, setArithmeticFlags } from '../cpu/flags.ts';
import { PERF_COUNTERS, placeOfMsr } from '../cpu/msrs.ts';
import { Activity } from '../cpu/state.ts';
import type { Cpu } from '../cpu/state.ts';
import { setPair } from './control.ts';
import type { Machine } from './machine.ts';
import { generalProtection, invalidOpcode, linearOf, operandAt, readOperand, readRegister, retire, writeOperand } from './operand.ts';
import { DS } from '../cpu/segments.ts';
import { requirePrivilege0 } from './segment-load.ts';
import { layoutOf } from './xsave.ts';

const RAX = 0, RCX = 1;
const low32 = (cpu: Cpu, number: number): number => Number(readRegister(cpu, number, 32));

// ── CPUID ──

type CpuidRow = readonly [number, number, number, number];
type Dynamic = (machine: Machine, row: CpuidRow, subleaf: number) => CpuidRow;

const withBit = (value: number, bit: number, on: boolean): number => (on ? value | 1 << bit : value & ~(1 << bit)) >>> 0;
/** The x2APIC ID register; 0 where there is no local APIC in the machine. */
const apicId = (machine: Machine): number => Number((machine.apicRead?.(0x802) ?? 0n) & 0xffffffffn);

const dynamicLeaves: Readonly<Record<number, Dynamic>> = {
  0x1: (machine, [eax, ebx, ecx, edx]) => [
    eax, (ebx & 0xffffff | apicId(machine) << 24) >>> 0,
    withBit(ecx, 27, (cr4Of(machine.cpu) & CR4.OSXSAVE) !== 0),
    withBit(edx, 9, (edx & 0x200) !== 0 && (machine.cpu.apicBase & 0x800n) !== 0n),
  ],
  0x7: (machine, [eax, ebx, ecx, edx], subleaf) =>
    subleaf === 0 ? [eax, ebx, withBit(ecx, 4, (ecx & 8) !== 0 && (cr4Of(machine.cpu) & CR4.PKE) !== 0), edx] : [eax, ebx, ecx, edx],
  0xb: (machine, [eax, ebx, ecx]) => [eax, ebx, ecx, apicId(machine)],
  0xd: (machine, [eax, ebx, ecx, edx], subleaf) => {
    const { cpu } = machine;
    if (subleaf === 0 && eax !== 0) return [eax, layoutOf(machine, cpu.xcr0, false).length, ecx, edx];
    if (subleaf === 1 && (eax & 0xa) !== 0) return [eax, layoutOf(machine, cpu.xcr0 | cpu.xss, true).length, ecx, edx];
    return [eax, ebx, ecx, edx];
  },
  0x1f: (machine, [eax, ebx, ecx]) => [eax, ebx, ecx, apicId(machine)],
  0x80000001: (machine, [eax, ebx, ecx, edx]) => [
    // Intel shows SYSCALL in 64-bit mode only (SDM Vol. 2, "CPUID").
    eax, ebx, ecx, machine.capability.vendor === 'GenuineIntel' && !is64Bit(machine.cpu) ? withBit(edx, 11, false)
      : withBit(edx, 9, (edx & 0x200) !== 0 && (machine.cpu.apicBase & 0x800n) !== 0n),
  ],
};

/** CPUID as the guest sees it now. */
export function cpuidNow(machine: Machine, leaf: number, subleaf: number): CpuidRow {
  const row = machine.capability.cpuid(leaf, subleaf), dynamic = dynamicLeaves[leaf];
  return dynamic === undefined ? row : dynamic(machine, row, subleaf);
}

export function identify(machine: Machine): Done {
  const { cpu } = machine;
  const [eax, ebx, ecx, edx] = cpuidNow(machine, low32(cpu, RAX), low32(cpu, RCX));
  cpu.rax = BigInt(eax >>> 0);
  cpu.rbx = BigInt(ebx >>> 0);
  cpu.rcx = BigInt(ecx >>> 0);
  cpu.rdx = BigInt(edx >>> 0);
  retire(cpu);
  return Done.next;
}

// ── Counters ──

function requireTimeStamp(cpu: Cpu): void {
  if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.TSD) !== 0) throw generalProtection();
}

export function readTimeStamp(machine: Machine): Done {
  const { cpu } = machine;
  requireTimeStamp(cpu);
  setPair(cpu, machine.tsc());
  retire(cpu);
  return Done.next;
}

export function readTimeStampAndProcessor(machine: Machine): Done {
  const { cpu } = machine;
  requireTimeStamp(cpu);
  setPair(cpu, machine.tsc());
  cpu.rcx = cpu.tscAux & 0xffffffffn;
  retire(cpu);
  return Done.next;
}

export function readProcessorId(machine: Machine, instruction: Instruction): Done {
  writeOperand(machine, instruction, 0, machine.cpu.tscAux & 0xffffffffn);
  retire(machine.cpu);
  return Done.next;
}

/** RDPRU: MPERF and APERF both advance with the TSC; other registers read as 0 (APM Vol. 3, "RDPRU"). */
export function readProcessorRegister(machine: Machine): Done {
  const { cpu } = machine;
  if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.TSD) !== 0) throw invalidOpcode();
  setPair(cpu, low32(cpu, RCX) < 2 ? machine.tsc() : 0n);
  retire(cpu);
  return Done.next;
}

/** RDPMC: AMD's counters hold what was written; Intel's number comes from CPUID leaf 0AH. */
export function readPerformanceCounter(machine: Machine): Done {
  const { cpu, capability } = machine, index = low32(cpu, RCX);
  if (cpu.cpl !== 0 && (cr4Of(cpu) & CR4.PCE) === 0) throw generalProtection();
  const isAmd = capability.vendor === 'AuthenticAMD' || capability.vendor === 'HygonGenuine';
  const count = isAmd ? (capability.has('perfctr-core') ? PERF_COUNTERS : 4) : capability.cpuid(0xa, 0)[0] >>> 8 & 0xff;
  if (index >= count) throw generalProtection();
  setPair(cpu, isAmd ? cpu.u64[placeOfMsr('perfCounter', index)]! & 0xffffffffffffn : 0n);
  retire(cpu);
  return Done.next;
}

/** RDRAND, RDSEED: always ready, so CF = 1 and the other flags are 0. */
export function readRandom(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine, destination = operandAt(instruction, 0);
  if (destination.kind !== 'register') throw invalidOpcode();
  writeOperand(machine, instruction, 0, BigInt.asUintN(destination.width, machine.random()));
  setArithmeticFlags(cpu, CF);
  retire(cpu);
  return Done.next;
}

// ── Waiting ──

export function halt(machine: Machine): Done {
  const { cpu } = machine;
  requirePrivilege0(cpu);
  cpu.activity = Activity.halted;
  retire(cpu);
  return Done.attention;
}

export function pause(machine: Machine): Done {
  machine.pause?.();
  retire(machine.cpu);
  return Done.next;
}

export function undefinedInstruction(): Done {
  throw invalidOpcode();
}

/** MONITOR: #UD above level 0, #GP(0) for extensions; reads a byte at DS:rAX (APM Vol. 3, "MONITOR"). */
export function monitor(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  if (instruction.mnemonic === 'MONITOR' && cpu.cpl !== 0) throw invalidOpcode();
  if (low32(cpu, RCX) !== 0) throw generalProtection();
  const linear = linearOf(cpu, DS, readRegister(cpu, RAX, instruction.addressSize), 1, false);
  machine.memory.read8(linear);
  retire(cpu);
  return Done.next;
}

/** MWAIT ends at once: behaviour `mwait.wait`. */
export function monitorWait(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  const timed = instruction.mnemonic === 'MWAITX';
  if (!timed && cpu.cpl !== 0) throw invalidOpcode();
  if ((low32(cpu, RCX) & (timed ? ~3 : ~1)) !== 0) throw generalProtection();
  if (!timed) machine.capability.behaviour('mwait.wait');
  retire(cpu);
  return Done.next;
}

/** UMONITOR: the address is in a register, at any level (SDM Vol. 2, "UMONITOR"). */
export function userMonitor(machine: Machine, instruction: Instruction): Done {
  const operand = operandAt(instruction, 0);
  if (operand.kind !== 'register') throw invalidOpcode();
  machine.memory.read8(linearOf(machine.cpu, DS, readRegister(machine.cpu, operand.number, instruction.addressSize), 1, false));
  retire(machine.cpu);
  return Done.next;
}

/** UMWAIT, TPAUSE: they end at once, as MWAIT does, before any deadline: CF = 0, like the other flags. Bit 0 of the operand chooses C0.1. */
export function userWait(machine: Machine, instruction: Instruction): Done {
  const { cpu } = machine;
  requireTimeStamp(cpu);
  if ((readOperand(machine, instruction, 0) & 0xfffffffen) !== 0n) throw generalProtection();
  machine.capability.behaviour('mwait.wait');
  machine.pause?.();
  setArithmeticFlags(cpu, 0);
  retire(cpu);
  return Done.next;
}
