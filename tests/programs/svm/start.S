/* Multiboot entry, long mode with the first 4 GiB mapped to themselves, descriptor tables, and what happens at an exception: a handler in C
 * where the program has one, else the place that `try` named, with vector and error code kept. */
        .section .text
        .code32
        .balign 4
        .long   0x1badb002, 0, -0x1badb002
        .globl  _start
_start:
        cli
        cld
        lgdt    gdt_pointer
        ljmp    $0x10, $1f
1:      mov     $0x18, %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %fs
        mov     %eax, %gs
        mov     %eax, %ss
        mov     $page_map + 0x1003, %eax
        mov     %eax, page_map
        xor     %ecx, %ecx
        mov     $page_map + 0x2003, %eax
2:      mov     %eax, page_map + 0x1000(, %ecx, 8)
        add     $0x1000, %eax
        inc     %ecx
        cmp     $4, %ecx
        jne     2b
        mov     $0x83, %eax
        xor     %ecx, %ecx
3:      mov     %eax, page_map + 0x2000(, %ecx, 8)
        add     $0x200000, %eax
        inc     %ecx
        cmp     $2048, %ecx
        jne     3b
        /* Every page may be a user's: nested walks are users'. */
        orl     $4, page_map
        xor     %ecx, %ecx
4:      orl     $4, page_map + 0x1000(, %ecx, 8)
        inc     %ecx
        cmp     $4, %ecx
        jne     4b
        xor     %ecx, %ecx
5:      orl     $4, page_map + 0x2000(, %ecx, 8)
        inc     %ecx
        cmp     $2048, %ecx
        jne     5b
        mov     %cr4, %eax
        or      $0x20, %eax
        mov     %eax, %cr4
        mov     $page_map, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        ljmp    $0x08, $6f
        .code64
6:      mov     $stack_top, %rsp
        mov     $tss, %rax
        mov     %ax, gdt + 0x22
        shr     $16, %rax
        mov     %al, gdt + 0x24
        mov     %ah, gdt + 0x27
        mov     $0x20, %eax
        ltr     %ax
        mov     $idt, %edi
        mov     $stubs, %eax
7:      mov     %ax, (%rdi)
        movw    $0x08, 2(%rdi)
        movw    $0x8e00, 4(%rdi)
        mov     %eax, %edx
        shr     $16, %edx
        mov     %dx, 6(%rdi)
        add     $16, %eax
        add     $16, %edi
        cmp     $idt + 4096, %edi
        jne     7b
        lidt    idt_pointer
        call    prepare
        call    test
        .globl  finish
finish: xor     %eax, %eax
        out     %al, $0xf4
8:      hlt
        jmp     8b

        .balign 16
stubs:  .set    vector, 0
        .rept   256
        .balign 16
        .if     (vector == 8) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30) || ((vector >= 10) && (vector <= 14))
        nop
        .else
        push    $0
        .endif
        pushq   $vector
        jmp     caught
        .set    vector, vector + 1
        .endr
        .balign 16
caught: push    %rax
        push    %rcx
        push    %rdx
        push    %rsi
        push    %rdi
        push    %r8
        push    %r9
        push    %r10
        push    %r11
        mov     72(%rsp), %rax
        mov     handlers(, %rax, 8), %rax
        test    %rax, %rax
        jz      1f
        lea     72(%rsp), %rdi
        call    *%rax
        pop     %r11
        pop     %r10
        pop     %r9
        pop     %r8
        pop     %rdi
        pop     %rsi
        pop     %rdx
        pop     %rcx
        pop     %rax
        add     $16, %rsp
        iretq
1:      mov     72(%rsp), %eax
        mov     %eax, fault_vector
        mov     80(%rsp), %rax
        mov     %rax, fault_error
        mov     resume_rsp, %rsp
        mov     resume_rbp, %rbp
        jmp     *resume_rip

        .data
        .balign 16
gdt:    .quad   0
        .quad   0x00af9b000000ffff
        .quad   0x00cf9b000000ffff
        .quad   0x00cf93000000ffff
        .quad   0x0000890000000067, 0
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt, 0
idt_pointer:
        .word   4095
        .quad   idt
        .globl  fault_vector, fault_error, resume_rip, resume_rsp, resume_rbp, handlers
        .balign 8
fault_vector: .quad 0
fault_error: .quad 0
resume_rip: .quad 0
resume_rsp: .quad 0
resume_rbp: .quad 0
        .bss
        .balign 4096
        .globl  page_map
page_map: .skip 6 * 4096
idt:    .skip   4096
tss:    .skip   128
handlers: .skip 256 * 8
        .balign 16
        .skip   32768
stack_top:
        .section .note.GNU-stack, "", @progbits
