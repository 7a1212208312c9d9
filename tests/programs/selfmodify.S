/* Code that writes code: the next instruction, a loop's own body, the same code at two addresses, REP MOVS over
 * code, and data beside code. */
#include "guest32.inc"
        .set    alias, 0x400000
        .set    directory, 0x200000
test:
        /* The next instruction but none. */
        mov     $0x11, %eax
        movl    $0x22, patched_1 + 1
patched_1:
        mov     $0x11, %eax
        say     "next instruction: "
        hex     %eax
        say     "\n"

        /* A loop that counts with the immediate that it increments. */
        xor     %eax, %eax
        mov     $3000, %ecx
1:
patched_2:
        add     $1, %eax
        incb    patched_2 + 2
        andb    $0x7f, patched_2 + 2
        loop    1b
        say     "loop: "
        hex     %eax
        say "\n"

        /* Patch and call, many times: a function that returns its patch. */
        xor     %ebx, %ebx
        mov     $2000, %ecx
1:      mov     %ecx, function + 1
        call    function
        add     %eax, %ebx
        rol     $1, %ebx
        loop    1b
        say     "patch and call: "
        hex     %ebx
        say     "\n"

        /* The same code at another address. */
        mov     $directory, %edi
        mov     $1024, %ecx
        xor     %eax, %eax
        rep     stosl
        movl    $0x83, directory
        movl    $0x83, directory + 4            /* 4 MiB.. is 0.. */
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        xor     %ebx, %ebx
        mov     $500, %ecx
1:      mov     %ecx, alias + function + 1
        call    function
        add     %eax, %ebx
        lea     alias + function, %edx
        movb    $0x35, function + 1
        call    *%edx
        rol     $3, %ebx
        xor     %eax, %ebx
        loop    1b
        say     "alias: "
        hex     %ebx
        say     "\n"

        /* REP MOVS over the code behind it, in one block and to the element. */
        mov     $new_code, %esi
        mov     $old_code, %edi
        mov     $new_code_end - new_code, %ecx
        rep     movsb
old_code:
        mov     $0x1111, %eax
        mov     $0x2222, %ebx
        jmp     1f
1:      say     "copied over: "
        hex     %eax
        hex     %ebx
        say     "\n"

        /* Data in the same page and in the same 64 bytes as a hot loop. */
        mov     $20000, %ecx
        xor     %eax, %eax
1:      addl    $3, beside
        add     beside, %eax
        rol     $1, %eax
        loop    1b
        jmp     2f
        .balign 4
beside: .long   0
2:      say     "data beside code: "
        hex     %eax
        say     "\n"
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        ret
function:
        mov     $0, %eax
        ret
new_code:
        mov     $0x3333, %eax
        mov     $0x4444, %ebx
new_code_end:
