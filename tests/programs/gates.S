/* Gates and returns in 64-bit mode, again and again: each transfer is done three times unchanged, then one thing that it rests on is changed,
 * it is done once more, and the change is taken back. What is printed of an event: vector and error code, the frame (RIP from the beginning
 * of what was tried, CS, RFLAGS, RSP, SS), then the stack pointer and RFLAGS in the handler, and CR2 of a page fault. */
#include "guest32.inc"
        .set    W, 0x400000             /* a window of 512 pages, most of them at W + 0x200000 */
        .set    TOP, 0x200000           /* page tables: four levels, then another four that share most of the window */
        .set    PTES, 0x204000          /* the window's */
        .set    OTHER_TOP, 0x205000
        .set    IDT, W + 0xc00          /* gate 0x40 is the first one in its second page */
        .set    GDT, W + 0x2fe0         /* G64 is the first one in its second page */
        .set    OUTSIDE, W + 0x4000     /* a handler in a page of its own */
        .set    USER, W + 0x5000
        .set    STACK, W + 0x7f00
        .set    USER_STACK, W + 0xaf00
        .set    MISSING, W + 0x8123
        .set    APIC, W + 0x9000
        .set    COPY, 0x10000           /* to the copies of IDT and GDT */
        .set    IST1, W + 0x19000
        .set    IST2, W + 0x1a000
        .set    RSP0, W + 0x1b000
        .set    handler_top, W + 0x1c000
        .set    image, W + 0x6200       /* what IRET pops */
        .set    image_via, W + 0x6400
        .set    image3, W + 0x6600
        .set    image32, W + 0x6800
        .set    K64, 0x18
        .set    G64, 0x20               /* what gates and returns lead to */
        .set    D2, 0x28
        .set    TR64, 0x30
        .set    LDT, 0x40
        .set    U64, 0x50
        .set    UD, 0x58
        .set    READ_ONLY, 0x60
        .set    ABSENT, 0x68
        .set    K64_1, 0x78             /* of level 1 */
        .set    DATA_1, 0x80
        .set    IN_LDT, 0x04
        .set    TSS64, 0x9000
        .set    LDT64, 0xa000
        .set    G, IDT + 0x40 * 16
        .set    D, GDT + G64

test:
        mov     $0xff, %al
        out     %al, $0x21
        out     %al, $0xa1
        call    build_tables
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $TOP, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x900, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        lgdt    first_gdt
        ljmp    $K64, $start64

/* Two sets: in the second one the second page of the IDT is that of the copy. */
build_tables:
        mov     $TOP, %edi
        mov     $10 * 1024, %ecx
        xor     %eax, %eax
        rep stosl
        mov     $TOP, %ebx
        call    1f
        mov     $OTHER_TOP, %ebx
        call    1f
        xorl    $COPY, OTHER_TOP + 0x4008
        ret
1:      lea     0x1007(%ebx), %eax
        mov     %eax, (%ebx)
        add     $0x1000, %eax
        mov     %eax, 0x1000(%ebx)
        add     $0x1000, %eax
        mov     %eax, 0x2000(%ebx)
        add     $0x1000, %eax
        mov     %eax, 0x2010(%ebx)
        movl    $0x200083, 0x2008(%ebx)
        mov     $0x600083, %eax
        lea     0x2018(%ebx), %edi
2:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x200000, %eax
        cmp     $0x1000083, %eax
        jne     2b
        mov     $0x63, %eax
        lea     0x3000(%ebx), %edi
3:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x1000, %eax
        cmp     $0x200063, %eax
        jne     3b
        mov     $0x600063, %eax
        lea     0x4000(%ebx), %edi
4:      mov     %eax, (%edi)
        add     $8, %edi
        add     $0x1000, %eax
        cmp     $0x620063, %eax
        jne     4b
        movl    $0, 0x4000 + 8 * 8(%ebx)
        movl    $0xfee0007b, 0x4000 + 8 * 9(%ebx)
        movl    $0x605067, 0x4000 + 8 * 5(%ebx)
        movl    $0x60a067, 0x4000 + 8 * 10(%ebx)
        ret

        .code64
/* ---- what programs say ---- */
.macro tell text:req
        .pushsection .rodata
661:    .ascii  "\text"
662:    .popsection
        mov     $661b, %esi
        mov     $662b - 661b, %ecx
        call    print
.endm
.macro number value:req, digits:req
        mov     \value, %rax
        mov     $\digits, %ecx
        call    print_number
.endm
/* What is tried from here on, and what comes of it. */
.macro aim text:req, do:req
        tell    "\text\n"
        mov     $771f, %ebx
        jmp     772f
771:    \do
        jmp     done
772:    call    warm
        call    print_events
.endm
/* Tries it once. */
.macro shot text:req
        tell    "  \text:"
        call    shoot
        call    print_events
.endm
/* The same after a change, once what came before is fresh. */
.macro change text:req, do:req, undo:req
        call    warm
        \do
        shot    "\text"
        \undo
.endm
.macro back
        shot    "again"
.endm
/* What became of a byte. */
.macro then at:req, digits:req
        tell    "  then "
        number  "\at", \digits
        tell    "\n"
.endm
/* `flip` changes a page's entry. */
.macro flip page:req, bits:req
        xorl    $\bits, PTES + 8 * \page
        invlpg  W + 0x1000 * \page
.endm
.macro cr4 bit:req
        mov     %cr4, %rax
        btc     $\bit, %rax
        mov     %rax, %cr4
.endm
.macro cr0 bit:req
        mov     %cr0, %rax
        btc     $\bit, %rax
        mov     %rax, %cr0
.endm

print:
        push    %rdx
        mov     $0x3f8, %edx
        rep outsb
        pop     %rdx
        ret
print_number:                           /* RAX, so many digits as ECX says */
        mov     $number_end, %esi
        push    %rcx
1:      mov     %eax, %edx
        and     $15, %edx
        mov     digits(%rdx), %dl
        dec     %esi
        mov     %dl, (%rsi)
        shr     $4, %rax
        dec     %ecx
        jnz     1b
        pop     %rcx
        jmp     print
print_address:                          /* RAX */
        mov     %rax, %rdx
        mov     $6, %ecx
        shr     $32, %rdx
        jz      print_number
        mov     $16, %ecx
        jmp     print_number
print_ip:                               /* RAX: from the beginning of what was tried, of the handlers, or of where returns lead */
        mov     %rax, %rdx
        shr     $32, %rdx
        jz      1f
        push    %rax
        push    %rdx
        tell    " "
        pop     %rax
        mov     $8, %ecx
        call    print_number
        tell    ":"
        pop     %rax
1:        mov     %eax, %edx
        sub     %ebx, %edx
        cmp     $0x80, %edx
        jae     1f
        push    %rdx
        tell    " +"
        pop     %rax
        mov     $2, %ecx
        jmp     print_number
1:      mov     %eax, %edx
        sub     $handlers64, %edx
        cmp     $0x1000, %edx
        jae     1f
        push    %rdx
        tell    " h+"
        pop     %rax
        mov     $3, %ecx
        jmp     print_number
1:      mov     %eax, %edx
        sub     $landing, %edx
        cmp     $0x100, %edx
        jae     1f
        push    %rdx
        tell    " there+"
        pop     %rax
        mov     $2, %ecx
        jmp     print_number
1:      push    %rax
        tell    " "
        pop     %rax
        mov     $6, %ecx
        jmp     print_number

/* ---- events ---- */
        .set    VECTOR, 0
        .set    ERROR, 8
        .set    FRAME, 16
        .set    AT, 56
        .set    FLAGS, 64
        .set    ADDRESS, 72
        .set    EVENT, 80
        .set    LANDED, 0x100

        .balign 4096
handlers64:
        .set    vector, 0
        .rept   256
        .balign 16
        .if     (vector == 8) || (vector == 17) || ((vector >= 10) && (vector <= 14))
        nop
        .else
        push    $0
        .endif
        pushq   $vector
        jmp     caught64
        .set    vector, vector + 1
        .endr
        .balign 16
caught64:
        mov     %rax, kept_rax
        mov     %rsp, %rax
        mov     $handler_top, %esp
        pushfq
        push    %rcx
        push    %rsi
        push    %rdi
        cld
        mov     next_event, %edi
        mov     %rax, %rsi
        mov     $7, %ecx
        rep movsq
        lea     16(%rax), %rcx
        mov     %rcx, (%rdi)
        mov     24(%rsp), %rcx
        mov     %rcx, 8(%rdi)
        mov     %cr2, %rcx
        mov     %rcx, 16(%rdi)
        add     $24, %edi
        mov     %edi, next_event
        cmp     $events_end, %edi
        jae     give_up
        mov     (%rax), %ecx
        cmpl    %ecx, hook_vector
        jne     1f
        call    *hook
1:      mov     (%rax), %ecx
        pop     %rdi
        pop     %rsi
        cmp     %ecx, through
        pop     %rcx
        jne     1f
        lea     16(%rax), %rsp
        mov     kept_rax, %rax
        iretq
1:      pushq   $DATA
        pushq   shot_rsp
        pushq   $2
        pushq   $K64
        pushq   $done
        iretq

/* Where IRET leads. */
landing:
        mov     %rax, kept_rax
        mov     %rsp, %rax
        mov     $handler_top, %esp
        pushfq
        push    %rcx
        push    %rdi
        mov     next_event, %edi
        movq    $LANDED, (%rdi)
        mov     %cs, %ecx
        mov     %rcx, FRAME + 8(%rdi)
        mov     %ss, %ecx
        mov     %rcx, FRAME + 32(%rdi)
        mov     %rax, FRAME + 24(%rdi)
        mov     16(%rsp), %rcx
        mov     %rcx, FRAME + 16(%rdi)
        add     $EVENT, %edi
        mov     %edi, next_event
        jmp     done

via:
        ljmp    *to_stack_32
        .code32
int_32: int     $0x40
        int     $0x40
        ljmp    $K64, $done
ud_32:  ud2
stack_32:
        mov     %ss:0x2000, %eax
        ljmp    $K64, $done
        .code64

/* Runs what RBX leads to on a stack of its own, until an event or `done`. */
shoot:
        push    %rbx
        push    %rbp
        movl    $events, next_event
        mov     %rsp, shot_rsp
        pushq   shot_flags
        popfq
        mov     shot_stack, %rsp
        jmp     *%rbx
done:
        mov     shot_rsp, %rsp
        pushq   $2
        popfq
        pushq   $K64
        pushq   $1f
        lretq
1:      mov     $DATA, %eax
        mov     %eax, %ss
        mov     %eax, %ds
        mov     %eax, %es
        pop     %rbp
        pop     %rbx
        ret
warm:
        call    shoot
        call    shoot
        jmp     shoot

print_events:
        push    %rbp
        mov     $events, %ebp
        cmp     next_event, %ebp
        jne     1f
        tell    " ok"
1:      cmp     next_event, %ebp
        je      3f
        cmpl    $LANDED, VECTOR(%rbp)
        je      2f
        tell    " #"
        number  "VECTOR(%rbp)", 2
        tell    " "
        number  "ERROR(%rbp)", 4
        mov     FRAME(%rbp), %rax
        call    print_ip
        jmp     4f
2:      tell    " there"
4:      tell    " cs="
        number  "FRAME + 8(%rbp)", 2
        tell    " fl="
        number  "FRAME + 16(%rbp)", 6
        tell    " sp="
        mov     FRAME + 24(%rbp), %rax
        call    print_address
        tell    " ss="
        number  "FRAME + 32(%rbp)", 2
        cmpl    $LANDED, VECTOR(%rbp)
        je      5f
        tell    " at "
        mov     AT(%rbp), %rax
        call    print_address
        tell    " fl="
        number  "FLAGS(%rbp)", 6
        cmpl    $14, VECTOR(%rbp)
        jne     5f
        tell    " cr2="
        mov     ADDRESS(%rbp), %rax
        call    print_address
5:      add     $EVENT, %ebp
        jmp     1b
3:      tell    "\n"
        pop     %rbp
        ret

give_up:
        tell    "too many events\n"
        call    print_events
        mov     $1, %al
        out     %al, $0xf4
        hlt

/* ---- tables ---- */
build_idt64:
        mov     $IDT, %edi
        mov     $handlers64, %eax
        xor     %ecx, %ecx
1:      mov     %ax, (%rdi)
        movw    $K64, 2(%rdi)
        cmp     $32, %ecx
        jb      2f
        movw    $G64, 2(%rdi)
2:      movw    $0x8e00, 4(%rdi)
        mov     %eax, %edx
        shr     $16, %edx
        mov     %edx, 6(%rdi)
        movw    $0, 10(%rdi)
        movl    $0, 12(%rdi)
        add     $16, %eax
        add     $16, %edi
        inc     %ecx
        cmp     $256, %ecx
        jne     1b
        movb    $1, IDT + 8 * 16 + 4    /* #DF has a stack of its own */
        ret
build_gdt64:
        mov     $first_table, %esi
        mov     $GDT, %edi
        mov     $first_end - first_table, %ecx
        rep movsb
        ret

start64:
        mov     $DATA, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss
        mov     $stack_top - 4, %esp
        call    build_idt64
        call    build_gdt64
        lgdt    full_gdt
        lidt    full_idt
        mov     $TSS64, %edi
        mov     $104, %ecx
        xor     %eax, %eax
        rep stosb
        movl    $IST1, TSS64 + 0x24
        movl    $IST2, TSS64 + 0x2c
        movl    $RSP0, TSS64 + 4
        mov     $TR64, %eax
        ltr     %ax
        mov     $LDT, %eax
        lldt    %ax
        /* The copies: gate N leads to handler N + 0x10, #UD to that of #NM and #PF to that of #GP; G64 is not present. */
        mov     $IDT, %esi
        mov     $IDT + COPY, %edi
        mov     $4096, %ecx
        rep movsb
        xorb    $0x10, IDT + COPY + 6 * 16
        subb    $0x10, IDT + COPY + 14 * 16
        addb    $1, IDT + COPY + 0x40 * 16 + 1
        mov     $GDT, %esi
        mov     $GDT + COPY, %edi
        mov     $0x100, %ecx
        rep movsb
        movb    $0x1b, GDT + COPY + G64 + 5
        movb    $0xe9, OUTSIDE          /* jmp: handler 0x42 */
        mov     $handlers64 + 0x420, %eax
        sub     $OUTSIDE + 5, %eax
        mov     %eax, OUTSIDE + 1
        movl    $0x90900b0f, OUTSIDE + COPY
        movl    $0x90900b0f, USER + 0x10
        movl    $0x40cd, USER
        movl    $0x90d8200f, USER + 0x20
        mov     local_table, %rax
        mov     %rax, LDT64
        mov     local_table + 8, %rax
        mov     %rax, LDT64 + 8
        mov     $images, %esi
        mov     $image, %edi
        call    1f
        mov     $image_via, %edi
        call    1f
        mov     $image3, %edi
        call    1f
        mov     $image32, %edi
        call    1f
        mov     $0x800000000000, %r8
        mov     $MISSING, %r9d

        call    gates
        call    descriptors
        call    pages
        call    stacks
        call    exceptions
        call    returns
        call    modes
        call    code_and_tables
        call    registers
        call    arithmetic
        mov     %rsp, %rbp
        ljmp    *leave
        .code32
leave_long:
        call    flat_segments
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        mov     $stack_top - 4, %esp
        call    registers32
        ret
        .code64

1:      mov     $5, %ecx
        rep movsq
        ret

gates:
        aim     "gate", "int $0x40"
        change  "other handler", "xorb $0x10, G", "xorb $0x10, G"
        change  "trap gate", "movb $0x8f, G + 5", "movb $0x8e, G + 5"
        change  "DPL 3", "movb $0xee, G + 5", "movb $0x8e, G + 5"
        change  "not present", "movb $0x0e, G + 5", "movb $0x8e, G + 5"
        change  "call gate", "movb $0x8c, G + 5", "movb $0x8e, G + 5"
        change  "16-bit gate", "movb $0x86, G + 5", "movb $0x8e, G + 5"
        change  "IST 1", "movb $1, G + 4", "movb $0, G + 4"
        change  "null selector", "movw $0, G + 2", "movw $G64, G + 2"
        change  "data", "movw $D2, G + 2", "movw $G64, G + 2"
        change  "other code", "movw $K64, G + 2", "movw $G64, G + 2"
        change  "RPL 3", "movw $G64 + 3, G + 2", "movw $G64, G + 2"
        change  "in the LDT", "movw $IN_LDT, G + 2", "movw $G64, G + 2"
        change  "not canonical", "movl $0x8000, G + 8", "movl $0, G + 8"
        change  "limit", "lidt short_idt", "lidt full_idt"
        change  "longer limit", "lidt long_idt", "lidt full_idt"
        change  "LIDT", "lidt copied_idt", "lidt full_idt"
        back
        movb    $0x8f, G + 5
        aim     "trap gate", "int $0x40"
        change  "interrupt gate", "movb $0x8e, G + 5", "movb $0x8f, G + 5"
        back
        movb    $0x8e, G + 5
        movb    $2, G + 4
        aim     "IST", "int $0x40"
        change  "none", "movb $0, G + 4", "movb $2, G + 4"
        back
        movb    $0, G + 4
        mov     $IDT, %esi
        mov     $W + 0x14bf8, %edi
        mov     $4096, %ecx
        rep movsb
        lidt    odd_idt
        aim     "gate in two pages", "int $0x40"
        change  "second half", "movl $0x8000, W + 0x15000", "movl $0, W + 0x15000"
        change  "second page not present", "flip 0x15, 1", "flip 0x15, 1"
        back
        lidt    full_idt
        aim     "INT 3", "int $3"
        aim     "INT3", "int3"
        change  "other handler", "xorb $0x10, IDT + 0x30", "xorb $0x10, IDT + 0x30"
        aim     "INT 80h", "int $0x80"
        change  "other handler", "xorb $0x10, IDT + 0x800", "xorb $0x10, IDT + 0x800"
        aim     "INT FFh", "int $0xff"
        change  "other handler", "xorb $0x10, IDT + 0xff0", "xorb $0x10, IDT + 0xff0"
        ret

descriptors:
        aim     "code descriptor", "int $0x40"
        change  "not present", "movb $0x1b, D + 5", "movb $0x9b, D + 5"
        change  "data", "movb $0x93, D + 5", "movb $0x9b, D + 5"
        change  "system", "movb $0x8b, D + 5", "movb $0x9b, D + 5"
        change  "L=0", "movb $0x8f, D + 6", "movb $0xaf, D + 6"
        change  "L=1 D=1", "movb $0xef, D + 6", "movb $0xaf, D + 6"
        change  "AVL", "movb $0xbf, D + 6", "movb $0xaf, D + 6"
        change  "DPL 3", "movb $0xfb, D + 5", "movb $0x9b, D + 5"
        change  "conforming", "movb $0x9f, D + 5", "movb $0x9b, D + 5"
        change  "DPL 3 conforming", "movb $0xff, D + 5", "movb $0x9b, D + 5"
        change  "not accessed", "movb $0x9a, D + 5", "nop"
        then    "D + 5", 2
        change  "not accessed, read-only page", "movb $0x9a, D + 5; flip 3, 2", "flip 3, 2; movb $0x9b, D + 5"
        change  "limit", "lgdt short_gdt", "lgdt full_gdt"
        change  "LGDT", "lgdt copied_gdt", "lgdt full_gdt"
        back
        movb    $0x9f, D + 5
        aim     "conforming", "int $0x40"
        change  "not conforming", "movb $0x9b, D + 5", "movb $0x9f, D + 5"
        movb    $0x9b, D + 5
        ret

pages:
        aim     "page of the gate", "int $0x40"
        change  "other frame, INVLPG", "flip 1, COPY", "flip 1, COPY"
        change  "other frame, CR3", "xorl $COPY, PTES + 8; mov %cr3, %rax; mov %rax, %cr3", "flip 1, COPY"
        change  "other tables", "mov $OTHER_TOP, %eax; mov %rax, %cr3", "mov $TOP, %eax; mov %rax, %cr3"
        change  "not present", "flip 1, 1", "flip 1, 1"
        change  "read-only", "flip 1, 2", "flip 1, 2"
        change  "not accessed", "flip 1, 0x20", "nop"
        then    "PTES + 8", 3
        back
        aim     "page of the descriptor", "int $0x40"
        change  "other frame, INVLPG", "flip 3, COPY", "flip 3, COPY"
        change  "not present", "flip 3, 1", "flip 3, 1"
        change  "not accessed", "flip 3, 0x20", "nop"
        then    "PTES + 24", 3
        back
        cr4     21
        aim     "SMAP", "int $0x40"
        change  "gate in a user page", "flip 1, 4", "flip 1, 4"
        change  "gate in a user page, AC", "flip 1, 4; movl $0x40202, shot_flags", "flip 1, 4; movl $0x202, shot_flags"
        change  "descriptor in a user page", "flip 3, 4", "flip 3, 4"
        change  "descriptor in a user page, AC", "flip 3, 4; movl $0x40202, shot_flags", "flip 3, 4; movl $0x202, shot_flags"
        change  "stack in a user page, AC", "flip 7, 4; movl $0x40202, shot_flags", "flip 7, 4; movl $0x202, shot_flags"
        movb    $2, IDT + 14 * 16 + 4
        change  "stack in a user page", "flip 7, 4", "flip 7, 4"
        movb    $0, IDT + 14 * 16 + 4
        flip    1, 4
        aim     "gate in a user page, read while AC was set", "stac; mov G, %eax; clac; int $0x40"
        aim     "gate in a user page, read while AC is set", "stac; mov G, %eax; int $0x40"
        flip    1, 4
        flip    3, 4
        aim     "descriptor in a user page, read while AC is set", "stac; mov D, %eax; int $0x40"
        aim     "the same, IRETQ", "stac; mov D, %eax; mov $image, %esp; iretq"
        flip    3, 4
        cr4     21
        ret

stacks:
        aim     "stack", "int $0x40"
        change  "misaligned by 8", "movb $0xf8, shot_stack", "movb $0, shot_stack"
        change  "misaligned by 1", "movb $1, shot_stack", "movb $0, shot_stack"
        change  "in two pages", "movw $0x7010, shot_stack", "movw $0x7f00, shot_stack"
        change  "end of a page", "movw $0x7000, shot_stack", "movw $0x7f00, shot_stack"
        change  "end of a page, misaligned", "movw $0x7008, shot_stack", "movw $0x7f00, shot_stack"
        change  "SS null", "xor %eax, %eax; mov %eax, %ss", "nop"
        change  "not dirty", "flip 7, 0x40", "nop"
        then    "PTES + 56", 3
        change  "other frame", "flip 7, COPY", "flip 7, COPY"
        movb    $2, IDT + 14 * 16 + 4
        movb    $2, IDT + 12 * 16 + 4
        change  "read-only", "flip 7, 2", "flip 7, 2"
        change  "read-only, WP=0", "flip 7, 2; cr0 16", "flip 7, 2; cr0 16"
        change  "not present", "flip 7, 1", "flip 7, 1"
        change  "lower page not present", "movw $0x7010, shot_stack; flip 6, 1", "movw $0x7f00, shot_stack; flip 6, 1"
        change  "upper page not present", "movw $0x7010, shot_stack; flip 7, 1", "movw $0x7f00, shot_stack; flip 7, 1"
        change  "end of the lower half", "movw $0x8000, shot_stack + 4; movl $0, shot_stack", "movq $STACK, shot_stack"
        change  "not canonical", "movl $0xffff8000, shot_stack + 4; movl $8, shot_stack", "movq $STACK, shot_stack"
        movb    $0, IDT + 14 * 16 + 4
        movb    $0, IDT + 12 * 16 + 4
        change  "not present, as for #PF", "flip 7, 1", "flip 7, 1"
        change  "over the gate", "movw $0x1030, shot_stack; call shoot", "movw $0x7f00, shot_stack; call build_idt64"
        back
        flip    7, COPY
        movw    $0x7010, shot_stack
        aim     "stack in two frames that are apart", "int $0x40"
        change  "misaligned", "movb $0x18, shot_stack", "movb $0x10, shot_stack"
        aim     "the same, #UD", "ud2"
        change  "misaligned", "movb $0x18, shot_stack", "movb $0x10, shot_stack"
        aim     "the same, #PF", "mov (%r9), %eax"
        change  "misaligned", "movb $0x18, shot_stack", "movb $0x10, shot_stack"
        movw    $0x7f00, shot_stack
        flip    7, COPY
        aim     "other SS", "mov $D2, %eax; mov %eax, %ss; int $0x40"
        aim     "no SS", "xor %eax, %eax; mov %eax, %ss; int $0x40"
        aim     "code that the gate leads to", "pushq $G64; pushq $780f; lretq; 780: int $0x40"
        ret

exceptions:
        aim     "#UD", "ud2"
        change  "other handler", "xorb $0x10, IDT + 0x60", "xorb $0x10, IDT + 0x60"
        change  "trap gate", "movb $0x8f, IDT + 0x65", "movb $0x8e, IDT + 0x65"
        change  "not present", "movb $0x0e, IDT + 0x65", "movb $0x8e, IDT + 0x65"
        change  "LIDT", "lidt copied_idt", "lidt full_idt"
        change  "in two pages", "movw $0x7010, shot_stack", "movw $0x7f00, shot_stack"
        movw    $G64, IDT + 0x62
        change  "descriptor not present", "movb $0x1b, D + 5", "movb $0x9b, D + 5"
        change  "descriptor not accessed", "movb $0x9a, D + 5", "nop"
        then    "D + 5", 2
        change  "LGDT", "lgdt copied_gdt", "lgdt full_gdt"
        movw    $K64, IDT + 0x62
        back
        aim     "#GP", "mov (%r8), %eax"
        change  "misaligned by 8", "movb $0xf8, shot_stack", "movb $0, shot_stack"
        change  "other handler", "xorb $0x70, IDT + 0xd0", "xorb $0x70, IDT + 0xd0"
        change  "not present", "movb $0x0e, IDT + 0xd5", "movb $0x8e, IDT + 0xd5"
        movw    $G64, IDT + 0xd2
        change  "descriptor L=0", "movb $0x8f, D + 6", "movb $0xaf, D + 6"
        movw    $ABSENT, IDT + 0xd2
        movb    $0x9b, GDT + ABSENT + 5
        change  "over the descriptor", "movw $0x3070, shot_stack; call shoot", "movw $0x7f00, shot_stack; call build_gdt64"
        movw    $K64, IDT + 0xd2
        back
        movw    $0x0dcd, 0xc31200
        mov     $0xc31200, %ebx
        shot    "INT 13, which pushes no error code"
        aim     "#PF", "mov (%r9), %eax"
        change  "other address", "mov $MISSING + 0xe00, %r9d", "mov $MISSING, %r9d"
        change  "other handler", "subb $0x10, IDT + 0xe0", "addb $0x10, IDT + 0xe0"
        change  "misaligned by 8", "movb $0xf8, shot_stack", "movb $0, shot_stack"
        change  "in two pages", "movw $0x7010, shot_stack", "movw $0x7f00, shot_stack"
        change  "end of a page", "movw $0x7000, shot_stack", "movw $0x7f00, shot_stack"
        change  "stack not present", "flip 7, 1", "flip 7, 1"
        change  "stack read-only", "flip 7, 2", "flip 7, 2"
        change  "not canonical", "movl $0x8000, IDT + 0xe8", "movl $0, IDT + 0xe8"
        change  "IST", "movb $2, IDT + 0xe4", "movb $0, IDT + 0xe4"
        change  "trap gate", "movb $0x8f, IDT + 0xe5", "movb $0x8e, IDT + 0xe5"
        change  "TSD", "cr4 2", "cr4 2"
        change  "PCIDE", "cr4 17", "cr4 17"
        change  "page mapped", "flip 8, 0x600063", "flip 8, 0x600063"
        back
        aim     "#PF for writing", "mov %eax, (%r9)"
        aim     "#PF at the top", "mov $0xffff8000deadbeef, %r10; mov (%r10), %eax"
        aim     "#PF for fetching", "jmp *%r9"
        aim     "#DE", "xor %ecx, %ecx; div %ecx"
        aim     "#UD with flags", "mov $0xff, %al; add $1, %al; ud2"
        movl    $0x40, hook_vector
        movl    $USER + 0x10, hook
        aim     "fault in a handler", "int $0x40"
        change  "other handler for it", "xorb $0x10, IDT + 0x60", "xorb $0x10, IDT + 0x60"
        back
        movl    $-1, hook_vector
        movw    $OUTSIDE & 0xffff, G
        movw    $OUTSIDE >> 16, G + 6
        aim     "handler in a page of its own", "int $0x40"
        change  "not present", "flip 4, 1", "flip 4, 1"
        change  "user, SMEP", "flip 4, 4; cr4 20", "flip 4, 4; cr4 20"
        change  "user", "flip 4, 4", "flip 4, 4"
        change  "other code", "addl $0x10, OUTSIDE + 1", "subl $0x10, OUTSIDE + 1"
        change  "other frame", "flip 4, COPY", "flip 4, COPY"
        back
        /* What one set of tables says while the other one is in use. */
        movw    $OUTSIDE & 0xffff, G - 16
        movw    $OUTSIDE >> 16, G - 16 + 6
        aim     "the same, and two sets of tables", "int $0x3f"
        change  "the other one", "call other_tables", "call first_tables"
        change  "its frame, from outside", "call visit; xorl $COPY, OTHER_TOP + 0x4020; call other_tables", "call first_tables; xorl $COPY, OTHER_TOP + 0x4020"
        change  "its frame back, from outside", "call visit; call other_tables", "call first_tables"
        change  "its page not present, from outside", "call visit; xorl $1, OTHER_TOP + 0x4020; call other_tables", "call first_tables; xorl $1, OTHER_TOP + 0x4020"
        change  "its page table, from outside", "call visit; xorl $0xd000, OTHER_TOP + 0x2010; call other_tables", "call first_tables; xorl $0xd000, OTHER_TOP + 0x2010"
        change  "the first one's frame, from the other one", "call other_tables; call warm; xorl $COPY, PTES + 32; call first_tables", "flip 4, COPY"
        change  "other code, from the other one", "call other_tables; call warm; addl $0x10, OUTSIDE + 1; call first_tables", "subl $0x10, OUTSIDE + 1"
        back
        jmp     build_idt64
visit:  call    other_tables
        call    warm
first_tables:
        mov     $TOP, %eax
        mov     %rax, %cr3
        ret
other_tables:
        mov     $OTHER_TOP, %eax
        mov     %rax, %cr3
        ret

returns:
        aim     "IRETQ", "mov $image, %esp; iretq"
        change  "RIP not canonical", "movl $0x8000, image + 4", "movl $0, image + 4"
        change  "RIP at the top", "movl $0xffff8000, image + 4; movl $OUTSIDE, image", "movq $landing, image"
        change  "CS null", "movw $0, image + 8", "movw $G64, image + 8"
        change  "other CS", "movw $K64, image + 8", "movw $G64, image + 8"
        change  "CS data", "movw $D2, image + 8", "movw $G64, image + 8"
        change  "CS not present", "movw $ABSENT, image + 8", "movw $G64, image + 8"
        change  "CS in the LDT", "movw $IN_LDT, image + 8", "movw $G64, image + 8"
        change  "CS beyond the limit", "movw $0xf8, image + 8", "movw $G64, image + 8"
        change  "CS and more", "movl $0xabcd0000 + G64, image + 8; movl $-1, image + 12", "movq $G64, image + 8"
        change  "SS null", "movw $0, image + 32", "movw $D2, image + 32"
        change  "SS null RPL 3", "movw $3, image + 32", "movw $D2, image + 32"
        change  "other SS", "movw $DATA, image + 32", "movw $D2, image + 32"
        change  "SS read-only", "movw $READ_ONLY, image + 32", "movw $D2, image + 32"
        change  "SS not present", "movw $ABSENT + 8, image + 32", "movw $D2, image + 32"
        change  "SS code", "movw $K64, image + 32", "movw $D2, image + 32"
        change  "SS RPL 3", "movw $D2 + 3, image + 32", "movw $D2, image + 32"
        change  "SS in the LDT", "movw $IN_LDT + 8, image + 32", "movw $D2, image + 32"
        change  "other RSP", "movw $0x7123, image + 24", "movw $0x7f00, image + 24"
        change  "RSP not canonical", "movl $0x8000, image + 28", "movl $0, image + 28"
        change  "RF", "movl $0x10202, image + 16", "movl $0x202, image + 16"
        change  "TF", "movl $0x302, image + 16", "movl $0x202, image + 16"
        change  "NT", "movl $0x4202, image + 16", "movl $0x202, image + 16"
        change  "AC", "movl $0x40202, image + 16", "movl $0x202, image + 16"
        change  "VIF", "movl $0x80202, image + 16", "movl $0x202, image + 16"
        change  "VIP", "movl $0x100202, image + 16", "movl $0x202, image + 16"
        change  "VM", "movl $0x20202, image + 16", "movl $0x202, image + 16"
        change  "ID, IOPL, DF", "movl $0x203602, image + 16", "movl $0x202, image + 16"
        change  "reserved", "movl $0xffc08028, image + 16; movl $-1, image + 20", "movq $0x202, image + 16"
        change  "NT now", "movl $0x4202, shot_flags", "movl $0x202, shot_flags"
        change  "AC now", "movl $0x40202, shot_flags", "movl $0x202, shot_flags"
        change  "other flags now", "movl $0x203ed7, shot_flags", "movl $0x202, shot_flags"
        change  "code not present", "movb $0x1b, D + 5", "movb $0x9b, D + 5"
        change  "code DPL 3", "movb $0xfb, D + 5", "movb $0x9b, D + 5"
        change  "conforming DPL 3", "movb $0xff, D + 5", "movb $0x9b, D + 5"
        change  "conforming", "movb $0x9f, D + 5", "movb $0x9b, D + 5"
        change  "L=1 D=1", "movb $0xef, D + 6", "movb $0xaf, D + 6"
        change  "code not accessed", "movb $0x9a, D + 5", "nop"
        then    "D + 5", 2
        change  "stack not present", "movb $0x13, GDT + D2 + 5", "movb $0x93, GDT + D2 + 5"
        change  "stack read-only", "movb $0x91, GDT + D2 + 5", "movb $0x93, GDT + D2 + 5"
        change  "stack expanding down", "movb $0x97, GDT + D2 + 5", "movb $0x93, GDT + D2 + 5"
        change  "stack DPL 3", "movb $0xf3, GDT + D2 + 5", "movb $0x93, GDT + D2 + 5"
        change  "stack not accessed", "movb $0x92, GDT + D2 + 5", "nop"
        then    "GDT + D2 + 5", 2
        change  "GDT limit", "lgdt short_gdt", "lgdt full_gdt"
        change  "LGDT", "lgdt copied_gdt", "lgdt full_gdt"
        change  "GDT in another frame", "flip 3, COPY", "flip 3, COPY"
        change  "GDT not present", "flip 3, 1", "flip 3, 1"
        cr4     21
        change  "GDT in a user page", "flip 3, 4", "flip 3, 4"
        change  "GDT in a user page, AC", "flip 3, 4; movl $0x40202, shot_flags", "flip 3, 4; movl $0x202, shot_flags"
        cr4     21
        change  "TSD", "cr4 2", "cr4 2"
        back
        mov     $image, %esi
        mov     $W + 0x6ff0, %edi
        mov     $40, %ecx
        rep movsb
        aim     "IRETQ, frame in two pages", "mov $W + 0x6ff0, %esp; iretq"
        movb    $2, IDT + 14 * 16 + 4
        change  "second page not present", "flip 7, 1", "flip 7, 1"
        change  "second page in another frame", "flip 7, COPY", "flip 7, COPY"
        change  "read-only", "flip 6, 2; flip 7, 2", "flip 6, 2; flip 7, 2"
        back
        movb    $0, IDT + 14 * 16 + 4
        movb    $2, IDT + 12 * 16 + 4
        aim     "IRETQ, frame not canonical", "mov $0x800000000000, %rsp; iretq"
        movb    $0, IDT + 12 * 16 + 4
        aim     "IRETL", "mov $image32, %esp; iretl"
        /* What SS holds shows in compatibility mode. */
        aim     "IRETQ, then SS at work", "mov $image_via, %esp; iretq"
        change  "limit", "movw $0x1000, GDT + D2; movb $0x40, GDT + D2 + 6", "movw $0xffff, GDT + D2; movb $0xcf, GDT + D2 + 6"
        movw    $0x1000, GDT + D2
        movb    $0x40, GDT + D2 + 6
        aim     "the same, limit", "mov $image_via, %esp; iretq"
        change  "no limit", "movw $0xffff, GDT + D2; movb $0xcf, GDT + D2 + 6", "nop"
        ret

modes:
        movl    $0x40, through
        aim     "TF before INT", "pushq $0x302; popfq; int $0x40; nop"
        aim     "NT before INT", "pushq $0x4202; popfq; int $0x40"
        aim     "AC before INT", "pushq $0x40202; popfq; int $0x40"
        movl    $0x40, hook_vector
        movl    $set_virtual, hook
        aim     "VIF and VIP set by IRET", "int $0x40; int $0x41"
        movl    $set_trap, hook
        aim     "TF set by IRET", "int $0x40; nop; nop"
        movl    $set_resume, hook
        aim     "RF set by IRET", "int $0x40; int $0x41"
        movl    $clear_interrupts, hook
        aim     "IF cleared by IRET", "int $0x40; int $0x41"
        movl    $-1, hook_vector
        movl    $-1, through
        aim     "shadow of MOV SS", "mov %ss, %eax; mov %eax, %ss; int $0x40"
        aim     "shadow of STI", "cli; sti; int $0x40"
        movl    $2, through
        movl    $2, hook_vector
        movl    $another_nmi, hook
        aim     "NMI that waits for IRET", "movl $1, nmis; movl $0x4400, APIC + 0x300; jmp 780f; 780: jmp 781f; 781: nop"
        movl    $-1, through
        movl    $-1, hook_vector

        mov     $landing, %eax
        mov     %rax, %dr0
        aim     "no breakpoint at the return address", "mov $image, %esp; iretq"
        change  "execute", "call arm_execute", "call disarm"
        change  "execute, RF", "call arm_execute; movl $0x10202, image + 16", "call disarm; movl $0x202, image + 16"
        change  "disabled, RF", "movl $0x10202, image + 16", "movl $0x202, image + 16"
        mov     $image + 16, %eax
        mov     %rax, %dr1
        change  "frame read", "mov $0x00f00404, %eax; mov %rax, %dr7", "call disarm"
        back
        mov     $handlers64 + 0x400, %eax
        mov     %rax, %dr0
        mov     $STACK - 16, %eax
        mov     %rax, %dr1
        aim     "no breakpoint at the handler", "int $0x40"
        change  "execute", "call arm_execute", "call disarm"
        change  "frame written", "mov $0x00900404, %eax; mov %rax, %dr7", "call disarm"
        back

        aim     "to level 3, gate of level 0", "mov $image3, %esp; iretq"
        movb    $0xee, G + 5
        aim     "level 0, gate of level 3", "int $0x40"
        aim     "level 3", "mov $image3, %esp; iretq"
        change  "IST", "movb $2, G + 4", "movb $0, G + 4"
        change  "other RSP0", "movl $RSP0 - 0x100, TSS64 + 4", "movl $RSP0, TSS64 + 4"
        movb    $0x10, image3
        aim     "#UD at level 0", "ud2"
        mov     $781f, %ebx
        jmp     782f
781:    movq    $0, USER_STACK - 64
        mov     $image3, %esp
        iretq
782:    shot    "at level 3"
        movb    $K64_1 + 1, image3 + 8
        movb    $DATA_1 + 1, image3 + 32
        shot    "at level 1"
        movb    $0, image3
        shot    "level 1"
        movb    $0x8e, G + 5
        shot    "level 1, gate of level 0"
        movb    $U64 + 3, image3 + 8
        movb    $UD + 3, image3 + 32
        aim     "#UD at level 0", "ud2"
        movb    $0x20, image3
        aim     "CR3 read at level 3", "mov $image3, %esp; iretq"
        aim     "level 0 again", "int $0x40"
        movl    $0x40, through
        aim     "compatibility mode and back", "ljmp *to_32"
        change  "trap gate", "movb $0x8f, G + 5", "movb $0x8e, G + 5"
        back
        movl    $-1, through
        aim     "64-bit mode", "int $0x40"
        movl    $ud_32, to_32
        aim     "#UD in compatibility mode", "ljmp *to_32"
        change  "other handler", "xorb $0x10, IDT + 0x60", "xorb $0x10, IDT + 0x60"
        aim     "#UD in 64-bit mode", "ud2"
        ret
set_virtual:
        orl     $0x180000, 32(%rax)
        ret
set_trap:
        orl     $0x100, 32(%rax)
        ret
set_resume:
        orl     $0x10000, 32(%rax)
        ret
clear_interrupts:
        andl    $~0x200, 32(%rax)
        ret
another_nmi:
        decl    nmis
        js      1f
        movl    $0x4400, APIC + 0x300
1:      ret
arm_execute:
        mov     $0x401, %eax
        mov     %rax, %dr7
        ret
disarm:
        xor     %eax, %eax
        mov     %rax, %dr6
        mov     $0x400, %eax
        mov     %rax, %dr7
        ret

/* Frames that are code, and entries of a page table. RIP in a frame is MOV AL, imm8 and RET; then it is an entry of the window's last pages. */
code_and_tables:
        tell    "frames that are executed:"
        movw    $0x40cd, 0xc312ae
        movw    $0x40cd, 0xc334ae
        mov     $sites, %esi
1:      mov     (%rsi), %ebx
        push    %rsi
        call    shoot
        mov     $STACK - 40, %eax
        call    *%rax
        push    %rax
        tell    " "
        pop     %rax
        mov     $2, %ecx
        call    print_number
        pop     %rsi
        add     $4, %esi
        cmp     $sites_end, %esi
        jne     1b
        tell    "\nframes that are page tables:"
        movq    $PTES + 0x1000, shot_stack
        movw    $0x40cd, 0xc35065
        movw    $0x40cd, 0xc36065
        movb    $0x35, 0xc35800
        movb    $0x36, 0xc36800
        mov     $table_sites, %esi
1:      mov     (%rsi), %ebx
        push    %rsi
        call    shoot
        tell    " "
        invlpg  W + 0x1fb000
        number  "W + 0x1fb800", 2
        pop     %rsi
        add     $4, %esi
        cmp     $table_sites_end, %esi
        jne     1b
        movq    $STACK, shot_stack
        tell    "\n"
        movl    $0x90c340cd, W + 0x7100
        movl    $0x90c340cd, W + 0x7ec0
        mov     $W + 0x7100, %ebx
        call    warm
        shot    "INT in the page of its stack"
        mov     $W + 0x7ec0, %ebx
        call    warm
        shot    "INT just below its frame"
        ret

/* Control registers, each read by the same instruction after it was changed. */
registers:
        tell    "CR2"
        mov     $numbers, %esi
1:      mov     (%rsi), %rax
        mov     %rax, %cr2
        call    print_cr2
        add     $8, %esi
        cmp     $numbers_end, %esi
        jne     1b
        mov     $MISSING, %r9d
        call    2f
        add     $0xc00, %r9d
        call    2f
        tell    "\nCR3"
        call    print_cr3
        mov     $OTHER_TOP, %eax
        mov     %rax, %cr3
        call    print_cr3
        mov     $TOP + 0x18, %eax
        mov     %rax, %cr3
        call    print_cr3
        mov     $TOP, %eax
        mov     %rax, %cr3
        call    print_cr3
        tell    "\nCR4"
        call    print_cr4
        cr4     17
        call    print_cr4
        cr4     17
        cr4     2
        call    print_cr4
        cr4     2
        call    print_cr4
        tell    "\n"
        ret
2:      mov     $3f, %ebx
        call    shoot
        jmp     print_cr2
3:      mov     (%r9), %eax
print_cr2:
        mov     %cr2, %rax
4:      push    %rsi
        push    %rax
        tell    " "
        pop     %rax
        mov     $16, %ecx
        call    print_number
        pop     %rsi
        ret
print_cr3:
        mov     %cr3, %rax
        jmp     4b
print_cr4:
        mov     %cr4, %rax
        jmp     4b

/* Arithmetic flags through INT and IRET, whatever instruction left them. */
.macro image_of text:req, mask:req, do:req
        tell    "\text:"
        mov     $771f, %ebx
        jmp     772f
771:    \do
        int     $0x40
        pushfq
        pop     flags_after
        jmp     done
772:    call    warm
        mov     $\mask, %ebp
        call    print_images
.endm
print_images:                           /* in the frame, in the handler, and after IRET */
        mov     events + FRAME + 16, %rax
        call    1f
        mov     events + FLAGS, %rax
        call    1f
        mov     flags_after, %rax
        call    1f
        tell    "\n"
        ret
1:      and     %ebp, %eax
        push    %rax
        tell    " "
        pop     %rax
        mov     $3, %ecx
        jmp     print_number
arithmetic:
        movl    $0x40, through
        movl    $2, shot_flags
        image_of "ADD", 0xfff, "mov $0x7f, %al; add $0x81, %al"
        image_of "ADD, 64 bits", 0xfff, "mov $-1, %rax; mov %rax, %rcx; btr $63, %rcx; add %rcx, %rax"
        image_of "SUB", 0xfff, "mov $0x80000000, %eax; sub $1, %eax"
        image_of "CMP", 0xfff, "mov $3, %ax; cmp $0x8004, %ax"
        image_of "STC and INC", 0xfff, "mov $0x7fffffff, %eax; stc; inc %eax"
        image_of "STC and DEC", 0xfff, "mov $0x10, %al; stc; dec %al"
        image_of "SHL", 0xfef, "mov $0xc1, %al; shl $1, %al"
        image_of "SHR", 0xfef, "mov $0x8001, %ax; shr $1, %ax"
        image_of "SAR to 0", 0xfef, "mov $1, %eax; sar $1, %eax"
        image_of "RCL", 0xfff, "mov $0x40, %al; cmp %al, %al; rcl $1, %al"
        image_of "MUL", 0x801, "mov $-1, %eax; mul %eax"
        image_of "IMUL", 0x801, "mov $3, %eax; imul %eax, %eax"
        image_of "NEG", 0xfff, "mov $0x80, %al; neg %al"
        image_of "NEG of 0", 0xfff, "xor %eax, %eax; neg %rax"
        image_of "AND", 0xfef, "mov $0xf0, %al; and $0x81, %al"
        image_of "XADD", 0xfff, "mov $0xff, %al; mov $1, %cl; xadd %al, %cl"
        image_of "BT", 0x001, "mov $2, %eax; bt $1, %eax"
        image_of "SAHF", 0xfff, "cmp %eax, %eax; mov $0xc1, %ah; sahf"
        image_of "CLC and CMC", 0xfff, "cmp %eax, %eax; clc; cmc"
        tell    "all 64: "
        xor     %ebp, %ebp
        mov     $780f, %ebx
        jmp     781f
780:    int     $0x40
        pushfq
        pop     flags_after
        jmp     done
781:    xor     %r12d, %r12d            /* those that came out */
        mov     $0x8d5, %r13d
        mov     %r13d, %r14d
782:    mov     %r14d, %eax
        or      $2, %eax
        mov     %eax, shot_flags
        call    shoot
        mov     shot_flags, %eax
        cmp     %eax, events + FRAME + 16
        jne     783f
        cmp     %eax, events + FLAGS
        jne     783f
        cmp     %eax, flags_after
        jne     783f
        inc     %r12d
783:    test    %r14d, %r14d
        jz      784f
        dec     %r14d
        and     %r13d, %r14d
        jmp     782b
784:    mov     %r12d, %eax
        mov     $2, %ecx
        call    print_number
        tell    "\n"
        movl    $-1, through
        ret

        .code32
registers32:
        mov     $numbers, %esi
1:      mov     (%esi), %eax
        mov     %eax, %cr2
        call    2f
        add     $8, %esi
        cmp     $numbers_end, %esi
        jne     1b
        mov     $0x14, %ebx
3:      mov     %cr4, %eax
        xor     $4, %eax
        mov     %eax, %cr4
        mov     %cr3, %eax
        xor     $0x18, %eax
        mov     %eax, %cr3
        call    2f
        dec     %ebx
        test    $3, %ebx
        jnz     3b
        say     "\n"
        ret
2:      mov     %cr2, %eax
        mov     %cr3, %ecx
        mov     %cr4, %edx
        say     " "
        hex     %eax
        say     " "
        hex     %ecx
        say     " "
        hex     %edx
        ret

        .data
        .balign 8
first_table:
        .quad   0
        descriptor 0, 0xfffff, 0xc09b
        descriptor 0, 0xfffff, 0xc093
        descriptor 0, 0xfffff, 0xa09b
        descriptor 0, 0xfffff, 0xa09b
        descriptor 0, 0xfffff, 0xc093
        descriptor TSS64, 103, 0x0089
        .quad   0
        descriptor LDT64, 15, 0x0082
        .quad   0
        descriptor 0, 0xfffff, 0xa0fb
        descriptor 0, 0xfffff, 0xc0f3
        descriptor 0, 0xfffff, 0xc091
        descriptor 0, 0xfffff, 0xa01b
        descriptor 0, 0xfffff, 0xc013
        descriptor 0, 0xfffff, 0xa0bb
        descriptor 0, 0xfffff, 0xc0b3
first_end:
local_table:
        descriptor 0, 0xfffff, 0xa09b
        descriptor 0, 0xfffff, 0xc093
.macro pointer name:req, limit:req, base:req
\name:  .word   \limit
        .long   \base, 0
.endm
first_gdt:
        .word   first_end - first_table - 1
        .long   first_table
        pointer full_gdt, 0x87, GDT
        pointer short_gdt, 0x26, GDT
        pointer copied_gdt, 0x87, "GDT + COPY"
        pointer full_idt, 0xfff, IDT
        pointer short_idt, 0x40e, IDT
        pointer long_idt, 0xffff, IDT
        pointer copied_idt, 0xfff, "IDT + COPY"
        pointer odd_idt, 0xfff, "W + 0x14bf8"
        .balign 8
shot_stack: .quad STACK
shot_rsp: .quad 0
shot_flags: .quad 0x202
flags_after: .quad 0
kept_rax: .quad 0
next_event: .quad events
hook:   .quad   0
hook_vector: .long -1
through: .long  -1
nmis:   .quad   0
to_32:  .long   int_32
        .word   CODE
to_stack_32:
        .long   stack_32
        .word   CODE
leave:  .long   leave_long
        .word   CODE
digits: .ascii  "0123456789abcdef"
        .skip   16
number_end:
        .balign 8
images: .quad   landing, G64, 0x202, STACK, D2
        .quad   via, G64, 0x202, STACK, D2
        .quad   USER, U64 + 3, 0x202, USER_STACK, UD + 3
        .long   landing, G64, 0x202, STACK, D2, 0, 0, 0, 0, 0
        .balign 8
sites:  .long   0xc312ae, 0xc312ae, 0xc312ae, 0xc334ae, 0xc334ae, 0xc312ae, 0xc334ae
sites_end:
table_sites: .long 0xc35065, 0xc35065, 0xc36065, 0xc36065, 0xc35065, 0xc36065
table_sites_end:
        .balign 8
numbers: .long  0x9abcdef0, 0x12345678, 0x00000001, 0xffff8000, 0x80000000, 0
numbers_end:
        .bss
        .balign 16
events: .skip   EVENT * 8
events_end:
        .skip   EVENT
