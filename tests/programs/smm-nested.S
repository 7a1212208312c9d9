/* System-management mode from a nested guest. Without an argument: SMIs that are intercepted or not, with nested paging, with a virtual interrupt that
 * waits, VMCBs that the handler changes, and every illegal state at RSM as a shutdown of the guest that its hypervisor sees. A digit behind the
 * name of the program is the number of one change that no hypervisor survives: the program says before what it does, and behind it if it can. */
#include "guest32.inc"
        .set    APM, 0xb2
        .set    SMI_EN, 0x630
        .set    APIC, 0xfee00000
        .set    HANDLER, 0x38000
        .set    AREA, 0x3fe00
        .set    SAVE, 0x400
        .set    SMI_INTERCEPT, 1 << 2
        .set    CPUID_INTERCEPT, 1 << 18
        .set    SHUTDOWN_INTERCEPT, 1 << 31

.macro job routine:req
        movl    $\routine, smm_job
.endm
.macro smi
        out     %al, $APM
.endm
/* A field of the save area, given by its offset from SMBASE. */
.macro field text:req, offset:req
        say     "\text"
        hex     0x30000 + \offset
.endm
/* Sets up the VMCB for a guest that begins at a label, and says what this is about. */
.macro guest text:req, entry:req
        say     "\text\n"
        movl    $\entry, %eax
        call    set_up
.endm

test:
        mov     %cs:0x10(%ebx), %esi    /* the command line */
        mov     %esi, command_line
        mov     $0x21, %al
        mov     $SMI_EN, %dx
        out     %al, %dx
        mov     $handler, %esi
        mov     $HANDLER, %edi
        mov     $handler_end - handler, %ecx
        rep     movsb
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x1000, %eax
        wrmsr
        mov     $0xc0010117, %ecx
        mov     $host_save, %eax
        xor     %edx, %edx
        wrmsr
        mov     command_line, %esi
1:      lodsb
        cmp     $0, %al
        je      2f
        cmp     $' ', %al
        jne     1b
        movzbl  (%esi), %eax
        sub     $'0', %eax
        jmp     *fatal(,%eax,4)

2:      guest   "an SMI that is not intercepted", l2
        job     show
        call    run
        say     "ebx="
        hex     %ebx
        say     "\n"

        guest   "an SMI that is intercepted", l2
        orl     $SMI_INTERCEPT, vmcb + 0x0c
        job     say_flag
        call    enter
        say     "not yet\n"
        stgi
        call    exited
        say     "and on\n"
        call    run

        guest   "interrupts in the handler", l2
        hook    interrupted
        movl    $0x1ff, APIC + 0xf0
        job     open
        call    enter
        call    exited
        say     "GIF\n"
        stgi
        sti
        nop
        cli

        guest   "a virtual interrupt", virtual
        movl    $0x01050100, vmcb + 0x60        /* V_INTR_MASKING, priority 5, V_IRQ */
        movl    $0x41, vmcb + 0x64
        job     say_virtual
        call    run
        say     "V_INTR="
        hex     vmcb + 0x60
        say     "\n"

        guest   "a virtual interrupt that the handler takes out of the VMCB", virtual
        movl    $0x01050100, vmcb + 0x60
        movl    $0x41, vmcb + 0x64
        job     drop_virtual
        call    run
        hook    0

        guest   "CR2", read_cr2
        movl    $0x2222, vmcb + SAVE + 0x240
        job     write_cr2
        call    run
        say     "cr2="
        hex     %ebx
        say     "\n"

        guest   "the host's flags", l2
        job     change_host
        call    enter
        pushfl
        stgi
        call    exited
        say     "flags="
        popl    %eax
        hex     %eax
        say     "\n"

        guest   "the handler wants CPUID intercepted", with_cpuid
        job     want_cpuid
        call    run

        guest   "HLT again", halt
        job     say_halted
        mov     $0x1234, %eax
        call    timer
        call    run
        movl    $0x10000, %eax
        call    timer_entry

        guest   "OUT again", l2
        job     again
        call    run

        say     "illegal states\n"
        job     corrupt
        mov     $illegal, %esi
3:      mov     %esi, name
        pushl   %esi
        call    print_text
1:      lodsb
        test    %al, %al
        jnz     1b
        mov     %esi, changes
        mov     $l2, %eax
        call    set_up
        call    run
        mov     changes, %esi
1:      lodsw
        test    %ax, %ax
        je      2f
        add     $4, %esi
        jmp     1b
2:      cmpb    $0, (%esi)
        jne     3b

        say     "nested paging\n"
        call    large_tables
        mov     $0x20, %eax
        mov     %eax, %cr4
        mov     $pointers, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        movl    $0x11111111, 0x800000           /* what the handler sees, and behind it what L2 sees there */
        movl    $0x22222222, 0xa00000
        movl    $0xa00087, nested_directory + 4 * 8
        guest   "through nested tables", through
        movl    $1, vmcb + 0x90
        movl    $nested_pointers, vmcb + 0xb0
        job     say_nested
        call    run
        say     "L2 saw "
        hex     %ebx
        say     " "
        hex     %ecx
        say     "\n"
        guest   "the handler takes the nested page away", through
        movl    $1, vmcb + 0x90
        movl    $nested_pointers, vmcb + 0xb0
        job     unmap_nested
        call    run
        say     "info1="
        hex     vmcb + 0x78
        say     " info2="
        hex     vmcb + 0x80
        say     "\n"
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        ret

/* ---- what ends the machine ---- */
fatal:  .long   no_vmrun_intercept, no_asid, high_permissions, no_host_paging, no_svme, no_vmcb, no_intercept, misaligned
.macro ending label:req, text:req, address:req, value:req
\label: guest   "\text", l2
        movl    $\address, poke_at
        movl    $\value, poke_value
        job     poke
        call    run
        say     "goes on\n"
        ret
.endm
        ending  no_vmrun_intercept, "the VMRUN intercept is gone", vmcb + 0x10, 2
        ending  no_asid, "the ASID is 0", vmcb + 0x58, 0
        ending  high_permissions, "the I/O permissions map is too high", vmcb + 0x44, 0xff00000
        ending  no_host_paging, "nested paging", vmcb + 0x90, 1
        ending  no_svme, "EFER.SVME of the save area is clear", AREA + 0xd0, 0
        ending  no_vmcb, "the VMCB is nowhere", AREA + 0xe4, 0x1000
        ending  misaligned, "SMBASE is not a multiple of 32 KiB", AREA + 0x100, 0x31000
no_intercept:
        guest   "a shutdown that is not intercepted", l2
        andl    $~SHUTDOWN_INTERCEPT, vmcb + 0x0c
        movl    $AREA + 0x158, poke_at
        movl    $0x80000010, poke_value
        job     poke
        call    run
        say     "goes on\n"
        ret

/* ---- the hypervisor ---- */
set_up:                                 /* the guest begins at EAX */
        pushal
        mov     %eax, %ebx
        cld
        mov     $vmcb, %edi
        mov     $1024, %ecx
        xor     %eax, %eax
        rep     stosl
        movl    $SHUTDOWN_INTERCEPT, vmcb + 0x0c
        movl    $3, vmcb + 0x10         /* VMRUN and VMMCALL */
        movl    $1, vmcb + 0x58
        movl    $0x5555, vmcb + 0x70
        mov     $vmcb + SAVE, %edi
        mov     $segments, %esi
        mov     $segments_end - segments, %ecx
        rep     movsb
        sgdt    vmcb + SAVE + 0x62
        movzwl  vmcb + SAVE + 0x62, %eax
        mov     vmcb + SAVE + 0x64, %edx
        mov     %eax, vmcb + SAVE + 0x64
        mov     %edx, vmcb + SAVE + 0x68
        movl    $0, vmcb + SAVE + 0x60
        movl    $256 * 8 - 1, vmcb + SAVE + 0x84
        movl    $idt, vmcb + SAVE + 0x88
        movl    $0x1000, vmcb + SAVE + 0xd0
        movl    $0x11, vmcb + SAVE + 0x158
        movl    $0x400, vmcb + SAVE + 0x160
        movl    $0xffff0ff0, vmcb + SAVE + 0x168
        movl    $2, vmcb + SAVE + 0x170
        mov     %ebx, vmcb + SAVE + 0x178
        movl    $guest_stack, vmcb + SAVE + 0x1d8
        popal
        ret
segments:                               /* ES, CS, SS, DS */
        .quad   0xffffffff0c930010, 0, 0xffffffff0c9b0008, 0, 0xffffffff0c930010, 0, 0xffffffff0c930010, 0
segments_end:

enter:                                  /* changes EAX, and what the guest changes; GIF is 0 behind it */
        mov     $vmcb, %eax
        vmrun
        ret
run:    call    enter
        stgi
exited: say     "exit "
        hex     vmcb + 0x70
        say     " at "
        push    %eax
        mov     vmcb + SAVE + 0x178, %eax
        sub     here, %eax
        hex     %eax
        pop     %eax
        say     "\n"
        ret

/* ---- guests ---- */
l2:     movl    $1f, here
        mov     $0x11223344, %ebx
        smi
1:      vmmcall
virtual:
        movl    $1f, here
        smi
        sti
        nop
1:      cli
        vmmcall
read_cr2:
        movl    $1f, here
        smi
1:      mov     %cr2, %ebx
        vmmcall
with_cpuid:
        movl    $1f, here
        smi
1:      cpuid
        vmmcall
halt:   movl    $1f, here
        hlt
1:      vmmcall
through:
        movl    $1f, here
        mov     0x800000, %ebx
        smi
1:      mov     0x800000, %ecx
        vmmcall

/* ---- a timer interrupt that is an SMI: 8254, I/O APIC pin 2 ---- */
timer:  movl    $0x00000200, %eax
        call    timer_entry
        mov     $0x34, %al
        out     %al, $0x43
        mov     $0x00, %al
        out     %al, $0x40
        mov     $0x10, %al
        out     %al, $0x40
        ret
timer_entry:
        movl    $0x15, 0xfec00000
        movl    $0, 0xfec00010
        movl    $0x14, 0xfec00000
        movl    %eax, 0xfec00010
        ret

/* ---- tables of 2 MiB pages for the host, and the same for the guest, the first GiB of each ---- */
large_tables:
        mov     $directory, %edi
        mov     $nested_directory, %edx
        mov     $0x87, %eax
1:      mov     %eax, (%edi)
        mov     %eax, (%edx)
        movl    $0, 4(%edi)
        movl    $0, 4(%edx)
        add     $8, %edi
        add     $8, %edx
        add     $0x200000, %eax
        cmp     $0x40000087, %eax
        jne     1b
        movl    $directory + 1, pointers
        movl    $nested_directory + 1, nested_pointers
        ret

/* ---- an interrupt ---- */
interrupted:                            /* vector, error code, EIP, CS, EFLAGS */
        say     "vector "
        hex     (%esp)
        say     "\n"
        movl    $0, APIC + 0xb0
        add     $8, %esp
        iret

/* ---- the handler ---- */
        .code16
handler:
        mov     $gdt_pointer, %ebx
        lgdtl   (%ebx)
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $CODE, $1f
handler_end:
        .code32
1:      mov     $DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $smm_stack, %esp
        lidt    idt_pointer
        call    *smm_job
        rsm

say_flag:
        field   "guest ", 0xfed8
        say     "\n"
        ret
show:   field   "guest ", 0xfed8
        mov     AREA + 0xe0, %eax
        sub     $vmcb, %eax
        say     " vmcb+"
        hex     %eax
        field   " V_INTR ", 0xfee8
        field   " PAT ", 0xff20
        field   " nCR3 ", 0xff38
        field   "\n  host cr0=", 0xff40
        field   " cr4=", 0xff30
        field   " efer=", 0xff28
        mov     AREA + 0x178, %eax
        sub     here, %eax
        say     "\n  rip+"
        hex     %eax
        field   " cr0=", 0xff58
        field   " efer=", 0xfed0
        say     " EXITCODE "
        hex     vmcb + 0x70
        say     " host save "
        hex     host_save + SAVE + 0x158
        say     "\n"
        ret
open:   movl    $0x00044040, APIC + 0x300       /* vector 40h for itself */
        sti
        nop
        cli
        say     "closed\n"
        ret
say_virtual:
        field   "saved V_INTR ", 0xfee8
        say     " in the VMCB "
        hex     vmcb + 0x60
        say     "\n"
        ret
drop_virtual:
        andl    $~0x100, vmcb + 0x60
        ret
write_cr2:
        mov     $0x9999, %eax
        mov     %eax, %cr2
        ret
change_host:
        orl     $1, host_save + SAVE + 0x170
        ret
want_cpuid:
        orl     $CPUID_INTERCEPT, vmcb + 0x0c
        ret
say_halted:
        field   "halted ", 0xfec8
        movb    $0, AREA + 0xc9
        say     "\n"
        ret
again:                                  /* the first time only */
        field   "io ", 0xfec0
        say     "\n"
        xorl    $1, toggle
        jz      1f
        movb    $0xff, AREA + 0xc8
1:      ret
say_nested:
        field   "saved nCR3-", 0xff3c
        mov     AREA + 0x138, %eax
        sub     $nested_pointers, %eax
        hex     %eax
        say     " memory here "
        hex     0x800000
        say     "\n"
        ret
unmap_nested:
        movl    $0, nested_directory + 4 * 8
        ret
poke:   mov     poke_at, %eax
        mov     poke_value, %edx
        mov     %edx, (%eax)
        ret
corrupt:                                /* pairs of an offset in the save area and a dword */
        mov     changes, %esi
1:      movzwl  (%esi), %edi
        test    %edi, %edi
        jz      2f
        mov     2(%esi), %eax
        mov     %eax, 0x30000(%edi)
        add     $6, %esi
        jmp     1b
2:      ret

/* ---- illegal states: a name, then offsets and values ---- */
.macro illegal_state text:req
        .asciz  "\text: "
.endm
.macro change offset:req, value:req
        .word   \offset
        .long   \value
.endm
.macro long_mode                        /* what 64-bit mode needs */
        change  0xff58, 0x80000011
        change  0xff48, 0x20
        change  0xfed0, 0x1100
.endm
        .data
illegal:
        illegal_state "PG without PE"
        change  0xff58, 0x80000010
        .word   0
        illegal_state "NW without CD"
        change  0xff58, 0x20000011
        .word   0
        illegal_state "CR0 high"
        change  0xff5c, 1
        .word   0
        illegal_state "CR4 reserved"
        change  0xff48, 0x80000000
        .word   0
        illegal_state "EFER reserved"
        change  0xfed0, 0x11000
        .word   0
        illegal_state "LME and PG without PAE"
        change  0xff58, 0x80000011
        change  0xfed0, 0x1100
        .word   0
        illegal_state "PCIDE outside long mode"
        change  0xff48, 0x20000
        .word   0
        illegal_state "CET without WP"
        change  0xff48, 0x800000
        .word   0
        illegal_state "CR3 above the physical address"
        long_mode
        change  0xff54, 0x10000000
        .word   0
        illegal_state "CS.L and CS.D"
        long_mode
        change  0xfe10, 0xe09b0008
        .word   0
        illegal_state "VM in long mode"
        long_mode
        change  0xff70, 0x20002
        .word   0
        illegal_state "DR6 high"
        change  0xff6c, 1
        .word   0
        illegal_state "DR7 high"
        change  0xff64, 1
        .word   0
        illegal_state "a reserved bit of a page-directory pointer"
        change  0xff58, 0x80000011
        change  0xff48, 0x20
        change  0xff50, bad_pointers
        .word   0
        .byte   0

        .balign 32
bad_pointers: .quad 0, 3, 0, 0
command_line: .long 0
here:   .long   0
name:   .long   0
changes: .long  0
toggle: .long   0
poke_at: .long  0
poke_value: .long 0
smm_job: .long  0
        .bss
        .balign 4096
vmcb:   .skip   4096
host_save: .skip 4096
directory: .skip 4096
nested_directory: .skip 4096
pointers: .skip 32
nested_pointers: .skip 32
        .skip   2048
smm_stack:
        .skip   2048
guest_stack:
