/* A remapping: the same linear address, other code. */
#include "guest32.inc"
        .set    alias, 0x400000
        .set    directory, 0x200000
test:
        /* 4 MiB.. is 0.. */
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
        /* A remapping: the same linear address, other code. */
        movl    $0x87, directory + 8            /* 8 MiB.. is 0.. */
        lea     0x800000 + function, %edx
        movl    $0x77, function + 1
        call    *%edx
        hex     %eax
        movl    $0x400083, directory + 8        /* 8 MiB.. is 4 MiB.. */
        mov     %cr3, %eax
        mov     %eax, %cr3
        movl    $0x400083, directory + 4        /* and visible at 4 MiB.. */
        mov     %cr3, %eax
        mov     %eax, %cr3
        movl    $0x000088b8, alias + function   /* mov 0x88, %eax; ret */
        movw    $0xc300, alias + function + 4
        call    *%edx
        say     " "
        hex     %eax
        say     " remapped\n"

        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        ret
function:
        mov     $0, %eax
        ret
