/* One injection of #DE, which every processor has. */
#include "svm.h"

void test(void)
{
    reset_vmcb(just_call);
    vmcb.idtr.limit = 0;
    vmcb.intercept_exceptions = ~0u;
    vmcb.event = 1ul << 31 | 3 << 8;
    vmrun(&vmcb);
    stgi();
    report("#DE");
}
