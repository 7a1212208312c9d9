/* An instruction over the end of a page, patched in the second page and then in the first. */
#include "guest32.inc"
test:
        /* An instruction over the end of a page, patched in both pages. */
        mov     $0xb8909090, %eax               /* nop nop nop, mov imm32, %eax; ret */
        mov     %eax, across - 4
        movl    $0x01020304, across
        movb    $0xc3, across + 4
        call    across - 4
        hex     %eax
        movb    $0x99, across + 3
        call    across - 4
        say     " "
        hex     %eax
        movb    $0x05, across - 1               /* add imm32, %eax */
        mov     $1, %eax
        call    across - 4
        say     " "
        hex     %eax
        say     " across a page\n"

        ret
        .bss
        .balign 4096
        .skip   4096
across: .skip   4096
