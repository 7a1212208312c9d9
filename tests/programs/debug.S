/* Debug exceptions: single step, and what it passes over; breakpoints on execution, writes, reads and ports; RF, GD, ICEBP and the
 * shadow of MOV SS. The handler prints DR6 and the distance of the saved EIP from the label `here`. */
#include "guest32.inc"
test:
        hook    handler
        mov     $1f, %eax
        mov     %eax, here
        say     "single step\n"
        pushfl
        orl     $0x100, (%esp)
        popfl
1:      nop
        mov     $2, %ecx
        rep     stosb                           /* a trap after each element */
        mov     %ss, %eax
        mov     %eax, %ss                       /* no trap behind this one */
        nop
        int     $0x41                           /* TF is off in the handler, on again after IRET */
        pushfl
        andl    $~0x100, (%esp)
        popfl
        nop

        say     "execution\n"
        mov     $1f, %eax
        mov     %eax, here
        mov     %eax, %dr0
        mov     $0x2, %eax
        mov     %eax, %dr7
1:      nop
        xor     %eax, %eax
        mov     %eax, %dr7

        say     "data\n"
        mov     $1f, %eax
        mov     %eax, here
        mov     $word, %eax
        mov     %eax, %dr1
        mov     $0x00d00008, %eax               /* DR1: write, 4 bytes */
        mov     %eax, %dr7
1:      mov     word, %ebx
        movb    $1, word + 3
        movl    $1, word + 4
        movl    $1, word - 3
        mov     $0x00f00008, %eax               /* read or write */
        mov     %eax, %dr7
        mov     word, %ebx
        mov     $word - 4, %esi
        mov     $buffer, %edi
        mov     $3, %ecx
        rep     movsl
        mov     $word, %esi
        movsl
        xor     %eax, %eax
        mov     %eax, %dr7

        say     "ports\n"
        mov     $1f, %eax
        mov     %eax, here
        mov     $0x80, %eax
        mov     %eax, %dr2
        mov     %cr4, %eax
        or      $8, %eax
        mov     %eax, %cr4
        mov     $0x02000020, %eax
        mov     %eax, %dr7
1:      out     %al, $0x80
        in      $0x81, %al
        xor     %eax, %eax
        mov     %eax, %dr7

        say     "shadow\n"
        mov     $1f, %eax
        mov     %eax, here
        mov     $word, %eax
        mov     %eax, %dr0
        mov     $0x000f0002, %eax
        mov     %eax, %dr7
        mov     $DATA, %eax
        mov     %eax, word
1:      mov     word, %ss                       /* the trap waits for the next instruction */
        nop
        xor     %eax, %eax
        mov     %eax, %dr7

        say     "others\n"
        mov     $1f, %eax
        mov     %eax, here
1:      .byte   0xf1
        mov     $0x2000, %eax
        mov     %eax, %dr7
        mov     %dr0, %eax                      /* general detect */
        hook    0
        mov     %cr4, %eax
        try     "dr4 with DE", mov %dr4, %eax
        and     $~8, %eax
        mov     %cr4, %eax
        and     $~8, %eax
        mov     %eax, %cr4
        try     "dr4 without DE", mov %dr4, %eax
        ret

handler:                                        /* vector, error code, EIP, CS, EFLAGS */
        pushal
        cmpl    $0x41, 32(%esp)
        je      2f
        say     " dr6="
        mov     %dr6, %eax
        hex     %eax
        mov     $0xffff0ff0, %eax
        mov     %eax, %dr6
        say     " +"
        mov     40(%esp), %eax
        sub     here, %eax
        hex     %eax
        say     " rf="
        mov     48(%esp), %eax
        and     $0x10000, %eax
        hex     %eax
        say     "\n"
        orl     $0x10000, 48(%esp)              /* RF: go on behind an execution breakpoint */
        popal
        add     $8, %esp
        iret
2:      say     " int 0x41, flags="
        pushfl
        pop     %eax
        and     $0x100, %eax
        hex     %eax
        say     "\n"
        popal
        add     $8, %esp
        iret
        .data
        .balign 16
        .long   0
word:   .long   0, 0, 0
here:   .long   0
buffer: .skip   64
