/* Virtual-8086 mode: entry by IRET, segments as selectors times 16, the IOPL-sensitive instructions at IOPL 0 and 3, INT, port access by the
 * bitmap, and the frame on the way out. 16-bit code runs at 0x9000:0. */
#include "guest32.inc"
        .set    area, 0x90000
test:
        movl    $stack_top - 4096, tss + 4
        movl    $DATA, tss + 8
        movw    $104, tss + 102                 /* the I/O bitmap: only port 0x90 is open */
        mov     $tss + 104, %edi
        mov     $0xffffffff, %eax
        mov     $64, %ecx
        cld
        rep     stosl
        andb    $0xfe, tss + 104 + 0x12
        movw    $400, gdt + TSS
        movb    $0x89, gdt + TSS + 5
        mov     $TSS, %eax
        ltr     %ax
        mov     %esp, kernel_esp
        mov     $code16, %esi
        mov     $area, %edi
        mov     $code16_end - code16, %ecx
        rep     movsb
        hook    handler
        movl    $0x00002, flags                 /* IOPL 0 */
        say     "IOPL 0\n"
        call    enter
        movl    $0x03002, flags
        say     "IOPL 3\n"
        call    enter
        hook    0
        ret

enter:
        mov     %esp, kernel_esp
        pushl   $0x7000                         /* GS, FS, DS, ES */
        pushl   $0x6000
        pushl   $0x9000
        pushl   $0x8000
        pushl   $0x9000                         /* SS:ESP */
        pushl   $0x1000
        pushl   flags
        orl     $0x20000, (%esp)
        pushl   $0x9000
        pushl   $0
        iret

handler:                        /* vector, error code, EIP, CS, EFLAGS, ESP, SS, ES, DS, FS, GS */
        mov     $DATA, %ecx
        mov     %cx, %ds
        mov     %cx, %es
        say     " #"
        hex     (%esp)
        say     " "
        hex     4(%esp)
        say     " ip="
        hex     8(%esp)
        say     " flags="
        hex     16(%esp)
        say     " sp="
        hex     20(%esp)
        say     " es="
        hex     28(%esp)
        say     " ax="
        hex     %eax
        say     "\n"
        mov     8(%esp), %ebx
        movzbl  area(%ebx), %edx
        cmpl    $0x42, (%esp)
        je      resume_guest
        cmp     $0xf4, %dl                      /* HLT ends it */
        je      1f
        mov     $1, %ecx                        /* length: 0xcd and 0xe4..0xe7 have two bytes */
        cmp     $0xcd, %dl
        je      2f
        cmp     $0xe4, %dl
        je      2f
        jmp     3f
2:      inc     %ecx
3:      add     %ecx, 8(%esp)
resume_guest:
        add     $8, %esp
        iret
1:      mov     kernel_esp, %esp
        ret

        .code16
code16: mov     $0x8123, %ax
        mov     %ax, %es
        movw    $0x5678, %es:4
        mov     %es:4, %ax
        cli
        sti
        pushf
        popf
        int     $0x42
        in      $0x90, %al
        in      $0x91, %al
        push    %cs
        pop     %ax
        mov     %sp, %bx
        smsw    %ax
        lea     0xffff, %si
        hlt
code16_end:
        .code32
        .data
kernel_esp: .long 0
flags:  .long   0
