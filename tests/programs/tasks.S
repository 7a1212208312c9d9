/* Hardware task switches: JMP, CALL with IRET back, a task gate on an exception; busy bits, back link and NT. */
#include "guest32.inc"
        .set    OTHER, FREE
        .set    GATE, FREE + 8
        .set    other, 0x8100
test:
        movw    $103, gdt + OTHER
        movw    $other, gdt + OTHER + 2
        movl    $0x00008900, gdt + OTHER + 4
        movl    $OTHER << 16, gdt + GATE        /* a task gate */
        movl    $0x0000e500, gdt + GATE + 4
        call    prepare
        say     "call: "
        lcall   $OTHER, $0
        call    describe
        say     "again: "
        lcall   $GATE, $0
        call    describe
        movl    $OTHER << 16, idt + 8 * 0       /* #DE through the task gate */
        movl    $0x0000e500, idt + 8 * 0 + 4
        movl    $divided, other + 32
        say     "fault: "
        xor     %ecx, %ecx
        div     %ecx
        call    describe
        movl    $jumped, other + 32
        say     "jmp: "
        ljmp    $OTHER, $0
        call    describe
        try     "jmp to a busy task", ljmp $TSS, $0
        andb    $0x7f, gdt + OTHER + 5
        try     "call of an absent task", lcall $OTHER, $0
        orb     $0x80, gdt + OTHER + 5
        movw    $102, gdt + OTHER
        try     "call of a short task", lcall $OTHER, $0
        movw    $103, gdt + OTHER
        ret

prepare:
        mov     $other, %edi
        mov     $26, %ecx
        xor     %eax, %eax
        rep     stosl
        movl    $entered, other + 32
        movl    $2, other + 36
        movl    $0x12345678, other + 40         /* EAX */
        movl    $stack_top - 4096, other + 56
        movl    $DATA, other + 72
        movl    $CODE, other + 76
        movl    $DATA, other + 80
        movl    $DATA, other + 84
        movl    $DATA, other + 88
        movl    $DATA, other + 92
        ret

entered:
        hex     %eax
        call    inside
        iret                                    /* NT is set: back to the caller; the next entry goes on here */
        mov     $0x55, %eax
        hex     %eax
        call    inside
        iret
divided:
        say     "in the handler "
        call    inside
        mov     tss + 32, %eax                  /* past the two bytes of DIV */
        add     $2, %eax
        mov     %eax, tss + 32
        iret
jumped:
        call    inside
        ljmp    $TSS, $0
inside:
        say     " nt="
        pushfl
        andl    $0x4000, (%esp)
        call    print_hex
        say     " link="
        movzwl  other, %eax
        hex     %eax
        say     " ts="
        mov     %cr0, %eax
        and     $8, %eax
        hex     %eax
        clts
        call    types
        ret
types:
        say     " types="
        movzbl  gdt + TSS + 5, %eax
        hex     %eax
        say     ","
        movzbl  gdt + OTHER + 5, %eax
        hex     %eax
        ret
describe:
        say     " back: tr="
        str     %eax
        hex     %eax
        pushfl
        pop     %eax
        and     $0x4000, %eax
        say     " nt="
        hex     %eax
        call    types
        say     "\n"
        ret
