/* The A20 gate: what an odd MiB is while it is closed, to data, code, strings, page tables and descriptor tables, with paging, without, and
 * in real mode; the two ways to move it. The program itself lies at 1 MiB, so it runs from a copy at 2 MiB that paging puts there. */
#include "guest32.inc"
        .set    PORT_A, 0x92
        .set    image, 0x100000
        .set    copy, 0x200000
        .set    directory, 0x220000
        .set    first_table, 0x221000
        .set    odd, 0x500000                   /* bit 20 is set … */
        .set    even, 0x400000                  /* … and clear */
        .set    odd_table, 0x520000             /* maps 8 MiB.. */
        .set    even_table, 0x420000
        .set    window, 0x800000
        .set    results, 0x6000
        .set    low_code, 0x7000

/* Behind each comes a jump: processors may have fetched what follows. */
.macro gate value:req
        mov     $\value, %al
        out     %al, $PORT_A
        jmp     881f
881:
.endm
.macro open_gate
        gate    2
.endm
.macro close_gate
        gate    0
.endm
.macro put routine:req, place:req
        mov     $\routine, %esi
        mov     $\place, %edi
        mov     $\routine\()_end - \routine, %ecx
        rep     movsb
.endm
.macro show text:req, value:req
        say     "\text"
        hex     \value
        say     "\n"
.endm

test:
        say     "port A: "
        in      $PORT_A, %al
        and     $2, %al
        movzbl  %al, %eax
        hex     %eax
        say     "\n"
        movl    $0x0000ffff, gdt + FREE
        movl    $0x00009b00, gdt + FREE + 4
        movl    $0x0000ffff, gdt + FREE + 8
        movl    $0x00009300, gdt + FREE + 12

        /* The copy, with the stack as it is now; 4 MiB to 8 MiB are mapped to themselves. */
        mov     $directory, %edi
        mov     $1024, %ecx
        xor     %eax, %eax
        rep     stosl
        mov     $3, %eax
1:      stosl                                   /* EDI is at `first_table` */
        add     $0x1000, %eax
        cmp     $0x400003, %eax
        jne     1b
        mov     $first_table + 0x100 * 4, %edi
        mov     $copy + 3, %eax
1:      stosl
        add     $0x1000, %eax
        cmp     $copy + 0x20003, %eax
        jne     1b
        movl    $first_table + 3, directory
        movl    $even + 0x83, directory + 4
        movl    $odd_table + 3, directory + 8
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     $image, %esi
        mov     $copy, %edi
        mov     $0x8000, %ecx
        rep     movsl
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        jmp     1f

1:      say     "data\n"
        movl    $0x11111111, even
        movl    $0x22222222, odd
        show    "open: ", odd
        close_gate
        show    "closed: ", odd
        movl    $0x33333333, odd
        show    "written there: ", even
        open_gate
        show    "open: ", odd
        show    "and below: ", even

        say     "across the boundary\n"
        movl    $0xaabbccdd, odd - 4
        show    "open: ", odd-2
        close_gate
        show    "closed: ", odd-2
        movl    $0x55667788, odd - 2
        open_gate
        show    "written closed, above: ", odd
        show    "below: ", even

        say     "strings\n"
        mov     $0x77, %al
        close_gate
        mov     $0x77, %al
        mov     $odd - 0x1000, %edi
        mov     $0x2000, %ecx
        rep     stosb
        open_gate
        show    "above: ", odd+0x800
        show    "below: ", even+0x800
        movl    $0x12345678, odd + 0x800
        call    across
        show    "moved open: ", 0x600000+0x1800
        close_gate
        call    across
        open_gate
        show    "moved closed: ", 0x600000+0x1800

        say     "code\n"
        put     one, even + 0x1100
        put     two, odd + 0x1100
        put     counter_even, even + 0x1200
        put     counter_odd, odd + 0x1200
        mov     $odd + 0x1100, %ebx
        call    often
        show    "open: ", %edx
        close_gate
        call    often
        show    "closed: ", %edx
        xor     %edx, %edx
        mov     $300, %ecx
1:      open_gate
        call    *%ebx
        add     %eax, %edx
        close_gate
        call    *%ebx
        add     %eax, %edx
        loop    1b
        show    "in turns: ", %edx
        open_gate
        xor     %edx, %edx
        mov     $500, %ecx
        mov     $2, %al
        mov     $odd + 0x1200, %esi
        call    *%esi
        open_gate
        show    "a loop that moves the gate: ", %edx
        close_gate
        movb    $7, odd + 0x1101
        call    often
        show    "written there: ", %edx
        open_gate
        call    often
        show    "open: ", %edx

        say     "an OUT that is executed again\n"
        put     again_even, even + 0x1300
        put     again_odd, odd + 0x1300
        mov     $odd + 0x1300, %ebx
        mov     $0x12345678, %eax
        mov     %eax, %dr0
        mov     $0x402, %eax
        mov     %eax, %dr7
        mov     $0, %al
        call    *%ebx
        mov     %eax, %ecx
        open_gate
        mov     $0x400, %eax
        mov     %eax, %dr7
        show    "next: ", %ecx

        say     "page tables\n"
        movl    $0x430003, odd_table
        movl    $0x440003, even_table
        movl    $0x0000aaaa, 0x430000
        movl    $0x0000bbbb, 0x440000
        show    "open: ", window
        close_gate
        show    "closed: ", window
        movl    $0x0000cccc, window
        open_gate
        show    "open: ", window
        show    "entries: ", odd_table
        show    "and: ", even_table
        close_gate
        mov     $directory | 0x100000, %eax
        mov     %eax, %cr3
        show    "by CR3: ", odd+0x800
        mov     $directory, %eax
        mov     %eax, %cr3
        open_gate

        say     "descriptor tables\n"
        movl    $0x00001111, even + 0x1408
        movl    $0x00009300, even + 0x140c
        movl    $0x00002222, odd + 0x1408
        movl    $0x00009300, odd + 0x140c
        mov     $8, %eax
        lgdt    other_pointer
        lsl     %eax, %ebx
        close_gate
        mov     $8, %eax
        lsl     %eax, %ecx
        open_gate
        lgdt    gdt_pointer
        show    "open: ", %ebx
        show    "closed: ", %ecx

        say     "keyboard controller\n"
        movl    $0x11111111, even
        movl    $0x22222222, odd
        mov     $0xd1, %al
        mov     $0xdd, %ah
        call    command_with
        call    output_port
        show    "D1h: ", odd
        mov     $0xdf, %al
        call    command
        show    "DFh: ", odd
        mov     $0xdd, %al
        call    command
        show    "DDh: ", odd
        mov     $0xd1, %al
        mov     $0xdf, %ah
        call    command_with
        call    output_port
        show    "D1h: ", odd

        put     low, low_code
        put     real_one, 0x600
        mov     $low_code, %eax
        call    *%eax
        say     "without paging\n"
        show    "open: ", results
        show    "closed: ", results+4
        show    "written there: ", even+0x10
        say     "real mode\n"
        show    "open: ", results+8
        show    "closed: ", results+12
        show    "written there: ", results+16
        show    "code, closed: ", results+20
        show    "code, open: ", results+24
        ret

across: mov     $odd - 0x1000, %esi
        mov     $0x600000, %edi
        mov     $0x800, %ecx
        rep     movsl
        ret

/* Calls EBX many times; EDX is the sum of what comes back. */
often:  xor     %edx, %edx
        mov     $2000, %ecx
1:      call    *%ebx
        add     %eax, %edx
        loop    1b
        ret

/* ---- placed in odd and even memory ---- */
one:    mov     $1, %eax
        ret
one_end:
two:    mov     $2, %eax
        ret
two_end:
.macro counter step:req
1:      add     $\step, %edx
        xor     $2, %al
        out     %al, $PORT_A
        jmp     2f
2:      loop    1b
        ret
.endm
counter_even:
        counter 0x10001
counter_even_end:
counter_odd:
        counter 0x10100
counter_odd_end:
again_odd:
        out     %al, $PORT_A
        jmp     1f
1:      mov     $2, %eax
        ret
again_odd_end:
again_even:
        ud2
        jmp     1f
1:      mov     $1, %eax
        ret
again_even_end:

/* ---- keyboard controller ---- */
ready:  push    %eax
1:      in      $0x64, %al
        test    $2, %al
        jnz     1b
        pop     %eax
        ret
command:
        call    ready
        out     %al, $0x64
        call    ready
        ret
command_with:                           /* AL, then AH at 60h */
        call    command
        mov     %ah, %al
        out     %al, $0x60
        call    ready
        ret
output_port:
        mov     $0xd0, %al
        call    command
1:      in      $0x64, %al
        test    $1, %al
        jz      1b
        in      $0x60, %al
        movzbl  %al, %eax
        and     $3, %eax
        show    "output port: ", %eax
        ret

/* ---- at `low_code`, where paging and the gate do not matter ---- */
low:    mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        jmp     1f
1:      mov     odd, %eax
        mov     %eax, results
        close_gate
        mov     odd, %eax
        mov     %eax, results + 4
        movl    $0x44444444, odd + 0x10
        open_gate
        mov     %esp, %ebp
        ljmp    $FREE, $low_code + 1f - low
        .code16
1:      mov     $FREE + 8, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     %cr0, %eax
        and     $~1, %eax
        mov     %eax, %cr0
        ljmp    $0, $low_code + 1f - low
1:      xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %ss
        mov     $low_code, %sp
        mov     $0xffff, %ax
        mov     %ax, %es
        movl    $0x0a0b0c0d, 0
        movl    $0x01020304, %es:0x10
        movl    $0xcb0002bb, %es:0x610          /* mov $2, %bx; lret */
        mov     0, %eax
        mov     %eax, results + 8
        close_gate
        mov     %es:0x10, %eax
        mov     %eax, results + 12
        movl    $0x05060708, %es:0x10
        mov     0, %eax
        mov     %eax, results + 16
        xor     %ebx, %ebx
        lcall   $0xffff, $0x610
        mov     %ebx, results + 20
        open_gate
        lcall   $0xffff, $0x610
        mov     %ebx, results + 24
        mov     %cr0, %eax
        or      $1, %eax
        mov     %eax, %cr0
        ljmpl   $CODE, $low_code + 1f - low
        .code32
1:      mov     $DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     %ebp, %esp
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        jmp     1f
1:      ret
low_end:
        .code16
real_one:
        mov     $1, %bx
        lret
real_one_end:
        .code32

        .data
        .balign 4
other_pointer:
        .word   15
        .long   odd + 0x1400
        .text
