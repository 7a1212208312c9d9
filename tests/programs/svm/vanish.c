/* The guest runs while user space takes its VMCB's memory away; then an NMI calls for the hypervisor. */
#include "svm.h"

static void spin(void) { for (;;) __asm__ volatile("pause"); }

void test(void)
{
    reset_vmcb(spin);
    vmcb.intercept1 |= NMI;
    say("VMCB at ");
    hex((u64)&vmcb);
    say("\n");
    vmrun(&vmcb);
    stgi();
    report("the guest");
}
