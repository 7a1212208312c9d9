/* The boot sector of the benchmark floppy (tools/bench/floppy.ts): what a multiboot loader does, for machines that only boot disks.
 * It reads the image that follows it to 0x10000, enters protected mode, moves the image to its place, clears the rest, and jumps.
 * The words at `parameters` are filled in when the floppy is made. */
        .code16
        .globl _start
_start: cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %ss
        movw    $0x7c00, %sp
        sti
        movb    %dl, drive
        movw    $0x1000, %ax
        movw    %ax, %es
        movw    $1, %si                 /* linear sector */
next:   movw    %si, %ax                /* 18 sectors a track, two heads */
        xorw    %dx, %dx
        movw    $18, %cx
        divw    %cx
        movb    %dl, %cl
        incb    %cl
        movb    %al, %ch
        shrb    $1, %ch
        movb    %al, %dh
        andb    $1, %dh
        movb    drive, %dl
        xorw    %bx, %bx
        movw    $0x0201, %ax
        int     $0x13
        jc      next                    /* a drive may need a second try */
        movw    %es, %ax
        addw    $0x20, %ax
        movw    %ax, %es
        incw    %si
        cmpw    %si, sectors
        jae     next
        cli
        movb    $2, %al                 /* A20, "fast gate" */
        outb    %al, $0x92
        lgdtl   gdt_pointer
        movl    %cr0, %eax
        orb     $1, %al
        movl    %eax, %cr0
        ljmpl   $8, $flat

        .code32
flat:   movw    $16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $0x10000 + 512, %esi    /* the sector after this one holds the command line */
        movl    place, %edi
        movl    length, %ecx
        rep movsb
        movl    cleared, %ecx
        xorl    %eax, %eax
        rep stosb
        movl    $0x10000, info + 16     /* multiboot_info.cmdline */
        movl    $5, info                /* flags: memory sizes, command line */
        movl    $640, info + 4
        movl    $511 << 10, info + 8
        movl    $0x2badb002, %eax
        movl    $info, %ebx
        jmp     *entry

        .balign 8
gdt:    .quad   0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt
drive:  .byte   0
        .set    info, 0x600

        .org    486
parameters:
place:  .long   0
length: .long   0
cleared:.long   0
entry:  .long   0
        .org    506
sectors:.word   0
        .word   0
        .word   0xaa55
