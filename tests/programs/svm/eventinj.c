/* EVENTINJ in full: valid or not, eight types, 256 vectors (APM volume 2, 15.20). The guest's IDT is empty, so an event that is injected
 * raises #GP at once, which is intercepted, and EXITINTINFO says what was being delivered. */
#include "svm.h"

enum { REFUSED, IGNORED, INJECTED, ODD };
static u8 outcome[256];
static const char *const names[] = { "refused", "ignored", "injected", "odd" };

static int inject(u64 event)
{
    vmcb.event = event;
    vmcb.rip = (u64)just_call;
    vmcb.rsp &= ~15ul;
    vmrun(&vmcb);
    stgi();
    if (vmcb.exit_code == INVALID) return REFUSED;
    if (vmcb.event >> 31 & 1) return ODD;
    if (vmcb.exit_code == EXIT_VMMCALL) return IGNORED;
    if (vmcb.exit_code != EXIT_EXCEPTION + 13) return ODD;
    /* The vector of an NMI is ignored. */
    if ((event >> 8 & 7) == 2) event = (event & ~0xfful) | 2;
    return (u32)vmcb.exit_interrupt == (u32)event ? INJECTED : ODD;
}

static void table(int valid, int type)
{
    for (int vector = 0; vector < 256; vector++) outcome[vector] = inject((u64)valid << 31 | type << 8 | vector);
    say(valid ? "valid, type " : "not valid, type ");
    hex(type);
    say(":");
    for (int vector = 0, first = 0; vector < 256; vector++) {
        if (vector != 255 && outcome[vector + 1] == outcome[vector]) continue;
        say(" ");
        hex(first);
        if (first != vector) {
            say("-");
            hex(vector);
        }
        say(" ");
        say(names[outcome[vector]]);
        first = vector + 1;
    }
    say("\n");
}

void test(void)
{
    reset_vmcb(just_call);
    vmcb.idtr.limit = 0;
    vmcb.intercept_exceptions = ~0u;
    for (int valid = 0; valid < 2; valid++) for (int type = 0; type < 8; type++) table(valid, type);

    /* INTO and BOUND exist outside 64-bit mode. */
    vmcb.cs.attributes = 0xc9b;
    say("in compatibility mode\n");
    table(1, 3);
}
