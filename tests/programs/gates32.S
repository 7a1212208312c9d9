/* The same as `gates` in flat 32-bit code outside long mode: INT n and IRET are done three times unchanged, then one thing that they rest on is
 * changed, they are done once more, and the change is taken back. What is printed of an event: vector and error code, the frame (EIP from the
 * beginning of what was tried, CS, EFLAGS), where it lies, EFLAGS in the handler, and CR2 of a page fault. */
#include "guest32.inc"
        .set    W, 0x400000             /* a window of 1024 pages, the first ones at W + 0x400000 */
        .set    TOP, 0x200000
        .set    PTES, 0x201000          /* the window's */
        .set    OTHER_TOP, 0x202000     /* with another second page of the IDT */
        .set    IDT, W + 0xe00          /* gate 0x40 is the first one in its second page */
        .set    GDT, W + 0x2fe8         /* GATE is the first one in its second page */
        .set    OUTSIDE, W + 0x4000     /* a handler in a page of its own */
        .set    USER, W + 0x5000
        .set    STACK, W + 0x7f00
        .set    MISSING, W + 0x8123
        .set    COPY, 0x10000           /* to the copies of IDT and GDT */
        .set    handler_top, W + 0x1c000
        .set    image, W + 0x6200       /* what IRET pops */
        .set    image3, W + 0x6600
        .set    GATE, 0x18              /* what gates and returns lead to */
        .set    DATA2, 0x20
        .set    LOCAL, 0x28
        .set    TSS32, 0x30
        .set    USER32, 0x38
        .set    UDATA, 0x40
        .set    ABSENT, 0x48
        .set    BASED, 0x50             /* data at W */
        .set    SMALL, 0x58             /* data up to STACK + 0x7f */
        .set    CODE_1, 0x60
        .set    DATA_1, 0x68
        .set    IN_LDT, 0x04
        .set    LDT32, 0xa000
        .set    TASK, 0x9000
        .set    G, IDT + 0x40 * 8
        .set    D, GDT + GATE

.macro number value:req, digits:req
        movl    \value, %eax
        mov     $\digits, %ecx
        call    print_number
.endm
.macro aim text:req, do:req
        say     "\text\n"
        mov     $771f, %ebx
        jmp     772f
771:    \do
        jmp     done
772:    call    warm
        call    print_events
.endm
.macro shot text:req
        say     "  \text:"
        call    shoot
        call    print_events
.endm
.macro change text:req, do:req, undo:req
        call    warm
        \do
        shot    "\text"
        \undo
.endm
.macro back
        shot    "again"
.endm
.macro then at:req, digits:req
        say     "  then "
        number  "\at", \digits
        say     "\n"
.endm
.macro flip page:req, bits:req
        xorl    $\bits, PTES + 4 * \page
        invlpg  W + 0x1000 * \page
.endm
.macro cr4 bit:req
        mov     %cr4, %eax
        btc     $\bit, %eax
        mov     %eax, %cr4
.endm

test:
        mov     $TOP, %edi
        mov     $4 * 1024, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $0x83, TOP
        movl    $PTES + 7, TOP + 4
        movl    $0x800083, TOP + 8
        movl    $0xc00083, TOP + 12
        mov     $0x800063, %eax
        mov     $PTES, %edi
1:      stosl
        add     $0x1000, %eax
        cmp     $0x820063, %eax
        jne     1b
        movl    $0, PTES + 4 * 8
        orl     $4, PTES + 4 * 5
        orl     $4, PTES + 4 * 10
        mov     $PTES, %esi
        mov     $OTHER_TOP + 0x1000, %edi
        mov     $1024, %ecx
        rep movsl
        xorl    $COPY, OTHER_TOP + 0x1004
        mov     $TOP, %esi
        mov     $OTHER_TOP, %edi
        mov     $1024, %ecx
        rep movsl
        movl    $OTHER_TOP + 0x1007, OTHER_TOP + 4
        mov     $0x10, %eax
        mov     %eax, %cr4
        mov     $TOP, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        call    build_gates
        call    build_descriptors
        mov     $local_table, %esi
        mov     $LDT32, %edi
        mov     $8, %ecx
        rep movsb
        mov     $TASK, %edi
        mov     $104, %ecx
        xor     %eax, %eax
        rep stosb
        movl    $W + 0x1b000, TASK + 4
        movl    $DATA, TASK + 8
        lgdt    full_gdt
        lidt    full_idt
        mov     $LOCAL, %eax
        lldt    %ax
        mov     $TSS32, %eax
        ltr     %ax
        /* The copies: gate 0x40 leads to handler 0x50, #UD to that of #NM; GATE is not present. */
        mov     $IDT, %esi
        mov     $IDT + COPY, %edi
        mov     $2048, %ecx
        rep movsb
        xorb    $0x10, IDT + COPY + 6 * 8
        addb    $1, IDT + COPY + 0x40 * 8 + 1
        mov     $GDT, %esi
        mov     $GDT + COPY, %edi
        mov     $0x70, %ecx
        rep movsb
        movb    $0x1b, GDT + COPY + GATE + 5
        movb    $0xe9, OUTSIDE
        movl    $own_handlers + 0x420 - OUTSIDE - 5, OUTSIDE + 1
        movl    $0x90900b0f, OUTSIDE + COPY
        movl    $0x0b0f40cd, USER
        call    build_image
        mov     $image3, %edi
        mov     $20, %ecx
        rep movsb

        call    gates
        call    pages
        call    stacks
        call    returns
        call    modes
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        lgdt    gdt_pointer
        lidt    idt_pointer
        ret

gates:
        aim     "gate", "int $0x40"
        change  "other handler", "xorb $0x10, G", "xorb $0x10, G"
        change  "trap gate", "movb $0x8f, G + 5", "movb $0x8e, G + 5"
        change  "DPL 3", "movb $0xee, G + 5", "movb $0x8e, G + 5"
        change  "not present", "movb $0x0e, G + 5", "movb $0x8e, G + 5"
        change  "call gate", "movb $0x8c, G + 5", "movb $0x8e, G + 5"
        change  "null selector", "movw $0, G + 2", "movw $GATE, G + 2"
        change  "data", "movw $DATA2, G + 2", "movw $GATE, G + 2"
        change  "other code", "movw $CODE, G + 2", "movw $GATE, G + 2"
        change  "RPL 3", "movw $GATE + 3, G + 2", "movw $GATE, G + 2"
        change  "in the LDT", "movw $IN_LDT, G + 2", "movw $GATE, G + 2"
        change  "limit", "lidt short_idt", "lidt full_idt"
        change  "LIDT", "lidt copied_idt", "lidt full_idt"
        change  "code not present", "movb $0x1b, D + 5", "movb $0x9b, D + 5"
        change  "data", "movb $0x93, D + 5", "movb $0x9b, D + 5"
        change  "base", "movb $0x10, D + 3; subb $0x10, G + 1", "movb $0, D + 3; addb $0x10, G + 1"
        change  "limit before the handler", "movw $0x0fff, D; movb $0x40, D + 6", "movw $0xffff, D; movb $0xcf, D + 6"
        change  "limit behind the handler", "movb $0x4f, D + 6", "movb $0xcf, D + 6"
        change  "execute only", "movb $0x99, D + 5", "movb $0x9b, D + 5"
        change  "L=1", "movb $0xef, D + 6", "movb $0xcf, D + 6"
        change  "DPL 3", "movb $0xfb, D + 5", "movb $0x9b, D + 5"
        change  "conforming", "movb $0x9f, D + 5", "movb $0x9b, D + 5"
        change  "not accessed", "movb $0x9a, D + 5", "nop"
        then    "D + 5", 2
        change  "limit of the GDT", "lgdt short_gdt", "lgdt full_gdt"
        change  "LGDT", "lgdt copied_gdt", "lgdt full_gdt"
        back
        aim     "INT FFh", "int $0xff"
        change  "other handler", "xorb $0x10, IDT + 0x7f8", "xorb $0x10, IDT + 0x7f8"
        aim     "INT3", "int3"
        aim     "#UD", "ud2"
        change  "LIDT", "lidt copied_idt", "lidt full_idt"
        aim     "#PF", "mov MISSING, %eax"
        change  "trap gate", "movb $0x8f, IDT + 14 * 8 + 5", "movb $0x8e, IDT + 14 * 8 + 5"
        movw    $OUTSIDE & 0xffff, G
        movw    $OUTSIDE >> 16, G + 6
        aim     "handler in a page of its own", "int $0x40"
        change  "not present", "flip 4, 1", "flip 4, 1"
        change  "user, SMEP", "flip 4, 4; cr4 20", "flip 4, 4; cr4 20"
        change  "other code", "addl $0x10, OUTSIDE + 1", "subl $0x10, OUTSIDE + 1"
        change  "other frame", "flip 4, COPY", "flip 4, COPY"
        back
        jmp     build_gates

pages:
        aim     "page of the gate", "int $0x40"
        change  "other frame, INVLPG", "flip 1, COPY", "flip 1, COPY"
        change  "other frame, CR3", "xorl $COPY, PTES + 4; mov %cr3, %eax; mov %eax, %cr3", "flip 1, COPY"
        change  "other tables", "mov $OTHER_TOP, %eax; mov %eax, %cr3", "mov $TOP, %eax; mov %eax, %cr3"
        change  "not present", "flip 1, 1", "flip 1, 1"
        change  "not accessed", "flip 1, 0x20", "nop"
        then    "PTES + 4", 3
        aim     "page of the descriptor", "int $0x40"
        change  "other frame, INVLPG", "flip 3, COPY", "flip 3, COPY"
        change  "not present", "flip 3, 1", "flip 3, 1"
        cr4     21
        change  "user, SMAP", "flip 3, 4", "flip 3, 4"
        change  "user, SMAP, AC", "flip 3, 4; movl $0x40202, shot_flags", "flip 3, 4; movl $0x202, shot_flags"
        flip    3, 4
        aim     "user, SMAP, read while AC is set", "stac; mov D, %eax; int $0x40"
        flip    3, 4
        cr4     21
        aim     "no SMAP", "int $0x40"
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        lidt    flat_idt
        lgdt    flat_gdt
        movl    $W + 0x407f00, shot_stack
        aim     "no paging", "int $0x40"
        change  "other handler", "xorb $0x10, G + 0x400000", "xorb $0x10, G + 0x400000"
        back
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        lidt    full_idt
        lgdt    full_gdt
        movl    $STACK, shot_stack
        aim     "paging", "int $0x40"
        ret

stacks:
        aim     "stack", "int $0x40"
        change  "misaligned by 1", "movb $1, shot_stack", "movb $0, shot_stack"
        change  "misaligned by 2", "movb $2, shot_stack", "movb $0, shot_stack"
        flip    7, COPY
        movw    $0x7008, shot_stack
        aim     "in two pages", "int $0x40"
        change  "elsewhere", "movb $0x04, shot_stack", "movb $0x08, shot_stack"
        flip    7, COPY
        movw    $0x7f00, shot_stack
        aim     "stack", "int $0x40"
        change  "not dirty", "flip 7, 0x40", "nop"
        then    "PTES + 28", 3
        change  "other SS", "movw $DATA2, shot_ss", "movw $DATA, shot_ss"
        change  "SS with a base", "movw $BASED, shot_ss; movl $0x7f00, shot_stack; movl $W, shot_base", "movw $DATA, shot_ss; movl $STACK, shot_stack; movl $0, shot_base"
        change  "SS with a limit", "movw $SMALL, shot_ss", "movw $DATA, shot_ss"
        movw    $SMALL, shot_ss
        aim     "SS with a limit", "int $0x40"
        movw    $DATA, shot_ss
        aim     "flat SS", "int $0x40"
        change  "over the gate", "movw $0x1008, shot_stack; call shoot", "movw $0x7f00, shot_stack; call build_gates"
        back
        say     "frames that are executed:"
        movw    $0x40cd, 0xc312ae
        movw    $0x40cd, 0xc334ae
        mov     $sites, %esi
1:      mov     (%esi), %ebx
        push    %esi
        call    shoot
        mov     $STACK - 12, %eax
        movb    $0xc3, 3(%eax)
        call    *%eax
        push    %eax
        say     " "
        pop     %eax
        mov     $2, %ecx
        call    print_number
        pop     %esi
        add     $4, %esi
        cmp     $sites_end, %esi
        jne     1b
        say     "\n"
        ret

returns:
        aim     "IRET", "mov $image, %esp; iretl"
        change  "CS null", "movw $0, image + 4", "movw $GATE, image + 4"
        change  "other CS", "movw $CODE, image + 4", "movw $GATE, image + 4"
        change  "CS data", "movw $DATA2, image + 4", "movw $GATE, image + 4"
        change  "CS not present", "movw $ABSENT, image + 4", "movw $GATE, image + 4"
        change  "CS in the LDT", "movw $IN_LDT, image + 4", "movw $GATE, image + 4"
        change  "CS beyond the limit", "movw $0xf8, image + 4", "movw $GATE, image + 4"
        change  "CS and more", "movl $0xabcd0000 + GATE, image + 4", "movl $GATE, image + 4"
        change  "RF", "movl $0x10202, image + 8", "movl $0x202, image + 8"
        change  "TF", "movl $0x302, image + 8", "call build_image"
        change  "NT", "movl $0x4202, image + 8", "movl $0x202, image + 8"
        change  "AC", "movl $0x40202, image + 8", "movl $0x202, image + 8"
        change  "VIF and VIP", "movl $0x180202, image + 8", "movl $0x202, image + 8"
        change  "ID, IOPL, DF", "movl $0x203602, image + 8", "movl $0x202, image + 8"
        change  "all arithmetic", "movl $0x8d7, image + 8", "movl $0x202, image + 8"
        change  "ZF and SF", "movl $0xc2, image + 8", "movl $0x202, image + 8"
        change  "NT now", "movl $0x4202, shot_flags", "movl $0x202, shot_flags"
        change  "other flags now", "movl $0x203ad7, shot_flags", "movl $0x202, shot_flags"
        change  "code not present", "movb $0x1b, D + 5", "movb $0x9b, D + 5"
        change  "code DPL 3", "movb $0xfb, D + 5", "movb $0x9b, D + 5"
        change  "conforming", "movb $0x9f, D + 5", "movb $0x9b, D + 5"
        change  "base", "movb $0x10, D + 3; subl $0x1000, image", "movb $0, D + 3; addl $0x1000, image"
        change  "limit", "movw $0x0fff, D; movb $0x40, D + 6", "movw $0xffff, D; movb $0xcf, D + 6"
        change  "not accessed", "movb $0x9a, D + 5", "nop"
        then    "D + 5", 2
        change  "GDT limit", "lgdt short_gdt", "lgdt full_gdt"
        change  "LGDT", "lgdt copied_gdt", "lgdt full_gdt"
        change  "GDT in another frame", "flip 3, COPY", "flip 3, COPY"
        change  "GDT not present", "flip 3, 1", "flip 3, 1"
        change  "TSD", "cr4 2", "cr4 2"
        back
        mov     image, %eax
        mov     %eax, W + 0x6ff8
        movl    $GATE, W + 0x6ffc
        movl    $0x202, W + 0x7000
        aim     "IRET, frame in two pages", "mov $W + 0x6ff8, %esp; iretl"
        movl    $0x8d7, W + 0x7000 + COPY
        change  "second page in another frame", "flip 7, COPY", "flip 7, COPY"
        back
        ret

modes:
        movl    $0x40, through
        aim     "TF before INT", "pushl $0x302; popfl; int $0x40; nop"
        aim     "NT before INT", "pushl $0x4202; popfl; int $0x40"
        aim     "AC before INT", "pushl $0x40202; popfl; int $0x40"
        aim     "flags through INT and back", "mov $0xff, %al; add $1, %al; int $0x40; int $0x41"
        movl    $-1, through
        mov     $landing, %eax
        mov     %eax, %dr0
        aim     "no breakpoint at the return address", "mov $image, %esp; iretl"
        change  "execute", "mov $0x401, %eax; mov %eax, %dr7", "mov $0x400, %eax; mov %eax, %dr7; call build_image"
        change  "execute, RF", "mov $0x401, %eax; mov %eax, %dr7; movl $0x10202, image + 8", "mov $0x400, %eax; mov %eax, %dr7; movl $0x202, image + 8"
        aim     "level 0", "int $0x40"
        aim     "level 3, gate of level 0", "mov $UDATA + 3, %eax; mov %eax, %ds; mov %eax, %es; mov $image3, %esp; iretl"
        movb    $0xee, G + 5
        aim     "level 0, gate of level 3", "int $0x40"
        aim     "level 3", "mov $UDATA + 3, %eax; mov %eax, %ds; mov %eax, %es; mov $image3, %esp; iretl"
        movb    $CODE_1 + 1, image3 + 4
        movb    $DATA_1 + 1, image3 + 16
        aim     "level 0", "int $0x40"
        mov     $780f, %ebx
        jmp     781f
780:    movl    $0, W + 0xaef0
        mov     $UDATA + 3, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     $image3, %esp
        iretl
781:    shot    "level 1 again"
        ret


/* ---- output ---- */
print_number:                           /* EAX, so many digits as ECX says */
        push    %ebx
        push    %edx
        mov     %eax, %ebx
        shl     $2, %ecx
        ror     %cl, %ebx
        shr     $2, %ecx
        mov     $0x3f8, %dx
1:      rol     $4, %ebx
        mov     %bl, %al
        and     $15, %al
        cmp     $10, %al
        jb      2f
        add     $39, %al
2:      add     $48, %al
        out     %al, %dx
        loop    1b
        pop     %edx
        pop     %ebx
        ret
print_ip:                               /* EAX */
        mov     %eax, %edx
        sub     %ebx, %edx
        cmp     $0x80, %edx
        jae     1f
        say     " +"
        mov     %edx, %eax
        mov     $2, %ecx
        jmp     print_number
1:      mov     %eax, %edx
        sub     $landing, %edx
        cmp     $0x40, %edx
        jae     1f
        say     " there+"
        mov     %edx, %eax
        mov     $2, %ecx
        jmp     print_number
1:      say     " "
        mov     $6, %ecx
        jmp     print_number
print_events:
        push    %ebp
        mov     $events, %ebp
        cmp     next_event, %ebp
        jne     1f
        say     " ok"
1:      cmp     next_event, %ebp
        je      3f
        cmpl    $LANDED, VECTOR(%ebp)
        je      2f
        say     " #"
        number  "VECTOR(%ebp)", 2
        say     " "
        number  "ERROR(%ebp)", 4
        mov     FRAME(%ebp), %eax
        call    print_ip
        jmp     4f
2:      say     " there"
4:      say     " cs="
        number  "FRAME + 4(%ebp)", 2
        say     " fl="
        number  "FRAME + 8(%ebp)", 6
        say     " at "
        number  "AT(%ebp)", 6
        cmpl    $LANDED, VECTOR(%ebp)
        je      5f
        say     " fl="
        number  "FLAGS(%ebp)", 6
        cmpl    $14, VECTOR(%ebp)
        jne     5f
        say     " cr2="
        number  "ADDRESS(%ebp)", 6
5:      add     $EVENT, %ebp
        jmp     1b
3:      say     "\n"
        pop     %ebp
        ret

/* ---- events ---- */
        .set    VECTOR, 0
        .set    ERROR, 4
        .set    FRAME, 8
        .set    AT, 20
        .set    FLAGS, 24
        .set    ADDRESS, 28
        .set    EVENT, 32
        .set    LANDED, 0x100

        .balign 4096
own_handlers:
        .set    vector, 0
        .rept   256
        .balign 16
        .if     (vector == 8) || (vector == 17) || ((vector >= 10) && (vector <= 14))
        nop
        .else
        pushl   $0
        .endif
        pushl   $vector
        jmp     own_caught
        .set    vector, vector + 1
        .endr
        .balign 16
own_caught:                             /* on any stack; DS and ES are flat */
        mov     %eax, kept_eax
        mov     %ecx, kept_ecx
        mov     %esi, kept_esi
        mov     %edi, kept_edi
        mov     %esp, %eax
        mov     %ss, kept_ss
        mov     $DATA, %ecx
        mov     %ecx, %ss
        mov     $handler_top, %esp
        pushfl
        mov     shot_base, %ecx
        lea     (%eax, %ecx), %esi
        mov     next_event, %edi
        cld
        mov     $5, %ecx
        rep movsl
        lea     8(%eax), %ecx
        mov     %ecx, (%edi)
        pop     %ecx
        mov     %ecx, 4(%edi)
        mov     %cr2, %ecx
        mov     %ecx, 8(%edi)
        add     $12, %edi
        mov     %edi, next_event
        mov     -EVENT(%edi), %ecx
        cmp     %ecx, through
        jne     1f
        mov     kept_ss, %ss
        lea     8(%eax), %esp
        mov     kept_eax, %eax
        mov     kept_ecx, %ecx
        mov     kept_esi, %esi
        mov     kept_edi, %edi
        iretl
1:      mov     shot_esp, %esp
        pushl   $2
        pushl   $CODE
        pushl   $done
        iretl
landing:
        mov     %esp, kept_eax
        mov     $handler_top, %esp
        pushfl
        mov     next_event, %edi
        movl    $LANDED, (%edi)
        mov     %cs, FRAME + 4(%edi)
        movw    $0, FRAME + 6(%edi)
        mov     kept_eax, %eax
        mov     %eax, AT(%edi)
        pop     %eax
        mov     %eax, FRAME + 8(%edi)
        add     $EVENT, %edi
        mov     %edi, next_event
        jmp     done

/* Runs what EBX leads to on a stack of its own, until an event or `done`. */
shoot:
        push    %ebx
        push    %ebp
        movl    $events, next_event
        mov     %esp, shot_esp
        pushl   shot_flags
        popfl
        lss     shot_stack, %esp
        jmp     *%ebx
done:
        mov     $DATA, %eax
        mov     %eax, %ss
        mov     shot_esp, %esp
        pushl   $2
        popfl
        ljmp    $CODE, $1f
1:      mov     %eax, %ds
        mov     %eax, %es
        pop     %ebp
        pop     %ebx
        ret
warm:
        call    shoot
        call    shoot
        jmp     shoot

/* ---- tables ---- */
build_image:                            /* what is pushed right behind IRET overwrites it */
        mov     $images, %esi
        mov     $image, %edi
        mov     $12, %ecx
        rep movsb
        ret
build_gates:
        mov     $IDT, %edi
        mov     $own_handlers, %eax
        xor     %ecx, %ecx
1:      mov     %ax, (%edi)
        movw    $CODE, 2(%edi)
        cmp     $32, %ecx
        jb      2f
        movw    $GATE, 2(%edi)
2:      movw    $0x8e00, 4(%edi)
        mov     %eax, %edx
        shr     $16, %edx
        mov     %dx, 6(%edi)
        add     $16, %eax
        add     $8, %edi
        inc     %ecx
        cmp     $256, %ecx
        jne     1b
        ret
build_descriptors:
        mov     $own_table, %esi
        mov     $GDT, %edi
        mov     $own_end - own_table, %ecx
        rep movsb
        ret

        .data
        .balign 8
own_table:
        .quad   0
        descriptor 0, 0xfffff, 0xc09b
        descriptor 0, 0xfffff, 0xc093
        descriptor 0, 0xfffff, 0xc09b
        descriptor 0, 0xfffff, 0xc093
        descriptor LDT32, 7, 0x0082
        descriptor TASK, 103, 0x0089
        descriptor 0, 0xfffff, 0xc0fb
        descriptor 0, 0xfffff, 0xc0f3
        descriptor 0, 0xfffff, 0xc01b
        descriptor W, 0xfffff, 0xc093
        descriptor 0, 0x407, 0xc093
        descriptor 0, 0xfffff, 0xc0bb
        descriptor 0, 0xfffff, 0xc0b3
own_end:
local_table:
        descriptor 0, 0xfffff, 0xc09b
.macro pointer name:req, limit:req, base:req
\name:  .word   \limit
        .long   \base
.endm
        pointer full_gdt, 0x6f, GDT
        pointer short_gdt, 0x1e, GDT
        pointer copied_gdt, 0x6f, "GDT + COPY"
        pointer flat_gdt, 0x6f, "GDT + 0x400000"
        pointer full_idt, 0x7ff, IDT
        pointer short_idt, 0x206, IDT
        pointer copied_idt, 0x7ff, "IDT + COPY"
        pointer flat_idt, 0x7ff, "IDT + 0x400000"
        .balign 4
shot_stack: .long STACK
shot_ss: .long  DATA
shot_base: .long 0
shot_esp: .long 0
shot_flags: .long 0x202
next_event: .long events
through: .long  -1
kept_eax: .long 0
kept_ecx: .long 0
kept_esi: .long 0
kept_edi: .long 0
kept_ss: .long  0
images: .long   landing, GATE, 0x202
        .long   USER, USER32 + 3, 0x202, W + 0xaf00, UDATA + 3
sites:  .long   0xc312ae, 0xc312ae, 0xc312ae, 0xc334ae, 0xc334ae, 0xc312ae, 0xc334ae
sites_end:
        .bss
        .balign 16
events: .skip   EVENT * 16
