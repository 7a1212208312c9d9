/* Faults and traps of 32-bit protected mode: vector, error code, and the address that is pushed. */
#include "guest32.inc"
        .set    counter, 0x9000         /* in a page without code */
test:
        xor     %edx, %edx
        xor     %ecx, %ecx
        mov     $5, %eax
        try     "div by zero", div %ecx
        mov     $1, %edx
        mov     $1, %ecx
        try     "div overflow", div %ecx
        mov     $0x80000000, %eax
        mov     $-1, %ecx
        cltd
        try     "idiv overflow", idiv %ecx
        try     "aam 0", aam $0
        try     "int3", int3
        mov     $0x7f, %al
        add     $1, %al
        try     "into taken", into
        xor     %al, %al
        try     "into not taken", into
        mov     $9, %eax
        try     "bound outside", bound %eax, bounds
        mov     $4, %eax
        try     "bound inside", bound %eax, bounds
        try     "ud2", ud2
        try     "ud1", ud1 %eax, %ecx
        try     "lock on a register", .byte 0xf0, 0x01, 0xc0
        try     "lock on cmp", .byte 0xf0, 0x39, 0x00
        try     "lea of a register", .byte 0x8d, 0xc0
        try     "mov to cs", .byte 0x8e, 0xc8
        mov     $3, %ecx
1:      incl    counter
        try     "read through cs", cmpl $5, %cs:counter
        try     "write through cs", movl $5, %cs:counter
        try     "change through cs", incl %cs:counter
        dec     %ecx
        jnz     1b
        try     "16 bytes", .byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x90
        try     "15 bytes", .byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x90
        try     "int 0x40", int $0x40
        try     "icebp", .byte 0xf1
        mov     $0x1234, %eax
        try     "selector beyond the table", mov %ax, %es
        mov     $4, %eax
        try     "selector in the empty local table", mov %ax, %es
        mov     $FREE, %eax
        movw    $0x1300, gdt + FREE + 4         /* data, not present */
        try     "segment not present", mov %ax, %fs
        movw    $0x1300, gdt + FREE + 4
        try     "stack not present", mov %ax, %ss
        xor     %eax, %eax
        try     "null in ss", mov %ax, %ss
        try     "null in fs", mov %ax, %fs
        try     "use of null fs", mov %fs:0, %eax
        mov     $CODE, %eax
        try     "code in ss", mov %ax, %ss
        try     "far jump to data", ljmp $DATA, $0
        try     "far call through null", lcall $0, $0
        try     "ltr of data", call load_tr
        try     "wrmsr of nothing", call odd_msr
        mov     $0x80000000, %eax
        try     "cr4 reserved", mov %eax, %cr4
        mov     $0x80000000, %eax       /* PG without PE: QEMU without KVM dies of this one */
        try     "cr0 pg without pe", mov %eax, %cr0
        ret
load_tr:
        mov     $DATA, %eax
        ltr     %ax
        ret
odd_msr:
        mov     $0x12345678, %ecx
        wrmsr
        ret
        .data
bounds: .long   1, 7
