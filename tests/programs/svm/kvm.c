/* What the patches of KVM around nested SVM changed for a guest, one line each: the behaviours tell each value apart. */
#include "svm.h"

static volatile u64 seen;

static void line(const char *name, u64 value)
{
    say(name);
    say(": ");
    hex(value);
    say("\n");
}

static void guest_vmmcall(void)
{
    seen = (u64)attempt("vmmcall", 0);
    __asm__ volatile("cpuid" : : "a"(0) : "rbx", "rcx", "rdx");
}
static void guest_clears_svme(void)
{
    say("the guest clears EFER.SVME\n");
    wrmsr(EFER, rdmsr(EFER) & ~0x1000ul);
    say("and goes on without a hypervisor\n");
    finish();
}

void test(void)
{
    /* EVENTINJ.V behind #VMEXIT, and behind one that fails. */
    reset_vmcb(just_call);
    vmcb.intercept_exceptions = ~0u;
    vmcb.idtr.limit = 0;
    vmcb.event = 1ul << 31 | 3 << 8 | 6;
    vmrun(&vmcb);
    stgi();
    report("#UD injected");
    line("EVENTINJ behind it", vmcb.event);
    reset_vmcb(just_call);
    vmcb.event = 1ul << 31 | 0x20;
    vmcb.asid = 0;
    vmrun(&vmcb);
    stgi();
    line("EVENTINJ behind VMEXIT_INVALID", vmcb.event);

    reset_vmcb(just_call);
    vmcb.cs.attributes |= 0x400;
    vmrun(&vmcb);
    stgi();
    report("CS.L and CS.D");

    reset_vmcb(just_call);
    vmcb.nested_control = 1;
    vmcb.nested_cr3 = vmcb.cr3 | 1ul << 62;
    vmrun(&vmcb);
    stgi();
    report("nested CR3 bit 62");

    reset_vmcb(guest_vmmcall);
    vmcb.intercept2 &= ~VMMCALL;
    vmcb.intercept1 |= 1 << 18;
    vmrun(&vmcb);
    stgi();
    report("VMMCALL that is not intercepted, then CPUID");
    line("its vector", seen);

    wrmsr(EFER, rdmsr(EFER) & ~0x1000ul);
    line("INVLPGA without EFER.SVME", attempt("invlpga %%rax, %%ecx", 0));
    wrmsr(EFER, rdmsr(EFER) | 0x1000);

    reset_vmcb(guest_clears_svme);
    vmcb.intercept1 |= 1 << 18;
    vmrun(&vmcb);
    report("a hypervisor that heard of it");
}
