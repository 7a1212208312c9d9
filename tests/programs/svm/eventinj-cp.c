/* One injection of #CP (21), as a hypervisor with shadow stacks makes it. */
#include "svm.h"

void test(void)
{
    reset_vmcb(just_call);
    vmcb.idtr.limit = 0;
    vmcb.intercept_exceptions = ~0u;
    vmcb.event = 1ul << 31 | 1 << 11 | 3 << 8 | 21 | 3ul << 32;
    vmrun(&vmcb);
    stgi();
    report("#CP");
}
