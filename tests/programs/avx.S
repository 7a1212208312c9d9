/* AVX: what enables it, alignment, what a VEX prefix clears, masked moves and gathers over missing pages, exceptions, hot loops. */
#include "guest32.inc"
        .set    directory, 0x200000
        .set    table, 0x201000                 /* maps 4 MiB at 0x400000 to 0x300000.. */
        .set    window, 0x400000

/* The lanes of a vector register, from the top. */
.macro show text:req, register:req
        say     "\text"
        vmovups \register, lanes
        .irp    at, 28, 24, 20, 16, 12, 8, 4, 0
        say     " "
        hex     lanes + \at
        .endr
        say     "\n"
.endm
/* 16 bytes of memory. */
.macro dump text:req, address:req
        say     "\text"
        .irp    at, 12, 8, 4, 0
        say     " "
        hex     \address + \at
        .endr
        say     "\n"
.endm
.macro set_cr4 value:req
        mov     $\value, %eax
        mov     %eax, %cr4
.endm
.macro set_xcr0 value:req
        xor     %ecx, %ecx
        xor     %edx, %edx
        mov     $\value, %eax
        xsetbv
.endm

test:
        call    enable
        call    alignment
        call    upper_halves
        call    page_on
        call    masked
        call    gathers
        call    exceptions
        call    loops
        ret

enable:
        set_cr4 0x600
        try     "AVX without OSXSAVE", vaddps %ymm1, %ymm2, %ymm3
        try     "XSETBV without OSXSAVE", xsetbv
        set_cr4 0x40600
        try     "AVX with x87 state only", vaddps %xmm1, %xmm2, %xmm3
        set_xcr0 3
        try     "VZEROUPPER without AVX state", vzeroupper
        try     "VLDMXCSR without AVX state", vldmxcsr mxcsr_default
        try     "ANDN needs no state", andn %eax, %ebx, %ecx
        mov     $5, %eax
        xor     %ecx, %ecx
        xor     %edx, %edx
        try     "AVX state without SSE state", xsetbv
        set_xcr0 7
        try     "AVX", vaddps %ymm1, %ymm2, %ymm3
        set_cr4 0x40000
        try     "AVX without OSFXSR", vaddps %ymm1, %ymm2, %ymm3
        try     "SSE without OSFXSR", addps %xmm1, %xmm2
        set_cr4 0x40600
        mov     %cr0, %eax
        or      $4, %eax
        mov     %eax, %cr0
        try     "AVX with EM", vaddps %ymm1, %ymm2, %ymm3
        try     "SSE with EM", addps %xmm1, %xmm2
        xor     $12, %eax
        mov     %eax, %cr0
        try     "AVX with TS", vpaddd %ymm1, %ymm2, %ymm3
        try     "VZEROALL with TS", vzeroall
        clts
        try     "AVX without TS", vpaddd %ymm1, %ymm2, %ymm3
        try     "VEX.vvvv of an instruction without it", .byte 0xc5, 0xf0, 0x10, 0xc1
        try     "VEX.L of VMOVD", .byte 0xc5, 0xfd, 0x6e, 0xc1
        try     "LOCK before VEX", .byte 0xf0, 0xc5, 0xec, 0x58, 0xd9
        ret

alignment:
        mov     $numbers, %esi
        try     "VMOVAPS of 32 bytes, aligned to 16", vmovaps 16(%esi), %ymm0
        try     "VMOVAPS of 16 bytes, aligned to 16", vmovaps 16(%esi), %xmm0
        try     "VMOVNTDQA", vmovntdqa 48(%esi), %ymm0
        try     "VMOVNTPS", vmovntps %ymm0, lanes + 16
        try     "VMOVUPS", vmovups 3(%esi), %ymm0
        try     "VPADDD", vpaddd 7(%esi), %ymm0, %ymm1
        try     "ADDPS", addps 4(%esi), %xmm0
        ret

upper_halves:
        vmovups numbers, %ymm0
        vmovaps %ymm0, %ymm1
        vmovaps %ymm0, %ymm2
        vmovaps %ymm0, %ymm3
        paddd   %xmm1, %xmm1
        vpaddd  %xmm2, %xmm2, %xmm2
        show    "PADDD ", %ymm1
        show    "VPADDD", %ymm2
        vmovd   numbers + 4, %xmm3
        show    "VMOVD ", %ymm3
        vpermd  %ymm0, %ymm0, %ymm4
        vperm2i128 $0x81, %ymm0, %ymm0, %ymm5
        vpsllvd numbers, %ymm0, %ymm6
        vpalignr $5, numbers + 32, %ymm0, %ymm7
        show    "VPERMD", %ymm4
        show    "VPERM2I128", %ymm5
        show    "VPSLLVD", %ymm6
        show    "VPALIGNR", %ymm7
        vzeroupper
        show    "VZEROUPPER", %ymm4
        vzeroall
        show    "VZEROALL", %ymm0
        ret

/* Page 0 and 1 of the window are there; page 2 is not. */
page_on:
        set_cr4 0x40610
        mov     $directory, %edi
        mov     $1024, %ecx
        xor     %eax, %eax
        rep     stosl
        movl    $0x000083, directory
        movl    $table + 7, directory + 4
        mov     $0x300007, %eax
        mov     $1024, %ecx
1:      stosl
        add     $0x1000, %eax
        loop    1b
        movl    $0, table + 8
        movl    $0x303005, table + 12           /* page 3: read only */
        mov     $directory, %eax
        mov     %eax, %cr3
        mov     %cr0, %eax
        or      $0x80010000, %eax
        mov     %eax, %cr0
        mov     $window, %edi
        mov     $0x800, %ecx
        mov     $0x01010101, %eax
1:      stosl
        add     $0x01010101, %eax
        loop    1b
        ret

masked:
        mov     $window + 0x1ff0, %esi
        try     "load across", vmovups (%esi), %ymm1
        try     "store across", vmovups %ymm0, (%esi)
        try     "store across within", vmovups %ymm0, -0x1000(%esi)
        vmovups mask_low, %ymm2
        try     "masked load of what is there", vpmaskmovd (%esi), %ymm2, %ymm1
        show    "      ", %ymm1
        vmovups mask_high, %ymm2
        try     "masked load of what is not", vpmaskmovd (%esi), %ymm2, %ymm1
        show    "      ", %ymm1
        try     "masked store of what is not", vmaskmovps %ymm0, %ymm2, (%esi)
        vmovups mask_low, %ymm2
        vpcmpeqd %ymm3, %ymm3, %ymm3
        try     "masked store of what is there", vmaskmovps %ymm3, %ymm2, (%esi)
        dump    "      ", 0x1ff0 + window
        vpxor   %ymm2, %ymm2, %ymm2
        try     "masked load of nothing", vmaskmovpd 0x80000000, %ymm2, %ymm1
        show    "      ", %ymm1
        ret

/* Element 2 lies on page 2. */
gathers:
        mov     $window, %esi
        vmovups numbers, %ymm1
        vmovups indexes, %ymm2
        vpcmpeqd %ymm3, %ymm3, %ymm3
        try     "gather", vpgatherdd %ymm3, (%esi, %ymm2, 4), %ymm1
        show    "loaded", %ymm1
        show    "mask  ", %ymm3
        movl    $0x302007, table + 8
        movl    $0x12345678, window + 0x2004
        try     "and the rest", vpgatherdd %ymm3, (%esi, %ymm2, 4), %ymm1
        show    "loaded", %ymm1
        show    "mask  ", %ymm3
        vpcmpeqd %ymm3, %ymm3, %ymm3
        try     "four of eight bytes", vpgatherdq %ymm3, (%esi, %xmm2, 4), %ymm1
        show    "loaded", %ymm1
        try     "index and mask the same", .byte 0xc4, 0xe2, 0x6d, 0x90, 0x0c, 0x96
        ret

.macro show_mxcsr
        vstmxcsr lanes
        say     "mxcsr="
        hex     lanes
        say     "\n"
.endm
exceptions:
        vldmxcsr mxcsr_default
        vmovups floats, %ymm1
        vxorps  %ymm2, %ymm2, %ymm2
        try     "division by zero, masked", vdivps %ymm2, %ymm1, %ymm3
        show    "      ", %ymm3
        show_mxcsr
        vldmxcsr mxcsr_divide
        try     "division by zero", vdivps %ymm2, %ymm1, %ymm3
        show_mxcsr
        set_cr4 0x40210
        try     "division by zero without OSXMMEXCPT", vdivps %ymm2, %ymm1, %ymm3
        set_cr4 0x40610
        vldmxcsr mxcsr_default
        try     "half precision to a read-only page", vcvtps2ph $4, %ymm1, window + 0x3000
        show_mxcsr
        try     "half precision", vcvtps2ph $4, %ymm1, window + 0x1000
        dump    "      ", window + 0x1000
        show_mxcsr
        vcvtph2ps window + 0x1000, %ymm3
        show    "and back", %ymm3
        try     "reserved bit of MXCSR", vldmxcsr numbers + 28
        ret

/* Long enough to be hot: sums, dot products with one rounding, a polynomial. */
loops:
        vldmxcsr mxcsr_default
        mov     $window, %esi
        vpxor   %ymm0, %ymm0, %ymm0
        vpxor   %ymm4, %ymm4, %ymm4
        xor     %ecx, %ecx
1:      vpaddd  (%esi, %ecx), %ymm0, %ymm0
        vpshufb numbers, %ymm0, %ymm1
        vpxor   %ymm1, %ymm4, %ymm4
        vpblendd $0x5a, %ymm4, %ymm1, %ymm2
        vpmuludq %ymm2, %ymm0, %ymm3
        vpaddq  %ymm3, %ymm4, %ymm4
        vmovdqu %ymm4, lanes + 32
        add     $32, %ecx
        and     $0x1fff, %ecx
        incl    count
        cmpl    $1500, count
        jne     1b
        show    "integers", %ymm4
        vbroadcastss floats + 4, %ymm1
        vmovups floats + 32, %ymm2
        vmovups floats + 32, %ymm0
        vbroadcastsd doubles, %ymm5
        vmovupd doubles, %ymm6
        vmovupd doubles, %ymm7
        mov     $500, %ecx
1:      vfmadd132ps %ymm1, %ymm2, %ymm0
        vfnmadd231ps %ymm2, %ymm0, %ymm3
        vfmadd213ss floats + 8, %xmm2, %xmm4
        vmulps  floats + 32, %ymm0, %ymm0
        vfmadd132pd %ymm5, %ymm6, %ymm7
        vfmsub231sd doubles + 8, %xmm6, %xmm7
        vmulpd  doubles, %ymm7, %ymm7
        vcvtpd2ps %ymm7, %xmm2
        vcmpltps %xmm2, %xmm0, %xmm2
        vblendvps %xmm2, floats + 32, %xmm0, %xmm2
        vinsertf128 $1, %xmm0, %ymm2, %ymm2
        dec     %ecx
        jnz     1b
        show    "singles", %ymm0
        show    "       ", %ymm3
        show    "scalar ", %ymm4
        show    "doubles", %ymm7
        show_mxcsr
        vzeroupper
        ret

        .data
        .balign 32
numbers:
        .long   0x07060504, 1, 0x0b020100, 3, 0x80000002, 5, 0x00010003, 0x00010000
        .long   8, 9, 10, 11, 12, 13, 14, 15
mask_low:
        .long   -1, 0x80000000, -1, -1, 0, 0x7fffffff, 0, 0
mask_high:
        .long   0, -1, 0, 0, 0, 0, -1, 0
indexes:
        .long   3, 5, 0x801, 0x7ff, 0, 0x7fe, 1, 2
floats: .long   0x3f800001, 0x3f7fff00, 0x40490fdb, 0x80000000, 0x00000000, 0xff800000, 0x7fc12345, 0x477fe000
        .float  0.25, 0.125, 0.5, 0.75, 0.3, 0.2, 0.1, 0.7
doubles:
        .double 0.999, 1.0000001, -0.3, 0.7
mxcsr_default:
        .long   0x1f80
mxcsr_divide:
        .long   0x1d80
count:  .long   0
        .balign 32
lanes:  .skip   64
