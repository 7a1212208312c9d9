/* System-management mode: what the save area says in each mode, and that everything comes back; SMRAM that only the handler sees, a new
 * SMBASE, the I/O instruction and the HLT again, what waits while the handler runs. The handler enters protected mode and prints. */
#include "guest32.inc"
        .set    APM, 0xb2
        .set    SMI_EN, 0x630
        .set    ASEG, 0xa0000
        .set    ICR, 0xfee00300
        .set    SELF_SMI, 0x00004200
        .set    SELF_NMI, 0x00004400

/* The handler's job for the next SMI. */
.macro job routine:req
        movl    $\routine, smm_job
.endm
.macro smi
        out     %al, $APM
.endm
/* A field of the save area. */
.macro field text:req, offset:req
        say     "\text"
        mov     smm_base, %esi
        hex     "\offset(%esi)"
.endm

test:
        mov     $0x21, %al
        mov     $SMI_EN, %dx
        out     %al, %dx
        try     "RSM outside", rsm

        say     "at reset\n"
        mov     $0x38000, %edi
        call    install
        job     relocate
        smi
        say     "outside: "
        hex     ASEG + 0x8000
        say     "\n"

        say     "protected mode\n"
        job     show
        mov     $1f, %eax
        mov     %eax, here
        mov     $0x11223344, %ebx
        std
        smi
1:      pushfl
        cld
        say     "ebx="
        hex     %ebx
        say     " flags="
        hex     (%esp)
        popfl
        cld
        say     "\n"

        say     "paging\n"
        call    small_tables
        mov     $1f, %eax
        mov     %eax, here
        smi
1:      say     "cr0="
        mov     %cr0, %eax
        hex     %eax
        say     "\n"
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0

        say     "PAE\n"
        call    large_tables
        mov     $0x20, %eax
        mov     %eax, %cr4
        mov     $pointers, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        mov     $1f, %eax
        mov     %eax, here
        smi
1:      mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0

        say     "long mode\n"
        mov     $top, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        movl    $0x0000ffff, gdt + FREE
        movl    $0x00af9b00, gdt + FREE + 4
        ljmp    $FREE, $1f
        .code64
1:      mov     $2f, %eax
        mov     %eax, here(%rip)
        movabs  $0x8877665544332211, %r8
        movabs  $0xfedcba9876543210, %r15
        mov     %esp, %r14d
        movabs  $0xffff800000000000, %rsp
        smi
2:      mov     %rsp, %r13
        mov     %r14d, %esp
        mov     %r8d, kept(%rip)
        shr     $32, %r8
        mov     %r8d, kept + 4(%rip)
        mov     %r15d, kept + 8(%rip)
        shr     $32, %r15
        mov     %r15d, kept + 12(%rip)
        shr     $32, %r13
        mov     %r13d, kept + 16(%rip)
        ljmp    *leave_long(%rip)
        .code32
3:      call    flat_segments
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        mov     $0xc0000080, %ecx
        rdmsr
        and     $~0x100, %eax
        wrmsr
        xor     %eax, %eax
        mov     %eax, %cr4
        say     "r8="
        hex     kept + 4
        hex     kept
        say     " r15="
        hex     kept + 12
        hex     kept + 8
        say     " rsp>>32="
        hex     kept + 16
        say     "\n"

        say     "real mode\n"
        mov     $real, %esi
        mov     $0x7000, %edi
        mov     $real_end - real, %ecx
        rep     movsb
        movl    $0x7000 + real_smi - real, here
        movl    $0x0000ffff, gdt + FREE
        movl    $0x00009b00, gdt + FREE + 4
        movl    $0x0000ffff, gdt + FREE + 8
        movl    $0x00009300, gdt + FREE + 12
        ljmp    $FREE, $0x7000
real_back:
        mov     $DATA, %eax
        mov     %ax, %ss
        call    flat_segments
        lidt    idt_pointer
        say     "bx="
        movzwl  %bx, %ebx
        hex     %ebx
        say     "\n"

        say     "OUT again\n"
        job     again
        mov     $1f, %eax
        mov     %eax, here
        smi
1:      say     "once\n"
        job     count
        movl    $0, counted
        mov     $buffer, %esi
        mov     $2, %ecx
        mov     $APM, %edx
        rep     outsb
        say     "string: "
        hex     counted
        say     "\n"

        say     "HLT again\n"
        call    timer
        job     halted
        hlt
        say     "count="
        hex     counted
        say     "\n"
        movl    $0x10000, %eax
        call    timer_entry

        say     "order\n"
        hook    trapped
        job     nested
        pushfl
        orl     $0x100, (%esp)
        popfl
        smi
        pushfl
        andl    $~0x100, (%esp)
        popfl
        hook    0

        say     "through the local APIC\n"
        job     quiet
        movl    $SELF_SMI, ICR
        nop
        hex     counted
        say     "\n"
        ret

/* ---- paging ---- */
small_tables:                           /* 4 MiB pages, identity */
        mov     $directory, %edi
        mov     $0x83, %eax
1:      mov     %eax, (%edi)
        add     $4, %edi
        add     $0x400000, %eax
        jnc     1b
        mov     $0x10, %eax
        mov     %eax, %cr4
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ret
large_tables:                           /* 2 MiB pages, the first GiB */
        mov     $directory, %edi
        mov     $0x83, %eax
1:      mov     %eax, (%edi)
        movl    $0, 4(%edi)
        add     $8, %edi
        add     $0x200000, %eax
        cmp     $0x40000083, %eax
        jne     1b
        movl    $directory + 1, pointers
        movl    $directory + 3, third
        movl    $third + 3, top
        ret

/* ---- the way to real mode and back, at 7000h ---- */
        .code16
real:   mov     $FREE + 8, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     %cr0, %eax
        and     $~1, %eax
        mov     %eax, %cr0
        ljmp    $0, $0x7000 + 1f - real
1:      xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     $0x1234, %bx
        mov     %bx, %ss
        out     %al, $APM
real_smi:
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $CODE, $real_back
real_end:
        .code32

/* ---- a timer interrupt that is an SMI: 8254, I/O APIC pin 2 ---- */
timer:  movl    $0x00000200, %eax
        call    timer_entry
        movl    $0, counted
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

/* ---- exceptions while `order` runs ---- */
trapped:                                /* vector, error code, EIP, CS, EFLAGS */
        say     "vector "
        hex     (%esp)
        say     "\n"
        add     $8, %esp
        iret

/* ---- the handler ---- */
install:                                /* at EDI */
        mov     $handler, %esi
        mov     $handler_end - handler, %ecx
        rep     movsb
        ret
        .code16
handler:
        mov     %cs, %bp
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
        movzwl  %bp, %ebp
        shl     $4, %ebp
        mov     %ebp, smm_base
        mov     %cr0, %eax
        mov     %eax, smm_cr0
        mov     %cr4, %eax
        mov     %eax, smm_cr4
        incl    counted
        call    *smm_job
        rsm

relocate:
        field   "revision=", 0xfefc
        field   " smbase=", 0xff00
        say     " in the handler cr0="
        hex     smm_cr0
        say     " cr4="
        hex     smm_cr4
        say     "\n"
        movl    $ASEG, 0xff00(%esi)
        mov     $ASEG + 0x8000, %edi
        call    install
        say     "inside: "
        hex     ASEG + 0x8000
        say     "\n"
        ret
show:   field   "rip=here+", 0xff78
        mov     0xff78(%esi), %eax
        sub     here, %eax
        say     " is "
        hex     %eax
        field   " flags=", 0xff70
        field   " cr0=", 0xff58
        field   " cr4=", 0xff48
        field   " efer=", 0xfed0
        field   "\n  es=", 0xfe00
        field   " cs=", 0xfe10
        field   " ss=", 0xfe20
        field   " ss.base=", 0xfe28
        field   " limit=", 0xfe24
        field   " rbx=", 0xffe0
        field   " rsp>>32=", 0xffdc
        field   " tr=", 0xfe90
        field   " io=", 0xfec0
        say     "\n"
        ret
again:                                  /* the first time only */
        field   "io=", 0xfec0
        mov     0xfea0(%esi), %eax
        sub     here, %eax
        say     " restart rip=here+"
        hex     %eax
        say     "\n"
        xorl    $1, toggle
        jz      1f
        movb    $0xff, 0xfec8(%esi)
1:      ret
count:  field   "io=", 0xfec0
        field   " rcx=", 0xfea8
        say     "\n"
        ret
halted: field   "halted=", 0xfec8
        say     "\n"
        cmpl    $2, counted
        jb      1f
        movb    $0, 0xfec9(%esi)
1:      ret
nested:                                 /* another SMI and an NMI, which wait */
        job     quiet
        smi
        movl    $SELF_NMI, ICR
        say     "still in the handler\n"
        ret
quiet:  say     "SMI\n"
        ret

        .data
        .balign 4
leave_long: .long 3b - 0
        .word   CODE
        .balign 4
here:   .long   0
kept:   .fill   5, 4, 0
toggle: .long   0
counted: .long  0
smm_job: .long  0
smm_base: .long 0
smm_cr0: .long  0
smm_cr4: .long  0
buffer: .byte   1, 2
        .bss
        .balign 4096
directory: .skip 4096
top:    .skip   4096
third:  .skip   4096
pointers: .skip 32
        .skip   2048
smm_stack:
