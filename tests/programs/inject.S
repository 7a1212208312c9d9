/* Events that VMRUN injects, and a VMRUN that fails: what is asked of the processor for each, so that a migration is noticed or is not. The
 * nested guest has no interrupt table, so that an injected event comes back as an intercepted #GP, with the event in EXITINTINFO. What to do
 * comes from the serial port, a letter each; without any input it is "gb!". */
#include "guest32.inc"
        .set    VMCB, 0x9000
        .set    HSAVE, 0xb000
        .set    ICR, 0xfee00300
        .set    SELF_NMI, 0x00004400
        .set    SVME, 0x1000
        .set    EFER, 0xc0000080
        .set    VM_HSAVE_PA, 0xc0010117
        .set    VALID, 0x80000000
        .set    EXCEPTION, 0x300
        .set    ERROR, 0x800

/* A letter: EVENTINJ for it. */
.macro on letter:req, event:req
        cmp     $\letter, %al
        jne     8f
        mov     $(\event), %ecx
        jmp     enter
8:
.endm

test:
        mov     $EFER, %ecx
        rdmsr
        or      $SVME, %eax
        wrmsr
        mov     $VM_HSAVE_PA, %ecx
        mov     $HSAVE, %eax
        xor     %edx, %edx
        wrmsr
        hook    note_nmi
        mov     $usual, %esi
        call    read
        jc      next
        mov     $0, %esi
        jmp     do
next:   test    %esi, %esi
        jnz     from_memory
        call    read
        jc      done
        jmp     do
from_memory:
        lodsb
        test    %al, %al
        jz      done
do:     mov     %al, letter
        push    $letter
        call    print_text
        on      'g', VALID | EXCEPTION | ERROR | 13
        on      'b', VALID | EXCEPTION | 3
        on      'c', VALID | EXCEPTION | ERROR | 21
        on      'v', VALID | EXCEPTION | ERROR | 29
        on      'n', VALID | EXCEPTION | 2
        cmp     $'!', %al
        je      nmi_after_failure
        say     " ?\n"
        jmp     next
done:   ret

/* The carry flag says that nothing has come. */
read:   mov     $0x3fd, %dx
        in      %dx, %al
        test    $1, %al
        stc
        jz      1f
        mov     $0x3f8, %dx
        in      %dx, %al
        clc
1:      ret

/* Enters the guest with the EVENTINJ in ECX, and says how it came back. */
enter:  call    build
        mov     %ecx, VMCB + 0xa8
        mov     $VMCB, %eax
        stgi
        vmrun
        stgi
        say     " exit="
        hex     VMCB + 0x70
        say     " event="
        hex     VMCB + 0x88
        say     "\n"
        jmp     next

/* ASID 0 is refused. Is GIF clear behind it? An NMI that comes now waits for STGI then. */
nmi_after_failure:
        call    build
        movl    $0, VMCB + 0x58
        movl    $0, nmi_at
        mov     $VMCB, %eax
        stgi
        vmrun
        movl    $SELF_NMI, ICR
        nop
waits:  nop
        stgi
        nop
        say     " exit="
        hex     VMCB + 0x70
        cmpl    $waits, nmi_at
        jbe     1f
        say     " the NMI waited for STGI\n"
        jmp     next
1:      say     " the NMI came at once\n"
        jmp     next

note_nmi:                               /* vector, error code, EIP, CS, EFLAGS */
        push    %eax
        mov     12(%esp), %eax
        mov     %eax, nmi_at
        pop     %eax
        add     $8, %esp
        iret

.macro segment offset:req, attributes:req, selector:req
        movl    $(\attributes << 16 | \selector), VMCB + 0x400 + \offset
        movl    $0xffffffff, VMCB + 0x404 + \offset
.endm
.macro save offset:req, value:req
        movl    \value, VMCB + 0x400 + \offset
.endm
/* A 32-bit guest without paging and without an interrupt table; everything it can raise is intercepted. */
build:  push    %ecx
        mov     $VMCB, %edi
        xor     %eax, %eax
        mov     $1024, %ecx
        rep stosl
        movl    $0xffffffff, VMCB + 0x08
        movl    $3, VMCB + 0x10
        movl    $1, VMCB + 0x58
        segment 0x00, 0xc93, DATA
        segment 0x10, 0xc9b, CODE
        segment 0x20, 0xc93, DATA
        segment 0x30, 0xc93, DATA
        mov     %cr0, %eax
        save    0x158, %eax
        save    0x0d0, $SVME
        save    0x160, $0x400
        save    0x168, $0xffff0ff0
        save    0x170, $2
        save    0x178, $guest
        save    0x1d8, $user_stack_top
        pop     %ecx
        ret
guest:  vmmcall
        jmp     guest

        .data
usual:  .asciz  "gb!"
letter: .asciz  "?"
nmi_at: .long   0
