/* Transactional memory where every transaction aborts as it begins: XBEGIN, XTEST, XEND, XABORT, elided locks, a hot loop. */
#include "guest32.inc"
test:
        mov     $0x12345678, %eax
        xbegin  1f
        say     "in a transaction\n"
1:      say     "XBEGIN: "
        hex     %eax
        say     "\n"
        mov     $-1, %eax
        add     $1, %eax                /* CF, ZF, AF, PF */
        xtest
        pushf
        pop     %eax
        and     $0x8d5, %eax
        say     "XTEST: "
        hex     %eax
        say     "\n"
        try     "XEND outside a transaction", xend
        try     "XABORT outside a transaction", xabort $5
        movl    $0, lock
        mov     $1, %eax
        try     "XACQUIRE", xacquire lock xchg %eax, lock
        xtest
        setz    %al
        movzbl  %al, %eax
        hex     %eax
        hex     lock
        say     "\n"
        try     "XRELEASE", xrelease movl $0, lock
        xor     %ebx, %ebx
        mov     $5000, %ecx
2:      mov     $1, %eax
        xbegin  3f
        add     $100, %ebx
3:      sub     $1, %eax                /* -1 where it aborted with 0 */
        sub     %eax, %ebx
        loop    2b
        say     "5000 times: "
        hex     %ebx
        say     "\n"
        ret
        .bss
lock:   .skip   4
        .text
