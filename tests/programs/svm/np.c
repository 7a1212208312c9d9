/* NP_ENABLE on a processor without nested paging. */
#include "svm.h"

void test(void)
{
    reset_vmcb(just_call);
    vmcb.nested_control = 1;
    vmrun(&vmcb);
    stgi();
    report("NP_ENABLE without nested paging");
}
