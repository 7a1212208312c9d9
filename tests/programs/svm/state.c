/* What VMRUN refuses in the state-save area (APM volume 2, 15.5.1): each row is one illegal state, each mask the bits that are illegal by
 * themselves on this processor. */
#include "svm.h"

static u64 ok_count;
/* Runs what the VMCB says; whatever the guest then does is an exit. */
static int is_refused(void)
{
    vmcb.intercept_exceptions = ~0u;
    vmcb.exit_info1 = vmcb.exit_info2 = 0x1234;
    vmrun(&vmcb);
    stgi();
    return vmcb.exit_code == INVALID && vmcb.exit_info1 == 0 && vmcb.exit_info2 == 0;
}
static void row(const char *name)
{
    say(name);
    say(is_refused() ? ": INVALID\n" : ": entered\n");
    reset_vmcb(just_call);
    if (!is_refused()) ok_count++;
    reset_vmcb(just_call);
}
#define EACH_BIT(name, field, first, last) do { \
    u64 mask = 0; \
    for (int bit = first; bit <= last; bit++) { \
        reset_vmcb(just_call); \
        if (vmcb.field >> bit & 1) continue; \
        vmcb.field |= 1ul << bit; \
        if (is_refused()) mask |= 1ul << bit; \
    } \
    say(name " bits refused: "); \
    hex(mask); \
    say("\n"); \
    reset_vmcb(just_call); \
} while (0)

void test(void)
{
    reset_vmcb(just_call);
    row("legal");
    vmcb.efer &= ~0x1000ul; row("EFER.SVME clear");
    vmcb.cr0 = (vmcb.cr0 | 0x20000000) & ~0x40000000ul; row("CR0.NW without CR0.CD");
    vmcb.cr0 |= 0x60000000; row("CR0.NW and CR0.CD");
    vmcb.cr4 &= ~0x20ul; row("LME and PG without CR4.PAE");
    vmcb.cr0 &= ~1ul; row("LME and PG without CR0.PE");
    vmcb.cs.attributes |= 0x400; row("LME, PG, PAE, CS.L and CS.D");
    vmcb.efer &= ~0x100ul; vmcb.cs.attributes |= 0x400; row("CS.L and CS.D without LME");
    vmcb.efer &= ~0x400ul; row("LMA clear with LME and PG");
    vmcb.cr0 &= ~0x80000000ul; vmcb.cs.attributes = 0xc9b; row("LME without PG");
    vmcb.cr4 |= 0x800000; vmcb.cr0 &= ~0x10000ul; row("CR4.CET without CR0.WP");
    EACH_BIT("CR0", cr0, 0, 63);
    EACH_BIT("CR3", cr3, 12, 63);
    EACH_BIT("CR4", cr4, 0, 63);
    EACH_BIT("EFER", efer, 0, 63);
    EACH_BIT("DR6", dr6, 0, 63);
    EACH_BIT("DR7", dr7, 0, 63);
    EACH_BIT("RFLAGS", rflags, 32, 63);
    say("legal again after each: ");
    hex(ok_count);
    say("\n");
}
