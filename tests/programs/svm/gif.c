/* GIF after a VMRUN that fails: "#VMEXIT clears GIF" (APM volume 2, 15.17), so an NMI waits for STGI. */
#include "svm.h"

static volatile u32 nmis;
static void count(struct frame *frame) { (void)frame; nmis++; }

static void probe(const char *name)
{
    nmis = 0;
    send_nmi();
    say(name);
    say(nmis ? ": GIF is 1, the NMI is taken at once" : ": GIF is 0, the NMI is held");
    stgi();
    say(nmis ? "\n" : ", and lost\n");
}

void test(void)
{
    handlers[2] = count;
    probe("before");
    reset_vmcb(just_call);
    vmcb.intercept1 = SHUTDOWN;
    vmcb.asid = 0;
    stgi();
    vmrun(&vmcb);
    report("ASID 0");
    probe("after VMEXIT_INVALID");

    reset_vmcb(just_call);
    vmrun(&vmcb);
    report("a guest that calls");
    probe("after VMEXIT_VMMCALL");

    /* GIF may be clear before VMRUN: the guest runs with GIF set, a failed entry leaves it clear. */
    reset_vmcb(just_call);
    vmcb.asid = 0;
    clgi();
    vmrun(&vmcb);
    report("ASID 0 with GIF clear");
    probe("after it");
}
