/* x87 as an operating system and its programs see it: who may use it, what waits for an exception, the environment in memory, the stack, rounding,
 * and the registers that MMX shares. Values are printed as sign and exponent, then the significand. */
#include "guest32.inc"

/* Pops ST(0) and prints it. */
.macro value text:req
        say     "\text: "
        fstpt   number
        call    print_number
.endm
/* The status word. */
.macro status text:req
        say     "\text: "
        fnstsw  %ax
        movzwl  %ax, %eax
        hex     %eax
        say     "\n"
.endm
.macro control word:req
        movw    $\word, control_word
        fldcw   control_word
.endm

test:
        mov     %cr0, %eax
        or      $0x20, %eax             /* NE: exceptions are #MF */
        mov     %eax, %cr0
        fninit
        call    arithmetic
        call    exceptions
        call    environment
        call    stack
        call    ownership
        ret

arithmetic:
        fldpi
        value   "pi"
        fld1
        fidivs  three
        value   "1/3"
        control 0x0f7f
        fld1
        fidivs  three
        value   "1/3 chopped"
        control 0x0b7f
        fld1
        fidivs  three
        value   "1/3 up"
        control 0x027f
        fld1
        fidivs  three
        value   "1/3 to 53 bits"
        control 0x007f
        fld1
        fidivs  three
        value   "1/3 to 24 bits"
        fninit
        filds   three
        fsqrt
        value   "square root of 3"
        filds   three
        fld1
        fyl2x
        value   "log2 of 1 times 3"
        fld1
        fsin
        value   "sine of 1"
        fld1
        fld1
        fpatan
        value   "angle of (1, 1)"
        fldl    tenth
        fbstp   number
        say     "0.1e6 in decimal: "
        hex     number + 4
        hex     number
        say     "\n"
        fldl    tenth
        filds   three
        fxch
1:      fprem
        fnstsw  %ax
        sahf
        jp      1b
        value   "remainder of 1e5 by 3"
        fstp    %st
        fildll  large
        fistps  integer
        status  "2^40 as 16 bits"
        fnclex
        flds    single_tiny
        status  "a denormal"
        fnclex
        fadd    %st
        value   "twice it"
        status  "then"
        fnclex
        ret

exceptions:
        control 0x0372                  /* invalid, zero divide and overflow are not masked */
        fld1
        fldz
        try     "1/0", fdivrp
        status  "status"
        try     "nothing waits", fnop
        try     "fwait", fwait
        try     "a load", flds single_tiny
        try     "mmx too", movd %mm0, %eax
        try     "control without waiting", fnstcw control_word
        fnclex
        try     "cleared", fwait
        fninit
        control 0x037e                  /* invalid is not masked */
        try     "an empty register", fchs
        status  "status"
        try     "then", fwait
        fnclex
        flds    single_nan
        status  "a signaling NaN"
        fnclex
        fxam
        status  "nothing was pushed"
        fninit
        control 0x036f                  /* underflow is not masked */
        fldt    least
        fmul    %st
        status  "an underflow"
        fnclex
        value   "scaled"
        fninit
        ret

environment:
        control 0x037b                  /* zero divide is not masked */
        fld1
at_division:
        fdivs   zero
        fnstenv area
        say     "environment: "
        xor     %esi, %esi
1:      mov     area(, %esi, 4), %eax
        cmp     $3, %esi
        jne     2f
        sub     $at_division, %eax
2:      cmp     $5, %esi
        jne     3f
        sub     $zero, %eax
3:      hex     %eax
        say     " "
        inc     %esi
        cmp     $7, %esi
        jne     1b
        say     "\n"
        say     "masked now: "
        fnstcw  control_word
        movzwl  control_word, %eax
        hex     %eax
        say     "\n"
        fldenv  area
        try     "pending again", fwait
        fnclex
        fninit
        filds   three
        fldz
        fld1
        fchs
        fnsave  area
        say     "tags: "
        hex     area + 8
        say     "\n"
        status  "after fnsave"
        frstor  area
        status  "after frstor"
        value   "ST0"
        value   "ST1"
        value   "ST2"
        fnstenvs area                   /* 16 bits */
        say     "short environment: "
        hex     area
        hex     area + 4
        say     "\n"
        mov     %cr4, %eax
        or      $0x200, %eax
        mov     %eax, %cr4
        fninit
        filds   three
        fxsave  area
        say     "fxsave: "
        hex     area
        hex     area + 4
        hex     area + 36
        hex     area + 40
        say     "\n"
        fninit
        fxrstor area
        value   "fxrstor"
        ret

stack:
        fninit
        mov     $8, %ecx
1:      fld1
        loop    1b
        fldz
        status  "a ninth value"
        value   "it"
        fninit
        fadd    %st(1)
        status  "nothing to add"
        fninit
        fld1
        fldpi
        fxch
        value   "exchanged"
        fincstp
        fdecstp
        ffree   %st(0)
        fxam
        status  "freed"
        fninit
        mov     $0x12345678, %eax
        movd    %eax, %mm1
        status  "mmx"
        fincstp
        fxam
        status  "as x87"
        value   "the register"
        emms
        ret

ownership:
        fninit
        mov     %cr0, %ebx
        mov     %ebx, %eax
        or      $8, %eax                /* TS */
        and     $~2, %eax
        mov     %eax, %cr0
        try     "switched: load", fld1
        try     "switched: control", fnstcw control_word
        try     "switched: mmx", movd %eax, %mm0
        try     "switched: wait", fwait
        or      $2, %eax                /* MP */
        mov     %eax, %cr0
        try     "monitored: wait", fwait
        clts
        try     "cleared: wait", fwait
        mov     %ebx, %eax
        or      $4, %eax                /* EM */
        mov     %eax, %cr0
        try     "emulated: load", fld1
        try     "emulated: wait", fwait
        try     "emulated: mmx", movd %eax, %mm0
        try     "emulated: fxsave", fxsave area
        mov     %ebx, %cr0
        try     "back", fld1
        try     "misaligned", fxsave area + 8
        fninit
        ret

print_number:
        movzwl  number + 8, %eax
        hex     %eax
        say     " "
        hex     number + 4
        hex     number
        say     "\n"
        ret

        .data
        .balign 16
least:  .quad   0x8000000000000000
        .word   1
        .balign 8
tenth:  .double 1e5
large:  .quad   1 << 40
three:  .word   3
        .balign 4
zero:   .float  0
single_tiny: .long 1
single_nan: .long 0x7f800001
        .bss
        .balign 16
area:   .skip   512
number: .skip   16
control_word: .skip 4
integer: .skip 4
