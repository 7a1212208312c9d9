/* What VMRUN refuses in the control area (APM volume 2, 15.5.1), what fails only when it is read, and addresses that are no VMCB. */
#include "svm.h"

static void run(const char *name)
{
    vmcb.intercept_exceptions = ~0u;
    vmrun(&vmcb);
    stgi();
    report(name);
    reset_vmcb(just_call);
}

static u64 pointers[4] __attribute__((aligned(32)));
/* PAE paging without nested paging: the pointers are loaded with CR3. */
static void pae(const char *name, u64 pointer)
{
    pointers[0] = pointer;
    pointers[1] = pointers[2] = pointers[3] = 0;
    vmcb.efer &= ~0x500ul;
    vmcb.cr3 = (u64)pointers;
    vmcb.cs.attributes = 0xc9b;
    run(name);
}

static void address(const char *name, u64 at)
{
    long vmrun_vector, load_vector, save_vector;
    say(name);
    vmrun_vector = attempt("vmrun", at);
    stgi();
    load_vector = attempt("vmload", at);
    save_vector = attempt("vmsave", at);
    say(": VMRUN #");
    hex(vmrun_vector);
    say(", VMLOAD #");
    hex(load_vector);
    say(", VMSAVE #");
    hex(save_vector);
    say("\n");
}

void test(void)
{
    u64 limit = 1ul << physical_bits();
    reset_vmcb(just_call);
    run("legal");
    vmcb.asid = 0; run("ASID 0");
    vmcb.intercept2 &= ~VMRUN; run("VMRUN intercept clear");
    vmcb.iopm = limit - 0x3000; run("the I/O map ends at the limit");
    vmcb.iopm = limit - 0x2000; run("the I/O map goes beyond the limit");
    vmcb.iopm = limit - 0x2001; run("the I/O map, low bits set");
    vmcb.msrpm = limit - 0x2000; run("the MSR map ends at the limit");
    vmcb.msrpm = limit - 0x1000; run("the MSR map goes beyond the limit");
    vmcb.nested_control = 1; vmcb.nested_cr3 = vmcb.cr3; run("nested paging");
    vmcb.nested_control = 1; vmcb.nested_cr3 = vmcb.cr3 | limit; run("nested CR3 beyond the limit");
    vmcb.nested_control = 1; vmcb.nested_cr3 = vmcb.cr3 | 1ul << 63; run("nested CR3 bit 63");
    vmcb.nested_cr3 = limit; run("nested CR3 without nested paging");
    vmcb.tlb_control = 1; run("TLB control 1");
    vmcb.tlb_control = 2; run("TLB control 2");
    vmcb.tlb_control = 3; run("TLB control 3");
    vmcb.tlb_control = 7; run("TLB control 7");
    vmcb.interrupt = 1 << 26; run("virtual NMI without the NMI intercept");
    vmcb.interrupt = 1 << 26; vmcb.intercept1 |= NMI; run("virtual NMI with it");

    /* The second kind of failure: the checks pass, and then something cannot be read. */
    vmcb.intercept1 |= MSR_PROT; vmcb.msrpm = HOLE; run("the MSR map lies where no memory is");
    vmcb.msrpm = HOLE; run("the same, but MSRs are not intercepted");
    pae("PAE with legal pointers", 0);
    pae("PAE with a reserved bit in a pointer", 3);
    pae("PAE with a high bit in a pointer", 1 | limit);
    vmcb.nested_control = 1; vmcb.nested_cr3 = vmcb.cr3; pae("PAE with a reserved bit and nested paging", 3);

    address("misaligned", (u64)&vmcb + 8);
    address("beyond the physical addresses", limit);
    address("no memory there", HOLE);
}
