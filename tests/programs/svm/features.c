/* Branch records, LBR virtualization, single steps by branch, virtual VMLOAD and VMSAVE, the lock of VM_CR, SKINIT: each where the processor has it. */
#include "svm.h"

enum { LBR = 1, BTF = 2, FROM = 0x1db, TO = 0x1dc, EXCEPTION_FROM = 0x1dd, EXCEPTION_TO = 0x1de };
extern u8 jump_from[], jump_to[], other_from[], other_to[], fault_at[];
static volatile u64 pages;

static const char *place(u64 at)
{
    return at == 0 ? "0" : at == (u64)jump_from ? "jump" : at == (u64)jump_to ? "its target" : at == (u64)other_from ? "the other jump"
        : at == (u64)other_to ? "the other target" : at == (u64)fault_at ? "UD2" : "elsewhere";
}
static void records(const char *name, u64 from, u64 to)
{
    say(name);
    say(": from ");
    say(place(from));
    say(" to ");
    say(place(to));
    say("\n");
}
static void line(const char *name, u64 value)
{
    say(name);
    say(": ");
    hex(value);
    say("\n");
}

/* WRMSR DebugCtl without a branch between it and the jump. */
#define record_jump(label) __asm__ volatile("mov $0x1d9, %%ecx; mov $1, %%eax; xor %%edx, %%edx; wrmsr; " \
    #label "_from: jmp " #label "_to; nop; " #label "_to: xor %%eax, %%eax; wrmsr" : : : "rax", "rcx", "rdx", "memory")

__attribute__((noinline)) static void jump(void) { record_jump(jump); }
__attribute__((noinline)) static void other(void) { record_jump(other); }

static void guest_records(void)
{
    other();
    for (;;) vmmcall();
}
static void guest_looks(void)
{
    u64 from = rdmsr(FROM), to = rdmsr(TO);
    records("the guest finds", from, to);
    for (;;) vmmcall();
}

static volatile u32 steps;
static u64 first, last;
static void step(struct frame *frame)
{
    if (steps++ == 0) first = frame->rip;
    last = frame->rip;
    if (steps == 1) frame->rflags &= ~0x100ul;
    wrmsr(DEBUG_CTL, 0);
}

/* The guest's physical pages 0x300000 and 0x301000 are exchanged by its nested tables. */
static u64 nested_map[4][512] __attribute__((aligned(4096)));
#define GUEST_PAGE 0x300000ul
static void nested_paging(void)
{
    nested_map[0][0] = (u64)nested_map[1] | 7;
    nested_map[1][0] = (u64)nested_map[2] | 7;
    for (u64 index = 0; index < 512; index++) nested_map[2][index] = index << 21 | 0x87;
    nested_map[2][1] = (u64)nested_map[3] | 7;
    for (u64 index = 0; index < 512; index++) nested_map[3][index] = ((1ul << 21) + (index << 12)) | 7;
    nested_map[3][(GUEST_PAGE >> 12) & 511] = (GUEST_PAGE + 0x1000) | 7;
    nested_map[3][((GUEST_PAGE >> 12) & 511) + 1] = 0;
    vmcb.nested_control = 1;
    vmcb.nested_cr3 = (u64)nested_map;
}
static void guest_saves(void)
{
    wrmsr(0xc0000102, 0x5678);
    pages = (u64)attempt("vmsave", GUEST_PAGE);
    vmmcall();
    pages = (u64)attempt("vmload", GUEST_PAGE + 0x1000);
    for (;;) vmmcall();
}
static void guest_skinit(void)
{
    pages = (u64)attempt("skinit", 0);
    for (;;) vmmcall();
}

void test(void)
{
    /* Without LBR virtualization both worlds share the records. */
    jump();
    records("recorded", rdmsr(FROM), rdmsr(TO));
    reset_vmcb(guest_looks);
    vmrun(&vmcb);
    stgi();
    reset_vmcb(guest_records);
    vmrun(&vmcb);
    stgi();
    records("behind a guest that records", rdmsr(FROM), rdmsr(TO));

    /* With it each has its own. */
    jump();
    reset_vmcb(guest_looks);
    vmcb.extensions = 1;
    vmcb.branch_from = (u64)other_from;
    vmcb.branch_to = (u64)other_to;
    vmrun(&vmcb);
    stgi();
    reset_vmcb(guest_records);
    vmcb.extensions = 1;
    vmrun(&vmcb);
    stgi();
    records("with LBR virtualization the host finds", rdmsr(FROM), rdmsr(TO));
    records("and the VMCB holds", vmcb.branch_from, vmcb.branch_to);
    line("DebugCtl in the VMCB", vmcb.debug_ctl);

    /* An exception puts the last branch before it aside. */
    __asm__ volatile("movq $1f, resume_rip; mov %%rsp, resume_rsp; mov %%rbp, resume_rbp; mov $0x1d9, %%ecx; mov $1, %%eax; xor %%edx, %%edx; wrmsr; jmp fault_at; nop;"
        "fault_at: ud2; 1: mov $0x1d9, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr" : : : "rax", "rcx", "rdx", "memory");
    line("branch before the exception went to UD2", rdmsr(EXCEPTION_TO) == (u64)fault_at);

    /* TF with DebugCtl.BTF traps behind the next branch. */
    handlers[1] = step;
    __asm__ volatile("mov $0x1d9, %%ecx; mov $2, %%eax; xor %%edx, %%edx; wrmsr; pushf; orl $0x100, (%%rsp); popf; nop; nop; jmp 1f; nop; 1: nop; nop"
        : : : "rax", "rcx", "rdx", "memory", "cc");
    line("traps with BTF", steps);

    /* Virtual VMSAVE and VMLOAD go through the nested tables. */
    reset_vmcb(guest_saves);
    nested_paging();
    vmcb.extensions = 2;
    *(volatile u64 *)(GUEST_PAGE + 0x620) = *(volatile u64 *)(GUEST_PAGE + 0x1620) = 0x1234;
    vmrun(&vmcb);
    stgi();
    report("a guest executes VMSAVE");
    line("KernelGSBase in the page of that address", *(volatile u64 *)(GUEST_PAGE + 0x620));
    line("and in the page behind it", *(volatile u64 *)(GUEST_PAGE + 0x1620));
    vmcb.rip += 3;
    vmrun(&vmcb);
    stgi();
    report("VMLOAD from a page that is not present");
    reset_vmcb(guest_saves);
    nested_paging();
    vmcb.extensions = 2;
    vmcb.intercept2 |= 8;
    vmrun(&vmcb);
    stgi();
    report("VMSAVE that is intercepted");

    /* VM_CR.LOCK, and the key that clears it. */
    attempt("movl $0xc0010118, %%ecx; movl $0x1234, %%eax; xor %%edx, %%edx; wrmsr", 0);
    wrmsr(VM_CR, 8);
    wrmsr(VM_CR, 0);
    line("VM_CR that is locked", rdmsr(VM_CR));
    attempt("movl $0xc0010118, %%ecx; movl $0x4321, %%eax; xor %%edx, %%edx; wrmsr", 0);
    line("VM_CR behind a wrong key", rdmsr(VM_CR));
    attempt("movl $0xc0010118, %%ecx; movl $0x1234, %%eax; xor %%edx, %%edx; wrmsr", 0);
    line("VM_CR behind the key", rdmsr(VM_CR));

    reset_vmcb(guest_skinit);
    vmcb.intercept2 |= 1 << 6;
    vmrun(&vmcb);
    stgi();
    report("SKINIT that is intercepted");
    line("its vector", pages);
    reset_vmcb(guest_skinit);
    vmrun(&vmcb);
    stgi();
    report("SKINIT that is not");
    line("its vector", pages);
}
