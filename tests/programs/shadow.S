/* Shadow stacks and branch tracking: near and far returns, what a shadow-stack page is, tokens, indirect branches, events from level 3, hot loops. */
#include "guest32.inc"
        .set    directory, 0x200000
        .set    table, 0x201000                 /* maps 4 MiB at 0x400000 to 0x300000.. */
        .set    window, 0x400000                /* a user's shadow stack, another one, a supervisor's, another one, a plain page; then nothing */
        .set    shadow, window + 0x1000         /* where an empty user's shadow stack begins */
        .set    other, window + 0x2000
        .set    super, window + 0x2ff8          /* tokens */
        .set    super2, window + 0x3ff8
        .set    plain, window + 0x4000
        .set    alias, 0x300000                 /* the same memory, writable */
        .set    U_CET, 0x6a0
        .set    S_CET, 0x6a2
        .set    PL0_SSP, 0x6a4
        .set    PL3_SSP, 0x6a7

.macro msr index:req, value:req
        mov     $\index, %ecx
        xor     %edx, %edx
        mov     $\value, %eax
        wrmsr
.endm
.macro read_msr text:req, index:req
        say     "\text"
        mov     $\index, %ecx
        rdmsr
        hex     %eax
.endm
/* Runs code at level 3 until it takes an event, which is reported with SSP and U_CET. */
.macro user text:req, start:req
        say     "\text: "
        mov     $\start, %eax
        call    run_user
.endm
.macro done
        int     $0x40
.endm

test:
        call    page_on
        call    disabled
        call    stacks
        call    pages
        call    switching
        call    tracking
        call    loops
        call    supervisor
        ret

page_on:
        mov     $directory, %edi
        mov     $2048, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $0x87, directory                /* the first 4 MiB as they are, for level 3 too */
        movl    $table + 7, directory + 4
        movl    $alias + 0x0045, table          /* read-only and dirty: shadow stacks, of level 3 */
        movl    $alias + 0x1045, table + 4
        movl    $alias + 0x2041, table + 8      /* of the supervisor */
        movl    $alias + 0x3041, table + 12
        movl    $alias + 0x4047, table + 16
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     $0x10, %eax
        mov     %eax, %cr4
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        ret

run_user:
        pushal
        mov     %esp, tss + 4
        movl    $DATA, tss + 8
        hook    back
        mov     $USER_DATA, %ecx
        mov     %cx, %ds
        mov     %cx, %es
        pushl   $USER_DATA
        pushl   $user_stack_top
        pushl   $2
        pushl   $USER_CODE
        pushl   %eax
        iret
back:
        mov     $DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        say     "#"
        pop     %ebx
        hex     %ebx
        say     " "
        pop     %ecx
        cmp     $21, %ebx               /* the handlers do not know that it has an error code */
        jne     1f
        pop     %ecx
1:      hex     %ecx
        cmp     $14, %ebx
        jne     1f
        say     " cr2="
        mov     %cr2, %eax
        hex     %eax
1:      read_msr " ssp=", PL3_SSP
        read_msr " u_cet=", U_CET
        say     "\n"
        mov     tss + 4, %esp
        popal
        hook    0
        ret

/* ---- nothing is on ---- */
disabled:
        mov     %cr4, %eax
        or      $0x800000, %eax
        try     "CR4.CET", mov %eax, %cr4
        mov     %cr0, %eax
        and     $~0x10000, %eax
        try     "CR0.WP off with CET", mov %eax, %cr0
        mov     $0x1234, %eax
        try     "RDSSP without a shadow stack", rdsspd %eax
        hex     %eax
        say     "\n"
        try     "INCSSP without a shadow stack", incsspd %eax
        try     "SETSSBSY without a supervisor stack", setssbsy
        try     "WRSS without a shadow stack", wrssd %eax, window
        xor     %edx, %edx
        mov     $U_CET, %ecx
        mov     $0x40, %eax
        try     "U_CET with a reserved bit", wrmsr
        mov     $PL3_SSP, %ecx
        mov     $2, %eax
        try     "PL3_SSP that is not aligned", wrmsr
        try     "a plain store to a shadow stack", movl $1, window
        try     "WRUSS to a plain page", wrussd %eax, plain
        try     "WRUSS to a supervisor's shadow stack", wrussd %eax, super
        try     "WRUSS", wrussd %eax, window
        hex     window
        say     "\n"
        ret

/* ---- near and far ---- */
stacks:
        msr     U_CET, 1
        msr     PL3_SSP, shadow
        user    "CALL and RET", near_calls
        user    "a return address that was changed", near_changed
        msr     PL3_SSP, shadow
        user    "far CALL and RET", far_calls
        user    "a far return that was changed", far_changed
        msr     PL3_SSP, shadow
        user    "far CALL with SSP at a multiple of 4", far_odd
        user    "RDSSP and INCSSP", counting
        msr     PL3_SSP, shadow
        user    "WRSS without its bit", write_shadow
        msr     U_CET, 3
        user    "WRSS", write_shadow
        user    "WRSS that is not aligned", write_odd
        user    "WRSS to a plain page", write_plain
        user    "WRUSS at level 3", write_user
        ret
near_calls:
        call    1f
        call    1f
        call    2f                      /* the next instruction: not on the shadow stack */
2:      pop     %eax
        done
1:      call    3f
        ret
3:      ret     $0
near_changed:
        call    1f
2:      done
1:      movl    $2b, (%esp)
        addl    $1, (%esp)
        ret
far_calls:
        lcall   $USER_CODE, $1f
        done
1:      lret
far_changed:
        lcall   $USER_CODE, $1f
        nop
        done
1:      incl    (%esp)
        lret
far_odd:
        call    1f
        done
1:      lcall   $USER_CODE, $2f
        ret
2:      lret
counting:
        call    1f
1:      call    2f
2:      call    3f
        done
3:      call    4f
        done
4:      rdsspd  %eax
        sub     $shadow, %eax
        neg     %eax
        shr     $2, %eax
        incsspd %eax
        done
write_shadow:
        call    1f
        done
1:      rdsspd  %eax
        movl    $2f, (%esp)
        mov     $2f, %ebx
        wrssd   %ebx, (%eax)
        ret
2:      done
write_odd:
        wrssd   %eax, window + 2
write_plain:
        wrssd   %eax, plain
write_user:
        wrussd  %eax, window

/* ---- what a shadow-stack page is ---- */
pages:
        msr     U_CET, 1
        msr     PL3_SSP, shadow
        user    "an entry of 0", return_there
        msr     PL3_SSP, super
        user    "RET with a supervisor's", return_there
        msr     PL3_SSP, plain + 0x1000
        user    "a plain page", call_once
        msr     PL3_SSP, super
        user    "a page of the supervisor", call_once
        msr     PL3_SSP, window + 0x9000
        user    "no page", call_once
        andl    $~0x40, table
        mov     %cr3, %eax
        mov     %eax, %cr3
        msr     PL3_SSP, shadow
        user    "a page that is not dirty", call_once
        orl     $0x40, table
        andl    $~2, directory + 4
        mov     %cr3, %eax
        mov     %eax, %cr3
        user    "a table that is read-only", call_once
        orl     $2, directory + 4
        mov     %cr3, %eax
        mov     %eax, %cr3
        user    "a store to it", store_shadow
        ret
return_there:
        pushl   $call_once
        ret
call_once:
        call    1f
        done
1:      ret
store_shadow:
        movl    $1, window + 0xff0

/* ---- tokens ---- */
switching:
        movl    $other + 1 - 1, alias + 0x1ff8  /* a restore token: the address above it */
        movl    $0, alias + 0x1ffc
        msr     PL3_SSP, shadow
        user    "RSTORSSP and SAVEPREVSSP", switch_there
        user    "a token that was taken", take_again
        user    "the token of the other stack again", take_back
        msr     PL3_SSP, shadow
        user    "SAVEPREVSSP with nothing to save", save_nothing
        ret
switch_there:
        call    1f
        done
1:      rstorssp other - 8
        saveprevssp
        call    2f
        rstorssp shadow - 16
        saveprevssp                     /* CF: 4 bytes below the token are a hole */
        ret
2:      ret
take_again:
        rstorssp shadow - 16
take_back:
        rstorssp other - 8
        done
save_nothing:
        call    1f
1:      call    2f
        done
2:      saveprevssp

/* ---- indirect branches ---- */
tracking:
        msr     U_CET, 4
        user    "to ENDBR", jump_marked
        user    "to something else", jump_unmarked
        msr     U_CET, 4
        user    "to ENDBR64", jump_wrong
        msr     U_CET, 4
        user    "NOTRACK that is not enabled", jump_notrack
        msr     U_CET, 0x14
        user    "NOTRACK", jump_notrack
        msr     U_CET, 4
        user    "a call through memory", call_memory
        msr     U_CET, 4
        user    "to INT3", jump_breakpoint
        msr     U_CET, 4
        user    "a far jump", jump_far
        msr     U_CET, 4
        user    "to a page that is missing", jump_missing
        msr     U_CET, 0
        ret
jump_marked:
        mov     $1f, %eax
        jmp     *%eax
1:      endbr32
        mov     $2f, %eax
        call    *%eax
        done
2:      endbr32
        ret
jump_unmarked:
        mov     $1f, %eax
        jmp     *%eax
1:      nop
        done
jump_wrong:
        mov     $1f, %eax
        jmp     *%eax
1:      endbr64
        done
jump_notrack:
        mov     $1f, %eax
        notrack jmp *%eax
1:      done
call_memory:
        movl    $1f, plain
        call    *plain
        done
1:      mov     $2, %eax
        ret
jump_breakpoint:
        mov     $1f, %eax
        jmp     *%eax
1:      int3
jump_far:
        ljmp    $USER_CODE, $1f
1:      nop
        done
jump_missing:
        mov     $window + 0x9000, %eax
        jmp     *%eax

/* ---- often ---- */
loops:
        msr     U_CET, 5
        msr     PL3_SSP, shadow
        user    "2000 calls through a register", call_often
        msr     U_CET, 1
        user    "recursion", recurse
        msr     U_CET, 0
        user    "without any of it", call_often
        ret
call_often:
        mov     $2000, %ecx
        mov     $2f, %eax
        xor     %ebx, %ebx
1:      call    *%eax
        loop    1b
        cmp     $2000, %ebx
        jne     3f
        done
2:      endbr32
        inc     %ebx
        ret
3:      ud2
recurse:
        mov     $200, %ecx
        call    1f
        done
1:      dec     %ecx
        jz      2f
        call    1b
2:      ret

/* ---- the supervisor's own ---- */
/* Where SSP is in a handler, and after it. */
.macro at_level_0
        rdsspd  %ebx
        int     $0x61
        rdsspd  %ecx
        sub     %ebx, %ecx
        sub     seen_ssp, %ebx
.endm
supervisor:
        mov     %cr4, %eax              /* what comes first is remembered without shadow stacks */
        btr     $23, %eax
        mov     %eax, %cr4
        hook    level_0
        mov     $0, %esi
1:      xor     %ebx, %ebx
        at_level_0
        inc     %esi
        cmp     $3, %esi
        jne     1b
        hook    0
        mov     %cr4, %eax
        bts     $23, %eax
        mov     %eax, %cr4
        movl    $super, alias + 0x2ff8
        movl    $0, alias + 0x2ffc
        movl    $super2, alias + 0x3ff8
        movl    $0, alias + 0x3ffc
        msr     PL0_SSP, super
        msr     S_CET, 1
        setssbsy
        hex     super
        say     " is busy\n"
        call    1f
        hook    level_0
        at_level_0
        hook    0
        say     "INT took "
        hex     %ebx
        say     " bytes of it, and left "
        hex     %ecx
        say     "\n"
        try     "INT at level 0", int $0x60
        rdsspd  %eax
        and     $7, %eax
        hex     %eax
        say     " with the frame of the fault\n"
        msr     PL0_SSP, super2
        msr     U_CET, 1
        msr     PL3_SSP, shadow
        hook    answer
        mov     %esp, tss + 4
        movl    $DATA, tss + 8
        pushl   $USER_DATA
        pushl   $user_stack_top
        pushl   $2
        pushl   $USER_CODE
        pushl   $events
        mov     $USER_DATA, %ecx
        mov     %cx, %ds
        mov     %cx, %es
        iret
1:      ret
level_0:
        xor     %eax, %eax
        rdsspd  %eax
        mov     %eax, seen_ssp
        add     $8, %esp
        iret
events:
        mov     $200, %ecx
1:      call    2f
        loop    1b
        done
2:      int     $0x41
        ret
answer:
        cmpl    $0x41, (%esp)
        jne     1f
        add     $8, %esp
        iret
1:      mov     $DATA, %eax
        mov     %ax, %ds
        mov     %ax, %es
        say     "200 events of level 3, then #"
        hex     (%esp)
        say     " "
        hex     4(%esp)
        read_msr " ssp=", PL3_SSP
        rdsspd  %eax
        say     " of level 0 "
        hex     %eax
        say     " token "
        hex     super2
        say     "\n"
        msr     S_CET, 0
        mov     $0, %al
        jmp     end_guest
        .data
seen_ssp: .long 0
