/* Call gates with parameters to an inner level, RETF to the outer one, conforming code, and IRET to CPL 3 and back. */
#include "guest32.inc"
test:
        movl    $stack_top - 4096, tss + 4      /* ESP0, SS0 */
        movl    $DATA, tss + 8
        /* FREE: a call gate for CPL 3 with two parameters; +8: the same for CPL 0 only; +16: conforming code; +24: a gate to a data segment */
        mov     $inner, %eax
        mov     %ax, gdt + FREE
        movw    $CODE, gdt + FREE + 2
        movw    $0xec02, gdt + FREE + 4
        movw    $0, gdt + FREE + 6
        shr     $16, %eax
        mov     %ax, gdt + FREE + 6
        movl    gdt + FREE, %eax
        mov     %eax, gdt + FREE + 8
        movl    gdt + FREE + 4, %eax
        mov     %eax, gdt + FREE + 12
        movb    $0x8c, gdt + FREE + 13
        movl    $0x0000ffff, gdt + FREE + 16
        movl    $0x00cf9f00, gdt + FREE + 20
        movl    gdt + FREE, %eax
        mov     %eax, gdt + FREE + 24
        movw    $DATA, gdt + FREE + 26
        movl    gdt + FREE + 4, %eax
        mov     %eax, gdt + FREE + 28

        /* From CPL 0 through a gate to CPL 0: no new stack, no parameters copied. */
        say     "same level: "
        push    $0x1111
        push    $0x2222
        lcall   $FREE + 3, $0
        pop     %eax
        pop     %eax
        try     "gate to data", lcall $FREE + 24, $0

        mov     %esp, kernel_esp
        pushl   $USER_DATA
        pushl   $user_stack_top
        pushfl
        pushl   $USER_CODE
        pushl   $user
        iret
back:
        mov     $DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        mov     kernel_esp, %esp
        hook    0
        ret

inner:                                          /* EIP, CS (, parameters, ESP, SS) */
        say     "cs="
        mov     %cs, %eax
        hex     %eax
        say     " from="
        hex     4(%esp)
        say     " +8="
        hex     8(%esp)
        say     " +12="
        hex     12(%esp)
        mov     4(%esp), %eax
        and     $3, %eax
        jz      1f
        say     " ss="
        hex     20(%esp)
        say     "\n"
        lret    $8
1:      say     "\n"
        lret

user:
        mov     $USER_DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        mov     $0x3000, %eax                   /* nothing may be printed from here: no I/O at CPL 3 */
        push    $0xaaaa
        push    $0xbbbb
        lcall   $FREE + 3, $0
        mov     %esp, user_esp
        lcall   $FREE + 16 + 3, $conforming
        movl    $user_2, after
        movl    $report_user, hooked
        cli                                     /* #GP at CPL 3: the report goes on at `after` */
user_2: movl    $user_3, after
        lcall   $FREE + 8 + 3, $0
user_3: movl    $user_4, after
        ljmp    $CODE, $back
user_4: movl    $user_5, after
        mov     $DATA, %eax
        mov     %ax, %ds
user_5: movl    $user_6, after
        hlt
user_6: int     $0x50
conforming:
        mov     %cs, seen_cs
        lret

report_user:                                    /* vector, error code, EIP, CS, EFLAGS, ESP, SS */
        mov     $DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        say     "user: #"
        hex     (%esp)
        say     " "
        hex     4(%esp)
        say     " cs="
        hex     12(%esp)
        say     " esp0-esp="
        mov     $stack_top - 4096, %eax
        sub     %esp, %eax
        hex     %eax
        say     "\n"
        cmpl    $0x50, (%esp)
        je      finish
        mov     after, %eax
        mov     %eax, 8(%esp)
        mov     $USER_DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        add     $8, %esp
        iret
finish:
        say     "parameters left="
        mov     $user_stack_top, %eax
        sub     user_esp, %eax
        hex     %eax
        say     " conforming cs="
        hex     seen_cs
        say     "\n"
        jmp     back
        .data
kernel_esp: .long 0
user_esp: .long 0
after:  .long 0
seen_cs: .long 0
