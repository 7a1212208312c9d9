#include "svm.h"

struct vmcb vmcb __attribute__((aligned(4096)));
static u8 host_save[4096] __attribute__((aligned(4096))), guest_stack[8192] __attribute__((aligned(4096)));
static u8 io_map[3 * 4096] __attribute__((aligned(4096))), msr_map[2 * 4096] __attribute__((aligned(4096)));

static void put(char c) { __asm__ volatile("outb %0, %1" : : "a"(c), "Nd"((u16)0x3f8)); }
void say(const char *text) { while (*text) put(*text++); }
void hex(u64 value)
{
    int shift = 60;
    while (shift > 0 && (value >> shift & 15) == 0) shift -= 4;
    for (; shift >= 0; shift -= 4) put("0123456789abcdef"[value >> shift & 15]);
}

void report(const char *name)
{
    say(name);
    if (vmcb.exit_code == INVALID) say(": INVALID");
    else {
        say(": exit ");
        hex(vmcb.exit_code);
    }
    if (vmcb.exit_info1 | vmcb.exit_info2) {
        say(", info ");
        hex(vmcb.exit_info1);
        say(" ");
        hex(vmcb.exit_info2);
    }
    if (vmcb.exit_interrupt & 1u << 31) {
        say(", delivering ");
        hex(vmcb.exit_interrupt);
    }
    say("\n");
}

u64 rdmsr(u32 index)
{
    u32 low, high;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(index));
    return (u64)high << 32 | low;
}
void wrmsr(u32 index, u64 value) { __asm__ volatile("wrmsr" : : "c"(index), "a"((u32)value), "d"((u32)(value >> 32)) : "memory"); }

void send_nmi(void)
{
    *(volatile u32 *)0xfee000f0 = 0x1ff;
    *(volatile u32 *)0xfee00300 = 0x40400;
    __asm__ volatile("nop; nop");
}

u64 physical_bits(void)
{
    u32 a = 0x80000008, b, c = 0, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return a & 0xff;
}

void prepare(void)
{
    wrmsr(EFER, rdmsr(EFER) | 0x1000);
    wrmsr(VM_HSAVE_PA, (u64)host_save);
}

void just_call(void) { for (;;) vmmcall(); }

void reset_vmcb(void (*code)(void))
{
    struct { u16 limit; u64 base; } __attribute__((packed)) gdtr, idtr;
    u64 cr0, cr3, cr4;
    __asm__ volatile("sgdt %0; sidt %1; mov %%cr0, %2; mov %%cr3, %3; mov %%cr4, %4" : "=m"(gdtr), "=m"(idtr), "=r"(cr0), "=r"(cr3), "=r"(cr4));
    for (u64 *at = (u64 *)&vmcb; at < (u64 *)(&vmcb + 1); at++) *(volatile u64 *)at = 0;
    vmcb.intercept1 = SHUTDOWN;
    vmcb.intercept2 = VMRUN | VMMCALL;
    vmcb.iopm = (u64)io_map;
    vmcb.msrpm = (u64)msr_map;
    vmcb.asid = 1;
    vmcb.cs = (struct segment){ 0x08, 0xa9b, 0xffffffff, 0 };
    vmcb.ds = vmcb.es = vmcb.ss = vmcb.fs = vmcb.gs = (struct segment){ 0x18, 0xc93, 0xffffffff, 0 };
    vmcb.gdtr = (struct segment){ 0, 0, gdtr.limit, gdtr.base };
    vmcb.idtr = (struct segment){ 0, 0, idtr.limit, idtr.base };
    vmcb.tr = (struct segment){ 0x20, 0x8b, 0x67, 0 };
    vmcb.ldtr = (struct segment){ 0, 0x82, 0, 0 };
    vmcb.efer = rdmsr(EFER);
    vmcb.cr0 = cr0;
    vmcb.cr3 = cr3;
    vmcb.cr4 = cr4;
    vmcb.dr6 = 0xffff0ff0;
    vmcb.dr7 = 0x400;
    vmcb.rflags = 2;
    vmcb.rip = (u64)code;
    vmcb.rsp = (u64)guest_stack + sizeof guest_stack - 8;
    vmcb.pat = 0x0007040600070406;
}

void vmrun(struct vmcb *at)
{
    __asm__ volatile("push %%rbp; vmrun %%rax; pop %%rbp" : "+a"(at)
        : : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
}
