/* 32-bit paging: 4 KiB and 4 MiB pages, A and D bits, error codes and CR2, WP, user pages from CPL 0, stale translations and INVLPG. */
#include "guest32.inc"
        .set    directory, 0x200000
        .set    table, 0x201000                 /* maps 4 MiB at 0x400000 to 0x300000.. */
        .set    window, 0x400000
test:
        mov     $directory, %edi
        mov     $1024, %ecx
        xor     %eax, %eax
        rep     stosl
        movl    $0x000083, directory            /* 4 MiB, supervisor, writable */
        movl    $table + 7, directory + 4
        mov     $0x300007, %eax
        mov     $1024, %ecx
1:      stosl                                   /* EDI is at `table` */
        add     $0x1000, %eax
        and     $0x33ffff, %eax
        loop    1b
        mov     %cr4, %eax
        or      $0x10, %eax
        mov     %eax, %cr4
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        jmp     1f
1:      call    show
        mov     window, %eax
        call    show
        movl    $0x1234, window
        call    show
        movl    $0, table + 4                   /* page 1: not present */
        try     "read of nothing", mov window + 0x1004, %eax
        try     "write of nothing", mov %eax, window + 0x1ffe
        try     "write across", mov %eax, window + 0x0ffe
        movl    $0x302005, table + 8            /* page 2: read only */
        try     "write read-only without WP", mov %eax, window + 0x2000
        mov     %cr0, %eax
        or      $0x10000, %eax
        mov     %eax, %cr0
        movl    $0x303005, table + 12           /* page 3 likewise */
        try     "write read-only with WP", mov %eax, window + 0x3000
        try     "add to read-only", addl $1, window + 0x3000
        try     "cmpxchg to read-only", cmpxchg %ecx, window + 0x3000
        movl    $0x304067, table + 16
        mov     window + 0x4000, %eax
        movl    $0, table + 16
        mov     $window + 0x4000, %eax
        invlpg  (%eax)
        try     "read after invlpg", mov window + 0x4000, %eax
        try     "jump to nothing", call 0x40000000
        movl    $0x00c00083 + 0x200000, directory + 12  /* bit 21 of a 4 MiB page is reserved */
        try     "reserved bit", mov 0xc00000, %eax
        movl    $0, table + 20
        mov     $window + 0x5fff, %esi
        mov     $window + 0x3fff, %edi
        movl    $0x303067, table + 12
        movl    $0x306067, table + 24
        mov     %cr3, %eax
        mov     %eax, %cr3
        mov     $3, %ecx
        try     "string from nothing", rep movsb
        say     "left="
        hex     %ecx
        say     "\n"
        mov     %cr0, %eax
        and     $0x7fffffff, %eax
        mov     %eax, %cr0
        ret
show:
        say     "directory="
        hex     directory + 4
        say     " page="
        hex     table
        say     " big="
        hex     directory
        say     "\n"
        ret
